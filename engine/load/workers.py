"""Threads that make calls: work goes in, and what became of it comes out as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar

import msgspec

Work = TypeVar("Work")
Result = TypeVar("Result")


class Ended(msgspec.Struct, Generic[Work, Result], frozen=True):
    """A piece of work that has ended: with a result, or with the error that it was stopped by."""

    work: Work
    result: Result | None
    error: BaseException | None = None


class Workers(msgspec.Struct, Generic[Work, Result], frozen=True):
    """Work to be done, and what has ended."""

    todo: SimpleQueue[Work | None]
    ended: SimpleQueue[Ended[Work, Result]]


@contextmanager
def workers(
    perform: Callable[[Work], Result], room: int
) -> Iterator[Workers[Work, Result]]:
    """So many threads. At the end all that was handed to them is done before they stop.

    An executor of the standard library makes a future, a lock and a condition of every call, which
    takes longer than to write the call down.
    """
    crew: Workers[Work, Result] = Workers(SimpleQueue(), SimpleQueue())
    threads = [
        threading.Thread(target=_work, args=(perform, crew), daemon=True)
        for _ in range(room)
    ]
    try:
        for thread in threads:
            thread.start()
        yield crew
    finally:
        started = [thread for thread in threads if thread.ident is not None]
        for _ in started:
            crew.todo.put(None)
        for thread in started:
            thread.join()


def _work(
    perform: Callable[[Work], Result], crew: Workers[Work, Result]
) -> None:
    while (work := crew.todo.get()) is not None:
        try:
            crew.ended.put(Ended(work, perform(work)))
        except BaseException as error:  # whoever handed it out has to see it
            crew.ended.put(Ended(work, None, error))
