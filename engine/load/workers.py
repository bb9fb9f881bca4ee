"""Threads that make calls: work goes in, and what became of it comes out as it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

import msgspec

# seconds of a call from which on another thread makes more of them: below, threads that hand the
# interpreter to each other cost more than they bring
WORTH_A_THREAD = 0.001

Work = TypeVar("Work")
Result = TypeVar("Result")


class Ended(msgspec.Struct, Generic[Work, Result], frozen=True):
    """A piece of work that has ended: with a result, or with the error that it was stopped by."""

    work: Work
    result: Result | None
    error: BaseException | None = None


class Workers(msgspec.Struct, Generic[Work, Result], frozen=True):
    """Work to be done, what has ended, and the threads: one at first, and at most so many."""

    perform: Callable[[Work], Result]
    room: int
    todo: SimpleQueue[Work | None]
    ended: SimpleQueue[Ended[Work, Result]]
    threads: list[threading.Thread] = []

    def wait(self, seconds: float) -> None:
        """Give calls time to end, and start another thread where few have while others wait."""
        time.sleep(seconds)
        enough = len(self.threads) * seconds / WORTH_A_THREAD
        is_slow = self.todo.qsize() > 0 and self.ended.qsize() < enough
        if is_slow and len(self.threads) < self.room:
            self.start()

    def take(self, into: list[Ended[Work, Result]], block: bool) -> None:
        """Add the next that has ended to a list; raises queue.Empty where there is none.

        One step of the interpreter: an interrupt between `get` and `append` would lose a call.
        """
        get = partial(self.ended.get, block)
        into.extend(islice(iter(get, None), 1))

    def start(self) -> None:
        """One more thread."""
        thread = threading.Thread(target=self._work, daemon=True)
        self.threads.append(thread)  # an interrupt may come while it starts
        thread.start()

    def _work(self) -> None:
        while (work := self.todo.get()) is not None:
            try:
                self.ended.put(Ended(work, self.perform(work)))
            except (
                BaseException
            ) as error:  # whoever handed it out has to see it
                self.ended.put(Ended(work, None, error))
        self.todo.put(None)  # for the other threads, however many have started


@contextmanager
def workers(
    perform: Callable[[Work], Result], room: int
) -> Iterator[Workers[Work, Result]]:
    """At most so many threads. At the end all that was handed to them is done before they stop.

    An executor of the standard library makes a future, a lock and a condition of every call, which
    takes longer than to write the call down.
    """
    crew: Workers[Work, Result] = Workers(
        perform, room, SimpleQueue(), SimpleQueue()
    )
    try:
        crew.start()
        yield crew
    finally:
        crew.todo.put(None)
        for thread in crew.threads:
            if thread.ident is not None:
                thread.join()
