"""What a plan costs against the quotas, and how long it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import repeat

import msgspec
from msgspec import structs

from engine.connector.client import Client
from engine.connector.model import Limit, Verb
from engine.destination.rows import FIELDS
from engine.extract.hydrate import PendingReads, pending_reads
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.changes import count_changes, count_sent
from engine.store.links import links_of


class Step(msgspec.Struct, frozen=True):
    """An object's changes by kind and their cost; adopted rows that are written count twice."""

    object: str
    label: str
    resource: str
    create: int = 0
    update: int = 0
    adopt: int = 0
    conflict: int = 0
    delete: int = 0
    unchanged: int = 0
    skip: int = 0
    fail: int = 0
    calls: int = 0
    cost: float = 0.0


class LimitUse(msgspec.Struct, frozen=True):
    """One quota against what the plan needs of it."""

    account: str
    limit: str
    unit: str
    seconds: float
    allowance: float
    left: float
    needed: float
    time: float  # seconds this limit alone makes the plan take


class Plan(msgspec.Struct, frozen=True):
    """What the changes in the store come to: counts, cost, time."""

    steps: tuple[Step, ...]
    fields_missing: tuple[str, ...]
    calls: int
    cost: float
    limits: tuple[LimitUse, ...]
    seconds: float
    warnings: tuple[str, ...] = msgspec.field(default=())
    made_at: float = 0.0  # UTC epoch seconds
    cost_unit: str = "calls"


def summed_up(
    run: Run, objects: Sequence[ObjectMapping], made_at: float
) -> Plan:
    """The plan in the store as counts and costs."""
    missing = fields_to_make(run)
    steps = _steps(run, objects)
    calls = sum(step.calls for step in steps) + len(missing)
    cost = sum(step.cost for step in steps) + sum(
        field_cost(run, name) for name in missing
    )
    limits = _limits(run.destination, calls, cost)

    unread = pending_reads(run)
    reads, costs = (
        sum(item.calls for item in unread),
        sum(item.cost for item in unread),
    )
    limits += _limits(run.source, reads, costs)
    seconds = max((use.time for use in limits), default=0.0)
    warnings = (*_too_many(run, steps), *_unread(unread))
    unit = run.migration.destination.cost_unit
    return Plan(
        tuple(steps),
        tuple(missing),
        calls,
        cost,
        tuple(limits),
        seconds,
        warnings,
        made_at,
        unit,
    )


def _steps(run: Run, objects: Sequence[ObjectMapping]) -> list[Step]:
    with run.store.begin() as connection:
        planned, sent = count_changes(connection), count_sent(connection)
    found = []
    for mapping in objects:
        own = {
            kind: many
            for (name, kind), many in planned.items()
            if name == mapping.name
        }
        own["update"] = own.get("update", 0) + sent.get(mapping.name, 0)
        step = Step(mapping.name, mapping.label, mapping.resource, **own)
        costs = list(costs_of(run, step))
        found.append(structs.replace(step, calls=len(costs), cost=sum(costs)))
    return found


def _unread(found: Sequence[PendingReads]) -> Iterator[str]:
    """Records that a run has to read one by one first; a plan does not, for that may take days."""
    for item in found:
        names = ", ".join(item.fields)
        yield (
            f"{item.calls:,} {item.collection} are still to be read one by one for"
            f" {names}; what comes of that is not in this plan"
        )


def _too_many(run: Run, steps: Sequence[Step]) -> Iterator[str]:
    """Resources of which the destination's plan takes fewer rows than there would be."""
    side = run.spec.destination
    for name, resource in run.migration.destination.resources.items():
        most = resource.most.get(side.plan, resource.most.get("*"))
        of_it = [step for step in steps if step.resource == name]
        made = sum(step.create for step in of_it)
        there = sum(_there(step) for step in of_it)
        if most is None or not made:
            continue

        room = most * (side.seats if resource.most_per_seat else 1)
        if made + there > room:
            yield (
                f"{made:,} {name} to make and {there:,} made so far, but the plan"
                f" {side.plan} takes {room:,} in all, and the rest will be refused –"
                " enlarge the plan, or exclude some with `where`"
            )


def _there(step: Step) -> int:
    """Rows that are there; `update` counts those that are adopted and written as well."""
    return (
        step.update
        + step.unchanged
        + step.conflict
        + max(0, step.adopt - step.update)
    )


def fields_to_make(run: Run) -> list[str]:
    """Custom fields that neither the store nor the account knows, as resource.name."""
    found = []
    for name, resource in run.migration.destination.resources.items():
        wanted = [
            item
            for item in run.spec.custom_fields.values()
            if item.resource == name
        ]
        custom = resource.custom
        if not wanted or custom is None:
            continue

        with run.store.begin() as connection:
            known = links_of(connection, FIELDS + name)
        unknown = [item for item in wanted if item.name not in known]
        rows = run.listed(custom.resource) if unknown else []
        there = {(row.get(custom.name), row.get(custom.type)) for row in rows}
        missing = [
            item
            for item in unknown
            if (item.label, custom.types[item.type]) not in there
        ]
        found += [f"{name}.{item.name}" for item in missing]
    return found


# -- calls and units


def costs_of(run: Run, step: Step) -> Iterator[float]:
    """What each call costs for an object's changes, those that look at rows before among them."""
    operations = run.resource(step.resource).operations

    def calls(verb: Verb, rows: int, a_call: int) -> Iterator[float]:
        cost = cost_of(run, step.resource, verb)
        return repeat(cost, math.ceil(rows / a_call))

    if step.create:
        yield from calls("create", step.create, operations["create"].rows)
    if step.delete:
        yield from calls("delete", step.delete, operations["delete"].rows)
    if not step.update or "update" not in operations:
        return

    update, listed = operations["update"], operations["list"]
    single = operations.get("read")
    if listed.ids and not (single and single.etag):
        yield from calls("list", step.update, listed.ids_max)
    else:
        yield from calls("read", step.update, 1)
    if update.whole:
        yield from calls("read", step.update, 1)
    yield from calls("update", step.update, update.rows)


def cost_of(run: Run, resource: str, verb: Verb) -> float:
    """What one call costs."""
    operation = run.resource(resource).operations.get(verb)
    return float(operation.cost) if operation else 0.0


def field_cost(run: Run, name: str) -> float:
    """What making a custom field costs, by its resource.name."""
    custom = run.resource(name.partition(".")[0]).custom
    return cost_of(run, custom.resource, "create") if custom else 0.0


def _limits(client: Client, calls: int, cost: float) -> list[LimitUse]:
    limits = [limit for limit in client.connector.limits if limit.general]
    return [_use(client, limit, calls, cost) for limit in limits]


def _use(client: Client, limit: Limit, calls: int, cost: float) -> LimitUse:
    limiter = client.limiter
    needed = cost if limit.unit == "cost" else float(calls)
    allowance, left_now = limiter.allowance(limit), limiter.remaining(limit)
    until_reset = limiter.reset_time(limit) - client.clock.now()
    return LimitUse(
        client.connector.title,
        limit.name,
        limit.unit,
        limit.seconds,
        allowance,
        left_now,
        needed,
        duration(limit, allowance, left_now, needed, until_reset),
    )


def duration(
    limit: Limit,
    allowance: float,
    left_now: float,
    needed: float,
    until_reset: float,
) -> float:
    """Seconds until `needed` units have passed through one limit."""
    if needed <= left_now or allowance <= 0:
        return 0.0
    if limit.window == "rolling":
        return (needed - left_now) / allowance * limit.seconds
    windows = math.ceil((needed - left_now) / allowance)
    return until_reset + (windows - 1) * limit.seconds
