"""What happens in a run, as records of the logger `etl`."""

from __future__ import annotations

import logging

from engine.session import Event, Log

LOGGER = logging.getLogger("etl")
LOGGER.addHandler(logging.NullHandler())  # only who asks for records gets them


def to_logger(also: Log) -> Log:
    """The listener, and the logger before it: its records have `run`, `object` and `key`."""

    def log(event: Event) -> None:
        level = (
            logging.WARNING if event.kind == "record fails" else logging.INFO
        )
        named = {"run": event.run, "object": event.object, "key": event.key}
        about = event.text or event.key
        LOGGER.log(
            level, "run %d: %s: %s", event.run, event.kind, about, extra=named
        )
        also(event)

    return log
