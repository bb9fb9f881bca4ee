"""What a run would do, what it would cost and how long it would take; nothing is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.changes import FIELDS, Foreseen, decide, definitions
from engine.connector.client import Client
from engine.connector.model import Limit, Verb
from engine.details import Left, left
from engine.errors import UnsafePlan
from engine.run import Run
from engine.spec.model import ObjectMapping
from engine.store.links import count_links, links_of, stream_drafts

UPDATES = 0.3  # share of linked rows that may be rewritten without a person saying yes
SMALL = 10  # objects with fewer linked rows are exempt


@dataclass(slots=True)
class Step:
    """An object's changes by kind, and what they cost."""

    object: str
    label: str
    resource: str
    create: int = 0
    update: int = 0
    unchanged: int = 0
    skip: int = 0
    fail: int = 0
    calls: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One quota against what the plan needs of it."""

    account: str
    limit: str
    unit: str
    seconds: float
    allowance: float
    left: float
    needed: float
    time: float  # seconds this limit alone makes the plan take


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered changes with their cost."""

    steps: tuple[Step, ...]
    fields_missing: tuple[str, ...]
    calls: int
    cost: float
    limits: tuple[LimitUse, ...]
    seconds: float
    warnings: tuple[str, ...] = field(default=())


def plan(run: Run, objects: Sequence[ObjectMapping]) -> Plan:
    """Compare the drafts with what was written; rows still to be written count as written."""
    missing = _fields_missing(run)
    steps = [_step(run, mapping) for mapping in objects]
    calls = sum(step.calls for step in steps) + len(missing)
    cost = sum(step.cost for step in steps) + sum(field_cost(run, name) for name in missing)
    limits = [_use(run.destination, limit, calls, cost) for limit in run.destination.connector.limits if limit.general]
    unread = left(run)
    reads, costs = sum(item.calls for item in unread), sum(item.cost for item in unread)
    limits += [_use(run.source, limit, reads, costs) for limit in run.source.connector.limits if limit.general]
    seconds = max((use.time for use in limits), default=0.0)
    return Plan(tuple(steps), tuple(missing), calls, cost, tuple(limits), seconds, (*_too_many(run, steps), *_unread(unread)))


def _unread(found: Sequence[Left]) -> Iterator[str]:
    """Records that a run has to read one by one first; a plan does not, for that may take days."""
    for item in found:
        what = f"{item.calls:,} {item.collection} are still to be read one by one for {', '.join(item.fields)}"
        yield f"{what}; what comes of that is not in this plan"


def _too_many(run: Run, steps: Sequence[Step]) -> Iterator[str]:
    """Resources of which the destination's plan takes fewer rows than there would be; people's own rows come on top."""
    side = run.spec.destination
    for name, resource in run.migration.destination.resources.items():
        most = resource.most.get(side.plan, resource.most.get("*")) if resource.most else None
        of_it = [step for step in steps if step.resource == name]
        made = sum(step.create for step in of_it)
        there = sum(step.update + step.unchanged for step in of_it)
        room = most * (side.seats if resource.most_per_seat else 1) if most is not None else None
        if made and room is not None and made + there > room:
            yield (
                f"{made:,} {name} to make and {there:,} made so far, but the plan {side.plan} takes {room:,} in all – "
                "the rest will be refused: enlarge the plan, or leave some out with `where`"
            )


def _fields_missing(run: Run) -> list[str]:
    """Custom fields that neither the store nor the account knows, as resource.name."""
    found = []
    for name, resource in run.migration.destination.resources.items():
        wanted = [item for item in run.spec.custom_fields.values() if item.resource == name]
        if not wanted or resource.custom is None:
            continue
        with run.store.begin() as connection:
            known = links_of(connection, FIELDS + name)
        unknown = [item for item in wanted if item.name not in known]
        if unknown:
            custom = resource.custom
            rows = {(row.get(custom.name), row.get(custom.type)) for row in run.listed(custom.resource)}
            found += [f"{name}.{item.name}" for item in unknown if (item.label, custom.types[item.type]) not in rows]
    return found


def _step(run: Run, mapping: ObjectMapping) -> Step:
    step = Step(mapping.name, mapping.label, mapping.resource)
    with run.store.begin() as connection:
        known = Foreseen(definitions(connection, run))
    for batch in stream_drafts(run.store, mapping.name):
        with run.store.begin() as connection:
            changes = decide(run, connection, mapping, batch, known, foresee=True)
        for change in changes:
            setattr(step, change.kind, getattr(step, change.kind) + 1)
    costs = list(costs_of(run, step))
    step.calls, step.cost = len(costs), sum(costs)
    return step


def costs_of(run: Run, step: Step) -> Iterator[float]:
    """What each call costs that writes an object's changes, those that look at rows before their update among them."""
    operations = run.migration.destination.resources[step.resource].operations
    yield from _times(run, step.resource, "create", step.create, operations["create"].rows if step.create else 1)
    if not step.update or "update" not in operations:
        return
    update, listed, single = operations["update"], operations["list"], operations.get("read")
    by_list = bool(listed.ids) and not (single and single.etag)
    yield from _times(run, step.resource, "list" if by_list else "read", step.update, listed.ids_max if by_list else 1)
    yield from _times(run, step.resource, "read", step.update if update.whole else 0, 1)
    yield from _times(run, step.resource, "update", step.update, update.rows)


def _times(run: Run, resource: str, verb: Verb, rows: int, most: int) -> Iterator[float]:
    yield from (cost_of(run, resource, verb) for _ in range(math.ceil(rows / most)))


def cost_of(run: Run, resource: str, verb: Verb) -> float:
    """What one call costs."""
    operation = run.migration.destination.resources[resource].operations.get(verb)
    return float(operation.cost) if operation else 0.0


def field_cost(run: Run, name: str) -> float:
    """What making a custom field costs, by its resource.name."""
    custom = run.migration.destination.resources[name.partition(".")[0]].custom
    return cost_of(run, custom.resource, "create") if custom else 0.0


def _use(client: Client, limit: Limit, calls: int, cost: float) -> LimitUse:
    pacer = client.pacer
    needed = cost if limit.unit == "cost" else float(calls)
    allowance, left = pacer.allowance(limit), pacer.remaining(limit)
    return LimitUse(
        client.connector.title, limit.name, limit.unit, limit.seconds, allowance, left, needed,
        duration(limit, allowance, left, needed, pacer.reset_time(limit) - client.clock.now()),
    )  # fmt: skip


def duration(limit: Limit, allowance: float, left: float, needed: float, until_reset: float) -> float:
    """Seconds until `needed` units have passed through one limit."""
    if needed <= left or allowance <= 0:
        return 0.0
    if limit.window == "rolling":
        return (needed - left) / allowance * limit.seconds
    windows = math.ceil((needed - left) / allowance)
    return until_reset + (windows - 1) * limit.seconds


def guard(run: Run, made: Plan, yes: bool) -> None:
    """Refuse what nobody expects: an empty source, or a rewrite of much of what was migrated."""
    ready = sum(step.create + step.update + step.unchanged for step in made.steps if not run.spec.objects[step.object].scaffold)
    if ready == 0:
        raise UnsafePlan("the source gave no record that can be migrated – is this the right account?")
    if yes:
        return
    share = run.spec.guards.get("updates", UPDATES)
    with run.store.begin() as connection:
        linked: Mapping[str, int] = count_links(connection)
    for step in made.steps:
        have = linked.get(step.object, 0)
        if have >= SMALL and step.update > share * have:
            raise UnsafePlan(
                f"{step.update} of {have} {step.label} would be rewritten, more than {share:.0%} – "
                "look at them with `etl plan`, then add --yes"
            )
