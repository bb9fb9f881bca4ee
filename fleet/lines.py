"""What libraries say of a database that is away, as single lines of the worker's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from procrastinate.exceptions import ConnectorException

LOGGERS = ("psycopg.pool", "procrastinate", "asyncio")
SELDOM = 10.0  # seconds until the same is said again


class Lines(logging.Handler):
    """Says what a library warns of, without its traceback, and the same now and then only."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Say it with the kind of error alone: what an error says may be long, and hold a value."""
        raised = record.exc_info[0] if record.exc_info else None
        what = f"{record.name}: {record.getMessage().strip()}".splitlines()[0]
        line = f"{what} ({raised.__name__})" if raised else what
        now = time.monotonic()
        self._said = {
            text: at for text, at in self._said.items() if now - at < SELDOM
        }
        if line not in self._said:
            self._said[line] = now
            self._tell(line)


def speak_in_lines(tell: Callable[[str], None]) -> None:
    """Pass on warnings of the queue and of its connections."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [Lines(tell)]
        logger.propagate = False


def leave_out_ends() -> None:
    """Say no more that a connection of the queue has ended: who stops ends them all."""
    for name in LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_is_no_end)


def _is_no_end(record: logging.LogRecord) -> bool:
    raised = record.exc_info[0] if record.exc_info else None
    return raised is None or not issubclass(raised, ConnectorException)
