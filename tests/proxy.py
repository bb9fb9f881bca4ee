"""Stands before a server and passes everything on; a function sees each call, and may let it end without an answer."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.loopback import serving

HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    content: bytes


# Verb, path with its query, and what passes the call on; None ends the connection without an answer.
Around = Callable[[str, str, Callable[[], Answer]], Answer | None]


@contextmanager
def proxy(target: str, around: Around, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Pass on to a server while the block runs; where it listens. With a context, it also ends TLS, whatever host is asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _passing(target, around, context))
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


def _passing(target: str, around: Around, context: ssl.SSLContext | None) -> type[BaseHTTPRequestHandler]:
    there = urlsplit(target)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, ssl.SSLError):  # whoever asked is gone
                super().handle_one_request()

        def do_CONNECT(self) -> None:
            if context is None:
                self.send_error(405)
                return
            self.send_response_only(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = _Whole(self.connection)
            self.close_connection = False

        def passed(self) -> None:
            body = _body(self.headers, self.rfile)
            answer = around(self.command, self.path, lambda: self.upstream(body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in _end_to_end(answer.headers):
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = passed

        def upstream(self, body: bytes) -> Answer:
            # The Host stays ours: addresses in answers then lead here again.
            kept = dict(_end_to_end(self.headers.items()))
            connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=60)
            try:
                connection.request(self.command, self.path, body or None, kept)
                answer = connection.getresponse()
                return Answer(answer.status, answer.reason, answer.getheaders(), answer.read())
            finally:
                connection.close()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    return Passing


class _Whole:
    """A socket to write to, which says nothing of what it could not send."""

    def __init__(self, socket: ssl.SSLSocket) -> None:
        self.socket = socket

    def write(self, content: bytes) -> int:
        self.socket.sendall(content)
        return len(content)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    closed = False


def _end_to_end(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The headers that are for who is at the end, not for the next on the way."""
    return ((name, value) for name, value in headers if name.lower() not in HOP)


def _body(headers: Message, stream: Any) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return bytes(stream.read(int(headers.get("content-length") or 0)))
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(parts)
