"""`etl completion`: complete commands, options and files in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and files in your shell.

    Keep it where the shell looks for such scripts, and open a new one: for bash in
    ~/.local/share/bash-completion/completions/etl, for zsh in ${fpath[1]}/_etl, for fish in
    ~/.config/fish/completions/etl.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(
        found(context.find_root().command, {}, "etl", "_ETL_COMPLETE").source()
    )
