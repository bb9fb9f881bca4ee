"""The query string of a list: paging, order and conditions, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stel_order import stamps
from sandbox.stel_order.errors import Refusal
from sandbox.stel_order.layout import DOCUMENTS

DEFAULT_LIMIT, MAX_LIMIT = 100, 500
MODIFIED = "utc-last-modification-date"
SORTABLE = ("creation-date", MODIFIED, "original-element-id")
_FOREVER = 1 << 60
_WHOLE, _ID = re.compile(r"[0-9]{1,15}"), re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand on one field: one of some values, empty or not, or a span of time."""

    field: str
    values: tuple[str, ...] | None = None
    null: bool | None = None
    span: tuple[int, int] | None = None  # epoch seconds, both ends included

    def holds(self, value: Any) -> bool:
        """Whether a record's value meets the demand."""
        if self.null is not None:
            return (value is None) is self.null
        if self.span is not None:
            return value is not None and self.span[0] <= stamps.parse(value) <= self.span[1]
        return value is not None and any(_same(value, wanted) for wanted in self.values or ())


@dataclass(frozen=True, slots=True)
class Query:
    """A checked list request."""

    conditions: tuple[Condition, ...] = ()
    sort: str = ""
    descending: bool = False
    start: int = 0
    limit: int = DEFAULT_LIMIT
    deleted: bool = False  # whether deleted rows are among those that the conditions judge


def is_date(field: str) -> bool:
    """Whether a field holds a stamp."""
    return field == "date" or field.endswith("-date")


def _same(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == ("true" if value else "false")
    if isinstance(value, int | float):
        return _number(wanted) == value
    return bool(value == wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _whole(text: str, name: str, least: int) -> int:
    if not _WHOLE.fullmatch(text) or int(text) < least:
        raise Refusal(400, detail=f"{name} must be a whole number from {least}")
    return int(text)


def _instant(text: str, name: str) -> int:
    try:
        return stamps.parse(text)
    except ValueError:
        raise Refusal(400, detail=f"{name} must be written yyyy-MM-dd'T'HH:mm:ssZ") from None


def read_query(
    collection: str,
    pairs: Iterable[tuple[str, str]],
    sample: Mapping[str, Any],
    switches: Mapping[str, str],
) -> Query:
    """The request of a list; `sample` is a record of it, whose keys are the fields there are."""
    page: dict[str, Any] = {}
    conditions: list[Condition] = []
    for name, text in pairs:
        if name == "APIKEY":
            continue
        if name == "limit":
            page["limit"] = _limit(text, switches)
        elif name == "start":
            page["start"] = _whole(text, name, 1 if switches["start_zero"] == "refuse" else 0)
        elif name == "sort":
            page["sort"], page["descending"] = _sort(text, sample)
        else:
            conditions.append(_condition(collection, name, text, sample, switches))
    reaches = switches["deleted_filter"] == "rows"
    asked = any(one.field == "deleted" and one.values == ("true",) for one in conditions)
    return Query(tuple(conditions), **page, deleted=reaches and asked)


def _limit(text: str, switches: Mapping[str, str]) -> int:
    limit = _whole(text, "limit", 1)
    if limit > MAX_LIMIT and switches["over_max"] == "refuse":
        raise Refusal(400, detail=f"limit may not exceed {MAX_LIMIT}")
    return min(limit, MAX_LIMIT)


def _sort(text: str, sample: Mapping[str, Any]) -> tuple[str, bool]:
    field, colon, direction = text.partition(":")
    if field not in SORTABLE or field not in sample:
        raise Refusal(400, detail=f"cannot sort by {field!r}")
    if not colon or direction not in ("asc", "desc"):
        raise Refusal(400, detail="sort must be written <field>:asc or <field>:desc")
    return field, direction == "desc"


def _condition(
    collection: str, name: str, text: str, sample: Mapping[str, Any], switches: Mapping[str, str]
) -> Condition:
    bound = _time_bound(collection, name, text, switches)
    if bound:
        return bound
    refused = (collection == "clients" and name == "id") or (
        collection == "products" and name == MODIFIED
    )
    if (
        name not in sample
        or refused
        or isinstance(sample[name], list | dict)
        or name == "main-address"
    ):
        raise Refusal(400, detail=f"unknown parameter {name!r}")
    if text in ("IS_NULL_VALUE", "IS_NOT_NULL_VALUE"):
        return Condition(name, null=text == "IS_NULL_VALUE")
    if name == MODIFIED:
        first = _instant(text, name) + (switches["modified_bound"] == "exclusive")
        return Condition(name, span=(first, _FOREVER))
    if is_date(name):
        instant = _instant(text, name)
        return Condition(name, span=(instant, instant))
    values = tuple(text[3:].split(",")) if text.startswith("in:") else (text,)
    link = name == "id" or (name.endswith("-id") and name != "external-id")
    if link and not all(_ID.fullmatch(value) for value in values):
        raise Refusal(400, detail=f"{name} must be a number")
    return Condition(name, values=values)


def _time_bound(
    collection: str, name: str, text: str, switches: Mapping[str, str]
) -> Condition | None:
    """start-date and end-date, which bound the date of a document or the times of an event."""
    if name not in ("start-date", "end-date") or (
        collection != "events" and collection not in DOCUMENTS
    ):
        return None
    instant = _instant(text, name)
    if name == "start-date":
        return Condition(
            "start-date" if collection == "events" else "date", span=(instant, _FOREVER)
        )
    if collection != "events":
        return Condition("date", span=(-_FOREVER, instant))
    return Condition(
        "start-date" if switches["event_end_bound"] == "start" else "end-date",
        span=(-_FOREVER, instant),
    )
