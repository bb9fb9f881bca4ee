"""What a batch of records will look at, read in a few statements and remembered.

An evaluation asks for one record at a time. What its own record's fields lead to is known before:
it is fetched for many records at once, and found in memory when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import sqlalchemy as sa

from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping, Path
from engine.mapping.evaluate import LookupContext, Query, Source, looked_at
from engine.store.records import many, pointers
from engine.values import grouped

AT_ONCE = 100  # records: with all they look at, they must fit in the memory


def look_ahead(
    connection: sa.Connection,
    memory: MutableMapping[Any, Any],
    mapping: ObjectMapping,
    sources: Sequence[Source],
    sight: LookupContext,
) -> None:
    """Put into memory what the drafts of these records may ask for."""
    by_field = [
        (item, item.by)
        for item in lookups(mapping)
        if item.on and isinstance(item.by, Path)
    ]
    wanted = {
        item
        for source in sources
        for item in looked_at(mapping, source, sight, by_field)
    }
    queries = [item for item in wanted if isinstance(item, tuple)]
    hits = _hits(
        connection, [item for item in queries if _place(item) not in memory]
    )

    children = many(
        connection, list({key for some in hits.values() for key in some})
    )
    memory.update((key, record.body) for key, record in children.items())
    for query, found in hits.items():
        memory[_place(query)] = [
            (key, children[key].body) for key in found if key in children
        ]

    keys = {item for item in wanted if isinstance(item, str)}
    fresh = [key for key in keys if key not in memory]
    read = many(connection, fresh, gone=True)
    memory.update(
        (key, read[key].body if key in read else None) for key in fresh
    )


def _place(query: Query) -> tuple[str, ...]:
    """Under what a query is remembered."""
    collection, field, targets = query
    return (collection, field, *targets)


def _hits(
    connection: sa.Connection, queries: Iterable[Query]
) -> dict[Query, list[str]]:
    """The keys that each query finds, in the order that the records were read in."""
    asked = grouped((query[:2], query) for query in queries)
    found: dict[Query, list[str]] = {}
    for (collection, field), alike in asked.items():
        targets = dict.fromkeys(
            target for query in alike for target in query[2]
        )
        places = pointers(connection, collection, field, list(targets))
        for query in alike:
            rows = sorted(
                row for target in query[2] for row in places.get(target, ())
            )
            found[query] = list(dict.fromkeys(key for _, key in rows))
    return found
