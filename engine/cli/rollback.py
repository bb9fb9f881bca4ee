"""`etl rollback`."""

from __future__ import annotations

import sys
from typing import Any

import click

from engine.cli.log import logged
from engine.cli.opening import from_store, opened
from engine.cli.options import Settings, common
from engine.cli.screen import Declined, confirmed, print_result
from engine.errors import ATTENTION, DONE
from engine.library.commands import may_undo, ready_to_undo, rollback_command
from engine.library.results import rollback_result
from engine.library.undone import leave_beside
from engine.pipeline import content
from engine.report import screens
from engine.report.words import counted
from engine.rollback.undo import rollback as take_back
from engine.store.journal import (
    UNDOABLE,
    count_rows,
    entries,
    undoable_places,
)
from engine.store.links import DEFINITIONS

LAST_RUN = 2**31 - 1


@click.command()
@common
@logged
@click.option(
    "--run",
    "of_run",
    type=click.IntRange(1, LAST_RUN),
    help="Roll back only this run; `etl status` lists the runs.",
)
@click.option(
    "--dry-run",
    "dry",
    is_flag=True,
    help="Show what would happen; change nothing.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also remove rows that people have edited since.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def rollback(
    of_run: int | None, dry: bool, force: bool, yes: bool, **options: Any
) -> None:
    """Roll a migration back: delete what it created, restore what it changed, keep what people
    edited.
    """
    settings = Settings(**options)
    if not dry and not yes:
        _ask(settings, of_run, force)
    command = rollback_command(of_run, dry)
    with opened(settings, command) as run:
        ready_to_undo(run, of_run, settings.spec, settings.environment)
        result = take_back(run, of_run, force, dry)
        undone = rollback_result(run, result)
        said = (settings.environment, command)
        files = {} if dry else leave_beside(run, undone, *said)
    found = {
        "undone": result.undone,
        "there_before": result.there_before,
        "kept": result.kept,
        "failed": result.failed,
        "would": result.would,
        "cost": result.cost,
        "cost_unit": run.migration.destination.cost_unit,
        "files": files,
    }
    print_result(
        settings.as_json,
        found,
        lambda found, console: screens.show_rollback(found, dry, console),
    )
    sys.exit(ATTENTION if result.kept or result.failed else DONE)


def _ask(settings: Settings, of_run: int | None, force: bool) -> None:
    """Ask whether so much may be taken back, by the store alone: what stays is looked for after
    the answer, for people may edit while it is awaited. Raises Declined where it is no.
    """
    with from_store(settings) as run:
        may_undo(run, of_run, settings.spec, settings.environment)
        title = run.migration.destination.title
        with run.store.begin() as connection:
            rows = count_rows(connection, UNDOABLE, of_run)
            # the rollback finds out about these, and takes them back as well
            in_doubt = len(entries(connection, ("intent", "doubt")))
            written = {name for name, _ in undoable_places(connection, of_run)}
        known = run.spec.objects
        rest = {item.name for item in content(list(known.values()))}
        kinds = {DEFINITIONS, *(known.keys() - rest)}
        defined = " (custom fields and stages are counted as rows)" * bool(
            written & kinds
        )
    writer = "etl" if of_run is None else f"run {of_run}"
    edited = "goes as well" if force else "stays"
    more = f" and {counted(in_doubt, 'write')} of no known outcome" * bool(
        in_doubt
    )
    question = (
        f"Undo what {writer} wrote to {counted(rows, 'row')}{defined}{more} in {title}"
        f" ({settings.environment})? Rows that it made are deleted, others restored; what"
        f" people have edited since {edited}"
    )
    if (rows or in_doubt) and not confirmed(question):
        stay = "stays" if rows == 1 and not in_doubt else "stay"
        raise Declined(
            f"Nothing was removed; {counted(rows, 'row')}{more} {stay}."
        )
