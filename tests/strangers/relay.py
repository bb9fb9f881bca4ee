"""Stands before a server, passes everything on, counts the writes, and can strike at a certain one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.proxy import Answer, proxy


@dataclass(slots=True)
class Relay:
    """What passes: `writes` so far, and what happens at the `due`-th from now on."""

    origin: str = ""
    writes: int = 0
    due: int = 0
    early: bool = False  # strike before the write is passed on; otherwise when it was answered and nobody knows
    strike: Callable[[], None] = lambda: None
    struck: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def aim(self, writes: int, early: bool, strike: Callable[[], None]) -> None:
        """Strike at so many writes from now."""
        with self.lock:
            self.due, self.early, self.strike = self.writes + writes, early, strike
            self.struck.clear()

    def count(self, write: bool) -> bool:
        """Count a request; whether it is the one to strike at. Nothing passes from then on until it is aimed anew."""
        with self.lock:
            self.writes += write
            return bool(write and self.due and self.writes == self.due)

    def hit(self) -> None:
        """Strike, once."""
        with self.lock:
            self.due = 0
        self.strike()
        self.struck.set()


@contextmanager
def relay(target: str, writes: Callable[[str, str], bool]) -> Iterator[Relay]:
    """A relay before a server while the block runs; `writes` says of a method and a path whether it changes anything."""
    found = Relay()

    def around(verb: str, path: str, forward: Callable[[], Answer]) -> Answer | None:
        due = found.count(writes(verb, path))
        answer = None if due and found.early else forward()
        if not due:
            return answer
        found.hit()
        return None

    with proxy(target, around) as found.origin:
        yield found
