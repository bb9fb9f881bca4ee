"""A turn, from its beginning to its one end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from fleet.ending import OCCUPIED, Ended, Next, begun, marked
from fleet.records.database import SCHEMA
from fleet.records.members import Member, enter, has_turn, is_wanted, locked
from fleet.records.occupancy import leave
from fleet.records.tables import turn_rows

KEPT = 200  # turns of a migration


def begin(
    engine: sa.Engine, of: Member, stage: str, worker: str, now: float
) -> int:
    """Enter that a worker has begun; its own earlier turn, whose worker is gone, is closed.

    0 where the migration has been stopped or begun anew meanwhile.
    """
    row = {"name": of.name, "stage": stage, "worker": worker, "began": now}
    with engine.begin() as connection:
        current = locked(connection, of.name)
        if current is None or not is_wanted(current, of.job):
            return 0
        assert current.goal is not None
        close(connection, now, turn_rows.c.name == of.name)
        made = connection.execute(
            turn_rows.insert().values(row).returning(turn_rows.c.id)
        )
        goal = {"goal": json.dumps(asdict(begun(current.goal)))}
        enter(connection, of.name, Next("running", now, of.failures), goal)
        return int(made.scalar_one())


def progress(engine: sa.Engine, turn: int, far: Mapping[str, Any]) -> None:
    """Enter how far a turn is; a database that is away is told the next time."""
    statement = (
        turn_rows.update()
        .where(turn_rows.c.id == turn)
        .values(now=json.dumps(far))
    )
    with suppress(sa.exc.SQLAlchemyError), engine.begin() as connection:
        connection.execute(statement)


def end(  # noqa: PLR0913
    engine: sa.Engine,
    turn: int,
    of: Member,
    ended: Ended,
    after: Next,
    now: float,
    verdict: Mapping[str, Any],
) -> Next | None:
    """Enter how a turn ended and what comes next, in one transaction: what was entered, None where
    the turn had been taken for dead.

    Its accounts are free then, if it had the store: else a turn that was taken for dead may still
    be at work on them.
    """
    values = {
        "ended": now,
        "code": ended.code,
        "reason": ended.reason,
        "verdict": json.dumps(verdict),
    }
    this_turn = (turn_rows.c.id == turn, turn_rows.c.ended == 0)
    with engine.begin() as connection:
        current = locked(connection, of.name)
        closed = connection.execute(
            turn_rows.update().where(*this_turn).values(values)
        ).rowcount
        if not closed or current is None:
            return None
        # it was none: only its reason is of interest
        if ended.code == OCCUPIED:
            connection.execute(turn_rows.delete().where(turn_rows.c.id == turn))
        if of.goal is not None and is_wanted(current, of.job):
            goal = asdict(marked(of.goal, ended))
            enter(connection, of.name, after, {"goal": json.dumps(goal)})
        else:
            after = Next(current.state)
        if ended.held:
            leave(connection, of.name)
    return after


def goes_on(engine: sa.Engine, turn: int) -> bool:
    """Whether a turn has not ended, and was not taken for dead."""
    with engine.connect() as connection:
        return has_turn(connection, turn_rows.c.id == turn)


def close(
    connection: sa.Connection, now: float, *which: sa.ColumnElement[bool]
) -> int:
    """Close turns whose workers are gone, of those that have not ended; how many."""
    lost = {"ended": now, "reason": "its worker is gone"}
    left = turn_rows.update().where(turn_rows.c.ended == 0, *which)
    return connection.execute(left.values(**lost)).rowcount


def forget_old(engine: sa.Engine) -> None:
    """Forget what nobody asks for any more: events of the queue after a day, and turns but the
    newest KEPT of each migration, and the newest of each stage and code, which `status` and `plan`
    show.
    """
    events = sa.table(
        "procrastinate_events", sa.column("at", sa.DateTime), schema=SCHEMA
    )
    a_day_ago = sa.func.now() - sa.func.make_interval(0, 0, 0, 1)
    place = sa.func.row_number().over(
        partition_by=turn_rows.c.name, order_by=turn_rows.c.id.desc()
    )
    placed = sa.select(turn_rows.c.id, place.label("place")).subquery()
    old = sa.select(placed.c.id).where(placed.c.place > KEPT)
    newest = sa.select(sa.func.max(turn_rows.c.id)).group_by(
        turn_rows.c.name, turn_rows.c.stage, turn_rows.c.code
    )
    with engine.begin() as connection:
        connection.execute(events.delete().where(events.c.at < a_day_ago))
        connection.execute(
            turn_rows.delete().where(
                turn_rows.c.id.in_(old),
                turn_rows.c.id.not_in(newest),
                turn_rows.c.ended != 0,
            )
        )
