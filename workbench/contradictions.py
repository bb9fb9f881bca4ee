"""Tests of one field that no value passes together, and collections that no record is of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from engine.connector.times import moment
from engine.connector.typed import Misfit, as_declared
from engine.language.model import Condition, Path, Test
from engine.mapping.evaluate import holds
from engine.values import segments

COLLECTION = "$collection"
# of what is neither a number nor a text, every kind that conditions tell apart
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [0], {"a": 0})
_ABOVE, _BELOW = ("gt", "gte"), ("lt", "lte")
_ORDERS = (*_ABOVE, *_BELOW)

Limit = tuple[str, Any]  # how it is compared, and with what


def tests_of(path: str, wanted: Any) -> tuple[Test, ...]:
    """What a condition says of one path: a value that it must equal, or comparisons."""
    written = wanted if isinstance(wanted, Mapping) else {"equals": wanted}
    where = Path(path, segments(path))
    return tuple(Test(where, op, value) for op, value in written.items())


def contradiction(
    tests: Sequence[Test], collections: Collection[str] = ()
) -> str:
    """Why tests of one path never hold together; "" where a value may pass them all.

    What is told is certain: of numbers and texts, more are taken to pass than do.

    `collections` are those that records are of, where that is known.
    """
    path = tests[0].path.text
    told = " and ".join(_shown(test) for test in tests)
    if path == COLLECTION and collections:
        if _any_passes(tests, collections):
            return ""
        return f"no record is of a collection that is {told}: they are of {', '.join(collections)}"
    found = _any_passes(tests, OTHERS)
    if found or _some_number(tests) or _some_text(tests):
        return ""
    return f"no value of {path!r} is {told}"


def _shown(test: Test) -> str:
    """A test as it is read out."""
    if test.op in ("filled", "empty"):
        filled = (test.op == "filled") is bool(test.value)
        return "filled" if filled else "empty"
    if isinstance(test.value, list):
        value = ", ".join(map(str, test.value))
    else:
        value = str(test.value)
    return f"{_WORDS[test.op]} {value!r}"


_WORDS = {
    "equals": "equal to",
    "not": "other than",
    "in": "one of",
    "gt": "greater than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
}


def _any_passes(tests: Iterable[Test], values: Iterable[Any]) -> bool:
    condition = Condition((tuple(tests),))

    def passes(value: Any) -> bool:
        return holds(condition, lambda _: value)

    return any(map(passes, values))


def _named(tests: Sequence[Test]) -> list[Any] | None:
    """The values of which a field must be one; None where it may be any."""
    for test in tests:
        if test.op == "in":
            return list(test.value)
        if test.op == "equals":
            return [test.value]
    return None


def _limits(tests: Sequence[Test]) -> list[Limit]:
    return [(test.op, test.value) for test in tests if test.op in _ORDERS]


def _have_room(limits: Sequence[Limit]) -> bool:
    """Whether no lower limit excludes what an upper one leaves."""
    return all(
        low < high or (low == high and (above, below) == ("gte", "lte"))
        for above, low in limits
        for below, high in limits
        if above in _ABOVE and below in _BELOW
    )


# -- numbers


def _some_number(tests: Sequence[Test]) -> bool:
    """Whether a number may pass."""
    named = _named(tests)
    if named is not None:
        return _any_passes(tests, map(_number, named))
    limits = [(op, _number(value)) for op, value in _limits(tests)]
    values = [value for _, value in limits]
    if None in values:
        return False  # no number is before or after what is none
    if _any_passes(tests, values):
        return True
    apart = [(op.removesuffix("e"), value) for op, value in limits]
    return _have_room(apart) and _any_passes(_of_presence(tests), [0])


def _number(value: Any) -> float | None:
    """What a number is compared with, for a value that a spec names; None for what is none."""
    if isinstance(value, str):
        try:
            value = as_declared(value, "number")
        except Misfit:
            return None
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain else None


def _of_presence(tests: Sequence[Test]) -> list[Test]:
    return [test for test in tests if test.op in ("filled", "empty")]


# -- texts: blanks around them do not count where they are equal, and count where they are ordered;
# moments are ordered among themselves by time, and beside other texts by letters


def _some_text(tests: Sequence[Test]) -> bool:
    """Whether a text may pass."""
    limits = _limits(tests)
    if not _texts_have_room(limits):
        return False
    named = _named(tests)
    if named is not None:
        texts = [value for value in named if isinstance(value, str)]
        return any(_may_pass(tests, text) for text in texts)
    if _may_pass(tests, ""):
        return True
    # the digits of a number that no float holds are kept as text
    numbers = [limit for limit in limits if not isinstance(limit[1], str)]
    return _have_room(numbers) and _any_passes(_of_presence(tests), ["a"])


def _texts_have_room(limits: Sequence[Limit]) -> bool:
    texts = [limit for limit in limits if isinstance(limit[1], str)]
    if _have_room(texts):
        return True
    times = [(op, moment(text) if ":" in text else None) for op, text in texts]
    words = [
        limit
        for limit, (_, time) in zip(texts, times, strict=True)
        if time is None
    ]
    known = [(op, time) for op, time in times if time is not None]
    return _have_room(known) and _have_room(words)


def _may_pass(tests: Sequence[Test], text: str) -> bool:
    """Whether a text that equals this one may pass: one with other blanks, the same moment in
    another zone.
    """
    return all(_may_pass_one(test, text) for test in tests)


def _may_pass_one(test: Test, text: str) -> bool:
    if test.op in _ORDERS and isinstance(test.value, str):
        return True  # blanks before it put a text nearly anywhere
    if test.op == "not":
        return not _is_always(text, test.value)
    wanted = _named([test])
    if wanted is not None:
        return any(_is_sometimes(text, value) for value in wanted)
    return _any_passes([test], [text.strip()])


def _is_always(text: str, value: Any) -> bool:
    """Whether whatever equals a text equals a value."""
    if ":" in text:
        return bool(text == value)
    return isinstance(value, str) and text.strip() == value.strip()


def _is_sometimes(text: str, value: Any) -> bool:
    """Whether something may equal both a text and a value."""
    if not isinstance(value, str):
        return False
    moments = ":" in text and ":" in value
    return moments or text.strip() == value.strip()
