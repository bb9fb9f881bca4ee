"""What changed in the source since the last reading: changed and new rows, and rows that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Forbidden, Rejected, UnsafePlan
from engine.reading import alive, as_record, entries, filtered, is_gone, reaches
from engine.run import Run
from engine.spec.uses import needed
from engine.store.records import (
    Cursor,
    all_cursors,
    count,
    count_unlisted,
    many,
    mark_gone,
    note_listed,
    save_page,
    stream_unlisted,
)

OVERLAP = 7200.0  # seconds the window reaches back: clocks differ, zones are mistaken, the bound may be exclusive
GONE = 0.5  # share of a collection that may be gone before it is taken for a fault
FEW = 10  # rows of a collection or an object that are no reason to ask


@dataclass(frozen=True, slots=True)
class Changes:
    """What a delta reading of one collection brought."""

    collection: str
    how: str  # filter, newest first, full
    changed: int
    new: int
    gone: int = 0


def read_changes(run: Run, whole: bool = False) -> list[Changes]:
    """Read what changed in every collection the spec reads, at the least number of calls.

    With `whole`, every mapped list is read to its end: what is gone shows only there, and so do
    changes that moved no stamp and rows that slipped off a page while the first reading went on.
    """
    with run.store.begin() as connection:
        known = all_cursors(connection)
    wanted, mapped = needed(run.spec), _mapped(run)
    found = []
    for position, (name, fields) in enumerate(wanted.items()):
        run.progress("reading changes", position, len(wanted))
        cursor = known.get(name)
        if cursor is None or not cursor.complete or cursor.absent:
            continue  # not read yet: the ordinary reading takes care of it
        found.append(_collection(run, name, fields, cursor, whole and name in mapped))
    run.progress("reading changes", len(wanted), len(wanted))
    return found


def _mapped(run: Run) -> set[str]:
    return {name for mapping in run.spec.active() for name in mapping.sources if not name.startswith("$")}


def _collection(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor, whole: bool) -> Changes:
    operation = run.migration.source.resources[name].operations["list"]
    fields = tuple(sorted({*fields, *cursor.indexed}))
    started = run.clock.now()
    how = "full" if whole else "filter" if operation.since else "newest first" if operation.newest_first else "full"
    try:
        return _take(run, name, fields, cursor, started, how)
    except Forbidden:
        return Changes(name, how, 0, 0)
    except Rejected:
        # The filter is refused for this collection, whatever the connector says.
        how = "newest first" if operation.newest_first else "full"
        return _take(run, name, fields, cursor, started, how)


def _take(run: Run, name: str, fields: tuple[str, ...], cursor: Cursor, started: float, how: str) -> Changes:
    """Stage what differs from what is known; the watermark moves with the last page, in its transaction."""
    changed = new = gone = 0
    modified = run.migration.source.resources[name].modified
    for rows, last in _pages(run, name, cursor, how):
        found = [as_record(run, name, row) for row in alive(run, name, rows)]
        dead = {as_record(run, name, row).key for row in rows} - {record.key for record in found}
        with run.store.begin() as connection:
            before = many(connection, [*dead, *(record.key for record in found)])
            fresh = [record for record in found if record.key not in before]
            differ = [record for record in found if record.key in before and before[record.key].digest != record.digest]
            changed, new, gone = changed + len(differ), new + len(fresh), gone + len(dead & before.keys())
            ended = last or (how == "newest first" and reaches(rows, modified, cursor.started - OVERLAP))
            moved = replace(cursor, started=started, rows=cursor.rows + new) if ended else cursor
            take, now = fresh + differ, run.clock.now()
            save_page(connection, take, entries(run, take, fields), replace(moved, read_at=now))
            note_listed(connection, [record.key for record in found], now)
            mark_gone(connection, sorted(dead))
        if ended:
            break
    return Changes(name, how, changed, new, gone)


def _pages(run: Run, name: str, cursor: Cursor, how: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    operation = run.migration.source.resources[name].operations["list"]
    params = filtered(operation, cursor.started - OVERLAP) if how == "filter" else {}
    for page in run.source.pages(name, params, newest_first=how == "newest first"):
        yield page.rows, page.last


# -- rows that are gone


def find_gone(run: Run, yes: bool = False) -> list[Changes]:
    """Rows that a whole reading no longer listed, each confirmed by reading it.

    Raises UnsafePlan where so many are missing that the reading itself is in doubt.
    """
    with run.store.begin() as connection:
        known = all_cursors(connection)
    found, mapped = [], sorted(_mapped(run) & known.keys())
    for position, name in enumerate(mapped):
        run.progress("looking for deleted rows", position, len(mapped))
        with run.store.begin() as connection:
            missing, total = count_unlisted(connection, name, known[name].started), count(connection, name)
        if missing > FEW and missing > GONE * total and not yes:
            raise UnsafePlan(f"{missing} of {total} {name} are no longer listed – is this the right account? If so, add --yes")
        gone = 0
        for keys in stream_unlisted(run.store, name, known[name].started):
            confirmed = [key for key in keys if is_gone(run, name, key)]
            with run.store.begin() as connection:
                mark_gone(connection, confirmed)
            gone += len(confirmed)
        found.append(Changes(name, "id sets", 0, 0, gone))
    return found
