"""What a person sees while a run is at work: bars on a terminal, long waits everywhere, and nothing of it in JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import engine
from engine.cli import bars as drawing
from engine.cli import waits as waiting
from engine.session import Event
from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

PEOPLE = 6


@pytest.fixture
def paced(serve: Serve, tmp_path: Path) -> Project:
    """Six people who become contacts, on a destination that takes six calls in two seconds."""
    platform = serve(people=[{"id": at, "name": f"Person {at}"} for at in range(PEOPLE)], contacts=[])
    burst = {"unit": "calls", "per": 2, "window": "rolling", "amount": {"any": 6}}
    destination = {"resources": {"contacts": writable("contacts", ["name"], name="text")}, "limits": {"burst": burst}}
    objects = {"contacts": mapped("people", "contacts", {"name": "name"})}
    source = {"people": readable("people", name="text")}
    return project(tmp_path, platform, source, destination, migration(objects))


@pytest.fixture
def bars() -> drawing.Bars:
    """Bars that nobody sees."""
    return drawing.Bars(Console(file=io.StringIO(), width=80, height=24, force_terminal=True))


def drawn(bars: drawing.Bars) -> list[str]:
    """The lines that would be on the screen now."""
    out = io.StringIO()
    Console(file=out, width=80).print(bars.get_renderable())
    return [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]


def waits(limit: str, seconds: float) -> Event:
    return Event("wait begins", 1, text=limit, seconds=seconds, account="The CRM")


def on_a_terminal(trial: Project, *words: str, answer: str = "") -> tuple[int, bytes]:
    """The exit code of `etl` on a terminal, and what stood there; a question is answered after a while."""
    reader, writer = pty.openpty()
    program = [sys.executable, "-m", "workbench", words[0], "spec.yaml", *words[1:], "--env", "live"]
    env = {**os.environ, **trial.env, "TERM": "xterm"}
    process = subprocess.Popen(program, cwd=trial.folder, env=env, stdin=writer, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says so at the end
        while more := os.read(reader, 65_536):
            seen += more
            if answer and b"[y/N]" in seen:
                time.sleep(0.5)
                os.write(reader, f"{answer}\n".encode())
                answer = ""
    os.close(reader)
    return process.wait(60), seen


# -- on a terminal


def test_what_is_finished_takes_one_line(bars: drawing.Bars) -> None:
    """However many objects there are, the bar that is at work is seen."""
    for number in range(23):
        for done in (0, 5, 10):
            bars.show(f"mapping object {number}", done, 10)
    bars.show("planning the first", 500, None)
    bars.show("writing the second", 3, 12)
    first, second = drawn(bars)
    assert first == "24 steps finished, the last: planning the first"
    assert second.startswith("writing the second") and "3/12" in second


def test_a_stage_that_ends_takes_its_bars_with_it(bars: drawing.Bars) -> None:
    """A bar without a total would stand there for ever; one that goes on is there again."""
    bars.show("planning people", 500, None)
    bars.hear(Event("stage ends", 1, text="plan"))
    assert drawn(bars) == ["1 step finished, the last: planning people"]
    bars.show("planning people", 700, None)
    assert "700/?" in drawn(bars)[1]


def test_a_wait_is_shown_until_it_is_over(bars: drawing.Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the seconds that are left of it; a limit's name moves no cursor."""
    now = [100.0]
    monkeypatch.setattr(drawing.time, "monotonic", lambda: now[0])
    bars.hear(waits("minute\x1b[2J", 48.0))
    assert drawn(bars) == ['waiting 48 s for The CRM, whose limit "minute\\u001b[2J" is reached']
    now[0] += 20.5
    assert drawn(bars) == ['waiting 28 s for The CRM, whose limit "minute\\u001b[2J" is reached']
    now[0] += 28
    assert drawn(bars) == []


def test_many_threads_may_tell_at_once(bars: drawing.Bars) -> None:
    """None of them waits for another for ever, nor for the thread that draws."""
    def tell(who: int) -> None:
        for number in range(20):
            bars.show(f"{who} {number % 3}", number % 7, 6)
            bars.hear(waits(f"{who} {number}", 1.0))

    threads = [threading.Thread(target=tell, args=(who,), daemon=True) for who in range(4)]
    with bars:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_a_run_on_a_terminal_says_what_it_waits_for(paced: Project) -> None:
    """And its writing bar knows how many records there are."""
    code, seen = on_a_terminal(paced, "run", "--sample")
    assert code == 0, seen
    assert re.search(rb'waiting \d+ s for (source|destination), whose limit "burst" is reached', seen)
    assert re.search(rf"writing contacts [^\r\n]*0/{PEOPLE}".encode(), seen), seen
    assert b"finished, the last: planning contacts" in seen


@pytest.mark.parametrize("word", ["y", "n"])
def test_nothing_is_drawn_over_a_question(paced: Project, word: str) -> None:
    """The bars are gone until it is answered."""
    paced.run("--sample", code=0)
    code, seen = on_a_terminal(paced, "rollback", answer=word)
    assert code == (0 if word == "y" else 130), seen
    asked = seen[seen.index(b"Undo ") :]
    assert asked.split(b"[y/N]: ")[1].startswith(word.encode() + b"\r\n"), asked
    assert bool(paced.platform.tables["contacts"]) == (word == "n")


def test_a_program_hears_how_many_are_to_be_written(paced: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plan leaves alone does not count; an object with nothing to do is not told of."""
    for name, value in paced.env.items():
        monkeypatch.setenv(name, value)
    heard: list[tuple[str, int, int | None]] = []

    def hear(*told: Any) -> None:
        heard.append(told)

    with engine.open(paced.folder / "spec.yaml", environment="live", store=str(paced.folder / "own.sqlite"), progress=hear) as moving:
        many = moving.run(2).created
        assert [told for told in heard if "writing" in told[0]] == [("writing contacts", done, many) for done in range(many + 1)]
        heard.clear()
        moving.run(2)
    assert not [told for told in heard if "writing" in told[0]]


# -- where there is none


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["piped", "as JSON"])
def test_a_long_wait_is_a_line_on_stderr(
    paced: Project, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output on stdout holds nothing of it."""
    monkeypatch.setattr(waiting, "LONG", 1.0)
    done = paced.etl("run", "--sample", *words, code=0)
    assert 'waiting 2 s for destination, whose limit "burst" is reached\n' in done.err
    assert "waiting" not in done.out
    if words:
        assert json.loads(done.out)["verdict"]["arrived"] == PEOPLE


def test_a_short_wait_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is anything else that happens."""
    for event in (waits("burst", 2.0), Event("stage begins", 1, text="load"), waits("minute", 48.0)):
        waiting.tell_wait(event)
    assert capsys.readouterr().err == (
        'waiting 48 s for The CRM, whose limit "minute" is reached\n'
    )
