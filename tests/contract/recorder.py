"""A reverse proxy on loopback that forwards everything to an emulator and keeps what went by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.loopback import serving

_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")
_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as they were on the wire; header names are in small letters."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer_headers: Mapping[str, str]
    answer: bytes


@dataclass(slots=True)
class Recording:
    """Where the proxy listens and everything it has passed on so far."""

    base_url: str
    exchanges: list[Exchange] = field(default_factory=list)


@contextmanager
def record(upstream: str) -> Iterator[Recording]:
    """Pass requests on to `upstream` while the block runs; every client must have closed at its end."""
    recording = Recording("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(upstream).netloc, recording))
    server.daemon_threads = False  # so that closing the server waits for the last answer
    recording.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield recording


def _handler(upstream: str, recording: Recording) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection of a client, with its own connection to the emulator."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        timeout = _PATIENCE

        def setup(self) -> None:
            super().setup()
            self.upstream = HTTPConnection(upstream, timeout=_PATIENCE)

        def finish(self) -> None:
            self.upstream.close()
            super().finish()

        def log_message(self, *_: object) -> None:
            """Nothing is written to the terminal."""

        def _pass_on(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else b""
            sent = {name.lower(): value for name, value in self.headers.items()}
            passed = {name: value for name, value in sent.items() if name not in ("connection", "host")}
            self.upstream.request(self.command, self.path, body or None, passed)
            response = self.upstream.getresponse()
            answer = response.read()
            got = {name.lower(): value for name, value in response.getheaders()}
            path, _, query = self.path.partition("?")
            recording.exchanges.append(Exchange(self.command, path, query, sent, body, response.status, got, answer))
            self.send_response_only(response.status)
            for name, value in got.items():
                if name not in _HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    return Handler
