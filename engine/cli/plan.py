"""`etl plan`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click
import msgspec

from engine import pipeline as stages
from engine.cli.log import logged
from engine.cli.opening import opened, size_of
from engine.cli.options import Settings, common, sampled
from engine.cli.screen import Screen, print_result, printing
from engine.plan.guards import refusals
from engine.plan.simulate import simulate
from engine.report import screens
from engine.report.document import build
from engine.report.plan import show_planned, write_plan
from engine.report.terminal import NAMED
from engine.store.links import count_attention


@click.command()
@common
@logged
@sampled
@click.option(
    "--refresh", is_flag=True, help="Read the source again from the start."
)
@click.option(
    "--simulate",
    "simulated",
    is_flag=True,
    help="Simulate the plan and print its timeline.",
)
@click.option(
    "--records",
    "each",
    is_flag=True,
    help="Also list every record that would change, with its fields.",
)
def plan(
    size: int | None, refresh: bool, simulated: bool, each: bool, **options: Any
) -> None:
    """What a run would create and change, its calls and cost against the quotas, and the time.
    Writes nothing.
    """
    with opened(Settings(**options), "plan", refresh=refresh) as run:
        result = stages.preview(run, size_of(size, run), details=False)
        assert result.plan is not None
        refused = [
            f"a run is refused without --yes: {text}"
            for text in refusals(run, result.plan)
        ]
        most = None if options["as_json"] else NAMED
        report = build(run, result, "plan", options["environment"], most)
        report["plan"] = msgspec.to_builtins(result.plan)
        report["plan"]["warnings"] = [*result.plan.warnings, *refused]
        report["timeline"] = (
            msgspec.to_builtins(simulate(run, result.plan))
            if simulated
            else None
        )
        if each and options["as_json"]:
            with printing():
                write_plan(report, run, sys.stdout)
            return
        with run.store.begin() as connection:
            waiting, _ = count_attention(connection)
        show = partial(screens.show_plan, waiting=waiting)
        print_result(options["as_json"], report, show)
        if each:
            with printing():
                show_planned(run, Screen())
