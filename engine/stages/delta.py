"""What changed in the source since the last reading: changed and new rows, and rows that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Forbidden, Rejected, UnsafePlan
from engine.reading import as_record, entries
from engine.run import Run
from engine.settle import stamp
from engine.spec.model import ObjectMapping
from engine.spec.uses import needed
from engine.store.links import Finding, Link, clear_findings, links_of, save_findings
from engine.store.records import Cursor, Record, all_cursors, gone_keys, live_keys, many, mark_gone, save_page
from engine.write import Write, write_all

OVERLAP = 300.0  # seconds the window reaches back: clocks differ, and the bound may be exclusive
GONE = 0.5  # share of a collection that may be gone before it is taken for a fault


@dataclass(frozen=True, slots=True)
class Changes:
    """What a delta reading of one collection brought."""

    collection: str
    how: str  # filter, newest first, full
    changed: int
    new: int
    gone: int = 0


def read_changes(run: Run) -> list[Changes]:
    """Read what changed in every collection the spec reads, at the least number of calls."""
    with run.store.begin() as connection:
        known = all_cursors(connection)
    wanted = needed(run.spec)
    found = []
    for position, (name, fields) in enumerate(wanted.items()):
        run.progress("reading changes", position, len(wanted))
        cursor = known.get(name)
        if cursor is None or not cursor.complete or cursor.absent:
            continue  # not read yet: the ordinary reading takes care of it
        found.append(_collection(run, name, fields, cursor))
    run.progress("reading changes", len(wanted), len(wanted))
    return found


def _collection(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor) -> Changes:
    operation = run.migration.source.resources[name].operations["list"]
    fields = tuple(sorted({*fields, *cursor.indexed}))
    started = run.clock.now()
    how = "filter" if operation.since else "newest first" if operation.newest_first else "full"
    try:
        changed, new = _take(run, name, fields, cursor, started, how)
    except Forbidden:
        return Changes(name, how, 0, 0)
    except Rejected:
        # The filter is refused for this collection, whatever the connector says.
        how = "newest first" if operation.newest_first else "full"
        changed, new = _take(run, name, fields, cursor, started, how)
    return Changes(name, how, changed, new)


def _take(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor, started: float, how: str) -> tuple[int, int]:
    """Stage what differs from what is known; the watermark moves with the last page, in its transaction."""
    changed = new = 0
    for rows, last in _pages(run, name, cursor, how):
        found = [as_record(run, name, row) for row in rows]
        with run.store.begin() as connection:
            before = many(connection, [record.key for record in found])
            fresh = [record for record in found if record.key not in before]
            differ = [record for record in found if record.key in before and before[record.key].digest != record.digest]
            moved = replace(cursor, started=started, rows=cursor.rows + len(fresh)) if last else cursor
            take = fresh + differ
            save_page(connection, take, entries(run, take, fields), replace(moved, read_at=run.clock.now()))
        cursor = moved if last else cursor
        changed, new = changed + len(differ), new + len(fresh)
        if how == "newest first" and _all_known(run, name, found, cursor):
            with run.store.begin() as connection:
                save_page(connection, [], [], replace(cursor, started=started, rows=cursor.rows + new, read_at=run.clock.now()))
            break
    return changed, new


def _pages(run: Run, name: str, cursor: Cursor, how: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    operation = run.migration.source.resources[name].operations["list"]
    params = {operation.since: stamp(cursor.started - OVERLAP, operation.since_style)} if how == "filter" else {}
    for page in run.source.pages(name, params, newest_first=how == "newest first"):
        yield page.rows, page.last


def _all_known(run: Run, name: str, found: list[Record], cursor: Cursor) -> bool:
    """Whether a newest-first page reached rows older than the last reading."""
    modified = run.migration.source.resources[name].modified
    bound = stamp(cursor.started - OVERLAP, "space")
    stamps = [str(record.body.get(modified) or "").replace("T", " ")[:19] for record in found]
    return bool(stamps) and min(stamps) < bound


def find_gone(run: Run) -> list[Changes]:
    """Rows that are no longer listed: id sets compared, each missing row confirmed by reading it.

    Raises UnsafePlan where so many are missing that the reading itself is in doubt.
    """
    found = []
    mapped = {name for mapping in run.spec.active() for name in mapping.sources if not name.startswith("$")}
    for position, name in enumerate(sorted(mapped)):
        run.progress("looking for deleted rows", position, len(mapped))
        listed = {as_record(run, name, row).key for row in run.source.rows(name)}
        with run.store.begin() as connection:
            missing = [key for key in live_keys(connection, name) if key not in listed]
            total = len(listed) + len(missing)
        if len(missing) > 10 and len(missing) > GONE * total:
            raise UnsafePlan(f"{len(missing)} of {total} {name} are no longer listed – is this the right account?")
        gone = [key for key in missing if _is_gone(run, name, key)]
        with run.store.begin() as connection:
            mark_gone(connection, gone)
        found.append(Changes(name, "id sets", 0, 0, len(gone)))
    return found


def _is_gone(run: Run, name: str, key: str) -> bool:
    row = run.source.read(name, key.partition("/")[2])
    deleted = run.migration.source.resources[name].deleted
    return row is None or bool(deleted and row.get(deleted))


def apply_deletions(run: Run) -> int:
    """Follow each object's policy for rows deleted in the source: report them, or delete their rows too."""
    deleted = 0
    for mapping in reversed(run.spec.active()):
        gone = _linked_and_gone(run, mapping)
        if mapping.on_delete == "delete":
            writes = [Write(link.object, link.key, link.resource, "delete", {}, {}, link.dest_id) for link in gone]
            deleted += write_all(run, writes)["done"]
        with run.store.begin() as connection:
            clear_findings(connection, "delta", mapping.name)
            if mapping.on_delete == "report":
                save_findings(
                    connection,
                    [
                        Finding(mapping.name, link.key, "delta", "", "attention", "deleted in the source; kept in the destination")
                        for link in gone
                    ],
                )
    return deleted


def _linked_and_gone(run: Run, mapping: ObjectMapping) -> list[Link]:
    """Links of an object whose record was deleted in the source."""
    found: list[Link] = []
    with run.store.begin() as connection:
        for name in mapping.sources:
            gone = gone_keys(connection, name)
            found += links_of(connection, mapping.name, gone).values() if gone else []
    return found
