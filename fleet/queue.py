"""The queue: Procrastinate, in the fleet's database. A migration's goal is one job, to its end."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import procrastinate
import procrastinate.exceptions
import psycopg
import sqlalchemy as sa
from procrastinate import retry
from procrastinate.jobs import Job
from procrastinate.schema import SchemaManager
from psycopg.conninfo import make_conninfo

from engine.errors import StoreError
from fleet.notify import News
from fleet.records import alive, database, jobs, members, occupancy, turns
from fleet.records.database import LINK, SCHEMA
from fleet.records.members import Member
from fleet.waits import CONNECTS, DEAD, FORGETS, HEARTBEAT, UNEXPECTED

VERSION = version("declared-etl")
TURN = "turn"
_BEGINNING = 1_700_000_000  # priorities count seconds from here

# whatever says that the database cannot be used
DATABASE_ERRORS = (
    sa.exc.SQLAlchemyError,
    psycopg.Error,
    procrastinate.exceptions.ConnectorException,
)

Tell = Callable[[str], None]
Hear = Callable[[News], None]
# the migration's name, and the job
Work = Callable[[str, int], Awaitable[None]]


class Again(Exception):
    """A turn has ended, and another one is to follow."""

    def __init__(self, at: float) -> None:
        self.at = at
        super().__init__(f"the next turn begins at {at:.0f}")


class Turns(retry.BaseRetryStrategy):
    """A job is put back until its goal is reached, behind all that have waited longer.

    What is no end of a turn – the worker stops, the database is away, a fault of ours – puts it
    back as well: nothing that was asked for is dropped.
    """

    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: Job,  # noqa: ARG002 - the queue's own name
    ) -> retry.RetryDecision | None:
        """When the next turn is."""
        now = time.time()
        at = now + UNEXPECTED
        if isinstance(exception, Again):
            at = exception.at
        elif isinstance(exception, asyncio.CancelledError):
            at = now
        moment = datetime.fromtimestamp(at, UTC)
        return retry.RetryDecision(retry_at=moment, priority=priority(now))


def priority(now: float) -> int:
    """Who was served last comes last: the queue takes the highest number first."""
    return -int(now - _BEGINNING)


def queue_of(version: str) -> str:
    """Workers of a version of etl take the jobs of that version, and leave others."""
    return f"etl-{version}"


def conninfo(engine: sa.Engine) -> str:
    """The database's address as the queue's driver writes it."""
    words: dict[str, Any] = engine.url.translate_connect_args(
        username="user", database="dbname"
    )
    return make_conninfo(**{**words, **engine.url.query})


def app_for(
    engine: sa.Engine, work: Work | None = None, workers: int = 1
) -> procrastinate.App:
    """The queue; with `work`, as a worker has it."""
    connector: (
        procrastinate.SyncPsycopgConnector | procrastinate.PsycopgConnector
    )
    if work is None:
        connector = procrastinate.SyncPsycopgConnector(
            conninfo=conninfo(engine), kwargs=LINK, min_size=1, max_size=1
        )
    else:
        connector = procrastinate.PsycopgConnector(
            conninfo=conninfo(engine),
            kwargs=LINK,
            min_size=1,
            max_size=workers + 3,
            timeout=CONNECTS,  # a worker that ends may wait for it twice
        )
    app = procrastinate.App(connector=connector)

    @app.task(name=TURN, retry=Turns(), pass_context=True)
    async def turn(context: procrastinate.JobContext, name: str) -> None:
        assert work is not None
        assert context.job.id is not None
        await work(name, context.job.id)

    return app


@contextmanager
def opened(engine: sa.Engine) -> Iterator[procrastinate.App]:
    """The queue for a command."""
    with app_for(engine).open() as app:
        yield app


def make_queue(engine: sa.Engine) -> str:
    """Make the queue's tables, or bring them up to the version of Procrastinate that is installed;
    what was done.

    They come with its scripts: one for each change, named by the version that needs it, a part
    before (`pre`) and one after (`post`) workers of the old version have ended, as they have here.
    https://procrastinate.readthedocs.io/en/stable/howto/production/migrations.html
    """
    installed = version("procrastinate")
    with engine.begin() as connection:
        _one_at_a_time(connection)
        there = sa.inspect(connection).has_table(
            "procrastinate_jobs", schema=SCHEMA
        )
        found = jobs.queue_version(connection) if there else installed
        driver = connection.connection.driver_connection
        if not there:
            _apply(driver, SchemaManager.get_schema())
        for script in _later_than(found) if there else ():
            _apply(driver, script.read_text(encoding="utf-8"))
        newer = _numbers(found) > _numbers(installed)
        if not newer:
            jobs.set_queue_version(connection, installed)
    if not there:
        return "made"
    if newer:
        return (
            f"left as it is, for it is of {found}, newer than {installed} here"
        )
    return "left" if found == installed else f"brought up from {found}"


def _one_at_a_time(connection: sa.Connection) -> None:
    name = sa.func.hashtext("etl fleet init")
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))


def _apply(driver: Any, script: str) -> None:
    with driver.cursor() as cursor:
        cursor.execute(script)


def _later_than(found: str) -> list[Path]:
    """The scripts of changes after a version, in order."""
    scripts = Path(SchemaManager.get_migrations_path()).glob("*.sql")
    return [
        script
        for script in sorted(scripts)
        if _numbers(script.name.partition("_")[0]) > _numbers(found)
    ]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def put(
    app: procrastinate.App,
    connection: sa.Connection,
    name: str,
    at: float,
    version: str,
) -> int:
    """Queue a migration's goal, in a transaction that is going on; the job's number."""
    deferred = app.configure_task(
        TURN,
        queue=queue_of(version),
        lock=name,
        priority=priority(time.time()),
        schedule_at=datetime.fromtimestamp(at, UTC),
        connection=connection.connection.driver_connection,
    )
    return deferred.defer(name=name)


def take_out(
    app: procrastinate.App, connection: sa.Connection, job: int
) -> None:
    """Take a job out of the queue, in a transaction that is going on; a turn that goes on is ended
    after its calls in flight.
    """
    driver = connection.connection.driver_connection
    app.job_manager.cancel_job_by_id(job, abort=True, connection=driver)


async def rescue(
    app: procrastinate.App,
    engine: sa.Engine,
    tell: Tell,
    once: Tell,
    hear: Hear,
) -> None:
    """Queue anew what workers had that are gone, of other versions too, whose workers may all be;
    and settle what nobody wants any more. What every look would say again is told by `once`;
    `hear` hears of a migration that is given up.
    """
    found = await app.job_manager.get_stalled_jobs(
        task_name=TURN, seconds_since_heartbeat=DEAD
    )
    for job in found:
        assert job.id is not None
        name = str(job.task_kwargs["name"])
        why = f"{name}: its worker is gone, and it cannot go on elsewhere yet"
        with _bounded(once, why):
            of = await asyncio.to_thread(
                rescued, engine, name, job.id, job.worker_id, job.queue
            )
            if of is not None:
                goes_on = "its worker is gone; the turn goes on elsewhere"
                _say_lost(of, goes_on, tell, hear)
    for of in await asyncio.to_thread(swept, engine, once):
        _say_lost(of, "its job was gone; it has another one", tell, hear)


@contextmanager
def _bounded(once: Tell, why: str) -> Iterator[None]:
    """What is in the way of this is told, and stops nothing else."""
    try:
        yield
    except DATABASE_ERRORS as error:
        once(f"{why}: {database.said(error)}")


def _say_lost(of: Member, goes_on: str, tell: Tell, hear: Hear) -> None:
    if of.state != "waiting":
        tell(f"{of.name}: {goes_on}")
        return
    assert of.goal is not None
    tell(f"{of.name}: {of.goal.stage} is given up: {of.reason}")
    hear(News(of.name, of.goal.stage, "failed", None, of.reason, 0.0))


def rescued(
    engine: sa.Engine, name: str, job: int, worker: int | None, queue: str
) -> Member | None:
    """A migration whose worker is gone, with another job unless it is given up; None where nothing
    was to be done. What is held by somebody is left to the next look.
    """
    now = time.time()
    app = app_for(engine)  # never opened: it writes over our connection
    with engine.begin() as connection:
        database.hurry(connection)
        of = jobs.lost(connection, name, job, worker, now)
        if of is not None and of.state not in members.RESTING:
            version = queue.removeprefix(queue_of(""))
            members.replaced_job(
                connection, name, put(app, connection, name, now, version)
            )
    return of


def swept(engine: sa.Engine, once: Tell, idle: float = DEAD) -> list[Member]:
    """Clear up what a database that ended in the middle has left; the migrations whose jobs were
    gone. Each step is a transaction of its own, and what is in the way of one stops no other.
    """
    found: list[Member] = []
    with engine.connect() as connection:
        idle_ones = jobs.idle_jobs(connection, idle)
    for job, name, *on in idle_ones:
        with _bounded(
            once, f"{name}: its job is gone, and it has no other yet"
        ):
            of = rescued(engine, name, job, *on)
            found += [of] if of else []

    with _step(engine, once, "jobs that nobody wants stay") as connection:
        jobs.sweep(connection)
    with _step(engine, once, "turns that no job has stay") as connection:
        jobs.close_left(connection, time.time())
    with _step(engine, once, "jobs that are gone stay so") as connection:
        found += _queued_anew(engine, connection)
    freed(engine, once)
    return found


@contextmanager
def _step(engine: sa.Engine, once: Tell, why: str) -> Iterator[sa.Connection]:
    """A transaction that waits for nobody, and is left to the next look where it has to."""
    with _bounded(once, why), engine.begin() as connection:
        database.hurry(connection)
        yield connection


def _queued_anew(engine: sa.Engine, connection: sa.Connection) -> list[Member]:
    """Migrations that had lost their jobs, each of which has another one."""
    now = time.time()
    app = app_for(engine)  # never opened: it writes over our connection
    found = jobs.orphans(connection)
    for of in found:
        job = put(app, connection, of.name, max(of.at, now), of.version)
        members.replaced_job(connection, of.name, job)
    return found


def freed(engine: sa.Engine, tell: Tell) -> None:
    """Free accounts that were kept for turns that were taken for dead; a store that cannot be
    opened keeps its own only.

    Those of another version are left to its workers. Where none of these lives, a store is opened
    only as it is: brought up, it would be none for the version that its migration belongs to.
    """
    crew = alive.workers(engine)
    for name, of_version in occupancy.left(engine):
        ours = of_version == VERSION
        if not ours and crew[of_version]:
            continue
        try:
            if ours or occupancy.has_store_of_now(engine, name):
                occupancy.free(engine, name)
            else:
                tell(
                    f"{name}: its accounts stay taken, for its store is one of etl {of_version}, of"
                    " which no worker lives; start one, or stop it and add it again"
                )
        except (StoreError, sa.exc.SQLAlchemyError) as error:
            tell(f"{name}: its accounts stay taken: {database.said(error)}")


async def lives(engine: sa.Engine, worker: str) -> None:
    """Enter that a worker lives, until cancelled, however long it looks after others; that the
    database is away is said by who looks.
    """
    while True:
        with suppress(sa.exc.SQLAlchemyError):
            await asyncio.to_thread(alive.seen, engine, worker, VERSION)
        await asyncio.sleep(HEARTBEAT)


async def rescues(
    app: procrastinate.App, engine: sa.Engine, tell: Tell, hear: Hear
) -> None:
    """Look for workers that are gone, until cancelled; a database that is away is asked later."""
    once, forgets = _once(tell), 0.0
    while True:
        try:
            await rescue(app, engine, tell, once, hear)
            if time.monotonic() >= forgets:
                await asyncio.to_thread(turns.forget_old, engine)
                forgets = time.monotonic() + FORGETS
        except Exception as error:  # whatever it is, the next look may succeed
            tell(
                f"looking for workers that are gone has failed: {type(error).__name__}"
            )
        await asyncio.sleep(HEARTBEAT)


def _once(tell: Tell) -> Tell:
    """Say a thing the first time only."""
    told = set[str]()

    def say(text: str) -> None:
        if text not in told:
            told.add(text)
            tell(text)

    return say
