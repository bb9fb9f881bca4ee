"""A limit that only calls of some methods count against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Platform
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

PEOPLE = [{"id": number, "name": f"Person {number}"} for number in range(1, 8)]


def trial(serve: Serve, folder: Path, *methods: str, amount: int = 4) -> Project:
    """Seven people to be written to a platform that takes so many calls of these methods a day."""
    day: dict[str, Any] = {"unit": "calls", "per": 86_400, "window": "calendar", "amount": {"*": amount}}
    destination = {
        "resources": {"contacts": writable("contacts", ["name"], name="text")},
        "limits": {
            "burst": {"unit": "calls", "per": 10, "window": "rolling", "amount": {"*": 100_000}},
            "writes": {**day, "methods": list(methods)},
        },
    }
    spec = migration({"contacts": mapped("people", "contacts", {"name": "name"})})
    platform = serve(people=[dict(row) for row in PEOPLE], contacts=[])
    return project(folder, platform, {"people": readable("people", name="text")}, destination, spec)


def made(platform: Platform) -> int:
    """How many rows there are by now."""
    return len(platform.tables["contacts"])


def test_a_run_pauses_when_the_writes_of_a_day_are_spent(serve: Serve, tmp_path: Path) -> None:
    """As many rows are made as a day has writes; then the run pauses with code 75 and names the limit."""
    found = trial(serve, tmp_path, "POST", "PUT")
    (tmp_path / "ungated").touch()
    done = found.etl("run", code=75)
    assert "writes" in done.err
    assert made(found.platform) == 4
    (run,) = found.etl("status", "--json", code=0).data()["runs"]
    assert run["outcome"].startswith("paused: ")
    found.etl("verify", code=1)  # reading is not held up


@pytest.mark.parametrize("methods", [("PUT",), ("DELETE", "PATCH")], ids="-".join)
def test_calls_of_other_methods_are_free(methods: tuple[str, ...], serve: Serve, tmp_path: Path) -> None:
    """What is not made with these methods does not count."""
    found = trial(serve, tmp_path, *methods)
    assert found.full(code=0)["verdict"]["created"] == made(found.platform) == len(PEOPLE)


def test_a_plan_foretells_the_days(serve: Serve, tmp_path: Path) -> None:
    """The plan says what it needs of the limit, and that a night must pass."""
    plan = trial(serve, tmp_path, "POST").etl("plan", "--json", code=0).data()["plan"]
    (use,) = [use for use in plan["limits"] if use["limit"] == "writes"]
    assert (use["needed"], use["allowance"]) == (7, 4)
    assert 0 < use["time"] <= 86_400
    assert plan["seconds"] >= use["time"]
