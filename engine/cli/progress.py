"""Who listens to a run at the command line: progress bars, and what is waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.cli.waits import tell_wait
from engine.session import Log, quiet
from engine.session import Progress as Listener


@contextmanager
def listening(as_json: bool) -> Iterator[tuple[Listener, Log]]:
    """Progress bars on a terminal; where output is piped, long waits on stderr and no more."""
    if as_json or not sys.stderr.isatty():
        yield quiet, tell_wait
        return
    from engine.cli.bars import on_stderr  # not needed where nobody looks

    with on_stderr() as bars:
        yield bars.show, bars.hear
