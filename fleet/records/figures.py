"""What turns have left: how far they were, what they counted, how they ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fleet.ending import DONE
from fleet.records.database import schema_of
from fleet.records.tables import turn_rows

# of the writes in a store's journal: what no later turn does again
SETTLED = ("adopted", "done", "kept", "undone")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a migration; `ended` is 0 while it goes on."""

    id: int
    name: str
    stage: str
    worker: str
    began: float
    ended: float
    code: int | None
    reason: str
    now: Mapping[str, Any]
    verdict: Mapping[str, Any]


def turns_of(engine: sa.Engine, name: str, most: int = 20) -> list[Turn]:
    """The last turns of a migration, the newest first."""
    statement = (
        sa.select(turn_rows)
        .where(turn_rows.c.name == name)
        .order_by(turn_rows.c.id.desc())
    )
    with engine.connect() as connection:
        return [_turn(row) for row in connection.execute(statement.limit(most))]


def last_done(
    engine: sa.Engine, name: str, stages: Sequence[str], before: int = 0
) -> Turn | None:
    """The last turn of these stages that was done; with `before`, of those before that turn."""
    done = [
        turn_rows.c.name == name,
        turn_rows.c.stage.in_(stages),
        turn_rows.c.code.in_(DONE),
    ]
    if before:
        done.append(turn_rows.c.id < before)
    newest = (
        sa.select(turn_rows)
        .where(*done)
        .order_by(turn_rows.c.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(newest).first()
    return None if row is None else _turn(row)


def last_turns(
    engine: sa.Engine, stages: Sequence[str] = ()
) -> dict[str, Turn]:
    """The last turn of each migration; with `stages`, the last of these that counted records."""
    counted = (
        turn_rows.c.stage.in_(stages),
        turn_rows.c.verdict.contains('"run":'),
    )
    newest = (
        sa.select(sa.func.max(turn_rows.c.id))
        .where(*(counted if stages else ()))
        .group_by(turn_rows.c.name)
    )
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(turn_rows).where(turn_rows.c.id.in_(newest))
        )
        return {row.name: _turn(row) for row in found}


def mark(connection: sa.Connection, name: str, stage: str) -> str | None:
    """How far a migration is in what it keeps however a turn ends: what was read and written. Of a
    delta only what was written: people go on in the source, whatever becomes of turns. It is the
    same as before where nothing was done meanwhile, "" where there is no store, and None
    where nobody knows: the store is one of another version. One that is locked raises
    sqlalchemy.exc.OperationalError.
    """
    schema = schema_of(name)
    if not sa.inspect(connection).has_table("journal", schema=schema):
        return ""
    try:
        with connection.begin_nested():
            read = _read(connection, schema) if stage != "delta" else "0 read"
            return ", ".join([read, *_settled(connection, schema)])
    except sa.exc.ProgrammingError:  # a table or a column is another one
        return None


def compared(connection: sa.Connection, name: str) -> int:
    """How many rows the last comparison has read back so far, whether it came to its end or not."""
    schema = schema_of(name)
    if not sa.inspect(connection).has_table("verified", schema=schema):
        return 0
    seen = sa.table("verified", schema=schema)
    counting = sa.select(sa.func.count()).select_from(seen)
    return int(connection.execute(counting).scalar_one())


def _read(connection: sa.Connection, schema: str) -> str:
    """How many records were ever read, and how much they hold: one that is known grows where its
    own read holds more than its list. The length of a text is known without reading it.
    """
    records = sa.table(
        "records", sa.column("seq"), sa.column("body"), schema=schema
    )
    held = sa.func.sum(sa.func.octet_length(records.c.body))
    rows = connection.execute(sa.select(sa.func.max(records.c.seq), held))
    read, size = rows.one()
    return f"{read or 0} read, {size or 0} bytes"


def _settled(connection: sa.Connection, schema: str) -> list[str]:
    journal = sa.table("journal", sa.column("state"), schema=schema)
    settled = (
        sa.select(journal.c.state, sa.func.count())
        .where(journal.c.state.in_(SETTLED))
        .group_by(journal.c.state)
        .order_by(journal.c.state)
    )
    return [f"{many} {state}" for state, many in connection.execute(settled)]


def _turn(row: sa.Row[Any]) -> Turn:
    texts = {key: json.loads(row._mapping[key]) for key in ("now", "verdict")}
    return Turn(**{**row._mapping, **texts})
