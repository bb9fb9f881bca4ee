"""A source row as a record, and whom it points at; rows since a moment: shared by the first reading and every later one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.connector.client import Client, silence
from engine.connector.model import Operation, Resource, join_id
from engine.errors import Rejected, UnsafePlan
from engine.mapping.project import any_key
from engine.run import Run
from engine.store.records import Record
from engine.values import dig, digest, id_in, is_empty, is_yes, key_of, segments, well_formed, word

_STYLES = {
    "rfc3339": "%Y-%m-%dT%H:%M:%SZ",
    "space": "%Y-%m-%d %H:%M:%S",
    "basic_offset": "%Y-%m-%dT%H:%M:%S+0000",
    "date": "%Y-%m-%d",
}


def as_record(run: Run, collection: str, row: Mapping[str, Any]) -> Record:
    """A row with its key; a composite key ("a+b") joins its parts."""
    key = row_key(run.migration.source.resources[collection], row)
    whole = well_formed(dict(row))
    return Record(collection, key, whole, 0, digest(whole))


def row_key(kind: Resource, row: Mapping[str, Any]) -> str:
    """The key of a row; raises UnsafePlan where a field of its id holds no plain value."""
    if not has_key(kind, row):
        raise UnsafePlan(f"a row of {kind.name} has no {kind.id}: it cannot be told apart – check the connector")
    return key_of(kind.name, join_id([word(row[name]) for name in kind.id_fields]))


def has_key(kind: Resource, row: Mapping[str, Any]) -> bool:
    """Whether each field of a row's id holds a plain value."""
    values = [row.get(name) for name in kind.id_fields]
    return not any(isinstance(value, dict | list | bool) or is_empty(value) for value in values)


def alive(run: Run, collection: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that do not say of themselves that they are deleted; some lists show those too."""
    deleted = run.migration.source.resources[collection].deleted
    return [row for row in rows if not (deleted and is_yes(row.get(deleted)))]


def is_gone(run: Run, name: str, key: str) -> bool:
    """Whether a row that its list no longer holds is deleted in the source.

    One that nobody may look at is not, which is reported; one that cannot be read by itself is.
    """
    if "read" not in run.migration.source.resources[name].operations:
        return True
    try:
        row = run.source.read(name, id_in(key))
    except Rejected as error:
        run.notice(
            f"{key} is no longer listed and cannot be read, so it is not taken for deleted: {error}"
        )
        return False
    return row is None or not alive(run, name, [row])


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


def recent(
    client: Client, resource: Resource, since: float, proof: bool = False
) -> Iterator[list[dict[str, Any]]]:
    """Pages that hold every row made or changed since a moment: filtered, newest first, or all.

    With `proof`, raises Unavailable for a page without a body: it does not show what is not there.
    """
    operation = resource.operations["list"]
    params = filtered(operation, since)
    newest = bool(operation.newest_first) and not operation.since
    for page in client.pages(resource.name, params, newest_first=newest):
        if proof and page.silent:
            raise silence(client.connector.title, resource.name)
        yield page.rows
        if newest and reaches(page.rows, resource.created, since):
            return


def rows_below(
    client: Client, resource: Resource, parents: Sequence[str]
) -> Iterator[list[dict[str, Any]]]:
    """Rows that only the lists of their parents show: many parents a call, or several at a time."""
    if resource.operations["list"].ids_of:
        yield list(client.by_ids(resource.name, list(parents)))
    else:
        yield from client.below(resource.name, parents, proof=True)


def rows_now(
    client: Client, resource: Resource, bodies: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Rows by id; through the parents their bodies name where the platform lists them only there.

    A row that a list does not show is read by itself, where it can be: lists may lag behind.
    """
    listing = resource.operations.get("list")
    ids = set(bodies)
    if listing and listing.ids_of:
        ids = {str(body[listing.ids_of]) for body in bodies.values() if body.get(listing.ids_of)}

    found = {resource.id_of(row): row for row in client.by_ids(resource.name, sorted(ids))}
    if "read" in resource.operations and listing and listing.ids:
        for row_id in sorted(bodies.keys() - found.keys()):
            row = client.read(resource.name, row_id)
            if row is not None:
                found[row_id] = row
    return found


def reaches(rows: Iterable[Mapping[str, Any]], name: str, since: float) -> bool:
    """Whether a page of a list, newest first, holds a row older than the moment; one without a stamp tells nothing."""
    bound = stamp(since, "space")
    stamps = (str(row.get(name) or "").replace("T", " ")[:19] for row in rows)
    return any(text and text < bound for text in stamps)


def filtered(operation: Operation, since: float) -> dict[str, str]:
    """What asks a list for the rows changed since a moment; nothing where it cannot be asked so."""
    text = operation.since_form.replace("{}", stamp(since, operation.since_style))
    return {operation.since: text} if operation.since else {}


def stamp(seconds: float, style: str) -> str:
    """An instant as a filter wants it; UTC."""
    if style in ("epoch", "epoch_ms"):
        return str(int(seconds * (1000 if style == "epoch_ms" else 1)))
    return datetime.fromtimestamp(seconds, UTC).strftime(_STYLES[style])
