"""`etl status`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from engine.cli.opening import from_store
from engine.cli.options import Settings, common
from engine.cli.screen import print_result
from engine.language.compile import PIPELINES
from engine.library.commands import is_taken_back
from engine.library.reports import verdicts
from engine.report import screens
from engine.report.document import skipped_in, told
from engine.report.terminal import NAMED
from engine.store.journal import (
    all_runs,
    close_killed,
    count_rows,
    counts,
    entries,
)
from engine.store.lease import at_work
from engine.store.links import all_findings, count_attention, count_links
from engine.store.records import all_cursors


@click.command()
@common
def status(**options: Any) -> None:
    """Where everything stands, from the store alone; safe while a run is going on."""
    settings = Settings(**options)
    most = None if settings.as_json else NAMED
    with from_store(settings) as run, run.store.begin() as connection:
        if not at_work(run.store):
            close_killed(connection)
        found_by = verdicts(connection)
        known = [
            {**row, "verdict": found_by.get(row["id"])}
            for row in all_runs(connection)
        ]
        found = {
            "migration": run.spec.name,
            "environment": settings.environment,
            "runs": known,
            "rolled_back": is_taken_back(connection, known),
            "kept": count_rows(connection, ("kept",)),
            "standing": count_rows(connection, ("done",)),
            "read": {
                name: cursor.rows
                for name, cursor in all_cursors(connection).items()
            },
            "linked": {
                name: many
                for name, many in count_links(connection).items()
                if name != PIPELINES
            },
            "skipped": skipped_in(run, connection),
            "journal": [
                [*key, many, cost]
                for key, (many, cost) in counts(connection).items()
            ],
            "in_doubt": len(entries(connection, ("intent", "doubt"))),
            "attention": [
                told(item)
                for item in all_findings(connection, "attention", most)
            ],
        }
        waiting, about = count_attention(connection)
    show = partial(screens.show_status, waiting=waiting, about=about)
    print_result(settings.as_json, found, show)
