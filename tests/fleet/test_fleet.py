"""A fleet moves records: workers take turns, what ends is entered, and other people's keys stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.driving import pair
from tests.fleet.driving import KEYS, fleet


@pytest.mark.fleet
def test_a_migration_goes_its_way(tmp_path: Path) -> None:
    """Plan, sample, approval, run, delta and rollback of one migration are carried out by a worker that has no checkout."""
    with pair(source=KEYS, destination=KEYS, size=20) as accounts, fleet(tmp_path) as made:
        before = accounts.destination.dump()
        made.add("acme", accounts, ("records: 200", "records: 5"))
        made.worker()
        made.etl("start", "acme", "run")
        made.wait("acme")
        row = made.status()["acme"]
        assert row["state"] == "waiting" and row["code"] == 4 and "not approved" in row["reason"], row
        assert "etl fleet approve acme --by WHO" in row["reason"] and "does not exist" in row["reason"], row
        made.etl("start", "acme", "sample")
        made.wait("acme")
        row = made.status()["acme"]
        assert row["state"] == "idle" and row["arrived"], str(row)
        made.approve("acme")
        for stage in ("plan", "run", "delta", "verify"):
            made.etl("start", "acme", stage)
            made.wait("acme")
            row = made.status()["acme"]
            assert row["state"] == "idle", str((stage, row))
        print(made.etl("plan").out, made.etl("log", "acme").out, made.etl("status").out, made.etl("status", "--json").out, made.log())
        made.etl("report", "acme", "--out", "report")
        made.etl("start", "acme", "rollback", code=2)
        made.etl("start", "acme", "rollback", "--yes")
        made.wait("acme")
        assert made.status()["acme"]["state"] == "idle"
        after = accounts.destination.dump()
        for kind in ("organizations", "persons", "deals", "activities", "notes", "products"):
            assert after.get(kind, []) == before.get(kind, []), kind
