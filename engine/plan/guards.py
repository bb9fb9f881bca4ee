"""Plans that nobody expects are refused until a person says yes."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import UnsafePlan
from engine.plan.cost import Plan, Step
from engine.plan.deletions import STAGE
from engine.session import Run
from engine.store.links import call_attention, count_links, troubled_fields

UPDATES = 0.3  # share of linked rows that may be rewritten without a person saying yes
# share of an object's rows that may be deleted without a person saying yes
DELETES = 0.3
SMALL = 10  # objects with fewer linked rows may be rewritten
ENOUGH = 3  # records of an object that, all failing alike, are a fault of the mapping
FEW = 2  # rows of an object that may be deleted without a question


def guard(run: Run, made: Plan, yes: bool) -> None:
    """Raise UnsafePlan for an empty source, or where much that was migrated would change or go."""
    content = [
        step
        for step in made.steps
        if not run.spec.objects[step.object].scaffold
    ]
    if not any(_ready(step) for step in content):
        raise UnsafePlan(
            "the source has no record that can be migrated – is this the right account?"
        )
    if yes:
        return

    for step in content:
        _guard_fields(run, step)
    with run.store.begin() as connection:
        linked: Mapping[str, int] = count_links(connection)
    for step in made.steps:
        have = linked.get(step.object, 0)
        _guard_updates(run, step, have)
        _guard_deletes(run, step, have)


def _ready(step: Step) -> int:
    return (
        step.create + step.update + step.adopt + step.unchanged + step.conflict
    )


def _guard_fields(run: Run, step: Step) -> None:
    """What goes wrong in every record is a fault of the mapping, not of the records."""
    records = _ready(step) + step.fail
    if records < ENOUGH:
        return
    if step.fail == records:
        raise UnsafePlan(
            f"all {records} {step.label} fail – see why in `etl status` or with `etl"
            " plan SPEC --records`, correct the spec, or add --yes to go on without"
            " them"
        )

    with run.store.begin() as connection:
        troubled = troubled_fields(connection, "transform", step.object)
    for name, many, text in troubled:
        if many >= records:
            raise UnsafePlan(
                f"objects.{step.object}.fields.{name} fails in all {many} records:"
                f" {text} – correct it in the spec, or add --yes to go on without the"
                " field"
            )


def _guard_updates(run: Run, step: Step, have: int) -> None:
    share = run.spec.guards.get("updates", UPDATES)
    there = have + step.adopt
    if there >= SMALL and step.update > share * there:
        raise UnsafePlan(
            f"{step.update} of {there} {step.label} would be rewritten, more than"
            f" {share:.0%} – look at them with `etl plan SPEC --records`, then add"
            " --yes"
        )


def _guard_deletes(run: Run, step: Step, have: int) -> None:
    share = run.spec.guards.get("deletes", DELETES)
    if step.delete > FEW and step.delete > share * have:
        with run.store.begin() as connection:
            call_attention(connection, STAGE, step.object)
        raise UnsafePlan(
            f"{step.delete} of {have} {step.label} would be deleted, more than"
            f" {share:.0%} – see which in `etl status` or `etl plan SPEC --records`,"
            " then add --yes"
        )
