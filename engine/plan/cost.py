"""What a plan costs against the quotas, and how long it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import msgspec

from engine.connector.client import Client
from engine.connector.model import Limit, Operation
from engine.destination.definitions import known_fields
from engine.extract.hydrate import PendingReads, pending_reads
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.changes import count_changes, count_sent, stream_work
from engine.store.links import drafts_of


@dataclass(frozen=True, slots=True)
class Step:
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
    """What the changes in the store come to: counts, cost, time."""

    steps: tuple[Step, ...]
    fields_missing: tuple[str, ...]
    calls: int
    cost: float
    limits: tuple[LimitUse, ...]
    seconds: float
    warnings: tuple[str, ...] = ()
    made_at: float = 0.0  # UTC epoch seconds
    cost_unit: str = "calls"


def summed_up(
    run: Run, objects: Sequence[ObjectMapping], made_at: float
) -> Plan:
    """The plan in the store as counts and costs."""
    missing = fields_to_make(run)
    made = _Calls()
    for call in field_calls(run, missing):
        made.add(call)
    steps = _steps(run, objects, made)
    limits = _limits(run.destination, made)

    unread, reads = pending_reads(run), _Calls()
    for item in unread:
        resource = run.collection(item.collection)
        reads.add(resource.operations["read"], item.calls)
    limits += _limits(run.source, reads)
    seconds = max((use.time for use in limits), default=0.0)
    warnings = (*_too_many(run, steps), *_unread(unread))
    unit = run.migration.destination.cost_unit
    return Plan(
        tuple(steps),
        tuple(missing),
        made.calls,
        made.cost,
        tuple(limits),
        seconds,
        warnings,
        made_at,
        unit,
    )


class _Calls(msgspec.Struct):
    """How many calls of each kind a plan makes."""

    calls: int = 0
    cost: float = 0.0
    # calls and cost of the limits that only some calls count against
    named: Counter[str] = msgspec.field(default_factory=Counter)
    spent: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, call: Operation, many: int = 1) -> None:
        """Count so many calls of an operation."""
        self.calls += many
        self.cost += many * call.cost
        for name in call.limits:
            self.named[name] += many
            self.spent[name] += many * call.cost

    def of(self, limit: Limit) -> float:
        """What they take of a limit."""
        if limit.unit == "cost":
            return self.cost if limit.general else self.spent[limit.name]
        return float(self.calls if limit.general else self.named[limit.name])


def _steps(
    run: Run, objects: Sequence[ObjectMapping], made: _Calls
) -> list[Step]:
    """The steps, their calls added to those of the plan."""
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
        calls = made.calls, made.cost
        for call, many in calls_of(run, step):
            made.add(call, many)
        step = replace(
            step, calls=made.calls - calls[0], cost=made.cost - calls[1]
        )
        found.append(step)
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
        room = min(room, resource.most_in_all or room)
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
            known = known_fields(connection, name)
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


def calls_of(run: Run, step: Step) -> Iterator[tuple[Operation, int]]:
    """The calls for an object's changes, and how many of each; those that look at rows before
    among them.
    """
    operations = run.resource(step.resource).operations

    for operation, rows in _together(run, step, operations):
        yield from operation.calls(rows)
    if step.delete:
        yield from _apart(operations["delete"], step.delete)
    if not step.update or "update" not in operations:
        return

    update, listed = operations["update"], operations["list"]
    single = operations.get("read")
    if listed.ids and not (single and single.etag):
        yield listed, math.ceil(step.update / listed.ids_max)
    elif single:
        yield single, step.update
    if update.whole and single:
        yield single, step.update


def _together(
    run: Run, step: Step, operations: Mapping[Any, Operation]
) -> Iterator[tuple[Operation, int]]:
    """How many rows to write may travel together: all, or those that are alike and follow each
    other, where there is a call for several.
    """
    many = {"create": step.create, "update": step.update}
    written = [verb for verb in many if many[verb] and verb in operations]
    if all(operations[verb].rows == 1 for verb in written):
        yield from ((operations[verb], many[verb]) for verb in written)
        return
    for (verb, *_), same in groupby(_addresses(run, step.object, operations)):
        yield operations[verb], sum(1 for _ in same)


def _addresses(
    run: Run, name: str, operations: Mapping[Any, Operation]
) -> Iterator[tuple[Any, ...]]:
    """What each write of an object is, and what its call names of its draft."""
    for part in stream_work(run.store, name):
        with run.store.begin() as connection:
            drafts = drafts_of(connection, name, [item.key for item in part])
        for item in part:
            verb = "create" if item.kind == "create" else "update"
            if verb == "create" or item.send:
                operation = operations[verb]
                call = operation.several or operation
                fields = call.places if call.bulk else ()
                body = drafts[item.key].body
                yield verb, *(body.get(field) for field in fields)


def _apart(operation: Operation, rows: int) -> Iterator[tuple[Operation, int]]:
    """The calls that change or delete so many rows, at most: below parents each alone."""
    call = operation.several or operation
    if call.bulk and set(call.places):
        yield operation, rows
    else:
        yield from operation.calls(rows)


def field_calls(run: Run, names: Sequence[str]) -> list[Operation]:
    """The calls that make custom fields, by their resource.name; none where there is no such
    call.
    """
    found = []
    for name in names:
        custom = run.resource(name.partition(".")[0]).custom
        if custom is not None:
            operations = run.resource(custom.resource).operations
            found += [operations["create"]] if "create" in operations else []
    return found


def _limits(client: Client, made: _Calls) -> list[LimitUse]:
    """The limits that hold for every call, and those that some of these count against."""
    return [
        _use(client, limit, made.of(limit))
        for limit in client.connector.limits
        if limit.general or made.of(limit)
    ]


def _use(client: Client, limit: Limit, needed: float) -> LimitUse:
    limiter = client.limiter
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
