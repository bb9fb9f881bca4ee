"""A migration, and what it is to do: its goal, its state, its job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from engine.errors import UsageError
from fleet.ending import Goal, Next, State
from fleet.records.tables import migrations, turn_rows

RESTING = ("idle", "waiting", "stopped")


@dataclass(frozen=True, slots=True)
class Member:
    """A migration of the fleet, and what it does."""

    name: str
    bundle: str
    version: str
    secrets: str
    approved: str
    goal: Goal | None
    state: State
    at: float
    failures: int
    reason: str
    job: int
    settings: str


def members(engine: sa.Engine) -> list[Member]:
    """Every migration, by name."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(migrations).order_by(migrations.c.name)
        )
        return [of_row(row) for row in rows]


def found(engine: sa.Engine, name: str) -> Member | None:
    """One migration; None where it is not registered."""
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(migrations).where(migrations.c.name == name)
        ).first()
    return None if row is None else of_row(row)


def member(engine: sa.Engine, name: str) -> Member:
    """One migration; raises UsageError where it is not registered."""
    of = found(engine, name)
    if of is None:
        raise UsageError(
            f"there is no migration {name!r} – etl fleet status lists them, etl fleet add"
            " registers one"
        )
    return of


def of_row(row: sa.Row[Any]) -> Member:
    """A migration as its row has it."""
    return Member(**{**row._mapping, "goal": _goal(row.goal)})


def _goal(text: str) -> Goal | None:
    """A goal as it was entered, which may be by a newer etl: what only that knows is its own."""
    known = {field.name for field in fields(Goal)}
    said = json.loads(text or "{}")
    if not said:
        return None
    return Goal(**{name: said[name] for name in said if name in known})


def is_going(engine: sa.Engine, name: str) -> bool:
    """Whether a turn of a migration has not ended."""
    with engine.connect() as connection:
        return has_turn(connection, turn_rows.c.name == name)


def has_turn(connection: sa.Connection, which: sa.ColumnElement[bool]) -> bool:
    """Whether there is such a turn that has not ended."""
    found = sa.select(turn_rows.c.id).where(which, turn_rows.c.ended == 0)
    return connection.execute(found).first() is not None


def aim(
    connection: sa.Connection, name: str, goal: Goal, at: float, job: int
) -> None:
    """Give a migration something to do, by a job that is queued in the same transaction."""
    values = {"goal": json.dumps(asdict(goal)), "job": job}
    enter(connection, name, Next("queued", at), values)


def resting(connection: sa.Connection, name: str) -> Member:
    """A migration that has nothing to do, until the transaction ends; raises UsageError."""
    of = locked(connection, name)
    if of is None:
        raise UsageError(f"{name} has been removed")
    if of.state not in RESTING:
        raise UsageError(
            f"{name} is {of.state} – stop it first: etl fleet stop {name}"
        )
    return of


def halt(connection: sa.Connection, name: str) -> int:
    """Nothing is to follow any more; the number of the job, whose turn the queue is to stop, or 0
    for what rests already.
    """
    of = locked(connection, name)
    if of is None or of.state in RESTING:
        return 0
    enter(connection, name, Next("stopped"), {})
    return of.job


def rest(engine: sa.Engine, of: Member, after: Next) -> bool:
    """Enter that no turn follows, where nobody has decided otherwise meanwhile; whether it was."""
    with engine.begin() as connection:
        current = locked(connection, of.name)
        if current is None or not is_wanted(current, of.job):
            return False
        enter(connection, of.name, after, {})
    return True


def replaced_job(connection: sa.Connection, name: str, job: int) -> None:
    """Enter the number of the job that goes on."""
    own = migrations.c.name == name
    connection.execute(migrations.update().where(own).values(job=job))


def locked(connection: sa.Connection, name: str) -> Member | None:
    """A migration, held until the transaction ends; None where it is not registered any more."""
    own = sa.select(migrations).where(migrations.c.name == name)
    row = connection.execute(own.with_for_update()).first()
    return None if row is None else of_row(row)


def is_wanted(current: Member, job: int) -> bool:
    """Whether a job is what the migration is to do."""
    return current.job == job and current.state not in RESTING


def enter(
    connection: sa.Connection, name: str, after: Next, values: Mapping[str, Any]
) -> None:
    own = migrations.c.name == name
    connection.execute(
        migrations.update().where(own).values(**asdict(after), **values)
    )
