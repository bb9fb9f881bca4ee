"""What platforms say of time: moments in several writings, and how long to wait."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from engine.values import flag

# seconds; no quota lasts longer than a month, so a longer wait is a mistake
LONGEST = 32 * 86_400.0
# epoch seconds of what can be a moment: 1973 to 2286
EARLIEST = 1e8
LATEST = 1e10
_UNITS = (1.0, 1e3, 1e6, 1e9)  # a figure counts seconds, or these parts of them
_SPANS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_SPAN = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_SPANS)})", re.IGNORECASE)


@lru_cache(maxsize=256)
def http_date(text: str | None) -> float | None:
    """An HTTP date, such as the `Date` of an answer, in epoch seconds; None where there is none
    or it cannot be parsed.
    """
    try:
        return _epoch(parsedate_to_datetime(text or ""))
    except (ValueError, OverflowError):
        return None


def moment(value: Any) -> float | None:
    """Epoch seconds of a stamp: an ISO or HTTP date, or a figure in s, ms, µs or ns. Without a
    zone it is UTC.
    """
    figure = _figure(value)
    if figure is not None:
        return next(
            (
                figure / unit
                for unit in _UNITS
                if EARLIEST <= figure / unit < LATEST
            ),
            None,
        )
    found = _dated(value) if isinstance(value, str) else None
    return found if found is not None and EARLIEST <= found < LATEST else None


def is_marked(value: Any) -> bool:
    """Whether a mark of a row says yes, or since when; what else stands there does not say so."""
    answer = flag(value)
    return moment(value) is not None if answer is None else answer


def wait(text: str, now: float, unit: float = 1.0) -> float | None:
    """Seconds to wait: a figure, one with its unit (`1m30s`, `250ms`), or the moment when it
    ends; None for nonsense.

    `now` is the server's clock: whoever names a moment means its own. A bare figure counts
    `unit` seconds.
    """
    figure = _figure(text)
    if figure is not None and _is_span(abs(figure), unit):
        return figure * unit if figure >= 0 else None
    spans = _SPAN.findall(text)
    if spans and not _SPAN.sub("", text).strip():
        return _summed(spans)
    return _until(moment(text), figure, now)


def _is_span(figure: float, unit: float) -> bool:
    """Whether a figure says how long, not until when."""
    return figure < EARLIEST and figure * unit <= LONGEST


def _summed(spans: list[tuple[str, str]]) -> float | None:
    seconds = sum(float(many) * _SPANS[unit.lower()] for many, unit in spans)
    return seconds if seconds <= LONGEST else None


def _until(end: float | None, figure: float | None, now: float) -> float | None:
    if end is None or end - now > LONGEST:
        return None
    if figure is not None and now - end > LONGEST:
        return None
    return max(0.0, end - now)


def _epoch(found: datetime) -> float:
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _dated(text: str) -> float | None:
    try:
        return _epoch(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        return http_date(text)


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
