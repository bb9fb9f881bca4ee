"""Whether the account takes as many custom fields as the spec wants to make."""

from __future__ import annotations

from engine.destination.definitions import is_own
from engine.plan.cost import fields_to_make
from engine.session import Run


def too_many_fields(run: Run) -> str:
    """Why the custom fields do not fit into the account's plan, with the counts; "" where they do.

    The plan is the one that the spec names; an account that is full says so itself when a field is
    made, but then others have been made already.
    """
    plan = run.spec.destination.plan
    missing = len(fields_to_make(run))
    connector = run.migration.destination
    most = connector.room_for_fields(plan)
    if not missing or most is None:
        return ""

    customs = {
        resource.custom.resource: resource.custom
        for resource in connector.resources.values()
        if resource.custom is not None
    }
    there = sum(
        is_own(custom, row)
        for name, custom in customs.items()
        if custom.own
        for row in run.listed(name)
    )
    if there + missing <= most:
        return ""

    # connectors without `own` do not say which of the account's fields count
    has = f"the account has {there:,} and " if there else ""
    ours = len(run.spec.custom_fields) - missing
    room = max(0, most - max(0, there - ours))
    return (
        f"custom fields: {has}{missing:,} more are to be made, but the plan {plan} allows"
        f" {most:,} – remove {there + missing - most:,} from the spec, make notes of them"
        f" (`beyond_plan`, `room: {room}`), or choose a larger plan"
    )
