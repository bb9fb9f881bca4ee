"""What a JSON value must look like. Each check returns the value to keep or raises a 400."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sandbox.pipedrive.moments import is_day, is_sql, parse_rfc3339
from sandbox.pipedrive.refusals import invalid, not_allowed

Check = Callable[[Any, str], Any]  # (value, where it stands) -> value to keep

ADDRESS_PARTS = (
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
)
_HOUR_MINUTE = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_DURATION = re.compile(r"\d{2,3}:[0-5]\d")


def text(limit: int = 0, *, filled: bool = False) -> Check:
    """A string of at most so many characters."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise invalid(where, "Expected a valid string")
        if filled and not value.strip():
            raise invalid(where, "Value cannot be an empty string")
        if limit and len(value) > limit:
            raise invalid(where, f"Value must be at most {limit} characters long")
        return value

    return check


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A whole number; true, "1" and 1.5 are none."""

    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(where, "Expected a valid integer")
        if (low is not None and value < low) or (high is not None and value > high):
            raise invalid(where, "Value is out of range")
        return value

    return check


def number(low: float | None = None, high: float | None = None) -> Check:
    """A JSON number."""

    def check(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(where, "Expected a valid number")
        if not math.isfinite(value):
            raise invalid(where, "Expected a valid number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise invalid(where, "Value is out of range")
        return value

    return check


def boolean(value: Any, where: str) -> bool:
    """True or false themselves, not 0 or 1."""
    if not isinstance(value, bool):
        raise invalid(where, "Expected a valid boolean")
    return value


def one_of(allowed: Collection[Any]) -> Check:
    """One of these values, of the same type."""

    def check(value: Any, where: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in allowed:
            raise invalid(where, f"Value must be one of {', '.join(map(str, allowed))}")
        return value

    return check


def nullable(check: Check) -> Check:
    """The same, or null."""

    def checked(value: Any, where: str) -> Any:
        return None if value is None else check(value, where)

    return checked


def array(item: Check, limit: int = 0) -> Check:
    """A list of such values."""

    def check(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise invalid(where, "Expected a valid array")
        if limit and len(value) > limit:
            raise invalid(where, f"Array must contain at most {limit} items")
        return [item(one, f"{where}[{at}]") for at, one in enumerate(value)]

    return check


def fields(
    parts: Mapping[str, Check], required: Collection[str] = (), defaults: Any = None
) -> Check:
    """An object with no other keys than these; `defaults` fills those left out."""

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid(where, "Expected a valid object")
        prefix = f"{where}." if where else ""
        for key in required:
            if key not in value:
                raise invalid(f"{prefix}{key}", "Required field is missing")
        kept = dict(defaults or {})
        for key, one in value.items():
            if key not in parts:
                raise not_allowed(prefix + key)
            kept[key] = parts[key](one, f"{prefix}{key}")
        return kept

    return check


def address(*, formatted: bool = False) -> Check:
    """An address object; the parts not sent are null."""
    names = (*ADDRESS_PARTS, "formatted_address") if formatted else ADDRESS_PARTS
    parts: dict[str, Check] = dict.fromkeys(names, nullable(text(255)))
    parts["value"] = text(255, filled=True)
    empty = dict.fromkeys(("value", *names))
    return fields(parts, ("value",), empty)


def day(value: Any, where: str) -> str:
    """YYYY-MM-DD."""
    if not isinstance(value, str) or not is_day(value):
        raise invalid(where, "Expected a valid date string in the format YYYY-MM-DD")
    return value


def moment(value: Any, where: str) -> str:
    """An RFC 3339 moment, kept as UTC without fractions."""
    found = parse_rfc3339(value) if isinstance(value, str) else None
    if found is None:
        raise invalid(where, "Expected a valid RFC 3339 date-time string")
    return found


def any_moment(value: Any, where: str) -> str:
    """An RFC 3339 moment or v1's `YYYY-MM-DD HH:MM:SS`."""
    if isinstance(value, str) and is_sql(value):
        return value.replace(" ", "T") + "Z"
    return moment(value, where)


def hour_minute(value: Any, where: str) -> str:
    """HH:MM of a day, kept with seconds as it is read back."""
    if not isinstance(value, str) or not _HOUR_MINUTE.fullmatch(value):
        raise invalid(where, "Expected a valid time string in the format HH:MM")
    return f"{value}:00"


def duration(value: Any, where: str) -> str:
    """HH:MM, any number of hours up to 999."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise invalid(where, "Expected a valid duration string in the format HH:MM")
    return f"{value}:00"
