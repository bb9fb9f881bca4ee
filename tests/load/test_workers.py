"""How many threads make calls."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from queue import SimpleQueue

import pytest

from engine.load.workers import WORTH_A_THREAD, Ended, Workers, workers

BREATH = 0.01


@pytest.mark.parametrize("room", [1, 4])
def test_slow_calls_get_more_threads(room: int) -> None:
    """Calls that take long are made by as many threads as there is room for."""
    with workers(lambda _: time.sleep(0.05), room) as crew:
        for number in range(40):
            crew.todo.put(number)
        for _ in range(6):
            crew.wait(BREATH)
        assert len(crew.threads) == room


def test_quick_calls_are_made_by_one_thread() -> None:
    """Where many calls have ended meanwhile, though more wait, no thread is added."""
    with workers(lambda _: time.sleep(WORTH_A_THREAD / 10), 4) as crew:
        for number in range(20_000):
            crew.todo.put(number)
        while crew.ended.qsize() < 200:
            time.sleep(WORTH_A_THREAD)
        crew.wait(BREATH)
        assert len(crew.threads) == 1
        while not crew.todo.empty():
            crew.todo.get()


def test_nothing_to_do_starts_no_thread() -> None:
    """One slow call under way is no reason for another thread: it would have nothing to do."""
    with workers(lambda _: time.sleep(0.1), 4) as crew:
        crew.todo.put(1)
        while not crew.todo.empty():
            time.sleep(WORTH_A_THREAD)
        crew.wait(BREATH)
        assert len(crew.threads) == 1


def test_an_interrupt_loses_nothing_that_has_ended() -> None:
    """Whenever it comes: what was taken is in the list, and what was not is still there to be taken."""
    many, rounds = 400, 300
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for turn in range(rounds):
            crew: Workers[int, int] = Workers(abs, 1, SimpleQueue(), SimpleQueue())
            for number in range(many):
                crew.ended.put(Ended(number, number))
            taken: list[Ended[int, int]] = []
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + turn * 0.000001)
                while crew.ended.qsize():
                    crew.take(taken, False)
                time.sleep(0.01)
            assert [item.work for item in taken] == list(range(len(taken)))
            assert len(taken) + crew.ended.qsize() == many
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
