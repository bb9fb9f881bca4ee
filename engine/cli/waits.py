"""What is said of a wait: who lets us wait, why, and for how long."""

from __future__ import annotations

from engine.cli.streams import write
from engine.report.screens import period
from engine.report.words import clean
from engine.session import Event

# seconds; where there is no terminal, shorter waits are not reported
LONG = 5.0


def tell_wait(event: Event) -> None:
    """One line for a wait that is long."""
    if event.kind == "wait begins" and event.seconds > LONG:
        write(waiting(event, event.seconds))


def waiting(event: Event, seconds: float) -> str:
    """A wait of which so many seconds are left."""
    why = (
        f'whose limit "{clean(event.text)}" is reached'
        if event.text
        else "which has asked for a pause"
    )
    return f"waiting {period(seconds)} for {clean(event.account)}, {why}"
