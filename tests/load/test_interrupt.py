"""An interrupt that comes while outcomes are gathered, or a thread is started."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs

from engine.load import deliver as module
from engine.load.deliver import deliver
from engine.load.workers import workers
from tests.load.test_deliver import delivering, people


def test_an_interrupt_while_outcomes_are_gathered_ends_the_delivery(tmp_path: Path) -> None:
    """Ctrl-C in the tenth of a second in which ended calls are gathered ends the delivery instead of waiting for ever."""
    with delivering(tmp_path, concurrency=2) as table:
        ended = threading.Event()

        def deliver_all() -> None:
            with suppress(KeyboardInterrupt):
                list(deliver(table.run, people(200)))
            ended.set()

        plain, rung = module._Delivery.gather, []

        class Queue:
            """The queue of what has ended; Ctrl-C is pressed while a second outcome is waited for."""

            def __init__(self, queue: object) -> None:
                self.queue, self.gets = queue, 0

            def get(self, *words: object) -> object:
                self.gets += 1
                if self.gets == 2 and not rung:
                    rung.append(True)
                    raise KeyboardInterrupt
                return self.queue.get(*words)  # type: ignore[attr-defined]

            def __getattr__(self, name: str) -> object:
                return getattr(self.queue, name)

        def gather(delivery: object, calls: object, down_to: int) -> object:
            made = structs.replace(calls, ended=Queue(calls.ended))  # type: ignore[attr-defined,type-var]
            return plain(delivery, made, down_to)  # type: ignore[arg-type]

        module._Delivery.gather = gather  # type: ignore[method-assign,assignment]
        try:
            thread = threading.Thread(target=deliver_all, daemon=True)
            thread.start()
            assert ended.wait(20), "the delivery waits for calls that have ended already"
        finally:
            module._Delivery.gather = plain  # type: ignore[method-assign]


@pytest.mark.parametrize("after", [True, False], ids=["it runs already", "it does not run yet"])
def test_an_interrupt_while_a_thread_starts_ends_the_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Ctrl-C while the second thread of a delivery starts ends it, and no thread stays behind."""
    start, begun = threading.Thread.start, []

    def interrupted(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == 2 and not after:
            raise KeyboardInterrupt
        start(thread)
        if len(begun) == 2:
            raise KeyboardInterrupt

    with workers(lambda _: time.sleep(0.02), 4) as crew, suppress(KeyboardInterrupt):
        begun.append(crew.threads[0])
        for number in range(50):
            crew.todo.put(number)
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        for _ in range(10):
            crew.wait(0.01)
    assert len(begun) == 2
    assert not any(thread.is_alive() for thread in begun)
