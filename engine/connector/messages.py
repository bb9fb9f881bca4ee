"""A request as it travels, and an answer that was read whole: as plain as a call needs them.

httpx's own cost several times what reading and writing them takes; files, which are few, still go
through it (docs/decisions/0017-the-http-door.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache

import httpx
import msgspec

Header = tuple[bytes, bytes]
# what an answer says beside its body, by names in small letters; what several headers of a name say
# is one list
Headers = dict[str, str]

_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]+)", re.IGNORECASE)

DEFAULTS = {  # what every request says
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "user-agent": f"python-httpx/{httpx.__version__}",
}


# object and key of the record that a call is made for; nothing where it is made for none
ABOUT: ContextVar[tuple[str, str]] = ContextVar("about", default=("", ""))


class Call(msgspec.Struct, frozen=True):
    """A request and what came of it, for a log: no query, body or header is in it."""

    account: str  # the connector
    method: str
    path: str
    status: int  # 0 where no answer came
    seconds: float
    cost: float  # in the unit of the account's limits
    error: str = ""  # the kind of error, where no answer came


class Request(msgspec.Struct, frozen=True):
    """A request as it travels: the lines of its head, and its body in one piece or in parts."""

    method: str
    url: httpx.URL
    lines: bytes
    body: bytes = b""
    parts: Iterable[bytes] = ()
    is_chunked: bool = False  # the parts say themselves how long they are


class Response(msgspec.Struct, frozen=True):
    """An answer, read whole and unpacked."""

    status_code: int
    headers: Headers
    content: bytes
    url: httpx.URL = httpx.URL()

    @property
    def text(self) -> str:
        """The body as text, in the encoding that it names; in UTF-8 where there is none such."""
        found = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            return self.content.decode(
                found[1] if found else "utf-8", "replace"
            )
        except (LookupError, ValueError):
            return self.content.decode(errors="replace")


def request(
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Request:
    """A request with a body in one piece, or without one.

    Raises LocalProtocolError where a header would begin another line, and UnicodeEncodeError where
    it holds what no header can carry.
    """
    lines = _lines(url.netloc, tuple(headers.items()))
    if body is None and method not in ("POST", "PUT", "PATCH"):
        return Request(method, url, lines)
    body = body or b""
    return Request(
        method, url, b"%bcontent-length: %d\r\n" % (lines, len(body)), body
    )


@lru_cache(maxsize=256)
def _lines(host: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The lines of a head, which are the same for nearly every call."""
    return lines_of([(b"host", host), *with_defaults(dict(headers)).raw])


def with_defaults(headers: Mapping[str, str]) -> httpx.Headers:
    """Headers of a request with those of every request; a name in any letters replaces a
    default.
    """
    found = httpx.Headers(DEFAULTS)
    for name, value in headers.items():
        found[name] = value
    return found


def lines_of(headers: Sequence[Header]) -> bytes:
    """Headers as lines. Raises LocalProtocolError where one would begin another line."""
    text = b"".join([b"%b: %b\r\n" % header for header in headers])
    if b"\0" in text or not text.count(b"\r") == text.count(b"\n") == len(
        headers
    ):
        raise httpx.LocalProtocolError(
            "a header holds what no header can carry"
        )
    return text


def of_httpx(sent: httpx.Request) -> Request:
    """A request of httpx, whose body comes in parts."""
    return Request(
        sent.method,
        sent.url,
        lines_of(sent.headers.raw),
        parts=sent.stream,  # type: ignore[arg-type]
        is_chunked="transfer-encoding" in sent.headers,
    )


def headers_of(raw: Sequence[Header]) -> Headers:
    """Headers of an answer as they are asked for."""
    found: Headers = {}
    for header in raw:
        name, text = _named(header)
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


@lru_cache(maxsize=128)
def _named(header: Header) -> tuple[str, str]:
    name, value = header[0].decode("ascii").lower(), header[1]
    try:
        return name, value.decode()
    except UnicodeDecodeError:
        return name, value.decode("latin-1")
