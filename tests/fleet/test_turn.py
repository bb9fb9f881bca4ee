"""The process of a turn does nothing before its worker says so, however slowly it starts."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.connector.rate_limit import RateLimiter
from engine.library.opening import held
from engine.session import Event
from fleet import turn
from fleet.turn import Far, Heard, _holds, carried_out
from fleet.waits import BEYOND, HOLDS
from tests.e2e.driving import SPEC, checkout, environment

ENV = {
    "STEL_ORDER_BASE_URL": "http://127.0.0.1:9/app", "STEL_ORDER_API_KEY": "k3y-of-nobody",
    "PIPEDRIVE_BASE_URL": "http://127.0.0.1:10", "PIPEDRIVE_API_TOKEN": "t0ken-of-nobody", "FALLBACK_OWNER_EMAIL": "owner@example.com",
}  # fmt: skip
NOTHING_TO_VERIFY, OCCUPIED = 2, 76


def begun(tmp_path: Path) -> subprocess.Popen[bytes]:
    """The process of a turn that is to verify, and has its order; it is started as from a script's background, where nothing is interrupted."""
    tmp_path.mkdir(exist_ok=True)
    project = checkout(tmp_path / "project")
    order = {"spec": str(project / SPEC), "store": str(tmp_path / "store.sqlite"), "stage": "verify"}
    pipe = subprocess.PIPE
    ignoring = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    made = subprocess.Popen(
        [*ignoring, sys.executable, "-m", "fleet.turn"], cwd=tmp_path, env=environment(ENV), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    )
    late = threading.Timer(60, made.kill)  # one that waits for ever fails its test
    late.daemon = True
    late.start()
    said(made, json.dumps(order).encode() + b"\n")
    return made


def said(process: subprocess.Popen[bytes], words: bytes) -> None:
    """What its worker says to it."""
    assert process.stdin is not None
    process.stdin.write(words)
    process.stdin.flush()


def lines(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What a turn says."""
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)


def judged(first: list[dict[str, Any]], ended: Mapping[str, Any], folder: Path, asks: int, code: int) -> None:
    """It has asked so often for the same two accounts, and its end says whether it worked on the store."""
    asked = [line for line in first if "accounts" in line]
    assert [line["held"] for line in asked] == [False, True][:asks] and len(asked[0]["accounts"]) == 2 and "127.0.0.1" not in str(first)
    assert all(line["accounts"] == asked[0]["accounts"] for line in asked)
    assert ended["code"] == code and ended["held"] == (code == NOTHING_TO_VERIFY)
    if code == OCCUPIED and asks == 2:
        with closing(sqlite3.connect(folder / "store.sqlite")) as store:
            assert store.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_turn_waits_for_its_word(tmp_path: Path) -> None:
    """It names its accounts before and once it has its store, and goes on as it is told, however many signs of life stand between."""
    with begun(tmp_path) as process:
        said(process, b"\n\n\ngo\n\n\ngo\n\n")
        *first, last = lines(process)
        assert process.stdin is not None
        process.stdin.close()
    judged(first, last["ended"], tmp_path, 2, NOTHING_TO_VERIFY)


@pytest.mark.parametrize(
    ("answers", "asks", "code"),
    [(("go\n", "go\n"), 2, NOTHING_TO_VERIFY), (("no\n",), 1, OCCUPIED), (("go\n", "no\n"), 2, OCCUPIED), (("",), 1, OCCUPIED)],
    ids=["go", "no", "no once it has the store", "left before it has the store"],
)
def test_a_turn_does_as_it_is_told(tmp_path: Path, answers: tuple[str, ...], asks: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on or steps back at either word; where its worker is gone before it has its store, it steps back."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(turn, "SILENCE", 1e6)  # or this process would be ended
    heard, told = Heard(), list[Any]()
    for answer in answers:
        heard.answers.put(answer)
    order = {"spec": str(checkout(tmp_path / "project") / SPEC), "store": str(tmp_path / "store.sqlite"), "stage": "verify"}
    far = Far(told.append)
    ended = carried_out(order, told.append, heard, far)
    judged(told, {**ended, "held": far.held is not None}, tmp_path, asks, code)


def test_a_sign_of_life_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line says that the worker lives, each of another kind answers what was asked, and the end is the end of both."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\ngo\n\nno\n\n"))
    heard = Heard()
    turn._hear(heard)
    both = [[words.get_nowait() for _ in range(words.qsize())] for words in (heard.words, heard.answers)]
    assert both == [["\n", "\n", "go\n", "\n", "no\n", "\n", ""], ["go\n", "no\n", ""]]


@pytest.mark.parametrize(
    ("answers", "interrupts", "codes"),
    [(0, True, (130,)), (1, True, (130,)), (1, False, (OCCUPIED, 130))],
    ids=["interrupted before it has the store", "interrupted once it has it", "left once it has it"],
)
def test_a_turn_that_waits_for_its_word_can_be_ended(tmp_path: Path, answers: int, interrupts: bool, codes: tuple[int, ...]) -> None:
    """A worker that stops meanwhile interrupts it, and one that is gone has it step back – or interrupts it, once it has its store: both happen then. It has begun no run."""
    with begun(tmp_path) as process:
        said(process, b"go\n" * answers)
        talk = lines(process)
        for _ in range(answers + 1):
            assert "accounts" in next(talk)
        assert process.stdin is not None
        if interrupts:
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        else:
            process.stdin.close()
        *_, last = talk
    assert last["ended"]["code"] in codes and not last["ended"]["held"], last
    if answers:
        with closing(sqlite3.connect(tmp_path / "store.sqlite")) as store:
            assert store.execute("SELECT count(*) FROM runs").fetchone() == (0,)


@pytest.mark.parametrize(("timeout", "holds"), [(5, HOLDS), (30, HOLDS), (31, 31 + BEYOND), (90, 90 + BEYOND)])
def test_a_lease_outlasts_the_slowest_call(tmp_path: Path, timeout: int, holds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has the store of a machine that is gone while a call that it has sent may still take effect."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    project = checkout(tmp_path / "project")
    connector = project / "connectors/pipedrive.yaml"
    text = connector.read_text(encoding="utf-8")
    assert "  timeout: 30\n" in text
    connector.write_text(text.replace("  timeout: 30\n", f"  timeout: {timeout}\n"), encoding="utf-8")
    assert _holds({"spec": str(project / SPEC)}) == holds


def test_a_wait_is_told_with_what_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a turn waits it says nothing more: how much of the day is spent goes along with the wait."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    told: list[Mapping[str, Any]] = []
    far = Far(told.append)
    with held(checkout(tmp_path / "project") / SPEC, "live", str(tmp_path / "store.sqlite")) as found:
        far.held = found
        far.look()
        there, side = found.migration.destination, found.migration.spec.destination
        name = f"{there.name}:{found.accounts.destination.id}"
        RateLimiter(found.store, name, there.limits, side.plan, side.seats, side.reserve, found.clock).acquire(40.0)
        far.heard(Event("wait begins", 1, "", "", "the limit of a day", 60.0, "Pipedrive"))
    (now,) = (line["now"] for line in told)
    assert now["for"] == "the limit of a day" and max(use["spent"] for use in now["today"]) == 40
    units = {(use["account"], use["unit"], use["spent"]) for use in now["today"]}
    assert units == {("STEL Order", "calls", 0), ("Pipedrive", "calls", 0), ("Pipedrive", "tokens", 40)}
