"""`etl audit`."""

from __future__ import annotations

from typing import Any

import click
from msgspec import structs

from engine import pipeline as stages
from engine.cli.log import logged
from engine.cli.opening import opened
from engine.cli.options import Settings, common
from engine.cli.screen import print_result
from engine.extract.fields import count_fields
from engine.report import screens
from engine.report.counts import count_undeclared
from engine.report.document import build
from engine.report.terminal import NAMED


@click.command()
@common
@logged
@click.option(
    "--refresh", is_flag=True, help="Read the source again from the start."
)
@click.option(
    "--rebind",
    is_flag=True,
    help="Accept these accounts for the store: only their key or address has changed.",
)
def audit(refresh: bool, rebind: bool, **options: Any) -> None:
    """Look at both accounts: rows, people, what is not mapped. Writes nothing to them."""
    with opened(
        Settings(**options), "audit", refresh=refresh, rebind=rebind
    ) as run:
        result = stages.extract_and_audit(run, None)
        most = None if options["as_json"] else NAMED
        report = build(run, result, "audit", options["environment"], most)
        report["collections"] = [
            structs.asdict(reading) for reading in result.readings.values()
        ]
        report["fields"] = [structs.asdict(item) for item in count_fields(run)]
        report["undeclared"] = [
            structs.asdict(item) for item in count_undeclared(run)
        ]
    print_result(options["as_json"], report, screens.show_audit)
