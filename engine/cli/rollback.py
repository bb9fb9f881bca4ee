"""`etl rollback`."""

from __future__ import annotations

import sys
from typing import Any

import click

from engine.cli.log import logged
from engine.cli.opening import opened
from engine.cli.options import Settings, common
from engine.cli.screen import Declined, confirmed, print_result
from engine.errors import ATTENTION, DONE
from engine.library.commands import ready_to_undo
from engine.report import screens
from engine.report.words import counted
from engine.rollback.undo import rollback as take_back
from engine.session import Run
from engine.store.journal import UNDOABLE, count_rows

LAST_RUN = 2**31 - 1
LOOK = "rollback --dry-run"


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
        # a look by itself: what is declined was no rollback
        with opened(settings, LOOK) as run:
            ready_to_undo(run, of_run, settings.spec, settings.environment)
            _ask(run, settings, of_run, force)
    with opened(settings, LOOK if dry else "rollback") as run:
        ready_to_undo(run, of_run, settings.spec, settings.environment)
        result = take_back(run, of_run, force, dry)
    found = {
        "undone": result.undone,
        "kept": result.kept,
        "failed": result.failed,
        "would": result.would,
        "cost": result.cost,
        "cost_unit": run.migration.destination.cost_unit,
    }
    print_result(
        settings.as_json,
        found,
        lambda found, console: screens.show_rollback(found, dry, console),
    )
    sys.exit(ATTENTION if result.kept or result.failed else DONE)


def _ask(run: Run, settings: Settings, of_run: int | None, force: bool) -> None:
    """Ask whether so many writes may be undone; raises Declined where the answer is no."""
    foreseen = take_back(run, of_run, force, dry=True)
    many = sum(
        many for action, many in foreseen.would.items() if action != "keep"
    )
    question = (
        f"Undo {many} writes in {run.migration.destination.title}"
        f" ({settings.environment})?"
    )
    if many and not confirmed(question):
        with run.store.begin() as connection:
            rows = count_rows(connection, UNDOABLE, of_run)
        stay = "stays" if rows == 1 else "stay"
        raise Declined(f"Nothing was removed; {counted(rows, 'row')} {stay}.")
