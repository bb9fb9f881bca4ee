"""What a test may ask of a running emulator under /__sandbox__/; no client of the platform does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sandbox.faults import Faults
from sandbox.options import Account

PREFIX = "/__sandbox__/"


@dataclass(slots=True)
class Offset:
    """Seconds by which the emulator's clock was moved forward by hand."""

    seconds: float = 0.0


def control(
    account: Account, faults: Faults, offset: Offset, now: Callable[[], float]
) -> Starlette:
    """The application behind /__sandbox__/."""

    async def stats(_: Request) -> Response:
        return JSONResponse({**account.stats(), "faults": dict(faults.sent)})

    async def dump(_: Request) -> Response:
        return StreamingResponse(_lines(account), media_type="application/x-ndjson")

    async def reset(_: Request) -> Response:
        account.reset()
        faults.restart()
        return JSONResponse({"reset": True})

    async def rates(request: Request) -> Response:
        try:
            faults.replace(json.loads(await request.body()))
        except (ValueError, AttributeError, TypeError) as problem:
            return JSONResponse({"error": str(problem)}, status_code=400)
        return JSONResponse(faults.rates)

    async def clock(request: Request) -> Response:
        try:
            step = float(json.loads(await request.body())["advance"])
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": 'send {"advance": seconds}'}, status_code=400)
        offset.seconds += step
        return JSONResponse({"now": now()})

    return Starlette(
        routes=[
            Route(PREFIX + "stats", stats),
            Route(PREFIX + "dump", dump),
            Route(PREFIX + "reset", reset, methods=["POST"]),
            Route(PREFIX + "faults", rates, methods=["POST"]),
            Route(PREFIX + "clock", clock, methods=["POST"]),
        ]
    )


async def _lines(account: Account) -> AsyncIterator[bytes]:
    """The dump as JSON lines, in chunks: one send per record would be slow at a million rows."""
    chunk: list[bytes] = []
    for entry in account.dump():
        chunk.append(json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n")
        if len(chunk) >= 200:
            yield b"".join(chunk)
            chunk = []
    yield b"".join(chunk)
