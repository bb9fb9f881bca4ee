"""One call for each of many things, a few of them under way at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    call: Callable[[Item], Result], items: Iterable[Item], room: int
) -> Iterator[Result]:
    """What `call` returns for each item, in the items' order, with up to `room` calls under way
    at a time.

    Results are taken as the caller asks for them: no more than `room` wait for it. Raises what a
    call raises, when its turn comes; calls not yet begun are then dropped.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=room) as pool:
        try:
            for item in items:
                if len(waiting) == room:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(call, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
