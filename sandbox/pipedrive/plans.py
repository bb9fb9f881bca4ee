"""What each subscription plan allows."""

from __future__ import annotations

from dataclasses import dataclass

DAILY_TOKENS = 30_000
SEARCH_BURST = 10
MOST_DEALS = 300_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of one plan."""

    name: str
    multiplier: int  # of the daily token budget
    burst: int  # requests per rolling two seconds and token
    custom_fields: int
    deals_per_seat: int
    visibility: tuple[int, ...]
    recurring: bool  # recurring product billing

    def daily_tokens(self, seats: int) -> int:
        """The company's budget for a day."""
        return DAILY_TOKENS * self.multiplier * seats

    def deals(self, seats: int) -> int:
        """How many deals the company may have."""
        return min(self.deals_per_seat * seats, MOST_DEALS)


_SMALL = (1, 3)
_GROUPS = (1, 3, 5, 7)
PLANS = {
    plan.name: plan
    for plan in (
        Plan("lite", 1, 20, 30, 2_500, _SMALL, recurring=False),
        Plan("growth", 2, 40, 100, 5_000, _SMALL, recurring=True),
        Plan("premium", 5, 100, 300, 15_000, _GROUPS, recurring=True),
        Plan("ultimate", 7, 120, 500, 20_000, _GROUPS, recurring=True),
    )
}


def plan_named(name: str) -> Plan:
    """The plan, growth when none is named; ValueError for an unknown one."""
    try:
        return PLANS[name or "growth"]
    except KeyError:
        raise ValueError(f"unknown plan {name!r}; known: {', '.join(PLANS)}") from None
