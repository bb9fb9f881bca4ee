"""Stands before the emulator as api.pipedrive.com: an HTTP proxy that also ends TLS, passes everything on and writes down what was asked."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length")
UNKNOWN = b'"Unknown method."'
NAMES = "subjectAltName=DNS:pipedrive.com,DNS:*.pipedrive.com"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of a client, as it was answered."""

    verb: str
    path: str  # without the query
    query: tuple[tuple[str, str], ...]
    status: int
    said: bytes  # the beginning of the body, of a refusal only

    @property
    def unknown(self) -> bool:
        """Whether the emulator does not know the path, or not with this verb."""
        return self.status == 405 or (self.status == 404 and UNKNOWN in self.said)


@dataclass(slots=True)
class Watch:
    """Where it listens, the certificate that clients have to trust, and every call so far."""

    origin: str
    certificate: Path
    calls: list[Seen] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client come here whatever host of Pipedrive it calls."""
        bundle = str(self.certificate)
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self.origin)
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), bundle)
        return {**proxies, **trusted, "NO_PROXY": "", "no_proxy": ""}


@contextmanager
def watch(target: str, folder: Path) -> Iterator[Watch]:
    """Pass on to a server while the block runs; its certificate is made in the folder, by `openssl`."""
    certificate, context = _certificate(folder)
    there = urlsplit(target)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, ssl.SSLError):
                super().handle_one_request()

        def do_CONNECT(self) -> None:
            """Whatever host is asked for, the client gets the emulator."""
            self.send_response_only(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = _Whole(self.connection)
            self.close_connection = False

        def passed(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                body = _chunks(self.rfile)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            upstream = http.client.HTTPConnection(there.hostname or "", there.port, timeout=60)
            try:
                upstream.request(self.command, self.path, body or None, {**kept, "content-length": str(len(body))})
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            asked = urlsplit(self.path)
            said = content[:600] if answer.status >= 400 else b""
            found.calls.append(Seen(self.command, asked.path, tuple(parse_qsl(asked.query)), answer.status, said))
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
    found = Watch(f"http://127.0.0.1:{server.server_port}", certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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


def _chunks(stream) -> bytes:  # type: ignore[no-untyped-def]
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(parts)


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.pipedrive.com", "-addext", NAMES]
    subprocess.run([*asked, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
