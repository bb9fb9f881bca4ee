"""What the fleet knows, in the schema `fleet` of its database: migrations, their files, turns."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from engine.errors import StoreError, UsageError
from engine.store.lease import lease
from engine.store.tables import VERSION, open_store
from fleet.bundle import Bundle
from fleet.ending import (
    DONE,
    OCCUPIED,
    Ended,
    Goal,
    Next,
    State,
    begun,
    marked,
)

SCHEMA = "fleet"
KEPT = 200  # turns of a migration
ALIVE = 35.0  # seconds without a sign of life, after which a worker is taken for dead
SOON = 5.0  # seconds that a store is held just to see whether it is free
RESTING = ("idle", "waiting", "stopped")
REGISTERED = ("bundle", "version", "secrets", "settings")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_data = sa.MetaData(schema=SCHEMA)

bundles = sa.Table(
    "bundles",
    _data,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("archive", sa.LargeBinary, nullable=False),
)
migrations = sa.Table(
    "migrations",
    _data,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column(
        "bundle", sa.Text, sa.ForeignKey(bundles.c.digest), nullable=False
    ),
    sa.Column(
        "version", sa.Text, nullable=False
    ),  # of etl, for other versions leave it alone
    sa.Column("secrets", sa.Text, nullable=False),  # a name, never a secret
    sa.Column(
        "approved", sa.Text, nullable=False, server_default=""
    ),  # by whom
    sa.Column("goal", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False, server_default="idle"),
    sa.Column("at", sa.Double, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("job", sa.BigInteger, nullable=False, server_default="0"),
    # JSON: what `add --set` has changed
    sa.Column("settings", sa.Text, nullable=False, server_default="{}"),
)
turns = sa.Table(
    "turns",
    _data,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("ended", sa.Double, nullable=False, server_default="0"),
    sa.Column("code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "now", sa.Text, nullable=False, server_default="{}"
    ),  # how far it is
    sa.Column("verdict", sa.Text, nullable=False, server_default="{}"),
)
# an account that a turn works on; a turn that has not ended keeps others away by this key alone
occupied = sa.Table(
    "occupied",
    _data,
    sa.Column(
        "account", sa.Text, primary_key=True
    ),  # a digest of address and key
    sa.Column("name", sa.Text, nullable=False),
)
# which version a worker is of; the queue knows whether it lives
crew = sa.Table(
    "crew",
    _data,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),  # by the database's clock
)
reports = sa.Table(
    "reports",
    _data,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
_JOBS = sa.table(
    "procrastinate_jobs",
    sa.column("id"),
    sa.column("worker_id"),
    sa.column("lock"),
    sa.column("status"),
    sa.column("queue_name"),
    sa.column("scheduled_at"),
    schema=SCHEMA,
)
_STATUS = sa.cast(_JOBS.c.status, sa.Text)  # an enumeration of the queue's own


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


# A connection that leads nowhere is noticed within half a minute, and what a machine that is gone
# had begun in the database stands in nobody's way: transactions here are short.
LINK = {
    "options": f"-csearch_path={SCHEMA}"  # the queue's triggers name its tables bare
    " -cidle_in_transaction_session_timeout=15000 -clock_timeout=20000",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# of a database that restarts, or cannot be reached
AWAY = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)


def connect(url: str, password: str = "") -> sa.Engine:
    """The database, over connections that are looked at before they are used; raises UsageError
    where the address is none of PostgreSQL. A password that stands beside the address may hold
    any character.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port like 5432x
        raise UsageError(
            "--db is no address – write postgresql://HOST:PORT/DATABASE"
        ) from None
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(
            f"--db names a database of {parsed.get_backend_name()} – a fleet needs PostgreSQL:"
            " postgresql://HOST/DATABASE"
        )
    if password:
        parsed = _with_password(parsed, password)
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        connect_args=LINK,
    )


def _with_password(url: sa.URL, password: str) -> sa.URL:
    """An address with a password, unless it has its own. Where it names no user, libpq knows who,
    and a password can stand in its query only.
    """
    if url.password or "password" in url.query:
        return url
    if url.username:
        return url.set(password=password)
    return url.update_query_dict({"password": password})


def store_of(engine: sa.Engine, name: str) -> str:
    """The URL of a migration's own store: a schema of the fleet's database."""
    schema = schema_of(name)
    said = {"schema": schema, "application_name": schema}
    return engine.url.update_query_dict(said).render_as_string(
        hide_password=False
    )


def schema_of(name: str) -> str:
    """The schema of a migration's own store, and what its sessions are called."""
    return f"etl_{name}"


def has_store(engine: sa.Engine, name: str) -> bool:
    """Whether there is a store already of a migration that would have this name."""
    return schema_of(name) in sa.inspect(engine).get_schema_names()


def check_name(name: str) -> None:
    """Raise UsageError where a migration cannot have this name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a migration – write small letters, digits and _,"
            " at most 40, a letter first"
        )


_SETTINGS = (
    f"alter table {SCHEMA}.migrations"
    " add column if not exists settings text not null default '{}'"
)


def make_tables(engine: sa.Engine) -> None:
    """Make the schema, and the tables and columns that are not there yet."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
        _data.create_all(connection)
        connection.execute(sa.text(_SETTINGS))


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


def register(
    engine: sa.Engine,
    name: str,
    bundle: Bundle,
    instead_of: Member | None = None,
    **said: str,
) -> str:
    """Enter a migration or replace its files; the digest of those before, or "".

    Raises UsageError where it is not registered as it is to be replaced, `instead_of`, or another
    version of etl has it in its queue.
    """
    kept = {
        "digest": bundle.digest,
        "spec": bundle.spec,
        "archive": bundle.archive,
    }
    row = {"name": name, "bundle": bundle.digest, **said}
    with engine.begin() as connection:
        _hold_files(connection)
        connection.execute(
            insert(bundles).values(kept).on_conflict_do_nothing()
        )
        known = _locked(connection, name)
        if (
            known
            and known.version != said["version"]
            and known.state not in RESTING
        ):
            raise UsageError(
                f"{name} is {known.state} in etl {known.version} – stop it before it is registered"
                f" in etl {said['version']}: etl fleet stop {name}"
            )
        before = known.bundle if known else ""
        if instead_of and not _is_as_before(known, instead_of):
            raise UsageError(
                f"{name} was registered anew meanwhile – look at it again"
            )
        connection.execute(
            insert(migrations)
            .values(row)
            .on_conflict_do_update(index_elements=["name"], set_=row)
        )
        _forget_files(connection)
    return before


def _is_as_before(known: Member | None, before: Member) -> bool:
    """Whether nobody has registered a migration anew since it was looked at."""
    return known is not None and all(
        getattr(known, name) == getattr(before, name) for name in REGISTERED
    )


def _hold_files(connection: sa.Connection) -> None:
    """Let nobody else register or forget files until the transaction ends."""
    connection.execute(
        sa.text(f"lock table {SCHEMA}.bundles in share row exclusive mode")
    )


def _forget_files(connection: sa.Connection) -> None:
    """Take out what no migration is made of any more."""
    used = sa.select(migrations.c.name).where(
        migrations.c.bundle == bundles.c.digest
    )
    connection.execute(bundles.delete().where(~used.exists()))


def remove(engine: sa.Engine, name: str) -> None:
    """Forget a migration; its store stays, for it knows what was written where.

    Raises UsageError where it has something to do, or a process of it may still be at work.
    """
    with engine.begin() as connection:
        _hold_files(connection)
        resting(connection, name)
        busy = sa.select(occupied.c.name).where(occupied.c.name == name)
        if (
            _goes_on(connection, turns.c.name == name)
            or connection.execute(busy).first()
        ):
            raise UsageError(
                f"a turn of {name} is just ending – try again in a minute"
            )
        for table in (reports, turns, migrations):
            connection.execute(table.delete().where(table.c.name == name))
        _forget_files(connection)


def members(engine: sa.Engine) -> list[Member]:
    """Every migration, by name."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(migrations).order_by(migrations.c.name)
        )
        return [_member(row) for row in rows]


def found(engine: sa.Engine, name: str) -> Member | None:
    """One migration; None where it is not registered."""
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(migrations).where(migrations.c.name == name)
        ).first()
    return None if row is None else _member(row)


def member(engine: sa.Engine, name: str) -> Member:
    """One migration; raises UsageError where it is not registered."""
    of = found(engine, name)
    if of is None:
        raise UsageError(
            f"there is no migration {name!r} – etl fleet status lists them, etl fleet add"
            " registers one"
        )
    return of


def _member(row: sa.Row[Any]) -> Member:
    return Member(**{**row._mapping, "goal": _goal(row.goal)})


def _goal(text: str) -> Goal | None:
    """A goal as it was entered, which may be by a newer etl: what only that knows is its own."""
    known = {field.name for field in fields(Goal)}
    said = json.loads(text or "{}")
    if not said:
        return None
    return Goal(**{name: said[name] for name in said if name in known})


def bundle_of(engine: sa.Engine, name: str) -> Bundle:
    """The files of a migration, as they are registered now; raises UsageError where it has been
    removed.
    """
    own = sa.select(bundles).join(migrations).where(migrations.c.name == name)
    with engine.connect() as connection:
        row = connection.execute(own).first()
    if row is None:
        raise UsageError(f"{name} has been removed")
    return Bundle(row.digest, row.spec, bytes(row.archive))


def aim(
    connection: sa.Connection, name: str, goal: Goal, at: float, job: int
) -> None:
    """Give a migration something to do, by a job that is queued in the same transaction."""
    values = {"goal": json.dumps(asdict(goal)), "job": job}
    _enter(connection, name, Next("queued", at), values)


def resting(connection: sa.Connection, name: str) -> Member:
    """A migration that has nothing to do, until the transaction ends; raises UsageError."""
    of = _locked(connection, name)
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
    of = _locked(connection, name)
    if of is None or of.state in RESTING:
        return 0
    _enter(connection, name, Next("stopped"), {})
    return of.job


def rest(engine: sa.Engine, of: Member, after: Next) -> bool:
    """Enter that no turn follows, where nobody has decided otherwise meanwhile; whether it was."""
    with engine.begin() as connection:
        current = _locked(connection, of.name)
        if current is None or not _is_wanted(current, of.job):
            return False
        _enter(connection, of.name, after, {})
    return True


def _locked(connection: sa.Connection, name: str) -> Member | None:
    """A migration, held until the transaction ends; None where it is not registered any more."""
    own = sa.select(migrations).where(migrations.c.name == name)
    row = connection.execute(own.with_for_update()).first()
    return None if row is None else _member(row)


def _is_wanted(current: Member, job: int) -> bool:
    """Whether a job is what the migration is to do."""
    return current.job == job and current.state not in RESTING


def _enter(
    connection: sa.Connection, name: str, after: Next, values: Mapping[str, Any]
) -> None:
    own = migrations.c.name == name
    connection.execute(
        migrations.update().where(own).values(**asdict(after), **values)
    )


# -- turns


def begin_turn(
    engine: sa.Engine, of: Member, stage: str, worker: str, now: float
) -> int:
    """Enter that a worker has begun; its own earlier turn, whose worker is gone, is closed.

    0 where the migration has been stopped or begun anew meanwhile.
    """
    row = {"name": of.name, "stage": stage, "worker": worker, "began": now}
    with engine.begin() as connection:
        current = _locked(connection, of.name)
        if current is None or not _is_wanted(current, of.job):
            return 0
        assert current.goal is not None
        _close(connection, of.name, now)
        made = connection.execute(
            turns.insert().values(row).returning(turns.c.id)
        )
        goal = {"goal": json.dumps(asdict(begun(current.goal)))}
        _enter(connection, of.name, Next("running", now, of.failures), goal)
        return int(made.scalar_one())


def occupy(
    engine: sa.Engine, turn: int, name: str, accounts: Sequence[str], now: float
) -> str:
    """Enter the accounts of a turn, which begins with that: "", or which migration is at work on
    one of them.

    The turn itself, where it was taken for dead meanwhile. What the migration has of before, for
    a turn that was taken for dead, stays taken.
    """
    rows = [{"account": account, "name": name} for account in accounts]
    going = (turns.c.id == turn, turns.c.ended == 0)
    with engine.begin() as connection:
        begins = turns.update().where(*going).values(began=now)
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


def _close(connection: sa.Connection, name: str, now: float) -> None:
    _end(connection, now, turns.c.name == name, turns.c.ended == 0)


def _end(
    connection: sa.Connection, now: float, *which: sa.ColumnElement[bool]
) -> None:
    lost = {"ended": now, "reason": "its worker is gone; the next turn goes on"}
    connection.execute(turns.update().where(*which).values(**lost))


def lost_job(
    connection: sa.Connection,
    name: str,
    job: int,
    worker: int | None,
    now: float,
) -> bool:
    """Take out a job whose worker is gone; whether the migration needs another one.

    The job has another number then: whatever the worker still does, should it live, concerns no
    job that is there. The accounts stay taken: by the next turn, or until the store is free.
    """
    current = _locked(connection, name)  # before its job, as everywhere
    gone = _JOBS.delete().where(
        _JOBS.c.id == job,
        _STATUS == "doing",
        _JOBS.c.worker_id.is_not_distinct_from(worker),
    )
    if not connection.execute(gone).rowcount:
        return False  # another worker was quicker
    # one job of a migration at a time: the turn was this job's, whichever is wanted now
    _close(connection, name, now)
    _cut(connection, name)
    return current is not None and _is_wanted(current, job)


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
        events.c.job_id == _JOBS.c.id,
        sa.cast(events.c.type, sa.Text) == "started",
        events.c.at > since,
    )
    turn = sa.select(turns.c.id).where(
        turns.c.name == _JOBS.c.lock,
        sa.or_(turns.c.ended == 0, turns.c.ended > recent),
    )
    found = sa.select(
        _JOBS.c.id, _JOBS.c.lock, _JOBS.c.worker_id, _JOBS.c.queue_name
    ).where(_STATUS == "doing", ~taken.exists(), ~turn.exists())
    return [tuple(row) for row in connection.execute(found)]


def orphans(connection: sa.Connection) -> list[Member]:
    """Migrations that have something to do, and no job: a database that ended in the middle."""
    own = sa.select(_JOBS.c.id).where(
        _JOBS.c.id == migrations.c.job, _STATUS.in_(("todo", "doing"))
    )
    left = sa.select(migrations).where(
        migrations.c.goal != "",
        migrations.c.state.not_in(RESTING),
        ~own.exists(),
    )
    rows = connection.execute(left.with_for_update(skip_locked=True))
    return [_member(row) for row in rows]


def sweep(connection: sa.Connection) -> None:
    """Take out jobs that nobody wants any more, whose end could not be entered in the queue."""
    going = sa.select(turns.c.id).where(
        turns.c.name == _JOBS.c.lock, turns.c.ended == 0
    )
    wanted = sa.select(migrations.c.name).where(
        migrations.c.job == _JOBS.c.id, migrations.c.state.not_in(RESTING)
    )
    connection.execute(
        _JOBS.delete().where(
            _STATUS == "doing", ~going.exists(), ~wanted.exists()
        )
    )
    done = ("succeeded", "failed", "cancelled", "aborted")
    connection.execute(_JOBS.delete().where(_STATUS.in_(done)))


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
        partition_by=turns.c.name, order_by=turns.c.id.desc()
    )
    placed = sa.select(turns.c.id, place.label("place")).subquery()
    old = sa.select(placed.c.id).where(placed.c.place > KEPT)
    newest = sa.select(sa.func.max(turns.c.id)).group_by(
        turns.c.name, turns.c.stage, turns.c.code
    )
    with engine.begin() as connection:
        connection.execute(events.delete().where(events.c.at < a_day_ago))
        connection.execute(
            turns.delete().where(
                turns.c.id.in_(old),
                turns.c.id.not_in(newest),
                turns.c.ended != 0,
            )
        )


def close_left(connection: sa.Connection, now: float) -> None:
    """Close turns that no job has: their workers were stopped before they could enter the end."""
    doing = sa.select(_JOBS.c.id).where(
        _JOBS.c.lock == turns.c.name, _STATUS == "doing"
    )
    # one statement: a turn that begins meanwhile is another one of the same name
    _end(connection, now, turns.c.ended == 0, ~doing.exists())


def left_accounts(engine: sa.Engine) -> list[tuple[str, str]]:
    """Migrations that have accounts and no turn that goes on, and the version of each."""
    going = sa.select(turns.c.id).where(
        turns.c.name == occupied.c.name, turns.c.ended == 0
    )
    left = (
        sa.select(occupied.c.name, migrations.c.version)
        .join(migrations, migrations.c.name == occupied.c.name)
        .where(~going.exists())
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
    with closing(open_store(store_of(engine, name))) as store:
        try:
            with lease(store, SOON):
                pass
        except StoreError:
            return
    with engine.begin() as connection:
        _locked(connection, name)
        if not _goes_on(connection, turns.c.name == name):
            _leave(connection, name)


def replaced_job(connection: sa.Connection, name: str, job: int) -> None:
    """Enter the number of the job that goes on."""
    own = migrations.c.name == name
    connection.execute(migrations.update().where(own).values(job=job))


def _leave(connection: sa.Connection, name: str) -> None:
    connection.execute(occupied.delete().where(occupied.c.name == name))


def progress(engine: sa.Engine, turn: int, far: Mapping[str, Any]) -> None:
    """Enter how far a turn is; a database that is away is told the next time."""
    statement = (
        turns.update().where(turns.c.id == turn).values(now=json.dumps(far))
    )
    with suppress(sa.exc.SQLAlchemyError), engine.begin() as connection:
        connection.execute(statement)


def end_turn(  # noqa: PLR0913
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
    going = (turns.c.id == turn, turns.c.ended == 0)
    with engine.begin() as connection:
        current = _locked(connection, of.name)
        closed = connection.execute(
            turns.update().where(*going).values(values)
        ).rowcount
        if not closed or current is None:
            return None
        # it was none: only its reason is of interest
        if ended.code == OCCUPIED:
            connection.execute(turns.delete().where(turns.c.id == turn))
        if of.goal is not None and _is_wanted(current, of.job):
            goal = asdict(marked(of.goal, ended))
            _enter(connection, of.name, after, {"goal": json.dumps(goal)})
        else:
            after = Next(current.state)
        if ended.held:
            _leave(connection, of.name)
    return after


def is_going(engine: sa.Engine, name: str) -> bool:
    """Whether a turn of a migration has not ended."""
    with engine.connect() as connection:
        return _goes_on(connection, turns.c.name == name)


def goes_on(engine: sa.Engine, turn: int) -> bool:
    """Whether a turn has not ended, and was not taken for dead."""
    with engine.connect() as connection:
        return _goes_on(connection, turns.c.id == turn)


def _goes_on(connection: sa.Connection, which: sa.ColumnElement[bool]) -> bool:
    going = sa.select(turns.c.id).where(which, turns.c.ended == 0)
    return connection.execute(going).first() is not None


def turns_of(engine: sa.Engine, name: str, most: int = 20) -> list[Turn]:
    """The last turns of a migration, the newest first."""
    statement = (
        sa.select(turns).where(turns.c.name == name).order_by(turns.c.id.desc())
    )
    with engine.connect() as connection:
        return [_turn(row) for row in connection.execute(statement.limit(most))]


def last_done(
    engine: sa.Engine, name: str, stages: Sequence[str], before: int = 0
) -> Turn | None:
    """The last turn of these stages that was done; with `before`, of those before that turn."""
    done = [
        turns.c.name == name,
        turns.c.stage.in_(stages),
        turns.c.code.in_(DONE),
    ]
    if before:
        done.append(turns.c.id < before)
    newest = sa.select(turns).where(*done).order_by(turns.c.id.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(newest).first()
    return None if row is None else _turn(row)


def last_turns(
    engine: sa.Engine, stages: Sequence[str] = ()
) -> dict[str, Turn]:
    """The last turn of each migration; with `stages`, the last of these that counted records."""
    counted = (turns.c.stage.in_(stages), turns.c.verdict.contains('"run":'))
    newest = (
        sa.select(sa.func.max(turns.c.id))
        .where(*(counted if stages else ()))
        .group_by(turns.c.name)
    )
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(turns).where(turns.c.id.in_(newest))
        )
        return {row.name: _turn(row) for row in found}


def _turn(row: sa.Row[Any]) -> Turn:
    texts = {key: json.loads(row._mapping[key]) for key in ("now", "verdict")}
    return Turn(**{**row._mapping, **texts})


# -- reports


def keep_reports(
    engine: sa.Engine, name: str, turn: int, files: Mapping[str, bytes]
) -> None:
    """Keep the report of a turn instead of the one before, unless it was taken for dead."""
    rows = [
        {"name": name, "file": file, "content": text}
        for file, text in files.items()
    ]
    with engine.begin() as connection:
        _locked(connection, name)
        if not _goes_on(connection, turns.c.id == turn):
            return
        connection.execute(reports.delete().where(reports.c.name == name))
        if rows:
            connection.execute(reports.insert(), rows)


def reports_of(engine: sa.Engine, name: str) -> dict[str, bytes]:
    """The files of a migration's last report."""
    statement = sa.select(reports.c.file, reports.c.content).where(
        reports.c.name == name
    )
    with engine.connect() as connection:
        return {
            file: bytes(content)
            for file, content in connection.execute(statement)
        }


# -- workers


def seen(engine: sa.Engine, name: str, version: str) -> None:
    """Enter that a worker lives, and forget those that have not been seen for a day."""
    clock = sa.func.extract("epoch", sa.func.now())
    row = {"name": name, "version": version, "seen": clock}
    with engine.begin() as connection:
        connection.execute(
            insert(crew)
            .values(row)
            .on_conflict_do_update(index_elements=["name"], set_=row)
        )
        connection.execute(crew.delete().where(crew.c.seen < clock - 86_400))


def gone(engine: sa.Engine, name: str) -> None:
    """Enter that a worker has ended."""
    with engine.begin() as connection:
        connection.execute(crew.delete().where(crew.c.name == name))


def workers(engine: sa.Engine, seconds: float = ALIVE) -> Counter[str]:
    """How many workers of each version were seen lately."""
    clock = sa.func.extract("epoch", sa.func.now())
    lately = sa.select(crew.c.version).where(crew.c.seen > clock - seconds)
    with engine.connect() as connection:
        return Counter(connection.execute(lately).scalars())


# -- the queue, looked at


def busy(other: str) -> str:
    """Why a turn has not begun."""
    return f"{other} is at work on the account"


def shown(engine: sa.Engine) -> str:
    """The database's address without a password, which may stand in its query as well."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def is_waited_for(engine: sa.Engine, name: str) -> bool:
    """Whether another migration would begin if this one left their account."""
    others = sa.select(migrations.c.name).where(
        migrations.c.state == "queued", migrations.c.reason == busy(name)
    )
    with engine.connect() as connection:
        return connection.execute(others).first() is not None


def due(engine: sa.Engine, queue: str, seconds: float) -> int:
    """How many jobs of a queue could have begun so many seconds ago, if a worker were free."""
    then = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    statement = sa.select(sa.func.count()).where(
        _STATUS == "todo",
        _JOBS.c.queue_name == queue,
        _JOBS.c.scheduled_at <= then,
    )
    with engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


def said(error: Exception) -> str:
    """What a driver says of an error, as one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def check(engine: sa.Engine) -> None:
    """Raise StoreError where the database is not a fleet's, or an older one's."""
    where = shown(engine)
    with engine.connect() as connection:
        there = sa.inspect(connection).get_table_names(schema=SCHEMA)
    if "migrations" not in there:
        raise StoreError(
            f"the database {where} has no fleet yet – etl fleet init makes one"
        )
    if not {table.name for table in _data.sorted_tables} <= {*there}:
        raise StoreError(
            f"the fleet in {where} is of an older etl – etl fleet init brings it up to date"
        )
