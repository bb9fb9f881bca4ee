"""The door to the network: HTTP/1.1 over a socket, behind httpx's interface for transports.

httpx's own machinery takes three times the processor time of a call
(docs/decisions/0017-the-http-door.md). Connections are kept and used again, no proxy is used, no
redirect is followed, nothing is sent twice.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import httpx
import msgspec

from engine.connector.messages import (
    Header,
    Headers,
    Request,
    headers_of,
    of_httpx,
)

HEAD = 100_000  # bytes of an answer's head, or of a line in it
PART = 65_536  # bytes read at a time

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_STATUS = re.compile(rb"HTTP/(1\.[01]) ([1-9]\d\d)(?: (.*))?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_WHOLE = re.compile("[0-9]{1,18}")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")

Origin = tuple[str, str, int | None]


class _Wire(msgspec.Struct):
    """One connection, and what was read from it but not used yet."""

    socket: socket.socket
    origin: Origin
    left: bytes = b""
    idle_since: float = 0.0
    # the request may not have been taken whole: no other may follow it
    is_broken: bool = False

    def is_good(self, keep: float) -> bool:
        """Whether the server is likely to take another request: nobody has closed it, nothing
        unasked has come.
        """
        if time.monotonic() - self.idle_since > keep:
            return False
        if not hasattr(select, "poll"):  # Windows
            return not select.select([self.socket], [], [], 0)[0]
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Give the connection up."""
        self.socket.close()

    def send(self, request: Request) -> None:
        """The request as it travels. A server that stops reading may have answered already: then
        that counts.
        """
        target = request.url.raw_path
        first = b"%b %b HTTP/1.1\r\n" % (request.method.encode("ascii"), target)
        try:
            self.socket.sendall(
                b"%b%b\r\n%b" % (first, request.lines, request.body)
            )
            for part in request.parts:
                self.socket.sendall(
                    _chunk(part) if request.is_chunked else part
                )
            if request.is_chunked:
                self.socket.sendall(b"0\r\n\r\n")
        except TimeoutError:
            raise httpx.WriteTimeout(
                "the request was not taken in time"
            ) from None
        except OSError:
            self.is_broken = True

    def fill(self) -> bool:
        """Read some more; False where the server has ended the connection."""
        try:
            data = self.socket.recv(PART)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time") from None
        except OSError as error:
            raise httpx.ReadError(str(error)) from None
        self.left += data
        return bool(data)

    def until(self, end: re.Pattern[bytes]) -> bytes:
        """What comes before a mark; the mark is taken as well."""
        while not (found := end.search(self.left)):
            if len(self.left) > HEAD:
                raise httpx.RemoteProtocolError(
                    "the head of the answer has no end"
                )
            if not self.fill():
                raise httpx.RemoteProtocolError(
                    "the server ended the connection without an answer"
                )
        text, self.left = self.left[: found.start()], self.left[found.end() :]
        return text

    def some(self, most: int) -> bytes:
        """The next bytes, at most so many; b"" at the end of the connection."""
        if not self.left and not self.fill():
            return b""
        part, self.left = self.left[:most], self.left[most:]
        return part


class Head(msgspec.Struct, frozen=True):
    """The head of an answer."""

    version: bytes
    status: int
    reason: bytes
    raw: list[Header]
    headers: Headers

    def values(self, name: str) -> Sequence[str]:
        """What a header says, each of a list for itself, in small letters."""
        return _listed(self.headers.get(name, ""))


@lru_cache(maxsize=256)
def _listed(said: str) -> Sequence[str]:
    return tuple([item.strip() for item in said.lower().split(",") if said])


class Body(httpx.SyncByteStream):
    """The body of an answer, part by part; a connection that can be used again goes back when it
    was read whole.
    """

    def __init__(
        self, door: Door, wire: _Wire, head: Head, method: str
    ) -> None:
        self._door, self._wire, self._head = door, wire, head
        self._bare = method == "HEAD" or head.status in (204, 304)
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        head = self._head
        coded = head.values("transfer-encoding")
        lengths = set(head.values("content-length"))
        kept = head.version == b"1.1" and "close" not in head.values(
            "connection"
        )
        if self._bare:
            pass
        elif coded:
            yield from self._chunks(coded)
        elif lengths:
            yield from self._exactly(_length(lengths))
        else:
            kept = False
            while part := self._wire.some(PART):
                yield part
        if (
            kept
            and self._open
            and not self._wire.left
            and not self._wire.is_broken
        ):
            self._open = False
            self._door.keep(self._wire)

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            part = self._wire.some(min(length, PART))
            if not part:
                raise httpx.RemoteProtocolError(
                    f"the server ended the connection {length:,} bytes before the end"
                    " of its answer"
                )
            length -= len(part)
            yield part

    def _chunks(self, coded: Sequence[str]) -> Iterator[bytes]:
        if list(coded) != ["chunked"]:
            raise httpx.RemoteProtocolError(
                "the answer travels in a coding that was not asked for"
            )
        while True:
            size = _SIZE.fullmatch(self._wire.until(_LINE_END))
            if not size:
                raise httpx.RemoteProtocolError(
                    "a part of the answer has no size"
                )
            if not int(size[1], 16):
                break
            yield from self._exactly(int(size[1], 16))
            if self._wire.until(_LINE_END):
                raise httpx.RemoteProtocolError(
                    "a part of the answer is larger than it says"
                )
        while self._wire.until(_LINE_END):
            pass  # trailers say nothing that anybody asks for

    def close(self) -> None:
        """A connection whose answer was not read whole is of no use."""
        if self._open:
            self._open = False
            self._wire.close()


@dataclass(slots=True)
class Door(httpx.BaseTransport):
    """Connections to the servers of one account. Threads may share it."""

    connect: float  # seconds to wait for a connection ...
    timeout: float  # ... and for a sign of life on one
    keep_for: float  # seconds that an idle connection is good for
    room: int  # idle connections kept
    trusted: Callable[[], ssl.SSLContext]
    _idle: deque[_Wire] = field(default_factory=deque)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer; the body is read from the response's
        stream.
        """
        head, body = self.open(of_httpx(request))
        about = {
            "http_version": b"HTTP/" + head.version,
            "reason_phrase": head.reason,
        }
        return httpx.Response(
            head.status, headers=head.raw, stream=body, extensions=about
        )

    def open(self, request: Request) -> tuple[Head, Body]:
        """The same without a response around it. Whoever has read the body closes it."""
        wire = self._wire(request.url)
        try:
            wire.send(request)
            head = _answered(wire)
        except BaseException:
            wire.close()
            raise
        return head, Body(self, wire, head, request.method)

    def keep(self, wire: _Wire) -> None:
        """A connection for the next request."""
        wire.idle_since = time.monotonic()
        self._idle.append(wire)
        if len(self._idle) > self.room:
            self._idle.popleft().close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _wire(self, url: httpx.URL) -> _Wire:
        """The connection used last, if it is good; else a new one."""
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port)
        for _ in range(len(self._idle)):
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if wire.origin == origin and wire.is_good(self.keep_for):
                return wire
            wire.close()
        return _Wire(self._connected(*origin), origin)

    def _connected(
        self, scheme: str, host: str, port: int | None
    ) -> socket.socket:
        if scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{scheme} is not spoken here")
        try:
            made = socket.create_connection(
                (host, port or {"http": 80, "https": 443}[scheme]), self.connect
            )
            made = self._secured(made, host) if scheme == "https" else made
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from None
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(self.timeout)
        return made

    def _secured(self, made: socket.socket, host: str) -> socket.socket:
        try:
            return self.trusted().wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


def _answered(wire: _Wire) -> Head:
    """The head of the answer; what comes before it, as 103 Early Hints, is passed over."""
    while True:
        text = wire.until(_BLANK_LINE)
        first, *lines = _LINE_END.split(
            _FOLDED.sub(b" ", text) if _FOLDED.search(text) else text
        )
        status = _STATUS.fullmatch(first)
        if not status:
            raise httpx.RemoteProtocolError("the answer is not HTTP")
        raw = [_header(line) for line in lines]
        if int(status[2]) >= 200:
            reason = status[3] or b""
            return Head(status[1], int(status[2]), reason, raw, headers_of(raw))


@lru_cache(maxsize=128)
def _header(line: bytes) -> Header:
    """A line of the head: most of them are the same in every answer."""
    found = _HEADER.fullmatch(line)
    if not found:
        raise httpx.RemoteProtocolError("the answer is not HTTP")
    return found[1], found[2]


def _length(said: set[str]) -> int:
    text = next(iter(said))
    if len(said) > 1 or not _WHOLE.fullmatch(text):
        raise httpx.RemoteProtocolError(
            "the answer does not say how long it is"
        )
    return int(text)
