"""Servers of the tests' own making on loopback, and clients that call them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.model import (
    Connection,
    Connector,
    ErrorRule,
    Limit,
    Operation,
    Pager,
    Reference,
    Resource,
)
from engine.connector.rate_limit import Clock, RateLimiter
from engine.store.tables import Store, open_store
from tests.replacing import replace

CANARY = "canary-Key/77+x"


@dataclass(slots=True)
class Time:
    """A clock that moves only when somebody sleeps."""

    now: float = 1_767_268_800.0
    naps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


class Prompt(uvicorn.Server):
    """One that ends at once when it is told to, and not with the next tenth of a second."""

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(0.005)


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The application on a loopback port, on a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for the acknowledgement of its head
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", http="h11", date_header=False)
    server = Prompt(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.002)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()


@contextmanager
def scripted(answers: list[bytes | None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request and sends the next answer raw, then cuts; None cuts without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    asked: list[bytes] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                asked.append(_request(connection))
                answer = answers[min(len(asked), len(answers)) - 1]
                if answer:
                    connection.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        stop.set()
        thread.join(5)
        listener.close()


def _request(connection: socket.socket) -> bytes:
    """One request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


CALLS = {
    "list": Operation("GET", "/rows", pager=Pager("single")),
    "read": Operation("GET", "/rows/{id}"),
    "create": Operation("POST", "/rows"),
    "update": Operation("PATCH", "/rows/{id}"),
    "delete": Operation("DELETE", "/rows/{id}"),
}
RULES = (
    ErrorRule("wait", (429,), after=2.0, limit="burst"),
    ErrorRule("stop", (403,), content_type="text/html"),
    ErrorRule("refuse", (401,)),
    ErrorRule("missing", (404, 410)),
    ErrorRule("reject", (400, 422)),
    ErrorRule("unsure", (500, 502, 503, 504)),
)


@dataclass(slots=True)
class Bench:
    """Makes clients of connectors that the tests describe."""

    store: Store
    time: Time
    stack: ExitStack

    def client(
        self, base_url: str, *, calls: dict[str, Operation] | None = None, errors: tuple[ErrorRule, ...] = RULES,
        limits: tuple[Limit, ...] = (), auth: dict[str, Any] | None = None, secret: str = CANARY, tries: int = 2,
        wait_for_day: bool = False, resource: dict[str, Any] | None = None, **connection: Any,
    ) -> Client:  # fmt: skip
        """A client on a simulated clock, with one resource `rows`."""
        kind = Resource(name="rows", id="id", operations={**CALLS, **(calls or {})}, fields={}, **(resource or {}))  # type: ignore[arg-type]
        where = Connection(
            base_url_env="ACME_BASE_URL", base_url="https://api.acme.example",
            auth=auth or {"kind": "header", "name": "x-key", "secret": "ACME_KEY"}, secret_env="ACME_KEY",
            check=Operation("GET", "/me"), timeout=1.0, concurrency=4,
        )  # fmt: skip
        connector = Connector(
            name="acme", title="Acme", connection=replace(where, **connection), plans=("any",), limits=limits, errors=errors,
            message=("error.message", "error"), resources={"rows": kind}, reference=Reference(), tries=tries,
        )  # fmt: skip
        clock = Clock(lambda: self.time.now, self.time.sleep)
        limiter = RateLimiter(self.store, "acme", limits, "any", 1, clock=clock, wait_for_day=wait_for_day)
        client = Client(connector, Account(base_url, secret), limiter, clock, random=lambda: 0.0)
        self.stack.callback(client.close)
        return client

    def serve(self, routes: list[Any]) -> str:
        """A Starlette application with these routes; its address."""
        return self.stack.enter_context(serving(Starlette(routes=routes)))

    def script(self, *answers: bytes | None) -> tuple[str, list[bytes]]:
        """A server that gives these answers, one a connection; its address and what it was asked."""
        return self.stack.enter_context(scripted(list(answers)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Clients, servers and a store, all closed at the end."""
    with ExitStack() as stack:
        store = open_store(str(tmp_path / "store.sqlite"))
        stack.callback(store.close)
        yield Bench(store, Time(), stack)


@pytest.fixture
def canary() -> str:
    """A key that must never show in any text."""
    return CANARY


@pytest.fixture
def closed_port() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


