"""`etl validate`: every problem of specs, each with its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.options import Settings, machine
from engine.errors import DONE, Diagnostic, Place, UsageError, in_order
from engine.report.words import counted
from workbench.cases import CASES
from workbench.commands.options import from_environment, several_specs, stored
from workbench.excerpt import excerpts, places
from workbench.problems import is_refused, problems_of


@click.command("validate")
@several_specs
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
    if settings.spec.is_dir():
        raise UsageError(
            f"{settings.spec} is a folder – name the specs in it: {settings.spec}/*.yaml"
        )
    if settings.spec.name.endswith(CASES):
        told = f"{settings.spec}: cases, and no spec: `etl test` checks them with their spec"
        click.echo(told, err=True)
        return DONE
    problems, migration = problems_of(settings.spec)
    objects = len(migration.spec.active()) if migration else 0
    if live and not is_refused(problems):
        problems = together(problems, _live(settings))
    _show(settings, problems, objects)
    return 2 if is_refused(problems) else DONE


def _live(settings: Settings) -> list[Diagnostic]:
    """What in both accounts does not fit a spec."""
    from engine.cli.opening import opened
    from workbench.live import check_live

    with opened(settings, "validate --live") as run:
        return list(check_live(run))


def together(
    problems: Sequence[Diagnostic], live: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """What is wrong, in order; what the account shows stands for what the connector says of it."""
    seen = {_subject(item) for item in live if item.where}
    rest = [item for item in problems if _subject(item) not in seen]
    return in_order([*rest, *live])


def _subject(item: Diagnostic) -> tuple[Place | None, str, str]:
    """What a problem is about: several keys may share a place, and several kinds a key."""
    return item.where, item.path, item.code


def _show(
    settings: Settings, problems: Sequence[Diagnostic], objects: int
) -> None:
    folder, wrong = settings.spec.parent, is_refused(problems)
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
    for line in excerpts(problems, folder):
        click.echo(line, err=True)
    many = counted(len(problems), "problem" if wrong else "warning")
    good = f"{settings.spec}: good; {counted(objects, 'object')}{', ' + many if problems else ''}"
    click.echo(many if wrong else good, err=wrong)
