"""What an operator is told, and what a command keeps: approvals, next steps, what is at rest."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException

from engine.cli.environment import named
from engine.errors import UnsafePlan, UsageError
from engine.language.compile import load_migration
from engine.store.journal import end_run, start_run
from engine.store.tables import open_store
from fleet import process, queue, worker
from fleet.cli import fleet_group
from fleet.ending import Ended, Next
from fleet.lines import LOGGERS, speak_in_lines
from fleet.notify import News
from fleet.records import (
    alive,
    database,
    figures,
    members,
    registry,
    reports,
    turns,
)
from fleet.secrets import Secrets
from fleet.status import moment
from fleet.wording import STEPS, Told, worded
from tests import loopback, postgres
from tests.e2e.driving import SPEC, checkout, edit, field_codes, pair
from tests.fleet.commands import typed
from tests.fleet.driving import KEYS, turn
from workbench import approval
from workbench.meaning import digest_of, parts
from workbench.staged import staged
from workbench.writing import write

ROOT = Path(__file__).resolve().parents[2]
ACME = Told("acme", "acme_2026", "delta")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's spec."""
    return checkout(tmp_path / "project") / SPEC


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """The database's connections."""
    made = database.connect(url)
    yield made
    made.dispose()


def approve(spec: Path, by: str) -> Path:
    """An approval of a spec as it is, as `etl approve` writes it."""
    migration = load_migration(spec)
    made = approval.Approval(migration.spec.name, digest_of(parts(migration)), by, "2026-11-30T10:00:00Z", "live", 1, {"arrived": 5}, {})
    path = approval.approval_path(spec)
    write(path, approval._as_data(made), "")
    return path


# -- approvals


def test_an_approval_stays_while_it_holds(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`add` again keeps the approval that nobody has as a file, also beside an older one of the project's; a changed mapping loses it and is told so."""
    path = approve(project, "Ana")
    old = path.read_bytes()
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").approved == "Ana"
    path.unlink()
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").approved == "Ana"

    edit(project, ("records: 200", "records: 100"), ("language: en", "language: es"))
    capsys.readouterr()
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").approved == "" and "it takes a new sample" in capsys.readouterr().out
    approve(project, "Bo")
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").approved == "Bo"
    path.write_bytes(old)
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").approved == "Bo"


def test_files_are_replaced_only_where_they_are_those_that_were_read(url: str, engine: sa.Engine, project: Path) -> None:
    """What somebody else has registered meanwhile is not replaced by what was approved before."""
    typed(url, "add", "acme", str(project))
    first, looked_at = registry.bundle_of(engine, "acme"), members.member(engine, "acme")
    said = {"version": queue.VERSION, "secrets": "acme", "approved": "Ana", "settings": "{}"}
    typed(url, "add", "acme", str(project), "--set", "language=es")
    with pytest.raises(UsageError, match="registered anew meanwhile"):
        registry.register(engine, "acme", first, looked_at, **said)
    assert members.member(engine, "acme").approved == ""

    same_files = members.member(engine, "acme")
    typed(url, "add", "acme", str(project), "--secrets", "other")
    assert members.member(engine, "acme").bundle == same_files.bundle
    with pytest.raises(UsageError, match="registered anew meanwhile"):
        registry.register(engine, "acme", first, same_files, **said)
    assert members.member(engine, "acme").secrets == "other"


def test_a_setting_that_the_spec_has_no_more_is_dropped(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was set before stands in no way of a mapping that has lost the setting; one that is said now and is not there is a mistake still."""
    typed(url, "add", "acme", str(project), "--set", "language=es")
    postgres.execute(url, """UPDATE fleet.migrations SET settings = '{"language": "es", "gone": 1}'""")
    typed(url, "add", "acme", str(project))
    assert json.loads(members.member(engine, "acme").settings) == {"language": "es"}
    assert "acme: --set gone is dropped" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no setting 'gone'"):
        typed(url, "add", "acme", str(project), "--set", "gone=1")


def test_another_version_is_named(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An approval moves no migration to another version; `add` does, and says so; `start` says for whom it queues."""
    typed(url, "add", "acme", str(project))
    postgres.execute(url, "UPDATE fleet.migrations SET version = '0.0.1'")
    with pytest.raises(UsageError, match=r"of etl 0\.0\.1"):
        typed(url, "approve", "acme", "--by", "Ana")
    typed(url, "start", "acme", "plan")
    said = capsys.readouterr().out
    assert "for workers of etl 0.0.1" in said and "no worker of etl 0.0.1 lives – start one" in said
    typed(url, "stop", "acme")
    typed(url, "add", "acme", str(project))
    assert members.member(engine, "acme").version == queue.VERSION and "those of 0.0.1 no more" in capsys.readouterr().out


def test_an_old_store_is_named(url: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was removed is no clean slate."""
    postgres.execute(url, "CREATE SCHEMA etl_acme")
    typed(url, "add", "acme", str(project))
    assert "its store etl_acme is there already" in capsys.readouterr().out


def sampled(engine: sa.Engine, spec: Path) -> None:
    """A sample in the store of `acme`, as a turn leaves it."""
    migration = load_migration(spec, {})
    with closing(open_store(database.store_of(engine, "acme"))) as store:
        with store.begin() as connection:
            run = start_run(connection, "run --sample", 0.0, "")
            end_run(connection, run, 1.0, "done")
        approval.keep_end(store, run, migration, {"state": "good", "arrived": 5, "failed": 0}, "live")


def begun(url: str, engine: sa.Engine, stage: str) -> int:
    """A turn of `acme` that goes on."""
    typed(url, "start", "acme", stage)
    return turns.begin(engine, members.member(engine, "acme"), stage, "a:1", time.time())


def ended(engine: sa.Engine, turn: int, verdict: dict[str, Any], code: int = 0) -> None:
    """Its end."""
    turns.end(engine, turn, members.member(engine, "acme"), Ended(code, held=True), Next("idle"), time.time(), verdict)


def test_a_sample_that_nobody_can_see_is_none(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sample is approved while its report is there: a store outlives `remove`, and reports do not. An approval names the one that it replaces."""
    sampled(engine, project)
    typed(url, "add", "acme", str(project))
    turn = begun(url, engine, "sample")
    reports.keep(engine, "acme", turn, {"report.html": b"x"})
    ended(engine, turn, {})
    typed(url, "approve", "acme", "--by", "Ana", "--despite", "a test")
    said = capsys.readouterr().out
    assert "instead of" not in said and said.endswith("; all of it comes with: etl fleet start acme run\n")
    typed(url, "approve", "acme", "--by", "Bo", "--despite", "a test")
    assert "instead of Ana" in capsys.readouterr().out
    typed(url, "remove", "acme")
    typed(url, "add", "acme", str(project))
    with pytest.raises(UnsafePlan, match=r"no report that anybody .* etl fleet start acme sample"):
        typed(url, "approve", "acme", "--by", "Ana", "--despite", "a test")
    assert members.member(engine, "acme").approved == ""


UNDONE = """INSERT INTO etl_acme.journal (run, object, key, resource, action, state, body, draft, before, dest_id, reason, calls, cost, at, settled)
    VALUES ({run}, 'o', 'k', 'r', 'create', 'undone', '{{}}', '', '', '7', '', 0, 0, 0, 2)"""


@pytest.mark.parametrize(("run", "refused"), [(1, True), (2, False)], ids=["the sample's", "a later run's"])
def test_both_approvals_agree_on_what_was_rolled_back(url: str, engine: sa.Engine, project: Path, run: int, refused: bool) -> None:
    """Over one store, `etl approve` and `etl fleet approve` refuse a sample whose rows were taken back, and take one whose rows stand though those of a later run were."""
    sampled(engine, project)
    typed(url, "add", "acme", str(project))
    turn = begun(url, engine, "sample")
    reports.keep(engine, "acme", turn, {"report.html": b"x"})
    ended(engine, turn, {})
    postgres.execute(url, UNDONE.format(run=run))
    migration = load_migration(project, {})

    def by_itself() -> None:
        with closing(open_store(database.store_of(engine, "acme"))) as store:
            approval.approve(migration, project, store, environment="live", by="Ana", now=3.0, despite="a test")

    def by_the_fleet() -> None:
        typed(url, "approve", "acme", "--by", "Ana", "--despite", "a test")

    for approves, step in ((by_itself, "etl run .* --sample"), (by_the_fleet, "etl fleet start acme sample")):
        with pytest.raises(UnsafePlan, match=f"rolled back since.*{step}") if refused else contextlib.nullcontext():
            approves()


# -- next steps


def test_the_messages_that_are_reworded_are_the_engines() -> None:
    """Each text of the table is still what the engine or the workbench says; otherwise its next step would be a wrong one."""
    files = [path for folder in ("engine", "workbench") for path in (ROOT / folder).rglob("*.py")]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    own = "give it a store of its own with --store, such as another file, or ?schema=NAME behind the address of a database"
    text = re.sub(r'"\s+f?"', "", sources).replace('{"it" if', "")
    text = text.replace("{spec}", "SPEC").replace("{environment}", "live").replace("{sample}", "etl run SPEC --sample --env live")
    text = text.replace("{'it' if len(missing) == 1 else 'them'}", "it").replace("{first}", "etl run SPEC --sample --env live")
    for said, _ in STEPS:
        looked = said.replace("set them in", "set it in").removesuffix(" SPEC --env live") if "doing:" in said else said.replace("set them in", "set it in")
        assert looked in text or looked == own and own in re.sub(r'"\s+"', "", sources), said


def test_the_next_step_is_one_of_the_fleets(project: Path) -> None:
    """What is missing is told with commands that an operator has, and without the folder that a spec was unpacked in."""
    migration = load_migration(project)
    with pytest.raises(UnsafePlan) as refused:
        approval.demand(migration, project, None)
    text = worded(str(refused.value), project, ACME)
    assert "etl fleet approve acme --by WHO" in text and "specs/stel_order_to_pipedrive.approval.yaml does not exist" in text
    with pytest.raises(UsageError) as missing:
        named({}, migration.source)
    assert "to acme_2026.env of the workers' secrets" in worded(str(missing.value), project, ACME)
    with pytest.raises(UsageError) as wrong:
        load_migration(Path(os.path.relpath(edit_back(project))))
    assert str(project.parent.parent) not in worded(str(wrong.value), project, ACME) and "specs/stel" in worded(str(wrong.value), project, ACME)
    surprising = "x – see why with `etl plan SPEC --records`; correct the spec, or add --yes to go on all the same"
    assert worded(surprising, project, ACME).endswith("etl fleet start acme delta --yes")


# where the engine and the workbench speak to whoever runs a turn; what only commands print stands elsewhere
SPEAKS = ("config", "connector", "destination", "extract", "language", "load", "mapping", "plan", "rollback", "sampling", "store", "verify")
NOT_A_STEP = {
    "--delta": "a remark, `etl run --delta --deletions`: a fleet has `run --refresh`",
    "--deletions": "the same",
    "--sample": "a run's name in the store",
    "--failed": "the same",
    "--run": "a rollback's",
    "--dry-run": "the same",
}


def test_an_option_that_is_named_is_one_of_start() -> None:
    """A text that names an option is in the table, or the option is one that `start` has."""
    start = fleet_group.commands["start"]
    options = {word for option in start.params for word in option.opts if word.startswith("--")}
    known = options | {word for said, _ in STEPS for word in re.findall(r"--[a-z-]+", said)} | {*NOT_A_STEP}
    files = [path for folder in SPEAKS for path in (ROOT / "engine" / folder).rglob("*.py")]
    files += [ROOT / "engine" / name for name in ("pipeline.py", "session.py", "library/commands.py", "library/opening.py", "library/gate.py")]
    found = {(word, path.name) for path in files for word in named_options(path)}
    assert {"--remake-fields", "--refresh", "--yes"} <= {word for word, _ in found}
    assert sorted((word, name) for word, name in found if word not in known) == []
    for said, instead in STEPS:
        told = {word for words in re.findall(r"etl fleet start [^;,]*", instead) for word in re.findall(r"--[a-z-]+", words)}
        assert told <= options, said


def named_options(path: Path) -> set[str]:
    """The options that texts of a file name, its docstrings not counted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    return {word for text in texts - docs for word in re.findall(r"--[a-z][a-z-]+", text)}


@pytest.mark.parametrize(
    ("stage", "remakes", "reads"),
    [("sample", "sample", "sample"), ("delta", "delta", "run"), ("plan", "run", "plan"), ("verify", "run", "run")],
)
def test_an_option_is_named_with_a_stage_that_takes_it(stage: str, remakes: str, reads: str, project: Path) -> None:
    """What a turn says of deleted fields and of a source that has to be read again can be typed as it is told."""
    told = replace(ACME, stage=stage)
    assert f"etl fleet start acme {remakes} --remake-fields so that" in worded("x – run with --remake-fields so that", project, told)
    assert worded("x, then run again with --refresh", project, told).endswith(f"etl fleet start acme {reads} --refresh")
def test_files_are_named_as_in_their_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's folder is left out of a reason, absolute as well as from where the worker runs, which may be its end."""
    root = project.parent.parent
    monkeypatch.chdir(root.parent)
    for written in (project, project.relative_to(root.parent)):
        assert worded(f"{written} has no title", project, ACME) == f"{SPEC} has no title"
    assert worded(f"{project}, {os.path.relpath(project)}", project, ACME) == f"{SPEC}, {SPEC}"


def test_a_reason_holds_no_difference(project: Path) -> None:
    """What has changed since an approval may be pages: an operator is told that it has, and what to do."""
    approve(project, "Ana")
    edit(project, ("language: en", "language: es"))
    with pytest.raises(UnsafePlan) as refused:
        approval.demand(load_migration(project), project, None)
    assert "\n  changed since" in str(refused.value)
    text = worded(str(refused.value), project, ACME)
    assert "\n" not in text and "changed since" not in text
    assert text.startswith("the mapping is not the one that Ana approved on") and ") – run a new sample" in text
    assert text.endswith("etl fleet approve acme --by WHO")


def edit_back(spec: Path) -> Path:
    """The spec with a mistake in it."""
    edit(spec, ("language: en", "langage: en"))
    return spec


# -- what commands refuse and leave


def test_stages_that_need_a_word(url: str, engine: sa.Engine, project: Path) -> None:
    """What deletes, gives a store to other accounts or carries out a surprising plan is said with --yes, once, and of one turn."""
    typed(url, "add", "acme", str(project))
    for words, told in (
        (("rollback",), "deletes"), (("rebind",), "the same ones"), (("verify", "--yes"), "--yes is for"), (("delta", "--every", "30m", "--yes"), "--yes is for"),
        (("verify", "--remake-fields"), "--remake-fields is for"), (("delta", "--refresh"), "--refresh is for"),
        (("run", "--every", "30m"), "--every is for"), (("run", "--at", "2020-01-01T00:00"), "is over"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=told):
            typed(url, "start", "acme", *words)
    typed(url, "start", "acme", "run", "--yes")
    goal = members.member(engine, "acme").goal
    assert goal is not None and goal.yes and goal.stage == "run" and not (goal.remake_fields or goal.refresh)
    typed(url, "stop", "acme")
    typed(url, "start", "acme", "run", "--remake-fields", "--refresh")
    goal = members.member(engine, "acme").goal
    assert goal is not None and goal.remake_fields and goal.refresh and not goal.yes


@pytest.mark.parametrize(
    ("more", "times"),
    [((), (1800.0, 2_000_000_000.0, "22:00-06:00")), (("--window", "01:00-02:00"), (1800.0, 2_000_000_000.0, "01:00-02:00"))],
    ids=["as they were", "another window"],
)
def test_a_yes_leaves_the_times_of_a_delta(
    url: str, engine: sa.Engine, project: Path, more: tuple[str, ...], times: tuple[float, float, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A delta that repeats and has stopped at a surprising plan repeats after the step that it names; times that are over, or of another stage, do not come back."""
    typed(url, "add", "acme", str(project))

    def waits(until: float) -> None:
        goal = json.dumps({"stage": "delta", "every": 1800.0, "until": until, "window": "22:00-06:00", "good": True})
        postgres.execute(url, f"UPDATE fleet.migrations SET state = 'waiting', goal = '{goal}'")

    waits(2_000_000_000.0)
    typed(url, "start", "acme", "delta", "--yes", *more)
    goal = members.member(engine, "acme").goal
    assert goal is not None and (goal.every, goal.until, goal.window) == times and goal.yes and not goal.good
    assert "every 1800 s after it until 2033-05-18" in capsys.readouterr().out
    for until, words in ((1_000_000.0, ("delta", "--yes")), (2_000_000_000.0, ("run", "--yes")), (2_000_000_000.0, ("delta",))):
        waits(until)
        typed(url, "start", "acme", *words)
        goal = members.member(engine, "acme").goal
        assert goal is not None and (goal.every, goal.until, goal.window) == (0.0, 0.0, ""), words


def test_a_stop_leaves_what_rests(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What waits for a person says so after a `stop`, too; what is at work ends after its calls in flight, and is told so."""
    for name in ("acme", "bolt"):
        typed(url, "add", name, str(project))
    postgres.execute(url, "UPDATE fleet.migrations SET state = 'waiting', reason = 'look' WHERE name = 'acme'")
    typed(url, "start", "bolt", "run")
    of = members.member(engine, "bolt")
    turns.begin(engine, of, "run", "a:1", time.time())
    capsys.readouterr()
    typed(url, "stop", "acme", "bolt")
    assert capsys.readouterr().out.splitlines() == ["acme is waiting already", "bolt is stopped; it ends after its calls in flight"]
    assert (members.member(engine, "acme").reason, members.member(engine, "bolt").state) == ("look", "stopped")


@pytest.mark.parametrize("words", [(), ("--secrets", "nowhere"), ("--secrets", "file"), ("--secrets", ".", "--secrets-command", "true"),
                                   ("--secrets-command", "no-such-program")])  # fmt: skip
def test_a_worker_without_secrets_does_not_start(words: tuple[str, ...], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take turns that others could take, and let a person wait for each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--secrets") as refused:
        typed(url, "worker", *words)
    assert refused.value.exit_code == 2


def test_words_that_are_missing_are_told(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage that is forgotten is asked for by its name; a name that is not there keeps the others; a log without a turn, and an `init` with nothing to do, say so."""
    typed(url, "add", "acme", str(project))
    with pytest.raises(click.BadParameter, match="'acme' is not one of") as missing:
        typed(url, "start", "acme")
    assert missing.value.param is not None and missing.value.param.make_metavar(click.Context(fleet_group)) == "STAGE"
    with pytest.raises(UsageError, match=r"etl fleet start NAME\.\.\. sample"):
        typed(url, "start", "sample")
    with pytest.raises(UsageError, match=r"'gone'.*none of these was removed"):
        typed(url, "remove", "acme", "gone")
    assert members.found(engine, "acme") is not None
    capsys.readouterr()
    typed(url, "log", "acme")
    assert capsys.readouterr().out == "acme has had no turn yet – etl fleet start acme sample\n"
    typed(url, "init")
    assert "are up to date" in capsys.readouterr().out


USE = {"account": "P", "limit": "day", "unit": "tokens", "seconds": 86_400, "allowance": 100, "needed": 40}
PLAN = {"calls": 1, "seconds": 10.0, "limits": [USE, {**USE, "account": "Q", "needed": 0}]}  # of one side nothing is needed


def test_a_plan_that_is_carried_out_is_none(url: str, engine: sa.Engine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is planned stands with its time; a run since then is work that is done, one that failed is not, and after a rollback it has to be planned anew."""
    typed(url, "add", "acme", str(project))

    def planned() -> tuple[dict[str, Any], list[str]]:
        capsys.readouterr()
        typed(url, "plan", "--json")
        found = json.loads(capsys.readouterr().out)
        typed(url, "plan")
        return found, capsys.readouterr().out.splitlines()

    ended(engine, begun(url, engine, "plan"), PLAN)
    ended(engine, begun(url, engine, "run"), {}, code=4)
    (at,) = (turn.ended for turn in figures.turns_of(engine, "acme") if turn.stage == "plan")
    found, lines = planned()
    assert found["planned"] == {"acme": at} and found["calls"] == 1 and found["done"] == []
    assert lines[0] == f"acme was planned at {moment(at)} UTC"
    assert lines[1:] == ["acme: P day: 40 tokens, 1 day", "day 1: 1 migration, 1 call", "in all 1 call for 1 migration"]

    ended(engine, begun(url, engine, "run"), {}, code=1)
    found, lines = planned()
    assert (found["planned"], found["calls"], found["done"], found["missing"]) == ({}, 0, ["acme"], [])
    assert lines == ["done since they were planned: acme"]
    typed(url, "start", "acme", "rollback", "--yes")
    turn = turns.begin(engine, members.member(engine, "acme"), "rollback", "a:1", time.time())
    ended(engine, turn, {})
    assert planned()[0]["missing"] == ["acme"]
    ended(engine, begun(url, engine, "plan"), PLAN)
    assert planned()[0]["calls"] == 1


# -- another address


@pytest.mark.fleet
def test_a_changed_address_is_said_once(tmp_path: Path) -> None:
    """A store that was begun with other accounts is refused with the step that a fleet has; after `rebind` a turn goes on."""
    spec = checkout(tmp_path / "project", ("records: 200", "records: 3")) / SPEC
    with pair(source=KEYS, destination=KEYS, size=8) as one:
        assert asyncio.run(turn("sample", spec, one.env))["code"] in (0, 1)
    with pair(source=(*KEYS[:1], KEYS[1] + "x"), destination=(*KEYS[:1], KEYS[1] + "x"), size=8) as other:
        refused = asyncio.run(turn("sample", spec, other.env))
        assert refused["code"] == 4 and "etl fleet start acme rebind --yes" in worded(refused["reason"], spec, ACME), refused
        wrong = asyncio.run(turn("rebind", spec, {**other.env, "PIPEDRIVE_API_TOKEN": "wrong-token-of-nobody-1234"}))
        assert wrong["code"] == 3, wrong
        forgotten = asyncio.run(turn("sample", spec, other.env))
        assert forgotten["code"] == 4 and "was begun with" in forgotten["reason"], "a rebind that failed has forgotten whose store it is"
        bound = asyncio.run(turn("rebind", spec, other.env))
        assert bound["code"] == 0, bound
        again = asyncio.run(turn("sample", spec, other.env))
        assert "was begun with" not in str(again), again


@pytest.mark.fleet
def test_fields_are_made_anew_and_a_source_is_read_again_once_somebody_says_so(tmp_path: Path) -> None:
    """A turn that stops at a deleted field names the word that makes it anew, and with that word the next one goes on; with `refresh` the source is asked again."""
    spec = checkout(tmp_path / "project", ("records: 200", "records: 3")) / SPEC
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        assert asyncio.run(turn("sample", spec, accounts.env))["code"] in (0, 1)
        read = began_reading(spec)
        assert asyncio.run(turn("sample", spec, accounts.env))["code"] in (0, 1)
        assert began_reading(spec) == read
        assert asyncio.run(turn("sample", spec, accounts.env, refresh=True))["code"] in (0, 1)
        assert began_reading(spec) > read

        there = accounts.destination
        code = field_codes(there.dump(), "organizations")["STEL key"]
        loopback.request("DELETE", f"{there.base_url}/api/v2/organizationFields/{code}", headers={"x-api-token": there.key}).raise_for_status()
        refused = asyncio.run(turn("sample", spec, accounts.env))
        assert refused["code"] == 4 and "etl fleet start acme sample --remake-fields" in worded(refused["reason"], spec, replace(ACME, stage="sample")), refused
        surprising = asyncio.run(turn("sample", spec, accounts.env, remake_fields=True))
        told = replace(ACME, stage="sample", more="--remake-fields")
        assert surprising["code"] == 4 and "etl fleet start acme sample --remake-fields --yes" in worded(surprising["reason"], spec, told), surprising
        remade = asyncio.run(turn("sample", spec, accounts.env, remake_fields=True, yes=True))
        assert remade["code"] in (0, 1), remade
        assert field_codes(there.dump(), "organizations")["STEL key"] != code


def began_reading(spec: Path) -> float:
    """When the source was first asked for what the store holds."""
    with closing(sqlite3.connect(spec.parent / "store.sqlite")) as store:
        (found,) = store.execute("SELECT min(started) FROM cursors").fetchone()
    return float(found)


@pytest.mark.fleet
@pytest.mark.long
def test_a_surprising_plan_is_carried_out_once_somebody_says_yes(tmp_path: Path) -> None:
    """A turn that stops where a person has to say yes names the command that says it, and that one goes on; a sample that was taken back is none to approve."""
    spec = checkout(tmp_path / "project", ("records: 200", "records: 3")) / SPEC
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        assert asyncio.run(turn("sample", spec, accounts.env))["code"] in (0, 1)
        migration = load_migration(spec)
        with staged(migration, str(spec.parent / "store.sqlite")) as store:
            assert store is not None
            approval.approve(migration, spec, store, environment="live", by="Ana", now=time.time(), despite="a test")
        assert asyncio.run(turn("rollback", spec, accounts.env))["code"] == 0
        with staged(migration, str(spec.parent / "store.sqlite")) as store, pytest.raises(UnsafePlan) as told:
            assert store is not None
            approval.approve(migration, spec, store, environment="live", by="Ana", now=time.time(), despite="a test")
        assert "look at it: etl fleet start acme sample" in worded(str(told.value), spec, ACME)
        refused = asyncio.run(turn("delta", spec, accounts.env))
        assert refused["code"] == 4 and "etl fleet start acme delta --yes" in worded(refused["reason"], spec, ACME), refused
        done = asyncio.run(turn("delta", spec, accounts.env, yes=True))
        assert done["code"] in (0, 1) and done["verdict"]["created"] > 0, done


# -- what stands in a turn's way


def waits_for_a_turn(url: str, project: Path, *words: str) -> None:
    """A migration that is to do something, before any worker has it."""
    typed(url, "add", "acme", str(project))
    typed(url, "start", "acme", *words)


def test_a_turn_ends_with_the_window_that_it_began_in(
    url: str, engine: sa.Engine, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its window is over before its process is there: it is the one that was open when the turn was judged."""
    monkeypatch.setattr(process, "LOOKS", 0.1)
    now = datetime.now(UTC)
    waits_for_a_turn(url, project, "sample", "--window", f"{now - timedelta(hours=2):%H:%M:%S}-{now + timedelta(seconds=3):%H:%M:%S}")
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
    where = f"http://127.0.0.1:{silent.getsockname()[1]}"
    keys = {
        "STEL_ORDER_API_KEY": "k3y-of-nobody",
        "STEL_ORDER_BASE_URL": f"{where}/app",
        "PIPEDRIVE_API_TOKEN": "t0ken-of-nobody",
        "PIPEDRIVE_BASE_URL": where,
        "FALLBACK_OWNER_EMAIL": "owner@example.com",
    }
    command = "sh -c 'sleep 4; {}'".format("; ".join(f"echo {name}={value}" for name, value in keys.items()))
    made = worker.Worker(engine, tmp_path / "work", Secrets(command=command), 1, print)
    with silent, pytest.raises(queue.Again) as again:
        asyncio.run(worker.turn(made, "acme", members.member(engine, "acme").job))
    assert figures.turns_of(engine, "acme")[0].code == 130
    assert again.value.at - now.timestamp() > 70_000


def test_a_folder_that_cannot_be_written_parks_no_migration(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """The turn goes back, is not counted, and the worker says which folder it is; a worker that starts with such a folder does not."""
    waits_for_a_turn(url, project, "sample")
    (tmp_path / "work").write_text("a file", encoding="utf-8")
    said: list[str] = []
    made = worker.Worker(engine, tmp_path / "work", Secrets(command="true"), 1, said.append)
    for _ in range(3):
        postgres.execute(url, "UPDATE fleet.migrations SET at = 0")
        before = time.time()
        with pytest.raises(queue.Again) as again:
            asyncio.run(worker.turn(made, "acme", members.member(engine, "acme").job))
        assert 15 < again.value.at - before < 60
    of = members.member(engine, "acme")
    assert (of.state, of.failures) == ("queued", 0) and str(tmp_path / "work") in of.reason
    assert said[0].startswith("acme: ") and str(tmp_path / "work") in said[0], said
    with pytest.raises(UsageError, match=f"--work {tmp_path / 'work'} cannot be written"):
        typed(url, "worker", "--secrets-command", "true", "--work", str(tmp_path / "work"))


def test_a_database_that_is_away_is_asked_again_with_pauses(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """Where a turn cannot even read its files, it is tried again later, as with a store that is away, and not at once."""
    waits_for_a_turn(url, project, "sample")
    of = members.member(engine, "acme")
    assert of.goal is not None
    begun = turns.begin(engine, of, "sample", "a:1", time.time())
    busy = sa.create_engine(engine.url, connect_args=database.LINK, pool_size=1, max_overflow=0, pool_timeout=0.2)
    made = worker.Worker(busy, tmp_path / "work", Secrets(command="true"), 1, print)

    async def taken() -> None:
        held = busy.connect()
        assert worker._heard(made, "acme", begun, {"accounts": ["x"]}) == "the database was away"
        asyncio.get_running_loop().call_later(1.0, held.close)
        assert of.goal is not None
        await worker._taken(made, of, of.goal, begun, time.time())

    with pytest.raises(queue.Again):
        asyncio.run(taken())
    busy.dispose()
    of = members.member(engine, "acme")
    assert (of.state, of.failures, of.reason) == ("retrying", 1, "the database was away")
    assert figures.turns_of(engine, "acme")[0].code == 5


# -- news


def test_a_turn_that_is_cut_and_leads_to_waiting_is_news(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """Where a worker ends after the time of a delta is over, nobody goes on with it: people hear that, and why."""
    waits_for_a_turn(url, project, "delta", "--every", "1s", "--until", "2035-12-01T00:00")
    of = members.member(engine, "acme")
    assert of.goal is not None
    goal = replace(of.goal, until=time.time() - 1, good=True)
    of = replace(of, goal=goal)
    begun = turns.begin(engine, of, "delta", "a:1", time.time())
    news = tmp_path / "news.json"
    made = worker.Worker(engine, tmp_path / "work", Secrets(command="sh -c 'touch began; sleep 60'"), 1, print, f"cp /dev/stdin '{news}'")

    async def cut() -> None:
        taken = asyncio.create_task(worker._taken(made, of, goal, begun, time.time()))
        while not Path("began").exists():
            await asyncio.sleep(0.05)
        taken.cancel()
        await taken
        await asyncio.wait(made.telling, timeout=30)

    with contextlib.chdir(tmp_path):
        asyncio.run(cut())
    told = json.loads(news.read_text(encoding="utf-8"))
    assert (told["name"], told["what"], told["code"], told["next"]) == ("acme", "failed", 130, 0.0)
    assert told["reason"] == "it is not done – the time it was given is over"


def test_a_turn_that_was_stopped_is_not_said_to_go_on(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """What was taken for dead goes on elsewhere only where it is to go on."""
    waits_for_a_turn(url, project, "sample")
    of = members.member(engine, "acme")
    assert of.goal is not None
    begun = turns.begin(engine, of, "sample", "a:1", time.time())
    said: list[str] = []
    made = worker.Worker(engine, tmp_path / "work", Secrets(command="false"), 1, said.append)
    postgres.execute(url, "UPDATE fleet.turns SET ended = 1")
    asyncio.run(worker._taken(made, of, of.goal, begun, time.time()))
    typed(url, "stop", "acme")
    asyncio.run(worker._taken(made, of, of.goal, begun, time.time()))
    assert said == ["acme: this turn was taken for dead, and goes on elsewhere", "acme: this turn was taken for dead; the migration is stopped"]


def test_a_stop_is_news(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """Who is told of what happens hears of a turn that somebody has stopped, and that is told before the worker ends."""
    typed(url, "add", "acme", str(project))
    typed(url, "start", "acme", "run")
    of = members.member(engine, "acme")
    assert of.goal is not None
    begun = turns.begin(engine, of, "run", "a:1", time.time())
    said: list[str] = []
    secrets = Secrets(command="sh -c 'touch began; sleep 60'")
    news = tmp_path / "news.json"
    made = worker.Worker(engine, tmp_path / "work", secrets, 1, said.append, f"cp /dev/stdin '{news}'")

    async def stopped() -> None:
        taken = asyncio.create_task(worker._taken(made, of, of.goal, begun, time.time()))
        while not Path("began").exists():
            await asyncio.sleep(0.05)
        await asyncio.to_thread(typed, url, "stop", "acme")
        taken.cancel()
        await taken
        await asyncio.wait(made.telling, timeout=30)

    with contextlib.chdir(tmp_path):
        asyncio.run(stopped())
    told = json.loads(news.read_text(encoding="utf-8"))
    assert (told["name"], told["what"], told["next"]) == ("acme", "stopped", 0.0), (told, said)


def test_findings_are_news_once(url: str, engine: sa.Engine, project: Path) -> None:
    """Who is told hears how many findings need attention and how to see them; the same as after the turn before call nobody again, as many others do."""
    typed(url, "add", "acme", str(project))

    def told(many: int, needing: str = "a", **more: int) -> News:
        verdict = {"attention": many, "needing": needing, "missing": 0, "failed": 0, "lost_in_arrived": 0, **more}
        turn = begun(url, engine, "verify")
        found = asyncio.run(worker._counted(engine, News("acme", "verify", "attention", 1, "", 0.0), turn, verdict))
        ended(engine, turn, {"run": 1, **verdict}, code=1)
        return found

    first = told(10)
    assert (first.what, first.reason) == ("attention", "10 findings need attention – etl fleet report acme --out DIR")
    ended(engine, begun(url, engine, "verify"), {}, code=3)
    again = told(10)
    assert (again.what, again.code, again.reason) == ("done", 1, "10 findings need attention, the same as before")
    assert told(10, needing="b").what == "attention"
    assert told(1).reason.startswith("1 finding needs attention –")
    assert told(1).reason == "1 finding needs attention, the same as before"
    for word in ("missing", "failed", "lost_in_arrived"):  # a report does not list all of a large run
        assert told(1, **{word: 1}).what == "attention" and told(1, **{word: 1}).what == "done"
        told(1)
    good = News("acme", "verify", "done", 0, "", 0.0)
    assert asyncio.run(worker._counted(engine, good, 1 << 40, {"attention": 1})) == good
    away = database.connect("postgresql://nobody@127.0.0.1:1/none")
    assert asyncio.run(worker._counted(away, replace(good, what="attention"), 1, {"attention": 1})).what == "attention"


def test_the_log_tells_state_and_reason_apart(url: str, engine: sa.Engine, project: Path, tmp_path: Path) -> None:
    """A turn's line says how it ended, what follows, and why."""
    typed(url, "add", "acme", str(project))
    turn = begun(url, engine, "run")
    of = members.member(engine, "acme")
    assert of.goal is not None
    said: list[str] = []
    made = worker.Worker(engine, tmp_path / "work", Secrets(command="false"), 1, said.append)
    with pytest.raises(queue.Again):
        asyncio.run(worker._taken(made, of, of.goal, turn, time.time()))
    (line,) = said
    assert line.startswith("acme: run ended with 3; retrying: ") and "ended with code 1" in line


def test_a_worker_that_stops_says_nothing_of_its_connections(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """The queue's listener loses its connection when a worker ends in good order: no line of its log; until then, such a loss is one."""
    said: list[str] = []
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]

    def lost(logger: str) -> None:
        logging.getLogger(logger).error("Task exception was never retrieved", exc_info=ConnectorException("Database error"))

    async def stopped() -> None:
        working = asyncio.create_task(worker.work(worker.Worker(engine, tmp_path, Secrets(command="true"), 1, said.append)))
        while not alive.workers(engine):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        lost("asyncio")
        os.kill(os.getpid(), signal.SIGTERM)
        await working

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        speak_in_lines(said.append)
        asyncio.run(stopped())
        gc.collect()
        lost("procrastinate.worker")
        logging.getLogger("procrastinate").warning("another word")
    finally:
        for logger, those, propagate in before:
            logger.handlers, logger.propagate = those, propagate
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert said == ["asyncio: Task exception was never retrieved (ConnectorException)", "procrastinate: another word"]
    assert alive.workers(engine) == {}, "who has ended lives no more, and not for another half minute"
