"""Progress bars on a terminal: what is being done, what is finished, what is waited for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable

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

from engine.cli.waits import waiting
from engine.report.words import clean, counted
from engine.session import Event


def on_stderr() -> Bars:
    """Bars beside what a command prints."""
    return Bars(Console(stderr=True))


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
                yield _line(waiting(event, math.ceil(end - now)))

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


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
