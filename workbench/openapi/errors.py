"""What answers mean, where they say what is wrong, what calls cost, and a document's quotas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.openapi.calls import Call
from workbench.openapi.names import key, one_line, placeable
from workbench.openapi.reading import Api
from workbench.openapi.schemas import Schema
from workbench.openapi.words import words

_MEANS = {
    401: "refuse",
    402: "refuse",
    403: "forbid",
    404: "missing",
    410: "missing",
    429: "wait",
}
_ORDER = ("wait", "refuse", "forbid", "missing", "reject", "unsure")
# what HTTP says of them holds unless the platform says otherwise
_ALWAYS = (429, 401, 404)
_QUOTA = re.compile(
    r"\b(\d[\d,]{0,8})\s+(?:API\s+|HTTP\s+)?(?:requests|calls|queries)"
    r"\s*(?:per|/|an|a|every|each)\s*(second|minute|hour|day)\b",
    re.IGNORECASE,
)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_COSTS = re.compile(r"x-.*(cost|credits?|weight|points)$", re.IGNORECASE)
_REMAINING = re.compile(
    r"(?=.*rate-?limit)(?=.*(limit|remaining|reset))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of errors, and why it is that."""

    rule: Mapping[str, Any]
    why: str = ""
    ask: str = ""


def rules(calls: list[Call]) -> list[Rule]:
    """What each status means: those the document names, and those that HTTP gives a meaning."""
    named = sorted(
        {
            one.status
            for call in calls
            for one in call.answers
            if one.status >= 400
        }
    )
    by_meaning: dict[str, list[int]] = {}
    for status in sorted({*named, *_ALWAYS}):
        means = _MEANS.get(
            status, "unsure" if status >= 500 or status == 408 else "reject"
        )
        by_meaning.setdefault(means, []).append(status)
    return [
        _rule(means, by_meaning[means], named)
        for means in _ORDER
        if means in by_meaning
    ] + list(_flag(calls))


def _rule(means: str, statuses: list[int], named: list[int]) -> Rule:
    other = [status for status in statuses if status not in named]
    seen = [status for status in statuses if status in named]
    parts = (
        [f"{', '.join(map(str, seen))} in the document"] if seen else []
    ) + (
        [f"{', '.join(map(str, other))} as HTTP has it, not in the document"]
        if other
        else []
    )
    asks = {
        "forbid": "does 403 close a collection, one record, or the whole key?",
        "wait": "is there a Retry-After? Else add after: with seconds",
    }
    rule = {
        "when": {"status": statuses[0] if len(statuses) == 1 else statuses},
        "then": means,
    }
    return Rule(rule, "; ".join(parts), asks.get(means, ""))


def _flag(calls: list[Call]) -> Iterator[Rule]:
    """A word of the envelope that says that a call failed, though the status says it did not."""
    for word in words("success"):
        for call in calls:
            good = call.good.schema if call.good else None
            name = (
                next(
                    (
                        one
                        for one in good.properties
                        if key(one) == word and placeable(one)
                    ),
                    "",
                )
                if good
                else ""
            )
            inner = good.inner(name) if good and name else None
            if inner is not None and inner.type == "boolean":
                ask = f"does an answer of success ever hold {name}: false?"
                yield Rule(
                    {
                        "when": {"status": [200, 201], "body": {name: False}},
                        "then": "reject",
                    },
                    f"{name} in {call.name}",
                    ask,
                )
                return


def messages(calls: list[Call]) -> list[str]:
    """Where errors say what is wrong, most common first."""
    found: Counter[str] = Counter()
    for call in calls:
        for answer in call.answers:
            if answer.schema is not None and (
                answer.status >= 400 or answer.status == 0
            ):
                found.update(set(_said(answer.schema, "", 0)))
    return [
        path
        for path, _ in sorted(
            found.items(),
            key=lambda item: (-item[1], item[0].count("."), item[0]),
        )
    ][:4]


def _said(schema: Schema, path: str, level: int) -> Iterator[str]:
    for word in words("message"):
        for name in schema.properties:
            inner = schema.inner(name)
            if key(name) != word or inner is None or not placeable(name):
                continue
            here = f"{path}{name}"
            item = inner.item if inner.type == "array" else None
            if inner.type == "string":
                yield here
            elif level < 2 and inner.type == "object":
                yield from _said(inner, f"{here}.", level + 1)
            elif level < 2 and item is not None:
                yield from (
                    [f"{here}.0"]
                    if item.type == "string"
                    else _said(item, f"{here}.0.", level + 1)
                )


def cost_word(calls: Iterable[Call]) -> str:
    """The extension that says what a call costs, if the document has one."""
    found = Counter(
        name
        for call in calls
        for name in call.node.names()
        if _COSTS.fullmatch(name) and cost(call, name) is not None
    )
    return found.most_common(1)[0][0] if found else ""


def cost(call: Call, word: str) -> int | None:
    """What a call costs; None where the document does not say."""
    stated = call.node.raw(word).value if word else None
    good = (
        isinstance(stated, int)
        and not isinstance(stated, bool)
        and 0 <= stated <= 1_000_000
    )
    return stated if good else None


def quotas(api: Api) -> dict[str, tuple[int, int, str]]:
    """Quotas that the document's description states in plain figures: amount, seconds and the words
    themselves.
    """
    text = api.root.text("info", "description")[:200_000]
    found: dict[str, set[int]] = {}
    words: dict[str, str] = {}
    for one in _QUOTA.finditer(text):
        window = one[2].lower()
        found.setdefault(window, set()).add(int(one[1].replace(",", "")))
        words[window] = one_line(one[0], 60)
    sure = {
        window: amounts.pop()
        for window, amounts in found.items()
        if len(amounts) == 1
    }
    return {
        window: (amount, _SECONDS[window], words[window])
        for window, amount in sure.items()
        if amount > 0
    }


def quota_headers(calls: Iterable[Call]) -> dict[str, str]:
    """Headers of answers that say how much of a quota is left."""
    held = Counter(
        name
        for call in calls
        for one in call.answers
        for name in one.headers
        if _REMAINING.match(name) and name.isprintable()
    )
    found: dict[str, str] = {}
    for name, _ in held.most_common():
        last = re.split(r"[-_]", name)[-1]
        if last in ("limit", "remaining", "reset"):
            found.setdefault(last, name)
    return found
