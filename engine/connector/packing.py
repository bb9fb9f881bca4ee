"""Unpacking what travels packed: every member of it, and nothing that was cut short."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

GZIP = ("gzip", "x-gzip")
DEFLATE = "deflate"
PLAIN = ("identity", "")
# one of them, once: several inflate without bounds
CODINGS = (*PLAIN, *GZIP, DEFLATE)
_AT_ONCE = 65_536  # bytes unpacked at a time, so that a small text cannot fill the memory


def unpacked(parts: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """A body as it was before it was packed, part by part.

    A gzip may have several members, one after the other (RFC 1952, 2.2). Raises DecodingError for
    what is no such text, or ends before its end.
    """
    if coding in PLAIN:
        yield from parts
        return
    if coding not in CODINGS:
        raise httpx.DecodingError(
            "it is packed in a way that was not asked for"
        )

    stream: Any = None
    for part in parts:
        left = part
        while left:
            stream = stream or _begun(coding, left)
            try:
                yield stream.decompress(left, _AT_ONCE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from None
            left = stream.unconsumed_tail
            if stream.eof:  # what follows is another member, or padding
                left, stream = stream.unused_data.lstrip(b"\0"), None
    if stream is not None:
        yield stream.flush()
        if not stream.eof:
            raise httpx.DecodingError("it ends before its end")


def _begun(coding: str, first: bytes) -> Any:
    if coding in GZIP:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    # "deflate" is a zlib text, but some servers send one without its frame (RFC 9110, 8.4.1.2)
    is_framed = first[0] & 0x0F == zlib.DEFLATED and (
        len(first) < 2 or int.from_bytes(first[:2]) % 31 == 0
    )
    return zlib.decompressobj(zlib.MAX_WBITS if is_framed else -zlib.MAX_WBITS)
