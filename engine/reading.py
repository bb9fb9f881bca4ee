"""A source row as a record, and whom it points at; shared by the first reading and every later one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import UnsafePlan
from engine.mapping.project import any_key
from engine.run import Run
from engine.store.records import Record
from engine.values import dig, digest, segments, well_formed


def as_record(run: Run, collection: str, row: Mapping[str, Any]) -> Record:
    """A row with its key; a composite key ("a+b") joins its parts."""
    parts = run.migration.source.resources[collection].id.split("+")
    values = [row.get(part) for part in parts]
    if any(value is None for value in values):
        raise UnsafePlan(f"a row of {collection} has no {'+'.join(parts)}: it cannot be told apart – check the connector")
    whole = well_formed(dict(row))
    return Record(collection, f"{collection}/{'+'.join(map(str, values))}", whole, 0, digest(whole))


def entries(run: Run, found: Iterable[Record], fields: tuple[str, ...]) -> list[tuple[str, str, str, str]]:
    """Who points at whom through the given fields."""
    pattern = run.migration.source.reference.pattern
    result = []
    for record in found:
        for name in fields:
            value = dig(record.body, segments(name))
            if value is not None:
                result.append((record.collection, name, any_key(value, pattern) or str(value), record.key))
    return result
