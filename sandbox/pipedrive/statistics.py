"""Deals counted and summed up (v1): summaries, the timeline, how they move through a pipeline.

The account knows no rates between currencies: what is converted is taken as it stands.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from sandbox.pipedrive import filtering, v1_rows
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.currencies import SYMBOLS
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.moments import is_day
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import refused

_MONTHS = {"month": 1, "quarter": 3}
_DAYS = {"day": 1, "week": 7}
_MOST_PERIODS = 100
_CHOICES = {"user_id": "owner_id", "pipeline_id": "pipeline_id", "stage_id": "stage_id"}


def _deals(call: Call, archived: int, *names: str) -> list[Record]:
    """The live deals that the request is about; a saved filter takes the place of the user."""
    cut = Cut("is_deleted=0", f"is_archived={archived}")
    filtered = filtering.narrow(call, cut, "deals")
    for name in names:
        value = whole(call, name)
        if value is not None and not (filtered and name == "user_id"):
            cut.add(f"{_CHOICES[name]}=?", value)
    if call.query.get("status"):
        cut.add("status=?", call.query["status"])
    return call.desk.store.find("deals", cut.where, cut.values)


def _weighted(call: Call, deal: Record) -> float:
    """The value by the deal's own probability, or that of its stage where the pipeline has them."""
    chance = deal["probability"]
    if chance is None:
        pipeline = call.desk.store.get("pipelines", deal["pipeline_id"]) or {}
        stage = call.desk.store.get("stages", deal["stage_id"]) or {}
        by_stage = pipeline.get("is_deal_probability_enabled")
        chance = stage.get("deal_probability", 100) if by_stage else 100
    return float(round((deal["value"] or 0) * chance / 100, 2))


def _total(deals: list[Record], value: Callable[[Record], float]) -> dict[str, float]:
    """The sum of each currency."""
    found: dict[str, float] = {}
    for deal in deals:
        currency = deal["currency"]
        found[currency] = round(found.get(currency, 0) + value(deal), 2)
    return found


def _value(deal: Record) -> float:
    return float(deal["value"] or 0)


def _written(currency: str, value: float) -> str:
    return f"{SYMBOLS.get(currency, currency)}{value:,.2f}".removesuffix(".00")


def _summary(archived: int) -> Callable[[Call], Answer]:
    def summary(call: Call) -> Answer:
        deals = _deals(call, archived, "user_id", "pipeline_id", "stage_id")
        counts = Counter(deal["currency"] for deal in deals)
        plain = _total(deals, _value)
        weighted = _total(deals, lambda deal: _weighted(call, deal))
        mine = call.desk.store.get("users", call.user_id) or {}
        home = mine.get("default_currency", "")
        values: Record = {}
        for currency, value in plain.items():
            said: Record = {"value": value, "count": counts[currency], "value_converted": value}
            said["value_formatted"] = _written(currency, value)
            values[currency] = {**said, "value_converted_formatted": _written(home, value)}
        return data(
            {
                "values_total": values,
                "weighted_values_total": {
                    currency: {
                        "value": value,
                        "count": counts[currency],
                        "value_formatted": _written(currency, value),
                    }
                    for currency, value in weighted.items()
                },
                "total_count": len(deals),
                **_all("total_currency_converted_value", home, plain),
                **_all("total_weighted_currency_converted_value", home, weighted),
            }
        )

    return summary


def _all(name: str, currency: str, sums: dict[str, float]) -> Record:
    value = round(sum(sums.values()), 2)
    return {name: value, f"{name}_formatted": _written(currency, value)}


# -- the timeline


def _day(call: Call, name: str) -> date:
    text = call.query.get(name, "")
    if not is_day(text):
        raise refused(f"{name} must be a date")
    return date.fromisoformat(text)


def _shifted(day: date, interval: str, steps: int) -> date:
    """The day so many intervals later; the last of a month that has no such day."""
    if interval in _DAYS:
        return day + timedelta(days=_DAYS[interval] * steps)
    months = day.month - 1 + _MONTHS[interval] * steps
    year, month = day.year + months // 12, months % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _periods(call: Call) -> Iterator[tuple[date, date]]:
    interval = call.query.get("interval", "")
    if interval not in {**_DAYS, **_MONTHS}:
        raise refused(f"interval must be one of {', '.join((*_DAYS, *_MONTHS))}")
    amount = whole(call, "amount") or 0
    if not 0 < amount <= _MOST_PERIODS:
        raise refused(f"amount must be a number from 1 to {_MOST_PERIODS}")
    first = _day(call, "start_date")
    for at in range(amount):
        yield _shifted(first, interval, at), _shifted(first, interval, at + 1)


def _dated(call: Call) -> Callable[[Record], str]:
    """The day that a deal has in the field that is asked for, or nothing."""
    key = call.query.get("field_key", "")
    field = next((one for one in call.desk.fields("deal") if one["field_code"] == key), None)
    if field is None or field["field_type"] not in ("date", "daterange"):
        raise refused("field_key must be the key of a date field of deals")

    def dated(deal: Record) -> str:
        value = (deal["custom_fields"] if field["is_custom_field"] else deal).get(key)
        return str((value["value"] if isinstance(value, dict) else value) or "")[:10]

    return dated


def _timeline(archived: int) -> Callable[[Call], Answer]:
    def timeline(call: Call) -> Answer:
        dated, periods = _dated(call), list(_periods(call))
        deals = _deals(call, archived, "user_id", "pipeline_id")
        deals = [deal for deal in deals if deal["status"] != "lost"]
        found = []
        for begin, end in periods:
            held = [one for one in deals if begin.isoformat() <= dated(one) < end.isoformat()]
            last = end - timedelta(days=1)
            entry: Record = {"period_start": f"{begin} 00:00:00", "period_end": f"{last} 23:59:59"}
            if call.query.get("exclude_deals") != "1":
                entry["deals"] = [v1_rows.deal(call, one) for one in held]
            found.append({**entry, "totals": _totals(call, held)})
        return data(found)

    return timeline


def _totals(call: Call, deals: list[Record]) -> Record:
    still = [deal for deal in deals if deal["status"] == "open"]
    won = [deal for deal in deals if deal["status"] == "won"]
    return {
        "count": len(deals),
        "values": _total(deals, _value),
        "weighted_values": _total(deals, lambda deal: _weighted(call, deal)),
        "open_count": len(still),
        "open_values": _total(still, _value),
        "weighted_open_values": _total(still, lambda deal: _weighted(call, deal)),
        "won_count": len(won),
        "won_values": _total(won, _value),
    }


# -- how deals move


def _pipeline(call: Call) -> tuple[list[Record], list[int], tuple[str, str]]:
    """The deals of a pipeline that the user owns, its stages in order, and the period."""
    key = call.key()
    if not call.desk.store.has("pipelines", key):
        raise not_found(LABELS["pipelines"])
    begin, end = _day(call, "start_date"), _day(call, "end_date")
    user = whole(call, "user_id") or call.user_id
    where = "is_deleted=0 AND pipeline_id=? AND owner_id=?"
    deals = call.desk.store.find("deals", where, (key, user))
    stages = call.desk.store.find("stages", "is_deleted=0 AND pipeline_id=?", (key,), "order_nr")
    period = begin.isoformat(), (end + timedelta(days=1)).isoformat()
    return deals, [one["id"] for one in stages], period


def _moves(call: Call, deals: list[Record], period: tuple[str, str]) -> list[tuple[int, int]]:
    """From which stage to which other the deals went within the period."""
    keys = {deal["id"] for deal in deals}
    rows = call.desk.store.db.execute(
        "SELECT item, old, new FROM changes WHERE kind='deals' AND field='stage_id'"
        " AND at>=? AND at<? ORDER BY id",
        period,
    )
    return [(int(old), int(new)) for item, old, new in rows if item in keys and old and new]


def _within(moment: str | None, period: tuple[str, str]) -> bool:
    return moment is not None and period[0] <= moment < period[1]


def _rate(part: int, of: int) -> int:
    return round(100 * part / of) if of else 0


def _conversion(call: Call) -> Answer:
    deals, stages, period = _pipeline(call)
    moves = Counter(_moves(call, deals, period))
    left = Counter(old for old, _ in moves.elements())
    held = Counter(deal["stage_id"] for deal in deals)
    pairs = [(one, other) for at, one in enumerate(stages) for other in stages[at + 1 :]]
    rates = [
        {
            "from_stage_id": one,
            "to_stage_id": other,
            "conversion_rate": _rate(moves[one, other], left[one] + held[one]),
        }
        for one, other in pairs
    ]
    ended = {
        name: sum(_within(deal[f"{name}_time"], period) for deal in deals)
        for name in ("won", "lost")
    }
    said = {f"{name}_conversion": _rate(number, len(deals)) for name, number in ended.items()}
    return data({"stage_conversions": rates, **said})


def _movement(call: Call) -> Answer:
    deals, stages, period = _pipeline(call)
    groups = {
        "new_deals": [deal for deal in deals if _within(deal["add_time"], period)],
        "deals_left_open": [deal for deal in deals if deal["status"] == "open"],
        "won_deals": [deal for deal in deals if _within(deal["won_time"], period)],
        "lost_deals": [deal for deal in deals if _within(deal["lost_time"], period)],
    }
    ages = {deal["id"]: _age(call, deal) for deal in deals}
    by_stage = []
    for key in stages:
        held = [ages[deal["id"]] for deal in deals if deal["stage_id"] == key]
        by_stage.append({"stage_id": key, "value": _mean(held)})
    return data(
        {
            "movements_between_stages": {"count": len(_moves(call, deals, period))},
            **{name: _group(held) for name, held in groups.items()},
            "average_age_in_days": {
                "across_all_stages": _mean(list(ages.values())),
                "by_stages": by_stage,
            },
        }
    )


def _group(deals: list[Record]) -> Record:
    sums = _total(deals, _value)
    return {
        "count": len(deals),
        "deals_ids": [deal["id"] for deal in deals],
        "values": sums,
        "formatted_values": {name: _written(name, value) for name, value in sums.items()},
    }


def _age(call: Call, deal: Record) -> int:
    end = deal["close_time"] or call.now
    return (datetime.fromisoformat(end) - datetime.fromisoformat(deal["add_time"])).days


def _mean(numbers: list[int]) -> int:
    return round(sum(numbers) / len(numbers)) if numbers else 0


_CHOSEN = frozenset({"status", "filter_id", "user_id", "pipeline_id", "stage_id"})
_SPAN = frozenset({"start_date", "end_date", "user_id"})
_TIMELINE = frozenset(
    {
        "start_date", "interval", "amount", "field_key", "user_id", "pipeline_id", "filter_id",
        "exclude_deals", "totals_convert_currency",
    }
)  # fmt: skip
_READ: tuple[tuple[str, str, int, Any, frozenset[str]], ...] = (
    ("getDealsSummary", "/deals/summary", 40, _summary(0), _CHOSEN),
    ("getArchivedDealsSummary", "/deals/summary/archived", 80, _summary(1), _CHOSEN),
    ("getDealsTimeline", "/deals/timeline", 20, _timeline(0), _TIMELINE),
    ("getArchivedDealsTimeline", "/deals/timeline/archived", 40, _timeline(1), _TIMELINE),
    (
        "getPipelineConversionStatistics",
        "/pipelines/{id}/conversion_statistics",
        40,
        _conversion,
        _SPAN,
    ),
    ("getPipelineMovementStatistics", "/pipelines/{id}/movement_statistics", 40, _movement, _SPAN),
)
OPERATIONS = [
    Operation(name, "v1", "GET", path, tokens, act, query)
    for name, path, tokens, act, query in _READ
]
