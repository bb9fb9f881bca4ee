"""Wraps an emulator and spoils a share of its answers, the same share in every run of a seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line names faults without a web server
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

KINDS = (
    "429",
    "500",
    "timeout-after-write",
    "cut-connection",
    "html-403",
    "garbage-json",
    "slow",
)

# How long an unanswered request is held before its socket is closed.
HOLD_S = 30.0

# kind -> what the platform itself would send; the emulator may supply this as app.state.refusal.
Refusal = Callable[[str], tuple[int, Mapping[str, str], bytes]]

_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Access denied</title></head><body>"
    b"<h1>Error 1020</h1><p>This request was blocked by the security service.</p></body></html>"
)


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance decided for one request. Three numbers are drawn each time, so that changing
    one rate does not shift what the following requests get."""

    kind: str  # "" = answer honestly
    late: bool  # spoil after the request took effect, not before
    delay: float  # 0..1


class Faults:
    """ASGI wrapper. `rates` may be replaced while the server runs."""

    def __init__(
        self, app: ASGIApp, rates: Mapping[str, float], seed: int, refusal: Refusal | None = None
    ) -> None:
        self.app = app
        self.rates: dict[str, float] = {}
        self.sent: Counter[str] = Counter()
        self._seed = seed
        self._refusal = refusal or plain_refusal
        self.replace(rates)

    def replace(self, rates: Mapping[str, float]) -> None:
        """Use these rates from the next request on, drawing from the start of the sequence."""
        check_rates(rates)
        self.rates = dict(rates)
        self.restart()

    def restart(self) -> None:
        """Draw the seed's sequence from its beginning."""
        self._chance = random.Random(f"faults:{self._seed}")
        self.sent.clear()

    def draw(self) -> Draw:
        """Decide the fate of the next request."""
        roll, late, delay = (self._chance.random() for _ in range(3))
        for kind in KINDS:
            roll -= self.rates.get(kind, 0.0)
            if roll < 0:
                return Draw(kind, late < 0.5, delay)
        return Draw("", late < 0.5, delay)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.rates:
            await self.app(scope, receive, send)
            return
        fate = self.draw()
        if not fate.kind:
            await self.app(scope, receive, send)
            return
        self.sent[fate.kind] += 1
        await self._spoil(fate, scope, receive, send)

    async def _spoil(self, fate: Draw, scope: Scope, receive: Receive, send: Send) -> None:
        if fate.kind == "slow":
            await asyncio.sleep(1.0 + 2.0 * fate.delay)
            await self.app(scope, receive, send)
        elif fate.kind == "html-403":
            await _answer(send, 403, {"content-type": "text/html; charset=UTF-8"}, _PAGE)
        elif fate.kind == "429":
            await _answer(send, *self._refusal("429"))
        elif fate.kind == "500":
            if fate.late:
                await self._perform(scope, receive)
            await _answer(send, *self._refusal("500"))
        elif fate.kind == "garbage-json":
            body = await self._perform(scope, receive)
            # Half of a JSON document is never one: the closing brace is missing.
            spoiled = body[: len(body) // 2] or b'{"success": tr'
            await _answer(send, 200, {"content-type": "application/json"}, spoiled)
        elif fate.kind == "timeout-after-write":
            await self._perform(scope, receive)
            await _hold(receive)
            await _cut(receive, send, silent=True)
        else:
            if fate.late:
                await self._perform(scope, receive)
            await _cut(receive, send, silent=fate.delay < 0.5)

    async def _perform(self, scope: Scope, receive: Receive) -> bytes:
        """Let the request take effect; what would have been answered is returned, not sent."""
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return b"".join(parts)


def check_rates(rates: Mapping[str, float]) -> None:
    """Raise ValueError unless these are known kinds with rates that leave room for each other."""
    for kind, rate in rates.items():
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(KINDS)}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"the rate of {kind} must be a number between 0 and 1, not {rate!r}")
    if sum(rates.values()) > 1:
        raise ValueError("the rates add up to more than 1")


def plain_refusal(kind: str) -> tuple[int, Mapping[str, str], bytes]:
    """What is sent for platforms that do not say how they refuse."""
    status = int(kind)
    body = {"error": "Too many requests" if status == 429 else "Internal server error"}
    headers = {"content-type": "application/json"}
    if status == 429:
        headers["retry-after"] = "1"
    return status, headers, json.dumps(body).encode()


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    pairs = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    pairs = [pair for pair in pairs if pair[0] != b"content-length"]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _hold(receive: Receive) -> None:
    """Wait until the client goes away or the time is up."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), HOLD_S)
    except TimeoutError:
        pass


async def _cut(receive: Receive, send: Send, *, silent: bool) -> None:
    """Close the socket with no answer at all, or in the middle of one."""
    # ASGI has no word for "close the socket": the server's transport is reached through the
    # object that owns `receive`. Where that fails, an answer that breaks off does the same job.
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None or not silent:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"succ', "more_body": True})
    if transport is not None:
        if silent:
            transport.abort()
        else:
            transport.close()
        await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    """Let the server notice that the socket is closed, so that it does not try to answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
