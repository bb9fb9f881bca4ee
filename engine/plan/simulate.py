"""A plan run on a simulated clock, with the rate limiter that the real run uses."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, repeat, starmap
from pathlib import Path

import msgspec

from engine.connector.client import Client
from engine.connector.model import Operation, Verb
from engine.connector.rate_limit import Clock, RateLimiter
from engine.destination.options import wanted_options
from engine.plan.cost import Plan, calls_of, field_calls
from engine.session import Run
from engine.store.links import DEFINITIONS, link_of
from engine.store.quota import book
from engine.store.tables import Store, open_store

LATENCY = 0.15  # seconds a call takes there and back


class SimulatedTime(msgspec.Struct):
    """A clock that only moves when somebody waits."""

    moment: float

    def now(self) -> float:
        """UTC epoch seconds."""
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Waiting takes no time at all."""
        self.moment += max(0.0, seconds)


class Span(msgspec.Struct):
    """One object's part of the timeline; times in UTC epoch seconds."""

    label: str
    calls: int
    cost: float
    start: float
    end: float


class Timeline(msgspec.Struct, frozen=True):
    """When what would happen."""

    spans: tuple[Span, ...]
    calls: int
    cost: float
    start: float
    end: float
    pauses: int = 0
    per_day: dict[str, float] = {}


def simulate(run: Run, plan: Plan, latency: float = LATENCY) -> Timeline:
    """Run a plan on the destination's limits, from what is spent today on.

    `latency` is the seconds that a call takes there and back.
    """
    time = SimulatedTime(run.clock.now())
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "simulated.sqlite"))
        try:
            limiter = _limiter(run.destination, store, time)
            return _simulated(run, plan, limiter, time, latency)
        finally:
            store.close()


def _limiter(client: Client, store: Store, time: SimulatedTime) -> RateLimiter:
    """The account's limiter on the simulated clock, with what is spent in the open windows."""
    real = client.limiter
    limiter = RateLimiter(
        store,
        real.account,
        real.limits,
        real.plan,
        real.seats,
        real.reserve,
        Clock(time.now, time.sleep),
        wait_for_day=True,
    )
    for limit in real.limits:
        if limit.window == "calendar":
            spent = real.allowance(limit) - real.remaining(limit)
            window = int(time.now() // limit.seconds)
            with store.begin() as connection:
                book(connection, real.account, [(limit.name, window, spent)])
    return limiter


def _simulated(
    run: Run,
    plan: Plan,
    limiter: RateLimiter,
    time: SimulatedTime,
    latency: float,
) -> Timeline:
    start, spans = time.now(), []
    room = run.destination.connector.connection.concurrency
    per_day: dict[str, float] = {}
    for label, made in _calls(run, plan):
        begun, calls, spent = time.now(), 0, 0.0
        for call in made:
            limiter.acquire(call.cost, call.limits)
            time.sleep(latency / room)
            calls, spent = calls + 1, spent + call.cost
            day = str(int(time.now() // 86_400))
            per_day[day] = per_day.get(day, 0.0) + call.cost
        if calls:
            spans.append(Span(label, calls, spent, begun, time.now()))
    calls = sum(span.calls for span in spans)
    cost = sum(span.cost for span in spans)
    pauses = max(0, len(per_day) - 1)
    return Timeline(
        tuple(spans), calls, cost, start, time.now(), pauses, per_day
    )


def _calls(run: Run, plan: Plan) -> Iterator[tuple[str, Iterable[Operation]]]:
    """Every call of the run in its order: looking, making room, writing, reading back."""
    yield "Signing in, people and fields", _overhead(run)
    yield (
        "Custom fields",
        field_calls(run, plan.fields_missing),
    )
    for step in plan.steps:
        made = calls_of(run, step)
        yield step.label, chain.from_iterable(starmap(repeat, made))
    yield "Reading back", _reading_back(run, plan)


def _overhead(run: Run) -> list[Operation]:
    """Calls every run makes before it writes: the check, the users, the field definitions."""
    connector = run.migration.destination
    calls = [connector.connection.check]
    if run.spec.users and connector.users:
        calls += _offered(run, connector.users.resource, "list")
    short = {mapping.resource for mapping in run.spec.active() if mapping.match}
    for declared in run.spec.custom_fields.values():
        custom = connector.resources[declared.resource].custom
        if custom:
            short.add(custom.resource)
    for name in sorted(short):
        calls += _offered(run, name, "list")
    for (
        item
    ) in run.spec.native_options:  # options to add, then a look at their ids
        options = connector.resources[item.resource].fields[item.field].options
        holder = options.partition("/")[0]
        with run.store.begin() as connection:
            known = link_of(connection, DEFINITIONS, item.definition)
        there = known.extra.get("options", {}) if known else {}
        wanted = wanted_options(run, item.options, item.options_from)
        lacking = any(label.strip() not in there for label in wanted)
        if lacking and "add_options" in connector.resources[holder].operations:
            calls += _offered(run, holder, "add_options", "list")
    return calls


def _offered(run: Run, resource: str, *verbs: Verb) -> list[Operation]:
    """Those of these calls that the platform offers."""
    operations = run.resource(resource).operations
    return [operations[verb] for verb in verbs if verb in operations]


def _reading_back(run: Run, plan: Plan) -> list[Operation]:
    """List pages of every resource that was written to."""
    rows: dict[str, int] = {}
    for step in plan.steps:
        if not run.spec.objects[step.object].scaffold:
            rows[step.resource] = (
                rows.get(step.resource, 0)
                + step.create
                + step.update
                + step.unchanged
            )
    calls = []
    for name, many in rows.items():
        operation = run.resource(name).listing
        size = (
            operation.pager.size
            if operation.pager and operation.pager.size
            else 500
        )
        calls += [operation] * math.ceil(many / size)
    return calls
