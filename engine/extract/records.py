"""A source row as a record, and whom it points at; rows since a moment: shared by the first
reading and every later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.client import Client, Rows, silence
from engine.connector.model import FieldType, Operation, Resource, join_id
from engine.connector.references import named
from engine.connector.times import moment
from engine.connector.typed import says_nothing
from engine.errors import RequestRejected, UnsafePlan
from engine.session import Run
from engine.store.links import Finding, clear_findings, save_findings, save_once
from engine.store.records import (
    FLAGS,
    READING,
    Cursor,
    Record,
    Tally,
    all_cursors,
    many,
    other_rows,
)
from engine.values import (
    Names,
    Row,
    dig,
    digest,
    fits_index,
    flag,
    id_in,
    is_empty,
    key_of,
    segments,
    well_formed,
    word,
)

# rows with the newest stamps that the filter of the first delta has to bring
PROOFS = 10
# seconds that a window reaches back: stamps lag behind commits, the bound may be exclusive
OVERLAP = 7200.0
DAY = 86_400.0
# seconds that stamps may lie behind the server's clock, or before it: they may be wall time of any
# zone
LAG = 14 * 3600.0
_STYLES = {
    "rfc3339": "%Y-%m-%dT%H:%M:%SZ",
    "space": "%Y-%m-%d %H:%M:%S",
    "basic_offset": "%Y-%m-%dT%H:%M:%S+0000",
    "date": "%Y-%m-%d",
}


def cursors_of(run: Run) -> dict[str, Cursor]:
    """How far each collection has been read, and counted."""
    with run.store.begin() as connection:
        return all_cursors(connection)


def usable_id(resource: Resource, row: Row) -> str:
    """The id of a row; "" where a field of it holds no plain value, or it is longer than a key may
    be.
    """
    values = [row.get(name) for name in resource.id_fields]
    if any(
        isinstance(value, (dict, list, bool)) or is_empty(value)
        for value in values
    ):
        return ""
    found = join_id(list(map(word, values)))
    return found if fits_index(found) else ""


class Keyed(msgspec.Struct, frozen=True):
    """Rows as records, and how many have no id that can be used: those are left out."""

    records: list[Record]
    unkeyed: int = 0

    @property
    def unique(self) -> list[Record]:
        """The records, the last one of each key."""
        return list({record.key: record for record in self.records}.values())


def keyed(run: Run, collection: str, rows: Sequence[Row], known: int) -> Keyed:
    """The rows as records.

    Raises UnsafePlan where no row has a usable id, and none is `known` that has: the connector
    names the wrong field.
    """
    resource = run.collection(collection)
    found = [usable_id(resource, row) for row in rows]
    if rows and not any(found) and not known:
        raise UnsafePlan(
            f"rows of {collection} have no {resource.id} that tells them apart – check `id`"
            " in the connector"
        )
    records = [
        _record(collection, row_id, row)
        for row_id, row in zip(found, rows, strict=True)
        if row_id
    ]
    return Keyed(records, found.count(""))


def _record(collection: str, row_id: str, row: Row) -> Record:
    whole = well_formed(dict(row))
    return Record(
        collection, key_of(collection, row_id), whole, 0, digest(whole)
    )


def with_details(
    connection: sa.Connection, resource: Resource, found: list[Record]
) -> list[Record]:
    """Listed rows with the details that were read of them before, marked as still to be read."""
    details = resource.listing.detail
    keys = [record.key for record in found]
    before = many(connection, keys) if details else {}
    result = []
    for record in found:
        earlier = before[record.key].body if record.key in before else {}
        kept = {name: earlier[name] for name in details if name in earlier}
        if kept and record.body.keys().isdisjoint(details):
            body = {**kept, **record.body}
            record = structs.replace(record, body=body, unread=True)
        result.append(record)
    return result


def tallied(
    connection: sa.Connection,
    resource: Resource,
    tally: Tally,
    page: Rows,
    found: Keyed,
    since: float,
) -> Tally:
    """The tally with one more page, of a reading that began at `since` by our clock."""
    date = page.date if tally.date is None else tally.date
    pairs = (
        other_rows(connection, found.records, since) if found.records else []
    )
    others = [
        now.key
        for before, now in pairs
        if not _is_changed(resource, before, now, date)
    ]
    stamped = _stamps(resource, found.records)
    latest = (since if date is None else date) + LAG
    newest = {key: one for one, key in tally.newest} | stamped
    return structs.replace(
        tally,
        repeated=tally.repeated + len(others),
        repeated_key=tally.repeated_key or next(iter(others), ""),
        unkeyed=tally.unkeyed + found.unkeyed,
        doubts=tally.doubts + bool(page.doubt),
        doubt=tally.doubt or page.doubt,
        pages=tally.pages + bool(page.rows),
        date=date,
        stamp=_newest_until(latest, [tally.stamp, *stamped.values()]),
        newest=tuple(
            nlargest(PROOFS, ((one, key) for key, one in newest.items()))
        ),
    )


def _stamps(resource: Resource, found: Iterable[Record]) -> dict[str, float]:
    """When records were changed last, or else made, by their keys, where they say so."""
    stamps = {
        record.key: moment_in(record, resource.modified)
        or moment_in(record, resource.created)
        for record in found
    }
    return {key: one for key, one in stamps.items() if one is not None}


def _newest_until(
    latest: float, stamps: Iterable[float | None]
) -> float | None:
    """The newest of these; a later one is a mistake, and says nothing of the zone."""
    known = (one for one in stamps if one is not None and one <= latest)
    return max(known, default=None)


def _is_changed(
    resource: Resource, before: Record, now: Record, date: float | None
) -> bool:
    """Whether two rows under one id are one that was changed while the list was read.

    Both were made at one moment, and one has a later stamp: that holds in any zone. Where no
    row says when it was made, the stamp has to be later than the `date` when the reading began,
    by the server's clock.
    """
    made = [moment_in(record, resource.created) for record in (before, now)]
    changed = moment_in(now, resource.modified) or 0.0
    if None not in made:
        earlier = moment_in(before, resource.modified) or 0.0
        return made[0] == made[1] and changed > earlier
    return date is not None and changed >= date


def moment_in(record: Record, place: str) -> float | None:
    """The moment that stands in a record; None where there is none."""
    return moment(dig(record.body, segments(place))) if place else None


def report(
    connection: sa.Connection, stage: str, name: str, tally: Tally
) -> None:
    """What a reading left open, for people to see; it takes the place of what the stage said
    before.
    """
    texts = []
    if tally.repeated:
        texts.append(
            f"{tally.repeated:,} rows came under an id that another row has, the first"
            f" {tally.repeated_key}: of each id one row is kept – name in the"
            " connector's `id` all fields that tell rows apart, such as order_id+id"
        )
    if tally.unkeyed:
        texts.append(
            f"{tally.unkeyed:,} rows have an id that cannot be used and were left out –"
            " check `id` in the connector"
        )
    if tally.doubts:
        many = (
            f" (and {tally.doubts - 1:,} lists more)"
            if tally.doubts > 1
            else ""
        )
        texts.append(
            f"{tally.doubt}{many}; rows may be missing – read everything again with"
            " --delta --deletions"
        )
    if tally.missed and stage == READING:
        texts.append(
            f"asked for what has changed, the list left out {tally.missed:,} rows that"
            f" it had to show, or some of their fields, such as {tally.missed_key}: every"
            " delta reads all of"
            f" {name} instead – correct `since` or `newest_first` in the connector"
        )
    clear_findings(connection, stage, name)
    save_findings(
        connection,
        [Finding(name, "", stage, "", "attention", text) for text in texts],
    )


def watermark(cursor: Cursor, tally: Tally) -> float:
    """The moment since which rows are asked for: when the last reading began, by the platform's
    clock.

    The server's clock counts, ours only where it states none. The newest stamp counts where it lies
    behind: stamps may be wall time of another zone, and a clock that was ahead may be put right.
    """
    begun = cursor.started if tally.date is None else tally.date
    return (
        min(begun, begun - LAG if tally.stamp is None else tally.stamp)
        - OVERLAP
    )


def proving(tally: Tally, since: float) -> float:
    """A moment early enough for the filter to bring rows that are known: whether it does is its
    proof.
    """
    return min([since, *(stamp - LAG - OVERLAP for stamp, _ in tally.newest)])


def alive(run: Run, collection: str, rows: Iterable[Row]) -> list[Row]:
    """The rows that do not say of themselves that they are deleted; some lists show those too, and
    a spec may take them.
    """
    resource = run.collection(collection)
    if not resource.deleted or "deleted" in run.spec.take:
        return list(rows)
    return [row for row in rows if not _says_so(run, resource, row)]


def _says_so(run: Run, resource: Resource, row: Row) -> bool:
    """Whether a row says that it is deleted: by a yes, by a moment, or by who did it.

    What else stands there, as the field's type is declared, does not say so, which is reported.
    """
    value = row.get(resource.deleted)
    declared = resource.fields.get(resource.deleted, FieldType("text"))
    nothing = run.migration.source.empty_values
    if is_empty(value) or says_nothing(value, declared, nothing):
        return False

    answer = flag(value)
    if answer is not None:
        return answer
    if declared.kind in ("reference", "id", "object"):
        who = value.get("id", value) if isinstance(value, dict) else value
        if is_empty(who) or not word(who).strip("0-"):
            return False  # nobody, or an id of zeros
        if word(who) != "-1":
            return True
    elif declared.kind != "boolean" and moment(value) is not None:
        return True

    odd = f"{resource.deleted} is {value!r:.60}, which is neither yes nor no"
    text = f"{odd}: such rows count as live – check its type in the connector"
    if f"{resource.name}: {text}" not in run.notices:
        run.notice(f"{resource.name}: {text}")
        with run.store.begin() as connection:
            finding = Finding(resource.name, "", FLAGS, "", "attention", text)
            save_once(connection, finding)
    return False


def is_deleted(run: Run, name: str, key: str) -> bool:
    """Whether a row that its list no longer holds is deleted in the source.

    One that nobody may look at is not, which is reported; one that cannot be read by itself is, and
    one whose id leads to another row, as after a merge.
    """
    if "read" not in run.collection(name).operations:
        return True
    try:
        row = run.source.read(name, id_in(key))
    except RequestRejected as error:
        run.notice(
            f"{key} is no longer listed and cannot be read, so it is not taken for"
            f" deleted: {error}"
        )
        return False
    if row is None or other_id(run.collection(name), row, id_in(key)):
        return True
    return not alive(run, name, [row])


def entries(
    run: Run, found: Iterable[Record], fields: Names
) -> list[tuple[str, str, str, str]]:
    """Who points at whom through the given fields; a list points at each that it names."""
    pattern = run.migration.source.reference.pattern
    result = []
    for record in found:
        for name in fields:
            result += [
                (record.collection, name, target, record.key)
                for target in named(dig(record.body, segments(name)), pattern)
            ]
    return result


def recent(
    client: Client,
    resource: Resource,
    since: float,
    proof: bool = False,
    changed: bool = False,
) -> Iterator[list[dict[str, Any]]]:
    """Pages that hold every row made since a moment of the platform's clock, with `changed` every
    row changed since as well: filtered, newest first, or all.

    A moment that is not over yet comes from a clock that was ahead: what it was is not known,
    so all rows are read. With `proof`, raises Unavailable for a page without a body: it does not
    show what is not there.
    """
    operation = resource.listing
    known = since <= client.now()
    params = filtered(operation, since) if known else {}
    ordered = bool(operation.newest_first) and not operation.since
    newest = known and ordered and (by_change(resource) or not changed)
    for page in client.pages(resource.name, params, newest_first=newest):
        if proof and page.silent:
            raise silence(client.connector.title, resource.name)
        yield page.rows
        if newest and reaches(page.rows, resource, since):
            return


def rows_below(
    client: Client, resource: Resource, parents: Sequence[str]
) -> Iterator[list[dict[str, Any]]]:
    """Rows that only the lists of their parents show: many parents a call, or several at a time."""
    if resource.listing.ids_of:
        yield list(client.by_ids(resource.name, list(parents)))
    else:
        yield from client.below(resource.name, parents, proof=True)


def can_look(resource: Resource) -> bool:
    """Whether rows of a resource can be asked for by their ids."""
    listing = resource.operations.get("list")
    below = listing is not None and (listing.ids or listing.parent)
    return "read" in resource.operations or bool(below)


def rows_now(
    client: Client, resource: Resource, bodies: Mapping[str, Row]
) -> dict[str, dict[str, Any]]:
    """Rows by id; through the parents their bodies name where the platform lists them only there.

    A row that a list does not show is read by itself, where it can be: lists may lag behind.
    """
    listing = resource.operations.get("list")
    ids = set(bodies)
    if listing and listing.ids_of:
        ids = {
            str(body[listing.ids_of])
            for body in bodies.values()
            if body.get(listing.ids_of)
        }

    found = {
        resource.id_of(row): row
        for row in client.by_ids(resource.name, sorted(ids))
    }
    if "read" in resource.operations and listing and listing.ids:
        for row_id in sorted(bodies.keys() - found.keys()):
            row = client.read(resource.name, row_id)
            # the id of a row that was merged may lead to the one that survived
            if row is not None and not other_id(resource, row, row_id):
                found[row_id] = row
    return found


def other_id(resource: Resource, row: Row, row_id: str) -> str:
    """The id that a row shows, where that is not the one it was asked by; else ""."""
    shown = usable_id(resource, row)
    return shown if shown.casefold() != row_id.casefold() else ""


def by_change(resource: Resource) -> bool:
    """Whether the order of the newest first is that of changes: it names their field."""
    name = _letters(resource.modified.rpartition(".")[2])
    return name != "" and name in _letters(str(resource.listing.newest_first))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def reaches(rows: Iterable[Row], resource: Resource, since: float) -> bool:
    """Whether a page of a list, newest first, holds a row from before the moment; one without a
    stamp proves nothing, nor does one that was made before and changed since: it may stand there
    for its change.
    """
    created = "" if by_change(resource) else resource.created
    places = [segments(name) for name in (created, resource.modified) if name]
    for row in rows:
        stamps = [moment(dig(row, place)) for place in places]
        told = [one for one in stamps if one is not None]
        if told and max(told) < since:
            return True
    return False


def filtered(operation: Operation, since: float) -> dict[str, Any]:
    """What asks a list for the rows changed since a moment; nothing where it cannot be asked so."""
    if not operation.since:
        return {}
    if operation.since_style == "date":
        since -= DAY  # the bound may be exclusive, and its day is not over
    text = operation.since_form.replace(
        "{}", stamp(since, operation.since_style, operation.since_zone)
    )
    return {**operation.since_params, operation.since: text}


def stamp(seconds: float, style: str, zone: str = "UTC") -> str:
    """An instant as a filter wants it, by the clock of a zone."""
    if style in ("epoch", "epoch_ms"):
        return str(int(seconds * (1000 if style == "epoch_ms" else 1)))
    return datetime.fromtimestamp(seconds, ZoneInfo(zone)).strftime(
        _STYLES[style]
    )
