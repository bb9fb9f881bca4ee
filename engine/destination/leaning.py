"""Rows that stay and lean on rows which are to go: platforms may delete them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from engine.connector.model import Resource
from engine.destination.rows import RowCodec, codec_of, load_definitions
from engine.extract.records import recent, rows_below
from engine.session import Run
from engine.store.changes import pending_deletes
from engine.store.links import Link, draft_states, links_to_rows
from engine.values import grouped, links_in

Rows = Sequence[dict[str, object]]


def needed_by_others(
    run: Run, resource: str, ids: Sequence[str], since: float | None = None
) -> dict[str, str]:
    """Those of these rows that a row which stays refers to, with the reason to keep each.

    Those are rows of people's, rows of ours that are kept, and rows of ours whose reference cannot
    be emptied. A row that is planned to go, or to be written without the reference, is none.

    Every list is read that may show such a row; none, where nothing is to go. With `since`, a
    moment of the platform's clock, only rows that were made or changed since then are asked for.
    """
    if not ids:
        return {}
    connector = run.migration.destination
    reference_to = connector.resources[resource].reference_to
    named = {reference_to(row_id): row_id for row_id in ids}
    with run.store.begin() as connection:
        known = load_definitions(connection)

    found: dict[str, str] = {}
    for name, other in connector.resources.items():
        refers = any(
            resource in field_type.to for field_type in other.all_types()
        )
        if refers and "list" in other.operations:
            codec = codec_of(connector, name, known)
            for rows in _rows(run, other, list(named), since):
                found |= _leaning(run, codec, resource, named, rows)
    return found


def _rows(
    run: Run, resource: Resource, parents: Sequence[str], since: float | None
) -> Iterator[Rows]:
    """The rows of a list; of one below parents, those below the given rows."""
    listing = resource.operations["list"]
    if listing.ids_of or listing.parent:
        yield from rows_below(run.destination, resource, parents)
    elif since is not None:
        yield from recent(run.destination, resource, since, changed=True)
    else:
        yield from (page.rows for page in run.destination.pages(resource.name))


def _leaning(
    run: Run, codec: RowCodec, resource: str, named: dict[str, str], rows: Rows
) -> dict[str, str]:
    ids = [codec.resource.id_of(row) for row in rows]
    with run.store.begin() as connection:
        linked = links_to_rows(connection, codec.resource.name, ids)
        going, live = _ours(
            connection, [link for some in linked.values() for link in some]
        )
        meant = _meant(connection, resource, list(named.values()))

    found = {}
    for row, row_id in zip(rows, ids, strict=True):
        ours = linked.get(row_id, ())
        whose = "that is kept" if ours else "that people made"
        reason = f"a row {whose} needs it: {codec.resource.name} {row_id}"
        for field, target, other in codec.references(row):
            key = named.get(other) if target == resource else None
            if key is None or row_id in going:
                continue
            is_fixed = codec.resource.emptied(field) == "never"
            another = _means_another(ours, field, meant.get(key, frozenset()))
            if another or is_fixed or row_id not in live:
                found[key] = reason
    return found


def _meant(
    connection: sa.Connection, resource: str, ids: Sequence[str]
) -> dict[str, frozenset[tuple[str, str]]]:
    """The records that rows stand for, by the rows' ids."""
    return {
        row_id: frozenset((link.object, link.key) for link in some)
        for row_id, some in links_to_rows(connection, resource, ids).items()
    }


def _means_another(
    links: Sequence[Link], field: str, records: frozenset[tuple[str, str]]
) -> bool:
    """Whether we wrote a row to refer in this field to other records than these: what people made
    refer to one of these goes on to be written with its own reference.
    """
    named = [links_in(link.written.get(field)) for link in links]
    return any(some and records.isdisjoint(some) for some in named)


def _ours(
    connection: sa.Connection, links: Sequence[Link]
) -> tuple[set[str], set[str]]:
    """Rows of ours that are planned to go, and rows that we made and go on writing."""
    keys = grouped((link.object, link.key) for link in links)

    going, drafted = set(), set()
    for name, some in keys.items():
        going |= {
            (name, key) for key in pending_deletes(connection, name, some)
        }
        drafted |= {(name, key) for key in draft_states(connection, name, some)}
    gone = {link.dest_id for link in links if (link.object, link.key) in going}
    live = {
        link.dest_id
        for link in links
        if link.origin == "created" and (link.object, link.key) in drafted
    }
    return gone, live
