"""Brings the store of an older program up to date: one function for each version step.

A step is history. It says in its own words what the tables were to become, and never names a table
of `tables.py`, which goes on changing. Nothing in this module loses a row.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from engine.errors import StoreError

Step = Callable[[sa.Connection], None]

# "etl-v"; the lease of a running command has a key of its own
_LOCK = 0x65746C2D76
_META = sa.table("meta", sa.column("name"), sa.column("value"))
_VERSION = _META.c.name == "version"


def _one_to_two(connection: sa.Connection) -> None:
    """What became of each value, which fields are held back, planned changes, candidates."""
    for column in ("stored", "held"):
        connection.exec_driver_sql(
            f"ALTER TABLE links ADD COLUMN {column} TEXT DEFAULT '{{}}' NOT NULL"
        )

    integer = "INTEGER" if connection.dialect.name == "sqlite" else "BIGINT"
    double = (
        "DOUBLE" if connection.dialect.name == "sqlite" else "DOUBLE PRECISION"
    )
    connection.exec_driver_sql(f"""
        CREATE TABLE changes (
            object TEXT NOT NULL,
            key TEXT NOT NULL,
            seq {integer} NOT NULL,
            kind TEXT NOT NULL,
            dest_id TEXT DEFAULT '' NOT NULL,
            send TEXT DEFAULT '{{}}' NOT NULL,
            before TEXT DEFAULT '{{}}' NOT NULL,
            conflicts TEXT DEFAULT '[]' NOT NULL,
            stuck TEXT DEFAULT '[]' NOT NULL,
            version TEXT DEFAULT '{{}}' NOT NULL,
            draft TEXT DEFAULT '' NOT NULL,
            reason TEXT DEFAULT '' NOT NULL,
            cost {double} DEFAULT 0 NOT NULL,
            PRIMARY KEY (object, key)
        )
        """)
    connection.exec_driver_sql(
        "CREATE INDEX changes_in_order ON changes (object, seq, key)"
    )
    connection.exec_driver_sql(
        "CREATE INDEX changes_by_kind ON changes (object, kind)"
    )
    connection.exec_driver_sql(
        "CREATE INDEX changes_by_row ON changes (object, dest_id)"
    )

    connection.exec_driver_sql("""
        CREATE TABLE candidates (
            resource TEXT NOT NULL,
            token TEXT NOT NULL,
            dest_id TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (resource, token, dest_id)
        )
        """)


def _two_to_three(connection: sa.Connection) -> None:
    """What drafts were made of, record by record."""
    integer = "INTEGER" if connection.dialect.name == "sqlite" else "BIGINT"
    connection.exec_driver_sql(f"""
        CREATE TABLE seen (
            place TEXT NOT NULL,
            key TEXT NOT NULL,
            digest TEXT NOT NULL,
            seq {integer} NOT NULL,
            mark {integer} NOT NULL,
            PRIMARY KEY (place, key)
        )
        """)
    connection.exec_driver_sql(
        "CREATE INDEX seen_by_mark ON seen (place, mark)"
    )

    connection.exec_driver_sql("""
        CREATE TABLE dependencies (
            object TEXT NOT NULL,
            record TEXT NOT NULL,
            found TEXT NOT NULL,
            PRIMARY KEY (object, record)
        )
        """)


def _three_to_four(connection: sa.Connection) -> None:
    """What stood behind a mark in a name or a row stands in columns, and in the table it is of."""
    false = "0" if connection.dialect.name == "sqlite" else "false"
    connection.exec_driver_sql(
        f"ALTER TABLE records ADD COLUMN unread BOOLEAN DEFAULT {false} NOT NULL"
    )
    _mark_unread(connection)

    # definitions of the account's fields and options belong to no object of the spec
    for mark, place in (("$fields.", ".custom."), ("$options.", ".")):
        for table in ("links", "journal", "findings"):
            rows = sa.table(table, sa.column("object"), sa.column("key"))
            owner = sa.func.substr(rows.c.object, len(mark) + 1)
            connection.execute(
                rows.update()
                .where(rows.c.object.startswith(mark, autoescape=True))
                .values(object="", key=owner + place + rows.c.key)
            )

    # searches for rows that version 1 had begun, and collections that were counted, not read
    cursors = sa.table(
        "cursors", *map(sa.column, ("collection", "complete", "rows"))
    )
    counted = sa.table("counted", *map(sa.column, ("collection", "rows")))
    connection.exec_driver_sql(
        "CREATE TABLE counted (collection TEXT NOT NULL, rows INTEGER NOT NULL,"
        " PRIMARY KEY (collection))"
    )
    name = sa.func.substr(cursors.c.collection, 2)
    is_search = cursors.c.collection.startswith("#adopting.", autoescape=True)
    known = sa.exists().where(_META.c.name == name)
    searches = sa.select(name, sa.literal("open")).where(
        is_search, cursors.c.complete.is_(False), ~known
    )
    connection.execute(_META.insert().from_select(["name", "value"], searches))
    is_count = cursors.c.collection.startswith("#") & ~is_search
    counts = sa.select(name, cursors.c.rows).where(is_count)
    connection.execute(
        counted.insert().from_select(["collection", "rows"], counts)
    )
    connection.execute(cursors.delete().where(is_search | is_count))


def _mark_unread(connection: sa.Connection) -> None:
    """Rows that were listed anew since their details were read said so in themselves."""
    records = sa.table(
        "records", sa.column("seq"), sa.column("body"), sa.column("unread")
    )
    marked = records.c.body.contains('"$unread":null', autoescape=True)
    query = sa.select(records.c.seq, records.c.body).where(marked)
    for seq, text in connection.execute(query).all():
        body = json.loads(text)
        body.pop("$unread", None)
        connection.execute(
            records.update()
            .where(records.c.seq == seq)
            .values(body=json.dumps(body, separators=(",", ":")), unread=True)
        )


# The step at position N leads from version N + 1 to version N + 2. Steps are only ever added.
MIGRATIONS: tuple[Step, ...] = (_one_to_two, _two_to_three, _three_to_four)


def bring_up(
    engine: sa.Engine, make: Step, steps: Sequence[Step] = MIGRATIONS
) -> None:
    """Bring a store to the version after the last step; `make` then makes the missing tables.

    A step and the new version number are one transaction: a process that is killed leaves the
    version before it, whole. A second process waits for the first and finds the work done. An
    SQLite file is copied beside itself before its first step. Raises StoreError where the store is
    of a newer program, is no store, or cannot be copied.
    """
    wanted, copied = len(steps) + 1, False
    while True:
        with _exclusive(engine) as connection:
            found = _version(connection)
            if found is None or found == wanted:
                make(connection)
                return
            if found > wanted:
                raise StoreError(
                    f"it was made by a newer etl (version {found}) – update etl"
                )

            if not copied:
                _back_up(engine, found)
                copied = True
            steps[found - 1](connection)
            connection.execute(
                _META.update().where(_VERSION).values(value=str(found + 1))
            )


@contextmanager
def _exclusive(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that may change tables: one process at a time, the others wait.

    On SQLite every transaction of ours is exclusive already (BEGIN IMMEDIATE).
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _version(connection: sa.Connection) -> int | None:
    """The version a store is of; None where there are no tables yet."""
    if not sa.inspect(connection).has_table(_META.name):
        return None

    found = connection.execute(
        sa.select(_META.c.value).where(_VERSION)
    ).scalar()
    if found is None or not str(found).isdecimal() or int(found) < 1:
        reason = "its table meta holds no version"
        raise StoreError(f"it is not a store of etl: {reason} – check the path")
    return int(found)


def _back_up(engine: sa.Engine, version: int) -> None:
    """Copy an SQLite store to `NAME.vN.backup`, private to this user; nobody can write meanwhile.

    An older copy is never replaced: where a migration was interrupted, the next copy is
    `NAME.vN.backup.2`. Copies are made under another name first, so each of them is whole.
    """
    if engine.dialect.name != "sqlite":
        return

    store = Path(engine.url.database or "")
    part = store.with_name(f"{store.name}.v{version}.backup.part")
    try:
        _copy(engine, part)
        part.rename(
            _free_name(store.with_name(f"{store.name}.v{version}.backup"))
        )
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink()
        reason = f"it could not be copied before its update: {error}"
        raise StoreError(
            f"{reason} – check the space left in {store.parent}"
        ) from error


def _copy(engine: sa.Engine, target: Path) -> None:
    """Copy what is committed, the write-ahead log included."""
    target.unlink(missing_ok=True)  # of a process that was killed
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    with (
        closing(engine.raw_connection()) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        driver = source.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.backup(copy)


def _free_name(wanted: Path) -> Path:
    """The name itself, or with the first number that is not taken."""
    if not wanted.exists():
        return wanted
    numbered = (
        wanted.with_name(f"{wanted.name}.{number}") for number in count(2)
    )
    return next(name for name in numbered if not name.exists())
