"""A run that is looked at from another terminal, killed, refused and cut off: nothing twice, nothing lost."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.driving import (
    ETL,
    SPEC,
    Dump,
    Pair,
    Record,
    by_key,
    checkout,
    edit,
    environment,
    etl,
    etl_here,
    pair,
)

FAULTS = ("429", "500", "timeout-after-write", "cut-connection", "garbage-json", "slow")


def started(at: Path, accounts: Pair) -> subprocess.Popen[bytes]:
    """A sample that goes on in the background."""
    command = [str(ETL), "run", SPEC, "--sample", "--env", "live"]
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=at, env=environment(accounts.env), stdin=silent, stdout=silent, stderr=silent)


def written(at: Path, accounts: Pair) -> tuple[Record, int]:
    """What `etl status` tells while the run goes on, and how many rows are linked by then."""
    done = etl_here("status", SPEC, "--json", "--env", "live", at=at, env=accounts.env)
    if done.code == 2:  # there is no store yet
        return {"runs": []}, 0
    found = done.data()
    return found, sum(found["linked"].values())


def linked(at: Path) -> int:
    """How many links the store itself holds: asked before `etl status` is, which takes a good deal of the processor."""
    store = at / "var" / f"{Path(SPEC).stem}.live.sqlite"
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT COUNT(*) FROM links WHERE origin='created'").fetchone()[0])
    except sqlite3.OperationalError:  # there is no store yet, or nothing in it
        return 0


def no_duplicates(there: Dump) -> None:
    """No source key twice; no note, file, activity or definition that another repeats word by word."""
    for resource in ("organizations", "persons", "products", "deals"):
        by_key(there, resource)
    for resource, fields in (
        ("notes", ("content", "deal_id", "org_id", "person_id", "add_time")),
        ("files", ("name", "deal_id", "org_id", "product_id")),
        ("pipelines", ("name",)),
        ("stages", ("name", "pipeline_id")),
        ("deal_fields", ("field_name",)),
        ("organization_fields", ("field_name",)),
    ):
        seen = [tuple(str(row[field]) for field in fields) for row in there[resource]]
        assert len(seen) == len(set(seen)), [item for item in seen if seen.count(item) > 1]


@pytest.mark.journeys
def test_status_during_a_run_and_a_kill_in_the_middle(tmp_path: Path, sample: Record) -> None:
    """Another terminal sees the run going on; kill -9, and the next run ends as an undisturbed one."""
    at = checkout(tmp_path / "killed")
    with pair(destination=["--latency-ms", "60"]) as accounts:
        run = started(at, accounts)
        while linked(at) < 60 and run.poll() is None:
            time.sleep(0.1)
        seen, rows = written(at, accounts)
        while rows < 60 and run.poll() is None:
            time.sleep(0.3)
            seen, rows = written(at, accounts)
        assert seen["runs"][-1]["command"] == "run --sample" and seen["runs"][-1]["outcome"] == "running"
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert written(at, accounts)[0]["runs"][-1]["outcome"] == "killed"
        done = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        there = accounts.destination.dump()
    assert done.code == sample["first"]["code"]
    usual = json.loads(sample["first"]["out"])["verdict"]
    assert all(done.data()["verdict"][word] == usual[word] for word in ("arrived", "missing", "failed", "skipped"))
    no_duplicates(there)
    assert {kind: len(rows) for kind, rows in there.items()} == {kind: len(rows) for kind, rows in sample["after"].items()}


def test_the_days_quota_is_spent(tmp_path: Path) -> None:
    """Code 75 with the time from which to go on; what was read is kept and not read again."""
    at = checkout(tmp_path / "spent")
    edit(at / "connectors/stel_order.yaml", ("unlimited: 100000000", "unlimited: 20"))
    with pair() as accounts:
        done = etl("run", SPEC, "--sample", "--env", "live", at=at, env=accounts.env, code=75)
        before = accounts.source.stats()["requests"]
        again = etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=accounts.env, code=75)
        assert accounts.source.stats()["requests"] == before
        seen, _ = written(at, accounts)
    for told in (done, again):
        assert "quota is spent" in told.err and "UTC" in told.err and told.out == ""
    assert sum(seen["read"].values()) > 0


@pytest.mark.chaos
@pytest.mark.parametrize("kinds", [*((kind,) for kind in FAULTS), FAULTS], ids=" ".join)
def test_faults_on(tmp_path: Path, sample: Record, kinds: tuple[str, ...]) -> None:
    """Each kind of fault at 2 %, alone and together: the sample ends with 0 or 1, nothing twice, nothing missing."""
    at = checkout(tmp_path / "faults")
    for name in ("stel_order: 60", "pipedrive: 30"):  # an emulator holds a request it will not answer for 30 s
        file, _, seconds = name.partition(": ")
        edit(at / f"connectors/{file}.yaml", (f"timeout: {seconds}", "timeout: 5"))
    faults = [part for kind in kinds for part in ("--fault", f"{kind}=0.02")]
    with pair(faults, faults) as accounts:
        done = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        for _ in range(3):
            if done.code in (0, 1):
                break
            done = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        there = accounts.destination.dump()
    assert done.code in (0, 1)
    assert done.data()["verdict"]["missing"] == 0
    no_duplicates(there)
    assert len(there["deals"]) == len(sample["after"]["deals"])
