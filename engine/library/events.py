"""What happens in a run, as records of the logger `etl`."""

from __future__ import annotations

import logging

from msgspec import structs

from engine.connector.messages import ABOUT, Call
from engine.session import Event, Log, Run

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


def calls_to_logger(run: Run) -> None:
    """From now on, each call of a run is a record of the logger too, at level DEBUG.

    It has `run`, `account`, `method`, `path`, `status`, `seconds`, `cost` and `error`, and the
    `object` and `key` of the record that is written. Nothing is set up where nobody listens.
    """

    def log(call: Call) -> None:
        name, key = ABOUT.get()
        parts = structs.asdict(call) | {
            "run": run.id,
            "object": name,
            "key": key,
        }
        LOGGER.debug(
            "run %d: %s %s %s: %s in %.3f s",
            run.id,
            call.account,
            call.method,
            call.path,
            call.status or call.error,
            call.seconds,
            extra=parts,
        )

    if LOGGER.isEnabledFor(logging.DEBUG):
        run.source.calls.on_call = run.destination.calls.on_call = log
