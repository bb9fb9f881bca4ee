"""What the accounts of a migration have spent of their days."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from engine.connector.auth import Account
from engine.connector.model import Connector, Limit
from engine.connector.rate_limit import RateLimiter
from engine.language.model import Side
from engine.library.opening import Held

DAY = 86_400.0


def today(held: Held) -> list[dict[str, Any]]:
    """For each limit of a day or longer: what is spent, of how much, and until when that counts."""
    spec, migration = held.migration.spec, held.migration
    sides = (
        (migration.source, spec.source, held.accounts.source),
        (migration.destination, spec.destination, held.accounts.destination),
    )
    return [
        found for side in sides for found in _days(held, side) if found["of"]
    ]


def unit_of(unit: str, connector: Connector) -> str:
    """What a limit counts, by the platform's own word for it."""
    return connector.cost_unit if unit == "cost" else unit


def _days(
    held: Held, of: tuple[Connector, Side, Account]
) -> list[dict[str, Any]]:
    connector, side, account = of
    limiter = RateLimiter(
        structs.replace(held.store, patience=0.0),
        f"{connector.name}:{account.id}",
        connector.limits,
        side.plan,
        side.seats,
        side.reserve,
        held.clock,
    )
    long = [limit for limit in connector.limits if limit.seconds >= DAY]
    return [
        {
            "account": connector.title,
            **_spent(limiter, limit, unit_of(limit.unit, connector)),
        }
        for limit in long
    ]


def _spent(limiter: RateLimiter, limit: Limit, unit: str) -> dict[str, Any]:
    allowance = limiter.allowance(limit)
    return {
        "limit": limit.name,
        "unit": unit,
        "spent": round(allowance - limiter.remaining(limit)),
        "of": round(allowance),
        "until": limiter.reset_time(limit),
    }
