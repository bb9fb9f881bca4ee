"""`etl audit`."""

from __future__ import annotations

from typing import Any

import click
from msgspec import structs

from engine import pipeline as stages
from engine.cli.log import logged
from engine.cli.opening import opened
from engine.cli.options import Settings, common, is_number
from engine.cli.screen import print_result
from engine.cli.streams import say
from engine.errors import UsageError
from engine.extract.fields import count_fields
from engine.library import hidden
from engine.report import screens
from engine.report.counts import count_undeclared
from engine.report.document import build
from engine.report.terminal import NAMED
from engine.report.words import counted
from engine.session import Run


@click.command()
@common
@logged
@click.option(
    "--refresh", is_flag=True, help="Read the source again from the start."
)
@click.option(
    "--hidden",
    "looked_at",
    is_flag=False,
    flag_value=str(hidden.OWN_MOST),
    metavar="[N]",
    help=(
        "Also look for rows that no list shows: read at most N of each collection by"
        " their ids (default: 20)."
    ),
)
@click.option(
    "--rebind",
    is_flag=True,
    help="Accept these accounts for the store: only their key or address has changed.",
)
def audit(
    refresh: bool, rebind: bool, looked_at: str | None, **options: Any
) -> None:
    """Look at both accounts: rows, people, what is not mapped. Writes nothing to them."""
    if looked_at and not (is_number(looked_at) and int(looked_at)):
        raise UsageError(f"--hidden {looked_at!r} is not a number of rows")
    with opened(
        Settings(**options), "audit", refresh=refresh, rebind=rebind
    ) as run:
        result = stages.extract_and_audit(run, None)
        found = _hidden(run, int(looked_at) if looked_at else None)
        most = None if options["as_json"] else NAMED
        report = build(run, result, "audit", options["environment"], most)
        report["collections"] = [
            structs.asdict(reading) for reading in result.readings.values()
        ]
        report["fields"] = [structs.asdict(item) for item in count_fields(run)]
        report["undeclared"] = [
            structs.asdict(item) for item in count_undeclared(run)
        ]
        report["hidden"] = found
    print_result(options["as_json"], report, screens.show_audit)


def _hidden(run: Run, most: int | None) -> dict[str, Any]:
    """What speaks for rows that no list shows, and what some of them are; without `most`, only
    what it would cost to look.
    """
    if most is None:
        return {"calls": hidden.most_calls(run), "collections": None}
    search = hidden.prepare(run, most)
    calls = counted(search.calls, "call")
    title = run.migration.source.title
    say(f"looking for rows that no list shows takes {calls} to {title}")
    hidden.look(run, search)
    found = [structs.asdict(item) for item in search.collections]
    return {"calls": search.calls, "collections": found}
