"""Settings of the shipped migration that decide which rows arrive, and who sees them: both ways, on both emulators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driving import (
    SPEC,
    Dump,
    Pair,
    by_key,
    checkout,
    custom,
    etl_here,
    pair,
)

INACTIVE = {"products/5800076", "services/5800094"}
SEEN = ("organizations", "persons", "deals", "products")


@pytest.fixture(scope="module")
def accounts() -> Iterator[Pair]:
    """Both accounts; a second migration works beside what the first has left."""
    with pair(size=150) as found:
        yield found


def migrated(at: Path, accounts: Pair) -> tuple[Any, Dump]:
    """The report of a sample of everything, and what the destination holds then."""
    words = ("--sample", "400", "--json", "--env", "live")
    report = etl_here("run", SPEC, *words, at=at, env=accounts.env).data()
    return report, accounts.destination.dump()


@pytest.mark.journeys
def test_inactive_items_and_who_sees_are_settings(accounts: Pair, tmp_path: Path) -> None:
    """As shipped, inactive items stay out, are counted and nothing is said of who sees; with both settings they arrive, for their owners."""
    said = [{"collection": name, "kind": "inactive", "rows": 1} for name in ("products", "services")]
    before = {name: {row["id"] for row in accounts.destination.dump()[name]} for name in SEEN}

    report, there = migrated(checkout(tmp_path / "shipped"), accounts)
    assert not INACTIVE & by_key(there, "products").keys()
    assert report["marked"] == [{**item, "left_out": True} for item in said]
    ours = {row["visible_to"] for name in SEEN for row in there[name] if row["id"] not in before[name]}
    assert ours == {7}  # the emulator's default: everybody, on a plan with visibility groups
    etl_here("rollback", SPEC, "--yes", "--env", "live", at=tmp_path / "shipped", env=accounts.env, code=0)

    changes = ("inactive_items: false", "inactive_items: true"), ('visible_to: ""', "visible_to: 1")
    report, there = migrated(checkout(tmp_path / "changed", *changes), accounts)
    arrived = by_key(there, "products")
    assert arrived.keys() >= INACTIVE
    assert {custom(there, "products", arrived[key], "Inactive in STEL") for key in INACTIVE} == {"Yes"}
    assert report["marked"] == [{**item, "left_out": False} for item in said]
    for name in SEEN:
        assert {row["visible_to"] for row in there[name] if row["id"] not in before[name]} == {1}, name
    assert report["verdict"]["missing"] == 0 and report["verdict"]["lost_in_arrived"] == 0


def test_a_level_that_the_plan_has_not_is_a_mistake_of_the_spec(tmp_path: Path) -> None:
    """Visibility groups come with Premium: on Growth their numbers are refused before any call."""
    for plan, code in (("growth", 2), ("premium", 0)):
        at = checkout(tmp_path / plan, ('visible_to: ""', "visible_to: 5"), plans=("unlimited", plan))
        done = etl_here("validate", SPEC, at=at, code=code)
        assert ("settings.visible_to: 5 is not one of 1, 3" in done.out + done.err) == bool(code)
