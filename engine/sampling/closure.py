"""Reading what sampled records need, where only the first pages of a collection were read.

A sample shows records as a full run would write them. So whatever their drafts ask for is read:
rows they name, by id; rows that point at them, below them, by a filter, or in the whole list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import structs

from engine.extract.full import fetch, read_list, stage
from engine.extract.records import cursors_of
from engine.language.dependencies import by_source
from engine.language.model import ObjectMapping
from engine.mapping.evaluate import KeyedRows, LookupContext, Source, evaluate
from engine.sampling.choose import sight_ahead
from engine.session import Run
from engine.store.records import many
from engine.values import Row, batches, collection_of, id_in, without

AT_ONCE = 200  # records looked at in one transaction
# collection, field, and the row that its rows are to point at
Pointing = tuple[str, str, str]


class Wanted(msgspec.Struct):
    """What drafts asked for and did not find, in the order they asked."""

    rows: dict[str, None] = {}  # keys
    lists: dict[Pointing, None] = {}

    def __bool__(self) -> bool:
        return bool(self.rows or self.lists)

    def without(self, done: Wanted) -> Wanted:
        """What was not asked for before."""
        return Wanted(
            without(self.rows, done.rows), without(self.lists, done.lists)
        )

    def add(self, other: Wanted) -> None:
        """Remember what has been asked for."""
        self.rows |= other.rows
        self.lists |= other.lists


def wanted_by(run: Run, keys: Iterable[str]) -> Wanted:
    """What the drafts of these records ask for in collections that were not read to their end."""
    found = Wanted()
    cursors = cursors_of(run)
    partial = {
        name
        for name in run.migration.source.resources
        if name in cursors and not cursors[name].complete
    }
    if not partial:
        return found

    makers = by_source(
        mapping for mapping in run.spec.active() if not mapping.scaffold
    )
    for part in batches(keys, AT_ONCE):
        with run.store.begin() as connection:
            sight = _watched(sight_ahead(run, connection), partial, found)
            for record in many(connection, part).values():
                source = sight.read(record)
                for mapping in makers.get(record.collection, ()):
                    _ask(mapping, source, sight)
    return found


def _ask(mapping: ObjectMapping, source: Source, sight: LookupContext) -> None:
    """Make the drafts of a record, and look at its children though no field reads them."""
    for _ in evaluate(mapping, source, sight):
        pass
    for children in mapping.children.values():
        if children.by is None:
            sight.pointing_at(
                children.source, children.on, [source.key, source.id]
            )


def _watched(
    sight: LookupContext, partial: set[str], found: Wanted
) -> LookupContext:
    """A sight that notes what is not to be seen yet."""

    def record(key: str) -> Row | None:
        row = sight.record(key)
        if row is None and collection_of(key) in partial:
            found.rows[key] = None
        return row

    def pointing_at(
        collection: str, name: str, targets: Sequence[str]
    ) -> KeyedRows:
        if collection in partial:
            found.lists[collection, name, targets[-1]] = None
        return sight.pointing_at(collection, name, targets)

    def drafted(name: str, key: str) -> bool:
        record(key.partition("#")[0])
        return sight.drafted(name, key)

    return structs.replace(
        sight, record=record, pointing_at=pointing_at, drafted=drafted
    )


def satisfy(run: Run, wanted: Wanted) -> None:
    """Read what was asked for, as directly as each collection allows."""
    whole: dict[str, None] = {}
    resources = run.migration.source.resources
    single = [
        key
        for key in wanted.rows
        if "read" in resources[collection_of(key)].operations
    ]
    whole |= {
        collection_of(key): None for key in wanted.rows if key not in single
    }
    fetch(run, single)

    below: dict[str, list[str]] = {}
    for collection, name, target in wanted.lists:
        listing = resources[collection].listing
        bare = id_in(target) or target
        if listing.parent and listing.parent_id == name:
            below.setdefault(collection, []).append(bare)
        elif name in listing.filters:
            stage(run, collection, run.source.rows(collection, {name: bare}))
        else:
            whole[collection] = None
    for collection, parents in below.items():
        for rows in run.source.below(collection, parents, doubts=True):
            stage(run, collection, rows)
    for collection in whole:
        read_list(run, collection)
