"""When the next call may go out: all of an account's limits at once, remembered in the store.

Each limit's spending is booked in the store in slots of time, in one transaction with the check
whether it fits. So a restart, or a second process on the same account, continues the count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.connector.model import Limit
from engine.errors import Paused
from engine.store.quota import book, booked, forget_before
from engine.store.schema import Store

SLOTS = 100  # a rolling window is counted in hundredths: at most 1 % of it is given away
MARGIN = 0.02  # share of a rolling window added for calls that arrive closer together than they left
PATIENCE = 300.0  # seconds; a longer wait is a pause: the run ends and says when to go on


@dataclass(frozen=True, slots=True)
class Clock:
    """The only source of time: UTC epoch seconds, and waiting."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Pacer:
    """Keeps one account's calls within its limits."""

    store: Store
    account: str
    limits: tuple[Limit, ...]
    plan: str
    seats: int
    reserve: float = 0.0
    clock: Clock = field(default_factory=Clock)
    wait_for_day: bool = False
    waited: float = 0.0
    cost: float = 0.0
    calls: int = 0
    _told: dict[str, float] = field(default_factory=dict)  # allowances the platform's headers name
    _blocked_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, cost: float, extra: tuple[str, ...] = ()) -> None:
        """Wait until a call of this cost fits every limit, and book it.

        Raises Paused when the wait would be longer than a run should hang around.
        """
        while True:
            with self._lock:
                wait, limit = self._try(cost, extra)
            if wait <= 0:
                return
            if wait > PATIENCE and not self.wait_for_day:
                raise Paused(limit, self.clock.now() + wait)
            self.waited += wait
            self.clock.sleep(wait)

    def _try(self, cost: float, extra: tuple[str, ...]) -> tuple[float, str]:
        """Book the call and return 0, or the seconds to wait and the limit that says so."""
        now = self.clock.now()
        if now < self._blocked_until:
            return self._blocked_until - now, "burst"
        active = [limit for limit in self.limits if limit.general or limit.name in extra]
        with self.store.begin() as connection:
            waits = []
            for limit in active:
                spent = booked(connection, self.account, limit.name, self._first_slot(limit, now))
                waits.append((self._wait(limit, spent, self._amount(limit, cost), now), limit.name))
            longest = max(waits, default=(0.0, ""))
            if longest[0] > 0:
                return longest
            for limit in active:
                slot = self._slot(limit, now)
                book(connection, self.account, limit.name, slot, self._amount(limit, cost))
                if self.calls % 200 == 0:
                    forget_before(connection, self.account, limit.name, self._first_slot(limit, now) - SLOTS)
        self.calls += 1
        self.cost += cost
        return 0.0, ""

    def allowance(self, limit: Limit) -> float:
        """Units per window: what the platform's headers say, else the plan's; less the reserve."""
        told = self._told.get(limit.name)
        amount = told if told is not None else limit.allowance(self.plan, self.seats)
        return amount * (1 - self.reserve) if limit.window == "calendar" else amount

    def remaining(self, limit: Limit) -> float:
        """Units left in the window that is open now."""
        now = self.clock.now()
        with self.store.begin() as connection:
            spent = booked(connection, self.account, limit.name, self._first_slot(limit, now))
        return max(0.0, self.allowance(limit) - sum(amount for _, amount in spent))

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer: another allowance than declared, or spending that is not ours."""
        for limit in self.limits:
            told, left = (_number(headers.get(limit.headers.get(word, ""))) for word in ("limit", "remaining"))
            with self._lock:
                if told is not None and told > 0:
                    self._told[limit.name] = told
                if left is not None and told is not None:
                    self._correct(limit, told - left)

    def refused(self, limit_name: str, seconds: float) -> None:
        """The platform refused a call for its rate: nothing goes out for `seconds`."""
        limit = next((item for item in self.limits if item.name == limit_name), None)
        with self._lock:
            now = self.clock.now()
            if limit is not None and limit.window == "calendar":
                self._correct(limit, self.allowance(limit))
            self._blocked_until = max(self._blocked_until, now + seconds)

    def reset_time(self, limit: Limit) -> float:
        """When a calendar window ends, in epoch seconds."""
        now = self.clock.now()
        return (self._slot(limit, now) + 1) * limit.seconds

    def _correct(self, limit: Limit, used: float) -> None:
        now = self.clock.now()
        with self.store.begin() as connection:
            spent = booked(connection, self.account, limit.name, self._first_slot(limit, now))
            missing = used - sum(amount for _, amount in spent)
            if missing > 0:
                book(connection, self.account, limit.name, self._slot(limit, now), missing)

    @staticmethod
    def _amount(limit: Limit, cost: float) -> float:
        return cost if limit.unit == "cost" else 1.0

    @staticmethod
    def _slot(limit: Limit, now: float) -> int:
        return int(now // (limit.seconds if limit.window == "calendar" else limit.seconds / SLOTS))

    def _first_slot(self, limit: Limit, now: float) -> int:
        if limit.window == "calendar":
            return self._slot(limit, now)
        return int((now - limit.seconds * (1 + MARGIN)) // (limit.seconds / SLOTS))

    def _wait(self, limit: Limit, spent: list[tuple[int, float]], amount: float, now: float) -> float:
        """Seconds until `amount` more fits this limit."""
        allowance = self.allowance(limit)
        over = sum(units for _, units in spent) + amount - allowance
        if over <= 0 or amount > allowance and not spent:
            return 0.0
        if limit.window == "calendar":
            return self.reset_time(limit) - now
        width = limit.seconds / SLOTS
        for slot, units in spent:
            over -= units
            if over <= 0:
                return max(0.001, (slot + 1) * width + limit.seconds * (1 + MARGIN) - now)
        return limit.seconds


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
