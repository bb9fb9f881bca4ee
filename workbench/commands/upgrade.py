"""`etl upgrade`: old names of keys become the new ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from engine.cli.options import machine
from engine.errors import ATTENTION, DONE
from engine.language.compile import shown
from engine.report.words import counted
from workbench.commands.options import several_specs
from workbench.upgrading import Upgraded, rewrite, to_upgrade


@click.command("upgrade")
@several_specs
@click.option(
    "--check",
    is_flag=True,
    help="Change nothing; end with 1 where something would be rewritten.",
)
@machine
def upgrade_command(specs: Sequence[Path], check: bool, as_json: bool) -> None:
    """Rewrite keys that have another name now, in specs and in the connectors of their projects.

    Nothing but those keys changes. Where one cannot be rewritten safely, no file is touched.
    """
    found = to_upgrade(specs)
    if not check:
        rewrite(found)
    if as_json:
        click.echo(json.dumps({"keys": list(_listed(found))}))
    else:
        _show(found, check)
    sys.exit(ATTENTION if found and check else DONE)


def _listed(found: Sequence[Upgraded]) -> Iterator[dict[str, str | int]]:
    for item in found:
        for place, key in item.keys.items():
            yield {
                "file": shown(item.file),
                "line": place.line,
                "col": place.col,
                "old": key.old,
                "new": key.new,
            }


def _show(found: Sequence[Upgraded], check: bool) -> None:
    listed = list(_listed(found))
    for key in listed:
        click.echo("{file}:{line}:{col}: {old} is {new} now".format(**key))
    many = counted(len(listed), "old key")
    if not listed:
        click.echo("no key has an old name")
    elif check:
        click.echo(f"{many}; etl upgrade without --check rewrites them")
    else:
        click.echo(f"{many} rewritten; nothing else was changed")
