"""A worker that is frozen, cut off, out of its hours or out of its share writes nothing that another one writes."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import postgres
from tests.chaos.canonical import describe, difference, doubled
from tests.e2e.driving import Pair, pair
from tests.fleet.driving import KEYS, Fleet, Wire, fleet, turns_below
from tests.fleet.test_workers import (
    SAMPLE,
    SIZE,
    SLOW,
    approved,
    calm_dump,
    rows,
    unknown,
)

pytestmark = pytest.mark.fleet
ROOT = Path(__file__).resolve().parents[2]


def in_order(made: Fleet, name: str) -> bool:
    """Whether no run has booked a write after a later run had booked its first."""
    booked = "SELECT run, lag(run) OVER (ORDER BY id) AS before FROM STORE.journal"
    return made.store(name, f"SELECT count(*) FROM ({booked}) AS booked WHERE run < before") == [(0,)]


def goes_on_elsewhere(made: Fleet, parted: float) -> None:
    """Another worker takes the migration over within a minute, and gets on with it."""
    first = made.status()["acme"]["worker"]
    second = made.worker()
    made.wait("acme", until=lambda row: row["worker"] not in ("", first))
    print(f"\nanother worker began after {made.turns('acme')[0][0] - parted:.1f} s")
    assert made.turns("acme")[0][0] - parted < 60
    made.wait_for_writes("acme", 10)
    assert made.at_work(second.pid) == ["acme"]
    print(f"it had written 10 rows after {time.time() - parted:.1f} s")


def ends_well(made: Fleet, accounts: Pair, calm: Path) -> None:
    """The run ends as one that nobody disturbed, and the worker that came back wrote nothing beside it."""
    wanted = calm_dump(calm)
    made.wait("acme", seconds=300)
    row = made.status()["acme"]
    assert row["state"] == "idle" and row["code"] in (0, 1), f"{row}\n{made.log()[-3000:]}"
    assert doubled(rows(accounts)) == [] and unknown(made, accounts) == []
    assert difference(describe(rows(accounts)), wanted) == ([], [])
    assert in_order(made, "acme"), made.store("acme", "SELECT id, run, state FROM STORE.journal ORDER BY id")


@pytest.mark.chaos
def test_a_frozen_worker_writes_nothing_any_more(tmp_path: Path) -> None:
    """A machine that stands still for longer than the lease, in the middle of its writes, has lost them when it wakes up."""
    with pair(source=KEYS, destination=(*KEYS, *SLOW), size=SIZE) as accounts, fleet(tmp_path / "fleet") as made:
        first = made.worker()
        approved(made, acme=accounts)
        made.etl("start", "acme", "run")
        made.wait_for_writes("acme")
        frozen = [first.pid, *turns_below(first)]
        assert len(frozen) == 2
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        made.part(0)
        goes_on_elsewhere(made, time.time())
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        ends_well(made, accounts, tmp_path / "calm")
        assert "taken for dead" in made.log()


@pytest.mark.long
def test_a_frozen_worker_does_not_keep_its_turn(tmp_path: Path) -> None:
    """A turn whose worker alone stands still ends by itself after half a minute, its calls recorded: nobody knew of it."""
    with pair(source=KEYS, destination=(*KEYS, "--latency-ms", "500"), size=SIZE) as accounts, fleet(tmp_path) as made:
        first = made.worker()
        approved(made, acme=accounts)
        made.etl("start", "acme", "run")
        made.wait_for_writes("acme")
        (turn,) = turns_below(first)
        first.send_signal(signal.SIGSTOP)
        postgres.wait_for("an end of the turn", lambda: Path(f"/proc/{turn}/stat").read_text().rpartition(")")[2].split()[0] == "Z", 90)
        assert unknown(made, accounts) == []
        first.send_signal(signal.SIGCONT)
        made.wait("acme", until=lambda row: len(made.turns("acme")) >= 3)
        assert made.store("acme", "SELECT max(outcome) FROM STORE.runs WHERE id = 2") == [("interrupted",)]


@pytest.mark.chaos
def test_a_worker_that_is_cut_off_writes_nothing_any_more(tmp_path: Path) -> None:
    """Where the network between worker and database stands still, and nobody is told, another worker goes on; what arrives late changes nothing."""
    with pair(source=KEYS, destination=(*KEYS, *SLOW), size=SIZE) as accounts, fleet(tmp_path / "fleet") as made:
        wire = Wire(made.url)
        try:
            made.worker(url=wire.url)
            approved(made, acme=accounts)
            made.etl("start", "acme", "run")
            made.wait_for_writes("acme")
            wire.cut()
            made.part(0)
            goes_on_elsewhere(made, time.time())
            wire.mend()
            ends_well(made, accounts, tmp_path / "calm")
        finally:
            wire.close()


@pytest.mark.chaos
def test_a_window_that_closes_ends_a_turn(tmp_path: Path) -> None:
    """A turn at work ends when its hours are over, its calls recorded, and the next one waits for the next day."""
    with pair(source=KEYS, destination=(*KEYS, "--latency-ms", "1500"), size=SIZE) as accounts, fleet(tmp_path) as made:
        made.worker()
        approved(made, acme=accounts)
        closes = datetime.now(UTC) + timedelta(seconds=45)
        window = f"{closes - timedelta(hours=2):%H:%M}-{closes:%H:%M:%S}"
        made.etl("start", "acme", "run", "--window", window)
        made.wait_for_writes("acme", 5)
        made.wait("acme", until=lambda row: row["state"] == "queued" and not row["worker"], seconds=60)
        row = made.status()["acme"]
        assert row["code"] == 130, str(row)
        assert 0 <= made.turns("acme")[0][1] - closes.timestamp() < 20
        opens = (closes - timedelta(hours=2)).replace(second=0, microsecond=0) + timedelta(days=1)
        assert abs(row["at"] - opens.timestamp()) < 2, str(row)
        assert unknown(made, accounts) == []


@pytest.mark.chaos
def test_a_turn_makes_room(tmp_path: Path) -> None:
    """A turn that had its share ends where another migration waits, and goes on after it; where none waits it goes on at once."""
    with pair(source=KEYS, destination=(*KEYS, "--latency-ms", "500"), size=SIZE) as accounts, fleet(tmp_path) as made:
        calm = made.worker("--concurrency", "1")
        approved(made, acme=accounts)
        calm.send_signal(signal.SIGTERM)
        assert calm.wait(60) == 0
        made.worker(program=(sys.executable, "-m", "tests.fleet.hasty", "20"), at=ROOT)
        made.etl("start", "acme", "run")
        made.wait_for_writes("acme")
        before = len(made.turns("acme"))
        time.sleep(30)
        assert len(made.turns("acme")) == before, "nobody waits"
        with pair(source=KEYS, destination=KEYS, size=2) as others:
            made.add("other", others, SAMPLE)
            made.etl("start", "other", "sample")
            made.wait("other", seconds=200)
        made.wait("acme", seconds=400)
        assert {row["state"] for row in made.status().values()} == {"idle"} and doubled(rows(accounts)) == []
        assert made.turns("other")[0][1] <= made.turns("acme")[0][0], "it went on after the other"
        assert len(made.turns("acme")) > before and in_order(made, "acme")
