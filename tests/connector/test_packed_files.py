"""Files that a host sends packed although nobody asked for it, as object stores do with what was uploaded so."""

from __future__ import annotations

import gzip
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from engine.connector.auth import Signature
from engine.connector.door import Door
from engine.connector.downloads import FileSource
from engine.errors import RequestRejected
from tests.connector.test_door import server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
FIRST, SECOND = b"the first half, " * 100, b"and the second" * 100


def fetched(folder: Path, answer: bytes) -> bytes:
    """The file that comes of an answer."""
    door = Door(2.0, 1.0, 3.0, 2, ssl.create_default_context)
    with server(answer, end_after=(0,)) as host, httpx.Client(transport=door, trust_env=False) as http:
        base = f"http://127.0.0.1:{host.port}"
        connection: Any = SimpleNamespace(
            base_url=base, file_hosts=(f"127.0.0.1:{host.port}",), file_signed=False, file_max_bytes=1_000_000
        )
        FileSource(http, connection, base, lambda: Signature({}, {})).download(f"{base}/f", folder / "f", iter([None]))
    return (folder / "f").read_bytes()


def test_a_file_packed_in_two_members_is_whole(tmp_path: Path) -> None:
    """A gzip of several members is one file (RFC 1952): all of it arrives, or the file is refused."""
    packed = gzip.compress(FIRST) + gzip.compress(SECOND)
    assert fetched(tmp_path, HEAD + b"Content-Length: %d\r\n\r\n" % len(packed) + packed) == FIRST + SECOND


def test_a_packed_file_that_was_cut_is_no_file(tmp_path: Path) -> None:
    """A packed file without its end, on a connection that was simply closed, is a cut transfer and no file."""
    packed = gzip.compress(bytes(range(256)) * 40)
    with pytest.raises(RequestRejected):
        fetched(tmp_path, HEAD + b"\r\n" + packed[: len(packed) // 2])
