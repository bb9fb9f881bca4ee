"""What a turn leaves behind at its end: its report, its reason, the news of it, the time of the next one."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator

from engine.library.results import Kept, RollbackResult
from engine.library.undone import Told, left
from engine.report.attention import attention
from engine.report.words import counted
from engine.values import digest
from fleet import queue, worker
from fleet.ending import AFTER_REFUSAL
from fleet.records import database, figures, members, reports, turns
from fleet.secrets import Secrets
from fleet.turn import Far, Heard, carried_out
from tests import loopback, postgres
from tests.e2e.driving import SPEC, Pair, checkout, pair
from tests.fleet.commands import typed
from tests.fleet.driving import KEYS, turn
from tests.fleet.test_turn import ENV

SHAPE = json.loads((Path(__file__).resolve().parents[2] / "schemas/rollback.schema.json").read_text(encoding="utf-8"))
FEW = ("records: 200", "records: 3")


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """The database's connections."""
    made = database.connect(url)
    yield made
    made.dispose()


def printed(variables: Mapping[str, str]) -> Secrets:
    """A command that prints these for secrets."""
    return Secrets(command="sh -c '{}'".format("; ".join(f"echo {name}={value}" for name, value in variables.items())))


def added(url: str, folder: Path, stage: str) -> None:
    """A migration that is to do something."""
    typed(url, "add", "acme", str(checkout(folder / "project", FEW) / SPEC))
    typed(url, "start", "acme", stage)


def taken(made: worker.Worker) -> float:
    """A worker takes the turn of `acme`, and tells whoever is to hear of it; when the next one is."""

    async def told() -> float:
        at = 0.0
        try:
            await worker.turn(made, "acme", members.member(made.engine, "acme").job)
        except queue.Again as again:
            at = again.at
        if made.telling:
            await asyncio.wait(made.telling, timeout=30)
        return at

    return asyncio.run(told())


@pytest.mark.journeys
def test_a_turn_leaves_its_report_and_its_findings(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """The report is kept with all its files, and what it says needs attention is counted, which people hear of."""
    added(url, tmp_path, "sample")
    news = tmp_path / "news.json"
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        made = worker.Worker(engine, tmp_path / "work", printed(accounts.env), 1, print, f"cp /dev/stdin '{news}'")
        assert taken(made) == 0.0
    kept = reports.last(engine, "acme")
    (ended,) = figures.turns_of(engine, "acme")
    report = json.loads(kept["report.json"])
    many = report["verdict"]["need_attention"]
    assert kept["report.html"].startswith(b"<!") and ended.verdict["attention"] == many > 0
    assert ended.verdict["lost_in_arrived"] == report["verdict"]["lost_in_arrived"] and ended.verdict["failed"] == report["verdict"]["failed"]
    assert ended.verdict["needing"] == digest(sorted(attention(report)))
    told = json.loads(news.read_text(encoding="utf-8"))
    assert (told["name"], told["stage"], told["what"], told["code"]) == ("acme", "sample", "attention", 1)
    assert told["reason"].startswith(counted(many, "finding"))


@pytest.mark.fleet
def test_a_stop_while_a_report_is_kept_changes_no_end(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """A turn whose process has ended has ended so, whatever happens until that is entered and told: its yes is said, its report kept, and people hear of it."""
    typed(url, "add", "acme", str(checkout(tmp_path / "project", FEW) / SPEC))
    typed(url, "start", "acme", "sample", "--yes")
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'fleet.reports'::regclass"

    counts, cancelled = threading.Event(), threading.Event()

    def looked(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "turns.code IN" in statement:  # for what was found before: only for the news
            counts.set()
            cancelled.wait(60)

    sa.event.listen(engine, "before_cursor_execute", looked)

    async def stopped(made: worker.Worker) -> None:
        taking = asyncio.create_task(worker.turn(made, "acme", members.member(engine, "acme").job))
        with engine.begin() as held:
            held.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE fleet.reports"))
            await asyncio.to_thread(postgres.wait_for, "a report to keep", lambda: postgres.execute(url, waits), 60)
            taking.cancel()
            await asyncio.sleep(0.3)
        await asyncio.to_thread(counts.wait, 60)
        taking.cancel()
        await asyncio.sleep(0.3)
        cancelled.set()
        await taking
        assert made.telling
        await asyncio.wait(made.telling, timeout=30)

    news = tmp_path / "news.json"
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        asyncio.run(stopped(worker.Worker(engine, tmp_path / "work", printed(accounts.env), 1, print, f"cp /dev/stdin '{news}'")))
    of, (ended,) = members.member(engine, "acme"), figures.turns_of(engine, "acme")
    assert (of.state, ended.code) == ("idle", 1) and of.goal is not None and not of.goal.yes, ended
    assert reports.last(engine, "acme") and json.loads(news.read_text(encoding="utf-8"))["what"] == "attention"


def test_a_turn_that_leaves_no_report_keeps_the_last(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """A plan has none, and what a turn has left is read from its own folder."""
    added(url, tmp_path, "plan")
    turn = turns.begin(engine, members.member(engine, "acme"), "plan", "a:1", time.time())
    (tmp_path / "report.json").write_bytes(b"{}")
    made = worker.Worker(engine, tmp_path / "work", Secrets(), 1, print)
    for found in ({"code": 1, "files": {"json": "report.json"}, "verdict": {"run": 1}}, {"code": 0}):
        ended, verdict = asyncio.run(worker._left(made, "acme", turn, tmp_path, found, ""))
        assert (ended.code, verdict) == (found["code"], found.get("verdict", {}))
        assert reports.last(engine, "acme") == {"report.json": b"{}"}


@pytest.mark.fleet
def test_the_same_findings_in_another_order_call_nobody(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """Which of them was entered first is a matter of who answered first."""
    added(url, tmp_path, "sample")
    news = tmp_path / "news.json"
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        made = worker.Worker(engine, tmp_path / "work", printed(accounts.env), 1, print, f"cp /dev/stdin '{news}'")
        for what in ("attention", "attention", "done"):  # of the sample, of a verification, of another one
            taken(made)
            told = json.loads(news.read_text(encoding="utf-8"))
            assert told["what"] == what, told
            postgres.execute(url, "UPDATE etl_acme.findings SET id = 100000 - id")
            typed(url, "start", "acme", "verify")
    assert told["reason"].endswith("findings need attention, the same as before")


def test_a_stop_while_an_end_is_entered_keeps_no_news(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """Who is needed for a migration hears of it, though its worker ends in the moment in which that is entered."""
    added(url, tmp_path, "sample")
    news = tmp_path / "news.json"
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def stopped(made: worker.Worker) -> None:
        of = members.member(engine, "acme")
        assert of.goal is not None
        begun = turns.begin(engine, of, "sample", "a:1", time.time())
        with engine.begin() as held:
            held.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0; SELECT 1 FROM fleet.migrations FOR UPDATE"))
            taking = asyncio.create_task(worker._taken(made, of, of.goal, begun, time.time()))
            await asyncio.to_thread(postgres.wait_for, "an end to enter", lambda: postgres.execute(url, waits), 60)
            taking.cancel()
            await asyncio.sleep(0.3)
        await asyncio.gather(taking, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.gather(*made.telling)

    asyncio.run(stopped(worker.Worker(engine, tmp_path / "work", Secrets(command="true"), 1, print, f"cp /dev/stdin '{news}'")))
    assert members.member(engine, "acme").state == "waiting"
    assert json.loads(news.read_text(encoding="utf-8"))["what"] == "failed"


class Spent(BaseHTTPRequestHandler):
    """An account whose calls of the day are made."""

    def do_GET(self) -> None:
        """One refusal."""
        said = json.dumps([{"error-code": "E000002", "description": "no more today"}]).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_pause_lasts_until_the_moment_that_is_said(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """A turn whose account has spent its day goes on when the next one begins, and says when that is."""
    added(url, tmp_path, "sample")
    server = HTTPServer(("127.0.0.1", 0), Spent)
    with loopback.serving(server):
        where = f"http://127.0.0.1:{server.server_port}"
        env = {**ENV, "STEL_ORDER_BASE_URL": f"{where}/app", "PIPEDRIVE_BASE_URL": where}
        at = taken(worker.Worker(engine, tmp_path / "work", printed(env), 1, print))
    of = members.member(engine, "acme")
    assert of.state == "paused" and of.at == at and figures.turns_of(engine, "acme")[0].code == 75, of
    assert f"from {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" in of.reason


def edited(accounts: Pair) -> None:
    """Somebody has given a row of ours another name."""
    there = accounts.destination
    row = max(there.dump()["organizations"], key=lambda row: row["id"])  # the last one: ours
    where = f"{there.base_url}/api/v2/organizations/{row['id']}"
    loopback.request("PATCH", where, headers={"x-api-token": there.key}, json={"name": "Somebody's own"}).raise_for_status()


@pytest.mark.journeys
def test_a_rollback_says_what_it_has_kept(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """What people have edited stays; how many rows that are is the reason, and which they are is its report, in place of the one before."""
    added(url, tmp_path, "sample")
    news = tmp_path / "news.json"
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        made = worker.Worker(engine, tmp_path / "work", printed(accounts.env), 1, print, f"cp /dev/stdin '{news}'")
        taken(made)
        assert "records" in json.loads(reports.last(engine, "acme")["report.json"])
        edited(accounts)
        typed(url, "start", "acme", "rollback", "--yes")
        taken(made)
    undone, _ = figures.turns_of(engine, "acme")
    many = undone.verdict["kept"]  # with the rows that belong to it
    assert many > 1 and (undone.code, undone.reason) == (1, f"{many} rows were kept, 0 failed"), undone
    told = json.loads(news.read_text(encoding="utf-8"))
    assert (told["what"], told["reason"]) == ("attention", f"{undone.reason} – etl fleet report acme --out DIR")

    typed(url, "report", "acme", "--out", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "report.json", "report.csv"}
    kept = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    Draft202012Validator(SHAPE).validate(kept)
    assert len(kept["kept"]) == many and kept["undone"] == undone.verdict["undone"] and kept["failed"] == []
    with (tmp_path / "out/report.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = [*csv.DictReader(file)]
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert [(row["object"], row["key"], row["reason"]) for row in kept["kept"]] == [(row["object"], row["key"], row["reason"]) for row in lines]
    assert all(row["key"] in page and row["what"] == "kept" for row in lines) and f"{many} kept, 0 failed" in page


def test_a_report_of_a_rollback_is_text_only(tmp_path: Path) -> None:
    """What a platform has said, or a row is called by, is neither markup, nor a formula, nor half a character."""
    rows = (Kept("o", "c/\ud800<b>", "=1+1 <script>"),)
    files = left(RollbackResult(3, 1, (), rows, {}, 0.0, "calls"), Told("c & d", "A & B", "live", "2026-01-31 10:20:30 UTC", "rollback"), tmp_path)
    page, table = (Path(files[kind]).read_text(encoding="utf-8-sig") for kind in ("html", "csv"))
    assert "<script" not in page and "A &amp; B" in page and "1 write taken back, 0 kept, 1 failed" in page
    assert table.splitlines()[1] == "failed,o,c/?<b>,'=1+1 <script>"
    found = json.loads(Path(files["json"]).read_text(encoding="utf-8"))
    Draft202012Validator(SHAPE).validate(found)
    assert found["failed"] == [{"object": "o", "key": "c/?<b>", "reason": "=1+1 <script>"}]
    assert (found["migration"], found["generated_at"]) == ("c & d", "2026-01-31 10:20:30 UTC") and "c &amp; d, 2026-01-31 10:20:30 UTC" in page
    assert all(Path(file).stat().st_mode & 0o077 == 0 for file in files.values())


def test_a_report_of_a_rollback_that_cannot_be_written_ends_it_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was taken back was taken back; the worker's log says which file is missing."""
    (tmp_path / "report.json").mkdir()
    assert {*left(RollbackResult(3, 1, (), (), {}, 0.0, "calls"), Told("a", "A", "live", "", "rollback"), tmp_path)} == {"html", "csv"}
    assert "report.json cannot be written: Is a directory" in capsys.readouterr().err


@pytest.mark.fleet
def test_a_limit_is_counted_by_the_platforms_word(tmp_path: Path) -> None:
    """What a plan needs of a limit and what is spent of it are called the same."""
    spec = checkout(tmp_path / "project", FEW) / SPEC
    with pair(source=KEYS, destination=KEYS, size=8) as accounts:
        planned = asyncio.run(turn("plan", spec, accounts.env))
    needed = {(use["account"], use["limit"]): use["unit"] for use in planned["verdict"]["limits"]}
    spent = {(use["account"], use["limit"]): use["unit"] for use in planned["today"]}
    assert {*needed.values()} == {"calls", "tokens"} and spent and spent.items() <= needed.items(), (needed, spent)


@pytest.mark.parametrize(
    ("secrets", "work", "what"),
    [(Secrets(command="true"), "work", ["failed"]), (Secrets(command="false"), "work", ["retrying"]), (Secrets(command="true"), "a file", [])],
    ids=["a person is needed", "it is tried again", "another worker goes on"],
)
def test_a_turn_is_news_unless_it_goes_on_elsewhere(
    url: str, engine: sa.Engine, tmp_path: Path, secrets: Secrets, work: str, what: list[str]
) -> None:
    """Nobody is called for a turn that went back into the queue."""
    added(url, tmp_path, "sample")
    (tmp_path / "a file").touch()
    news = tmp_path / "news"
    taken(worker.Worker(engine, tmp_path / work, secrets, 1, print, f"sh -c 'cat >> {news}; echo >> {news}'"))
    told = news.read_text(encoding="utf-8").splitlines() if news.exists() else []
    assert [json.loads(line)["what"] for line in told] == what


def test_a_command_for_secrets_that_fails_is_asked_again(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """As a platform that does not answer, with the same pauses, and then a person is needed; where it gives them again, nobody is."""
    added(url, tmp_path, "sample")
    broken, pauses = worker.Worker(engine, tmp_path / "work", Secrets(command="false"), 1, print), []
    for _ in (*AFTER_REFUSAL, 0.0):
        began = time.time()
        at = taken(broken)
        pauses.append(at and round(at - began, -1))
        asked = members.member(engine, "acme")
        postgres.execute(url, "UPDATE fleet.migrations SET at = 0")
    assert pauses == [*AFTER_REFUSAL, 0.0]
    assert asked.state == "waiting" and asked.reason.endswith("in the worker's log (tried 6 times)"), asked
    assert {turn.code for turn in figures.turns_of(engine, "acme")} == {3}


# -- faults of ours


def test_a_fault_in_a_turn_says_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its kind goes to the operator and its place to the worker's log; what it says may be of a record."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)

    of_a_record = "Ana" + "'s telephone"  # the line is in the log, what it says is not

    def say(_: Mapping[str, Any]) -> None:
        raise RuntimeError(of_a_record)

    order = {"spec": str(checkout(tmp_path / "project") / SPEC), "store": str(tmp_path / "store.sqlite"), "stage": "verify"}
    assert carried_out(order, say, Heard(), Far(say)) == {"code": 70, "reason": "internal error in etl: RuntimeError"}
    said = capsys.readouterr().err
    assert "test_ends.py" in said and "raise RuntimeError(of_a_record)" in said and "Ana" not in said


def test_a_fault_in_a_worker_is_tried_again(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """Its turn has crashed, as one whose process has; the reason says its kind, and the worker's log the rest."""
    added(url, tmp_path, "sample")
    said: list[str] = []
    secrets: Any = None
    assert taken(worker.Worker(engine, tmp_path / "work", secrets, 1, said.append)) > time.time()
    of = members.member(engine, "acme")
    assert (of.state, of.failures, of.reason) == ("retrying", 1, "internal error in etl: AttributeError")
    assert said[0].startswith("acme: AttributeError: 'NoneType' object")


# -- the process itself

STUCK = """
import signal, threading, time
from fleet import turn

turn.SILENCE = turn.ENDS = 0.3
signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=turn._until_the_worker_ends, args=(turn.listening(),), daemon=True).start()
time.sleep(60)
"""
CHATTING = """
import os
from fleet import turn

say = turn._voice()
print("a step of one's own", flush=True)
os.write(1, b"and a library\\n")
say({"now": 1})
"""


def test_a_turn_that_cannot_be_interrupted_ends_all_the_same() -> None:
    """Where its worker is gone and its calls do not end, it is over by itself after its half minute."""
    with subprocess.Popen([sys.executable, "-c", STUCK], stdin=subprocess.PIPE) as stuck:
        assert stuck.wait(30) == 130


def test_what_a_step_prints_is_no_word_to_the_worker() -> None:
    """It goes to the worker's log, whoever prints it."""
    done = subprocess.run([sys.executable, "-c", CHATTING], capture_output=True, check=True)
    assert done.stdout == b'{"now": 1}\n' and done.stderr == b"a step of one's own\nand a library\n"
