"""What happens to workers, databases and accounts meanwhile costs no record, doubles none, and stops nobody else."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from fleet.ending import LOSSES
from sandbox.launch import Running
from tests import postgres
from tests.chaos.canonical import describe, difference, doubled
from tests.chaos.harness import dump
from tests.e2e.driving import SPEC, Pair, by_key, checkout, etl, pair
from tests.fleet.driving import KEYS, Fleet, fleet, turns_below
from tests.orchestrators.pages import Move

pytestmark = pytest.mark.fleet
ROOT = Path(__file__).resolve().parents[2]

SLOW = ("--latency-ms", "150")
SIZE = 40
SAMPLE = ("records: 200", "records: 5")


def rows(accounts: Pair) -> list[dict[str, object]]:
    """What the destination holds."""
    there = accounts.destination
    return dump(Running("pipedrive", there.base_url, there.key, 0))


def approved(made: Fleet, **accounts: Pair) -> None:
    """Migrations that are registered, sampled and approved."""
    for name, there in accounts.items():
        made.add(name, there, SAMPLE)
    made.etl("start", *accounts, "sample")
    made.wait(*accounts, seconds=120 + 30 * len(accounts))
    assert {row["code"] for row in made.status().values()} <= {0, 1}, str(made.status())
    made.approve(*accounts)


def unknown(made: Fleet, accounts: Pair) -> list[str]:
    """Rows that carry our key, and that the store does not know: calls that were in flight and are not recorded."""
    linked = {str(row[0]) for row in made.store("acme", "SELECT resource || ' ' || dest_id FROM STORE.links")}
    there = accounts.destination.dump()
    ours = [f"{kind} {row['id']}" for kind in ("organizations", "persons", "deals", "products") for row in by_key(there, kind).values()]
    assert ours
    return [row for row in ours if row not in linked]


def calm_dump(folder: Path, size: int = SIZE) -> Counter[str]:
    """What a destination holds after a run that nobody disturbed."""
    with pair(source=KEYS, destination=KEYS, size=size) as calm:
        project = checkout(folder, SAMPLE)
        etl("run", SPEC, "--sample", "--env", "live", at=project, env=calm.env)
        etl("approve", SPEC, "--env", "live", "--by", "Ana", "--despite", "a test", at=project, env=calm.env, code=0)
        etl("run", SPEC, "--env", "live", at=project, env=calm.env)
        return describe(rows(calm))


@pytest.mark.parametrize(
    ("many", "kills", "restarts", "size", "latency"),
    [(2, 1, 1, SIZE, "150"), pytest.param(20, 10, 2, 60, "400", marks=pytest.mark.chaos)],
    ids=["two", "twenty"],
)
def test_killed_workers_and_a_database_that_restarts_cost_nothing(
    tmp_path: Path, many: int, kills: int, restarts: int, size: int, latency: str
) -> None:
    """Each destination is as after a run that nobody disturbed; the killed worker's turns go on within a minute."""
    wanted, concurrency = calm_dump(tmp_path / "calm", size), str(max(2, many // 2))
    with postgres.cluster() as server, ExitStack() as stack:
        made = stack.enter_context(fleet(tmp_path / "fleet", server.url))
        slow = (*KEYS, "--latency-ms", latency)
        accounts = {f"m{number}": stack.enter_context(pair(source=KEYS, destination=slow, size=size)) for number in range(many)}
        crew = [made.worker("--concurrency", concurrency) for _ in range(2)]
        approved(made, **accounts)
        made.etl("start", *accounts, "run")
        restarted, began, cut = 0, time.time(), list[tuple[str, float]]()
        for number in range(kills):
            made.wait_for_any_writes()
            gone = made.busiest(crew, max(1, many // 4))
            cut += [(name, time.time()) for name in made.at_work(gone.pid)]
            gone.kill()
            crew.remove(gone)
            crew.append(made.worker("--concurrency", concurrency))
            if restarted < restarts and number * restarts >= restarted * kills:
                made.wait_for_any_writes()
                server.stop("immediate")
                server.start()
                restarted += 1
        made.wait(*accounts, seconds=900)
        turns = {name: sorted(made.turns(name)) for name in accounts}
        went_on = [min((start - killed for start, _ in turns[name] if start > killed), default=0.0) for name, killed in cut]
        print(f"\n{many} pairs, {kills} kills with {len(cut)} turns at work, {restarted} restarts, {sum(map(len, turns.values()))} turns, "
              f"{time.time() - began:.0f} s; they went on after {min(filter(None, went_on)):.1f} to {max(went_on):.1f} s")  # fmt: skip
        for name, there in accounts.items():
            row = made.status()[name]
            assert row["state"] == "idle" and row["code"] in (0, 1), f"{row}\n{made.log()[-3000:]}"
            assert doubled(rows(there)) == []
            assert difference(describe(rows(there)), wanted) == ([], []), name
            assert made.store(name, "SELECT count(*) FROM STORE.journal WHERE state IN ('intent', 'doubt')") == [(0,)]
            # one after the other: no run has booked a write after a later run had booked its first
            order = "SELECT run, lag(run) OVER (ORDER BY id) AS before FROM STORE.journal"
            assert made.store(name, f"SELECT count(*) FROM ({order}) AS booked WHERE run < before") == [(0,)]
            spans = sorted(made.turns(name))
            assert all(one[1] <= other[0] for one, other in pairwise(spans)), str(spans)
        assert len(cut) >= kills and max(went_on) < 60, str(sorted(went_on))


def test_a_worker_ends_in_good_order(tmp_path: Path) -> None:
    """SIGTERM ends a worker, and `stop` a turn, after the calls in flight are recorded; a later turn goes on."""
    with pair(source=KEYS, destination=(*KEYS, *SLOW), size=SIZE) as accounts, fleet(tmp_path) as made:
        first = made.worker()
        approved(made, acme=accounts)
        made.etl("start", "acme", "run")
        made.wait_for_writes("acme")
        made.etl("remove", "acme", code=2)
        made.etl("start", "acme", "delta", code=2)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
        assert made.status()["acme"]["state"] == "queued"
        assert unknown(made, accounts) == [], made.log()

        made.worker()
        made.wait_for_writes("acme")
        made.etl("stop", "acme")
        made.wait("acme", until=lambda row: not row["worker"])
        assert made.status()["acme"]["state"] == "stopped"
        assert unknown(made, accounts) == []

        made.etl("start", "acme", "run")
        made.wait("acme")
        assert made.status()["acme"]["state"] == "idle" and doubled(rows(accounts)) == []
        made.etl("remove", "acme")
        assert made.status() == {}


def test_two_migrations_of_one_account_take_turns(tmp_path: Path) -> None:
    """Migrations that share an account are never at work on it at once, though places are free."""
    with pair(source=KEYS, destination=(*KEYS, *SLOW), size=10) as accounts, fleet(tmp_path) as made:
        for name in ("one", "two"):
            made.add(name, accounts, ("records: 200", "records: 2"))
        made.worker()
        made.etl("start", "one", "two", "sample")
        made.wait("one", "two", until=lambda row: row["code"] is not None, seconds=200)
        spans = sorted(turn for name in ("one", "two") for turn in made.turns(name))
        assert len(spans) == 2 and spans[0][1] <= spans[1][0], str(spans)


def test_a_day_that_is_spent_frees_the_place(tmp_path: Path) -> None:
    """A run that pauses leaves its place to others, says until when, and goes on when the time has come."""
    with pair(source=KEYS, destination=KEYS, size=SIZE) as accounts, fleet(tmp_path) as made:
        made.worker("--concurrency", "1")
        approved(made, acme=accounts)
        move = Move(tmp_path / "projects" / "acme", accounts)
        move.leave_little_of_the_day()
        made.etl("add", "acme", str(move.folder / SPEC))
        made.etl("start", "acme", "sample")
        made.wait("acme")
        made.approve("acme")
        made.etl("start", "acme", "run")
        made.wait("acme", until=lambda row: row["state"] == "paused")
        assert made.status()["acme"]["at"] > time.time() and "quota is spent" in made.status()["acme"]["reason"]

        with pair(source=KEYS, destination=KEYS, size=2) as others:
            made.add("other", others, SAMPLE)
            made.etl("start", "other", "sample")
            made.wait("other")
            assert made.status()["other"]["state"] == "idle"

        leapt = time.time() + 3
        postgres.execute(made.url, f"UPDATE fleet.migrations SET at = {leapt} WHERE name = 'acme'")
        searched = f"{made.url}?options=-csearch_path%3Dfleet"
        postgres.execute(searched, "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '3 s'")
        made.wait("acme", until=lambda row: len(made.turns("acme")) >= 4)
        assert 0 <= made.turns("acme")[0][0] - leapt < 5


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    """A worker says which migrations are of another version of etl, and takes none of their turns."""
    with pair(source=KEYS, destination=KEYS, size=2) as accounts, fleet(tmp_path) as made:
        made.add("acme", accounts, SAMPLE)
        postgres.execute(made.url, "UPDATE fleet.migrations SET version = '0.0.1'")
        made.etl("start", "acme", "sample")
        made.worker()
        time.sleep(4)
        assert made.status()["acme"]["state"] == "queued"
        assert "left to workers of another version" in made.log() and "acme" in made.log()


def test_secrets_stay_out_of_the_database(tmp_path: Path) -> None:
    """No key of an account stands anywhere in the database, in a worker's log or in its folder."""
    with pair(source=KEYS, destination=KEYS, size=5) as accounts, fleet(tmp_path) as made:
        made.add("acme", accounts, SAMPLE)
        made.worker("--notify", "cp /dev/stdin notified.json")
        made.etl("start", "acme", "sample")
        made.wait("acme")
        tables = postgres.execute(made.url, "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('fleet', 'etl_acme')")
        assert len(tables) > 10
        for schema, table in tables:
            found = postgres.execute(made.url, f'SELECT t::text FROM {schema}."{table}" t')
            assert not any(KEYS[1] in str(row) or KEYS[1].encode().hex() in str(row) for row in found), table
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "secrets" not in path.parts]
        assert not any(KEYS[1].encode() in path.read_bytes() for path in files)
        made.etl("report", "acme", "--out", "report")
        assert (tmp_path / "report" / "report.html").read_text(encoding="utf-8").startswith("<!")
        assert json.loads((tmp_path / "notified.json").read_text(encoding="utf-8"))["name"] == "acme"


def test_a_turn_that_ends_its_workers_is_given_up(tmp_path: Path) -> None:
    """Where each worker that begins a turn is killed with it, as by the memory of their machines, a person is told after the fifth, and nobody begins it again until then."""
    impatient = (sys.executable, "-m", "tests.fleet.impatient", "worker")
    with pair(source=KEYS, destination=KEYS, size=2) as accounts, fleet(tmp_path) as made:
        made.add("acme", accounts, SAMPLE)
        made.etl("start", "acme", "sample")
        for number in range(1, LOSSES + 1):
            crew = made.worker(program=impatient, at=ROOT)
            made.wait("acme", until=lambda row, worker=crew: row["worker"].endswith(f":{worker.pid}"))
            below = turns_below(crew)
            for pid in (crew.pid, *below):
                os.kill(pid, signal.SIGKILL)
            crew.wait()
            assert len(made.turns("acme")) == number and made.status()["acme"]["state"] == "running"
        made.worker("--notify", f"cp /dev/stdin {tmp_path / 'notified.json'}", program=impatient, at=ROOT)
        made.wait("acme")
        row = made.status()["acme"]
        assert row["state"] == "waiting" and row["reason"].startswith(f"{LOSSES} turns in a row were lost with their workers"), row
        postgres.wait_for("news", (tmp_path / "notified.json").exists, 30)
        time.sleep(0.2)
        told = json.loads((tmp_path / "notified.json").read_text(encoding="utf-8"))
        assert (told["name"], told["stage"], told["what"], told["reason"]) == ("acme", "sample", "failed", row["reason"])
        time.sleep(3)
        assert len(made.turns("acme")) == LOSSES
        made.etl("start", "acme", "sample")
        made.wait("acme")
        assert made.status()["acme"]["state"] == "idle" and made.status()["acme"]["arrived"], str(made.status())
