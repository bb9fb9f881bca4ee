"""Read collections of the source into the store, page by page, each row once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs

from engine.connector.client import Rows
from engine.connector.model import Operation
from engine.errors import Forbidden, RequestRejected
from engine.extract.records import (
    alive,
    cursors_of,
    entries,
    keyed,
    report,
    tallied,
    with_details,
)
from engine.language.dependencies import needed
from engine.session import Run
from engine.store.records import (
    READING,
    Cursor,
    Record,
    Tally,
    all_cursors,
    save_cursor,
    save_page,
    save_refs,
    save_tally,
    stream,
    tally_of,
)
from engine.values import Names, Row, collection_of, digest, id_in, key_of


class Reading(msgspec.Struct, frozen=True):
    """What is known of one collection after a reading."""

    collection: str
    rows: int
    complete: bool
    absent: str = ""


def extract(run: Run, max_pages: int | None = None) -> dict[str, Reading]:
    """Read what the spec needs and has not been read yet; at most `max_pages` of each
    collection.
    """
    wanted = needed(run.spec)
    known = cursors_of(run)
    readings = {}
    for name, fields in run.each("reading the source", wanted.items()):
        readings[name] = _collection(
            run, name, fields, known.get(name), max_pages
        )
    _rows_of_the_spec(run)
    return readings


def _collection(
    run: Run,
    name: str,
    fields: Names,
    cursor: Cursor | None,
    max_pages: int | None,
) -> Reading:
    if cursor and set(fields) - set(cursor.indexed):
        cursor = index(run, name, fields, cursor)
    if cursor and cursor.complete:
        return Reading(name, cursor.rows, True)
    now = run.clock.now()
    cursor = cursor or Cursor(name, None, False, 0, now, now, fields)
    operation = run.collection(name).listing
    if _enough(operation, cursor, 0, max_pages):
        return Reading(name, cursor.rows, False)
    cursor, tally = _resumed(run, name, cursor)
    try:
        for calls, page in enumerate(
            run.source.pages(name, position=cursor.position, doubts=True), 1
        ):
            if page.anew:
                cursor, tally = _begun_again(run, cursor, tally)
            cursor, tally = save(run, name, fields, page, cursor, tally)
            # what it came through holds it until the next one is there
            page.rows.clear()
            if _enough(operation, cursor, calls, max_pages):
                break
    except Forbidden as error:
        cursor = structs.replace(cursor, absent=str(error))
        _shut_out(run, cursor, tally)
    if tally.pages > 1:
        _note_order(run, name, operation)
    return Reading(name, cursor.rows, cursor.complete, cursor.absent)


def _note_order(run: Run, name: str, operation: Operation) -> None:
    if _by_position(operation) and not operation.stable:
        run.notice(
            f"{name} was read by position, in an order that the connector does not call"
            " stable: rows that move while people work may have slipped off a page –"
            " ask for an order and add `stable: true` to the list, or run with --delta"
            " --deletions"
        )


def _enough(
    operation: Operation, cursor: Cursor, calls: int, max_pages: int | None
) -> bool:
    """Whether a sample has read as many pages as it may; those of a counted list may be short,
    and the last shows with the next.
    """
    if max_pages is None:
        return False
    size = (operation.pager and operation.pager.size) or 500
    most = 2 * max_pages + 1 if _by_position(operation) else max_pages
    return calls >= most or cursor.rows // size >= max_pages


def _shut_out(run: Run, cursor: Cursor, tally: Tally) -> None:
    """The key has no right to the list; where some of it was read before, rows are missing."""
    run.notice(f"{cursor.collection} cannot be read: {cursor.absent}")
    with run.store.begin() as connection:
        save_cursor(connection, cursor)
        if cursor.rows:
            tally = structs.replace(
                tally,
                doubts=tally.doubts + 1,
                doubt=tally.doubt or cursor.absent,
            )
            save_tally(connection, cursor.collection, tally)
            report(connection, READING, cursor.collection, tally)


def _by_position(operation: Operation) -> bool:
    """Whether the list's position counts rows or pages: those move when rows come or go."""
    return (
        operation.pager is not None
        and operation.pager.kind in ("offset", "page")
        and not operation.parent
    )


def _resumed(run: Run, name: str, cursor: Cursor) -> tuple[Cursor, Tally]:
    """Where to go on: at the position that is known, if the page before it ends with the same
    row as it did.

    A list that the key had no right to is read anew: it may have been given since.
    """
    with run.store.begin() as connection:
        tally = tally_of(connection, name)
    if cursor.absent:
        return _begun_again(run, structs.replace(cursor, absent=""), tally)
    if cursor.position is None or tally.last is None:
        return cursor, tally

    at, key = tally.last
    try:
        page = next(run.source.pages(name, position=at, doubts=True))
    except RequestRejected:
        return _begun_again(run, cursor, tally)
    found = keyed(run, name, alive(run, name, page.rows), cursor.rows)
    same = [record.key for record in found.records[-1:]] == [key]
    return (cursor, tally) if same else _begun_again(run, cursor, tally)


def _begun_again(
    run: Run, cursor: Cursor, tally: Tally
) -> tuple[Cursor, Tally]:
    """A reading from the first page on; rows that were read are known by their keys."""
    now = max(run.clock.now(), cursor.read_at)
    return structs.replace(cursor, position=None, rows=0, started=now), Tally(
        stamp=tally.stamp
    )


def save(
    run: Run,
    name: str,
    fields: Names,
    page: Rows,
    cursor: Cursor,
    tally: Tally,
) -> tuple[Cursor, Tally]:
    """Keep one page of a list: its live rows, and what the reading has shown."""
    living = alive(run, name, page.rows)
    found = keyed(run, name, living, cursor.rows)
    unique = found.unique
    cursor = structs.replace(
        cursor,
        position=page.next,
        complete=page.last,
        rows=cursor.rows + len(unique),
        indexed=fields,
        read_at=max(run.clock.now(), cursor.started),
    )
    resource = run.collection(name)
    with run.store.begin() as connection:
        tally = tallied(
            connection, resource, tally, page, found, cursor.started
        )
        deleted = tally.deleted + len(page.rows) - len(living)
        tally = structs.replace(tally, deleted=deleted)
        if found.records and _by_position(resource.listing):
            tally = structs.replace(
                tally, last=(page.at, found.records[-1].key)
            )
        save_tally(connection, name, tally)
        report(connection, READING, name, tally)
        unique = with_details(connection, resource, unique)
        save_page(connection, unique, entries(run, unique, fields), cursor)
    return cursor, tally


def index(run: Run, name: str, fields: Names, cursor: Cursor) -> Cursor:
    """A changed spec finds records by other fields: index what is staged, without a call."""
    for batch in stream(run.store, name):
        with run.store.begin() as connection:
            save_refs(connection, entries(run, batch, fields))
    cursor = structs.replace(
        cursor, indexed=tuple(sorted({*fields, *cursor.indexed}))
    )
    with run.store.begin() as connection:
        save_cursor(connection, cursor)
    return cursor


def _rows_of_the_spec(run: Run) -> None:
    """Rows written in the spec are records like any other."""
    now = run.clock.now()
    for mapping in run.spec.active():
        if mapping.rows:
            name = mapping.sources[0]
            found = [
                Record(
                    name,
                    key_of(name, str(row["id"])),
                    dict(row),
                    0,
                    digest(row),
                )
                for row in mapping.rows
            ]
            with run.store.begin() as connection:
                save_page(
                    connection,
                    found,
                    [],
                    Cursor(name, None, True, len(found), now, now),
                )


def fetch(run: Run, keys: Iterable[str]) -> None:
    """Read single rows by id, for links that lead outside what was read; they are staged too."""
    found: dict[str, list[Row]] = {}
    for key in keys:
        collection = collection_of(key)
        try:
            row = run.source.read(collection, id_in(key))
        except RequestRejected as error:
            run.notice(f"{key} cannot be read: {error}")
            continue
        if row is not None:
            found.setdefault(collection, []).append(row)
    for collection, rows in found.items():
        stage(run, collection, rows)


def stage(run: Run, collection: str, rows: Iterable[Row]) -> None:
    """Keep rows that were read beside their list, which is still to be read to its end."""
    fields = needed(run.spec).get(collection, ())
    # reading the list reports what has no id
    found = keyed(run, collection, alive(run, collection, rows), known=1).unique
    now = run.clock.now()
    with run.store.begin() as connection:
        cursor = all_cursors(connection).get(collection) or Cursor(
            collection, None, False, 0, now, now, fields
        )
        every = tuple({*fields, *cursor.indexed})
        # the list has not shown them yet
        cursor = structs.replace(cursor, read_at=cursor.started - 1)
        save_page(connection, found, entries(run, found, every), cursor)


def read_list(run: Run, collection: str) -> None:
    """Read a collection to its end."""
    fields = needed(run.spec)[collection]
    known = cursors_of(run)
    _collection(run, collection, fields, known.get(collection), None)
