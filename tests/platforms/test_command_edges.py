"""The edges of the command line: what cannot be written, printed or read ends a command with one clear line."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.cli.options import interval, records, until
from engine.errors import StoreError, UsageError
from engine.report.document import private
from engine.store.tables import open_store
from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.project import (
    Project,
    call,
    mapped,
    migration,
    project,
    readable,
    writable,
)

ETL = (sys.executable, "-m", "workbench")


@pytest.fixture
def trial(serve: Serve, tmp_path: Path) -> Project:
    """Two people who become contacts."""
    return contacts(serve, tmp_path, [{"id": at, "name": f"Person {at}"} for at in (1, 2)])


def contacts(serve: Serve, tmp_path: Path, people: list[dict[str, Any]]) -> Project:
    """People who become contacts."""
    platform = serve(people=people, contacts=[])
    source = {"people": readable("people", name="text")}
    destination = {"contacts": writable("contacts", ["name"], name="text")}
    objects = {"contacts": mapped("people", "contacts", {"name": "name"})}
    return project(tmp_path, platform, source, destination, migration(objects))


def started(trial: Project, *words: str, **more: Any) -> subprocess.Popen[bytes]:
    """`etl` as a process of its own."""
    return subprocess.Popen([*ETL, *words], cwd=trial.folder, env={**os.environ, **trial.env}, stderr=subprocess.PIPE, **more)


def outcomes(trial: Project) -> list[str]:
    """What the store says of each run."""
    return [run["outcome"] for run in trial.etl("status", "--json", code=0).data()["runs"]]


def test_a_reader_that_has_gone_voids_no_sample(trial: Project) -> None:
    """`etl run --sample | head -0`: the run is done, its outcome saved, the sample can be approved."""
    read, write = os.pipe()
    os.close(read)
    process = started(trial, "run", "spec.yaml", "--sample", "--env", "live", stdout=write)
    os.close(write)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in told, b"Exception" in told) == (0, False, False)
    assert outcomes(trial) == ["done"]
    trial.etl("approve", "--by", "me", code=0)


def test_status_says_that_there_were_more_runs(trial: Project) -> None:
    """A screen lists the last ten and says so; a program gets all of them."""
    for _ in range(11):
        trial.etl("plan", code=0)
    done = trial.etl("status", code=0)
    assert "The last 10 of 11 runs; --json lists all" in done.out
    assert len(outcomes(trial)) == 11


def test_status_says_what_each_run_found(trial: Project) -> None:
    """Records that a verification misses, and fields that it finds changed, are no findings: they are told with the run all the same."""
    trial.full()
    assert "Run 1, run: 2 of 2 records arrived\n" in trial.etl("status", code=0).out
    gone, _ = trial.platform.tables["contacts"]
    trial.platform.tables["contacts"].remove(gone)
    trial.platform.tables["contacts"][0]["name"] = "Changed by people"
    trial.verify(code=1)
    trial.etl("plan")
    told = trial.etl("status", code=0).out
    assert re.search(r"1 +run .* done\n", told) and re.search(r"2 +verify .* done, 2 need attention\n", told)
    assert "Run 2, verify: 1 of 2 records arrived; 1 missing, 1 field changed by people: see `etl report`" in told
    found = [run["verdict"] for run in trial.etl("status", "--json", code=0).data()["runs"]]
    assert [one and one["need_attention"] for one in found] == [0, 2, None]
    trial.etl("rollback", "--yes")
    assert "Run 2, verify" not in trial.etl("status", code=0).out


def test_status_says_that_a_run_failed(trial: Project) -> None:
    """The last run stands there as failed, with why; one that is done, or was killed, does not."""
    trial.full()
    trial.platform.before.append(lambda _, request: Answer(401) if request.reads("people") else None)
    assert trial.etl("run", "--refresh").code
    told = trial.etl("status", code=0).out
    assert re.search(r"1 +run .* done\n", told)
    assert re.search(r"2 +run .* failed: .*refuse", told), told


def test_a_verification_counts_nothing_that_it_does_not_do(trial: Project) -> None:
    """A run says how many rows it made, `verify` has no such number, on the screen and in its report."""
    assert trial.full()["verdict"]["created"] == 2
    assert "created" in trial.run("--delta", code=0)["verdict"]
    assert not {"created", "updated", "unchanged", "adopted", "deleted"} & trial.verify(code=0)["verdict"].keys()
    assert "created" not in trial.etl("verify", code=0).out


def test_what_is_no_file_keeps_its_rights(trial: Project, tmp_path: Path) -> None:
    """A device or a pipe is refused as a store, and as the place of a report keeps its rights: others use it too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    done = trial.etl("run", "--sample", "--store", str(pipe), code=5)
    assert "a store is a file" in done.err
    private(pipe)
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666
    assert list(tmp_path.glob("pipe*")) == [pipe]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_a_stream_that_is_closed_is_no_fault(trial: Project, closed: str) -> None:
    """`etl run … >&-` does its work and keeps its store, though nobody can be told."""
    words = "run spec.yaml --sample --env live"
    program = f"{sys.executable} -m workbench {words} {closed}"
    environment = {**os.environ, **trial.env}
    done = subprocess.run(
        program, shell=True, cwd=trial.folder, env=environment, timeout=60, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert trial.platform.tables["contacts"]
    trial.etl("status", code=0)


@pytest.mark.parametrize(
    ("answer", "code"), [("</dev/null", 2), ("<&-", 2), ("<answer", 0)], ids=["nothing", "closed", "a piped yes"]
)
def test_a_question_that_nobody_can_answer_is_told(trial: Project, answer: str, code: int) -> None:
    """`etl rollback </dev/null`, as cron starts it: code 2 and what to add; a piped answer is taken."""
    trial.run("--sample", code=0)
    (trial.folder / "answer").write_text("y\n")
    program = f"{sys.executable} -m workbench rollback spec.yaml --env live {answer}"
    environment = {**os.environ, **trial.env}
    done = subprocess.run(
        program, shell=True, cwd=trial.folder, env=environment, timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert bool(trial.platform.tables["contacts"]) == bool(code)
    if code:
        assert done.stderr.endswith("\netl: cannot ask here – add --yes\n") or answer == "<&-"
        assert "cannot ask here – add --yes" in done.stderr and "interrupted" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_behind_the_output_voids_no_sample(trial: Project) -> None:
    """Code 2 and one line that says where to look; the run itself is saved."""
    with Path("/dev/full").open("wb") as full:
        process = started(trial, "run", "spec.yaml", "--sample", "--env", "live", stdout=full)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"the output cannot be written" in told and b"Traceback" not in told
    assert outcomes(trial) == ["done"]


def test_a_report_that_cannot_be_written_is_told(trial: Project) -> None:
    """A file where the report's folder should be: the run is saved, its summary printed, the code is 2."""
    (trial.folder / "var").mkdir()
    (trial.folder / "var" / "trial.live.report").write_text("")
    done = trial.etl("run", "--sample", code=2)
    assert "2 of 2 records arrived" in done.out and "report.html cannot be written" in done.out
    assert outcomes(trial) == ["done"]


@pytest.mark.parametrize("raw", [b"FOO=caf\xe9\n", "FOO=1\n".encode("utf-16"), b"\xff\xfe\x00"], ids=["latin", "utf-16", "bytes"])
def test_an_env_file_in_another_encoding_is_told(trial: Project, raw: bytes) -> None:
    """With its place, by every command."""
    (trial.folder / ".env").write_bytes(raw)
    done = trial.etl("status", code=2)
    assert ".env:1:" in done.err and "not UTF-8" in done.err


def test_a_folder_called_env_is_no_file(trial: Project) -> None:
    """It is passed over."""
    (trial.folder / ".env").mkdir()
    trial.etl("run", "--sample", code=0)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--sample", "²"),
        ("run", "--sample", "9" * 5000),
        ("run", "--delta", "--every", "²m"),
        ("run", "--delta", "--every", "99999999999999999999h"),
        ("run", "--delta", "--every", "15m", "--until", "noon"),
        ("rollback", "--yes", "--run", "99999999999999999999"),
        ("rollback", "--yes", "--run", "-1"),
        ("status", "--store", "postgresql+psycopg://u:canary-1234@[::1/x"),
        ("status", "--store", "nosuch://u:canary-1234@h/x"),
        ("status", "--store", "postgresql://h:canary-1234/x?password=canary-1234"),
        ("status", "--store", "postgresql://u:canary-1234@127.0.0.1:1/x?password=canary-1234&sslmode=canary"),
        ("status", "--store", "sqlite:////proc/nowhere/x.sqlite"),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_an_option_that_makes_no_sense_is_told(trial: Project, words: tuple[str, ...]) -> None:
    """Usage, or the store: never a fault of ours, and no password."""
    done = trial.etl(*words)
    assert done.code in (2, 5) and "canary-1234" not in done.err.replace("h:canary-1234", "")
    assert len(done.err) < 6000


@pytest.mark.parametrize("written", ["1e5", "٣", "１２", "-1", "0x10", "1_0", " 1", ""])
def test_digits_that_are_none(written: str) -> None:
    """Only plain digits are a number on the command line."""
    with pytest.raises(UsageError):
        interval(f"{written}m")
    if written:
        with pytest.raises(UsageError):
            records(None, None, written)  # type: ignore[arg-type]


def test_a_moment_at_the_edge_of_the_calendar() -> None:
    """The first and the last year are moments like any other."""
    assert until("0001-01-01T00:00+14:00") < 0 < until("9999-12-31T23:59-14:00")


def refusing(text: str) -> Any:
    """A platform that refuses everything with a message."""

    def hook(_: Platform, request: Request) -> Answer | None:
        return Answer(401, {"error": text}) if request.reads("people") else None

    return hook


def test_what_a_stranger_says_moves_no_cursor(trial: Project) -> None:
    """Escape sequences of an answer are shown, not sent to the terminal; those of an option too."""
    trial.platform.before.append(refusing("\x1b]0;PWNED\x07\x1b[2J\u202e"))
    for done in (trial.etl("run", "--sample"), call(trial.folder, trial.env, "run", "\x1b[2J.yaml", "--nosuch\x1b[2J")):
        assert done.code in (2, 3)
        assert not set("\x1b\x07\u202e") & set(done.err)


def test_a_crash_finds_a_place_for_its_details(trial: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder var/ can be made: the details go elsewhere; with no place at all their last line is told."""

    def broken(*_: Any, **__: Any) -> None:
        raise LookupError("canary")

    monkeypatch.setattr("engine.cli.opening.load_migration", broken)
    (trial.folder / "var").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder, said in ((elsewhere, str(elsewhere)), (tmp_path / "nowhere", "LookupError: canary")):
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        done = call(trial.folder, trial.env, "status", "spec.yaml")
        assert done.code == 70 and said in done.err and "Traceback" not in done.err


def test_an_interrupt_that_cuts_the_store_off_is_one(trial: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ctrl-C came within a transaction, so that the end cannot be recorded, the command says that it was interrupted."""

    def cut(*_: Any, **__: Any) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise StoreError("the store failed: database is locked")

    monkeypatch.setattr("engine.cli.opening.load_migration", cut)
    done = call(trial.folder, trial.env, "status", "spec.yaml")
    assert done.code == 130 and "run the same command again to continue" in done.err


def test_letters_that_a_stream_cannot_take(trial: Project) -> None:
    """Half a character and a letter beyond ASCII are printed as far as they can be."""
    trial.platform.tables["people"][0]["name"] = "\ud800ñ"
    with_ascii = {**os.environ, **trial.env, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    words = [*ETL, "run", "spec.yaml", "--sample", "--env", "live", "--json"]
    done = subprocess.run(words, cwd=trial.folder, env=with_ascii, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "ñ" in done.stdout.decode()


@pytest.mark.parametrize("wait", [0.03, 0.1, 0.3])
def test_whoever_interrupts_a_start_sees_no_traceback(trial: Project, wait: float) -> None:
    """Ctrl-C at any moment of the start, while modules are read too."""
    program = "import time, threading, os, signal, sys\nfrom workbench.__main__ import main\n"
    program += f"threading.Timer({wait}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
    program += "sys.argv = ['etl', 'run', 'spec.yaml', '--sample', '--env', 'live']\nmain()\n"
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=trial.folder, env={**os.environ, **trial.env}, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode in (130, 0, -signal.SIGINT)


def test_whoever_ends_a_run_is_told_as_with_an_interrupt(trial: Project) -> None:
    """`kill` without -9: what was sent is recorded, and the next run makes nothing twice."""
    first = threading.Event()

    def slow(_: object, request: Request) -> None:
        if request.method == "POST":
            first.set()
            time.sleep(0.3)

    trial.platform.before.append(slow)
    with started(trial, "run", "spec.yaml", "--sample", "--env", "live") as process:
        assert first.wait(30)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"interrupted; what was done is saved" in err
    trial.platform.before.clear()
    assert outcomes(trial) == ["interrupted"]
    trial.full()
    assert len(trial.platform.tables["contacts"]) == len(trial.platform.tables["people"])


@pytest.mark.parametrize("command", [("rollback", "--yes"), ("rollback", "--dry-run"), ("verify",)])
def test_a_store_without_a_run_is_told(trial: Project, command: tuple[str, ...]) -> None:
    """A misspelt --store is not taken for one in which nothing is left to do."""
    trial.full()
    done = trial.etl(*command, "--store", "misspelt.sqlite", code=2)
    assert "misspelt" not in done.out and "--store" in done.err


def test_a_store_in_which_nothing_is_left_is_told(trial: Project) -> None:
    """After a rollback there is nothing to verify, which is said with what to run; a mere look at one is none."""
    trial.full()
    trial.etl("rollback", "--dry-run", code=0)
    assert trial.etl("verify", code=0).out
    trial.etl("rollback", "--yes", code=0)
    done = trial.etl("verify", code=2)
    assert "was rolled back" in done.err and "etl run spec.yaml --sample --env live" in done.err
    assert trial.etl("status", "--json", code=0).data()["rolled_back"] is True
    assert "Rolled back: no row is left" in trial.etl("status", code=0).out
    trial.full()
    trial.etl("verify", code=0)


def test_a_rollback_that_is_declined_changes_nothing(trial: Project) -> None:
    """`n` ends with the code of what people stop, and says how many rows stay; nothing counts as rolled
    back, and a delta goes on.
    """
    trial.full()
    rows = len(trial.platform.tables["contacts"])
    calls = len(trial.platform.log)
    done = trial.etl("rollback", code=130, said="n\n")
    assert f"Undo what etl wrote to {rows} rows in " in done.err
    assert f"Nothing was removed; {rows} rows stay." in done.err
    assert len(trial.platform.log) == calls  # nothing is looked at before the answer
    assert len(trial.etl("status", "--json", code=0).data()["runs"]) == 1
    found = trial.etl("status", "--json", code=0).data()
    assert found["rolled_back"] is False
    assert "Rolled back" not in trial.etl("status", code=0).out
    trial.delta(code=0)
    trial.verify(code=0)
    trial.platform.log.clear()
    trial.etl("rollback", code=0, said="y\n")
    read = [one.query.get("offset") for one in trial.platform.calls("GET", "contacts")]
    assert read.count("0") == 1  # the list, from its first page, once
    assert trial.platform.tables["contacts"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Undo what etl wrote to 2 rows in .*; what people have edited since stays "),
        (("--run", "2"), "Undo what run 2 wrote to 1 row in .*; what people have edited since stays "),
        (("--force",), "Undo what etl wrote to 2 rows in .*; what people have edited since goes as well "),
    ],
)
def test_the_question_before_a_rollback_says_what_it_takes(trial: Project, options: tuple[str, ...], words: str) -> None:
    """Rows are counted, not writes; what a run wrote, and what becomes of the work of people, is said."""
    trial.full()
    trial.platform.tables["people"][0]["name"] = "Changed in the source"
    trial.delta(code=0)
    assert re.search(words, trial.etl("rollback", *options, code=130, said="n\n").err)
    looked = trial.etl("rollback", "--dry-run", code=0).out
    assert "A rollback would: delete the rows of 2 writes; pass over 1 write to rows that go. Nothing was changed" in looked


def test_people_who_edit_while_a_question_waits_keep_their_work(trial: Project) -> None:
    """What stays is looked for after the answer."""
    trial.full()
    program = f"{sys.executable} -m workbench rollback spec.yaml --env live"
    asking = subprocess.Popen(
        program.split(), cwd=trial.folder, env={**os.environ, **trial.env}, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asking.stdin and asking.stderr
    assert "Undo what etl wrote to 2 rows" in asking.stderr.read(60)
    trial.platform.tables["contacts"][0]["name"] = "Changed by people"
    asking.communicate("y\n", timeout=60)
    assert asking.returncode == 1
    assert [row["name"] for row in trial.platform.tables["contacts"]] == ["Changed by people"]


def test_what_is_kept_is_one_number(trial: Project) -> None:
    """A rollback and the status after it say the same of how many rows stay, however often each was written."""
    trial.full()
    for name in ("Once", "Twice"):
        trial.platform.tables["people"][0]["name"] = name
        trial.delta(code=0)
    for row in trial.platform.tables["contacts"]:
        row["name"] += " changed by people"
    kept = trial.etl("rollback", "--yes", "--json", code=1).data()["kept"]
    assert [key for _, key, _ in kept] == ["people/2", "people/1"]
    assert "Rolled back: 2 rows were kept;" in trial.etl("status", code=0).out
    assert trial.etl("status", "--json", code=0).data()["kept"] == 2


def test_one_row_that_stays_is_one(trial: Project) -> None:
    """A rollback that is declined, and the status after one that is not, say of one row that it stays."""
    del trial.platform.tables["people"][1]
    trial.full()
    trial.platform.tables["people"][0]["name"] = "Changed in the source"
    trial.delta(code=0)
    declined = trial.etl("rollback", code=130, said="n\n")
    assert "Nothing was removed; 1 row stays." in declined.err
    trial.platform.tables["contacts"][0]["name"] = "Changed by people"
    trial.etl("rollback", "--yes", code=1)
    assert "Rolled back: 1 row was kept;" in trial.etl("status", code=0).out


def test_what_a_rollback_has_kept_is_verified(trial: Project) -> None:
    """A row that people changed stays; it is compared, and what was taken back is not called missing."""
    trial.full()
    trial.platform.tables["contacts"][0]["name"] = "Changed by people"
    trial.etl("rollback", "--yes", code=1)
    report = trial.verify()
    states = next(row["states"] for row in report["objects"] if row["object"] == "contacts")
    assert states == {"arrived": 1}


def test_an_export_of_nothing_is_told(trial: Project) -> None:
    """A store in which nothing stands yet leaves no empty tables, and a line with what to run first."""
    trial.full()
    place = trial.folder / "empty.sqlite"
    open_store(str(place)).close()
    done = trial.etl("export", "--out", "tables", "--store", str(place), code=2)
    assert "nothing to export" in done.err and "etl run spec.yaml --sample --env live" in done.err
    assert not (trial.folder / "tables").exists()
    done = trial.etl("export", "--out", "tables", code=0)
    assert "files in tables" in done.out and "only people" not in done.err


def test_a_run_that_there_is_not_is_told(trial: Project) -> None:
    """Nobody is asked whether nothing shall be undone."""
    trial.full()
    done = trial.etl("rollback", "--run", "77", code=2)
    assert "no run 77" in done.err and "?" not in done.err
    assert len(trial.platform.tables["contacts"]) == 2


def test_a_broken_line_of_an_env_file_is_told(trial: Project) -> None:
    """With its place, in one message."""
    (trial.folder / ".env").write_text("FOO=1\nfoo bar\n")
    done = trial.etl("status", code=2)
    assert ".env:2:1:" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(("environment", "told"), [("sandbox", "no emulator of source and destination"), ("live", "SOURCE_URL")])
def test_accounts_that_cannot_be_had_leave_no_store(trial: Project, environment: str, told: str) -> None:
    """The refusal comes before anything is made for the accounts."""
    env = {name: value for name, value in trial.env.items() if not name.endswith("_URL")}
    done = call(trial.folder, env, "run", "spec.yaml", "--sample", "--env", environment)
    assert done.code == 2 and told in done.err, str(done)
    assert not (trial.folder / "var").exists()


def test_a_delta_does_not_fill_an_account_that_was_rolled_back(trial: Project) -> None:
    """A delta that goes on by a schedule after a rollback is refused; a run, or --yes, begins again."""
    trial.full()
    trial.rollback(code=0)
    done = trial.etl("run", "--delta", code=4)
    assert "was rolled back" in done.err
    assert trial.platform.tables["contacts"] == []
    trial.delta("--yes", code=0)
    made = len(trial.platform.tables["contacts"])
    assert made > 0
    trial.rollback(code=0)
    trial.run(code=0)
    trial.delta(code=0)
    assert len(trial.platform.tables["contacts"]) == made


def test_a_report_of_what_was_taken_back_says_so(trial: Project) -> None:
    """`etl report` shows what the last run left; whether a rollback has come since is told beside it."""
    trial.full(code=0)
    assert "taken this back" not in trial.etl("report", code=0).err
    trial.rollback(code=0)
    assert "a rollback has taken this back since; etl status" in trial.etl("report", code=0).err


def test_a_rollback_of_one_run_is_none_of_everything(trial: Project) -> None:
    """What a later run made stands: a status says nothing else, and a report of it counts."""
    trial.full(code=0)
    trial.rollback(code=0)
    trial.full(code=0)
    trial.etl("rollback", "--run", "1", "--yes", code=0)
    assert len(trial.platform.tables["contacts"]) == 2
    assert not trial.etl("status", "--json", code=0).data()["rolled_back"]
    assert "Rolled back" not in trial.etl("status", code=0).out
    assert "taken this back" not in trial.etl("report", code=0).err


def test_a_refused_run_leaves_nothing_to_verify(serve: Serve, tmp_path: Path) -> None:
    """What it planned nobody has tried to write: a verification judges what was written before, and finds it whole."""
    people = [{"id": at, "name": f"Person {at}"} for at in range(1, 31)]
    trial = contacts(serve, tmp_path, people)
    (tmp_path / "ungated").touch()
    trial.etl("run", "--sample", "12", code=0)
    trial.write_spec(migration({"contacts": mapped("people", "contacts", {"name": {"from": "name", "using": "text.upper"}})}))
    assert "would be rewritten" in trial.etl("run", code=4).err
    assert outcomes(trial)[-1].startswith("refused: ")
    verdict = trial.verify(code=None)["verdict"]
    assert (verdict["missing"], verdict["failed"]) == (0, 0) and 12 <= verdict["arrived"] < 30


def test_a_rollback_asks_about_writes_in_doubt(trial: Project) -> None:
    """They may have taken effect, and are then taken back: none goes without an answer."""
    cut = [odd.dropping("contacts", range(1, 100), method) for method in ("POST", "GET")]
    trial.platform.after += [*cut]
    trial.etl("run", "--sample")
    del trial.platform.after[-2:]
    assert len(trial.platform.tables["contacts"]) == 2
    declined = trial.etl("rollback", code=130, said="n\n")
    assert re.search(r"0 rows and [1-9]\d* writes? of no known outcome", declined.err), declined.err
    assert len(trial.platform.tables["contacts"]) == 2
    trial.etl("rollback", code=0, said="y\n")
    assert not trial.platform.tables["contacts"]


def test_a_delta_goes_on_after_a_rollback_of_one_run(trial: Project) -> None:
    """What other runs made stands, which delta and status both say; once nothing does, both say that too."""
    trial.full(code=0)
    trial.platform.tables["people"].append({"id": 3, "name": "Person 3"})
    trial.delta(code=0)
    trial.etl("rollback", "--run", "2", "--yes", code=0)
    assert not trial.etl("status", "--json", code=0).data()["rolled_back"]
    trial.delta(code=0)
    assert len(trial.platform.tables["contacts"]) == 3
    for run in ("4", "1"):
        trial.etl("rollback", "--run", run, "--yes", code=0)
    assert trial.platform.tables["contacts"] == []
    assert trial.etl("status", "--json", code=0).data()["rolled_back"]
    assert "was rolled back" in trial.etl("run", "--delta", code=4).err


def test_a_delta_does_not_refill_what_a_rollback_could_not_empty(trial: Project) -> None:
    """One row that cannot be removed does not make a rollback of everything undone: a delta is refused, and the status says what to do."""
    trial.full(code=0)
    refused = trial.platform.tables["contacts"][0]["id"]

    def refuse(_: Platform, request: Request) -> Answer | None:
        return Answer(422, {"error": "no"}) if request.method == "DELETE" and request.path.endswith(f"/{refused}") else None

    trial.platform.before.append(refuse)
    assert trial.rollback(code=1)["failed"]
    status = trial.etl("status", code=0).out
    assert "Rolled back in part: 1 row still to be removed" in status and "etl rollback" in status
    assert "was rolled back" in trial.etl("run", "--delta", code=4).err


def test_nobody_approves_a_sample_that_was_rolled_back(trial: Project) -> None:
    """It cannot be looked at any more; the refusal names the sample to run. What was approved before stays so."""
    trial.run("--sample", code=0)
    trial.etl("rollback", "--dry-run", code=0)
    trial.etl("approve", "--by", "tester", code=0)
    trial.rollback(code=0)
    done = trial.etl("approve", "--by", "tester", code=4)
    assert "was rolled back since" in done.err and "etl run spec.yaml --sample --env live" in done.err
    trial.run(code=0)


def test_a_rollback_leaves_a_report_of_what_stayed(trial: Project) -> None:
    """Its files are named, say which row stayed and why, and leave the report of the last run alone; `etl report` names the page; a look leaves none."""
    trial.full(code=0)
    trial.platform.tables["contacts"][0]["name"] = "by hand"
    assert trial.etl("rollback", "--dry-run", "--json", code=1).data()["files"] == {}
    done = trial.etl("rollback", "--yes", "--json", code=1).data()
    files = {kind: trial.folder / path for kind, path in done["files"].items()}
    assert {kind: path.name for kind, path in files.items()} == {kind: f"rollback.{kind}" for kind in ("html", "json", "csv")}
    assert "people changed name" in files["html"].read_text() and "contacts,people/1," in files["csv"].read_text(encoding="utf-8-sig")
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "rollback.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(json.loads(files["json"].read_text(encoding="utf-8")))
    report = trial.etl("report", code=0)
    assert "rollback.html" in report.err and report.out.startswith("source to destination: run in live")
    trial.etl("rollback", "--run", "1", "--yes")
    assert "rollback --run 1, run" in files["html"].read_text(encoding="utf-8")
    trial.full(code=None)
    assert "rollback.html" in trial.etl("rollback", "--yes", code=1).out


def test_a_status_counts_what_a_verification_found(trial: Project) -> None:
    """A row that people deleted needs attention in the status too, though no finding says so; a delta that looks at nothing hides it from no one."""
    trial.full(code=0)
    del trial.platform.tables["contacts"][0]
    assert "1 needs attention" in trial.etl("verify", code=1).out
    status = trial.etl("status", code=0).out
    assert "Run 2, verify: 1 of 2 records arrived; 1 missing: see `etl report`" in status
    assert "1 more record needs attention, by the comparison of run 2" in status
    trial.delta()
    later = trial.etl("status", code=0).out
    assert "Run 2, verify: 1 of 2 records arrived; 1 missing: see `etl verify`\nRun 3, run --delta: Nothing had changed" in later


def test_a_report_names_the_mapping_as_the_approval_does(trial: Project) -> None:
    """Whoever looks at a sample can compare the two, on every form of the report."""
    report = trial.run("--sample", code=0)
    digest = trial.etl("approve", "--by", "tester", "--json", code=0).data()["digest"]
    assert report["mapping_digest"] == digest
    assert f"  of mapping {digest[:8]}, as an approval names it" in trial.etl("report", code=0).out


def test_a_rollback_that_was_refused_is_none(trial: Project) -> None:
    """Of a run that is not there, or before anything was migrated: nothing was taken back, and a sample can be approved."""
    trial.run("--sample", code=0)
    trial.etl("rollback", "--run", "99", "--yes", code=2)
    status = trial.etl("status", code=0).out
    assert "refused: there is no run 99" in status and "Rolled back" not in status
    trial.etl("approve", "--by", "tester", code=0)
    trial.verify(code=0)
    other = ("--store", "other.sqlite")
    trial.etl("rollback", "--yes", *other, code=2)
    assert "Rolled back" not in trial.etl("status", *other, code=0).out


def test_a_run_that_was_refused_is_none_after_a_rollback(trial: Project) -> None:
    """It has moved nothing: a delta is still refused, there is nothing to verify, and the status says that everything was rolled back."""
    trial.full(code=0)
    trial.rollback(code=0)
    trial.etl("run", "--sample", "5000", code=4)
    assert "was rolled back" in trial.etl("run", "--delta", code=4).err
    assert "was rolled back" in trial.etl("verify", code=2).err
    assert trial.etl("status", "--json", code=0).data()["rolled_back"]


def test_a_first_run_that_was_refused_leaves_nothing_to_compare(trial: Project) -> None:
    """Nobody has rolled anything back, and a verification does not say so."""
    trial.etl("run", "--sample", "5000", code=4)
    done = trial.etl("verify", code=0)
    assert "No records were compared" in done.out and "rolled back" not in done.out + done.err
