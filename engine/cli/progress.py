"""Who listens to a run at the command line: progress bars, and what is waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.waits import tell_wait
from engine.session import Log, quiet
from engine.session import Progress as Listener

if TYPE_CHECKING:
    from engine.cli.bars import Bars


@contextmanager
def listening(as_json: bool) -> Iterator[tuple[Listener, Log]]:
    """Progress bars on a terminal; where output is piped, long waits on stderr and no more."""
    if as_json or not sys.stderr.isatty():
        yield quiet, tell_wait
        return
    from engine.cli.bars import on_stderr  # not needed where nobody looks

    with on_stderr() as bars:
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


_shown: list[Bars] = []  # on the screen now
