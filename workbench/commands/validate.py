"""`etl validate`: every problem of specs, each with its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.environment import variables
from engine.cli.options import Settings, machine
from engine.config.document import read
from engine.errors import DONE, Diagnostic, SpecError, in_order
from engine.language.compile import load_migration, shown
from engine.report.words import counted
from workbench.beside import beside_shape
from workbench.commands.options import from_environment, stored
from workbench.doubts import doubts, quotes
from workbench.excerpt import excerpt, places


@click.command("validate")
@click.argument(
    "specs",
    metavar="SPEC...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--live",
    is_flag=True,
    help=(
        "Also look at both accounts: fields, options, types, lengths, room for custom fields."
    ),
)
@from_environment
@stored
@machine
def validate_command(specs: Sequence[Path], live: bool, **options: Any) -> None:
    """Check specs, their connectors and templates; every problem at once."""
    codes = [_validated(Settings(spec, **options), live) for spec in specs]
    sys.exit(max(codes))


def _validated(settings: Settings, live: bool) -> int:
    """Show what is wrong with one spec; returns its exit code."""
    problems: list[Diagnostic] = []
    objects, document = 0, None
    try:
        document = read(settings.spec, shown(settings.spec))
        problems = list(quotes(document))
        migration = load_migration(settings.spec, variables(), document)
        objects = len(migration.spec.active())
        problems = in_order(
            [*problems, *migration.warnings, *doubts(document, migration)]
        )
    except SpecError as error:
        problems += error.diagnostics
        if document:
            problems += beside_shape(settings.spec, document, variables())
        problems = in_order(problems)
    if live and not _refused(problems):
        problems += _live(settings)
    _show(settings, problems, objects)
    return 2 if _refused(problems) else DONE


def _live(settings: Settings) -> list[Diagnostic]:
    """What in both accounts does not fit a spec."""
    from engine.cli.opening import opened
    from workbench.live import check_live

    with opened(settings, "validate --live") as run:
        return list(check_live(run))


def _refused(problems: Sequence[Diagnostic]) -> bool:
    return any(item.severity == "error" for item in problems)


def _show(
    settings: Settings, problems: Sequence[Diagnostic], objects: int
) -> None:
    folder, wrong = settings.spec.parent, _refused(problems)
    if settings.as_json:
        listed = [places(item, folder) for item in problems]
        click.echo(
            json.dumps(
                {
                    "spec": str(settings.spec),
                    "valid": not wrong,
                    "problems": listed,
                },
                ensure_ascii=False,
            )
        )
        return
    for item in problems:
        click.echo("\n".join(excerpt(item, folder)), err=True)
    many = counted(len(problems), "problem" if wrong else "warning")
    good = f"{settings.spec}: good; {counted(objects, 'object')}{', ' + many if problems else ''}"
    click.echo(many if wrong else good, err=wrong)
