"""A comparison of two specs as people read it: lines for a terminal, Markdown for a review
comment, JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.report.document import shown as value_text
from engine.report.words import apart, clean, counted
from workbench.diff.differences import Difference
from workbench.diff.effect import Effect, Example

# the heading of changes that are known to rewrite nothing of what is staged
REWRITES_NONE = "rewrites no staged record"
# ... of such that rewrite none because of it
FAILS = "makes staged records fail"
_MARKS = {"added": "+", "removed": "-", "changed": "~", "renamed": "="}
_CELL = 80


@dataclass(frozen=True, slots=True)
class Compared:
    """Two specs, what differs between them, and what that does to the staged data."""

    old: str
    new: str
    differences: Sequence[Difference]
    effects: Sequence[Effect] | None  # None: nothing is staged
    notes: Sequence[str] = ()

    def heading(self, item: Difference) -> str:
        """A change's category, as far as it is true of what is staged."""
        known = self._known(item)
        if known is None or known[0]:
            return item.category
        return FAILS if known[2] else REWRITES_NONE

    def rewrites(self, item: Difference) -> str:
        """The same with the number of rows that the change rewrites, or of records it maps
        differently, where that is known.
        """
        known = self._known(item)
        if known is None:
            return item.category
        rewritten, differing, failing = known
        parts = (
            [f"rewrites {counted(rewritten, 'record')}"] if rewritten else []
        )
        if failing:
            parts.append(f"makes {counted(failing, 'record')} fail")
        if parts:
            return ", ".join(parts)
        if differing:
            return f"maps {counted(differing, 'record')} differently, rewrites none"
        return REWRITES_NONE

    def _known(self, item: Difference) -> tuple[int, int, int] | None:
        """How many staged records a changed field rewrites, how many it maps differently, and how
        many fail for it now.
        """
        if self.effects is None or item.weight != "data":
            return None
        if not item.name.startswith("fields."):
            return None
        name = item.name.removeprefix("fields.")
        for effect in self.effects:
            if effect.object == item.area:
                counts = (effect.fields, effect.differing, effect.spoilt)
                rewritten, differing, failing = (by[name] for by in counts)
                return rewritten, differing, failing
        return 0, 0, 0

    @property
    def touched(self) -> list[Effect]:
        """The effects on objects of which anything differs."""
        return [
            item for item in self.effects or () if item.changed or item.gone
        ]


def as_data(compared: Compared) -> dict[str, Any]:
    """The comparison for --json."""
    return {
        "old": compared.old,
        "new": compared.new,
        "differences": [
            msgspec.to_builtins(item) | {"category": compared.rewrites(item)}
            for item in compared.differences
        ],
        "effects": (
            None
            if compared.effects is None
            else [_effect_data(item) for item in compared.effects]
        ),
        "notes": list(compared.notes),
    }


def _effect_data(item: Effect) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return plain


def as_lines(compared: Compared) -> Iterator[str]:
    """The comparison for a terminal."""
    if not compared.differences:
        yield "no difference in meaning"
    headings = {
        at: compared.heading(item)
        for at, item in enumerate(compared.differences)
    }
    for heading in dict.fromkeys(headings.values()):
        yield f"{heading}:"
        for at, item in enumerate(compared.differences):
            if headings[at] == heading:
                yield from _lines(item, compared)
    yield from _effect_lines(compared)
    yield from compared.notes


def _lines(item: Difference, compared: Compared) -> Iterator[str]:
    weight = compared.rewrites(item)
    yield clean(f"  {_MARKS[item.kind]} {item.title}") + (
        f"  ({weight})" if weight != compared.heading(item) else ""
    )
    for at, before, after in item.details:
        place = f"{at}: " if at else ""
        if "\n" in before + after or at.startswith("template line"):
            yield clean(f"      {at}")
            yield from (
                clean(f"      - {line}") for line in before.splitlines()
            )
            yield from (clean(f"      + {line}") for line in after.splitlines())
        else:
            yield clean(f"      {place}{_arrow(before, after)}")


def _arrow(before: str, after: str) -> str:
    return f"{before or '(nothing)'} → {after or '(nothing)'}"


def _effect_lines(compared: Compared) -> Iterator[str]:
    if compared.effects is None:
        yield "effect: unknown, nothing is staged yet (etl audit SPEC reads the source)"
        return
    if compared.differences:
        told = _summary(compared.touched)
        yield f"effect on staged records, by the next delta: {told}"
    for item in compared.touched:
        yield clean(f"  {item.label}: {_counts(item)}")
        yield from (
            clean(f"      {text}")
            for text in [*_failures(item), *_fields(item)]
        )
        yield from (
            clean(
                f"      {sample.key} {sample.field}: {_arrow(*_values(sample))}"
            )
            for sample in item.examples
        )


def _summary(effects: Sequence[Effect]) -> str:
    failing = sum(item.failing for item in effects)
    rewritten = sum(item.rewritten for item in effects)
    changed = sum(item.changed for item in effects)
    told = f"{rewritten:,} rewritten"
    if not effects:
        told = "none is mapped differently"
    if changed and not rewritten:
        told = f"{changed:,} mapped differently, none rewritten"
    return f"{told}, {failing:,} will fail" if failing else told


def _counts(item: Effect) -> str:
    counts = [
        f"{item.changed:,} of {counted(item.records, 'record')} mapped differently",
        f"{item.rewritten:,} rewritten",
    ]
    if not item.changed:  # an object that is left out
        counts = []
    counts += [
        f"{many:,} {word}"
        for word, many in (
            ("to create", item.created),
            ("failing", item.failing),
        )
        if many
    ]
    return ", ".join(
        counts
        + (
            [f"{item.gone:,} rows no longer mapped, kept as they are"]
            if item.gone
            else []
        )
    )


def _failures(item: Effect) -> list[str]:
    return [
        f"fails, such as {key}: {reason}"
        for reason, key in item.reasons.items()
    ]


def _fields(item: Effect) -> list[str]:
    return (
        [
            ", ".join(
                f"{name} {many:,}" for name, many in item.fields.most_common()
            )
        ]
        if item.fields
        else []
    )


def _values(example: Example) -> tuple[str, str]:
    return apart(value_text(example.before), value_text(example.after), _CELL)


def as_markdown(compared: Compared) -> Iterator[str]:
    """The comparison as a comment on a review."""
    yield f"### Mapping changes: {_inline(compared.old)} → {_inline(compared.new)}"
    yield ""
    if not compared.differences:
        yield "No difference in meaning: nothing in the data changes."
        return
    yield "| | what | before | after | category |"
    yield "|---|---|---|---|---|"
    for item in compared.differences:
        for at, before, after in item.details:
            where = f"{item.title} {at}".strip()
            yield (
                f"| {_MARKS[item.kind]} | {_cell(where)} | {_cell(before)} |"
                f" {_cell(after)} | {compared.rewrites(item)} |"
            )
    yield ""
    yield from _effect_markdown(compared)
    for note in compared.notes:
        yield f"> {note}"


def _effect_markdown(compared: Compared) -> Iterator[str]:
    if compared.effects is None:
        yield "Effect unknown: nothing is staged yet."
        return
    yield f"**Records, by the next delta: {_summary(compared.touched)}**"
    yield ""
    for item in compared.touched:
        yield f"<details><summary>{_escape(item.label)}: {_counts(item)}</summary>"
        yield ""
        yield from (f"- {_inline(text)}" for text in _failures(item))
        yield ""
        if item.examples:
            yield from _example_table(item.examples)
        yield "</details>"
        yield ""


def _example_table(examples: Sequence[Example]) -> Iterator[str]:
    yield "| record | field | before | after |"
    yield "|---|---|---|---|"
    for sample in examples:
        before, after = _values(sample)
        yield (
            f"| {_cell(sample.key)} | {_cell(sample.field)} | {_cell(before)} | {_cell(after)} |"
        )
    yield ""


def _cell(text: str) -> str:
    """A text in a cell of a table, never taken for markup."""
    return _inline(text) if text else ""


def _inline(text: str) -> str:
    """Code in Markdown; longer fences where the text holds backticks, no line breaks, bars
    escaped.
    """
    flat = clean(" ".join(text.split())).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in _backticks(flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def _backticks(text: str) -> list[str]:
    return [
        run
        for run in "".join(
            char if char == "`" else " " for char in text
        ).split()
        if run
    ]


_ENTITIES: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _escape(text: str) -> str:
    return "".join(_ENTITIES.get(char, char) for char in clean(text))
