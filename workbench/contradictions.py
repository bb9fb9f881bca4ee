"""Tests of one field that no value passes together, and collections that no record is of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from engine.config.document import scalar
from engine.language.model import Condition, Path, Test
from engine.mapping.evaluate import holds
from engine.values import segments

COLLECTION = "$collection"
# what a field may hold, whatever a condition compares it with
ANYTHING: tuple[Any, ...] = (None, "\x01", "\U0010ffff", True, False, [0])


def tests_of(path: str, wanted: Any) -> tuple[Test, ...]:
    """What a condition says of one path: a value that it must equal, or comparisons."""
    written = wanted if isinstance(wanted, Mapping) else {"equals": wanted}
    where = Path(path, segments(path))
    return tuple(Test(where, op, value) for op, value in written.items())


def contradiction(
    tests: Sequence[Test], collections: Collection[str] = ()
) -> str:
    """Why tests of one path never hold together; "" where some value passes them all.

    `collections` are those that records are of, where that is known.
    """
    path = tests[0].path.text
    told = " and ".join(_shown(test) for test in tests)
    if path == COLLECTION and collections:
        if _any_passes(tests, collections):
            return ""
        return f"no record is of a collection that is {told}: they are of {', '.join(collections)}"
    if _any_passes(tests, _candidates(tests)):
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


def _any_passes(tests: Sequence[Test], values: Collection[Any]) -> bool:
    condition = Condition((tuple(tests),))

    def passes(value: Any) -> bool:
        return holds(condition, lambda _: value)

    return any(map(passes, values))


def _candidates(tests: Sequence[Test]) -> list[Any]:
    """Values of which one passes if any does: what is named, what is beside, and anything else."""
    named = [value for test in tests for value in _values(test)]
    numbers = [value for value in map(_as_number, named) if value is not None]
    texts = [value for value in named if isinstance(value, str)]
    # a bit more than a text, and less than any that is greater
    above = [f"{text}\x01" for text in texts]
    return [*ANYTHING, *named, *texts, *above, *numbers, *_between(numbers)]


def _values(test: Test) -> list[Any]:
    if test.op in ("filled", "empty"):
        return []
    return test.value if isinstance(test.value, list) else [test.value]


def _as_number(value: Any) -> float | None:
    found = scalar(value) if isinstance(value, str) else value
    plain = isinstance(found, int | float) and not isinstance(found, bool)
    return found if plain else None


def _between(numbers: Sequence[float]) -> Iterator[float]:
    """Numbers below, between and above these."""
    if not numbers:
        return
    ordered = sorted(numbers)
    yield ordered[0] - 1
    yield ordered[-1] + 1
    yield from ((low + high) / 2 for low, high in pairwise(ordered))
