"""How the process of a turn is ended: once, and with time for its calls in flight."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from fleet import process

# a turn with calls in flight for three seconds, whose worker is silent to it for no longer than one
SLOW = """
import json, signal, threading, time
from fleet import turn

turn.SILENCE, heard = 1.0, []
signal.signal(signal.SIGINT, lambda *_: heard.append(time.monotonic()))
threading.Thread(target=turn._until_the_worker_ends, args=(turn.listening(),), daemon=True).start()
print(json.dumps({"ready": True}), flush=True)
while not heard or time.monotonic() < heard[0] + 3:
    time.sleep(0.05)
print(json.dumps({"ended": {"code": 130, "interrupts": len(heard)}}), flush=True)
"""


@pytest.mark.parametrize(("lost", "interrupts"), [(False, 1), (True, 2)], ids=["its worker waits", "it was taken for dead"])
def test_a_turn_that_ends_is_interrupted_once(lost: bool, interrupts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its worker waits for its calls in flight it says so: only a turn that was taken for dead hears nothing, and gives them up."""
    monkeypatch.setattr(process, "LOOKS", 0.2)
    ready = asyncio.Event()
    found: process.Found = "is lost" if lost else "is over"

    async def hear(said: process.Said) -> str:
        if "ready" in said:
            ready.set()
        return ""

    async def look() -> process.Found:
        return found if ready.is_set() else "goes on"

    async def ended() -> process.Said:
        pipe = subprocess.PIPE
        slow = await asyncio.create_subprocess_exec(sys.executable, "-c", SLOW, stdin=pipe, stdout=pipe)
        return await process.Turn(slow, asyncio.create_task(process._listen(slow, hear))).ended(look)

    assert asyncio.run(ended()) == {"code": 130, "interrupts": interrupts}


def test_a_turn_that_is_cancelled_twice_is_interrupted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody stops the migration while its worker stops: its calls in flight are waited for all the same, and no process is left."""
    monkeypatch.setattr(process, "LOOKS", 0.2)

    async def ended() -> tuple[process.Said, int | None]:
        ready = asyncio.Event()

        async def hear(said: process.Said) -> str:
            ready.set()
            return ""

        async def look() -> process.Found:
            return "goes on"

        pipe = subprocess.PIPE
        slow = await asyncio.create_subprocess_exec(sys.executable, "-c", SLOW, stdin=pipe, stdout=pipe)
        ending = asyncio.create_task(process.Turn(slow, asyncio.create_task(process._listen(slow, hear))).ended(look))
        await ready.wait()
        for _ in range(3):
            ending.cancel()
            await asyncio.sleep(0.3)
        return await ending, slow.returncode

    assert asyncio.run(ended()) == ({"code": 130, "interrupts": 1}, 0)
