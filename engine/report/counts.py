"""What the rows of the source show besides what is migrated: marks, fields that nobody declared."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from engine.language.dependencies import fields_read
from engine.session import Run
from engine.store.records import stream, tally_of
from engine.values import dig, is_empty, is_yes, segments


class Undeclared(msgspec.Struct, frozen=True):
    """A field of rows that the connector does not declare, such as a custom property."""

    collection: str
    field: str
    rows: int
    filled: int


class Marked(msgspec.Struct, frozen=True):
    """How many rows of a collection are marked: as inactive or archived, which are records like
    others, or as deleted, which are left out.
    """

    collection: str
    kind: str
    rows: int


def count_marked(run: Run) -> list[Marked]:
    """Count the rows that are deleted, inactive or archived, by what they say of themselves."""
    found = []
    for name in fields_read(run.spec):
        marks: Counter[str] = Counter()
        with run.store.begin() as connection:
            marks["deleted"] = tally_of(connection, name).deleted
        flags = run.migration.source.resources[name].flags
        for batch in stream(run.store, name) if flags else ():
            marks.update(
                kind
                for record in batch
                for kind, field in flags.items()
                if is_yes(record.body.get(field))
            )
        found += [
            Marked(name, kind, many) for kind, many in marks.items() if many
        ]
    return found


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
