"""The queue's own table, looked at and cleared up; what enters it is `fleet.queue`."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from engine.errors import StoreError
from fleet import ending
from fleet.ending import Next
from fleet.records.database import SCHEMA, schema_of
from fleet.records.figures import compared, mark
from fleet.records.members import (
    RESTING,
    Member,
    enter,
    is_wanted,
    locked,
    of_row,
)
from fleet.records.tables import migrations, turn_rows
from fleet.records.turns import close

JOBS = sa.table(
    "procrastinate_jobs",
    sa.column("id"),
    sa.column("worker_id"),
    sa.column("lock"),
    sa.column("status"),
    sa.column("queue_name"),
    sa.column("scheduled_at"),
    schema=SCHEMA,
)
_STATUS = sa.cast(JOBS.c.status, sa.Text)  # an enumeration of the queue's own
# a remark of the database's on the queue's table: which version of Procrastinate it is of
_QUEUE = f"{SCHEMA}.procrastinate_jobs"
FIRST = "3.8.0"  # of the first fleets, which had no remark


def queue_version(connection: sa.Connection) -> str:
    """The version of Procrastinate that the queue's tables were made or brought up by."""
    said = sa.func.obj_description(sa.func.to_regclass(_QUEUE), "pg_class")
    return str(connection.execute(sa.select(said)).scalar() or FIRST)


def set_queue_version(connection: sa.Connection, version: str) -> None:
    """Remember the version of Procrastinate that the queue's tables are of."""
    if not re.fullmatch(r"[\w.+-]+", version):
        raise StoreError(f"{version!r} is no version of the queue")
    connection.execute(
        sa.text(
            f"comment on table {_QUEUE} is '{version}'"
        )  # no parameter can stand here
    )


def due(engine: sa.Engine, queue: str, seconds: float) -> int:
    """How many jobs of a queue could have begun so many seconds ago, if a worker were free."""
    then = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    statement = sa.select(sa.func.count()).where(
        _STATUS == "todo",
        JOBS.c.queue_name == queue,
        JOBS.c.scheduled_at <= then,
    )
    with engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


def lost(
    connection: sa.Connection,
    name: str,
    job: int,
    worker: int | None,
    now: float,
) -> Member | None:
    """Take out a job whose worker is gone; the migration, which needs another one unless it rests:
    it waits for a person after turns in a row that took their workers along. None where nobody
    wants the job, or another worker was quicker.

    The job has another number then: whatever the worker still does, should it live, concerns no
    job that is there. The accounts stay taken: by the next turn, or until the store is free.
    """
    current = locked(connection, name)  # before its job, as everywhere
    gone = JOBS.delete().where(
        JOBS.c.id == job,
        _STATUS == "doing",
        JOBS.c.worker_id.is_not_distinct_from(worker),
    )
    if not connection.execute(gone).rowcount:
        return None
    # one job of a migration at a time: the turn was this job's, whichever is wanted now
    had_a_turn = close(connection, now, turn_rows.c.name == name)
    _cut(connection, name)
    if current is None or not is_wanted(current, job):
        return None
    return _counted(connection, current) if had_a_turn else current


def _counted(connection: sa.Connection, of: Member) -> Member:
    """A migration whose turn was lost, as it is entered; it is none of a row where nobody knows
    whether it has done something.
    """
    assert of.goal is not None
    far = mark(connection, of.name, of.goal.stage)
    if far is None:
        return of
    goal = ending.lost(of.goal, far, compared(connection, of.name))
    follows = ending.given_up(goal, of.name)
    if follows is None:
        # one that got on is not called up for what kept the turns before it
        failures = of.failures if goal.lost > 1 else 0
        follows = Next(of.state, of.at, failures, of.reason)
    # beside what only another version knows of it
    known = sa.cast(migrations.c.goal, JSONB)
    words = ("lost", "mark", "compared")
    row = known.concat({word: getattr(goal, word) for word in words})
    enter(connection, of.name, follows, {"goal": sa.cast(row, sa.Text)})
    return replace(of, goal=goal, **asdict(follows))


def _cut(connection: sa.Connection, name: str) -> None:
    """End what a turn that was taken for dead has begun in its store: nobody could take that over
    while one of its transactions, which nobody ends, holds the lease.
    """
    sessions = sa.table(
        "pg_stat_activity",
        sa.column("pid"),
        sa.column("application_name"),
        sa.column("usename"),
        sa.column("datname"),
    )
    theirs = (
        sessions.c.application_name == schema_of(name),
        sessions.c.usename == sa.func.current_user(),
        sessions.c.datname == sa.func.current_database(),
    )
    ended = sa.func.pg_terminate_backend(sessions.c.pid)
    connection.execute(sa.select(ended).where(*theirs))


def idle_jobs(
    connection: sa.Connection, seconds: float
) -> list[tuple[Any, ...]]:
    """Jobs that a worker took and has no turn of, though it lives: what it would have entered in
    the queue was lost. Number, migration, worker and queue of each.

    Before a turn has begun, and after it has ended, that is so for a moment.
    """
    events = sa.table(
        "procrastinate_events",
        sa.column("job_id"),
        sa.column("type"),
        sa.column("at"),
        schema=SCHEMA,
    )
    since = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    recent = sa.func.extract("epoch", since)
    taken = sa.select(events.c.job_id).where(
        events.c.job_id == JOBS.c.id,
        sa.cast(events.c.type, sa.Text) == "started",
        events.c.at > since,
    )
    turn = sa.select(turn_rows.c.id).where(
        turn_rows.c.name == JOBS.c.lock,
        sa.or_(turn_rows.c.ended == 0, turn_rows.c.ended > recent),
    )
    found = sa.select(
        JOBS.c.id, JOBS.c.lock, JOBS.c.worker_id, JOBS.c.queue_name
    ).where(_STATUS == "doing", ~taken.exists(), ~turn.exists())
    return [tuple(row) for row in connection.execute(found)]


def orphans(connection: sa.Connection) -> list[Member]:
    """Migrations that have something to do, and no job: a database that ended in the middle."""
    own = sa.select(JOBS.c.id).where(
        JOBS.c.id == migrations.c.job, _STATUS.in_(("todo", "doing"))
    )
    left = sa.select(migrations).where(
        migrations.c.goal != "",
        migrations.c.state.not_in(RESTING),
        ~own.exists(),
    )
    rows = connection.execute(left.with_for_update(skip_locked=True))
    return [of_row(row) for row in rows]


def sweep(connection: sa.Connection) -> None:
    """Take out jobs that nobody wants any more, whose end could not be entered in the queue; those
    that somebody holds are left to the next look.
    """
    own_turn = sa.select(turn_rows.c.id).where(
        turn_rows.c.name == JOBS.c.lock, turn_rows.c.ended == 0
    )
    wanted = sa.select(migrations.c.name).where(
        migrations.c.job == JOBS.c.id, migrations.c.state.not_in(RESTING)
    )
    unwanted = sa.and_(_STATUS == "doing", ~own_turn.exists(), ~wanted.exists())
    done = _STATUS.in_(("succeeded", "failed", "cancelled", "aborted"))
    for which in (unwanted, done):
        left = _not_held(sa.select(JOBS.c.id).where(which))
        connection.execute(JOBS.delete().where(JOBS.c.id.in_(left)))


def close_left(connection: sa.Connection, now: float) -> None:
    """Close turns that no job has: their workers were stopped before they could enter the end.
    Those that somebody holds are left to the next look.
    """
    doing = sa.select(JOBS.c.id).where(
        JOBS.c.lock == turn_rows.c.name, _STATUS == "doing"
    )
    left = sa.select(turn_rows.c.id).where(
        turn_rows.c.ended == 0, ~doing.exists()
    )
    # one statement: a turn that begins meanwhile is another one of the same name
    close(connection, now, turn_rows.c.id.in_(_not_held(left)))


def _not_held(rows: sa.Select[Any]) -> sa.Select[Any]:
    """Rows of a statement's own table, but for those that somebody holds."""
    return rows.with_for_update(skip_locked=True).correlate(None)
