"""A run that the day's budget stretches over days: as it was simulated, and lived through on a clock that leaps."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine import pipeline
from engine.connector.auth import Account, Accounts
from engine.connector.rate_limit import Clock
from engine.language.compile import Migration, load_migration
from engine.plan.simulate import Timeline, simulate
from engine.session import Run, wire
from engine.store.tables import Store, open_store
from sandbox.launch import Running, launch
from tests.chaos.canonical import doubled
from tests.chaos.harness import ROOT, SPEC, control, dump
from tests.replacing import replace


@dataclass(slots=True)
class Leaping:
    """A clock on which waiting takes no time: the emulators' clocks are moved forward with it."""

    accounts: tuple[Running, ...]
    ahead: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    lines: list[HTTPConnection] = field(default_factory=list)  # a night is thousands of leaps: httpx would take most of the time

    def __post_init__(self) -> None:
        self.lines += [HTTPConnection(urlsplit(account.base_url).netloc) for account in self.accounts]

    def now(self) -> float:
        """UTC epoch seconds."""
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Theirs first: a call of ours must not come too early for them."""
        with self.lock:
            for line in self.lines:
                line.request("POST", "/__sandbox__/clock", json.dumps({"advance": seconds}).encode())
                answer = line.getresponse()
                said = answer.read()
                assert answer.status == 200, said
            self.ahead += seconds

    def close(self) -> None:
        """Hang up."""
        for line in self.lines:
            line.close()


@dataclass(frozen=True, slots=True)
class Lived:
    """The simulation, and the run that followed."""

    foreseen: Timeline
    calls: int
    cost: float
    seconds: float
    per_day: dict[str, int]
    refused: int
    unsent: int  # writes that failed before their call went out

    @property
    def days(self) -> int:
        """Calendar days on which something was written."""
        return len(self.per_day)

    def table(self) -> str:
        """For people."""
        told, ratio = self.foreseen, self.seconds / (self.foreseen.end - self.foreseen.start)
        lines = [f"{'':<12}{'calls':>9}{'cost':>10}{'days':>7}{'hours':>9}"]
        lines.append(
            f"{'simulated':<12}{told.calls:>9,}{told.cost:>10,.0f}{told.pauses + 1:>7}{(told.end - told.start) / 3600:>9.2f}"
        )
        lines.append(f"{'lived':<12}{self.calls:>9,}{self.cost:>10,.0f}{self.days:>7}{self.seconds / 3600:>9.2f}")
        lines.append(
            f"duration {ratio:.3f} of the simulated; {self.refused} calls refused, {self.unsent} never sent; tokens by day {self.per_day}"
        )
        return "\n".join(lines)


LOOPBACK = 0.005  # seconds a call takes here
# A file whose link is dead fails before it is sent: no simulation can know.
UNSENT = "SELECT COUNT(*) FROM journal WHERE state='failed' AND calls=0"


def on_plan(plan: str, seats: int, budget: int | None) -> Migration:
    """The shipped migration on another plan; `budget` stands for the day's tokens of a much smaller account."""
    migration = load_migration(ROOT / SPEC, {})
    spec, destination = migration.spec, migration.destination
    sides = replace(spec.source, plan="unlimited"), replace(spec.destination, plan=plan, seats=seats)
    if budget is not None:
        small = [
            replace(item, amount={"*": budget}, per_seat=False, headers={}) for item in destination.limits if item.name == "day"
        ]
        limits = tuple(item for item in destination.limits if item.name != "day")
        destination = replace(destination, limits=(*limits, *small))
    # One call at a time: on a clock that leaps, a call that is under way would arrive in another window than it left in.
    destination = replace(destination, connection=replace(destination.connection, concurrency=1))
    return replace(migration, spec=replace(spec, source=sides[0], destination=sides[1]), destination=destination)


def live_through(folder: Path, plan: str, seats: int, size: int, budget: int | None = None) -> Lived:
    """Simulate a run, then run it, on fresh accounts."""
    migration = on_plan(plan, seats, budget)
    settings = {"data": folder / "pipedrive.db", "plan": plan, "seats": seats, "extra_args": ["--set", "index_delay=0"]}
    with (
        launch("stel_order", plan="unlimited", extra_args=["--size", str(size)]) as source,
        launch("pipedrive", **settings) as destination,
        closing(Leaping((source, destination))) as leaping,
        closing(open_store(str(folder / "store.sqlite"))) as store,
    ):
        with begin(migration, store, leaping) as run:
            foreseen = pipeline.preview(run, None).plan
            assert foreseen is not None
            timeline = simulate(run, foreseen, LOOPBACK)
        with begin(migration, store, leaping) as run:
            began = leaping.now()
            pipeline.migrate(run, None, yes=True)
            limiter, seconds = run.destination.limiter, leaping.now() - began
        assert doubled(dump(destination)) == []
        refused = control(destination, "stats")["answers"].get("429", 0)
        with store.begin() as connection:
            unsent = connection.exec_driver_sql(UNSENT).scalar_one()
        return Lived(timeline, limiter.calls, limiter.cost, seconds, tokens_by_day(folder / "pipedrive.db"), refused, unsent)


@contextmanager
def begin(migration: Migration, store: Store, leaping: Leaping, wait: bool = True) -> Iterator[Run]:
    """A run that keeps to the leaping clock and waits out the days; without `wait` it ends where one is spent."""
    clock = Clock(leaping.now, leaping.sleep)
    accounts = Accounts(*(Account(it.base_url, it.key) for it in leaping.accounts))
    with closing(wire(migration, accounts, store, clock, command="run", wait=wait)) as run:
        yield run


def tokens_by_day(account: Path) -> dict[str, int]:
    """What the platform itself counted."""
    with closing(sqlite3.connect(account)) as db:
        return dict(db.execute("SELECT day, SUM(tokens) FROM spent GROUP BY day ORDER BY day"))


def holds(lived: Lived) -> None:
    """The bar: as many calls as foreseen, within 5 % of the time."""
    print(f"\n{lived.table()}")
    assert lived.calls + lived.unsent == lived.foreseen.calls
    assert lived.seconds == pytest.approx(lived.foreseen.end - lived.foreseen.start, rel=0.05)
    assert lived.refused == 0


@pytest.mark.journeys
def test_days_of_a_small_account(tmp_path: Path) -> None:
    """A run of 200 records whose budget lasts a quarter of it takes the days that were foreseen."""
    lived = live_through(tmp_path, "growth", 1, size=200, budget=750)
    holds(lived)
    assert lived.days >= 4


@pytest.mark.scale
def test_five_days(tmp_path: Path) -> None:
    """A run of 20,000 records whose budget lasts a fifth of it takes the five days that were foreseen."""
    lived = live_through(tmp_path, "growth", 1, size=20_000, budget=38_000)
    holds(lived)
    assert lived.days >= 5
