"""A migration whose store is PostgreSQL: kills, cut sessions, a restart, signing in, the rollback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.project import (
    Done,
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.postgres import cluster, cut_sessions, wait_for

ROOT = Path(__file__).resolve().parents[2]
MANY = 40
PEOPLE = [{"id": number, "name": f"Name {number}"} for number in range(1, MANY + 1)]
SAMPLE = ("--sample", "1000")


@dataclass(frozen=True, slots=True)
class Journey:
    """A project whose commands keep their store in a database."""

    project: Project
    url: str

    def etl(self, command: str, *words: str, code: int | None = None) -> Done:
        """Run a command in this process."""
        return self.project.etl(command, *words, "--store", self.url, code=code)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """A run in a process of its own, half of its rows made."""
        command = [sys.executable, "-m", "workbench", "run", "spec.yaml", *SAMPLE, "--env", "live", "--store", self.url]
        paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        env = {**os.environ, **self.project.env, "PYTHONPATH": paths}
        with subprocess.Popen(
            command, cwd=self.project.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_for("half of the rows", lambda: process.poll() is not None or self.made() > MANY // 3)
                assert process.poll() is None, process.stderr and process.stderr.read()
                yield process
            finally:
                process.kill()

    def made(self) -> int:
        """How many rows there are."""
        return len(self.project.platform.tables["contacts"])

    def names(self) -> Counter[str]:
        """How often each name is there."""
        return Counter(row["name"] for row in self.project.platform.tables["contacts"])

    def complete(self) -> None:
        """Every record has arrived, once; a rollback takes all of them away."""
        self.etl("run", *SAMPLE, code=0)
        assert self.names() == Counter(row["name"] for row in PEOPLE)
        self.etl("rollback", "--yes", code=0)
        assert self.made() == 0


def slowly(_: Platform, request: Request) -> Answer | None:
    """A platform that takes its time to make a row."""
    if request.creates("contacts"):
        time.sleep(0.05)
    return None


@pytest.fixture
def platform(serve: Serve) -> Platform:
    """People to move, and nobody moved yet."""
    made = serve(people=PEOPLE, contacts=[])
    made.before.append(slowly)
    return made


def journey(folder: Path, platform: Platform, url: str, **connection: Any) -> Journey:
    """People become contacts."""
    source = {"people": readable("people", name="text")}
    destination = {"contacts": writable("contacts", ["name"], name="text", key="text")}
    spec = migration({"people": mapped("people", "contacts", {"name": "name", "key": "$key"})})
    return Journey(project(folder, platform, source, destination, spec, **connection), url)


def test_a_killed_run_is_gone_on_with(tmp_path: Path, platform: Platform, postgres: str) -> None:
    """The next command starts at once, doubles nothing, and can take everything back."""
    at = journey(tmp_path, platform, postgres)
    with at.running() as process:
        process.kill()
        process.wait()
    assert 0 < at.made() < MANY
    at.complete()


def test_cut_sessions_let_no_second_run_write(tmp_path: Path, platform: Platform, postgres: str) -> None:
    """All sessions are cut in the middle of a run: a second is refused while the first lives, and nothing is doubled."""
    at = journey(tmp_path, platform, postgres, concurrency=4)
    with at.running() as process:
        assert cut_sessions(postgres) > 0
        second = at.etl("run", *SAMPLE)
        assert second.code in (0, 5), second
        if second.code == 5:
            assert "another etl command is using" in second.err
        assert process.wait(60) in (0, 5), process.stderr and process.stderr.read()
    at.complete()


def test_a_restarted_server_is_waited_for_or_told(tmp_path: Path, platform: Platform) -> None:
    """The run goes on, or ends with code 5; the next one finishes it."""
    with cluster() as server:
        at = journey(tmp_path, platform, server.url)
        with at.running() as process:
            server.stop()
            time.sleep(0.5)
            server.start()
            assert process.wait(90) in (0, 5), process.stderr and process.stderr.read()
        at.complete()


def test_a_refresh_token_is_exchanged(tmp_path: Path, platform: Platform, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing in by a token that changes with every use; the newest one is kept in the database."""
    used: list[str] = []

    def token(_: Platform, request: Request) -> Answer | None:
        if request.parts != ["token"]:
            return None
        used.append(request.body["refresh_token"])
        return Answer(200, {"access_token": f"a{len(used)}", "refresh_token": f"r{len(used)}"})

    platform.before.append(token)
    auth = {"kind": "refresh_token", "post": "/token", "client_id": "ID", "refresh_token": "REFRESH", "send": "json"}
    at = journey(tmp_path, platform, postgres, auth=auth)
    for name, value in (("ID", "me"), ("REFRESH", "the first")):
        monkeypatch.setenv(name, value)
    at.complete()
    assert used[0] == "the first" and len(set(used)) > 1 and used[-1].startswith("r")


LONG = "".join(sha256(str(number).encode()).hexdigest() for number in range(200))  # nothing that packs well


@pytest.mark.parametrize("case", ["id", "element", "reference", "match"])
def test_texts_that_no_index_takes_stop_no_run(case: str, tmp_path: Path, serve: Serve, postgres: str) -> None:
    """12,800 letters as an id cost that record only; what rows are found by may be as long as it likes."""
    rows: list[dict[str, Any]] = [{"id": n, "name": f"P{n}", "note": f"note {n}", "lines": [{"id": 1}]} for n in range(1, 4)]
    rows[1]["id"] = LONG if case == "id" else 2
    rows[1]["note"] = LONG if case in ("reference", "match") else "note 2"
    rows[1]["lines"][0]["id"] = LONG if case == "element" else 1
    theirs = [{"id": 1, "name": "P2", "note": LONG}] if case == "match" else []
    platform = serve(people=rows, calls=[{"id": 1, "name": "call", "of": LONG}], contacts=theirs, others=[])
    people = {**readable("people", name="text", note="text", lines="list line")}
    people["fields"]["id"] = "text"
    source = {
        "resources": {"people": people, "calls": readable("calls", name="text", of="text")},
        "shapes": {"line": {"id": "text"}},
    }
    destination = {
        "contacts": writable("contacts", ["name"], name="text", note="text"),
        "others": writable("others", ["name"], name="text", who="ref contacts"),
    }
    more: dict[str, Any] = {"match": ["note"]} if case == "match" else {}
    more |= {"each": {"name": "line", "path": "lines", "key": "id"}} if case == "element" else {}
    who = {"lookup": "contacts", "by": "of", "on": "note"}
    objects = {"contacts": mapped("people", "contacts", {"name": "name", "note": "note"}, **more)}
    objects |= {"others": mapped("calls", "others", {"name": "name", "who": who})} if case == "reference" else {}
    at = Journey(project(tmp_path, platform, source, destination, migration(objects)), postgres)

    report = at.etl("run", *SAMPLE, "--json", code=1 if case in ("id", "element") else 0).data()
    assert len(platform.tables["contacts"]) == (2 if case in ("id", "element") else 3)
    assert report["verdict"]["adopted"] == len(theirs)
    assert all(row["who"] for row in platform.tables["others"])
