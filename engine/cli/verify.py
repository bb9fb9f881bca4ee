"""`etl verify`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from engine import pipeline as stages
from engine.cli.opening import begun, opened
from engine.cli.options import Settings, common
from engine.cli.reports import report_of, show
from engine.plan.renames import carry_over
from engine.store.records import sample
from engine.verify.compare import Judged, everything, records_of


@click.command()
@common
def verify(**options: Any) -> None:
    """Read the destination back and compare it with what was wanted, field by field."""
    settings = Settings(**options)
    with opened(settings, "verify") as run:
        runs = begun(run, settings)
        carry_over(run)
        last = [row["command"] for row in runs if row["command"].startswith("run")]
        judged: Judged = everything
        if last[-1] == "run --sample":
            with run.store.begin() as connection:
                judged = records_of(frozenset(sample(connection)))
        only_written = _planned_since(runs)
        result = stages.verify(run, stages.Result(), judged, only_written=only_written)
        report = report_of(run, result, "verify", settings)
    sys.exit(show(report, settings))


def _planned_since(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether drafts were made after the last run had ended: no run has tried to write those."""
    commands = [row["command"].partition(" ")[0] for row in runs]
    last = len(commands) - 1 - commands[::-1].index("run")
    return runs[last]["outcome"] == "done" and "plan" in commands[last:]
