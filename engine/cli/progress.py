"""Who listens to a run at the command line: progress bars, and what is waited for."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from engine.cli.streams import write
from engine.report.screens import period
from engine.report.words import clean, counted
from engine.session import Event, Log, quiet
from engine.session import Progress as Listener

LONG = 5.0  # seconds; where there is no terminal, shorter waits are not told


@contextmanager
def listening(as_json: bool) -> Iterator[tuple[Listener, Log]]:
    """Progress bars on a terminal; where output is piped, long waits on stderr and no more."""
    if as_json or not sys.stderr.isatty():
        yield quiet, tell_wait
        return
    with Bars(Console(stderr=True)) as bars:
        _shown.append(bars)
        try:
            yield bars.show, bars.hear
        finally:
            _shown.remove(bars)


@contextmanager
def hidden() -> Iterator[None]:
    """Nothing is drawn meanwhile: people are asked something."""
    for bars in _shown:
        bars.stop()
    try:
        yield
    finally:
        for bars in _shown:
            bars.start()


def tell_wait(event: Event) -> None:
    """One line for a wait that is long."""
    if event.kind == "wait begins" and event.seconds > LONG:
        write(_waiting(event, event.seconds))


def _waiting(event: Event, seconds: float) -> str:
    """Who lets us wait, why, and for how long."""
    why = (
        f'whose limit "{clean(event.text)}" is reached'
        if event.text
        else "which has asked for a pause"
    )
    return f"waiting {period(seconds)} for {clean(event.account)}, {why}"


class Bars(Progress):
    """What is being done, a bar each; one line for all that is finished, and one for each wait."""

    def __init__(self, console: Console) -> None:
        # not the lock of what is drawn: adding a bar draws
        self._turn = threading.Lock()
        self._bars: dict[str, TaskID] = {}
        self._finished: dict[str, None] = {}  # labels, the last one last
        # account and limit -> the wait, and when it ends
        self._waits: dict[tuple[str, str], tuple[Event, float]] = {}
        super().__init__(
            TextColumn("{task.description:<48}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def show(self, label: str, done: int, total: int | None) -> None:
        """So much of something is done."""
        with self._turn:
            if label not in self._bars:
                self._end_uncounted()
                self._bars[label] = self.add_task(clean(label), total=total)
            self.update(self._bars[label], completed=done, total=total)
            if total is not None and done >= total:
                self._end(label)

    def hear(self, event: Event) -> None:
        """A stage that ends takes its bars with it; a wait is shown as long as it lasts."""
        with self._turn:
            if event.kind == "stage ends":
                for label in list(self._bars):
                    self._end(label)
            if event.kind == "wait begins":
                end = time.monotonic() + event.seconds
                self._waits[event.account, event.text] = event, end

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines that are drawn anew several times a second."""
        finished = list(self._finished)  # copies: others write meanwhile
        if finished:
            many = counted(len(finished), "step")
            yield _line(f"{many} finished, the last: {clean(finished[-1])}")
        yield self.make_tasks_table(self.tasks)
        now = time.monotonic()
        for event, end in list(self._waits.values()):
            if end > now:
                yield _line(_waiting(event, math.ceil(end - now)))

    def _end(self, label: str) -> None:
        self.remove_task(self._bars.pop(label))
        self._finished.pop(label, None)
        self._finished[label] = None

    def _end_uncounted(self) -> None:
        """What has no total never says that it is finished: what begins after it does."""
        has_total = {task.id: task.total is not None for task in self.tasks}
        for label, bar in list(self._bars.items()):
            if not has_total[bar]:
                self._end(label)


_shown: list[Bars] = []  # on the screen now


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
