"""What changed in the source since the last reading: changed and new rows, and rows that were
deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import Resource
from engine.errors import Forbidden, RequestRejected, UnsafePlan
from engine.extract.hydrate import own_row
from engine.extract.records import (
    Keyed,
    alive,
    by_change,
    cursors_of,
    entries,
    filtered,
    is_deleted,
    keyed,
    proving,
    reaches,
    report,
    tallied,
    watermark,
    with_details,
)
from engine.language.dependencies import by_source, needed
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
from engine.values import Names, Row, digest, is_empty, well_formed

# seconds: what is listed from now on is later than what was, whatever our clock says
TICK = 0.001
MANY = 0.5  # share of a collection whose deletion at once is taken for a fault
FEW = 10  # rows of a collection or an object that are no reason to ask
# rows that a reading asks for by themselves, where they came without a field
ALONE = 20

How = Literal["filter", "newest first", "full", "id sets", "page"]


class Changes(msgspec.Struct, frozen=True):
    """What a delta reading of one collection brought."""

    collection: str
    how: How
    changed: int = 0
    new: int = 0
    deleted: int = 0
    # rows that came without some of their fields and are not taken, and one of these
    cut: tuple[tuple[str, str], ...] = ()

    def plus(self, other: Changes) -> Changes:
        """Both together, read in the way of the first."""
        return structs.replace(
            self,
            changed=self.changed + other.changed,
            new=self.new + other.new,
            deleted=self.deleted + other.deleted,
            cut=self.cut + other.cut,
        )


def read_changes(run: Run, whole: bool = False) -> list[Changes]:
    """Read what changed in every collection the spec reads, at the least number of calls.

    With `whole`, every mapped list is read to its end: what was deleted shows only there, and so do
    changes that moved no stamp and rows that slipped off a page while the first reading went on.
    """
    known = cursors_of(run)
    wanted, mapped = needed(run.spec), _mapped(run)
    found = []
    for name, fields in run.each("reading changes", wanted.items()):
        cursor = known.get(name)
        if cursor is None or not cursor.complete:
            continue  # not read yet: the ordinary reading takes care of it
        found.append(
            _collection(run, name, fields, cursor, whole and name in mapped)
        )
    return found


def _mapped(run: Run) -> set[str]:
    names = by_source(run.spec.active())
    return {name for name in names if not name.startswith("$")}


def _collection(
    run: Run, name: str, fields: Names, cursor: Cursor, whole: bool
) -> Changes:
    resource = run.collection(name)
    fields = tuple(sorted({*fields, *cursor.indexed}))
    with run.store.begin() as connection:
        distrusted = tally_of(connection, name).missed
    how: How = "full" if whole or distrusted else _cheapest(resource)
    try:
        changes = _take(run, name, fields, cursor, how)
        left_out = _left_out(run, name) if changes.how != "full" else []
        is_sure = changes.how == "full" or not (left_out or changes.cut)
        return changes if is_sure else _compared(run, fields, changes, left_out)
    except Forbidden as error:
        doubt = f"what has changed cannot be read: {error}"
        with run.store.begin() as connection:
            report(connection, DELTA, name, Tally(doubts=1, doubt=doubt))
        return Changes(name, how)
    except RequestRejected:
        # The filter is refused for this collection, whatever the connector says.
        how = _by_order(resource)
        return _take(run, name, fields, cursor, how)


def _cheapest(resource: Resource) -> How:
    return "filter" if resource.listing.since else _by_order(resource)


def _by_order(resource: Resource) -> How:
    return "newest first" if by_change(resource) else "full"


def _left_out(run: Run, name: str) -> list[str]:
    """The rows that the filter or the order had to bring and did not; those that are deleted
    meanwhile do not count.
    """
    with run.store.begin() as connection:
        tally = tally_of(connection, name)
        save_tally(connection, name, structs.replace(tally, newest=()))
    if "read" not in run.collection(name).operations:
        return [key for _, key in tally.newest]
    return [key for _, key in tally.newest if not is_deleted(run, name, key)]


def _compared(
    run: Run, fields: Names, changes: Changes, left_out: list[str]
) -> Changes:
    """Read the list as a whole; a filter or an order that left out what is there is remembered,
    and no longer used.
    """
    name = changes.collection
    found = _take(run, name, fields, cursors_of(run)[name], "full")
    begun = cursors_of(run)[name].started
    unlisted = {
        key for keys in stream_unlisted(run.store, name, begun) for key in keys
    }
    with run.store.begin() as connection:
        now = many(connection, [key for key, _ in changes.cut])
    # what the whole list shows without the field as well has lost it
    cut = {
        key for key, lost in changes.cut if key in now and lost in now[key].body
    }
    missed = sorted((set(left_out) - unlisted) | cut)
    with run.store.begin() as connection:
        kept = structs.replace(
            tally_of(connection, name),
            missed=len(missed),
            missed_key=missed[0] if missed else "",
        )
        save_tally(connection, name, kept)
        report(connection, READING, name, kept)
    return found.plus(changes)


def _take(
    run: Run, name: str, fields: Names, cursor: Cursor, how: How
) -> Changes:
    """Stage what differs from what is known, each page in a transaction with what the reading
    has shown.
    """
    with run.store.begin() as connection:
        earlier = tally_of(connection, name)
        if how == "full":
            clear_findings(connection, FLAGS, name)
    started = max(run.clock.now(), cursor.read_at + TICK)
    since = watermark(cursor, earlier)
    # a clock that was ahead has given it: what the moment was is not known
    if since > run.source.now():
        how = "full"
    since = since if how == "full" else proving(earlier, since)

    changes, tally = Changes(name, how), Tally(stamp=earlier.stamp)
    resource = run.collection(name)
    params = filtered(resource.listing, since) if how == "filter" else {}
    newest_first, alone = how == "newest first", 0 if how != "full" else None
    for page in run.source.pages(
        name, params, newest_first=newest_first, doubts=True
    ):
        if page.anew:
            tally = Tally(stamp=earlier.stamp)
        if page.silent and how == "full" and cursor.rows and not page.doubt:
            doubt = "an answer had no body, though rows were there before"
            page = structs.replace(page, doubt=doubt)

        listed = _listed(run, cursor, page.rows, alone)
        alone = listed.alone
        unproven = tuple(
            one for one in earlier.newest if one[1] not in listed.shown
        )
        earlier = structs.replace(earlier, newest=unproven)
        ended = page.last or (
            newest_first and reaches(page.rows, resource, since)
        )
        with run.store.begin() as connection:
            tally = tallied(
                connection, resource, tally, page, listed.found, started
            )
            moved = structs.replace(
                cursor,
                rows=cursor.rows + changes.new,
                read_at=max(run.clock.now(), started),
            )
            if ended and not tally.doubts:
                moved = structs.replace(moved, started=started)
            staged = _stage(run, connection, fields, moved, listed)
            changes = changes.plus(staged)
            if ended or tally.doubts:
                _remember(connection, name, how, tally, earlier)
        if ended:
            break
    return changes


class _Listed(msgspec.Struct, frozen=True):
    """What one page of a list shows: the rows that are there, the keys of these and of those that
    say they are deleted, what was known of both, and a field that a row must have and came without;
    how many rows the reading has asked for by themselves, None where it is no reading of changes.
    """

    found: Keyed
    shown: frozenset[str]
    before: Mapping[str, Record]
    alone: int | None
    cut: dict[str, str] = {}


def _listed(
    run: Run, cursor: Cursor, rows: Sequence[Row], alone: int | None
) -> _Listed:
    name = cursor.collection
    living = alive(run, name, rows)
    found = every = keyed(run, name, living, cursor.rows)
    if len(living) < len(rows):
        every = keyed(run, name, rows, cursor.rows)
    shown = frozenset(record.key for record in every.records)
    with run.store.begin() as connection:
        before = many(connection, list(shown))
    listed = _Listed(found, shown, before, alone)
    return listed if alone is None else _filled(run, name, listed, alone)


def _filled(run: Run, name: str, listed: _Listed, alone: int) -> _Listed:
    """A page with the fields that rows came without as each row shows them by itself, for a list of
    what has changed may show just a part of each; where they are many, all are left as they are.
    """
    resource, records = run.collection(name), []
    lacking = _lacking(resource, listed.before, listed.found.records)
    cut = {key: names[0] for key, names in lacking.items()}
    alone += len(cut)
    if alone > ALONE or "read" not in resource.operations:
        return structs.replace(listed, cut=cut)

    for record in listed.found.records:
        names = lacking.get(record.key, ())
        whole = own_row(run, record, names)[0] if names else None
        if whole is not None:
            del cut[record.key]
            told = {one: whole[one] for one in names if one in whole}
            body = {**record.body, **well_formed(told)}
            record = structs.replace(record, body=body, digest=digest(body))
        records.append(record)
    found = structs.replace(listed.found, records=records)
    return structs.replace(listed, found=found, alone=alone, cut=cut)


def _lacking(
    resource: Resource, before: Mapping[str, Record], found: Iterable[Record]
) -> dict[str, Names]:
    """The fields that rows came without and that held something when they were last seen; not of
    rows that are read by themselves anyway, for they hold more than their list shows.
    """
    lacking = dict[str, Names]()
    for record in found:
        had = before[record.key].body if record.key in before else {}
        if not had.keys().isdisjoint(resource.listing.detail):
            continue
        lost = had.keys() - record.body.keys()
        if names := sorted(one for one in lost if not is_empty(had[one])):
            lacking[record.key] = tuple(names)
    return lacking


def _stage(
    run: Run,
    connection: sa.Connection,
    fields: Names,
    cursor: Cursor,
    listed: _Listed,
) -> Changes:
    """One page's rows that are new or changed; those that say they are deleted are marked."""
    found = listed.found.records
    deleted = listed.shown - {record.key for record in found}
    fresh, edited, changed = {}, {}, 0
    for record in found:
        earlier = listed.before.get(record.key)
        if earlier is None:
            fresh[record.key] = record
        elif earlier.digest != record.digest and record.key not in listed.cut:
            edited[record.key] = record
            changed += 1

    resource = run.collection(cursor.collection)
    changed_rows = with_details(connection, resource, [*edited.values()])
    take = [*fresh.values(), *changed_rows]
    cursor = structs.replace(cursor, rows=cursor.rows + len(fresh))
    save_page(connection, take, entries(run, take, fields), cursor)
    note_listed(connection, [record.key for record in found], cursor.read_at)
    mark_gone(connection, sorted(deleted))
    known = deleted & listed.before.keys()
    cut = tuple(listed.cut.items())
    return Changes(
        cursor.collection, "page", changed, len(fresh), len(known), cut
    )


def _remember(
    connection: sa.Connection, name: str, how: str, tally: Tally, earlier: Tally
) -> None:
    """Move the watermark, unless the list may have more rows than were read; report the doubt.

    A whole reading takes the place of the first; any other leaves what that reported as it is.
    """
    whole = how == "full"
    newest = () if tally.doubts else earlier.newest
    kept = structs.replace(
        earlier, date=tally.date, stamp=tally.stamp, newest=newest
    )
    if whole:
        kept = structs.replace(
            tally, missed=earlier.missed, missed_key=earlier.missed_key
        )
    date = earlier.date if tally.doubts else kept.date
    save_tally(connection, name, structs.replace(kept, date=date))
    report(connection, READING, name, kept)
    report(connection, DELTA, name, Tally() if whole else tally)


# -- rows that were deleted


def find_deleted(run: Run, yes: bool = False) -> list[Changes]:
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
            missing = count_unlisted(connection, name, known[name].started)
            total = count(connection, name)
        if missing > FEW and missing > MANY * total and not yes:
            raise UnsafePlan(
                f"{missing} of {total} {name} are no longer listed – is this the right"
                " account? If so, add --yes"
            )
        deleted = 0
        for keys in stream_unlisted(run.store, name, known[name].started):
            confirmed = [key for key in keys if is_deleted(run, name, key)]
            with run.store.begin() as connection:
                mark_gone(connection, confirmed)
            deleted += len(confirmed)
        found.append(Changes(name, "id sets", deleted=deleted))
    return found
