"""A small REST platform on loopback whose oddities are plain functions.

Tables are lists of rows under their names: `GET /contacts?offset=0&limit=10`, `POST /contacts`,
`GET`, `PATCH` and `DELETE /contacts/7`. A fresh row gets 201 and an id from 1001 upwards. What a
platform does differently is a hook; `oddities.py` has those that several tests use.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import serving

Row = dict[str, Any]
FIRST_ID = 1001


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any

    @property
    def parts(self) -> list[str]:
        """`/contacts/7` as `["contacts", "7"]`."""
        return [part for part in self.path.split("/") if part]

    def creates(self, table: str) -> bool:
        """Whether it makes a row of a table."""
        return self.method == "POST" and self.parts == [table]

    def writes(self, table: str) -> bool:
        """Whether it makes or changes a row of a table."""
        return self.method in ("POST", "PATCH", "PUT") and self.parts[:1] == [table]

    def reads(self, table: str) -> bool:
        """Whether it lists a table or reads one of its rows."""
        return self.method == "GET" and self.parts[:1] == [table]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back; `cut` drops the connection instead, with the work done."""

    status: int
    body: Any = None
    cut: bool = False
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


Before = Callable[["Platform", Request], Answer | None]  # an answer here is the last word
After = Callable[["Platform", Request, Answer], Answer]  # may change what is answered


@dataclass(slots=True)
class Platform:
    """Tables, hooks and the log of requests; one lock makes every request atomic."""

    tables: dict[str, list[Row]]
    before: list[Before] = field(default_factory=list)
    after: list[After] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    next_id: int = FIRST_ID
    base_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, request: Request) -> Answer:
        """The answer to one request, by the hooks and the tables."""
        with self.lock:
            self.log.append(request)
            found = next((one for hook in self.before if (one := hook(self, request))), None)
            answer = found or self.plain(request)
            for hook in self.after:
                answer = hook(self, request, answer)
            return answer

    def plain(self, request: Request) -> Answer:
        """What a platform without oddities answers."""
        match request.parts:
            case ["ok"]:
                return Answer(200, {"ok": True})
            case [table] if table in self.tables:
                return self._collection(request, table)
            case [table, row_id] if table in self.tables:
                return self._row(request, table, row_id)
        return Answer(404, {"error": "no such place"})

    def _collection(self, request: Request, table: str) -> Answer:
        if request.method == "GET":
            return Answer(200, page(self.tables[table], request.query))
        if request.method == "POST":
            return Answer(201, self.add(table, request.body))
        return Answer(405, {"error": "not here"})

    def _row(self, request: Request, table: str, row_id: str) -> Answer:
        row = self.find(table, row_id)
        if row is None:
            return Answer(404, {"error": "no such row"})
        if request.method in ("PATCH", "PUT"):
            merge(row, request.body)
        elif request.method == "DELETE":
            self.tables[table].remove(row)
            return Answer(204)
        return Answer(200, dict(row))

    def add(self, table: str, values: Row) -> Row:
        """Make a row; a copy of it."""
        row = {**values, "id": self.next_id}
        self.next_id += 1
        self.tables[table].append(row)
        return dict(row)

    def find(self, table: str, row_id: Any) -> Row | None:
        """A row by its id, whether it is written as a number or as text."""
        return next((row for row in self.tables[table] if str(row["id"]) == str(row_id)), None)

    def one(self, table: str, **values: Any) -> Row:
        """The only row with these values."""
        rows = [row for row in self.tables[table] if values.items() <= row.items()]
        assert len(rows) == 1, f"{len(rows)} rows of {table} with {values}: {self.tables[table]}"
        return rows[0]

    def calls(self, method: str, table: str) -> list[Request]:
        """The requests of one kind about one table so far."""
        return [one for one in self.log if one.method == method and one.parts[:1] == [table]]

    def count_writes(self) -> int:
        """How many requests so far were meant to change something."""
        return sum(one.method != "GET" for one in self.log)


def merge(row: Row, values: Row) -> None:
    """Put values into a row; what is nested is merged, not replaced."""
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(row.get(name), dict):
            merge(row[name], value)
        else:
            row[name] = value


def page(rows: list[Row], query: dict[str, str]) -> list[Row]:
    """The slice of a list that `offset` and `limit`, or `page` and `size`, ask for."""
    if "page" in query:
        start = (int(query["page"]) - 1) * int(query["size"])
        return [dict(row) for row in rows[start : start + int(query["size"])]]
    start = int(query.get("offset", 0))
    return [dict(row) for row in rows[start : start + int(query.get("limit", 100))]]


@contextmanager
def served(platform: Platform) -> Iterator[Platform]:
    """The platform, answering on a port of its own while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(platform))
    platform.base_url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield platform


def _handler(platform: Platform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            body = json.loads(raw) if raw else None
            request = Request(self.command, url.path, dict(parse_qsl(url.query)), body)
            self.reply(platform.answer(request))

        def reply(self, answer: Answer) -> None:
            if answer.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return

            content = b"" if answer.status == 204 else json.dumps(answer.body).encode()
            content = content if answer.raw is None else answer.raw
            self.send_response_only(answer.status)
            told = {"date": self.date_time_string(), "content-type": "application/json"}
            told |= {"content-length": str(len(content)), **answer.headers}
            for name, value in told.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    return Handler
