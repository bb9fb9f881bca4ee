"""A document from an address: https, or http on this machine; no redirect is followed, and its size
is limited.
"""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path

import httpx

from engine.connector.urls import url_of
from engine.errors import UsageError
from workbench.openapi.names import one_line
from workbench.openapi.reading import LARGE, file

TIMEOUT = 30.0  # seconds without a byte ...
LONGEST = 120.0  # ... and for the whole document


def document(
    where: str, most: int = LARGE.bytes, longest: float = LONGEST
) -> bytes:
    """The bytes of a file or an address; raises UsageError with what to do next."""
    return (
        _fetched(where, most, longest) if "://" in where else file(Path(where))
    )


def _fetched(address: str, most: int, longest: float) -> bytes:
    url = _allowed(address)
    try:
        with (
            httpx.Client(
                timeout=TIMEOUT, follow_redirects=False, trust_env=True
            ) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.is_redirect:
                aim = one_line(answer.headers.get("location", "nowhere"), 100)
                raise UsageError(
                    f"{shown(url)} redirects to {aim}, which is not followed – give that"
                    " address if you trust it"
                )
            if answer.status_code != 200:
                raise UsageError(
                    f"{shown(url)} answers {answer.status_code} – check the address, or"
                    " save the document and name the file"
                )
            return _read(answer, url, most, longest)
    except httpx.HTTPError as error:
        raise UsageError(
            f"{shown(url)} cannot be reached: {one_line(error) or type(error).__name__} –"
            " check the address"
        ) from None


def _read(
    answer: httpx.Response, url: httpx.URL, most: int, longest: float
) -> bytes:
    found, until = bytearray(), time.monotonic() + longest
    for part in answer.iter_bytes():
        found += part
        if len(found) > most:
            raise UsageError(
                f"{shown(url)} holds more than {most:,} bytes – save what you need of"
                " it and name the file"
            )
        if time.monotonic() > until:
            raise UsageError(
                f"{shown(url)} takes longer than {longest:.0f} seconds – save the"
                " document and name the file"
            )
    return bytes(found)


def _allowed(address: str) -> httpx.URL:
    try:
        url = url_of(address)
    except ValueError as error:
        raise UsageError(
            f"{one_line(address, 100)!r} is not an address: {one_line(error)} –"
            " write it whole, with https://"
        ) from None
    if url.userinfo:
        raise UsageError(
            "the address holds a name or password – save the document and name the file"
        )
    if url.scheme != "https" and not (
        url.scheme == "http" and _is_here(url.host)
    ):
        raise UsageError(
            f"{shown(url)} is not https – only documents on this machine are read over http"
        )
    if not url.host:
        raise UsageError(
            f"{one_line(address, 100)!r} names no host – write the address whole, with https://"
        )
    return url


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def shown(url: httpx.URL) -> str:
    """An address as messages name it: without its query, which may hold a key."""
    return one_line(str(url.copy_with(query=None, fragment=None)), 120)
