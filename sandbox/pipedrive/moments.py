"""Dates and times as the two API versions write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "Europe/Madrid"  # the account's (and every user's) time zone
ZONE_ID = 225  # some number: the API gives time zones ids of its own

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SQL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@lru_cache(maxsize=64)
def stamp(seconds: int) -> str:
    """Epoch seconds as v2 writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sql_stamp(seconds: float) -> str:
    """Epoch seconds as v1 writes them."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def sql(moment: str | None) -> str | None:
    """A moment of v2 as v1 writes it."""
    return moment and moment[:19].replace("T", " ")


def parse_rfc3339(text: str, *, fraction: bool = True) -> str | None:
    """The moment in v2's own form, or None when the text is not one."""
    found = _RFC3339.fullmatch(text)
    if found is None or (found[3] and not fraction):
        return None
    zone = "+00:00" if found[4].upper() == "Z" else found[4]
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year >= 1000 else None


def is_sql(text: str) -> bool:
    """Whether the text is a moment in v1's form."""
    if not _SQL.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def with_milliseconds(value: Any) -> Any:
    """The same JSON, its v2 moments written with milliseconds; other texts stay as they are."""
    if isinstance(value, list):
        return [with_milliseconds(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _finer(key, one) for key, one in value.items()}


def _finer(key: str, value: Any) -> Any:
    if key.endswith("_time") and isinstance(value, str):
        return f"{value[:-1]}.000Z" if _STAMP.fullmatch(value) else value
    return with_milliseconds(value)


def is_day(text: str) -> bool:
    """Whether the text is a calendar day."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def local_day(moment: str | None) -> str | None:
    """The calendar day of a v2 moment where the account is."""
    if moment is None:
        return None
    at = datetime.fromisoformat(moment)
    return at.astimezone(ZoneInfo(ZONE)).date().isoformat()
