"""Source records as read, the positions of their readings, and who points at whom."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.store.tables import (
    Among,
    Store,
    among,
    as_text,
    count_where,
    counted,
    cursors,
    drafts,
    findings,
    from_text,
    meta,
    paged,
    recall_in,
    records,
    refs,
    remember_in,
    row_of,
    rows_among,
    rows_with,
    samples,
    those_of,
    upsert,
)
from engine.values import (
    batches,
    grouped,
    id_in,
    indexed,
)

DELTA = "delta reading"  # the stage of findings about a reading of what changed
# the stage of findings about whole collections, and where their tallies are kept
READING = "reading"
FLAGS = "flags"  # the stage of findings about flags that say neither yes nor no
BATCH = 200  # records in memory at a time; one may take 50 kB


class Record(msgspec.Struct, frozen=True):
    """One source object as read."""

    collection: str
    key: str
    body: dict[str, Any]
    seq: int = 0
    digest: str = ""
    # its details are those of before: it was listed anew since they were read by themselves
    unread: bool = False

    @property
    def id(self) -> str:
        """The id within the collection."""
        return id_in(self.key)


class Cursor(msgspec.Struct, frozen=True):
    """How far the reading of a collection has come."""

    collection: str
    position: Any
    complete: bool
    rows: int
    started: float
    read_at: float
    indexed: tuple[str, ...] = ()
    absent: str = ""


class Tally(msgspec.Struct, frozen=True):
    """What the readings of a collection have shown of it, beside the cursor."""

    repeated: int = 0  # rows under the id of another row
    repeated_key: str = ""  # the first of those ids
    unkeyed: int = 0  # rows without an id that can be used
    deleted: int = 0  # rows that say of themselves that they are deleted
    doubts: int = 0  # lists that may have more rows than were read
    doubt: str = ""  # the first of those doubts
    pages: int = 0
    # where the last page was asked for, and the key of its last row
    last: tuple[Any, str] | None = None
    date: float | None = None  # the server's clock when the reading began
    stamp: float | None = None  # the newest stamp in any row
    # rows with the newest stamps, which the next delta has to see
    newest: tuple[tuple[float, str], ...] = ()
    # of these, how many a delta's list left out: from then on all rows are read
    missed: int = 0
    missed_key: str = ""  # the first of them

    @property
    def whole(self) -> bool:
        """Whether nothing speaks against it that every row was read."""
        return not (self.repeated or self.unkeyed or self.doubts)


def tally_of(connection: sa.Connection, collection: str) -> Tally:
    """The tally of a collection; an empty one where it was not read, or by an older version."""
    found = recall_in(connection, f"{READING}.{collection}")
    if not found:
        return Tally()
    kept = from_text(found)
    return Tally(
        **kept
        | {
            "newest": tuple(
                (stamp, key) for stamp, key in kept.get("newest", ())
            )
        }
    )


def save_tally(
    connection: sa.Connection, collection: str, tally: Tally
) -> None:
    """Remember what a reading has shown."""
    remember_in(
        connection,
        f"{READING}.{collection}",
        json.dumps(msgspec.structs.asdict(tally)),
    )


def other_rows(
    connection: sa.Connection, found: Sequence[Record], since: float
) -> list[tuple[Record, Record]]:
    """Rows that were staged since a moment, or stand among these, each with the other one that
    these hold under its key.
    """
    last = {record.key: record for record in found}
    others = [
        record for record in found if record.digest != last[record.key].digest
    ]
    query = sa.select(records).where(
        records.c.collection.in_({record.collection for record in found}),
        records.c.read_at >= since,
    )
    others += [
        _record(row)
        for row in rows_with(connection, query, records.c.key, last)
        if row.digest != last[row.key].digest
    ]
    return [(record, last[record.key]) for record in others]


def save_page(
    connection: sa.Connection,
    found: Sequence[Record],
    entries: Sequence[tuple[str, str, str, str]],
    cursor: Cursor,
) -> None:
    """Records, reference entries (collection, field, target, key) and the cursor, in one
    transaction.
    """
    for some in batches(found, BATCH):
        rows = [
            {
                "collection": r.collection,
                "key": r.key,
                "digest": r.digest,
                "read_at": cursor.read_at,
                "gone": False,
                "body": as_text(r.body),
                "unread": r.unread,
            }
            for r in some
        ]
        upsert(connection, records, rows, ["collection", "key"])
    _replace_refs(
        connection,
        cursor.collection,
        {r.key for r in found},
        entries,
        cursor.indexed,
    )
    save_cursor(connection, cursor)


def save_refs(
    connection: sa.Connection, entries: Sequence[tuple[str, str, str, str]]
) -> None:
    """Enter who points at whom; a record's older entries are replaced."""
    for name in dict.fromkeys(collection for collection, _, _, _ in entries):
        own = [entry for entry in entries if entry[0] == name]
        _replace_refs(connection, name, {key for _, _, _, key in own}, own, ())


def _replace_refs(
    connection: sa.Connection,
    collection: str,
    keys: set[str],
    entries: Sequence[tuple[str, str, str, str]],
    fields: Sequence[str],
) -> None:
    """What these records pointed at through the fields is forgotten before any of the new
    entries is made.

    A record's entries must not be deleted by a later batch that holds the rest of them.
    """
    fields = list({*fields, *(field for _, field, _, _ in entries)})
    ordered = sorted(keys)
    query = sa.select(records.c.key, records.c.seq).where(
        records.c.collection == collection
    )
    rows = rows_with(connection, query, records.c.key, ordered)
    seqs = {row.key: row.seq for row in rows}
    for part in batches(ordered, BATCH):
        for field in fields:
            connection.execute(
                refs.delete().where(
                    refs.c.collection == collection,
                    refs.c.field == field,
                    among(connection, refs.c.key, part),
                )
            )
    made = [
        {
            "collection": c,
            "field": f,
            "target": indexed(t),
            "key": k,
            "seq": seqs.get(k, 0),
        }
        for c, f, t, k in entries
    ]
    upsert(connection, refs, made, ["collection", "field", "target", "key"])


def save_cursor(connection: sa.Connection, cursor: Cursor) -> None:
    """Remember how far a reading has come."""
    row = row_of(cursor, "position", "indexed")
    upsert(connection, cursors, [row], ["collection"])


def all_cursors(connection: sa.Connection) -> dict[str, Cursor]:
    """Every collection that was begun."""
    rows = connection.execute(sa.select(cursors)).mappings()
    return {
        row["collection"]: Cursor(
            row["collection"],
            from_text(row["position"] or "null"),
            row["complete"],
            row["rows"],
            row["started"],
            row["read_at"],
            tuple(from_text(row["indexed"])),
            row["absent"],
        )
        for row in rows
    }


def save_count(connection: sa.Connection, collection: str, rows: int) -> None:
    """Remember how many rows a collection has that is counted, not read; -1 for not known."""
    row = {"collection": collection, "rows": rows}
    upsert(connection, counted, [row], ["collection"])


def all_counts(connection: sa.Connection) -> dict[str, int]:
    """The rows of every collection that was counted; -1 for not known."""
    rows = connection.execute(sa.select(counted))
    return {row.collection: row.rows for row in rows}


_ONE = sa.select(records).where(
    records.c.collection == sa.bindparam("collection"),
    records.c.key == sa.bindparam("key"),
)


def one(connection: sa.Connection, key: str) -> Record | None:
    """The record with this key as it was last read, if it is gone since as well: what others say
    of it stays.
    """
    row = connection.execute(
        _ONE, {"collection": key.partition("/")[0], "key": key}
    ).first()
    return _record(row) if row else None


def many(
    connection: sa.Connection, keys: Sequence[str], gone: bool = False
) -> dict[str, Record]:
    """The records with these keys; with `gone`, those too that are gone, as they were last read."""
    by_collection = grouped((key.partition("/")[0], key) for key in keys)
    those = _those if gone else _those_there
    return {
        record.key: record
        for name, some in by_collection.items()
        for record in map(
            _record, rows_among(connection, those, some, collection=name)
        )
    }


def _those(among: Among) -> sa.Select[Any]:
    return sa.select(records).where(
        records.c.collection == sa.bindparam("collection"),
        among(records.c.key),
    )


def _those_there(among: Among) -> sa.Select[Any]:
    return _those(among).where(records.c.gone.is_(False))


def pointing_at(
    connection: sa.Connection,
    collection: str,
    field: str,
    targets: Sequence[str],
) -> list[Record]:
    """Records of a collection whose `field` names any of the targets, in the order they were
    read.
    """
    named = pointers(connection, collection, field, targets)
    hits = sorted(hit for found in named.values() for hit in found)
    wanted = list(dict.fromkeys(key for _, key in hits))
    found = many(connection, wanted)
    return [found[key] for key in wanted if key in found]


def pointers(
    connection: sa.Connection,
    collection: str,
    field: str,
    targets: Sequence[str],
) -> dict[str, list[tuple[int, str]]]:
    """Place and key of the records whose `field` names a target, by the target."""
    found: dict[str, list[tuple[int, str]]] = {}
    names = grouped((indexed(target), target) for target in targets)
    rows = rows_among(
        connection, _pointing, names, collection=collection, field=field
    )
    for row in rows:
        for target in names[row.target]:
            found.setdefault(target, []).append((row.seq, row.key))
    return found


def _pointing(among: Among) -> sa.Select[Any]:
    return sa.select(refs.c.target, refs.c.seq, refs.c.key).where(
        refs.c.collection == sa.bindparam("collection"),
        refs.c.field == sa.bindparam("field"),
        among(refs.c.target),
    )


def stream(
    store: Store,
    collection: str,
    only: frozenset[str] | None = None,
    batch: int = BATCH,
) -> Iterator[list[Record]]:
    """All records of a collection in the order they were first read, a batch at a time."""
    query = sa.select(records).where(*_live(collection))
    for rows in paged(store, query, records.c.seq, batch=batch):
        found = [
            _record(row) for row in rows if only is None or row.key in only
        ]
        if found:
            yield found


def _live(collection: str) -> tuple[sa.ColumnElement[bool], ...]:
    return records.c.collection == collection, records.c.gone.is_(False)


def live_keys(collection: str) -> sa.Select[Any]:
    """The keys of a collection's records that are not gone, as a query."""
    return sa.select(records.c.key).where(*_live(collection))


def count(connection: sa.Connection, collection: str) -> int:
    """How many live records of a collection are staged."""
    return count_where(connection, *_live(collection))


def not_taken(
    connection: sa.Connection,
    collection: str,
    objects: Sequence[str],
    first: int = 3,
) -> tuple[int, list[str]]:
    """How many live records of a collection none of these objects has a draft of; the first
    keys.
    """
    drafted = sa.select(drafts.c.record).where(
        drafts.c.object.in_(list(objects))
    )
    which = *_live(collection), records.c.key.not_in(drafted)
    query = (
        sa.select(records.c.key)
        .where(*which)
        .order_by(records.c.seq)
        .limit(first)
    )
    some = list(connection.execute(query).scalars())
    return count_where(connection, *which), some


def mark_gone(connection: sa.Connection, keys: Sequence[str]) -> None:
    """These records were deleted in the source; they are kept, but no longer migrated."""
    _mark(connection, keys, gone=True)


def note_listed(
    connection: sa.Connection, keys: Sequence[str], at: float
) -> None:
    """These records were listed just now, changed or not."""
    _mark(connection, keys, read_at=at)


def _mark(
    connection: sa.Connection, keys: Sequence[str], **marks: float
) -> None:
    for part in batches(keys, BATCH):
        names = list({key.partition("/")[0] for key in part})
        connection.execute(
            records.update()
            .where(
                records.c.collection.in_(names),
                among(connection, records.c.key, part),
            )
            .values(**marks)
        )


def count_unlisted(
    connection: sa.Connection, collection: str, since: float
) -> int:
    """How many live records of a collection were not listed since a moment."""
    return count_where(connection, *_unlisted(collection, since))


def _unlisted(
    collection: str, since: float
) -> tuple[sa.ColumnElement[bool], ...]:
    return *_live(collection), records.c.read_at < since


def stream_unlisted(
    store: Store, collection: str, since: float
) -> Iterator[list[str]]:
    """Keys of live records that were not listed since a moment, a batch at a time."""
    query = sa.select(records.c.seq, records.c.key)
    query = query.where(*_unlisted(collection, since))
    for rows in paged(store, query, records.c.seq):
        yield [row.key for row in rows]


def gone_of(connection: sa.Connection, keys: Sequence[str]) -> set[str]:
    """Those of these records that were deleted in the source."""
    names = {key.partition("/")[0] for key in keys}
    return those_of(
        connection,
        records.c.key,
        keys,
        records.c.collection.in_(names),
        records.c.gone.is_(True),
        records.c.digest != "",
    )


def forget(connection: sa.Connection) -> None:
    """Forget everything that was read: the next run reads the source anew. What it lists no more is
    not known to be deleted, and others may still speak of it.
    """
    connection.execute(records.update().values(gone=True, digest=""))
    for table in (refs, cursors, counted, samples):
        connection.execute(table.delete())
    connection.execute(
        meta.delete().where(
            meta.c.name.startswith(f"{READING}.", autoescape=True)
        )
    )
    connection.execute(
        findings.delete().where(findings.c.stage.in_([READING, DELTA, FLAGS]))
    )


def save_sample(
    connection: sa.Connection, chosen: Sequence[tuple[str, str]]
) -> None:
    """The keys of the sample with the reason for each, replacing an earlier choice."""
    connection.execute(samples.delete())
    rows = [
        {
            "key": key,
            "collection": key.partition("/")[0],
            "ordinal": position,
            "why": why,
        }
        for position, (key, why) in enumerate(chosen)
    ]
    if rows:
        connection.execute(samples.insert(), rows)


def sample(connection: sa.Connection) -> dict[str, str]:
    """The sample's keys and reasons, in order."""
    rows = connection.execute(
        sa.select(samples.c.key, samples.c.why).order_by(samples.c.ordinal)
    )
    return {row.key: row.why for row in rows}


def _record(row: Any) -> Record:
    body = from_text(row.body)
    return Record(
        row.collection, row.key, body, row.seq, row.digest, row.unread
    )
