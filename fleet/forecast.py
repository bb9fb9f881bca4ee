"""What all plans together come to: for each limit, and for each day."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Use:
    """What a migration needs of one limit of an account."""

    name: str
    account: str
    limit: str
    unit: str
    needed: float
    days: int  # until it is done, by this limit alone; 0 where the limit is no day's


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a fleet needs: calls, each limit's use, and how many migrations go on on each day."""

    calls: int
    uses: tuple[Use, ...]
    days: tuple[
        tuple[int, float], ...
    ]  # migrations that write, and their calls, day by day


def added_up(plans: Mapping[str, Mapping[str, Any]]) -> Forecast:
    """Add up the plans of migrations, by name, as `etl fleet start NAME plan` left them."""
    uses = [use for name, plan in plans.items() for use in _uses(name, plan)]
    calls = sum(int(plan["calls"]) for plan in plans.values())
    return Forecast(calls, tuple(uses), tuple(_days(plans, uses)))


def _uses(name: str, plan: Mapping[str, Any]) -> list[Use]:
    return [
        Use(
            name,
            limit["account"],
            limit["limit"],
            limit["unit"],
            limit["needed"],
            _days_of(limit),
        )
        for limit in plan["limits"]
    ]


def _days_of(limit: Mapping[str, Any]) -> int:
    """How many days a limit alone makes it take."""
    if limit["seconds"] < DAY or not limit["allowance"]:
        return 0
    times = float(limit["needed"]) / float(limit["allowance"])
    return math.ceil(times * float(limit["seconds"]) / DAY)


def _days(
    plans: Mapping[str, Mapping[str, Any]], uses: Sequence[Use]
) -> list[tuple[int, float]]:
    """Each migration's calls spread evenly over its days."""
    length = {
        name: max(1, math.ceil(plan["seconds"] / DAY))
        for name, plan in plans.items()
    }
    for use in uses:
        length[use.name] = max(length[use.name], use.days)

    found = []
    for day in range(max(length.values(), default=0)):
        going = [name for name, days in length.items() if day < days]
        found.append(
            (
                len(going),
                sum(plans[name]["calls"] / length[name] for name in going),
            )
        )
    return found
