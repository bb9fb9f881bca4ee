"""What an answer means: its JSON, the rule that says what is wrong with it, and how long to
wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.connector.messages import Response
from engine.connector.model import Connector, ErrorRule, Limit
from engine.connector.pagination import path_of
from engine.connector.times import http_date, wait
from engine.values import as_list, dig, from_json, to_json, well_formed

MESSAGE = 300  # characters of a platform's message that are kept
_GARBAGE = object()
# characters of an answer that is not JSON in which its words are looked for
_READ = 10_000
_MARKUP = re.compile(
    r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE
)


class Classified(msgspec.Struct, frozen=True):
    """An answer with its JSON, and the rule that says what is wrong with it."""

    response: Response
    body: Any
    rule: ErrorRule | None
    # an earlier try of the same write, without a usable answer, may have been executed
    repeated: bool = False

    @property
    def date(self) -> float | None:
        """The server's clock: the answer's `Date`, in epoch seconds."""
        return http_date(self.response.headers.get("date"))


def classify(connector: Connector, response: Response) -> Classified:
    """Decide what an answer means: the connector's rules first, then what HTTP says."""
    body = _json(response)
    for rule in connector.errors:
        if _matches(rule, response, body):
            return Classified(response, body, rule)
    return Classified(response, body, _by_status(response.status_code, body))


def _by_status(status: int, body: Any) -> ErrorRule | None:
    if status == 429:
        return ErrorRule("wait")
    if 300 <= status < 400:
        return ErrorRule("moved")
    if status >= 500 or status == 408 or (status < 300 and body is _GARBAGE):
        return ErrorRule("unsure")
    return ErrorRule("reject") if status >= 400 else None


def _json(response: Response) -> Any:
    """The body; NaN and Infinity are not JSON and could not be sent on."""
    if not response.content.strip():
        return None
    try:
        return from_json(response.content)
    except ValueError:
        return _GARBAGE


def _matches(rule: ErrorRule, response: Response, body: Any) -> bool:
    if rule.status and response.status_code not in rule.status:
        return False
    if not rule.status and response.status_code < 400:
        # a good answer may hold the very words of an error; rules for those name the status
        return False
    content_type = response.headers.get("content-type", "").lower()
    if not content_type.startswith(rule.content_type.lower()):
        return False
    if any(
        response.headers.get(name.lower(), "") != value
        for name, value in rule.headers.items()
    ):
        return False
    return all(
        _holds(dig(body, path_of(path)), wanted)
        for path, wanted in rule.body.items()
    )


def _holds(found: Any, wanted: Any) -> bool:
    options = as_list(wanted)
    return any(
        type(found) is type(option) and found == option for option in options
    )


def described(
    connector: Connector, verdict: Classified, quiet: bool = False
) -> str:
    """What an answer says is wrong, in a line: in the places that the connector names, else
    anywhere; secrets are still in it.

    With `quiet` only in those places.
    """
    status, body = str(verdict.response.status_code), verdict.body
    if body is _GARBAGE:
        status += ", not JSON"
        body = _MARKUP.sub(" ", verdict.response.text[:_READ])

    messages: list[Any] = []
    if not isinstance(body, str):
        messages = [dig(body, path_of(path)) for path in connector.message]
    if not any(messages):
        messages = [] if quiet else [body]
    words = [
        item if isinstance(item, str) else to_json(item).decode()
        for item in filter(None, messages)
    ]
    return " ".join(well_formed(f"{status} {'; '.join(words)}").split())


class Delay(msgspec.Struct, frozen=True):
    """How long to wait after a refusal, and whether the answer says so."""

    seconds: float
    stated: bool = False
    odd: str = ""  # a header that says nothing one could wait for


def delay(
    rule: ErrorRule,
    limit: Limit | None,
    headers: Mapping[str, str],
    now: float,
    unit: float = 1.0,
) -> Delay:
    """How long to wait after a refusal: as the answer says, else as the rule says."""
    for name in (
        "retry-after",
        limit.headers.get("reset", "") if limit else "",
    ):
        said = headers.get(name.lower())
        if said:
            seconds = wait(said, http_date(headers.get("date")) or now, unit)
            odd = f"{name}: {said[:MESSAGE]}" if seconds is None else ""
            return Delay(seconds or rule.after or 1.0, bool(seconds), odd)
    return Delay(rule.after or 1.0)


def selected(body: Any, select: str) -> Any:
    """The rows or the row inside an answer; `0` unwraps a row that comes in an array of one, and
    takes it bare as well.
    """
    if select == "0":
        return body[0] if isinstance(body, list) and body else body
    return dig(body, path_of(select)) if select else body


def lacks(body: Any, select: str) -> bool:
    """Whether an answer has no such place at all; null is a place, and no body is an empty
    answer.
    """
    if body is None or select in ("", "0"):
        return False
    *above, last = path_of(select)
    parent = dig(body, tuple(above))
    if isinstance(parent, Mapping):
        return last not in parent
    return not (isinstance(parent, list) and isinstance(last, int))
