"""Rows that are there already: which drafts they stand for, found before anything is made twice.

Three ways, by object: rows that carry our key in a field the account had before this store; rows
that agree in the fields of `match`; and, where the store knows nothing of an object though rows
around it are found to be ours, rows that hold what would be sent. What people may have made
themselves is adopted as `matched`: a rollback keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa

from engine.destination.match import (
    RECOGNISE,
    Rule,
    Wanted,
    agreeing,
    by_key,
    exact_token,
    field_values,
    match,
    tokens,
)
from engine.destination.natural_key import natural_key_fields, wanted_of_body
from engine.destination.resolve import Resolved
from engine.destination.rows import Definitions, Row, RowCodec, codec_of
from engine.extract.records import rows_below
from engine.language.model import ObjectMapping
from engine.plan.diff import OF_PLAN, Decision, of_plan
from engine.session import Run
from engine.store.changes import (
    add_candidates,
    adopting_rows,
    changes_of,
    count_changes,
    find_candidates,
)
from engine.store.links import (
    DEFINITIONS,
    any_links,
    link_of,
    linked_rows,
    objects_with,
)
from engine.store.tables import recall_in
from engine.values import as_link, collection_of

Way = Literal["key", "match", "recognise", ""]
# the store keeps under this name whether an object is still looked for
ADOPTING = "adopting."
OPEN, CLOSED = "open", "closed"
# by a rollback, which may have left rows that carry our keys
REOPENED = "reopened"
FOUND = ("adopted", "matched")  # origins of links to rows that were there


class Search(msgspec.Struct):
    """One plan's search for rows that are there already."""

    run: Run
    known: Definitions
    # resources whose rows are candidates by now
    read: set[str] = set()
    # whether rows of an earlier migration were found by their key
    ours: bool = False

    def codec(self, resource: str) -> RowCodec:
        """The codec of a resource as the plan sees the account."""
        return codec_of(self.run.migration.destination, resource, self.known)


class Hit(msgspec.Struct, frozen=True):
    """A row that stands for a draft; `row_id` names a row of the plan itself by `$object key`."""

    row_id: str
    row: Row
    origin: Literal["adopted", "matched"]


def way_of(search: Search, mapping: ObjectMapping) -> Way:
    """How rows of an object are looked for; "" where none can be there that the store lacks."""
    if mapping.match:
        return "match"

    connector = search.run.migration.destination
    with search.run.store.begin() as connection:
        if not _is_open(connection, mapping):
            return ""
        if mapping.key_field:
            return "key" if _key_was_there(connection, mapping) else ""
    fields = natural_key_fields(
        connector, connector.resources[mapping.resource]
    )
    return "recognise" if fields else ""


def _is_open(connection: sa.Connection, mapping: ObjectMapping) -> bool:
    """Whether rows of the object may be in the account without the store knowing them."""
    state = recall_in(connection, ADOPTING + mapping.name)
    if state:
        return state != CLOSED
    return not any_links(connection, mapping.name)


def _key_was_there(connection: sa.Connection, mapping: ObjectMapping) -> bool:
    """Whether the account had our key field before this store made one, or before a rollback: where
    people merged rows of ours into theirs, these carry our keys.
    """
    if recall_in(connection, ADOPTING + mapping.name) == REOPENED:
        return True
    key = f"{mapping.resource}.{mapping.key_field}"
    found = link_of(connection, DEFINITIONS, key)
    return found is not None and found.origin != "created"


def rows_by_key(
    search: Search, mapping: ObjectMapping
) -> Iterator[dict[str, Row]]:
    """Rows of an earlier migration by the key they carry, page by page."""
    codec = search.codec(mapping.resource)
    for page in search.run.destination.pages(mapping.resource):
        keyed = by_key(codec, mapping.key_field, page.rows)
        ours = {
            key: row
            for key, row in keyed.items()
            if collection_of(key) in mapping.sources
        }
        search.ours = search.ours or bool(ours)
        yield ours


def anything_found(search: Search) -> bool:
    """Whether rows of records were found to be there: what leans on them may be there too."""
    if search.ours:
        return True
    records = {
        item.name
        for item in search.run.spec.objects.values()
        if not item.scaffold
    }
    with search.run.store.begin() as connection:
        planned = {
            name
            for (name, change_kind) in count_changes(connection)
            if change_kind == "adopt"
        }
        found = planned | objects_with(connection, FOUND)
    return bool(found & records)


def find_rows(
    search: Search,
    mapping: ObjectMapping,
    way: Way,
    made: Mapping[str, tuple[Decision, Resolved]],
) -> dict[str, Hit]:
    """Rows that stand for drafts that would be created, by the drafts' keys."""
    if way == "match":
        return _agreeing(search, mapping, made)
    return _recognised(search, mapping, made) if way == "recognise" else {}


# -- rows that agree in the fields of `match`


def _agreeing(
    search: Search,
    mapping: ObjectMapping,
    made: Mapping[str, tuple[Decision, Resolved]],
) -> dict[str, Hit]:
    codec = search.codec(mapping.resource)
    _read(search, mapping.resource)
    wanted = [
        Wanted(
            key,
            field_values(codec, resolved.body, mapping.match),
            mapping.match,
        )
        for key, (_, resolved) in made.items()
    ]
    complete = [
        item for item in wanted if set(item.filled) == set(mapping.match)
    ]
    looked_up = [
        exact_token(codec, item.values, mapping.match, mapping.ignoring)
        for item in complete
    ]
    return _matched(
        search, mapping, complete, looked_up, agreeing(mapping.ignoring)
    )


def _matched(
    search: Search,
    mapping: ObjectMapping,
    wanted: Sequence[Wanted],
    looked_up: Sequence[str],
    rules: Sequence[Rule],
) -> dict[str, Hit]:
    """The rows among the candidates that fit, those left out that stand for others already."""
    run, codec = search.run, search.codec(mapping.resource)
    with run.store.begin() as connection:
        found = find_candidates(
            connection, mapping.resource, list(dict.fromkeys(looked_up))
        )
        rows = _free(connection, mapping, found)
    return _hits(codec, wanted, rows, rules)


def _free(
    connection: sa.Connection, mapping: ObjectMapping, rows: Mapping[str, Row]
) -> dict[str, Row]:
    """Rows that stand for no other record of the object."""
    ids = list(rows)
    taken = linked_rows(connection, mapping.resource, ids, mapping.name)
    taken |= adopting_rows(connection, mapping.name, ids)
    own = f"{OF_PLAN}{mapping.name} "
    return {
        row_id: row
        for row_id, row in rows.items()
        if row_id not in taken and not row_id.startswith(own)
    }


def _hits(
    codec: RowCodec,
    wanted: Sequence[Wanted],
    rows: Mapping[str, Row],
    rules: Sequence[Rule],
) -> dict[str, Hit]:
    ids = {id(row): row_id for row_id, row in rows.items()}
    found = match(codec, wanted, rows.values(), rules)
    return {
        key: Hit(ids[id(row)], row, "matched") for key, row in found.items()
    }


# -- rows that hold what would be sent


def _recognised(
    search: Search,
    mapping: ObjectMapping,
    made: Mapping[str, tuple[Decision, Resolved]],
) -> dict[str, Hit]:
    run, connector = search.run, search.run.migration.destination
    codec = search.codec(mapping.resource)
    wanted = []
    with run.store.begin() as connection:
        for key, (decision, resolved) in made.items():
            item = wanted_of_body(key, resolved.body, connector, codec)
            if _may_be_there(search, connection, decision, item, codec):
                wanted.append(item)
    if not wanted:
        return {}

    listing = codec.resource.operations["list"]
    if listing.ids_of or listing.parent:
        return _recognised_below(search, mapping, wanted)

    _read(search, mapping.resource)
    looked_up = [
        token
        for item in wanted
        for token in tokens(codec, item.values, item.fields)
    ]
    return _matched(search, mapping, wanted, looked_up, RECOGNISE)


def _may_be_there(
    search: Search,
    connection: sa.Connection,
    decision: Decision,
    item: Wanted,
    codec: RowCodec,
) -> bool:
    """Whether what the row would lean on is in the account; or, without such rows, our rows are."""
    body = decision.draft.body
    named = [as_link(body.get(name)) for name in item.parents(codec)]
    parents = [
        symbol
        for symbol in named
        if symbol and is_record(search.run, symbol[0])
    ]
    if not parents:
        return search.ours
    return all(_is_found(connection, *symbol) for symbol in parents)


def is_record(run: Run, name: str) -> bool:
    """Whether an object is made of records: a stage that all have left was not merged."""
    mapping = run.spec.objects.get(name)
    return mapping is not None and not mapping.scaffold


def _is_found(connection: sa.Connection, name: str, key: str) -> bool:
    """Whether a record's row was there: adopted by an earlier run or by this plan."""
    link = link_of(connection, name, key)
    if link:
        return link.origin in FOUND
    change = changes_of(connection, name, [key]).get(key)
    return change is not None and change.kind == "adopt"


def _recognised_below(
    search: Search, mapping: ObjectMapping, wanted: Sequence[Wanted]
) -> dict[str, Hit]:
    """Rows that only the lists of their parents show."""
    codec = search.codec(mapping.resource)
    listing = codec.resource.operations["list"]
    above = listing.ids_of or listing.parent_id
    parents = sorted(
        {str(item.values[above]) for item in wanted if above in item.filled}
    )
    found = rows_below(search.run.destination, codec.resource, parents)
    below = {codec.resource.id_of(row): row for page in found for row in page}
    with search.run.store.begin() as connection:
        rows = _free(connection, mapping, below)
    return _hits(codec, wanted, rows, RECOGNISE)


# -- candidates


def _read(search: Search, resource: str) -> None:
    """Keep the rows of a resource to look among; read once in a plan, however many objects ask."""
    if resource in search.read:
        return
    search.read.add(resource)
    run, codec = search.run, search.codec(resource)
    for page in run.destination.pages(resource):
        with run.store.begin() as connection:
            found = [(codec.resource.id_of(row), row) for row in page.rows]
            add_candidates(
                connection, resource, list(_tokened(search, codec, found))
            )


def offer(search: Search, mapping: ObjectMapping, key: str, body: Row) -> None:
    """Let later objects of the plan match a row that the plan makes."""
    codec = search.codec(mapping.resource)
    row = [(of_plan(mapping.name, key), body)]
    with search.run.store.begin() as connection:
        add_candidates(
            connection, mapping.resource, list(_tokened(search, codec, row))
        )


def _tokened(
    search: Search, codec: RowCodec, rows: Sequence[tuple[str, Row]]
) -> Iterator[tuple[str, str, Row]]:
    """Each row under all that it may be looked up by."""
    run, name = search.run, codec.resource.name
    matching = [
        item
        for item in run.spec.active()
        if item.resource == name and item.match
    ]
    matched = dict.fromkeys((item.match, item.ignoring) for item in matching)
    fields = natural_key_fields(run.migration.destination, codec.resource)
    for row_id, row in rows:
        found = {
            exact_token(codec, field_values(codec, row, names), names, ignoring)
            for names, ignoring in matched
        }
        found.update(
            tokens(codec, field_values(codec, row, fields), fields)
            if fields
            else ()
        )
        yield from ((token, row_id, row) for token in sorted(found))


def awaits_rows_of_the_plan(run: Run, mapping: ObjectMapping) -> bool:
    """Whether a later object may match rows that this one makes."""
    active = list(run.spec.active())
    later = active[active.index(mapping) + 1 :]
    return any(
        item.match and item.resource == mapping.resource for item in later
    )
