"""docs/orchestrators/cron.md does what it says: its script and its crontab, in the environment that cron gives."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, product
from pathlib import Path

import pytest

import engine
from tests.e2e.driving import SPEC
from tests.orchestrators.pages import (
    NEW_NAME,
    Move,
    blocks,
    moving,
    started,
)

PAGE = "cron.md"
BY_HAND, SCRIPT = blocks(PAGE, "shell")
(CRONTAB,) = blocks(PAGE, "crontab")
REPORT = "var/stel_order_to_pipedrive.live.report"
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # minute, hour, day, month, weekday

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="the page's script needs flock, of util-linux")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the crontab that starts something."""

    times: tuple[frozenset[int], ...]
    command: str

    def starts(self) -> list[datetime]:
        """When it does so, in a year."""
        minutes, hours, days, months, _ = self.times
        dates = product(sorted(months), sorted(days), sorted(hours), sorted(minutes))
        return [datetime(2026, *date) for date in dates]


def lines() -> list[Line]:
    """The crontab's lines, as cron reads them: five fields of times, then a command up to the end of the line."""
    found = []
    for text in CRONTAB.splitlines():
        if not text.startswith("#") and not re.match(r"\w+=", text):
            *fields, command = text.split(maxsplit=5)
            times = tuple(expanded(field, *limits) for field, limits in zip(fields, RANGES, strict=True))
            found.append(Line(times, command))
    return found


def expanded(field: str, least: int, most: int) -> frozenset[int]:
    """`*/30`, `5-6`, `1,2` or a number as the numbers that it stands for; fails for one out of range."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    assert found and min(found) >= least and max(found) <= most, field
    return frozenset(found)


def settings() -> dict[str, str]:
    """What the crontab sets in the environment of its commands."""
    return dict(re.findall(r"^(\w+)=(.*)$", CRONTAB, re.MULTILINE))


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    """The folder as the page wants it: keys in `.env`, etl in `.venv`, the script beside them."""
    with moving(tmp_path / "move") as made:
        env = "\n".join(f"{name}={value}" for name, value in made.accounts.env.items())
        (made.folder / ".env").write_text(env, encoding="utf-8")
        (made.folder / ".venv").symlink_to(sys.prefix)
        (made.folder / "turn").write_text(made.placed(SCRIPT), encoding="utf-8")
        (made.folder / "turn").chmod(0o700)
        yield made


def turn(move: Move, line: Line) -> subprocess.CompletedProcess[str]:
    """A line's command as cron runs it: by the shell, from the user's home, with next to no environment.

    What the tests themselves need goes along: no connection leaves this machine.
    """
    home = move.folder.parent
    cron = {"HOME": str(home), "LOGNAME": "ana", **settings()}
    pairs = [f"{name}={value}" for name, value in {**cron, **guard()}.items()]
    return started(["env", "-i", *pairs, cron["SHELL"], "-c", move.placed(line.command)], home, {})


def guard() -> dict[str, str]:
    """Variables of the tests: what refuses connections to other machines, and where bytecode is kept."""
    guards = [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if (Path(path) / "sitecustomize.py").is_file()]
    kept = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    return {"PYTHONPATH": os.pathsep.join(guards), **kept}


def by_hand(move: Move) -> None:
    """What the page has people type first."""
    for line in BY_HAND.splitlines():
        command, _, remark = line.partition("  # ")
        done = started(["sh", "-c", move.placed(command)], move.folder.parent, {})
        allowed = [int(code) for code in re.findall(r"\d+", remark)] or [0]
        assert done.returncode in allowed, done.stdout + done.stderr


def log(move: Move) -> str:
    """What the turns have written down."""
    return (move.folder / "var/turns.log").read_text(encoding="utf-8")


def rows(move: Move) -> int:
    """How many rows there are in the destination."""
    return sum(map(len, move.accounts.destination.dump().values()))


def test_the_crontab_is_one() -> None:
    """The run comes before the deltas, which fill one or two days, and the verification after them; no `%`, which cron cuts at."""
    run, delta, verify, report = lines()
    assert "%" not in "".join(line.command for line in lines())
    starts = delta.starts()
    assert run.starts()[-1] < starts[0] and starts[-1] < verify.starts()[0] < report.starts()[0]
    assert len(run.starts()) == len(verify.starts()) == len(report.starts()) == 1
    window = starts[-1] - starts[0] + timedelta(minutes=30)
    assert timedelta(hours=24) <= window <= timedelta(hours=48)
    assert {after - before for before, after in pairwise(starts)} == {timedelta(minutes=30)}


@pytest.mark.pages
def test_the_move_from_the_first_line_to_the_last(move: Move) -> None:
    """Sample, approval, run, delta, verify: in silence, with a report each, and nothing leaves a key behind."""
    run, delta, verify, report = lines()
    refused = turn(move, run)
    assert refused.returncode == 4 and "approve" in refused.stdout
    by_hand(move)
    assert turn(move, run).returncode == 1
    before = move.names_of_the_client()
    move.rename_a_client()
    for line in (delta, verify):
        done = turn(move, line)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert NEW_NAME not in before and move.names_of_the_client() == [NEW_NAME]
    mailed = turn(move, report)
    assert mailed.returncode == 0 and "Needs attention" in mailed.stdout
    assert re.findall(r"^\S+Z (.+): exit (\d+)$", log(move), re.MULTILINE) == [
        ("run", "4"), ("run", "1"), ("run --delta", "1"), ("verify", "1"),
    ]  # fmt: skip
    kept = sorted((move.folder / "var/reports").iterdir())
    assert len(kept) == 3 and all(path.stem.isdecimal() and path.suffix == ".html" for path in kept)
    last = json.loads((move.folder / REPORT / "report.json").read_text(encoding="utf-8"))["run"]
    newest = max(kept, key=lambda path: int(path.stem))
    assert newest.stem == str(last) and newest.read_bytes() == (move.folder / REPORT / "report.html").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (move.folder / "var").rglob("*") if path.is_file()} == {0}
    assert move.holding_a_key(".env") == []


@pytest.mark.pages
@pytest.mark.usefixtures("within_a_day")
def test_what_stops_a_turn(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs a person is mailed, another turn at work or a spent day is not, and on another day a delta moves all that is left."""
    run, delta, *_ = lines()
    by_hand(move)
    monkeypatch.chdir(move.folder)
    with engine.open(SPEC, environment="live", env=move.accounts.env):
        done = turn(move, run)
    assert done.returncode == 5 and f"etl status {SPEC} --env live" in done.stdout
    with taken(move.folder / "var/turn.lock"):
        done = turn(move, run)
    assert (done.returncode, done.stdout) == (75, "")
    assert log(move).endswith("run: exit 75\n\n")
    wrong_keys(move)

    begun = rows(move)
    move.leave_little_of_the_day()
    written = []
    for line in (run, delta):
        done = turn(move, line)
        assert (done.returncode, done.stdout, done.stderr) == (75, "", "")
        written.append(rows(move))
    assert begun < written[0] == written[1]
    assert len(re.findall(r"run the same command again from \d{4}-\d\d-\d\d \d\d:\d\d", log(move))) == 2
    move.begin_another_day()
    assert turn(move, delta).returncode == 1
    assert rows(move) > written[0]
    everything = json.loads(move.etl("run", "--json", code=1))["verdict"]
    assert (everything["created"], everything["updated"], everything["missing"]) == (0, 0, 0)


def wrong_keys(move: Move) -> None:
    """A key that is refused, then none: each is mailed with its code and what it is about."""
    env = move.folder / ".env"
    good = env.read_text(encoding="utf-8")
    for written, code, told in (("API_TOKEN=another", 3, "key"), ("TOKEN=another", 2, "PIPEDRIVE_API_TOKEN")):
        env.write_text(re.sub("API_TOKEN=.*", written, good), encoding="utf-8")
        done = turn(move, lines()[0])
        assert done.returncode == code and done.stdout.startswith(f"run ended with code {code}\n") and told in done.stdout
    env.write_text(good, encoding="utf-8")


@contextmanager
def taken(path: Path) -> Iterator[None]:
    """A lock as another turn holds it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
