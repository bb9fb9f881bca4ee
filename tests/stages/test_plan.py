"""What a plan costs, how long it takes, and the tables people take away."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import pipeline
from engine.connector.model import Limit
from engine.errors import UnsafePlan
from engine.plan.cost import duration
from engine.plan.room import too_many_fields
from engine.plan.simulate import simulate
from engine.report.document import harmless
from tests.replacing import replace
from tests.stages.conftest import Desk
from workbench.export import export, tables_of

BURST = Limit("burst", "calls", {"*": 40}, 2, "rolling")
DAY = Limit("day", "cost", {"*": 1000}, 86_400, "calendar")


@pytest.mark.parametrize(
    ("limit", "left", "needed", "until_reset", "expected"),
    [
        (BURST, 40, 40, 0, 0),
        (BURST, 40, 400, 0, 18),
        (BURST, 0, 40, 0, 2),
        (DAY, 1000, 1000, 3600, 0),
        (DAY, 0, 1000, 3600, 3600),
        (DAY, 500, 3500, 3600, 3600 + 2 * 86_400),
    ],
)
def test_duration_of_one_limit(limit: Limit, left: float, needed: float, until_reset: float, expected: float) -> None:
    """A rolling limit takes its share of windows; a day's limit takes the nights that must pass."""
    allowance = limit.allowance("any", 1)
    assert duration(limit, allowance, left, needed, until_reset) == pytest.approx(expected)


def test_simulation_spends_what_the_run_then_spends(desk: Desk) -> None:
    """The simulated calls and cost are those of the run that follows, reading back included."""
    run = desk.run()
    result = pipeline.preview(run, None)
    assert result.plan is not None
    timeline = simulate(run, result.plan)
    real = desk.run()
    pipeline.migrate(real, None)
    assert timeline.calls == pytest.approx(real.destination.limiter.calls, rel=0.02)
    assert timeline.cost == pytest.approx(real.destination.limiter.cost, rel=0.02)


def test_a_plan_that_takes_too_few_rows_is_told_of(desk: Desk) -> None:
    """Where the destination's plan takes fewer deals than there would be, the plan says so before anything is written."""
    assert pipeline.preview(desk.run(), None).plan.warnings == ()  # type: ignore[union-attr]
    destination = desk.migration.destination
    few = {**destination.resources, "deals": replace(destination.resources["deals"], most={"ultimate": 1}, most_per_seat=True)}
    small = replace(desk, migration=replace(desk.migration, destination=replace(destination, resources=few)))
    (told,) = pipeline.preview(small.run(), None).plan.warnings  # type: ignore[union-attr]
    assert re.match(r"\d+ deals to make and 0 made so far, but the plan ultimate takes 50 in all", told)
    few["deals"] = replace(few["deals"], most_in_all=7)
    (told,) = pipeline.preview(small.run(), None).plan.warnings  # type: ignore[union-attr]
    assert "but the plan ultimate takes 7 in all" in told


def test_a_plan_counts_the_calls_of_a_method(desk: Desk) -> None:
    """Of a limit for some methods a plan needs just the calls of these, and the run then takes as many."""
    destination = desk.migration.destination
    day = next(limit for limit in destination.limits if limit.name == "fair_use")
    assert not day.general and day.methods == ("POST", "PUT")
    run = desk.run()
    made = pipeline.preview(run, 60).plan
    assert made is not None
    use = next(use for use in made.limits if use.limit == "fair_use" and use.account == destination.title)
    assert 0 < use.needed <= made.calls
    timeline = simulate(run, made)
    before = run.destination.limiter.remaining(day)
    pipeline.migrate(run, 60)
    spent = before - run.destination.limiter.remaining(day)
    assert use.needed <= spent <= use.needed + 5  # options of built-in fields are no calls of the plan
    assert timeline.calls > use.needed


def test_more_custom_fields_than_the_plan_takes_are_refused(desk: Desk) -> None:
    """An account without room for the fields of the spec: the audit says so, and a run is refused before anything is made."""
    destination = desk.migration.destination
    tight = {
        name: replace(item, custom=replace(item.custom, most={"ultimate": 30})) if item.custom else item
        for name, item in destination.resources.items()
    }
    full = replace(desk, migration=replace(desk.migration, destination=replace(destination, resources=tight)))
    run = full.run()
    result = pipeline.preview(run, 60)
    (said,) = [notice for notice in run.notices if "custom fields" in notice]
    assert re.search(r"custom fields: the account has \d+ and \d+ more are to be made, but the plan ultimate allows 30 – remove \d+ from", said)
    before = full.dump()
    with pytest.raises(UnsafePlan, match="the plan ultimate allows 30"):
        pipeline.write(run, result, yes=True)
    assert full.dump() == before
    enough = {name: replace(item, custom=replace(item.custom, most={"*": 500})) if item.custom else item for name, item in tight.items()}
    roomy = replace(desk, migration=replace(desk.migration, destination=replace(destination, resources=enough)))
    assert too_many_fields(roomy.run()) == ""


@given(st.text(max_size=30))
def test_no_cell_is_a_formula(text: str) -> None:
    """Whatever the records hold, no exported cell starts like a formula unless it is a plain number."""
    cell = harmless(text)
    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        float(cell)
    assert cell.endswith(text)


@pytest.mark.journeys
def test_export_tells_of_every_write(desk: Desk, tmp_path: Path) -> None:
    """The audit log has a row for each write, and the workbook a sheet for each table."""
    run = desk.run()
    result = pipeline.migrate(run, 60)
    made = export(run, tables_of(run), tmp_path / "out")
    with (tmp_path / "out" / "audit_log.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    written = sum(item.created for item in result.loaded)
    assert sum(row["action"] == "create" and row["outcome"] == "done" and row["object"] != "" for row in rows) == written
    book = openpyxl.load_workbook(made[-1], read_only=True)
    assert {"audit_log", "payments_reference", "work_order_summary", "failed_and_skipped"} <= set(book.sheetnames)
    book.close()
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
