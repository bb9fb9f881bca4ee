"""People hear what a fleet does, over an address or a command, and nothing waits for that or fails of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engine.connector.auth import redactor
from engine.errors import UsageError
from fleet import notify
from fleet.cli import fleet_group
from fleet.notify import News, check_target, tell_of
from fleet.secrets import hidden
from tests import postgres
from tests.fleet.driving import is_alive
from tests.loopback import serving

NEWS = News("acme", "run", "attention", 1, "“ñ” is not there", 5.0)


class Hook(HTTPServer):
    """An address that people look at; it answers with a code, or never."""

    code = 200
    heard: list[tuple[str, str, bytes]]


class Hear(BaseHTTPRequestHandler):
    """Keeps what is sent."""

    server: Hook

    def do_POST(self) -> None:
        """One message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Content-Type"], body))
        if not self.server.code:
            time.sleep(1.5)
            return
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def hook(code: int = 200) -> Iterator[Hook]:
    """An address while the block runs."""
    server = Hook(("127.0.0.1", 0), Hear)
    server.code, server.heard = code, []
    with serving(server):
        yield server


@contextmanager
def dripping(folder: Path, encrypted: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an address that answers byte by byte, and is never done."""
    ended = threading.Event()

    def answer() -> None:
        with suppress(OSError):
            end, _ = listening.accept()
            with end:
                end.sendall(b"HTTP/1.1 ")
                while not ended.wait(0.2):
                    end.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as plain:
        listening = certified(plain, folder, monkeypatch) if encrypted else plain
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended.set()
            thread.join()
            listening.close()


def certified(plain: socket.socket, folder: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The same over TLS, with a certificate that this process trusts; skips the test where none can be made."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key = folder / "key"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(["openssl", *words.split(), "-keyout", str(key), "-out", f"{key}.crt"], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", f"{key}.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{key}.crt", key)
    return context.wrap_socket(plain, server_side=True)


def told(target: str, answered: float = 10.0) -> list[str]:
    """What a worker says while it tells of news."""
    said: list[str] = []
    asyncio.run(tell_of(target, NEWS, said.append, answered))
    return said


def test_an_address_is_sent_json() -> None:
    """All that the news are, as one POST; the query of the address goes along."""
    with hook() as there:
        assert told(f"http://127.0.0.1:{there.server_port}/hook?key=k3y") == []
        ((path, kind, body),) = there.heard
    assert path == "/hook?key=k3y" and kind == "application/json"
    assert json.loads(body) == {
        "name": "acme", "stage": "run", "what": "attention", "code": 1, "reason": "“ñ” is not there", "next": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(("code", "why"), [(500, "the answer was 500"), (302, "the answer was 302"), (0, "TimeoutError")])
def test_an_address_that_fails_is_told_once(code: int, why: str) -> None:
    """An answer that is none, one that leads elsewhere and one that never comes cost a line without the address, in which a key may stand."""
    with hook(code) as there:
        (line,) = told(f"http://127.0.0.1:{there.server_port}/hook?key=k3y", 0.3)
        assert len(there.heard) == 1
    assert why in line and "k3y" not in line and "acme" in line


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_an_answer_that_comes_byte_by_byte_is_given_up(encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time within which an address has to answer is for all of it: no byte begins it anew, and the line says that it was too slow."""
    with dripping(tmp_path, encrypted, monkeypatch) as port:
        began = time.monotonic()
        (line,) = told(f"http{'s' if encrypted else ''}://localhost:{port}/k3y", 1.0)
    assert time.monotonic() - began < 4 and "TimeoutError" in line and "k3y" not in line


def test_an_address_that_never_answers_keeps_no_turn_waiting() -> None:
    """However many news wait for it, what a worker does for its turns, each look at one, is done at once."""

    async def looked(target: str) -> float:
        telling = [asyncio.create_task(tell_of(target, NEWS, lambda _: None, 1.0)) for _ in range(40)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await asyncio.to_thread(time.monotonic)
        took = time.monotonic() - began
        for task in telling:
            task.cancel()
        return took

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(looked(f"http://127.0.0.1:{silent.getsockname()[1]}/hook")) < 0.5


def test_an_address_where_nobody_is_stops_nothing() -> None:
    """A refused connection is a line."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (line,) = told(f"http://localhost:{port}/k3y")
    assert "refused" in line and "k3y" not in line


def test_a_command_that_fails_stops_nothing(tmp_path: Path) -> None:
    """A command gets the news on its stdin; one that is not there, or ends badly, is a line."""
    assert told(f"cp /dev/stdin '{tmp_path}/a b.json'") == []
    assert json.loads((tmp_path / "a b.json").read_text(encoding="utf-8"))["what"] == "attention"
    assert "code 3" in told("sh -c 'exit 3'")[0]
    assert "No such file" in told("/nowhere/notify")[0]


def test_a_command_that_takes_too_long_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended with what it has started, each time that there are news."""
    monkeypatch.setattr(notify, "TOLD", 0.5)
    left = tmp_path / "left"
    assert "takes longer" in told(f"sh -c 'sleep 1234567 & echo $! > {left}; wait'")[0]
    postgres.wait_for("an end of what the command started", lambda: not is_alive(int(left.read_text(encoding="utf-8"))), 10)


@pytest.mark.parametrize("target", ["http://chat.example.com/hook", "https://ana:pw@chat.example.com/", "ftp://chat.example.com/", "https:///hook",
                                    "sh -c 'exit"])  # fmt: skip
def test_a_target_that_would_say_it_in_the_open_is_refused(target: str) -> None:
    """Only https leaves this machine, and no password stands in an address."""
    with pytest.raises(UsageError, match="--notify"):
        check_target(target)


def test_other_targets_are_taken() -> None:
    """https anywhere, http on this machine, commands whatever their words."""
    for target in ("https://chat.example.com/hook", "http://[::1]:9/x", "http://localhost/x", "", "curl -d @- http://chat.example.com"):
        check_target(target)


def test_what_is_said_holds_no_key() -> None:
    """All values of a migration's variables are taken out of a reason, words among them, but for addresses, people and what is too short to be a key."""
    found = {"A_KEY": "k3y-0f-nobody", "A_URL": "https://acme.example.com/app", "OWNER": "ana@example.com", "P": "p@ss w0rd", "L": "es", "WORD": "made"}
    said = redactor(hidden(found))("k3y-0f-nobody at https://acme.example.com/app by ana@example.com: p@ss w0rd was made in es")
    assert said == "*** at https://acme.example.com/app by ana@example.com: *** was *** in es"


def test_a_target_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in an address of `--notify` need not stand in a command, which everybody on the machine can read."""
    monkeypatch.setenv("ETL_FLEET_NOTIFY", "https://chat.example.com/hook?key=s3cret")
    worker = fleet_group.commands["worker"].make_context("worker", ["--db", "postgresql://db/fleet"])
    assert worker.params["notify"] == "https://chat.example.com/hook?key=s3cret"
