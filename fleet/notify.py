"""Who hears what a fleet does: a command, or an address that is sent JSON. No turn waits for it."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from engine.errors import UsageError
from fleet.groups import killed
from fleet.waits import ANSWERED, TOLD

Tell = Callable[[str], None]
# threads of its own: all others, of which a worker has few, look after its turns
_TELLING = ThreadPoolExecutor(8, "news")


@dataclass(frozen=True, slots=True)
class News:
    """What people should know: done, attention, paused, retrying or failed."""

    name: str
    stage: str
    what: str
    code: int | None  # of the turn; None where none could begin any more
    reason: str
    next: float  # when the next turn begins, in epoch seconds; 0 for never


def check_target(target: str) -> None:
    """Raise UsageError where an address would send what is said in the open."""
    url = _address(target)
    if url is None:
        _check_words(target)
        return
    if not url.hostname or url.scheme not in ("http", "https"):
        raise UsageError("--notify is no address – write https://HOST/PATH")
    if url.username or url.password:
        raise UsageError(
            "--notify: a name and a password have no place in an address – let a command send them"
        )
    if url.scheme == "http" and not _is_here(url.hostname):
        raise UsageError(
            "--notify: an address on another machine has to begin with https://"
        )


def _check_words(command: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--notify is no command: {error}") from None
    if words and not shutil.which(words[0]):
        raise UsageError(f"--notify: there is no {words[0]}")


async def tell_of(
    target: str, news: News, tell: Tell, answered: float = ANSWERED
) -> None:
    """Send news to a command or an address; a failure is told, without the address, in which a key
    may stand.
    """
    said = json.dumps(asdict(news)).encode()
    url = _address(target)
    try:
        if url is None:
            await _to_command(shlex.split(target), said)
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(
                _TELLING, _to_address, url, said, answered
            )
    except (OSError, HTTPException, TimeoutError, NotTaken) as error:
        told = str(error) if isinstance(error, NotTaken) else _kind(error)
        tell(f"{news.name}: --notify has not been told: {told}")


class NotTaken(Exception):
    """The news were heard, and not taken."""


def _kind(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _address(target: str) -> SplitResult | None:
    """An address; None for a command."""
    if "://" not in target.split(" ", maxsplit=1)[0]:
        return None
    return urlsplit(target)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def _to_command(words: list[str], said: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        await asyncio.wait_for(process.communicate(said), TOLD)
    except TimeoutError:
        await killed(process)
        raise NotTaken(f"the command takes longer than {TOLD:.0f} s") from None
    if process.returncode:
        raise NotTaken(f"the command ended with code {process.returncode}")


def _to_address(url: SplitResult, said: bytes, answered: float) -> None:
    """One POST; where the answer leads elsewhere, nothing follows it."""
    connection = _connection(url, answered)
    path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    headers = {"Content-Type": "application/json"}
    try:
        connection.connect()
        # its own limit is for each read: an answer that comes byte by byte would never be late
        cut = threading.Event()
        late = threading.Timer(answered, _cut, (connection.sock, cut))
        late.start()
        try:
            connection.request("POST", path, said, headers)
            status = connection.getresponse().status
        except (OSError, HTTPException):
            if cut.is_set():
                raise TimeoutError from None
            raise
        finally:
            late.cancel()
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotTaken(f"the answer was {status}")


def _connection(url: SplitResult, answered: float) -> HTTPConnection:
    assert url.hostname is not None
    if url.scheme == "http":
        return HTTPConnection(url.hostname, url.port, timeout=answered)
    context = ssl.create_default_context()
    return HTTPSConnection(
        url.hostname, url.port, timeout=answered, context=context
    )


def _cut(sock: socket.socket, cut: threading.Event) -> None:
    """End a connection under whoever reads from it, and will see why."""
    cut.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
