"""Calls a key may make: so many a minute, so many a day, shared by every program that uses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.options import Clock
from sandbox.stel_order.errors import DAY_USED_UP, MINUTE_USED_UP, Refusal
from sandbox.stel_order.overlay import Overlay

PER_MINUTE = 60
PER_DAY: Mapping[str, int] = MappingProxyType(
    {"lite": 300, "business": 1_000, "pro": 2_000, "unlimited": 0}
)
DEFAULT_PLAN = "business"


class Quota:
    """The budget of one key on one plan."""

    def __init__(
        self, plan: str, clock: Clock, overlay: Overlay, switches: Mapping[str, str]
    ) -> None:
        self.plan = plan.lower() or DEFAULT_PLAN
        if self.plan not in PER_DAY:
            raise ValueError(f"stel_order has no plan {plan!r}; it has: {', '.join(PER_DAY)}")
        self._clock = clock
        self._overlay = overlay
        self._switches = switches
        self._zone = UTC if switches["day_zone"] == "UTC" else ZoneInfo(switches["day_zone"])
        self._calls: deque[float] = deque()

    def spend(self) -> None:
        """Count one call, or refuse it."""
        if self.plan == "unlimited":
            return
        now = self._clock.now()
        self._forget_old(now)
        if self._overlay.count(self._day(now)) >= PER_DAY[self.plan]:
            self._refuse(DAY_USED_UP, now, self._until_tomorrow(now))
        if len(self._calls) >= PER_MINUTE:
            self._refuse(MINUTE_USED_UP, now, self._until_free(now))
        self._count(now)

    def refusal(self) -> Refusal:
        """A refusal for the minute, whatever was spent: for faults made on purpose."""
        return self._refusal(MINUTE_USED_UP, 60)

    def figures(self) -> dict[str, Any]:
        """What is spent of what."""
        now = self._clock.now()
        self._forget_old(now)
        limited = self.plan != "unlimited"
        return {
            "plan": self.plan,
            "minute": len(self._calls),
            "per_minute": PER_MINUTE if limited else None,
            "day": self._overlay.count(self._day(now)),
            "per_day": PER_DAY[self.plan] if limited else None,
        }

    def reset(self) -> None:
        """Forget the minute; the day's count lies in the overlay."""
        self._calls.clear()

    def _count(self, now: float) -> None:
        self._calls.append(now)
        self._overlay.add(self._day(now))

    def _forget_old(self, now: float) -> None:
        first = now // 60 * 60 if self._switches["minute_window"] == "fixed" else now - 60
        while self._calls and self._calls[0] < first:
            self._calls.popleft()

    def _day(self, now: float) -> str:
        return f"day {datetime.fromtimestamp(now, self._zone):%Y-%m-%d}"

    def _until_free(self, now: float) -> float:
        return (
            60 - now % 60
            if self._switches["minute_window"] == "fixed"
            else self._calls[0] + 60 - now
        )

    def _until_tomorrow(self, now: float) -> float:
        local = datetime.fromtimestamp(now, self._zone)
        return 86_400 - (local.hour * 3_600 + local.minute * 60 + local.second)

    def _refuse(self, code: str, now: float, wait: float) -> None:
        if self._switches["count_refused"] == "on":
            self._count(now)
        raise self._refusal(code, wait)

    def _refusal(self, code: str, wait: float) -> Refusal:
        headers = (
            {"Retry-After": str(int(wait) + 1)} if self._switches["retry_after"] == "on" else {}
        )
        return Refusal(429, code, headers=headers)
