"""What an emulator is told when it starts, and what it must be able to answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

SIZE = 800  # records of an account that is made without a word about it


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time in UTC epoch seconds, optionally running faster than the real one.

    `speed=60` makes an hour of the account's life pass in a real minute: quota windows, day
    resets and stamps all follow this clock.
    """

    speed: float = 1.0
    epoch: float = field(default_factory=time.time)
    read: Callable[[], float] = time.time

    def now(self) -> float:
        """Seconds since 1970 on this clock."""
        return self.epoch + (self.read() - self.epoch) * self.speed


@dataclass(frozen=True, slots=True)
class Options:
    """One emulator's settings, as given to `etl sandbox serve`."""

    name: str
    port: int = 0
    data: Path | None = None  # SQLite file that holds the account; None = forgotten at exit
    size: int | None = None  # records in all; None = what the file holds, or `SIZE`
    seed: int = 1
    plan: str = ""  # "" = the platform's default plan
    seats: int = 5
    latency_ms: int = 0
    faults: Mapping[str, float] = field(default_factory=dict)  # kind -> rate 0..1
    switches: Mapping[str, str] = field(
        default_factory=dict
    )  # behaviours the reference marks unknown
    key: str = ""  # "" = the platform's fixed default key
    clock: Clock = field(default_factory=Clock)


class Account(Protocol):
    """What the control routes under /__sandbox__/ ask of an emulator."""

    key: str

    def stats(self) -> dict[str, Any]:
        """Requests per operation, tokens spent, 429s sent, rows per resource."""

    def dump(self) -> Iterator[dict[str, Any]]:
        """Every live record as {"resource", "id", "record"}, in a stable order."""

    def reset(self) -> None:
        """Back to the state of a freshly seeded account; counters to zero."""
