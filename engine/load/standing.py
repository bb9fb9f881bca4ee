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

FEW = 20  # rows that are read one by one rather than found in a list
STANDS = "the destination answered that it was deleted, and it is still there"


def still_there(run: Run, name: str, ids: Collection[str]) -> set[str]:
    """The rows of a resource that are still shown; a list that lags is asked once more."""
    shown = _shown(run, name, ids) if ids else set()
    if not shown:
        return shown
    run.clock.sleep(run.destination.connector.connection.reconcile_after)
    return _shown(run, name, shown)


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


def _shown(run: Run, name: str, ids: Collection[str]) -> set[str]:
    resource = run.resource(name)
    return {
        resource.id_of(row)
        for row in _rows(run, resource, ids)
        if not row.get(resource.deleted)
    } & set(ids)


def _rows(run: Run, resource: Resource, ids: Collection[str]) -> Iterator[Row]:
    """Rows among which those must be that are there: read at the least number of calls."""
    listing = resource.operations.get("list")
    by_ids = listing is not None and listing.ids and not listing.ids_of
    if by_ids or (len(ids) <= FEW and "read" in resource.operations):
        yield from run.destination.by_ids(resource.name, sorted(ids))
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
