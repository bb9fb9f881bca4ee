"""What the rows of the source show besides what is migrated: marks, what to know, fields that
nobody declared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.times import is_marked
from engine.extract.audit import Unmapped
from engine.language.dependencies import by_source, fields_read
from engine.session import Run
from engine.store.records import (
    Record,
    all_counts,
    all_cursors,
    stream,
    tally_of,
)
from engine.values import Segments, dig, is_empty, segments


class Undeclared(msgspec.Struct, frozen=True):
    """A field of rows that the connector does not declare, such as a custom property."""

    collection: str
    field: str
    rows: int
    filled: int


class Marked(msgspec.Struct, frozen=True):
    """How many rows of a collection have a mark, as inactive, archived or deleted; whether they
    are left out of the migration.
    """

    collection: str
    kind: str
    rows: int
    left_out: bool


class Known(msgspec.Struct, frozen=True):
    """What a connector says that people should know, with the counts that show how much it
    concerns: None where nothing was counted.
    """

    platform: str
    text: str
    rows: tuple[tuple[str, int | None], ...] = ()


def count_marked(run: Run) -> list[Marked]:
    """Count the rows that are deleted, inactive or archived, by what they say of themselves."""
    found = []
    made = by_source(run.spec.active())
    for name in fields_read(run.spec):
        resource = run.migration.source.resources[name]
        with run.store.begin() as connection:
            deleted = tally_of(connection, name).deleted
        marks = Counter({"deleted": deleted})
        told = {
            mark: segments(field)
            for mark, field in resource.marks.items()
            if mark in resource.flags or mark in run.spec.take
        }
        for batch in stream(run.store, name) if told else ():
            marks.update(_marks_of(batch, told))
        found += [
            Marked(name, mark, many, _is_left_out(run, mark, name in made))
            for mark, many in marks.items()
            if many
        ]
    return found


def _marks_of(
    batch: Iterable[Record], told: Mapping[str, Segments]
) -> Iterator[str]:
    for record in batch:
        for mark, place in told.items():
            if is_marked(dig(record.body, place)):
                yield mark


def left_behind(run: Run, unmapped: Iterable[Unmapped]) -> Iterator[Unmapped]:
    """What is not migrated, but for rows that are counted by their marks: of collections with
    others, it says how many those are.
    """
    for item in unmapped:
        many = _any_mark(run, item.collection) if item.not_taken else 0
        if many and many < item.rows:
            more = f"; {many:,} of them are marked, and counted as such"
            yield structs.replace(item, reason=item.reason + more)
        elif not many:
            yield item


def _any_mark(run: Run, name: str) -> int:
    """How many rows of a collection have a mark by which they are left out."""
    flags = run.migration.source.resources[name].flags.items()
    told = {
        mark: segments(field)
        for mark, field in flags
        if mark not in run.spec.take
    }
    if not told:
        return 0
    return sum(
        any(_marks_of([record], told))
        for batch in stream(run.store, name)
        for record in batch
    )


def _is_left_out(run: Run, mark: str, is_mapped: bool) -> bool:
    """Whether rows with a mark are left out; what is only linked to is read like other rows."""
    return mark not in run.spec.take and (is_mapped or mark == "deleted")


def to_know(run: Run) -> list[Known]:
    """What both connectors say that people should know; that of the source with its counts."""
    source, destination = run.migration.source, run.migration.destination
    places = {place for item in source.to_know for place in item.rows}
    counts = _counts(run, sorted(places))
    known = [
        Known(
            source.title,
            item.text,
            tuple((place, counts[place]) for place in item.rows),
        )
        for item in source.to_know
    ]
    return known + [
        Known(destination.title, item.text) for item in destination.to_know
    ]


def _counts(run: Run, places: Iterable[str]) -> dict[str, int | None]:
    """The rows of collections, and those that fill `collection.field`, as far as they were read to
    their end.
    """
    with run.store.begin() as connection:
        counted = all_counts(connection)
        read = {
            name: cursor.rows
            for name, cursor in all_cursors(connection).items()
            if cursor.complete
        }
    known = {name: rows for name, rows in counted.items() if rows >= 0} | read
    found: dict[str, int | None] = {}
    for place in places:
        name, _, field = place.partition(".")
        if not field:
            found[place] = known.get(name)
        elif name in read:
            found[place] = _filled(run, name, field)
        else:
            found[place] = None
    return found


def _filled(run: Run, name: str, field: str) -> int:
    """How many rows of a collection fill a field."""
    place = segments(field)
    return sum(
        not is_empty(dig(record.body, place))
        for batch in stream(run.store, name)
        for record in batch
    )


def _with_custom(body: dict[str, Any], inside: str) -> dict[str, Any]:
    """A row with its custom fields beside the others, where they stand in an object."""
    held = dig(body, segments(inside)) if inside else None
    return body | held if isinstance(held, dict) else body


def count_undeclared(run: Run) -> list[Undeclared]:
    """The fields of rows that the connector does not declare, with how many rows fill them."""
    found = []
    for name in fields_read(run.spec):
        resource = run.migration.source.resources[name]
        inside = resource.custom.container if resource.custom else ""
        known = {*resource.fields, inside.partition(".")[0]}
        rows: Counter[str] = Counter()
        filled: Counter[str] = Counter()
        for batch in stream(run.store, name):
            for record in batch:
                body = _with_custom(record.body, inside)
                others = body.keys() - known
                rows.update(others)
                filled.update(key for key in others if not is_empty(body[key]))
        found += [
            Undeclared(name, key, many, filled[key])
            for key, many in sorted(rows.items())
        ]
    return found
