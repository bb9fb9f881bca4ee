"""What changed in the source since the last reading: changed and new rows, and rows that are
gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from engine.connector.model import Operation
from engine.errors import Forbidden, RequestRejected, UnsafePlan
from engine.extract.records import (
    alive,
    entries,
    filtered,
    is_gone,
    keyed,
    proving,
    reaches,
    report,
    tallied,
    watermark,
)
from engine.language.dependencies import needed
from engine.session import Run
from engine.store.links import clear_findings
from engine.store.records import (
    DELTA,
    FLAGS,
    READING,
    Cursor,
    Record,
    Tally,
    all_cursors,
    count,
    count_unlisted,
    many,
    mark_gone,
    note_listed,
    save_page,
    save_tally,
    stream_unlisted,
    tally_of,
)

# seconds: what is listed from now on is later than what was, whatever our clock says
TICK = 0.001
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
        if cursor is None or not cursor.complete:
            continue  # not read yet: the ordinary reading takes care of it
        found.append(_collection(run, name, fields, cursor, whole and name in mapped))
    run.progress("reading changes", len(wanted), len(wanted))
    return found


def _mapped(run: Run) -> set[str]:
    return {
        name
        for mapping in run.spec.active()
        for name in mapping.sources
        if not name.startswith("$")
    }


def _collection(
    run: Run, name: str, fields: tuple[str, ...], cursor: Cursor, whole: bool
) -> Changes:
    operation = run.migration.source.resources[name].operations["list"]
    fields = tuple(sorted({*fields, *cursor.indexed}))
    with run.store.begin() as connection:
        distrusted = tally_of(connection, name).missed
    how = "full" if whole or distrusted else _cheapest(operation)
    try:
        changes = _take(run, name, fields, cursor, how)
        left_out = _left_out(run, name) if changes.how != "full" else []
        return _compared(run, fields, changes, left_out) if left_out else changes
    except Forbidden as error:
        with run.store.begin() as connection:
            report(
                connection,
                DELTA,
                name,
                Tally(doubts=1, doubt=f"what has changed cannot be read: {error}"),
            )
        return Changes(name, how, 0, 0)
    except RequestRejected:
        # The filter is refused for this collection, whatever the connector says.
        how = "newest first" if operation.newest_first else "full"
        return _take(run, name, fields, cursor, how)


def _cheapest(operation: Operation) -> str:
    if operation.since:
        return "filter"
    return "newest first" if operation.newest_first else "full"


def _left_out(run: Run, name: str) -> list[str]:
    """The rows that the filter or the order had to bring and did not; those that are deleted
    meanwhile do not count.
    """
    with run.store.begin() as connection:
        tally = tally_of(connection, name)
        save_tally(connection, name, replace(tally, newest=()))
    if "read" not in run.migration.source.resources[name].operations:
        return [key for _, key in tally.newest]
    return [key for _, key in tally.newest if not is_gone(run, name, key)]


def _compared(
    run: Run, fields: tuple[str, ...], changes: Changes, left_out: list[str]
) -> Changes:
    """Read the list as a whole; a filter or an order that left out what is there is remembered,
    and not used again.
    """
    name = changes.collection
    with run.store.begin() as connection:
        cursor = all_cursors(connection)[name]
    found = _take(run, name, fields, cursor, "full")
    with run.store.begin() as connection:
        begun = all_cursors(connection)[name].started
    unlisted = {key for keys in stream_unlisted(run.store, name, begun) for key in keys}
    missed = sorted(set(left_out) - unlisted)
    with run.store.begin() as connection:
        kept = replace(
            tally_of(connection, name),
            missed=len(missed),
            missed_key=missed[0] if missed else "",
        )
        save_tally(connection, name, kept)
        report(connection, READING, name, kept)
    return replace(
        found,
        changed=found.changed + changes.changed,
        new=found.new + changes.new,
        gone=found.gone + changes.gone,
    )


def _take(
    run: Run, name: str, fields: tuple[str, ...], cursor: Cursor, how: str
) -> Changes:
    """Stage what differs from what is known, each page in a transaction with what the reading
    has shown.
    """
    with run.store.begin() as connection:
        earlier = tally_of(connection, name)
        if how == "full":
            clear_findings(connection, FLAGS, name)
    started, since = (
        max(run.clock.now(), cursor.read_at + TICK),
        watermark(cursor, earlier),
    )
    # told by a clock that was ahead: what it was then is not known
    if since > run.source.now():
        how = "full"
    since = since if how == "full" else proving(earlier, since)
    changes, tally = Changes(name, how, 0, 0), Tally(stamp=earlier.stamp)
    kind = run.migration.source.resources[name]
    params = filtered(kind.operations["list"], since) if how == "filter" else {}
    for page in run.source.pages(
        name, params, newest_first=how == "newest first", doubts=True
    ):
        tally = Tally(stamp=earlier.stamp) if page.anew else tally
        if page.silent and how == "full" and cursor.rows and not page.doubt:
            page = replace(
                page, doubt="an answer had no body, though rows were there before"
            )
        found, unkeyed = keyed(run, name, alive(run, name, page.rows), cursor.rows)
        shown = {record.key for record in keyed(run, name, page.rows, cursor.rows)[0]}
        dead = shown - {record.key for record in found}
        earlier = replace(
            earlier, newest=tuple(one for one in earlier.newest if one[1] not in shown)
        )
        ended = page.last or (
            how == "newest first" and reaches(page.rows, kind.modified, since)
        )
        with run.store.begin() as connection:
            tally = tallied(run, connection, name, tally, page, found, unkeyed, started)
            moved = (
                replace(cursor, started=started)
                if ended and not tally.doubts
                else cursor
            )
            moved = replace(moved, read_at=max(run.clock.now(), started))
            changes = _stage(run, connection, fields, moved, found, dead, changes)
            if ended or tally.doubts:
                _remember(connection, name, how, tally, earlier)
        if ended:
            break
    return changes


def _stage(
    run: Run,
    connection: sa.Connection,
    fields: tuple[str, ...],
    cursor: Cursor,
    found: list[Record],
    dead: set[str],
    changes: Changes,
) -> Changes:
    """One page's rows that are new or changed; those that say they are deleted are marked."""
    before = many(connection, [*dead, *(record.key for record in found)])
    fresh = list(
        {record.key: record for record in found if record.key not in before}.values()
    )
    differ = [
        record
        for record in found
        if record.key in before and before[record.key].digest != record.digest
    ]
    take, new = (
        [
            *fresh,
            *{record.key: record for record in differ}.values(),
        ],
        changes.new + len(fresh),
    )
    save_page(
        connection,
        take,
        entries(run, take, fields),
        replace(cursor, rows=cursor.rows + new),
    )
    note_listed(connection, [record.key for record in found], cursor.read_at)
    mark_gone(connection, sorted(dead))
    gone = changes.gone + len(dead & before.keys())
    return replace(changes, changed=changes.changed + len(differ), new=new, gone=gone)


def _remember(
    connection: sa.Connection, name: str, how: str, tally: Tally, earlier: Tally
) -> None:
    """Move the watermark, unless the list may have more rows than were read; tell what is in doubt.

    A whole reading takes the place of the first; another one leaves what that said as it is.
    """
    whole = how == "full"
    kept = replace(
        earlier,
        date=tally.date,
        stamp=tally.stamp,
        newest=() if tally.doubts else earlier.newest,
    )
    if whole:
        kept = replace(tally, missed=earlier.missed, missed_key=earlier.missed_key)
    save_tally(
        connection, name, replace(kept, date=earlier.date) if tally.doubts else kept
    )
    report(connection, READING, name, kept)
    report(connection, DELTA, name, Tally() if whole else tally)


# -- rows that are gone


def find_gone(run: Run, yes: bool = False) -> list[Changes]:
    """Rows that a whole reading no longer listed, each confirmed by reading it.

    Raises UnsafePlan where so many are missing that the reading itself is in doubt.
    """
    with run.store.begin() as connection:
        known = all_cursors(connection)
        whole = {name for name in known if tally_of(connection, name).whole}
    # what was not listed may still be there
    found, mapped = [], sorted(_mapped(run) & whole)
    for position, name in enumerate(mapped):
        run.progress("looking for deleted rows", position, len(mapped))
        with run.store.begin() as connection:
            missing, total = (
                count_unlisted(connection, name, known[name].started),
                count(connection, name),
            )
        if missing > FEW and missing > GONE * total and not yes:
            raise UnsafePlan(
                f"{missing} of {total} {name} are no longer listed – is this the right"
                " account? If so, add --yes"
            )
        gone = 0
        for keys in stream_unlisted(run.store, name, known[name].started):
            confirmed = [key for key in keys if is_gone(run, name, key)]
            with run.store.begin() as connection:
                mark_gone(connection, confirmed)
            gone += len(confirmed)
        found.append(Changes(name, "id sets", 0, 0, gone))
    return found
