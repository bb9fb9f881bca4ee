"""What the v1 endpoints have in common: lenient numbers, start/limit pages, empty lists as null."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sandbox.pipedrive.call import Answer, Call
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.refusals import Refused
from sandbox.pipedrive.store import Record

_SORT = re.compile(r"([a-z_]+)(?:\s+(asc|desc))?", re.IGNORECASE)


def refused(error: str) -> Refused:
    """400 in v1's plain form."""
    return Refused(400, error)


def integer(value: Any, where: str) -> int:
    """A number, or a string of digits: v1 takes both."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(f"{where} must be a number")
    return value


def flag(value: Any, where: str) -> bool:
    """0 or 1, also written as a string or a boolean."""
    if value in (0, 1, "0", "1"):
        return bool(int(value))
    raise refused(f"{where} must be 0 or 1")


def page(
    call: Call, kind: str, cut: Cut, sorts: Collection[str], most: int
) -> tuple[list[Record], Record]:
    """One page by start and limit, and what to put under additional_data."""
    start, size = _window(call, most)
    order = _order(call.query.get("sort", ""), sorts)
    rows = call.desk.store.find(kind, cut.where, cut.values, order, size + 1, start)
    return rows[:size], _pagination(start, size, more=len(rows) > size)


def cut_out(call: Call, rows: list[Any], most: int) -> tuple[list[Any], Record]:
    """The same of rows that are all at hand."""
    start, size = _window(call, most)
    return rows[start : start + size], _pagination(start, size, more=len(rows) > start + size)


def _window(call: Call, most: int) -> tuple[int, int]:
    """Where the page starts and how long it is."""
    start = max(0, whole(call, "start") or 0)
    wanted = whole(call, "limit")
    size = 100 if wanted is None else wanted
    if size < 1:
        raise refused("limit must be a positive number")
    if size > most:
        if call.desk.switches.over_max == "refuse":
            raise refused(f"limit must not be greater than {most}")
        size = most
    return start, size


def _pagination(start: int, size: int, *, more: bool) -> Record:
    seen: Record = {"start": start, "limit": size, "more_items_in_collection": more}
    if more:
        seen["next_start"] = start + size
    return {"pagination": seen}


def _order(text: str, sorts: Collection[str]) -> str:
    parts = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        found = _SORT.fullmatch(part)
        if found is None or found[1].lower() not in sorts:
            raise refused(f"sort: cannot sort by '{part}'")
        parts.append(f"{found[1].lower()} {(found[2] or 'asc').upper()}")
    return ", ".join([*parts, "id"])


def numbers(call: Call) -> list[int]:
    """The `ids` of a bulk delete."""
    try:
        wanted = [int(part) for part in call.query.get("ids", "").split(",") if part.strip()]
    except ValueError:
        raise refused("ids must be a comma separated list of numbers") from None
    if not wanted:
        raise refused("ids is required")
    return wanted


def listed(records: list[Record], additional: Record) -> Answer:
    """The v1 list envelope; an empty list is null."""
    return Answer({"success": True, "data": records or None, "additional_data": additional})
