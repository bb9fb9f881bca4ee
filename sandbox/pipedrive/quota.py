"""Daily tokens, burst windows and what happens to a client that ignores them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.pipedrive.moments import stamp
from sandbox.pipedrive.plans import SEARCH_BURST, Plan
from sandbox.pipedrive.store import Store
from sandbox.pipedrive.switches import Switches

WINDOW_S = 2.0
STORM_S = 10.0  # 429s this close together count as one storm; also how long the block lasts


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on."""

    allowed: bool
    blocked: bool = False  # by the front gate, with an HTML page
    retry_after: int = 0


class Quota:
    """Counts for one company; its API token is the only one."""

    def __init__(self, store: Store, plan: Plan, seats: int, switches: Switches) -> None:
        self._store = store
        self.plan = plan
        self.budget = plan.daily_tokens(seats)
        self._switches = switches
        self.restart()

    def restart(self) -> None:
        """Forget the windows; the daily count is the store's."""
        self._recent: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._ignored: deque[float] = deque()
        self._blocked_until = 0.0
        self.peak_burst = 0

    def is_write(self, verb: str) -> bool:
        """Whether fair use counts a request of this verb."""
        counted = {"POST", "PUT"}
        if self._switches.fair_use_patch == "on":
            counted.add("PATCH")
        return self._switches.fair_use != "off" and verb in counted

    def writes_left(self, now: float) -> int:
        """How many writes of this day are still fair use; days end at midnight UTC."""
        done = self._store.count(f"writes {_day(now)}", 0)
        return max(0, self._switches.fair_use_limit - done)

    def admit(self, now: float, verb: str, *, search: bool) -> Verdict:
        """Decide on a request that arrives now, and count it if it may go on."""
        if now < self._blocked_until:
            return Verdict(allowed=False, blocked=True)
        windows = [(self._recent, self.plan.burst)]
        if search:
            windows.append((self._searches, SEARCH_BURST))
        for times, most in windows:
            _forget(times, now - WINDOW_S)
            if len(times) >= most:
                return self._refuse(now, math.ceil(times[0] + WINDOW_S - now))
        if self.remaining(now) <= 0:
            # Seen on the real service: a small number even though midnight is far away.
            return self._refuse(now, 5)
        unfair = self._switches.fair_use == "refuse" and self.writes_left(now) <= 0
        if unfair and self.is_write(verb):
            return self._refuse(now, 5)
        for times, _ in windows:
            times.append(now)
        self.peak_burst = max(self.peak_burst, len(self._recent))
        self._ignored.clear()
        return Verdict(allowed=True)

    def _refuse(self, now: float, retry_after: int) -> Verdict:
        _forget(self._ignored, now - STORM_S)
        self._ignored.append(now)
        if len(self._ignored) > self._switches.storm:
            self._blocked_until = now + STORM_S
            self._ignored.clear()
            return Verdict(allowed=False, blocked=True)
        return Verdict(allowed=False, retry_after=max(1, retry_after))

    def charge(self, now: float, verb: str, operation: str, tokens: int) -> None:
        """Write a request down; inside the request's own transaction."""
        if self.is_write(verb):
            self._store.count(f"writes {_day(now)}", 1)
        self._store.db.execute(
            "INSERT INTO spent VALUES (?, ?, 1, ?) ON CONFLICT (day, operation)"
            " DO UPDATE SET requests=requests+1, tokens=tokens+?",
            (_day(now), operation, tokens, tokens),
        )
        self._store.count(f"tokens {_day(now)}", tokens)

    def spent(self, now: float) -> int:
        """Tokens of the day that `now` is in; days end at midnight UTC."""
        return self._store.count(f"tokens {_day(now)}", 0)

    def remaining(self, now: float) -> int:
        """Tokens left today."""
        return max(0, self.budget - self.spent(now))

    def headers(self, now: float) -> Mapping[str, str]:
        """What every answer says about the limits."""
        _forget(self._recent, now - WINDOW_S)
        oldest = self._recent[0] if self._recent else now
        return {
            "x-ratelimit-limit": str(self.plan.burst),
            "x-ratelimit-remaining": str(max(0, self.plan.burst - len(self._recent))),
            "x-ratelimit-reset": str(max(1, math.ceil(oldest + WINDOW_S - now))),
            "x-daily-ratelimit-token-limit": str(self.budget),
            "x-daily-ratelimit-token-remaining": str(self.remaining(now)),
        }


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


def _day(now: float) -> str:
    return stamp(int(now))[:10]
