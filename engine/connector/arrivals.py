"""How late calls may have arrived: what their answers show of it (docs/decisions/0035).

A platform counts a call when it arrives. One that was answered as quickly as any has arrived as
early as any; of one without an answer, and of those of other processes, nobody knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

# shares of a rolling window for which a call counts longer, as it may have arrived late: at
# most, and where its answer shows that it did not
MOST = 0.032
LEAST = 0.005
ANSWERS = 50  # after so many the quickest of them shows how long the way is
# slots, those that were booked last: a window has 400 for each limit
KEPT = 5_000

Place = tuple[str, int]  # limit and slot


class _Slot(msgspec.Struct):
    units: float = 0.0
    unanswered: int = 0
    slowest: float = 0.0  # seconds


class Arrivals(msgspec.Struct):
    """The calls of this process, by the slots of time in which they were booked."""

    slots: dict[Place, _Slot] = {}
    quickest: float = math.inf  # seconds from a booking to its answer
    answers: int = 0

    def booked(self, amounts: Iterable[tuple[str, int, float]]) -> None:
        """So much was added to (limit, slot)."""
        for name, slot, units in amounts:
            found = self.slots.pop((name, slot), None) or _Slot()
            found.units += units
            self.slots[name, slot] = found  # a day's is booked as late as any
        while len(self.slots) > KEPT:
            del self.slots[next(iter(self.slots))]

    def sent(self, places: Mapping[str, int]) -> None:
        """A call goes out that is booked in these slots."""
        for place in places.items():
            if slot := self.slots.get(place):
                slot.unanswered += 1

    def answered(self, places: Mapping[str, int], seconds: float) -> None:
        """Its answer came so many seconds after it was booked."""
        self.answers += 1
        self.quickest = min(self.quickest, seconds)
        for place in places.items():
            if slot := self.slots.get(place):
                slot.unanswered -= 1
                slot.slowest = max(slot.slowest, seconds)

    def margin(self, place: Place, units: float, window: float) -> float:
        """The seconds for which what a slot holds counts longer than its window."""
        slot = self.slots.get(place)
        if slot is None or slot.units != units or slot.unanswered:
            return window * MOST
        if self.answers <= ANSWERS:
            return window * MOST
        late = max(0.0, slot.slowest - self.quickest)
        return min(window * MOST, window * LEAST + late)
