"""`etl connector check` as it is called: its exit codes, what it prints, what it never prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import loopback
from tests.connector.conftest import serving
from tests.emulator import emulator
from tests.workbench.probe.acme import KEY, Acme
from tests.workbench.probe.conftest import FILE

ROOT = Path(__file__).resolve().parents[3]
ROWS = Path(__file__).with_name("rows.yaml")
Etl = Callable[..., tuple[int, str]]
Serve = Callable[..., Acme]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A server that misbehaves in some ways; its address and key stand in trial.env."""
    with ExitStack() as stack:

        def start(*wrong: str, key: str = KEY) -> Acme:
            server = Acme(frozenset(wrong))
            base = stack.enter_context(serving(server.app()))
            (tmp_path / "trial.env").write_text(f"ACME_BASE_URL={base}\nACME_KEY={key}\n", encoding="utf-8")
            return server

        yield start


def told(path: Path) -> dict[str, Any]:
    """What --json wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("name", "plan", "address", "key", "words"),
    [
        ("stel_order", "unlimited", "STEL_ORDER_BASE_URL", "STEL_ORDER_API_KEY", []),
        ("pipedrive", "ultimate", "PIPEDRIVE_BASE_URL", "PIPEDRIVE_API_TOKEN", ["--seats", "5", "--write", "--with", str(ROWS)]),
    ],
)
def test_the_shipped_connectors_hold(
    tmp_path: Path, run_etl: Etl, name: str, plan: str, address: str, key: str, words: list[str]
) -> None:
    """Against the emulators nothing is contradicted, every operation is told of, and the account is the same afterwards."""
    with emulator(name, plan=plan, extra_args=("--size", "300")) as running:
        env = tmp_path / "trial.env"
        env.write_text(f"{address}={running.base_url}\n{key}={running.key}\n", encoding="utf-8")
        dump = f"{running.base_url.removesuffix('/app')}/__sandbox__/dump"
        before = loopback.get(dump, timeout=60).text
        file, out = ROOT / "connectors" / f"{name}.yaml", tmp_path / "found.json"
        words = [*words, "--plan", plan, "--env", str(env), "--wrong-key", "--json", str(out)]
        code, text = run_etl("connector", "check", str(file), *words)
        assert (code, [item for item in told(out)["findings"] if item["verdict"] == "contradicted"]) == (0, []), text
        assert loopback.get(dump, timeout=60).text == before
    found = told(out)["findings"]
    subjects = {(item["subject"], item["verdict"]) for item in found}
    lists = {subject for subject, verdict in subjects if subject.startswith("list ") and verdict == "confirmed"}
    if name == "stel_order":
        assert len(lists) == 56 and told(out)["left"] == []
        assert sum(item["claim"] == "since" and "inclusive" in item["detail"] for item in found) >= 20
        assert ("list products", "confirmed") in subjects
    else:
        made = {subject for subject, verdict in subjects if subject.startswith("create ") and verdict == "confirmed"}
        gone = {subject for subject, verdict in subjects if subject.startswith("delete ") and verdict == "confirmed"}
        assert len(made) == len(gone) == 14 and told(out)["left"] == []


def test_a_no_ends_before_any_call(tmp_path: Path) -> None:
    """Whoever declines to have rows made in an account beyond this machine is told that nothing was; the code is that of what people stop."""
    pty = pytest.importorskip("pty")
    env = {**os.environ, "ACME_BASE_URL": "https://acme.invalid", "ACME_KEY": KEY}
    person, terminal = pty.openpty()
    os.write(person, b"n\n")
    try:
        words = [sys.executable, "-m", "workbench", "connector", "check", str(FILE), "--write"]
        done = subprocess.run(words, cwd=tmp_path, env=env | {"PYTHONPATH": str(ROOT)}, stdin=terminal, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(person)
        os.close(terminal)
    assert done.returncode == 130, done.stderr
    assert "Nothing was made or changed." in done.stderr and "interrupted" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_activity_may_take_longer_than_a_day(tmp_path: Path, run_etl: Etl) -> None:
    """A duration is no time of day: one of 101 hours is what the connector of Pipedrive declares."""
    with emulator("pipedrive", plan="ultimate", extra_args=("--size", "100")) as running:
        body = {"subject": "x", "due_date": "2026-01-02", "due_time": "09:30", "duration": "101:30"}
        made = loopback.request("POST", f"{running.base_url}/api/v2/activities", headers={"x-api-token": running.key}, json=body, timeout=30)
        assert made.json()["data"]["duration"] == "101:30:00"
        (tmp_path / "trial.env").write_text(f"PIPEDRIVE_BASE_URL={running.base_url}\nPIPEDRIVE_API_TOKEN={running.key}\n", encoding="utf-8")
        words = ["--env", "trial.env", "--plan", "ultimate", "--only", "activities"]
        code, text = run_etl("connector", "check", str(ROOT / "connectors/pipedrive.yaml"), *words)
    assert code == 0, text
    assert "[contradicted]" not in text


def test_what_nobody_had_confirmed_is_found_out(tmp_path: Path, run_etl: Etl) -> None:
    """Two switches of an emulator: whether a filter is inclusive, and a row that is listed and cannot be read by id."""
    switches = ("--set", "modified_bound=exclusive", "--set", "work_order_by_id=fail")
    with emulator("stel_order", plan="unlimited", extra_args=("--size", "300", *switches)) as running:
        (tmp_path / "trial.env").write_text(f"STEL_ORDER_BASE_URL={running.base_url}\nSTEL_ORDER_API_KEY={running.key}\n", encoding="utf-8")
        words = ["--env", "trial.env", "--plan", "unlimited", "--only", "contacts,workOrders"]
        code, text = run_etl("connector", "check", str(ROOT / "connectors/stel_order.yaml"), *words)
    lines = text.splitlines()
    assert code == 1
    assert any(line.startswith("list contacts") and "since: obeyed in the future, the past and between; exclusive" in line for line in lines)
    told = [line for line in lines if "defaults.read.get: read workOrders: row: a listed row is refused" in line]
    assert len(told) == 1 and "where just workOrders differs" in told[0] and told[0].endswith("[contradicted]")


def test_a_contradiction_is_shown_with_its_line(tmp_path: Path, run_etl: Etl, serve: Serve) -> None:
    """Exit code 1; the place, the line with a caret, what was sent and answered; the same in the JSON file."""
    serve("age_words", "since_ignored")
    out = tmp_path / "found.json"
    code, text = run_etl("connector", "check", str(FILE), "--env", "trial.env", "--only", "contacts", "--json", str(out))
    lines = text.splitlines()
    number = next(n for n, line in enumerate(FILE.read_text(encoding="utf-8").splitlines(), 1) if "age: integer" in line)
    assert code == 1, text
    assert any(line.startswith("Acme at http://127.0.0.1:") and "reads only, 1 resources, at most " in line for line in lines)
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{FILE}:{number}:"))
    assert "rows of contacts: type: age: declared integer, got text in 12 of 12 rows – correct the type" in lines[at]
    assert lines[at + 2].index("^") == lines[at + 1].index("age")
    assert any("GET /contacts?" in line and "since=20" in line and "→ 200 {data: [5 x {id: integer" in line for line in lines)
    places = {item["place"] for item in told(out)["findings"] if item["verdict"] == "contradicted"}
    assert f"{FILE}:{number}:12" not in places and any(place.startswith(f"{FILE}:{number}:") for place in places) and len(places) == 2
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wrong", [("hostile",), ("good_error",), ("bad_state", "missing_400", "filter_ignored"), ("other_select",)])
def test_no_value_and_no_key_is_ever_shown(tmp_path: Path, quick_etl: Etl, serve: Serve, wrong: tuple[str, ...]) -> None:
    """Neither the key, nor what rows hold, nor what could move the cursor; not on the screen and not in the file."""
    serve(*wrong)
    out = tmp_path / "found.json"
    code, text = quick_etl("connector", "check", str(FILE), "--env", "trial.env", "--json", str(out), "--wrong-key")
    both = text + out.read_text(encoding="utf-8")
    assert code == 1
    for secret in (KEY, "Ana", "+34", "u1@acme.example", "calls 1", "blue", "1990-02-03"):
        assert secret not in both
    assert "\x1b" not in text and "\u202e" not in text


def test_a_check_beyond_a_day_s_allowance_does_not_begin(tmp_path: Path, run_etl: Etl, serve: Serve) -> None:
    """Before the first call it says which plan was taken, and what to name; with the right plan, or fewer calls, it goes on."""
    server, path = serve(), tmp_path / "acme.yaml"
    text = FILE.read_text(encoding="utf-8")
    assert "small: 5000" in text
    path.write_text(text.replace("small: 5000", "small: 30"), encoding="utf-8")
    code, told = run_etl("connector", "check", str(path), "--env", "trial.env")
    assert (code, server.calls) == (2, []), told
    assert "paced by --plan small" in told
    assert "the limit 'day' allows 30 to plan small: name the account's own with --plan" in told and "--calls 30" in told

    code, told = run_etl("connector", "check", str(path), "--env", "trial.env", "--calls", "30")
    assert "the limit 'day'" not in told and 0 < len(server.calls) <= 30
    code, told = run_etl("connector", "check", str(path), "--env", "trial.env", "--plan", "large")
    assert "paced by --plan large" in told and len(server.calls) > 30, told


def test_a_check_that_reaches_nobody_says_that_nothing_was_tried(tmp_path: Path, run_etl: Etl) -> None:
    """Where the server cannot be reached, the last line says how many calls were made and that nothing could be tried."""
    (tmp_path / "trial.env").write_text(f"ACME_BASE_URL=http://127.0.0.1:9\nACME_KEY={KEY}\n", encoding="utf-8")
    code, told = run_etl("connector", "check", str(FILE), "--env", "trial.env")
    assert code not in (0, 1) and "acme.yaml: nothing could be tried; " in told, told


def test_a_check_that_fits_unless_calls_are_repeated_begins(tmp_path: Path, run_etl: Etl, serve: Serve) -> None:
    """Where a day has room for each call once, and not for each twice, the check is made and kept within the day."""
    server, path = serve(), tmp_path / "acme.yaml"
    _, told = run_etl("connector", "check", str(FILE), "--env", "trial.env")
    found = re.search(r"at most (\d+) calls", told)
    assert found and len(server.calls) < int(found[1]) // 2
    made, room = len(server.calls), int(found[1]) * 2 // 3
    path.write_text(FILE.read_text(encoding="utf-8").replace("small: 5000", f"small: {room}"), encoding="utf-8")
    _, told = run_etl("connector", "check", str(path), "--env", "trial.env", "--store", "another.sqlite")
    assert len(server.calls) == 2 * made, told
    assert f"of these at most {room} are made, for the limit 'day'" in told


def test_a_check_is_not_begun_that_would_stop_in_the_middle(tmp_path: Path, run_etl: Etl, serve: Serve) -> None:
    """Where a day has no room for each call once, fewer calls that are still too many are refused as all are."""
    server, path = serve(), tmp_path / "acme.yaml"
    _, told = run_etl("connector", "check", str(FILE), "--env", "trial.env")
    found = re.search(r"at most (\d+) calls", told)
    assert found
    made, room = len(server.calls), int(found[1]) // 3
    path.write_text(FILE.read_text(encoding="utf-8").replace("small: 5000", f"small: {room}"), encoding="utf-8")
    words = ("connector", "check", str(path), "--env", "trial.env", "--store", "another.sqlite", "--calls")
    code, told = run_etl(*words, str(room * 3 // 2))
    assert (code, len(server.calls)) == (2, made), told
    assert f"allows {room} to plan small" in told and f"--calls {room}" in told
    _, told = run_etl(*words, str(room))
    assert "the limit 'day'" not in told and len(server.calls) > made


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["no_such"], "there is no connector 'no_such'"),
        (["acme.yaml", "--only", "contact"], "has no resource 'contact' – did you mean 'contacts'?"),
        (["acme.yaml", "--plan", "smal"], "has no plan 'smal' – did you mean 'small'?"),
        (["acme.yaml", "--yes"], "--with and --yes"),
        (["acme.yaml", "--write", "--with", "rows.yaml"], "[unknown-field]"),
        (["acme.yaml", "--env", "empty.env"], "the live environment needs ACME_BASE_URL, ACME_KEY"),
    ],
)
def test_what_is_wrong_with_the_call_is_told_before_any(
    tmp_path: Path, run_etl: Etl, serve: Serve, words: list[str], wanted: str
) -> None:
    """Exit code 2, and the server hears nothing."""
    server = serve()
    (tmp_path / "acme.yaml").write_bytes(FILE.read_bytes())
    (tmp_path / "rows.yaml").write_text("contacts: {nam: Ana}\n", encoding="utf-8")
    (tmp_path / "empty.env").write_text("", encoding="utf-8")
    code, text = run_etl("connector", "check", "--env", "trial.env", *words)
    assert (code, server.calls) == (2, []), text
    assert wanted in text


def test_a_refused_key_ends_it(run_etl: Etl, serve: Serve) -> None:
    """Exit code 3 after one call, with what to look at; the key is not shown."""
    server = serve(key="canary-not-the-key")
    code, text = run_etl("connector", "check", str(FILE), "--env", "trial.env")
    assert (code, server.calls) == (3, ["GET /me"])
    assert "refuses the key" in text and "check ACME_KEY" in text and "canary" not in text


def test_writing_elsewhere_takes_a_yes(tmp_path: Path, run_etl: Etl) -> None:
    """An account that is not on this machine is not written to where nobody can be asked: exit code 4, before any call."""
    (tmp_path / "trial.env").write_text("ACME_BASE_URL=https://api.acme.example\nACME_KEY=canary-key\n", encoding="utf-8")
    code, text = run_etl("connector", "check", str(FILE), "--env", "trial.env", "--write")
    assert code == 4 and "api.acme.example" in text and "--yes" in text


def test_ctrl_c_removes_what_was_made(tmp_path: Path, serve: Serve) -> None:
    """A real interruption of the real command, in the middle of a create: the account is as before, and the code says so."""
    server = serve()
    before = Acme().rows
    running: list[subprocess.Popen[str]] = []
    made: list[str] = []

    def interrupt(method: str, path: str) -> None:
        if method == "POST" and not made:
            made.append(path)
            running[0].send_signal(signal.SIGINT)

    server.after = interrupt
    words = ["connector", "check", str(FILE), "--env", "trial.env", "--only", "contacts,notes", "--write"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    # What is started in the background may ignore interruptions, and so would its children.
    start = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); runpy.run_module('workbench', run_name='__main__')"
    call = [sys.executable, "-c", start, *words]
    running.append(subprocess.Popen(call, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    text, _ = running[0].communicate(timeout=60)
    assert made and running[0].returncode == 130, text
    assert server.rows == before
    assert "delete contacts" in text and "Left behind" not in text
