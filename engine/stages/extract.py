"""Read collections of the source into the store, page by page, each row once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from engine.connector.client import Rows
from engine.errors import Forbidden, Rejected
from engine.reading import alive, as_record, entries
from engine.run import Run
from engine.spec.uses import needed
from engine.store.records import Cursor, Record, all_cursors, save_cursor, save_page, save_refs, stream
from engine.values import digest, id_in, key_of


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of one collection after a reading."""

    collection: str
    rows: int
    complete: bool
    absent: str = ""


def extract(run: Run, max_pages: int | None = None) -> dict[str, Reading]:
    """Read what the spec needs and has not been read yet; at most `max_pages` of each collection."""
    wanted = needed(run.spec)
    with run.store.begin() as connection:
        known = all_cursors(connection)
    readings = {}
    for position, (name, fields) in enumerate(wanted.items()):
        run.progress("reading the source", position, len(wanted))
        readings[name] = _collection(run, name, fields, known.get(name), max_pages)
    run.progress("reading the source", len(wanted), len(wanted))
    _rows_of_the_spec(run)
    return readings


def _collection(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor | None, max_pages: int | None) -> Reading:
    if cursor and set(fields) - set(cursor.indexed):
        cursor = index(run, name, fields, cursor)
    if cursor and (cursor.complete or cursor.absent):
        return Reading(name, cursor.rows, cursor.complete, cursor.absent)
    now = run.clock.now()
    cursor = cursor or Cursor(name, None, False, 0, now, now, fields)
    pager = run.migration.source.resources[name].operations["list"].pager
    pages = cursor.rows // ((pager and pager.size) or 500)
    if max_pages is not None and pages >= max_pages:
        return Reading(name, cursor.rows, False)
    try:
        for page in run.source.pages(name, position=cursor.position):
            cursor = _save(run, name, fields, page, cursor)
            pages += 1
            if max_pages is not None and pages >= max_pages:
                break
    except Forbidden as error:
        cursor = replace(cursor, absent=str(error))
        run.notice(f"{name} cannot be read: {error}")
        with run.store.begin() as connection:
            save_cursor(connection, cursor)
    return Reading(name, cursor.rows, cursor.complete, cursor.absent)


def _save(run: Run, name: str, fields: tuple[str, ...], page: Rows, cursor: Cursor) -> Cursor:
    found = [as_record(run, name, row) for row in alive(run, name, page.rows)]
    found = list({record.key: record for record in found}.values())
    cursor = replace(
        cursor, position=page.next, complete=page.last, rows=cursor.rows + len(found), read_at=run.clock.now(), indexed=fields
    )
    with run.store.begin() as connection:
        save_page(connection, found, entries(run, found, fields), cursor)
    return cursor


def index(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor) -> Cursor:
    """A changed spec finds records by other fields: index what is staged, without a call."""
    for batch in stream(run.store, name):
        with run.store.begin() as connection:
            save_refs(connection, entries(run, batch, fields))
    cursor = replace(cursor, indexed=tuple(sorted({*fields, *cursor.indexed})))
    with run.store.begin() as connection:
        save_cursor(connection, cursor)
    return cursor


def _rows_of_the_spec(run: Run) -> None:
    """Rows written in the spec are records like any other."""
    now = run.clock.now()
    for mapping in run.spec.active():
        if mapping.rows:
            name = mapping.sources[0]
            found = [Record(name, key_of(name, str(row["id"])), dict(row), 0, digest(row)) for row in mapping.rows]
            with run.store.begin() as connection:
                save_page(connection, found, [], Cursor(name, None, True, len(found), now, now))


def fetch(run: Run, keys: Iterable[str]) -> None:
    """Read single rows by id, for links that lead outside what was read; they are staged too."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key in keys:
        collection = key.partition("/")[0]
        try:
            row = run.source.read(collection, id_in(key))
        except Rejected as error:
            run.notice(f"{key} cannot be read: {error}")
            continue
        if row is not None:
            found.setdefault(collection, []).append(row)
    for collection, rows in found.items():
        stage(run, collection, rows)


def stage(run: Run, collection: str, rows: Iterable[dict[str, Any]]) -> None:
    """Keep rows that were read beside their list, which is still to be read to its end."""
    fields = needed(run.spec).get(collection, ())
    found = [as_record(run, collection, row) for row in alive(run, collection, rows)]
    found = list({record.key: record for record in found}.values())
    now = run.clock.now()
    with run.store.begin() as connection:
        cursor = all_cursors(connection).get(collection) or Cursor(collection, None, False, 0, now, now, fields)
        every = tuple({*fields, *cursor.indexed})
        save_page(connection, found, entries(run, found, every), cursor)


def read_list(run: Run, collection: str) -> None:
    """Read a collection to its end."""
    fields = needed(run.spec)[collection]
    with run.store.begin() as connection:
        known = all_cursors(connection)
    _collection(run, collection, fields, known.get(collection), None)
