"""What each account has spent, in slots of time, so that restarts and other processes know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import sqlalchemy as sa

from engine.store.tables import insert_into, quota

Slots = list[tuple[int, float]]  # (slot, amount), oldest first

_OF_LIMIT = (
    quota.c.account == sa.bindparam("account"),
    quota.c.name == sa.bindparam("name"),
)
_BOOKED = (
    sa.select(quota.c.slot, quota.c.spent)
    .where(*_OF_LIMIT, quota.c.slot >= sa.bindparam("since"))
    .order_by(quota.c.slot)
)
_FORGET = quota.delete().where(
    *_OF_LIMIT, quota.c.slot < sa.bindparam("before")
)


@cache
def _add(dialect: str) -> sa.Insert:
    statement = insert_into(quota, dialect)
    added = quota.c.spent + statement.excluded.spent
    return statement.on_conflict_do_update(
        index_elements=["account", "name", "slot"], set_={"spent": added}
    )


# before a limit's name: a row that says until when (in milliseconds) the platform asked to wait
BLOCK = "until "
_BLOCKS = sa.select(quota).where(
    quota.c.account == sa.bindparam("account"), quota.c.name.startswith(BLOCK)
)


def booked(
    connection: sa.Connection, account: str, since: Mapping[str, int]
) -> dict[str, Slots]:
    """Each limit's slots from the one given."""
    return {
        name: [
            (slot, spent)
            for slot, spent in connection.execute(
                _BOOKED, {"account": account, "name": name, "since": slot}
            )
        ]
        for name, slot in since.items()
    }


def book(
    connection: sa.Connection,
    account: str,
    amounts: Sequence[tuple[str, int, float]],
) -> None:
    """Add (limit, slot, amount); one statement, safe between processes."""
    rows = [
        {"account": account, "name": name, "slot": slot, "spent": amount}
        for name, slot, amount in amounts
    ]
    if rows:
        connection.execute(_add(connection.dialect.name), rows)


def block(
    connection: sa.Connection,
    account: str,
    name: str,
    until: float,
    seconds: float,
) -> None:
    """Remember that the platform asked to wait, and how long."""
    held = (quota.c.account == account, quota.c.name == BLOCK + name)
    connection.execute(quota.delete().where(*held))
    row = {
        "account": account,
        "name": BLOCK + name,
        "slot": int(until * 1000),
        "spent": seconds,
    }
    connection.execute(quota.insert(), [row])


def blocks(
    connection: sa.Connection, account: str
) -> list[tuple[str, float, float]]:
    """What the platform asked last, by limit: its name, until when, and how long that was."""
    rows = connection.execute(_BLOCKS, {"account": account})
    return [
        (row.name.removeprefix(BLOCK), row.slot / 1000, row.spent)
        for row in rows
    ]


def forget_before(
    connection: sa.Connection, account: str, name: str, slot: int
) -> None:
    """Drop slots that no window reaches any more."""
    connection.execute(
        _FORGET, {"account": account, "name": name, "before": slot}
    )
