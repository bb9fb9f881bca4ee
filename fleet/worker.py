"""A worker: takes turns from the queue, each in a process of its own, and enters how they ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import procrastinate
import sqlalchemy as sa
from procrastinate import exceptions

from engine.errors import EtlError, UsageError
from fleet import records
from fleet.accounts import occupied_by
from fleet.bundle import unpacked
from fleet.ending import (
    INTERRUPTED,
    OCCUPIED,
    Ended,
    Goal,
    Next,
    after,
    closing,
    opening,
)
from fleet.queue import (
    HEARTBEAT,
    STALLED,
    VERSION,
    Again,
    app_for,
    queue_of,
    rescues,
)
from fleet.secrets import Secrets, variables

CRASHED = 70
SLICE = (
    1800.0  # seconds of a turn, after which it makes room for others that wait
)
POLLS = 2.0  # seconds: a turn whose time has come begins so soon
LOOKS = 15.0  # seconds between two looks at who waits
PATIENCE = 40.0  # seconds that a turn has to end in
AWAY = 2.0  # seconds until a database that is away is asked again
ENTERED = 60.0  # seconds that the end of a turn is tried to be entered

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Worker:
    """Where a worker works, and whom it tells."""

    engine: sa.Engine
    folder: Path  # private to the user; bundles and reports
    secrets: Secrets
    concurrency: int
    tell: Tell
    notify: str = ""  # a command that hears what people should know
    name: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}"
    )
    slice: float = SLICE


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a turn needs to begin."""

    spec: Path
    env: Mapping[str, str]
    accounts: tuple[str, ...]


async def work(worker: Worker) -> None:
    """Take turns until a signal asks to stop; what was begun by then is saved and put back."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    while not stopping.is_set():
        try:
            await _until(stopping, worker)
        except (exceptions.ConnectorException, sa.exc.SQLAlchemyError, OSError):
            worker.tell(
                f"the database is away; it is asked again in {AWAY:.0f} s"
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), AWAY)


async def _until(stopping: asyncio.Event, worker: Worker) -> None:
    """One worker of the queue, until it is asked to stop or the database is away."""

    async def take(name: str, job: int) -> None:
        await turn(worker, name, job)

    queue = queue_of(VERSION)
    async with app_for(
        worker.engine, take, worker.concurrency
    ).open_async() as app:
        working = asyncio.create_task(_working(app, queue, worker.concurrency))
        stopped = asyncio.create_task(stopping.wait())
        looking = asyncio.create_task(rescues(app, worker.engine, queue))
        try:
            await asyncio.wait(
                {working, stopped}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (stopped, looking, working):
                task.cancel()
            ended = await asyncio.gather(
                working, looking, stopped, return_exceptions=True
            )
    if isinstance(ended[0], Exception):
        raise ended[0]
    if not stopping.is_set():
        raise exceptions.ConnectorException("the queue is away")


async def _working(
    app: procrastinate.App, queue: str, concurrency: int
) -> None:
    await app.run_worker_async(
        queues=[queue],
        concurrency=concurrency,
        shutdown_graceful_timeout=0.1,  # a turn ends by itself within PATIENCE, then
        delete_jobs="always",  # the turns are entered in tables of our own
        install_signal_handlers=False,
        fetch_job_polling_interval=POLLS,
        update_heartbeat_interval=HEARTBEAT,
        stalled_worker_timeout=STALLED,
    )


# -- one turn


async def turn(worker: Worker, name: str, job: int) -> None:
    """Take one turn of a migration; raises Again where another one is to follow."""
    engine = worker.engine
    try:
        of = await asyncio.to_thread(records.member, engine, name)
    except UsageError:  # removed meanwhile
        return
    now = time.time()
    if (
        of.goal is None
        or of.state in ("stopped", "idle", "waiting")
        or of.job != job
    ):
        await asyncio.to_thread(records.settle, engine, name, now)
        return
    at = of.at if of.state in ("queued", "paused", "retrying") else now
    at = max(at, opening(of.goal.window, now))
    if at > now + 1:
        raise Again(at)
    await _turn(worker, of, of.goal)


async def _turn(worker: Worker, of: records.Member, goal: Goal) -> None:
    engine = worker.engine
    accounts: tuple[str, ...] = ()
    prepared: Prepared | None = None
    early: Ended | None = None
    try:
        prepared = await _prepared(worker, of)
        accounts = prepared.accounts
    except EtlError as error:
        early = Ended(error.exit_code, str(error))

    begun = await asyncio.to_thread(
        records.begin_turn,
        engine,
        of,
        goal.stage,
        worker.name,
        accounts,
        time.time(),
    )
    if not begun:
        follows = after(goal, Ended(OCCUPIED), of.failures, time.time())
        raise Again(follows.at)

    worker.tell(f"{of.name}: {goal.stage} begins")
    verdict: Mapping[str, Any] = {}
    if prepared is not None:
        early, verdict = await _process(worker, of, goal, prepared, begun)
    assert early is not None
    follows = await _entered(worker, of, goal, begun, early, verdict)
    worker.tell(
        f"{of.name}: {goal.stage} ended with {early.code}; {follows.state}"
    )
    await _notify(worker, of.name, goal.stage, early, follows)
    if follows.at:
        raise Again(follows.at)


async def _prepared(worker: Worker, of: records.Member) -> Prepared:
    """The spec, the keys and the accounts of a turn."""
    bundle = await asyncio.to_thread(
        records.bundle_of, worker.engine, of.bundle
    )
    spec = await asyncio.to_thread(unpacked, bundle, worker.folder / "bundles")
    env = await variables(worker.secrets, of.secrets)
    accounts = await asyncio.to_thread(occupied_by, spec, env)
    return Prepared(spec, env, tuple(accounts))


async def _process(
    worker: Worker,
    of: records.Member,
    goal: Goal,
    prepared: Prepared,
    begun: int,
) -> tuple[Ended, Mapping[str, Any]]:
    """The turn itself, in a process; how it ended, and its verdict."""
    place = worker.folder / "work" / of.name
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.turn"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=place,
        env=dict(prepared.env),
        start_new_session=True,  # a signal to the worker alone is passed on by it
        limit=1 << 22,
    )
    assert process.stdin is not None
    store = records.store_of(worker.engine, of.name)
    order = {"spec": str(prepared.spec), "store": store, "stage": goal.stage}
    process.stdin.write(json.dumps(order).encode() + b"\n")
    listening = asyncio.create_task(_listen(worker, begun, process))
    try:
        found = await _in_time(worker, goal, process, listening)
    except asyncio.CancelledError:
        # the worker stops, or somebody has stopped the migration: the turn ends in good order
        found = await _interrupted(process, listening)
    finally:
        process.stdin.close()
    await _keep(worker, of.name, place, found.get("files", {}))
    return _read(found, process.returncode, prepared.spec), found.get(
        "verdict", {}
    )


def _read(found: Mapping[str, Any], status: int | None, spec: Path) -> Ended:
    """How a turn ended, by what it said or, where it was ended itself, by its process."""
    if not found:
        signalled = status is not None and status < 0
        how = f"signal {-(status or 0)}" if signalled else f"code {status}"
        return Ended(CRASHED, f"its process ended with {how}, and said nothing")
    # the files of a bundle are at another place on every machine: people know them by their names
    reason = str(found.get("reason", "")).replace(
        f"{spec.parent.parent}{os.sep}", ""
    )
    return Ended(int(found["code"]), reason, float(found.get("until", 0.0)))


async def _listen(
    worker: Worker, begun: int, process: asyncio.subprocess.Process
) -> Any:
    """Enter what a turn says of itself; how it ended, {} where it did not say."""
    assert process.stdout is not None
    ended: dict[str, Any] = {}
    async for line in process.stdout:
        said = json.loads(line)
        ended = said.get("ended", ended)
        if "now" in said:
            await asyncio.to_thread(
                records.progress, worker.engine, begun, said["now"]
            )
    await process.wait()
    return ended


async def _in_time(
    worker: Worker,
    goal: Goal,
    process: asyncio.subprocess.Process,
    listening: asyncio.Task[Any],
) -> Any:
    """Wait for the end of a turn; it is interrupted where its window closes, or where others have
    waited while it had its share.
    """
    began = time.time()
    closes = closing(goal.window, began)
    while True:
        done, _ = await asyncio.wait({listening}, timeout=LOOKS)
        now = time.time()
        if done:
            return listening.result()
        over = bool(closes) and now >= closes
        if over or (now - began > worker.slice and await _others_wait(worker)):
            return await _interrupted(process, listening)


async def _others_wait(worker: Worker) -> bool:
    try:
        return (
            await asyncio.to_thread(
                records.due, worker.engine, queue_of(VERSION)
            )
            > 0
        )
    except sa.exc.SQLAlchemyError:
        return False


async def _interrupted(
    process: asyncio.subprocess.Process, listening: asyncio.Task[Any]
) -> Any:
    """Ask a turn to end, and wait until its calls in flight are recorded."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    done, _ = await asyncio.wait({listening}, timeout=PATIENCE)
    if not done:
        with suppress(ProcessLookupError):
            process.kill()
    return await listening


async def _keep(
    worker: Worker, name: str, place: Path, files: Mapping[str, str]
) -> None:
    """Keep the report where every machine can read it."""
    found = {
        Path(file).name: (place / file).read_bytes() for file in files.values()
    }
    if found:
        await asyncio.to_thread(
            records.keep_reports, worker.engine, name, found
        )


async def _entered(
    worker: Worker,
    of: records.Member,
    goal: Goal,
    begun: int,
    ended: Ended,
    verdict: Mapping[str, Any],
) -> Next:
    """Enter how a turn ended; a database that restarts is waited for."""
    end = time.time() + ENTERED
    while True:
        try:
            return await asyncio.to_thread(
                _enter, worker, of, goal, begun, ended, verdict
            )
        except sa.exc.OperationalError:
            if time.time() > end:
                raise
            await asyncio.sleep(AWAY)


def _enter(
    worker: Worker,
    of: records.Member,
    goal: Goal,
    begun: int,
    ended: Ended,
    verdict: Mapping[str, Any],
) -> Next:
    now = time.time()
    current = records.member(worker.engine, of.name)
    if current.state == "stopped" or current.job != of.job:
        follows = Next(
            current.state, current.at
        )  # somebody decided otherwise meanwhile
    else:
        follows = after(goal, ended, of.failures, now)
    records.end_turn(
        worker.engine, begun, of.name, ended, follows, now, verdict
    )
    return follows


async def _notify(
    worker: Worker, name: str, stage: str, ended: Ended, follows: Next
) -> None:
    """Start the command that hears of it, where people should know: done, attention, paused,
    retrying or waiting for them.
    """
    if not worker.notify or ended.code in (INTERRUPTED, OCCUPIED):
        return
    what = {0: "done", 1: "attention"}.get(ended.code, follows.state)
    said = {
        "name": name,
        "stage": stage,
        "what": what,
        "code": ended.code,
        "reason": ended.reason,
        "next": follows.at,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *worker.notify.split(),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        await asyncio.wait_for(
            process.communicate(json.dumps(said).encode()), PATIENCE
        )
    except (OSError, TimeoutError) as error:
        worker.tell(f"the command of --notify has failed: {error}")
