"""Steps for dates and times: `dates.*`.

A stamp is read as 2025-03-04T09:30:00+0000, with `T` or a blank, with or without seconds,
fractions of them and an offset (+0000, +00:00, Z), or as a bare date. With `wall: true` the
clock reading is what the account's people saw and the written offset means nothing; with `wall:
false` the offset holds. A null date (0000-00-00) is no date.
"""

import datetime as dt
import functools
import re
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .text import empty, quoted, refusal, rounded, to_decimal

__all__ = [
    "date",
    "duration",
    "earliest",
    "format",
    "iso",
    "iso_text",
    "latest",
    "minutes",
    "next_from",
    "read",
    "time",
    "to_utc",
    "utc_date",
    "year",
]

_STAMP = re.compile(
    r"(?P<date>(\d{4})-(\d{2})-(\d{2}))"
    r"(?P<clock>[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?"
    r"(?: ?(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?))?",
    re.ASCII,
)
_SHAPE = (
    "is not a date; it should look like 2025-03-04 or 2025-03-04T09:30:00+0000"
)


class _Stamp(NamedTuple):
    reading: dt.datetime  # without a zone, as written
    offset: dt.timezone | None
    bare: bool  # a date without a time


def _parse(value: Any) -> _Stamp | None:
    if isinstance(value, str):
        return _read(value)
    if empty(value):
        return None
    raise refusal(value, _SHAPE)


@functools.lru_cache(maxsize=4096)
def _read(value: str) -> _Stamp | None:
    """The stamp in a text; records of one account name the same days and moments often."""
    if empty(value):
        return None
    match = _STAMP.fullmatch(value.strip())
    if match is None or (match["offset"] and not match["clock"]):
        raise refusal(value, _SHAPE)
    if match["date"] == "0000-00-00":
        return None
    try:
        parts = [int(match[group] or 0) for group in (2, 3, 4, 6, 7, 8)]
        reading = dt.datetime(
            parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]
        )
        return _Stamp(
            reading, _offset(match["offset"] or ""), match["clock"] is None
        )
    except ValueError:
        raise refusal(value, "is not a day or time that exists") from None


def _offset(text: str) -> dt.timezone | None:
    if not text:
        return None
    hours, minutes = (
        (int(text[1:3]), int(text[3:].strip(":") or 0))
        if len(text) > 1
        else (0, 0)
    )
    if minutes > 59:
        raise ValueError(text)
    return dt.timezone(
        dt.timedelta(hours=hours, minutes=minutes)
        * (-1 if text[0] == "-" else 1)
    )


@functools.cache
def _zone(name: str) -> dt.tzinfo:
    """The zone of this name; "" is UTC."""
    try:
        return ZoneInfo(name) if name not in ("", "UTC") else dt.UTC
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"unknown time zone {quoted(name)}; give a name such as Europe/Madrid"
        ) from None


def _moved(stamp: _Stamp, zone: str, wall: bool, to: dt.tzinfo) -> dt.datetime:
    """The moment of the stamp on the clock of another zone.

    A reading skipped by a clock change moves forward, one that occurs twice means the first
    time: this is what `fold=0`, the default, gives.
    """
    home = _zone(zone)
    source = home if wall or stamp.offset is None else stamp.offset
    try:
        return stamp.reading.replace(tzinfo=source).astimezone(to)
    except OverflowError:
        raise ValueError(
            f"{quoted(stamp.reading.isoformat())} is too near to the end of the calendar"
        ) from None


def _local(value: Any, zone: str, wall: bool) -> _Stamp | None:
    """The stamp as written if it is a wall stamp or a bare date, else as the clock in `zone`
    showed it.
    """
    target, stamp = _zone(zone), _parse(value)
    if stamp is None or wall or stamp.bare:
        return stamp
    return stamp._replace(
        reading=_moved(stamp, "", wall, target).replace(tzinfo=None)
    )


def to_utc(
    value: Any, *, zone: str = "UTC", wall: bool = True, style: str = "rfc3339"
) -> str | None:
    """Give the moment of a stamp in UTC.

    `zone` is the account's time zone, used for wall stamps and for those without an offset;
    `wall: false` keeps to the written offset; `style` is rfc3339 (2025-03-04T08:30:00Z) or space
    (2025-03-04 08:30:00). A reading that a clock change skips moves forward; one that occurs
    twice means the first time.

    ```yaml
    using: {dates.to_utc: {zone: Europe/Madrid}}
    ```
    `"2025-03-04T09:30:00+0000"` becomes `"2025-03-04T08:30:00Z"`.
    """
    if style not in ("rfc3339", "space"):
        raise ValueError(
            f"unknown style {quoted(style)}; known are rfc3339 and space"
        )
    _zone(zone)
    stamp = _parse(value)
    if stamp is None:
        return None
    text = (
        _moved(stamp, zone, wall, dt.UTC)
        .replace(tzinfo=None)
        .isoformat(sep=" ")
    )
    return text if style == "space" else f"{text.replace(' ', 'T')}Z"


def read(value: Any, *, pattern: str) -> str | None:
    """Read a date that is written in another way, as what the other steps take.

    `pattern` is epoch (seconds), epoch_ms, http (an HTTP or mail date), or a pattern of %d %m %y
    %Y %H %I %M %S %p %z; a pattern without a time gives a bare date.

    ```yaml
    using: {dates.read: {pattern: "%d/%m/%Y"}}
    ```
    `"04/03/2025"` becomes `"2025-03-04"`.
    """
    if empty(value):
        return None
    if pattern not in ("epoch", "epoch_ms", "http") and set(
        re.findall(r"%(.?)", pattern)
    ) - set("dmyYHIMSpz%"):
        raise ValueError(
            f"unknown pattern {quoted(pattern)}; it takes %d %m %y %Y %H %I %M %S %p %z"
        )
    try:
        if pattern in ("epoch", "epoch_ms"):
            found = dt.datetime.fromtimestamp(
                float(value) / (1000 if pattern == "epoch_ms" else 1), dt.UTC
            )
        elif pattern == "http":
            # a large import for the one who writes dates like mail
            from email.utils import parsedate_to_datetime

            found = parsedate_to_datetime(str(value))
        else:
            found = dt.datetime.strptime(str(value).strip(), pattern)  # noqa: DTZ007
    except (ValueError, TypeError, OverflowError, OSError):
        raise refusal(value, f"is not a date as {pattern} writes it") from None
    bare = not re.search(r"%[HIMS]|epoch|http", pattern)
    return (
        found.date().isoformat()
        if bare
        else found.isoformat(timespec="seconds")
    )


def date(value: Any, *, zone: str = "", wall: bool = True) -> str | None:
    """Give the date of a stamp as the account's people saw it.

    `wall: true` takes the date as written; `wall: false` takes the day it was in `zone`, where
    "" is UTC.

    ```yaml
    using: {dates.date: {zone: Europe/Madrid, wall: false}}
    ```
    `"2025-03-04T23:30:00+0000"` becomes `"2025-03-05"`.
    """
    stamp = _local(value, zone, wall)
    return None if stamp is None else stamp.reading.date().isoformat()


def utc_date(value: Any, *, zone: str = "", wall: bool = True) -> str | None:
    """Give the date that it was in UTC; it goes with the time that `dates.time` gives.

    `zone` is the account's time zone, used for wall stamps and for those without an offset;
    `wall: false` keeps to the written offset. A date without a time stays as it is.

    ```yaml
    using: {dates.utc_date: {zone: Europe/Madrid}}
    ```
    `"2025-03-04T00:30:00+0000"` becomes `"2025-03-03"`.
    """
    _zone(zone)
    stamp = _parse(value)
    if stamp is None:
        return None
    moment = stamp.reading if stamp.bare else _moved(stamp, zone, wall, dt.UTC)
    return moment.date().isoformat()


def time(
    value: Any, *, zone: str = "", to: str = "UTC", wall: bool = True
) -> str | None:
    """Give the time of day as HH:MM; a date without a time has none.

    `zone` is the account's time zone, used for wall stamps and for those without an offset; `to`
    is the zone of the result, or "" for the time as written; `wall: false` keeps to the written
    offset.

    ```yaml
    using: {dates.time: {zone: Europe/Madrid}}
    ```
    `"2025-07-04T09:30:00+0000"` becomes `"07:30"`.
    """
    _zone(zone)
    target, stamp = _zone(to), _parse(value)
    if stamp is None or stamp.bare:
        return None
    moment = _moved(stamp, zone, wall, target) if to else stamp.reading
    return f"{moment:%H:%M}"


def duration(value: Any, *, zone: str = "", wall: bool = True) -> str | None:
    """Give the time from `start` to `end` as HH:MM; an end before its start gives none.

    The value is a dict with both stamps; seconds are dropped. `zone` is the account's time zone,
    so that a clock change in between counts; `wall: false` keeps to the written offsets. More than
    99:59 is refused.

    ```yaml
    using: dates.duration
    ```
    `{"start": "2025-03-04T09:00:00", "end": "2025-03-04T10:30:00"}` becomes `"01:30"`.
    """
    _zone(zone)
    if empty(value):
        return None
    if not isinstance(value, dict):
        raise refusal(value, "is not a dict with start and end")
    start, end = _parse(value.get("start")), _parse(value.get("end"))
    if start is None or end is None:
        return None
    passed = _moved(end, zone, wall, dt.UTC) - _moved(start, zone, wall, dt.UTC)
    return (
        None
        if passed < dt.timedelta()
        else _hours(passed // dt.timedelta(minutes=1), value)
    )


def _hours(count: int, value: Any) -> str:
    """So many minutes as HH:MM."""
    if not 0 <= count < 6000:
        raise ValueError(
            f"{quoted(value)} is {count} minutes, which is not from 00:00 to 99:59 hours"
        )
    return f"{count // 60:02}:{count % 60:02}"


def minutes(value: Any) -> str | None:
    """Write a number of minutes as HH:MM; more than 99:59 is refused.

    ```yaml
    using: dates.minutes
    ```
    `90` becomes `"01:30"`.
    """
    count = to_decimal(value)
    return None if count is None else _hours(int(rounded(count, 0)), value)


_DIRECTIVES = {
    "%d": "{0:%d}",
    "%m": "{0:%m}",
    "%Y": "{0.year:04}",
    "%y": "{0:%y}",
    "%H": "{0:%H}",
    "%M": "{0:%M}",
    "%S": "{0:%S}",
    "%j": "{0:%j}",
    "%%": "%",
}


def format(
    value: Any, *, pattern: str = "%d/%m/%Y", zone: str = "", wall: bool = True
) -> str | None:
    """Write the date or time for people.

    `pattern` may hold %d %m %Y %y %H %M %S %j and %%. `wall: true` takes the stamp as written;
    `wall: false` takes what the clock in `zone` showed, where "" is UTC.

    ```yaml
    using: {dates.format: {pattern: "%d/%m/%Y"}}
    ```
    `"2025-03-04T09:30:00+0000"` becomes `"04/03/2025"`.
    """
    unknown = [
        found
        for found in re.findall(r"%.?", pattern, re.DOTALL)
        if found not in _DIRECTIVES
    ]
    if unknown:
        raise ValueError(
            f"unknown {quoted(unknown[0])} in the pattern; known are {' '.join(_DIRECTIVES)}"
        )
    stamp = _local(value, zone, wall)
    if stamp is None:
        return None
    return (
        re.sub(
            r"%.",
            lambda found: _DIRECTIVES[found[0]].format(stamp.reading),
            pattern,
        )
        or None
    )


def year(value: Any, *, zone: str = "", wall: bool = True) -> int | None:
    """Give the year of a stamp as a number.

    `wall: true` takes the year as written; `wall: false` takes the year it was in `zone`, where
    "" is UTC.

    ```yaml
    using: dates.year
    ```
    `"2025-03-04"` becomes `2025`.
    """
    stamp = _local(value, zone, wall)
    return None if stamp is None else stamp.reading.year


def iso_text(value: Any) -> str | None:
    """Write the stamp as it was, in one form, without its offset.

    ```yaml
    using: dates.iso_text
    ```
    `"2025-03-04T09:30:00.123+0000"` becomes `"2025-03-04 09:30:00"`.
    """
    stamp = _parse(value)
    if stamp is None:
        return None
    return (
        stamp.reading.date().isoformat()
        if stamp.bare
        else stamp.reading.isoformat(sep=" ")
    )


def iso(value: Any, *, zone: str = "", wall: bool = True) -> str | None:
    """Write the stamp in ISO 8601 with its offset, which sorts as text.

    `zone` is the account's time zone, whose offset a wall stamp and one without an offset are
    given; `wall: false` keeps to the written offset. A date without a time stays as it is.

    ```yaml
    using: {dates.iso: {zone: Europe/Madrid}}
    ```
    `"2025-07-04T09:30:00.123+0000"` becomes `"2025-07-04T09:30:00+02:00"`.
    """
    home, stamp = _zone(zone), _parse(value)
    if stamp is None:
        return None
    if stamp.bare:
        return stamp.reading.date().isoformat()
    to = home if wall or stamp.offset is None else stamp.offset
    return _moved(stamp, zone, wall, to).isoformat()


def next_from(value: Any, *, zone: str = "", wall: bool = True) -> str | None:
    """Give the first date of a list that is not before a day; one that is over is not given.

    The value is a dict with the `stamps` and the `day`. `wall: true` takes their dates as written;
    `wall: false` takes the day it was in `zone`, where "" is UTC.

    ```yaml
    using: dates.next_from
    ```
    `{"stamps": ["2024-01-31", "2025-05-01T00:00:00+0000"], "day": "2025-03-04"}` becomes
    `"2025-05-01"`.
    """
    _zone(zone)
    if empty(value):
        return None
    if not isinstance(value, dict):
        raise refusal(value, "is not a dict with stamps and day")
    day = date(value.get("day"), zone=zone, wall=wall)
    if day is None:
        raise refusal(value, "has no day")
    stamps = value.get("stamps")
    items = stamps if isinstance(stamps, list) else [stamps]
    days = [date(item, zone=zone, wall=wall) for item in items]
    return min((one for one in days if one and one >= day), default=None)


def earliest(value: Any) -> str | None:
    """Give the earliest stamp of a list, as it was written.

    ```yaml
    using: dates.earliest
    ```
    `["2025-03-04", "2024-01-31T00:00:00+0000", null]` becomes `"2024-01-31T00:00:00+0000"`.
    """
    stamps = _in_order(value)
    return stamps[0] if stamps else None


def latest(value: Any) -> str | None:
    """Give the latest stamp of a list, as it was written.

    ```yaml
    using: dates.latest
    ```
    `["2025-03-04", "2024-01-31T00:00:00+0000", null]` becomes `"2025-03-04"`.
    """
    stamps = _in_order(value)
    return stamps[-1] if stamps else None


def _in_order(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    found = [
        (stamp.reading, item)
        for item in items
        if (stamp := _parse(item)) is not None
    ]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]
