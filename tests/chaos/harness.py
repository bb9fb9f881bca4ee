"""A migration between two emulators, run as people run it.

A command that may be killed is a process (`World.start`); one that runs to its end runs in this
process (`World.etl`), which has loaded the program already, and takes a second less.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.launch import Running, launch
from tests import loopback
from tests.platforms.project import Done, call, ungated
from tests.replacing import replace

ROOT = Path(__file__).resolve().parents[2]
SPEC = "specs/stel_order_to_pipedrive.yaml"
NAME = "stel_order_to_pipedrive"
SPEED = 20  # the destination's clock runs faster, and its limits with it: a test waits for no quota
SETTLED = 0.2  # seconds until its lists and searches show what was written; three, by its own clock
FAULTS = {"429": 0.01, "500": 0.02, "timeout-after-write": 0.01, "cut-connection": 0.02, "garbage-json": 0.02}
DONE = (0, 1)  # ended by itself; 1: some records need attention
UNREACHED = 3  # too many faults in a row: people start the command again
# The program with a gate that lets every mapping through: approvals have tests of their own (tests/workbench).
START = """\
from engine.library.gate import Gate
from engine.cli.main import main
from workbench.cli import etl

main(etl(), Gate(lambda *_: None, lambda *_: None))
"""
ETL = (sys.executable, "-c", START)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class World:
    """Two accounts and a copy of the project on which its commands work."""

    folder: Path
    source: Running
    destination: Running
    extra: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ETL

    @property
    def env(self) -> dict[str, str]:
        """What `--env live` reads."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        return {
            **os.environ, "PYTHONPATH": path, "COLUMNS": "160",
            "STEL_ORDER_BASE_URL": self.source.base_url, "STEL_ORDER_API_KEY": self.source.key,
            "PIPEDRIVE_BASE_URL": self.destination.base_url, "PIPEDRIVE_API_TOKEN": self.destination.key,
            "FALLBACK_OWNER_EMAIL": "owner@example.com", **self.extra,
        }  # fmt: skip

    @property
    def store(self) -> Path:
        """The SQLite file of the migration."""
        return self.folder / "var" / f"{NAME}.live.sqlite"

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `etl WORDS SPEC` in the background; what it says goes to files."""
        command = [*self.program, *words[:1], SPEC, *words[1:], "--env", "live"]
        with (self.folder / "out.txt").open("ab") as out, (self.folder / "err.txt").open("ab") as err:
            return subprocess.Popen(command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def etl(self, *words: str, good: Sequence[int] = DONE) -> Ended:
        """Run `etl WORDS SPEC` to its end; another program than `etl` is a process."""
        arguments = [*words[:1], SPEC, *words[1:], "--env", "live"]
        done = self._process(arguments) if self.program != ETL else call(self.folder, self.env, *arguments, program=ungated)
        assert done.code in good, f"{words}: exit code {done.code}\n{done.out[-2000:]}{done.err[-2000:]}{self.crashes()}"
        return Ended(done.code, done.out, done.err)

    def _process(self, arguments: Sequence[str]) -> Done:
        """The world's own program as a process, until it ends."""
        silent = subprocess.DEVNULL
        done = subprocess.run(
            [*self.program, *arguments], cwd=self.folder, env=self.env, stdin=silent, capture_output=True, text=True,
            timeout=900, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def crashes(self) -> str:
        """What faults of our own left behind."""
        return "\n".join(path.read_text(encoding="utf-8")[-3000:] for path in sorted((self.folder / "var").glob("crash.*")))

    def journal(self) -> Counter[str]:
        """How many writes are in which state."""
        with sqlite3.connect(self.store) as db:
            return Counter(dict(db.execute("SELECT state, COUNT(*) FROM journal GROUP BY state")))

    def linked(self, resource: str) -> set[str]:
        """Destination ids of a resource that the store knows."""
        with sqlite3.connect(self.store) as db:
            return {row[0] for row in db.execute("SELECT dest_id FROM links WHERE resource=?", (resource,))}

    def id_of(self, name: str, key: str) -> int:
        """The destination id that stands for a record of an object."""
        with sqlite3.connect(self.store) as db:
            return int(db.execute("SELECT dest_id FROM links WHERE object=? AND key=?", (name, key)).fetchone()[0])


# -- what the emulators are asked


def control(account: Running, path: str, body: Any = None) -> Any:
    """A control route of an emulator: GET without a body, POST with one."""
    url = f"{account.base_url.removesuffix('/app')}/__sandbox__/{path}"
    answer = loopback.get(url, timeout=60) if body is None else loopback.post(url, json=body, timeout=60)
    return answer.raise_for_status().json()


def dump(account: Running) -> list[Row]:
    """Every live row of an emulator; of a destination also the options of the built-in category field."""
    origin = account.base_url.removesuffix("/app")
    rows = [json.loads(line) for line in loopback.get(f"{origin}/__sandbox__/dump", timeout=120).text.splitlines()]
    if account.name == "pipedrive":
        field_of = people(account, "GET", "/api/v2/productFields/category")
        options = [{"id": option["id"], "label": option["label"]} for option in field_of["options"] or ()]
        record = {"id": "category", "entity": "product", "field_code": "category", "field_name": "category", "options": options}
        rows.append({"resource": "built_in_fields", "id": "category", "record": record})
    return rows


def people(account: Running, method: str, path: str, **body: Any) -> Any:
    """Do what people do in an account meanwhile; refused for its rate it is done again."""
    header = "APIKEY" if account.name == "stel_order" else "x-api-token"
    for _ in range(40):
        answer = loopback.request(method, f"{account.base_url}{path}", headers={header: account.key}, json=body or None, timeout=30)
        if answer.status_code != 429:
            break
        time.sleep(0.1)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
    found = answer.json()
    return found[0] if isinstance(found, list) else found["data"]


def requests(account: Running) -> int:
    """Calls that took effect so far."""
    return sum(control(account, "stats")["requests"].values())


@contextmanager
def quiet(*accounts: Running) -> Iterator[None]:
    """No faults while the block runs; those of before come back after it."""
    for account in accounts:
        control(account, "faults", {})
    yield
    for account in accounts:
        control(account, "faults", FAULTS)


# -- setting up


def project(folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the shipped migration on large plans, with short waits; texts of the spec may be changed.

    In a folder that has one already, the files are those of the checkout again, and the store stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("specs", "connectors", "templates"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    spec = (("plan: business", "plan: unlimited"), ("plan: growth, seats: 5", "plan: ultimate, seats: 5000"))
    edit(folder / SPEC, *spec, *changes)
    hurry(folder)
    edit(folder / "connectors/pipedrive.yaml", ("timeout: 30", "timeout: 1"))
    edit(folder / "connectors/stel_order.yaml", ("timeout: 60", "timeout: 1"), ("after: 61", "after: 0.05"))
    return folder


def hurry(folder: Path) -> None:
    """Tell the connector of an account whose clock runs `SPEED` times faster: its limits, and when its lists are up to date."""
    edit(
        folder / "connectors/pipedrive.yaml",
        ("    per: 2\n", f"    per: {2 / SPEED}\n"),
        ("unit: calls, per: 2,", f"unit: calls, per: {2 / SPEED},"),
        ("  timeout: 30\n", f"  timeout: 30\n  reconcile_after: {SETTLED}\n"),
    )


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts in a file; each must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{old!r} is not in {path}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@contextmanager
def worlds(
    folder: Path, names: Sequence[str], size: int, *changes: tuple[str, str], more: Sequence[str] = ()
) -> Iterator[list[World]]:
    """One source account, and for each name a destination and a project of its own."""
    with ExitStack() as stack:
        sized = ["--size", str(size)]
        source = stack.enter_context(launch("stel_order", data=folder / "stel.db", plan="unlimited", extra_args=[*sized, *more]))
        found = []
        for name in names:
            at = project(folder / name, *changes)
            settings = ["--speed", str(SPEED), "--set", "index_delay=0", *more]
            destination = launch("pipedrive", data=at / "pipedrive.db", plan="ultimate", seats=5000, extra_args=settings)
            found.append(World(at, source, stack.enter_context(destination)))
        yield found


# -- killing


@dataclass(frozen=True, slots=True)
class Kill:
    """When to kill: so many calls to the destination after the start, or so many seconds."""

    calls: int | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Driven:
    """How a command came to its end."""

    kills: int = 0
    starts: int = 0
    unreached: int = 0  # times it gave up by itself because of the faults
    seconds: float = 0.0


def plan(seed: int, calls: float) -> Iterator[Kill]:
    """Moments to kill at: mostly so many calls after the first write, on average; some at any second."""
    chance = random.Random(seed)
    while True:
        if chance.random() < 0.2:
            yield Kill(seconds=chance.uniform(0.2, 4.0))
        else:
            yield Kill(calls=1 + int(chance.expovariate(1 / calls)))


def drive(world: World, words: Sequence[str], kills: Iterator[Kill], most: int) -> Driven:
    """Start a command again and again, kill -9 it at the moments given, until it ends by itself."""
    driven, began = Driven(), time.monotonic()
    while True:
        driven.starts += 1
        code = until(world, words, next(kills) if driven.kills < most else None)
        if code is None:
            driven.kills += 1
        elif code == UNREACHED:
            driven.unreached += 1
        else:
            assert code in DONE, f"{words}: exit code {code}\n{(world.folder / 'err.txt').read_text()[-2000:]}{world.crashes()}"
            driven.seconds = time.monotonic() - began
            return driven


def until(world: World, words: Sequence[str], kill: Kill | None) -> int | None:
    """Start the command; its exit code, or None if it was killed."""
    process = world.start(*words)
    due = moment(world, kill) if kill else lambda: False
    while process.poll() is None:
        if due():
            process.kill()
            process.wait()
            return None
        time.sleep(0.01)
    return process.returncode


def moment(world: World, kill: Kill) -> Callable[[], bool]:
    """Whether the moment has come. Calls are counted from the first write on: reading comes before."""
    if kill.seconds is not None:
        until = time.monotonic() + kill.seconds
        return lambda: time.monotonic() > until
    first = written(world.destination)
    return lambda: written(world.destination) - first >= (kill.calls or 0)


def written(account: Running) -> int:
    """Writes that took effect so far."""
    told = control(account, "stats")["requests"]
    return sum(many for name, many in told.items() if name.startswith(("add", "update", "delete")))


def elsewhere(world: World, folder: Path) -> World:
    """The same accounts, seen by a store that knows nothing."""
    return replace(world, folder=project(folder))
