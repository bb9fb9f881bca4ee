"""Which accounts turns work on: one migration at a time has an account."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.dialects.postgresql import insert

from engine.errors import StoreError
from engine.store.lease import lease
from engine.store.tables import VERSION, open_store
from fleet.records.database import hurry, schema_of, store_of
from fleet.records.members import has_turn, locked
from fleet.records.tables import migrations, occupied, turn_rows
from fleet.waits import GLANCE, SOON


def occupy(
    engine: sa.Engine, turn: int, name: str, accounts: Sequence[str], now: float
) -> str:
    """Enter the accounts of a turn, which begins with that: "", or which migration is at work on
    one of them. It is entered again once the turn holds its store.

    The turn itself, where it was taken for dead meanwhile. What the migration has of before, for
    a turn that was taken for dead, stays taken.
    """
    rows = [{"account": account, "name": name} for account in accounts]
    this_turn = (turn_rows.c.id == turn, turn_rows.c.ended == 0)
    with engine.begin() as connection:
        begins = turn_rows.update().where(*this_turn).values(began=now)
        if not connection.execute(begins).rowcount:
            return name
        taken = insert(occupied).values(rows).on_conflict_do_nothing()
        got = connection.execute(taken.returning(occupied.c.account))
        new = [*got.scalars()]
        asked = occupied.c.account.in_(accounts)
        whose = connection.execute(sa.select(occupied.c.name).where(asked))
        names = [*whose.scalars()]
        if names.count(name) == len(rows):
            return ""
        connection.execute(occupied.delete().where(occupied.c.account.in_(new)))
        return next((other for other in names if other != name), name)


def leave(connection: sa.Connection, name: str) -> None:
    connection.execute(occupied.delete().where(occupied.c.name == name))


def busy(other: str) -> str:
    """Why a turn has not begun."""
    return f"{other} is at work on the account"


def is_waited_for(engine: sa.Engine, name: str) -> bool:
    """Whether another migration would begin if this one left their account."""
    others = sa.select(migrations.c.name).where(
        migrations.c.state == "queued", migrations.c.reason == busy(name)
    )
    with engine.connect() as connection:
        return connection.execute(others).first() is not None


def left(engine: sa.Engine) -> list[tuple[str, str]]:
    """Migrations that have accounts and no turn that goes on, and the version of each."""
    own_turn = sa.select(turn_rows.c.id).where(
        turn_rows.c.name == occupied.c.name, turn_rows.c.ended == 0
    )
    left = (
        sa.select(occupied.c.name, migrations.c.version)
        .join(migrations, migrations.c.name == occupied.c.name)
        .where(~own_turn.exists())
        .distinct()
        .order_by(occupied.c.name)
    )
    with engine.connect() as connection:
        return [(name, version) for name, version in connection.execute(left)]


def has_store_of_now(engine: sa.Engine, name: str) -> bool:
    """Whether the store of a migration is one of this version of etl, which opens it as it is."""
    meta = sa.table(
        "meta", sa.column("name"), sa.column("value"), schema=schema_of(name)
    )
    version = sa.select(meta.c.value).where(meta.c.name == "version")
    with engine.connect() as connection:
        there = sa.inspect(connection).has_table("meta", schema=meta.schema)
        return there and connection.execute(version).scalar() == str(VERSION)


def free(engine: sa.Engine, name: str) -> None:
    """Free the accounts of a migration without a turn, once its store is free: until then, a turn
    that was taken for dead may be at work on them. It cannot go on afterwards, for the lease has
    another number.
    """
    with closing(open_store(store_of(engine, name, GLANCE))) as store:
        try:
            # a server that is away is none that this store alone could wait for
            with lease(structs.replace(store, patience=0.0), SOON):
                pass
        except StoreError:
            return
    with engine.begin() as connection:
        hurry(connection)
        locked(connection, name)
        if not has_turn(connection, turn_rows.c.name == name):
            leave(connection, name)
