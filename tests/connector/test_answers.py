"""An answer is taken up to a size and a time; what goes on for ever does not hold a run up."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine.errors import OutcomeUnknown, Unavailable

BOMB = gzip.compress(b'{"data": "' + b"x" * 5_000_000 + b'"}')


async def packed(_: Request) -> Response:
    return Response(BOMB, headers={"content-encoding": "gzip"}, media_type="application/json")


async def packed_twice(_: Request) -> Response:
    return Response(gzip.compress(BOMB), headers={"content-encoding": "gzip, gzip"}, media_type="application/json")


async def large(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    return StreamingResponse(parts(), media_type="application/json")


async def slow(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    return StreamingResponse(parts(), media_type="application/json")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (packed, "larger than 1,000,000 bytes"),
        (packed_twice, "packed in a way that was not asked for"),
        (large, "larger than 1,000,000 bytes"),
        (slow, "not whole after 0.3 s"),
    ],
)
def test_an_answer_without_an_end_is_given_up(bench: Any, endpoint: Any, said: str) -> None:
    """Too large, unpacked too large, or too slow in all: a read says which, a write is in doubt; neither takes long."""
    base = bench.serve([Route("/rows", endpoint, methods=["GET", "POST"]), Route("/rows/7", endpoint)])
    client = bench.client(base, answer_max_bytes=1_000_000, answer_seconds=0.3)
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=said):
        client.read("rows", "7")
    with pytest.raises(OutcomeUnknown, match=said):
        client.write("rows", "create", {"name": "x"})
    assert time.monotonic() - begun < 10


def test_a_packed_answer_is_read(bench: Any) -> None:
    """What fits is unpacked and read as ever."""

    async def endpoint(_: Request) -> Response:
        return Response(gzip.compress(b'{"id": 7}'), headers={"content-encoding": "gzip"}, media_type="application/json")

    assert bench.client(bench.serve([Route("/rows/7", endpoint)])).read("rows", "7") == {"id": 7}
