"""What an answer means: its JSON, the rule that says what is wrong with it, and how long to wait."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from engine.connector.model import Connector, ErrorRule, Limit
from engine.connector.pagers import path_of
from engine.values import dig, from_json

MESSAGE = 300  # characters of a platform's message that are kept
EPOCH = 1e9  # seconds; a larger figure in a reset header is a moment, not a wait
_GARBAGE = object()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer with its JSON, and the rule that says what is wrong with it."""

    response: httpx.Response
    body: Any
    rule: ErrorRule | None
    repeated: bool = False  # an earlier try of the same write, without a usable answer, may have been executed


def judge(connector: Connector, response: httpx.Response) -> Verdict:
    """Decide what an answer means: the connector's rules first, then what HTTP says."""
    body = _json(response)
    for rule in connector.errors:
        if _matches(rule, response, body):
            return Verdict(response, body, rule)
    return Verdict(response, body, _by_status(response.status_code, body))


def _by_status(status: int, body: Any) -> ErrorRule | None:
    if status == 429:
        return ErrorRule("wait")
    if 300 <= status < 400:
        return ErrorRule("moved")
    if status >= 500 or status == 408 or (status < 300 and body is _GARBAGE):
        return ErrorRule("unsure")
    return ErrorRule("reject") if status >= 400 else None


def _json(response: httpx.Response) -> Any:
    """The body; NaN and Infinity are not JSON and could not be sent on."""
    if not response.content.strip():
        return None
    try:
        return from_json(response.content)
    except ValueError:
        return _GARBAGE


def _matches(rule: ErrorRule, response: httpx.Response, body: Any) -> bool:
    if rule.status and response.status_code not in rule.status:
        return False
    if not rule.status and response.status_code < 400:
        return False  # a good answer may hold the very words of an error; rules for those name the status
    if not response.headers.get("content-type", "").lower().startswith(rule.content_type.lower()):
        return False
    if any(response.headers.get(name) != value for name, value in rule.headers.items()):
        return False
    return all(_holds(dig(body, path_of(path)), wanted) for path, wanted in rule.body.items())


def _holds(found: Any, wanted: Any) -> bool:
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(type(found) is type(option) and found == option for option in options)


def described(connector: Connector, verdict: Verdict) -> str:
    """What an answer says is wrong, in a line; secrets are still in it."""
    status = verdict.response.status_code
    if verdict.body is _GARBAGE:
        return f"{status}, not JSON"
    found = [verdict.body] if isinstance(verdict.body, str) else [dig(verdict.body, path_of(path)) for path in connector.message]
    text = "; ".join(str(item) for item in found if item)
    return " ".join(well_formed(f"{status} {text}").split())


def well_formed(text: str) -> str:
    """The text with halves of surrogate pairs replaced: neither a database nor UTF-8 takes them."""
    return text.encode("utf-8", "replace").decode()


def as_json(value: Any) -> bytes:
    """A value as the platform is sent it."""
    return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)).encode()


def delay(rule: ErrorRule, limit: Limit | None, headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait after a refusal: as the answer says, else as the rule says."""
    told = headers.get("retry-after") or headers.get((limit.headers.get("reset") if limit else "") or "")
    seconds = _seconds(told, now) if told else None
    return seconds or rule.after or 1.0


def _seconds(text: str, now: float) -> float | None:
    """Seconds, a moment in epoch seconds, or an HTTP date."""
    try:
        number = float(text)
    except ValueError:
        moment = http_date(text)
        if moment is None:
            return None
        number = moment
    if not math.isfinite(number) or number < 0:
        return None
    return max(0.0, number - now) if number > EPOCH else number


def http_date(text: str | None) -> float | None:
    """An HTTP date, such as the `Date` of an answer, in epoch seconds; None where there is none or it cannot be parsed."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None

    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def selected(body: Any, select: str) -> Any:
    """The rows or the row inside an answer; `0` unwraps a row that comes in an array of one, and takes it bare as well."""
    if select == "0":
        return body[0] if isinstance(body, list) and body else body
    return dig(body, path_of(select)) if select else body


def lacks(body: Any, select: str) -> bool:
    """Whether an answer has no such place at all; null is a place, and no body is an empty answer."""
    if body is None or select in ("", "0"):
        return False
    *above, last = path_of(select)
    parent = dig(body, tuple(above))
    return not (last in parent if isinstance(parent, Mapping) else isinstance(parent, list) and isinstance(last, int))
