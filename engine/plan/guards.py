"""Plans that nobody expects are refused until a person says yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from engine.errors import UnsafePlan
from engine.extract.fields import ABSENT
from engine.plan.cost import Plan, Step
from engine.plan.deletions import STAGE
from engine.plan.doubt import is_in_doubt
from engine.plan.room import too_many_fields
from engine.session import Run
from engine.store.changes import stream_changes
from engine.store.links import (
    all_findings,
    call_attention,
    count_links,
    troubled_fields,
)

UPDATES = 0.3  # share of linked rows that may be rewritten without a person saying yes
# share of an object's rows that may be deleted without a person saying yes
DELETES = 0.3
SMALL = 10  # objects with fewer linked rows may be rewritten
ENOUGH = 3  # records of an object that, all failing alike, are a fault of the mapping
TOLD = 3  # fields of an object that a refusal names
FEW = 2  # rows of an object that may be deleted without a question


def guard(run: Run, made: Plan, yes: bool) -> None:
    """Raise UnsafePlan for an empty source, for an account without room for the custom fields, or
    where much that was migrated would change or go.
    """
    if not any(_ready(step) + step.fail for step in _content(run, made)):
        raise UnsafePlan(
            "the source has no record that can be migrated – is this the right account?"
        )
    if full := too_many_fields(run):
        raise UnsafePlan(full)
    found = [] if yes else refusals(run, made)
    if found:
        _point_out_deletions(run, made)
        raise UnsafePlan(
            "; ".join(found)
            + " – see why with `etl plan SPEC --records`; correct the spec, or add --yes"
            " to go on all the same"
        )


def refusals(run: Run, made: Plan) -> list[str]:
    """All that a person has to say yes to before the plan is carried out."""
    found = [
        text for step in _content(run, made) for text in _failing(run, step)
    ]
    with run.store.begin() as connection:
        linked = count_links(connection)
        found += _absent(connection)
    for step in made.steps:
        have = linked.get(step.object, 0)
        found += _rewritten(run, step, have + step.adopt)
        found += _deleted(run, step, have)
    return found


def _absent(connection: sa.Connection) -> Iterator[str]:
    """Fields that no row of the source has: all that depends on them would be lost."""
    for item in all_findings(connection, "attention", stage=ABSENT):
        yield f"{item.object}.{item.field}: {item.text}"


def _point_out_deletions(run: Run, made: Plan) -> None:
    """Deletions that a run was refused for stand among what needs attention."""
    with run.store.begin() as connection:
        linked = count_links(connection)
        for step in made.steps:
            if _deleted(run, step, linked.get(step.object, 0)):
                call_attention(connection, STAGE, step.object)


def _content(run: Run, made: Plan) -> list[Step]:
    """What the plan does to the customer's records."""
    objects = run.spec.objects
    return [step for step in made.steps if not objects[step.object].scaffold]


def _ready(step: Step) -> int:
    return (
        step.create + step.update + step.adopt + step.unchanged + step.conflict
    )


def _failing(run: Run, step: Step) -> Iterator[str]:
    """What goes wrong in every record is a fault of the mapping, not of the records; those that may
    have made a row went wrong by themselves.
    """
    doubted = sum(
        is_in_doubt(change.reason)
        for batch in stream_changes(run.store, step.object, "fail")
        for change in batch
    )
    records = _ready(step) + step.fail - doubted
    if records < ENOUGH:
        return
    if step.fail - doubted == records:
        yield f"all {records} {step.label} fail"
        return
    with run.store.begin() as connection:
        troubled = troubled_fields(connection, "transform", step.object)
    for name, many, text in troubled:
        if many >= records:
            yield (
                f"objects.{step.object}.fields.{name} fails in all {many} records:"
                f" {text}"
            )


def _rewritten(run: Run, step: Step, there: int) -> Iterator[str]:
    share = run.spec.guards.get("updates", UPDATES)
    if there >= SMALL and step.update > share * there:
        fields = Counter(
            name
            for batch in stream_changes(run.store, step.object, "update")
            for change in batch
            for name in change.send
        )
        yield (
            f"{step.update} of {there} {step.label} would be rewritten, more than"
            f" {share:.0%}: {_most(fields)}"
        )


def _most(fields: Counter[str]) -> str:
    """The fields that would change most, each with how often."""
    told = [f"{name} in {many}" for name, many in fields.most_common(TOLD)]
    more = [f"{len(fields) - TOLD} more"] * (len(fields) > TOLD)
    return ", ".join([*told, *more])


def _deleted(run: Run, step: Step, have: int) -> list[str]:
    share = run.spec.guards.get("deletes", DELETES)
    if step.delete > FEW and step.delete > share * have:
        return [
            f"{step.delete} of {have} {step.label} would be deleted, more than"
            f" {share:.0%}"
        ]
    return []
