"""What changed in the source since the last reading: changed and new rows, and rows that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Forbidden, Rejected, UnsafePlan
from engine.reading import alive, as_record, entries, filtered, reaches
from engine.run import Run
from engine.settle import settle_doubts
from engine.spec.model import Each, ObjectMapping
from engine.spec.uses import needed
from engine.store.links import Finding, Link, clear_findings, count_links, links_of, save_findings, stream_links
from engine.store.records import (
    Cursor,
    all_cursors,
    count,
    count_unlisted,
    gone_keys,
    many,
    mark_gone,
    note_listed,
    save_page,
    stream_unlisted,
)
from engine.touched import edited_since
from engine.values import dig, segments, word
from engine.write import Write, write_all

OVERLAP = 7200.0  # seconds the window reaches back: clocks differ, zones are mistaken, the bound may be exclusive
GONE = 0.5  # share of a collection that may be gone before it is taken for a fault
DELETED = 0.3  # share of an object's rows that may be deleted without a person saying yes
FEW = 10  # rows of a collection or an object that are no reason to ask
PASSES = 8  # times a deletion is tried again while its outcome stays unknown


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
            confirmed = [key for key in keys if _is_gone(run, name, key)]
            with run.store.begin() as connection:
                mark_gone(connection, confirmed)
            gone += len(confirmed)
        found.append(Changes(name, "id sets", 0, 0, gone))
    return found


def _is_gone(run: Run, name: str, key: str) -> bool:
    """Whether a row that its list no longer holds is deleted; one that nobody may look at is not, and one without a read is."""
    if "read" not in run.migration.source.resources[name].operations:
        return True
    try:
        row = run.source.read(name, key.partition("/")[2])
    except Rejected as error:
        run.notice(f"{key} is no longer listed and cannot be read, so it is not taken for deleted: {error}")
        return False
    return row is None or not alive(run, name, [row])


@dataclass(frozen=True, slots=True)
class Leaving:
    """What becomes of an object's rows whose records are gone: those to delete, and by key why the others stay."""

    mapping: ObjectMapping
    links: list[Link]
    stay: dict[str, str]


def leaving(run: Run, yes: bool = False) -> list[Leaving]:
    """By each object's policy, last object first. A row that people have touched since it was written, or had before, stays.

    Rows that name one that leaves let go of it when they are written. Raises UnsafePlan before anything is written
    where nobody would expect so many deletions.
    """
    active = list(reversed(run.spec.active()))
    gone = {mapping.name: _linked_and_gone(run, mapping) for mapping in active}
    if not yes:
        _guard(run, [mapping for mapping in active if mapping.on_delete == "delete"], gone)
    found = [_leaving(run, mapping, gone[mapping.name]) for mapping in active]
    run.leaving.update((link.object, link.key) for one in found for link in one.links)
    return found


def _guard(run: Run, deleting: list[ObjectMapping], gone: dict[str, list[Link]]) -> None:
    with run.store.begin() as connection:
        linked = count_links(connection)
    share = run.spec.guards.get("deletes", DELETED)
    for mapping in deleting:
        many_gone, have = len(gone[mapping.name]), linked.get(mapping.name, 0)
        if many_gone > FEW and many_gone > share * have:
            _tell(run, mapping, {link.key: "deleted in the source; its row stays until --yes" for link in gone[mapping.name]})
            raise UnsafePlan(
                f"{many_gone} of {have} {mapping.label} would be deleted, more than {share:.0%} – "
                "see which in `etl status`, then add --yes"
            )


def _leaving(run: Run, mapping: ObjectMapping, gone: list[Link]) -> Leaving:
    if mapping.on_delete != "delete" or not gone:
        return Leaving(mapping, [], {link.key: "deleted in the source; kept in the destination" for link in gone})
    reasons = edited_since(run, mapping.resource, gone)
    reasons |= {link.key: "people had it before" for link in gone if link.origin == "matched"}
    told = {key: f"deleted in the source; kept, for {reason}" for key, reason in reasons.items()}
    return Leaving(mapping, [link for link in gone if link.key not in reasons], told)


def apply_deletions(run: Run, found: list[Leaving]) -> int:
    """Delete the rows that leave, and tell of those that stay; how many went."""
    return sum(_apply(run, one) for one in found)


def _apply(run: Run, one: Leaving) -> int:
    deleted, left = 0, one.links
    for _ in range(PASSES if left else 0):
        writes = [Write(link.object, link.key, link.resource, "delete", {}, {}, link.dest_id) for link in left]
        tally = write_all(run, writes)
        deleted += tally["done"]
        if not tally["doubt"]:
            break
        deleted += settle_doubts(run)["happened"]
        left = [link for link in _linked_and_gone(run, one.mapping) if link.key not in one.stay]
    _tell(run, one.mapping, one.stay)
    return deleted


def _tell(run: Run, mapping: ObjectMapping, told: dict[str, str]) -> None:
    """What people must see about an object's deleted rows, instead of what an earlier delta said of them."""
    with run.store.begin() as connection:
        clear_findings(connection, "delta", mapping.name)
        save_findings(connection, [Finding(mapping.name, key, "delta", "", "attention", text) for key, text in told.items()])


def _linked_and_gone(run: Run, mapping: ObjectMapping) -> list[Link]:
    """Links of an object whose record, or whose element of a record's list, was deleted in the source."""
    with run.store.begin() as connection:
        gone = {key for name in mapping.sources for key in gone_keys(connection, name)}
        if not mapping.each:
            return list(links_of(connection, mapping.name, sorted(gone)).values())
    return [link for batch in stream_links(run.store, mapping.name) for link in _elements_gone(run, mapping.each, gone, batch)]


def _elements_gone(run: Run, each: Each, gone: set[str], links: list[Link]) -> Iterator[Link]:
    """Those whose record is gone, or there without them; a list that was not read, or is none, tells nothing."""
    with run.store.begin() as connection:
        found = many(connection, sorted({link.key.partition("#")[0] for link in links}))
    lists = {key: dig(record.body, each.path.segments) for key, record in found.items()}
    held = {
        key: {f"{key}#{each.name}/{word(dig(element, segments(each.key)))}" for element in elements}
        for key, elements in lists.items()
        if isinstance(elements, list)
    }
    for link in links:
        record = link.key.partition("#")[0]
        if record in gone or link.key not in held.get(record, {link.key}):
            yield link
