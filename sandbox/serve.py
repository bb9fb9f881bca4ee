"""Runs one emulator on a loopback port until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.control import PREFIX, Offset, control
from sandbox.faults import Faults
from sandbox.options import Clock, Options
from sandbox.platforms import base_url, create


def assemble(options: Options) -> tuple[ASGIApp, Any]:
    """The emulator with its faults, its latency and its control routes; and its account."""
    offset = Offset()
    start = options.clock

    # The hand-moved offset goes through `read`, so it is divided by the speed it will be
    # multiplied with.
    def read() -> float:
        return start.read() + offset.seconds / start.speed

    clock = Clock(speed=start.speed, epoch=start.epoch, read=read)
    app = create(replace(options, clock=clock))
    account = app.state.account
    spoiled = Faults(app, options.faults, options.seed, getattr(app.state, "refusal", None))
    inner: ASGIApp = late(spoiled, options.latency_ms / 1000) if options.latency_ms else spoiled
    desk = control(account, spoiled, offset, clock.now)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await desk(scope, receive, send)
        elif scope["type"] == "lifespan":
            await app(scope, receive, send)
        else:
            await inner(scope, receive, send)

    return front, account


def late(app: ASGIApp, seconds: float) -> ASGIApp:
    """The same application, answering that much later."""

    async def delayed(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(seconds)
            await send(message)

        # A wrapped `send` keeps `receive` as it is: cutting the socket needs the server's own.
        await app(scope, receive, send_later)

    return delayed


class QuietServer(uvicorn.Server):
    """Uvicorn raises the signal that stopped it again, which would end us with a failure code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first SIGTERM or SIGINT and leave it at that."""
        loop = asyncio.get_running_loop()

        def stop(*_: object) -> None:  # the loop's own handlers are not to be had on Windows
            loop.call_soon_threadsafe(self._stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def serve(options: Options, *, with_parent: bool) -> None:
    """Serve until SIGTERM or SIGINT; returns then."""
    parent = os.getppid()
    with contextlib.closing(_listen(options.port)) as listener:
        port = int(listener.getsockname()[1])
        app, account = assemble(replace(options, port=port))
        logging.disable(logging.CRITICAL)  # cut connections are on purpose: not for stderr
        config = _config(app)
        url = base_url(options.name, port)
        started = {"name": options.name, "base_url": url, "key": account.key}
        server = QuietServer(config)
        asyncio.run(_run(server, listener, started, parent if with_parent else None))


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )


@contextlib.contextmanager
def serving(options: Options) -> Iterator[tuple[str, str]]:
    """Serve in a thread of this process while the block runs; the address and the key.

    Raises ValueError for a plan or a switch that the platform does not know.
    """
    with contextlib.closing(_listen(options.port)) as listener:
        port = int(listener.getsockname()[1])
        app, account = assemble(replace(options, port=port))
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        try:
            yield base_url(options.name, port), account.key
        finally:
            server.should_exit = True
            thread.join()


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off for accepted connections;
    # without it each answer waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


async def _run(
    server: QuietServer, listener: socket.socket, started: dict[str, str], parent: int | None
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        sys.stdout.write(json.dumps(started) + "\n")
        sys.stdout.flush()
    watching = asyncio.create_task(_follow(server, parent)) if parent is not None else None
    try:
        await serving
    finally:
        if watching is not None:
            watching.cancel()


async def _follow(server: QuietServer, parent: int) -> None:
    """Stop when the process that started us is gone; Windows goes on naming it."""
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    server.should_exit = True
