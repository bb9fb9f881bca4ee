"""etl as a library: what a program gets from `engine.open` is what the command line does."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import (
    FrozenInstanceError,
    dataclass,
    field,
    fields,
    is_dataclass,
)
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import engine
from engine.errors import (
    AuthError,
    SpecError,
    StoreError,
    UnsafePlan,
    UsageError,
)
from engine.language.compile import load_migration
from engine.library import reports
from engine.store.journal import all_runs
from engine.store.tables import open_store
from tests.e2e.driving import HURRIED, checkout
from tests.platforms.platform import Answer, Platform, Request, served
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.stages.conftest import SPEC
from workbench.approval import APPROVALS, approve
from workbench.cli import etl

CANARY = "k3y-that-nobody-may-see"
NAMES = ("Ann", "Bob", "Cleo")


@dataclass(slots=True)
class Listener:
    """What the callbacks of a program hear."""

    events: list[engine.Event] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def log(self, event: engine.Event) -> None:
        self.events.append(event)

    def progress(self, label: str, done: int, total: int | None) -> None:
        self.labels.append(label)

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Project]:
    """Three people who become contacts, on a platform of its own."""
    rows = [{"id": at, "name": name} for at, name in enumerate(NAMES, 1)]
    with served(Platform({"people": rows, "contacts": []})) as platform:
        source = {"people": readable("people", name="text")}
        destination = {"contacts": writable("contacts", ["name"], name="text")}
        objects = {"contacts": mapped("people", "contacts", {"name": "name"})}
        yield project(tmp_path, platform, source, destination, migration(objects))


def opened(people: Project, **more: Any) -> Any:
    """The project's migration, on its platform as a pair of live accounts."""
    account = engine.Account(people.platform.base_url, CANARY)
    given = {"accounts": engine.Accounts(account, account), "store": people.folder / "own.sqlite", "env": {}}
    return engine.open(people.folder / "spec.yaml", **{**given, **more})


def let_through(*_: Any) -> None:
    """A gate that asks nothing."""


OPEN_GATE = engine.Gate(let_through, let_through)


def only_names(people: Project) -> list[str]:
    """What the contacts of the destination are called."""
    return sorted(row["name"] for row in people.platform.tables["contacts"])


def commands(store: Path) -> list[tuple[str, str]]:
    """Command and outcome of each run that a store knows."""
    opened_store = open_store(str(store))
    try:
        with opened_store.begin() as connection:
            return [(row["command"], row["outcome"]) for row in all_runs(connection)]
    finally:
        opened_store.close()


# -- the whole story


@pytest.mark.journeys
def test_a_migration_on_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan, sample, once more, verify, report, rollback: the plan is what is done, and the command line sees the same."""
    spec = checkout(tmp_path / "checkout") / "specs" / SPEC.name
    store, heard = tmp_path / "own.sqlite", Listener()
    monkeypatch.chdir(tmp_path)
    with engine.open(
        spec, store=store, env={"ETL_SANDBOX_SIZE": "150", **HURRIED}, progress=heard.progress, log=heard.log
    ) as moving:
        assert (moving.name, moving.environment, moving.sample_size) == (SPEC.stem, "sandbox", 200)
        planned = moving.plan(20)
        first = moving.run(20)
        assert first.created + first.failed == sum(step.create for step in planned.steps) > 20
        assert first.created == sum(item.created for item in first.objects)
        again = moving.run(20)
        assert (again.created, again.updated, again.run) == (0, 0, first.run + 1)
        checked = moving.verify()
        assert (checked.arrived, checked.missing, checked.plan) == (first.arrived, 0, None)
        report = moving.report()
        assert report["run"] == checked.run and len(report["records"]) >= checked.arrived
        would = moving.rollback(dry_run=True)
        assert would.undone == 0 and sum(would.would.values()) >= first.created
        assert moving.rollback().undone >= first.created
        with pytest.raises(UsageError, match="was rolled back"):
            moving.verify()
    dead_link = [event for event in heard.events if event.kind == "record fails" and event.run == first.run]
    assert len(dead_link) == first.failed == 1
    assert heard.labels and {"extract", "plan", "load", "verify", "rollback"} <= set(heard.texts("stage begins"))
    assert sorted(heard.texts("stage begins")) == sorted(heard.texts("stage ends"))
    known = CliRunner().invoke(etl(), ["status", str(spec), "--store", str(store), "--json"])
    assert [run["command"] for run in json.loads(known.output)["runs"]] == heard.texts("run begins")


# -- results


def test_results_are_frozen_and_say_what_was_done(people: Project) -> None:
    """A run, a delta and a rollback answer with figures that nobody can change."""
    with opened(people, gate=OPEN_GATE) as moving:
        plan, result = moving.plan(), moving.run()
        assert (result.created, result.good, result.exit_code) == (3, True, 0)
        assert result.files["json"].is_file() and result.plan.calls == plan.calls
        people.platform.tables["people"][0]["name"] = "Anna"
        delta = moving.delta()
        assert (delta.updated, delta.created) == (1, 0)
        assert only_names(people) == ["Anna", "Bob", "Cleo"]
        undone = moving.rollback()
        assert (undone.undone, undone.kept, undone.exit_code) == (4, (), 0)
    assert only_names(people) == []
    for found in (plan, *plan.steps, result, *result.objects, undone):
        assert is_dataclass(found)
        with pytest.raises(FrozenInstanceError):
            setattr(found, fields(found)[0].name, "other")
    for mapping in (result.fields, result.files, undone.would):
        with pytest.raises(TypeError):
            mapping["x"] = 1


def test_only_what_failed_is_tried_once_more(people: Project) -> None:
    """A record that the destination refuses is named in result and events; `retry_failed` sends just that one."""
    refused: list[bool] = [True]

    def refuse(_: Platform, request: Request) -> Answer | None:
        wrong = refused[0] and request.creates("contacts") and request.body["name"] == "Bob"
        return Answer(422, {"error": "not Bob"}) if wrong else None

    people.platform.before.append(refuse)
    heard = Listener()
    with opened(people, gate=OPEN_GATE, log=heard.log) as moving:
        result = moving.run()
        assert (result.created, result.failed, result.exit_code) == (2, 1, 1)
        assert [(item.object, item.key) for item in result.findings if item.severity == "attention"] == [("contacts", "people/2")]
        assert [(one.object, one.key) for one in heard.events if one.kind == "record fails"] == [("contacts", "people/2")]
        refused[0] = False
        before = people.platform.count_writes()
        assert moving.retry_failed().created == 1
    assert people.platform.count_writes() == before + 1 and only_names(people) == sorted(NAMES)


def test_records_without_a_finding_are_named(people: Project) -> None:
    """What a verification found missing stands in no finding, and in no later delta; what was found about a record stands in both."""

    def refuse(_: Platform, request: Request) -> Answer | None:
        return Answer(422, {"error": "not Bob"}) if request.creates("contacts") and request.body["name"] == "Bob" else None

    people.platform.before.append(refuse)
    with opened(people, gate=OPEN_GATE) as moving:
        found = moving.run()
        assert (found.need_attention, found.troubled) == (1, ())
        del people.platform.tables["contacts"][0]
        found = moving.verify()
        assert (found.need_attention, found.troubled) == (2, (("contacts", "people/1"),))
        people.platform.tables["people"][2]["name"] = "Cleopatra"
        found = moving.delta()
        assert (found.need_attention, found.troubled) == (1, ())


def test_a_store_keeps_the_last_verdicts(tmp_path: Path) -> None:
    """As many as it says: the oldest goes, by the number of its run, and not the one that was just found."""
    store = open_store(str(tmp_path / "store.sqlite"))
    with store.begin() as connection:
        for run in range(1, reports.VERDICTS + 6):
            reports._keep_verdict(connection, run, {"arrived": run})
        kept = reports.verdicts(connection)
    store.close()
    assert kept == {run: {"arrived": run} for run in range(6, reports.VERDICTS + 6)}


# -- errors


@pytest.mark.parametrize("sample", ["x", "3", -1, 0, 1.5, True, [3], b"3"], ids=repr)
@pytest.mark.parametrize("method", ["run", "plan"])
def test_what_is_no_number_of_records_is_told(people: Project, method: str, sample: Any) -> None:
    """One clear error, before anything is read or any run has a number."""
    with opened(people) as moving:
        with pytest.raises(UsageError, match="give a whole number of records") as stop:
            getattr(moving, method)(sample)
        assert repr(sample) in str(stop.value)
    assert people.platform.log == []


def test_errors_are_those_of_the_engine(people: Project, tmp_path: Path) -> None:
    """A spec with a slip, a sample of nothing, a run that is not there, no report: each with the exit code of the command line."""
    (tmp_path / "wrong.yaml").write_text("migration: x\nsauce: y\n")
    with pytest.raises(SpecError) as stop, engine.open(tmp_path / "wrong.yaml", env={}):
        pass
    assert stop.value.exit_code == 2 and stop.value.diagnostics
    with opened(people) as moving:
        for call in (lambda: moving.run(0), lambda: moving.plan(-1), moving.verify, moving.rollback, moving.report):
            with pytest.raises(UsageError):
                call()
        moving.run(3)
        with pytest.raises(UsageError, match="no run 99"):
            moving.rollback(99)
    people.platform.before.append(lambda _, request: Answer(401) if request.path == "/ok" else None)
    connector = json.loads((people.folder / "destination.yaml").read_text())
    connector["errors"].append({"when": {"status": 401}, "then": "refuse"})
    (people.folder / "destination.yaml").write_text(json.dumps(connector))
    with opened(people) as moving, pytest.raises(AuthError) as refused:
        moving.run(3, refresh=True)
    assert refused.value.exit_code == 3 and CANARY not in str(refused.value)
    assert engine.EtlError.exit_code == 70


def test_one_command_at_a_time(people: Project) -> None:
    """Neither a callback, nor a second thread, nor a second `open`, nor a call after the block touches the store."""
    found: list[BaseException] = []

    def attempt(call: Callable[[], Any]) -> None:
        try:
            call()
        except engine.EtlError as error:
            found.append(error)

    def at_work(label: str, done: int, total: int | None) -> None:
        if found:
            return
        attempt(moving.plan)
        for call in (moving.plan, opened(people).__enter__):
            thread = threading.Thread(target=attempt, args=(call,))
            thread.start()
            thread.join()

    with opened(people, gate=OPEN_GATE, progress=at_work) as moving:
        assert moving.run().created == 3
    assert [type(error) for error in found] == [UsageError, UsageError, StoreError]
    assert f"etl status {people.folder}" in str(found[2])
    calls = len(people.platform.log)
    with pytest.raises(UsageError, match="closed"):
        moving.run()
    assert len(people.platform.log) == calls
    assert commands(people.folder / "own.sqlite") == [("run", "done")]


def test_a_callback_that_raises_ends_the_run(people: Project) -> None:
    """The run is interrupted, which the store knows, and the next one goes on."""

    def stop(label: str, done: int, total: int | None) -> None:
        if label.startswith("writing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), opened(people, gate=OPEN_GATE, progress=stop) as moving:
        moving.run()
    with opened(people, gate=OPEN_GATE) as moving:
        moving.run()
    assert commands(people.folder / "own.sqlite") == [("run", "interrupted"), ("run", "done")]
    assert only_names(people) == sorted(NAMES)


# -- the gate


def test_without_a_gate_no_live_account_is_moved(people: Project) -> None:
    """Everything full is refused before any call; a sample is not, unless it moves everything."""
    with opened(people) as moving:
        assert moving.environment == "live"
        for call in (moving.run, moving.delta, moving.retry_failed, lambda: moving.run(1001)):
            with pytest.raises(UnsafePlan) as stop:
                call()
            assert stop.value.exit_code == 4
        assert people.platform.log == []
        assert moving.run(3).created == 3


def test_accounts_that_are_given_are_live(people: Project) -> None:
    """Nobody gets past the gate by calling a pair of accounts a sandbox."""
    with pytest.raises(UsageError), opened(people, environment="sandbox", gate=OPEN_GATE):
        pass


def test_the_gate_of_the_command_line_admits_what_was_approved(people: Project) -> None:
    """Sample, approval, full run; an approval that came after the spec was read is none of the migration that is open."""
    spec, store = people.folder / "spec.yaml", people.folder / "own.sqlite"

    def approved() -> None:
        kept = open_store(str(store))
        approve(load_migration(spec, {}), spec, kept, environment="live", by="Ana", now=0.0)
        kept.close()

    with opened(people, gate=APPROVALS) as moving:
        with pytest.raises(UnsafePlan, match="is not approved"):
            moving.run()
        moving.run(1)
        approved()
        moving.run()
    assert only_names(people) == sorted(NAMES)

    before, after = spec.read_text(), json.loads(spec.read_text())
    after["objects"]["contacts"]["fields"]["name"] = {"from": "name", "using": "text.upper"}
    spec.write_text(json.dumps(after))
    with opened(people, gate=APPROVALS) as moving:
        moving.run(3, yes=True)
    spec.write_text(before)
    with opened(people, gate=APPROVALS) as moving:
        spec.write_text(json.dumps(after))
        approved()
        with pytest.raises(UnsafePlan, match="not the one that Ana approved"):
            moving.run()
    assert only_names(people) == [name.upper() for name in sorted(NAMES)]


# -- the logger


def test_the_logger_names_run_object_and_key_and_nothing_else_of_a_record(
    people: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """Begin and end of the run and of its stages, and each record that fails; no key, no value, no message of a platform."""

    def refuse(_: Platform, request: Request) -> Answer | None:
        return Answer(422, {"error": "Bob is known"}) if request.creates("contacts") and request.body["name"] == "Bob" else None

    people.platform.before.append(refuse)
    with caplog.at_level(logging.INFO, logger="etl"), opened(people, gate=OPEN_GATE) as moving:
        number = moving.run().run
    records = [record for record in caplog.records if record.name == "etl"]
    assert {record.run for record in records} == {number}  # type: ignore[attr-defined]
    told = [record.getMessage() for record in records]
    assert told[0] == f"run {number}: run begins: run" and told[-1] == f"run {number}: run ends: done"
    assert f"run {number}: stage begins: load" in told and f"run {number}: stage ends: verify" in told
    failed = [record for record in records if record.levelno == logging.WARNING]
    assert [(record.object, record.key) for record in failed] == [("contacts", "people/2")]  # type: ignore[attr-defined]
    assert not any(word in caplog.text for word in (CANARY, *NAMES, "known"))


def test_a_run_that_fails_is_told_by_the_kind_of_error_alone(people: Project, caplog: pytest.LogCaptureFixture) -> None:
    """The message may hold what a platform has said of a record; the store keeps it, the log does not."""
    people.platform.before.append(lambda _, request: Answer(404, {"error": "Ann"}) if request.reads("people") else None)
    people.platform.before.append(lambda _, request: Answer(422, {"error": "Ann"}) if request.path == "/ok" else None)
    with caplog.at_level(logging.INFO, logger="etl"), opened(people) as moving, pytest.raises(engine.EtlError) as stop:
        moving.run(2)
    assert caplog.records[-1].getMessage().endswith(f"run ends: {type(stop.value).__name__}")
    assert "Ann" not in caplog.text


def test_a_wait_is_told_once_when_it_begins(people: Project) -> None:
    """Which limit is waited for, and how long; a clock of the program's own passes the time."""
    connector = json.loads((people.folder / "destination.yaml").read_text())
    connector["limits"] = {"burst": {"unit": "calls", "per": 200, "window": "rolling", "amount": {"any": 4}}}
    (people.folder / "destination.yaml").write_text(json.dumps(connector))
    now = [1_800_000_000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    heard = Listener()
    clock = engine.Clock(lambda: now[0], sleep)
    with opened(people, clock=clock, log=heard.log) as moving:
        assert moving.run(3).created == 3
    waits = [event for event in heard.events if event.kind == "wait begins"]
    assert waits and {event.text for event in waits} == {"burst"}
    assert all(1 < event.seconds <= 210 for event in waits)
    assert len(waits) <= len(people.platform.log) // 4


# -- the package


def test_importing_the_engine_is_light() -> None:
    """`import engine` reads neither httpx nor SQLAlchemy nor click; every public name is there when it is asked for."""
    heavy = "{'httpx', 'sqlalchemy', 'click', 'yaml', 'rich', 'jsonschema'} & set(sys.modules)"
    program = f"import sys, engine; assert not {heavy}; assert all(getattr(engine, name) for name in engine.__all__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engine.nothing


@pytest.mark.pages
def test_programs_that_embed_it_are_type_checked(tmp_path: Path) -> None:
    """mypy --strict knows the types of what `engine.open` gives, and finds a slip in their use and nothing else."""
    program = tmp_path / "program.py"
    lines = [
        "import engine",
        "def move(spec: str) -> int:",
        "    with engine.open(spec) as migration:",
        "        return migration.run(sample=20).created",
        "engine.open('x', envoronment='live')",
    ]
    program.write_text("\n".join([*lines, ""]))
    env = {**os.environ, "MYPYPATH": str(SPEC.parents[1])}
    words = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", str(program)]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[:2] for line in told] == [["program.py", "5"]], done.stdout
