"""What each account has spent, in slots of time, so that restarts and other processes know it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.schema import quota


def booked(connection: sa.Connection, account: str, name: str, from_slot: int) -> list[tuple[int, float]]:
    """(slot, amount) of a limit since a slot, oldest first."""
    query = (
        sa.select(quota.c.slot, quota.c.spent)
        .where(quota.c.account == account, quota.c.name == name, quota.c.slot >= from_slot)
        .order_by(quota.c.slot)
    )
    return [(row.slot, row.spent) for row in connection.execute(query)]


def book(connection: sa.Connection, account: str, name: str, slot: int, amount: float) -> None:
    """Add to a slot; one statement, safe between processes."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(quota).values(account=account, name=name, slot=slot, spent=amount)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "name", "slot"], set_={"spent": quota.c.spent + amount}
        )
    )


def forget_before(connection: sa.Connection, account: str, name: str, slot: int) -> None:
    """Drop slots that no window reaches any more."""
    connection.execute(quota.delete().where(quota.c.account == account, quota.c.name == name, quota.c.slot < slot))
