"""The outcome of a spec's cases as people and machines read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.report.words import clean
from workbench.cases import coverage
from workbench.cases.coverage import Coverage
from workbench.cases.run import CaseRun, Failure
from workbench.diff.differences import shown

# things without a case that are named before the rest is only counted
NAMED = 20


def as_data(tested: CaseRun, covered: Sequence[Coverage]) -> dict[str, Any]:
    """The outcome for --json."""
    return {
        "passed": list(tested.passed),
        "failed": list(tested.failed),
        "failures": [msgspec.to_builtins(item) for item in tested.failures],
        "coverage": coverage.as_data(covered),
    }


def as_lines(tested: CaseRun, covered: Sequence[Coverage]) -> Iterator[str]:
    """The outcome for a terminal: failures field by field, then what is covered."""
    yield from failure_lines(tested)
    yield f"{len(tested.passed)} passed, {len(tested.failed)} failed"
    for part in covered:
        yield (
            f"{part.kind}: {part.total - len(part.missing)} of {part.total} ({part.share:.0f} %)"
        )
        for name in part.missing[:NAMED]:
            yield clean(f"  no case: {name}")
        if len(part.missing) > NAMED:
            yield f"  and {len(part.missing) - NAMED} more"


def failure_lines(tested: CaseRun) -> Iterator[str]:
    """The cases that fail, field by field."""
    for name in tested.failed:
        yield clean(f"FAILED {name}")
        for item in tested.failures:
            if item.case == name:
                yield from _difference(item)


def _difference(item: Failure) -> Iterator[str]:
    yield clean(
        f"  {item.where}: {item.object} {item.key} {item.field}".rstrip()
    )
    yield clean(f"    expected: {_text(item.expected)}")
    yield clean(f"    found:    {_text(item.found)}")
    if item.story:
        yield clean(f"    from:     {item.story}")


def _text(value: Any) -> str:
    if value is None:
        return "(left out)"
    return repr(value) if isinstance(value, str) else shown(value)
