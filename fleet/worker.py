"""A worker: takes turns from the queue, each in a process of its own, and enters how they ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import procrastinate
import psycopg
import sqlalchemy as sa
from procrastinate import exceptions

from engine.connector.auth import redactor
from engine.errors import EtlError, StoreError, UsageError
from engine.report.words import needing
from fleet.bundle import unpacked
from fleet.ending import (
    CRASHED,
    INTERRUPTED,
    OCCUPIED,
    Ended,
    Goal,
    Next,
    after,
    closing,
    opening,
    over,
)
from fleet.lines import leave_out_ends
from fleet.notify import News, tell_of
from fleet.process import Found, plain, started, to_its_end
from fleet.queue import (
    VERSION,
    Again,
    app_for,
    lives,
    queue_of,
    rescues,
)
from fleet.records import (
    alive,
    database,
    figures,
    jobs,
    members,
    occupancy,
    registry,
    reports,
    turns,
)
from fleet.secrets import Secrets, hidden, inherited, variables
from fleet.waits import ASKS, DEAD, ENTERED, HEARTBEAT, POLLS, SLICE, TOLD
from fleet.wording import Told, worded

AWAY_ERRORS = (
    exceptions.ConnectorException,
    sa.exc.SQLAlchemyError,
    psycopg.Error,
)

Tell = Callable[[str], None]
WHAT = {0: "done", 1: "attention"}
SAID = {"waiting": "failed"}
# what is the same where a report lists the same; of a large run it does not list all
SAME = ("needing", "missing", "failed", "lost_in_arrived")
WAS_AWAY = "the database was away"


@dataclass(frozen=True, slots=True)
class Worker:
    """Where a worker works, and whom it tells."""

    engine: sa.Engine
    folder: Path  # private to the user; bundles and reports
    secrets: Secrets
    concurrency: int
    tell: Tell
    # a command or an address that hears what people should know
    notify: str = ""
    name: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}"
    )
    slice: float = SLICE
    telling: set[asyncio.Task[None]] = field(default_factory=set)


async def work(worker: Worker, asked: threading.Event | None = None) -> None:
    """Take turns until a signal asks to stop, or one has `asked` before; what was begun by then is
    saved and put back.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    if asked is not None and asked.is_set():
        stopping.set()
    while not stopping.is_set():
        try:
            await _until(stopping, worker)
        except (*AWAY_ERRORS, OSError) as error:
            again = f"; it is asked again in {ASKS:.0f} s"
            worker.tell(
                f"the database cannot be used ({type(error).__name__})"
                f"{'' if stopping.is_set() else again}"
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), ASKS)
    with suppress(sa.exc.SQLAlchemyError):
        await asyncio.to_thread(alive.gone, worker.engine, worker.name)
    if worker.telling:
        await asyncio.wait(worker.telling, timeout=TOLD)


async def _until(stopping: asyncio.Event, worker: Worker) -> None:
    """One worker of the queue, until it is asked to stop or the database is away."""

    async def take(name: str, job: int) -> None:
        await turn(worker, name, job)

    queue = queue_of(VERSION)
    async with _opened(
        app_for(worker.engine, take, worker.concurrency), stopping
    ) as app:
        working = asyncio.create_task(_working(app, queue, worker.concurrency))
        stopped = asyncio.create_task(stopping.wait())
        looking = asyncio.create_task(
            rescues(app, worker.engine, worker.tell, partial(_notify, worker))
        )
        living = asyncio.create_task(lives(worker.engine, worker.name))
        try:
            await asyncio.wait(
                {working, stopped, looking, living},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if stopping.is_set():
                leave_out_ends()
        finally:
            tasks = (working, looking, living, stopped)
            for task in reversed(tasks):
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(ended[0], Exception):
        raise ended[0]
    if not stopping.is_set():
        raise exceptions.ConnectorException("the queue is away")


@asynccontextmanager
async def _opened(
    app: procrastinate.App, stopping: asyncio.Event
) -> AsyncIterator[procrastinate.App]:
    """The queue, opened; where its database is away that takes a while, for which nobody waits who
    is asked to stop.
    """
    opening = asyncio.ensure_future(app.open_async())
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait(
            {opening, stopped}, return_when=asyncio.FIRST_COMPLETED
        )
        if not opening.done():
            raise exceptions.ConnectorException("stopped before it was open")
        await opening
        yield app
    finally:
        for task in (opening, stopped):
            task.cancel()
        await asyncio.gather(opening, stopped, return_exceptions=True)
        await app.close_async()


async def _working(
    app: procrastinate.App, queue: str, concurrency: int
) -> None:
    await app.run_worker_async(
        queues=[queue],
        concurrency=concurrency,
        shutdown_graceful_timeout=0.1,  # a turn ends by itself within ENDS, then
        delete_jobs="always",  # the turns are entered in tables of our own
        install_signal_handlers=False,
        fetch_job_polling_interval=POLLS,
        update_heartbeat_interval=HEARTBEAT,
        stalled_worker_timeout=DEAD,
    )


# -- one turn


async def turn(worker: Worker, name: str, job: int) -> None:
    """Take one turn of a migration; raises Again where another one is to follow."""
    engine = worker.engine
    try:
        of = await asyncio.to_thread(members.member, engine, name)
    except UsageError:  # removed meanwhile
        return
    if of.goal is None or of.state in members.RESTING or of.job != job:
        return

    now = time.time()
    at = of.at if of.state != "running" else now
    at = max(at, opening(of.goal.window, now))
    if of.goal.until and at > of.goal.until:
        await _too_late(worker, of, of.goal)
        return
    if at > now + 1:
        raise Again(at)

    begun = await asyncio.to_thread(
        turns.begin, engine, of, of.goal.stage, worker.name, now
    )
    if begun:
        await _taken(worker, of, of.goal, begun, now)


async def _too_late(worker: Worker, of: members.Member, goal: Goal) -> None:
    """No turn may begin any more."""
    follows = over(goal, of.reason)
    if await asyncio.to_thread(members.rest, worker.engine, of, follows):
        worker.tell(f"{of.name}: the time for {goal.stage} is over")
        what = "failed" if follows.reason else "done"
        _notify(
            worker,
            News(of.name, goal.stage, what, None, follows.reason, 0.0),
        )


async def _taken(
    worker: Worker, of: members.Member, goal: Goal, begun: int, began: float
) -> None:
    """A turn that has been entered, to its end; it was judged at `began` that it may begin."""
    ended, verdict = await _had(worker, of, goal, begun, began)
    ended = replace(ended, lasted=time.time() - began)
    follows = await _entered(worker, of, goal, begun, ended, verdict)
    if follows is None:
        worker.tell(f"{of.name}: {await _parted(worker, of)}")
        return
    if ended.code != OCCUPIED:
        why = f": {follows.reason}" if follows.reason else ""
        worker.tell(
            f"{of.name}: {goal.stage} ended with {ended.code}; {follows.state}{why}"
        )
    was_ended = ended.code in (INTERRUPTED, OCCUPIED)
    if not was_ended or follows.state in ("stopped", "waiting"):
        what = WHAT.get(ended.code, SAID.get(follows.state, follows.state))
        reason = follows.reason or ended.reason
        news = News(
            *(of.name, goal.stage, what, ended.code, reason, follows.at)
        )
        counting = _counted(worker.engine, news, begun, verdict)
        _notify(worker, await to_its_end(counting))
    if follows.at:
        raise Again(follows.at)


async def _had(
    worker: Worker, of: members.Member, goal: Goal, begun: int, began: float
) -> tuple[Ended, Mapping[str, Any]]:
    """How a turn ended, whatever was in its way, and its verdict."""
    try:
        with _placed(worker, of.name) as place:
            return await _carried_out(worker, of, goal, begun, began, place)
    except EtlError as error:
        return Ended(error.exit_code, plain(str(error))), {}
    except asyncio.CancelledError:
        return Ended(INTERRUPTED), {}  # before it had a process
    except database.AWAY:
        return Ended(StoreError.exit_code, WAS_AWAY), {}  # the same
    except OSError as error:
        why = f"{worker.name} cannot work in {worker.folder}: {error.strerror or error}"
        worker.tell(f"{of.name}: {plain(why)}")
        # nothing is wrong with the migration: another worker may take it meanwhile
        return Ended(INTERRUPTED, plain(why), yields=True), {}
    except Exception as error:
        worker.tell(f"{of.name}: {type(error).__name__}: {plain(str(error))}")
        reason = f"internal error in etl: {type(error).__name__}"
        return Ended(CRASHED, reason), {}


async def _parted(worker: Worker, of: members.Member) -> str:
    """What became of a turn whose end nobody waited for."""
    with suppress(sa.exc.SQLAlchemyError):
        now = await asyncio.to_thread(members.found, worker.engine, of.name)
        if now is None:
            return "this turn was taken for dead, and the migration is removed"
        if now.state in members.RESTING:
            return f"this turn was taken for dead; the migration is {now.state}"
    return "this turn was taken for dead, and goes on elsewhere"


async def _counted(
    engine: sa.Engine, news: News, begun: int, verdict: Mapping[str, Any]
) -> News:
    """The news with the findings that need attention: nobody is called for the same as before."""
    many = verdict.get("attention", 0)
    step = f"etl fleet report {news.name} --out DIR"
    if news.what != "attention":
        return news
    if not many:
        said = filter(None, (news.reason, step))
        return replace(news, reason=" – ".join(said))
    before = None
    with suppress(*database.AWAY):
        before = await asyncio.to_thread(
            figures.last_done, engine, news.name, (news.stage,), begun
        )
    if before is not None and all(
        before.verdict.get(word) == verdict.get(word) for word in SAME
    ):
        reason = f"{needing(many, 'finding')}, the same as before"
        return replace(news, what="done", reason=reason)
    return replace(news, reason=f"{needing(many, 'finding')} – {step}")


@contextmanager
def _placed(worker: Worker, name: str) -> Iterator[Path]:
    """A folder for one turn: nothing in it is needed by another, which may run elsewhere."""
    worker.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = Path(tempfile.mkdtemp(dir=worker.folder, prefix=f"{name}-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _carried_out(
    worker: Worker,
    of: members.Member,
    goal: Goal,
    begun: int,
    began: float,
    place: Path,
) -> tuple[Ended, Mapping[str, Any]]:
    """The turn itself, in a process; how it ended, and its verdict."""
    bundle, whose = await asyncio.to_thread(
        registry.taken, worker.engine, of.name
    )
    spec = await asyncio.to_thread(unpacked, bundle, place)
    secrets = await variables(worker.secrets, whose)
    env = inherited(os.environ) | secrets
    store = database.store_of(worker.engine, of.name)
    order = {
        "spec": str(spec),
        "store": store,
        "stage": goal.stage,
        "yes": goal.yes,
        "remake_fields": goal.remake_fields,
        "refresh": goal.refresh,
    }

    others: list[str] = []

    async def hear(said: Mapping[str, Any]) -> str:
        against = await asyncio.to_thread(_heard, worker, of.name, begun, said)
        if against:
            others.append(against)
        return against

    process = await started(order, place, env, hear)
    look = partial(_looked_at, worker, of, begun, began)
    found = await process.ended(look)
    reason = str(found.get("reason", "".join(others)))
    more = "--remake-fields" if goal.remake_fields else ""
    told = Told(of.name, whose, goal.stage, more)
    reason = redactor(hidden(secrets))(worded(reason, spec, told))
    # who is stopped in this moment has ended as it did, and not before it had a process
    return await to_its_end(_left(worker, of.name, begun, place, found, reason))


async def _left(
    worker: Worker,
    name: str,
    begun: int,
    place: Path,
    found: Mapping[str, Any],
    reason: str,
) -> tuple[Ended, Mapping[str, Any]]:
    """What the process of a turn has left: its report, which is kept, its end and its verdict."""
    await _keep(worker, name, begun, place, found.get("files", {}))
    ended = Ended(
        int(found["code"]),
        plain(reason),
        float(found.get("until", 0.0)),
        passes=bool(found.get("passes", True)),
        held=bool(found.get("held")),
    )
    if ended.code == INTERRUPTED:
        asked = await asyncio.to_thread(_is_waited_for, worker, name)
        ended = replace(ended, yields=asked)
    today = {"today": found["today"]} if "today" in found else {}
    return ended, {**found.get("verdict", {}), **today}


def _heard(
    worker: Worker, name: str, begun: int, said: Mapping[str, Any]
) -> str:
    """Enter what a turn says of itself; what keeps it from an account, or ""."""
    if "now" in said:
        turns.progress(worker.engine, begun, said["now"])
    if "accounts" not in said:
        return ""
    accounts = said["accounts"]
    try:
        other = occupancy.occupy(
            worker.engine, begun, name, accounts, time.time()
        )
    except sa.exc.SQLAlchemyError:
        return WAS_AWAY
    if other:
        return occupancy.busy(other)
    if said.get("held"):
        worker.tell(f"{name} begins")
    return ""


async def _looked_at(
    worker: Worker, of: members.Member, begun: int, began: float
) -> Found:
    """Whether a turn has to end: its window closes, others wait while it had its share, or it was
    taken for dead.
    """
    now = time.time()
    # where this clock is a little slow, it began before its window
    window = of.goal.window if of.goal else ""
    closes = closing(window, opening(window, began))
    if closes and now >= closes:
        return "is over"
    had_its_share = now - began > worker.slice
    try:
        return await asyncio.to_thread(
            _stands, worker, of.name, begun, had_its_share
        )
    except sa.exc.SQLAlchemyError:
        return "unknown"


def _stands(
    worker: Worker, name: str, begun: int, had_its_share: bool
) -> Found:
    if not turns.goes_on(worker.engine, begun):
        return "is lost"
    if not had_its_share:
        return "goes on"
    # a place that is free takes what is due at once
    waiting = jobs.due(worker.engine, queue_of(VERSION), 2 * POLLS)
    if waiting or occupancy.is_waited_for(worker.engine, name):
        return "is over"
    return "goes on"


def _is_waited_for(worker: Worker, name: str) -> bool:
    with suppress(sa.exc.SQLAlchemyError):
        return occupancy.is_waited_for(worker.engine, name)
    return False


async def _keep(
    worker: Worker,
    name: str,
    begun: int,
    place: Path,
    files: Mapping[str, str],
) -> None:
    """Keep the report where every machine can read it; that it cannot be is no end of a turn."""
    try:
        found = {
            Path(file).name: (place / file).read_bytes()
            for file in files.values()
        }
        if found:
            await asyncio.to_thread(
                reports.keep, worker.engine, name, begun, found
            )
    except (OSError, sa.exc.SQLAlchemyError) as error:
        worker.tell(
            f"{name}: the report could not be kept: {type(error).__name__}"
        )


async def _entered(
    worker: Worker,
    of: members.Member,
    goal: Goal,
    begun: int,
    ended: Ended,
    verdict: Mapping[str, Any],
) -> Next | None:
    """Enter how a turn ended; a database that restarts is waited for."""
    end = time.time() + ENTERED
    while True:
        now = time.time()
        follows = after(goal, ended, of.failures, now)
        enter = partial(
            turns.end,
            worker.engine,
            begun,
            of,
            ended,
            follows,
            now,
            verdict,
        )
        try:
            return await to_its_end(asyncio.to_thread(enter))
        except database.AWAY:
            if time.time() > end:
                raise
            await asyncio.sleep(ASKS)


def _notify(worker: Worker, news: News) -> None:
    """Tell whoever is to hear of it. No turn waits for that."""
    if not worker.notify:
        return
    task = asyncio.create_task(tell_of(worker.notify, news, worker.tell))
    worker.telling.add(task)
    task.add_done_callback(worker.telling.discard)
