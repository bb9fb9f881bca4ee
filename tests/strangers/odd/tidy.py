"""What a platform makes of the values it is sent: one function a kind, each safe to repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_TAG = re.compile(r"<\s*(/?)\s*([A-Za-z][A-Za-z0-9]*)[^<>]*>")
_ELSEWHERE = timezone(timedelta(hours=2))


def text(value: Any) -> Any:
    """Trimmed, and one blank where there were several."""
    return " ".join(str(value).split())


def email(value: Any) -> Any:
    """Small letters, trimmed."""
    return text(value).lower()


def phone(value: Any) -> Any:
    """Digits only, with a plus where the number is international."""
    written = str(value).strip()
    digits = re.sub(r"\D", "", written)
    if written.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{digits}" if written.startswith("+") else digits


def url(value: Any) -> Any:
    """With a scheme."""
    address = text(value)
    return address if "://" in address else f"https://{address}"


def number(value: Any) -> Any:
    """Two digits."""
    return parsed(round(float(value), 2))


def parsed(value: Any) -> Any:
    """A number, whole where it is; nothing else is done to it."""
    found = float(value)
    return int(found) if found.is_integer() else found


def flag(value: Any) -> Any:
    """Whatever was said for yes and no."""
    return value not in (False, 0, "0", "false", "no", "")


def html(value: Any) -> Any:
    """Small tags without attributes, `<br>` for `<br/>`."""
    return _TAG.sub(lambda found: f"<{found[1]}{found[2].lower()}>", str(value)).strip()


def date(value: Any) -> Any:
    """A day is its midnight."""
    return f"{str(value)[:10]}T00:00:00Z"


def moment(value: Any) -> Any:
    """With milliseconds, and written for another place on earth."""
    at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(_ELSEWHERE).isoformat(timespec="milliseconds")


TIDY: Mapping[str, Callable[[Any], Any]] = {
    "text": text, "email": email, "phone": phone, "url": url, "number": number, "flag": flag,
    "html": html, "date": date, "moment": moment,
}  # fmt: skip
PARSED: Mapping[str, Callable[[Any], Any]] = {"number": parsed, "flag": flag}  # of a platform that leaves values alone
