"""Rows that stand though their deletion was answered as done: an answer is no proof.

What was deleted is looked for once all of an object is done: few rows one by one, many in the
list. A command that ends before leaves it to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.connector.model import Resource
from engine.destination.rows import Row
from engine.load.outcomes import close
from engine.load.writes import Write
from engine.session import Run
from engine.store.journal import (
    Entry,
    clear_before,
    stands_again,
    unproven_deletions,
)
from engine.store.links import Link, link_of, save_link
from engine.values import grouped

FEW = 50  # rows that are read one by one rather than found in a list
STANDS = "the destination answered that it was deleted, and it is still there"


def still_there(run: Run, name: str, bodies: Mapping[str, Row]) -> set[str]:
    """The rows of a resource that two looks show: lists lag, and a read may show what is deleted.

    Few rows are read first, and a list is asked for those that are there; many are listed first.
    `bodies` are what is known of the rows, by id: a list may stand below what they name.
    """
    is_read_first = len(bodies) <= FEW
    shown = _shown(run, name, bodies, is_read_first)
    if not shown:
        return shown
    run.clock.sleep(run.destination.connector.connection.reconcile_after)
    left = {row_id: bodies[row_id] for row_id in shown}
    return _shown(run, name, left, not is_read_first and len(left) <= FEW)


def as_before(link: Link | None) -> dict[str, Any]:
    """What an intended deletion keeps of its link until the look."""
    return {"link": msgspec.to_builtins(link) if link else None}


def prove_deletions(run: Run) -> list[Entry]:
    """Look for the rows of all deletions that were answered as done since the last look. Those that
    stand have failed: their links are as before.
    """
    with run.store.begin() as connection:
        unproven = grouped(
            (entry.resource, entry) for entry in unproven_deletions(connection)
        )
    failed = []
    for name, found in unproven.items():
        standing = still_there(
            run, name, {entry.dest_id: entry.body for entry in found}
        )
        with run.store.begin() as connection:
            clear_before(connection, [entry.id for entry in found])
            for entry in found:
                # a link that stands is that of a row made since, under the same id
                is_made_anew = link_of(connection, entry.object, entry.key)
                if entry.dest_id in standing and not is_made_anew:
                    _restore(run, connection, entry)
                    failed.append(entry)
    return failed


def _restore(run: Run, connection: sa.Connection, entry: Entry) -> None:
    write = Write(
        entry.object,
        entry.key,
        entry.resource,
        "delete",
        {},
        {},
        entry=entry.id,
    )
    close(run, connection, write, "failed", STANDS)
    stands_again(connection, entry)
    if entry.before["link"]:
        save_link(connection, msgspec.convert(entry.before["link"], Link))


def _shown(
    run: Run, name: str, bodies: Mapping[str, Row], by_reading: bool
) -> set[str]:
    resource = run.resource(name)
    rows = _rows(run, resource, bodies, by_reading)
    return bodies.keys() & {
        resource.id_of(row) for row in rows if not row.get(resource.deleted)
    }


def _rows(
    run: Run, resource: Resource, bodies: Mapping[str, Row], by_reading: bool
) -> Iterator[Row]:
    """Rows among which those must be that are there."""
    ids = sorted(bodies)
    operations = resource.operations
    if "read" in operations and (by_reading or "list" not in operations):
        found = (run.destination.read(resource.name, one) for one in ids)
        yield from (row for row in found if row is not None)
    elif "list" in operations:
        yield from _listed(run, resource, bodies)


def _listed(
    run: Run, resource: Resource, bodies: Mapping[str, Row]
) -> Iterator[Row]:
    """The same, from lists: by their ids, below the parents that they name, or all there are."""
    client, name = run.destination, resource.name
    listing = resource.operations["list"]
    above = _parents(resource, bodies)
    if listing.ids and (above or not listing.ids_of):
        ids = above if listing.ids_of else sorted(bodies)
        yield from client.by_ids(name, ids)
        return
    pages = client.below(name, above) if above else rows_of(run, resource)
    for rows in pages:
        yield from rows


def _parents(resource: Resource, bodies: Mapping[str, Row]) -> list[str]:
    """The rows below which a list shows these; none where it needs none, or one is not known."""
    listing = resource.operations["list"]
    name = listing.ids_of or listing.parent_id
    found = [
        {**resource.parts_of(row_id), **body}.get(name)
        for row_id, body in bodies.items()
    ]
    return [] if None in found else sorted(set(map(str, found)))


def rows_of(run: Run, resource: Resource) -> Iterator[Sequence[Row]]:
    """A resource's rows page by page; below all parents, people's too where they are only there."""
    operation = resource.operations["list"]
    if not operation.ids_of:
        for page in run.destination.pages(resource.name):
            yield page.rows
        return
    for parent in resource.fields[operation.ids_of].to:
        for above in run.destination.pages(parent):
            ids = [run.resource(parent).id_of(row) for row in above.rows]
            yield list(run.destination.by_ids(resource.name, ids))
