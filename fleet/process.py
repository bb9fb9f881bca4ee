"""The process of a turn, as its worker has it: an order goes in, lines of JSON come out."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from fleet.ending import CRASHED, INTERRUPTED
from fleet.waits import ENDS, LOOKS

GO = b"go\n"
WORD = b"\n"  # of a worker that is there
LONGEST = 1 << 22  # bytes of a line
REASON = 2000  # characters

T = TypeVar("T")
Said = Mapping[str, Any]
# what a turn says; what speaks against it
Hear = Callable[[Said], Awaitable[str]]
# of a look at a turn; `is lost` is one that was taken for dead
Found = Literal["goes on", "is over", "is lost", "unknown"]


def plain(text: str) -> str:
    """A text that a database takes, and that does nothing to a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)[
        :REASON
    ]


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What work comes to that is not given up, though this is cancelled: the worker stops, or
    somebody has stopped the migration; both may happen.
    """
    ending = asyncio.create_task(work)
    while not ending.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(ending)
    return ending.result()


@dataclass(frozen=True, slots=True)
class Turn:
    """A process that goes on, and the task that listens to it."""

    process: asyncio.subprocess.Process
    listening: asyncio.Task[Said]

    async def ended(self, look: Callable[[], Awaitable[Found]]) -> Said:
        """How it ended; it is interrupted where it has to end, or where this is cancelled.

        No process is left then.
        """
        try:
            return await self._watched(look)
        except asyncio.CancelledError:
            return await to_its_end(self._interrupted())
        finally:
            assert self.process.stdin is not None
            self.process.stdin.close()
            with suppress(ProcessLookupError):
                self.process.kill()

    async def _watched(self, look: Callable[[], Awaitable[Found]]) -> Said:
        """Its end. It hears of the worker only where a look has shown that it is to go on: one
        that is cut off from the database, or frozen, does not keep it alive.
        """
        assert self.process.stdin is not None
        while not (await asyncio.wait({self.listening}, timeout=LOOKS))[0]:
            found = await look()
            if found in ("is over", "is lost"):
                return await self._interrupted(found == "is lost")
            if found == "goes on":
                self.process.stdin.write(WORD)
        return _told(self.listening.result(), self.process.returncode)

    async def _interrupted(self, lost: bool = False) -> Said:
        """Ask for the end, and wait until calls in flight are recorded.

        A turn that hears nothing meanwhile would interrupt itself once more, and leave them.
        """
        assert self.process.stdin is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        end = time.monotonic() + ENDS
        while (left := end - time.monotonic()) > 0:
            wait = min(LOOKS, left)
            if (await asyncio.wait({self.listening}, timeout=wait))[0]:
                return self.listening.result() or {"code": INTERRUPTED}
            if not lost:
                self.process.stdin.write(WORD)
        with suppress(ProcessLookupError):
            self.process.kill()
        self.listening.cancel()
        return {"code": INTERRUPTED}


def _told(found: Said, status: int | None) -> Said:
    if found:
        return found
    how = f"code {status}"
    if status is not None and status < 0:
        how = f"signal {-status}"
    return {
        "code": CRASHED,
        "reason": f"its process ended with {how}, and said nothing",
    }


async def started(
    order: Said, place: Path, env: Mapping[str, str], hear: Hear
) -> Turn:
    """A turn in a process of its own; it ends when this one does, however that is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.turn"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=place,
        env=dict(env),
        start_new_session=True,  # a signal to the worker alone is passed on by it
        limit=LONGEST,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    return Turn(process, asyncio.create_task(_listen(process, hear)))


async def _listen(process: asyncio.subprocess.Process, hear: Hear) -> Said:
    """Pass on what a turn says of itself; how it ended, {} where it did not say."""
    assert process.stdout is not None
    assert process.stdin is not None
    ended: Said = {}
    async for line in process.stdout:
        said = _read(line)
        ended = said.get("ended", ended)
        against = await hear(said)
        if "accounts" in said:
            with suppress(ConnectionError):
                process.stdin.write(b"no\n" if against else GO)
    await process.wait()
    return ended


def _read(line: bytes) -> dict[str, Any]:
    """A line as an object; {} where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
