"""The two kinds of time in a record: true UTC, and the account's wall clock under a false +0000."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 86_400
ACCOUNT_ZONE = ZoneInfo("Europe/Madrid")
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:([+-])(\d\d):?(\d\d)|Z)")


@lru_cache(maxsize=8192)
def _day_text(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")


@lru_cache(maxsize=8192)
def _offset_of_hour(hour: int) -> int:
    offset = datetime.fromtimestamp(hour * 3600, ACCOUNT_ZONE).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def stamp(seconds: int) -> str:
    """Epoch seconds as the API writes them: colon-less offset, no fraction."""
    day, rest = divmod(seconds, DAY)
    hour, rest = divmod(rest, 3600)
    return f"{_day_text(day)}T{hour:02d}:{rest // 60:02d}:{rest % 60:02d}+0000"


def midnight(seconds: int) -> str:
    """The day of `seconds` as the API writes a date without a time."""
    return f"{_day_text(seconds // DAY)}T00:00:00+0000"


def wall(seconds: int) -> int:
    """What the account's wall clock shows at a UTC instant, as if it were UTC."""
    return seconds + _offset_of_hour(seconds // 3600)


def parse(text: str) -> int:
    """Epoch seconds of a stamp; ValueError for anything else, a bare date included."""
    found = _STAMP.fullmatch(text)
    if not found:
        raise ValueError(f"not a stamp: {text!r}")
    *parts, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    return int(datetime(*(int(part) for part in parts), tzinfo=zone).timestamp())  # type: ignore[misc, arg-type]


def at(text: str) -> int:
    """Epoch seconds of 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM', read as UTC; for constants in code."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
