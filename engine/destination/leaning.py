"""Rows of people's that lean on rows which are to go: platforms may delete them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.connector.model import FieldType, Resource
from engine.destination.rows import RowCodec, codec_of, load_definitions
from engine.reading import rows_below
from engine.run import Run
from engine.store.links import links_to_rows

Rows = Sequence[dict[str, object]]


def needed_by_people(run: Run, resource: str, ids: Sequence[str]) -> dict[str, str]:
    """Those of these rows that a row of people's refers to, with the reason to keep each.

    Every list is read that may show such a row; none, where nothing is to go.
    """
    if not ids:
        return {}
    connector = run.migration.destination
    kind = connector.resources[resource]
    named = {kind.reference_to(row_id): row_id for row_id in ids}
    with run.store.begin() as connection:
        known = load_definitions(connection, connector)

    found: dict[str, str] = {}
    for name, other in connector.resources.items():
        if "list" in other.operations and _points_at(other, resource):
            codec = codec_of(connector, name, known)
            for rows in _rows(run, other, list(named)):
                found |= _leaning(run, codec, resource, named, rows)
    return found


def _points_at(kind: Resource, resource: str) -> bool:
    return any(resource in field.to for field in _fields(kind))


def _fields(kind: Resource) -> Iterator[FieldType]:
    for field in kind.fields.values():
        yield field
        yield from (field.shape or {}).values()


def _rows(run: Run, kind: Resource, parents: Sequence[str]) -> Iterator[Rows]:
    """The rows of a list; of one below parents, those below the given rows."""
    listing = kind.operations["list"]
    if listing.ids_of or listing.parent:
        yield from rows_below(run.destination, kind, parents)
        return
    for page in run.destination.pages(kind.name):
        yield page.rows


def _leaning(
    run: Run, codec: RowCodec, resource: str, named: dict[str, str], rows: Rows
) -> dict[str, str]:
    ids = [codec.resource.id_of(row) for row in rows]
    with run.store.begin() as connection:
        linked = links_to_rows(connection, codec.resource.name, ids)
    found = {}
    for row, row_id in zip(rows, ids, strict=True):
        if any(link.origin == "created" for link in linked.get(row_id, ())):
            continue
        for _, target, other in codec.references(row):
            if target == resource and other in named:
                reason = f"a row that people made needs it: {codec.resource.name} {row_id}"
                found[named[other]] = reason
    return found
