"""Rows that stand though their deletion was answered as done: an answer is no proof.

What was deleted is looked for once all of it is done, so that it costs a look at the lists and no
call a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from engine.connector.model import Resource
from engine.destination.rows import Row
from engine.load.outcomes import close
from engine.load.writes import Write
from engine.session import Run
from engine.store.journal import Entry, deletions_of_rows
from engine.store.links import Link, save_link

FEW = 50  # rows that are read one by one rather than found in a list
STANDS = "the destination answered that it was deleted, and it is still there"


def still_there(run: Run, name: str, ids: Collection[str]) -> set[str]:
    """The rows of a resource that two looks show: lists lag, and a read may show what is deleted.

    Few rows are read first, and a list is asked for those that are there; many are listed first.
    """
    if not ids:
        return set()
    is_read_first = len(ids) <= FEW
    shown = _shown(run, name, ids, is_read_first)
    if not shown:
        return shown
    run.clock.sleep(run.destination.connector.connection.reconcile_after)
    return _shown(run, name, shown, not is_read_first and len(shown) <= FEW)


def as_before(link: Link | None) -> dict[str, Any]:
    """What an intended deletion keeps of its link."""
    return {"link": msgspec.to_builtins(link)} if link else {}


def restore_links(run: Run, name: str, ids: Collection[str]) -> list[Entry]:
    """Deletions that had no effect: they have failed, and the links stand as they were."""
    standing = still_there(run, name, ids)
    with run.store.begin() as connection:
        found = deletions_of_rows(connection, name, sorted(standing))
        for entry in found:
            write = Write(
                entry.object, entry.key, name, "delete", {}, {}, entry=entry.id
            )
            close(run, connection, write, "failed", STANDS)
            if entry.before:
                link = msgspec.convert(entry.before["link"], Link)
                save_link(connection, link)
    return found


def _shown(
    run: Run, name: str, ids: Collection[str], by_reading: bool
) -> set[str]:
    resource = run.resource(name)
    rows = _rows(run, resource, sorted(ids), by_reading)
    return {
        resource.id_of(row) for row in rows if not row.get(resource.deleted)
    } & set(ids)


def _rows(
    run: Run, resource: Resource, ids: list[str], by_reading: bool
) -> Iterator[Row]:
    """Rows among which those must be that are there."""
    listing = resource.operations.get("list")
    can_read = "read" in resource.operations
    if can_read and (by_reading or listing is None):
        found = (run.destination.read(resource.name, one) for one in ids)
        yield from (row for row in found if row is not None)
    elif listing is not None and listing.ids and not listing.ids_of:
        yield from run.destination.by_ids(resource.name, ids)
    elif listing is not None:
        for rows in rows_of(run, resource):
            yield from rows


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
