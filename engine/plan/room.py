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
    missing = fields_to_make(run)
    customs = {
        resource.custom.resource: resource.custom
        for resource in run.migration.destination.resources.values()
        if resource.custom is not None
    }
    allowed = [
        custom.most[name]
        for custom in customs.values()
        for name in (plan, "*")
        if name in custom.most
    ]
    if not missing or not allowed:
        return ""

    there = sum(
        is_own(custom, row)
        for name, custom in customs.items()
        if custom.own
        for row in run.listed(name)
    )
    most = min(allowed)
    if there + len(missing) <= most:
        return ""

    # connectors without `own` do not say which of the account's fields count
    known = f"the account has {there:,} and " if there else ""
    return (
        f"custom fields: {known}{len(missing):,} more are to be made, but"
        f" the plan {plan} allows {most:,} – remove {there + len(missing) - most:,} from the"
        " spec, say under `beyond_plan` what becomes of them, or choose a larger plan"
    )
