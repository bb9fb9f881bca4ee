"""`etl diff`: what a change means and what it does to the staged data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from engine.cli.options import as_json
from engine.errors import UsageError
from workbench.commands.options import from_environment, stored
from workbench.diff.between import with_file, with_revision
from workbench.diff.text import as_data, as_lines, as_markdown


@click.command("diff")
@click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--git",
    "revision",
    metavar="REV",
    help="Compare SPEC with itself as it stood at this commit, branch or tag.",
)
@from_environment
@stored
@click.option(
    "--format",
    "style",
    type=click.Choice(["terminal", "markdown", "json"]),
    default="terminal",
    show_default=True,
    help="Lines, a comment for a review, or the same as --json.",
)
@as_json
@click.option(
    "--exit-code",
    "by_code",
    is_flag=True,
    help="End with 1 where the change touches data, with 0 where it does not.",
)
def diff_command(
    specs: tuple[Path, ...],
    revision: str | None,
    style: str,
    by_code: bool,
    **options: Any,
) -> None:
    """What changed between OLD and NEW in meaning, and what it does to the staged data. Makes no
    call.
    """
    if len(specs) != (1 if revision else 2):
        raise UsageError(
            "compare two files (etl diff OLD NEW) or one with its past (etl diff --git REV SPEC)"
        )
    store = options["store"] or options["environment"]
    if revision:
        compared = with_revision(specs[0], revision, store)
    else:
        compared = with_file(specs[0], specs[1], store)
    if options["as_json"] or style == "json":
        click.echo(json.dumps(as_data(compared), ensure_ascii=False))
    else:
        click.echo(
            "\n".join(
                as_markdown(compared)
                if style == "markdown"
                else as_lines(compared)
            )
        )
    if by_code and any(item.weight != "none" for item in compared.differences):
        sys.exit(1)
