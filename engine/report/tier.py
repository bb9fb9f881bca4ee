"""Whether an account shows that it is on the plan that the spec names."""

from __future__ import annotations

from engine.connector.client import Client
from engine.report.words import counted


def confirmed(client: Client) -> str:
    """What the answers of the account say of its plan, which is never taken on the spec's word."""
    limiter, connector = client.limiter, client.connector
    shown, fitting = [], list(connector.plans)
    for limit in connector.limits:
        told = limiter.told.get(limit.name)
        if told is None:
            continue
        shown.append(f"{limit.headers['limit']}: {told:,.0f}")
        fitting = [
            plan
            for plan in fitting
            if limit.allowance(plan, limiter.seats) == told
        ]
    if not shown:
        return "not confirmed: no answer named a limit of the account"
    by = ", ".join(shown)
    if fitting == [limiter.plan]:
        return f"confirmed by {by}"
    if limiter.plan in fitting:
        return f"not confirmed: {by} fits {', '.join(fitting)} alike"
    others = f"but {', '.join(fitting)}" if fitting else "nor any other plan"
    seats = counted(limiter.seats, "seat")
    return (
        f"contradicted: {by} does not fit {limiter.plan} with {seats}, {others}"
    )
