"""The door to the network against servers that say exactly what a test gives them, byte for byte."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from engine.connector.door import Door

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(slots=True)
class Server:
    """Answers each request with the next text; what it was sent, and over how many connections."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def server(*said: bytes, end_after: Sequence[int] = (), tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Says the texts in turn; after those numbered in `end_after` it ends the connection."""
    listening, found, turn = socket.create_server(("127.0.0.1", 0)), Server(), iter(enumerate(said))
    found.port = listening.getsockname()[1]

    def serve(one: socket.socket) -> None:
        with one:
            try:
                wire = tls.wrap_socket(one, server_side=True) if tls else one
                with wire:
                    while request := _request(wire):
                        found.heard.append(request)
                        number, text = next(turn)
                        wire.sendall(text)
                        if number in end_after:
                            return
            except (OSError, StopIteration):
                return

    def accept() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            found.connections += 1
            threading.Thread(target=serve, args=(one,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield found
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _request(wire: socket.socket) -> bytes:
    """A whole request, by its content-length or by its last chunk; b"" at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = wire.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    chunked = b"transfer-encoding: chunked" in head.lower()
    while len(body) < length or (chunked and not body.endswith(b"0\r\n\r\n")):
        body += wire.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door(2.0, 0.5, 3.0, 2, ssl.create_default_context)
    yield made
    made.close()


def ask(door: Door, port: int, method: str = "GET", scheme: str = "http", host: str = "127.0.0.1", **sent: object) -> httpx.Response:
    """One call with its whole answer."""
    request = httpx.Request(method, f"{scheme}://{host}:{port}/rows?a=b%20c", **sent)  # type: ignore[arg-type]
    response = door.handle_request(request)
    try:
        response.read()
    finally:
        response.close()
    return response


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\ntrailer: 1\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, 200, b"ok"),
    ],
)
def test_answers_are_read_and_their_connection_is_used_again(door: Door, said: bytes, status: int, body: bytes) -> None:
    """Whatever way an answer says how long it is, the next request goes over the same connection."""
    with server(said, OK) as it:
        answer = ask(door, it.port)
        assert (answer.status_code, answer.content) == (status, body)
        assert ask(door, it.port).content == b"ok"
        assert it.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ],
)
def test_a_connection_that_is_not_to_be_trusted_is_not_used_again(door: Door, said: bytes) -> None:
    """It is to be closed, or it holds more than was asked for: no answer is taken for that of another request."""
    with server(said, OK) as it:
        assert ask(door, it.port).content == b"ok"
        assert ask(door, it.port).content == b"ok"
        assert it.connections == 2


def test_without_a_length_the_end_of_the_connection_is_the_end(door: Door) -> None:
    """As HTTP has it for servers of old."""
    with server(b"HTTP/1.1 200 OK\r\n\r\nall of it", end_after=[0]) as it:
        assert ask(door, it.port).content == b"all of it"


def test_a_connection_that_was_closed_meanwhile_takes_no_request(door: Door) -> None:
    """A write on it would be a doubt: it is seen before."""
    with server(OK, OK, end_after=[0]) as it:
        ask(door, it.port)
        door._idle[0].socket.settimeout(2)
        assert door._idle[0].socket.recv(1, socket.MSG_PEEK) == b""  # the end has arrived
        assert ask(door, it.port, "POST", content=b"x").content == b"ok"
        assert it.connections == 2


def test_a_connection_idle_for_long_takes_no_request() -> None:
    """Servers close theirs; the door is quicker."""
    door = Door(2.0, 0.5, 0.0, 2, ssl.create_default_context)
    with server(OK, OK) as it:
        ask(door, it.port)
        ask(door, it.port)
        assert it.connections == 2
    door.close()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nbad name : 1\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nmany\r\nok\r\n0\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, httpx.RemoteProtocolError),
    ],
)
def test_what_is_not_a_whole_answer_is_an_error(door: Door, said: bytes, error: type[Exception]) -> None:
    """Never half an answer, never one that two readers could read in two ways."""
    with server(said, end_after=[0]) as it, pytest.raises(error) as caught:
        ask(door, it.port)
    assert isinstance(caught.value, httpx.HTTPError) and not door._idle


def test_silence_is_a_timeout(door: Door) -> None:
    """Before an answer and within it."""
    for said in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok"):
        with server(said) as it, pytest.raises(httpx.ReadTimeout):
            ask(door, it.port)


def test_repeated_and_folded_headers_are_kept(door: Door) -> None:
    """Two cookies are two headers; a folded line is one."""
    with server(b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx: one\r\n  two\r\ncontent-length: 0\r\n\r\n") as it:
        answer = ask(door, it.port)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["x"] == "one two"


def test_a_request_arrives_as_it_was_made(door: Door) -> None:
    """Line, headers and body; one of unknown length in chunks."""
    with server(OK, OK) as it:
        ask(door, it.port, "POST", content=b'{"a": 1}', headers={"x-mark": "ü".encode()})
        ask(door, it.port, "POST", content=iter([b"one", b"", b"two"]))
    head, _, body = it.heard[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /rows?a=b%20c HTTP/1.1"
    assert b"x-mark: \xc3\xbc" in head and f"Host: 127.0.0.1:{it.port}".encode() in head and body == b'{"a": 1}'
    assert it.heard[1].endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"])
def test_no_header_begins_another(door: Door, value: bytes) -> None:
    """Nothing goes out."""
    with server(OK) as it, pytest.raises(httpx.LocalProtocolError):
        ask(door, it.port, headers={"x": value})
    assert it.heard == []


def test_a_server_that_answers_before_it_has_read_all_is_heard(door: Door) -> None:
    """A refusal of a large upload counts, though the upload broke off."""
    listening = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        one, _ = listening.accept()
        with one:
            one.recv(100)
            one.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass

    threading.Thread(target=refuse, daemon=True).start()
    with listening:
        assert ask(door, listening.getsockname()[1], "POST", content=b"x" * 3_000_000).status_code == 413


def test_a_connection_with_half_a_request_takes_no_other(door: Door) -> None:
    """After an upload that broke off, though it was answered, the next request goes over another connection."""

    def half() -> Iterator[bytes]:
        yield b"0\r\n"  # in a chunk, it is the end for the server of these tests, not for HTTP
        raise OSError("the disk is gone")

    with server(OK, OK) as it:
        assert ask(door, it.port, "POST", content=half()).content == b"ok"
        assert ask(door, it.port).content == b"ok"
        assert it.connections == 2


def test_other_protocols_are_not_spoken(door: Door) -> None:
    """Nothing was sent, and that is known."""
    with pytest.raises(httpx.UnsupportedProtocol):
        ask(door, 1, scheme="ftp")


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost` that signs itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = ["openssl", *words.split(), "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def secured(certificate: Path) -> ssl.SSLContext:
    """What the server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_is_checked(certificate: Path) -> None:
    """One that is trusted, for the host that was asked, is taken; a stranger's, or another host's, is not, and nothing was sent."""
    trusting = Door(2.0, 0.5, 3.0, 2, partial(ssl.create_default_context, cafile=str(certificate)))
    strict = Door(2.0, 0.5, 3.0, 2, ssl.create_default_context)
    with server(OK, OK, tls=secured(certificate)) as it:
        for _ in range(2):
            assert ask(trusting, it.port, scheme="https", host="localhost").content == b"ok"
        assert it.connections == 1
        tries: list[Callable[[], object]] = [
            lambda: ask(strict, it.port, scheme="https", host="localhost"),
            lambda: ask(trusting, it.port, scheme="https", host="127.0.0.1"),
        ]
        for one in tries:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                one()
        assert len(it.heard) == 2
    trusting.close()
