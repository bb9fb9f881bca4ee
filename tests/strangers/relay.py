"""Stands before a server, passes everything on, counts the writes, and can strike at a certain one."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(slots=True)
class Relay:
    """What passes: `writes` so far, and what happens at the `due`-th from now on."""

    origin: str = ""
    writes: int = 0
    due: int = 0
    early: bool = False  # strike before the write is passed on; otherwise when it was answered and nobody knows
    strike: Callable[[], None] = lambda: None
    struck: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def aim(self, writes: int, early: bool, strike: Callable[[], None]) -> None:
        """Strike at so many writes from now."""
        with self.lock:
            self.due, self.early, self.strike = self.writes + writes, early, strike
            self.struck.clear()

    def count(self, write: bool) -> bool:
        """Count a request; whether it is the one to strike at. Nothing passes from then on until it is aimed anew."""
        with self.lock:
            self.writes += write
            return bool(write and self.due and self.writes == self.due)

    def hit(self) -> None:
        """Strike, once."""
        with self.lock:
            self.due = 0
        self.strike()
        self.struck.set()


@contextmanager
def relay(target: str, writes: Callable[[str, str], bool]) -> Iterator[Relay]:
    """A relay before a server while the block runs; `writes` says of a method and a path whether it changes anything."""
    found, there = Relay(), urlsplit(target)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):  # whoever asked was killed
                super().handle_one_request()

        def passed(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            due = found.count(writes(self.command, self.path))
            if due and found.early:
                found.hit()
                self.close_connection = True
                return
            # The Host stays ours: addresses in answers then lead here again.
            upstream = http.client.HTTPConnection(there.hostname or "", there.port, timeout=60)
            try:
                upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            if due:
                found.hit()
                self.close_connection = True
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = passed

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    found.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
