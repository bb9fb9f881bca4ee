"""Filled source fields that no mapping touches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.connector.model import Resource
from engine.language.dependencies import paths_read
from engine.language.model import ObjectMapping
from engine.store.records import Record
from engine.values import is_empty, leaves, segments


class UnmappedFields(msgspec.Struct, frozen=True):
    """Which fields of a record no object reads, and none says why it leaves them behind."""

    touched: Mapping[str, set[str]]
    # collection -> field -> whether it is left behind: a field is asked about once
    _settled: dict[str, dict[str, bool]] = {}

    def of(
        self,
        record: Record,
        kind: Resource,
        said_by: Callable[[str], Iterable[str]],
    ) -> tuple[tuple[str, Any], ...]:
        """The filled fields of a record that are left behind.

        A row's own id and its life sign are used by the engine itself; a field whose whole content
        another one that is read says as well is not left behind.
        """
        settled = self._settled.setdefault(record.collection, {})
        if not settled.keys() >= record.body.keys():
            touched = self.touched.get(record.collection, set())
            known = touched | {kind.own_field, *kind.marks.values()}
            for name in record.body.keys() - settled.keys():
                settled[name] = name not in known and known.isdisjoint(
                    said_by(name)
                )
        return tuple(
            (name, value)
            for name, value in record.body.items()
            if settled[name]
            and not all(is_empty(leaf) for _, leaf in leaves(value))
        )


def touched_fields(objects: Sequence[ObjectMapping]) -> dict[str, set[str]]:
    """Top-level source fields that any object reads or says why it ignores, by collection."""
    found: dict[str, set[str]] = {}
    for mapping in objects:
        heads = {
            str(segments(path)[0])
            for path in paths_read(mapping)
            if not path.startswith("$")
        } - mapping.beside
        for name in mapping.sources:
            found.setdefault(name, set()).update(heads, mapping.ignore)
    return found
