"""What all plans together come to: for each limit of an account, and for each day."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAY = 86_400.0
Plans = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Use:
    """What migrations need of one limit of an account."""

    names: tuple[str, ...]
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
    # migrations that write, and their calls, day by day
    days: tuple[tuple[int, float], ...]


def added_up(plans: Plans) -> Forecast:
    """Add up the plans of migrations, by name, as `etl fleet start NAME plan` left them.

    Migrations of one account come one after the other, as workers let them, by name; others go on
    side by side.
    """
    calls = sum(int(plan["calls"]) for plan in plans.values())
    return Forecast(calls, tuple(_uses(plans)), tuple(_by_day(plans)))


def _uses(plans: Plans) -> list[Use]:
    """The limits of each account, whichever migrations need them."""
    found: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for name, plan in plans.items():
        for limit in plan["limits"]:
            account = _account(name, plan, limit["account"])
            found.setdefault((account, limit["limit"]), []).append(
                (name, limit)
            )
    return [_use(needs) for needs in found.values()]


def _account(name: str, plan: Mapping[str, Any], title: str) -> str:
    """What tells an account from others; where a plan does not know, it is the migration's own."""
    known: Mapping[str, str] = plan.get("accounts", {})
    return known.get(title, f"{name} {title}")


def _use(needs: Sequence[tuple[str, Mapping[str, Any]]]) -> Use:
    _, limit = needs[-1]
    return Use(
        tuple(name for name, _ in needs),
        limit["account"],
        limit["limit"],
        limit["unit"],
        sum(float(each["needed"]) for _, each in needs),
        math.ceil(sum(_days_of(each) for _, each in needs)),
    )


def _days_of(limit: Mapping[str, Any]) -> float:
    """How many days a limit alone makes it take; 0 for one that is no day's."""
    if limit["seconds"] < DAY or not limit["allowance"]:
        return 0.0
    times = float(limit["needed"]) / float(limit["allowance"])
    return times * float(limit["seconds"]) / DAY


def _by_day(plans: Plans) -> list[tuple[int, float]]:
    """Each migration's calls spread evenly over the days that it has."""
    spans = _spans(plans)
    last = max((end for _, end in spans.values()), default=0.0)
    found = []
    for day in range(math.ceil(last)):
        shares = {
            name: _share(span, day)
            for name, span in spans.items()
            if _share(span, day) > 0
        }
        calls = sum(
            plans[name]["calls"] * share for name, share in shares.items()
        )
        found.append((len(shares), calls))
    return found


def _spans(plans: Plans) -> dict[str, tuple[float, float]]:
    """When each begins and ends, in days from now."""
    free: dict[str, float] = {}
    spans = {}
    for name, plan in sorted(plans.items()):
        accounts = plan.get("accounts", {}).values()
        begins = max(
            (free.get(account, 0.0) for account in accounts), default=0
        )
        ends = begins + _length(plan)
        spans[name] = (begins, ends)
        free |= dict.fromkeys(accounts, ends)
    return spans


def _length(plan: Mapping[str, Any]) -> float:
    days = [_days_of(limit) for limit in plan["limits"]]
    return max(1 / DAY, float(plan["seconds"]) / DAY, *days)


def _share(span: tuple[float, float], day: int) -> float:
    """How much of a span lies in a day."""
    begins, ends = span
    within = min(ends, day + 1) - max(begins, day)
    return max(0.0, within) / (ends - begins)
