"""The plan as it is kept: one change for each draft and each row to delete; and rows to look
among.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from engine.store.journal import last_failed
from engine.store.links import drafted_keys, linked_keys
from engine.store.tables import (
    Store,
    among,
    as_text,
    candidates,
    changes,
    count_where,
    drafts,
    from_text,
    journal,
    links,
    paged,
    row_of,
    rows_with,
    seen,
    those_of,
    upsert,
    verified,
)
from engine.values import batches, indexed

Kind = Literal[
    "create",
    "update",
    "adopt",
    "delete",
    "unchanged",
    "conflict",
    "skip",
    "fail",
]
WRITTEN: tuple[Kind, ...] = (
    "create",
    "update",
    "adopt",
    "unchanged",
    "conflict",
)
_ORDER = changes.c.seq, changes.c.key


class Change(msgspec.Struct, frozen=True):
    """What is to be done about one record of an object.

    `send` and `before` are an update's fields as they travel and as the destination holds them;
    `conflicts` are (field, live, wanted); `stuck` are fields to be emptied that cannot be.
    """

    object: str
    key: str
    kind: Kind
    dest_id: str = ""
    send: Mapping[str, Any] = {}
    before: Mapping[str, Any] = {}
    conflicts: tuple[tuple[str, Any, Any], ...] = ()
    stuck: tuple[str, ...] = ()
    # of the row it was decided on
    version: Mapping[str, Any] = {}
    draft: str = ""  # digest of the draft it was decided for
    reason: str = ""
    cost: float = 0.0
    seq: int = 0


def save_changes(connection: sa.Connection, found: Sequence[Change]) -> None:
    """Insert changes or replace those of the same records."""
    rows = [
        row_of(change, "send", "before", "conflicts", "stuck", "version")
        for change in found
    ]
    upsert(connection, changes, rows, ["object", "key"])


def clear_changes(connection: sa.Connection) -> None:
    """Forget the last plan, and the rows that it looked among."""
    connection.execute(changes.delete())
    connection.execute(candidates.delete())


# -- what is kept of the last plan


_UNTOUCHED = sa.and_(
    changes.c.draft == drafts.c.digest,
    changes.c.seq == drafts.c.seq,
    changes.c.dest_id == "",
    sa.or_(
        sa.and_(drafts.c.state == "ready", changes.c.kind == "create"),
        sa.and_(
            drafts.c.state == "skipped",
            changes.c.kind == "skip",
            changes.c.reason == drafts.c.reason,
        ),
        sa.and_(
            drafts.c.state == "failed",
            changes.c.kind == "fail",
            changes.c.reason == drafts.c.reason,
        ),
    ),
)
_LINKED = sa.exists().where(
    links.c.object == changes.c.object, links.c.key == changes.c.key
)
_DRAFTED = sa.and_(
    drafts.c.object == changes.c.object, drafts.c.key == changes.c.key
)


def keep_untouched(connection: sa.Connection, names: Sequence[str]) -> None:
    """Forget the last plan but for drafts of these objects that are as they were, without a row;
    and the rows that it looked among.
    """
    untouched = sa.exists().where(_DRAFTED, _UNTOUCHED)
    kept = sa.and_(
        changes.c.object.in_(list(names)), untouched, sa.not_(_LINKED)
    )
    connection.execute(changes.delete().where(sa.not_(kept)))
    connection.execute(candidates.delete())


def drop_some(
    connection: sa.Connection, name: str, records: Sequence[str]
) -> None:
    """Take out of the plan what is drafted from these records of an object."""
    for part in batches(records):
        made = drafted_keys(name).where(
            among(connection, drafts.c.record, part)
        )
        connection.execute(
            changes.delete().where(
                changes.c.object == name,
                changes.c.kind != "delete",
                changes.c.key.in_(made),
            )
        )


def drop_all(connection: sa.Connection, name: str) -> None:
    """Take everything out of the plan that an object has drafts of."""
    connection.execute(
        changes.delete().where(
            changes.c.object == name, changes.c.kind != "delete"
        )
    )


def settle(connection: sa.Connection, name: str) -> None:
    """Nothing is to be done about drafts of an object that are what was written last."""
    same = (
        sa.select(
            drafts.c.object,
            drafts.c.key,
            drafts.c.seq,
            sa.literal("unchanged"),
            links.c.dest_id,
            drafts.c.digest,
        )
        .join(
            links,
            sa.and_(
                links.c.object == drafts.c.object,
                links.c.key == drafts.c.key,
                links.c.digest == drafts.c.digest,
            ),
        )
        .where(
            drafts.c.object == name,
            drafts.c.state == "ready",
            links.c.held == "{}",
        )
    )
    columns = ["object", "key", "seq", "kind", "dest_id", "draft"]
    connection.execute(changes.insert().from_select(columns, same))


def planned_keys(name: str, *kinds: Kind) -> sa.Select[Any]:
    """The keys of an object's changes of these kinds, as a query; of all but deletions without."""
    wanted = changes.c.kind.in_(kinds) if kinds else changes.c.kind != "delete"
    return sa.select(changes.c.key).where(changes.c.object == name, wanted)


# -- what a run left out


LEFT_OUT = "-"  # before the name of an object: the place in `seen` of records


def note_left_out(connection: sa.Connection, name: str, whole: bool) -> None:
    """Keep which records of an object a run skips or fails unsent, for a plan that is made later
    may decide otherwise; `whole` says that all drafts were planned.
    """
    known = seen.c.place == LEFT_OUT + name
    if not whole:
        known &= seen.c.key.in_(planned_keys(name))
    connection.execute(seen.delete().where(known))
    rows = sa.select(
        sa.literal(LEFT_OUT + name),
        changes.c.key,
        changes.c.kind,
        sa.literal(0),
        sa.literal(0),
    ).where(
        changes.c.object == name,
        changes.c.kind.in_(("skip", "fail")),
        sa.or_(changes.c.dest_id == "", changes.c.kind == "fail"),
    )
    columns = ["place", "key", "digest", "seq", "mark"]
    connection.execute(seen.insert().from_select(columns, rows))


def note_held(
    connection: sa.Connection, name: str, key: str, word: str
) -> None:
    """The same of one record that cannot be written after all."""
    row = {"place": LEFT_OUT + name, "key": key, "digest": word}
    upsert(connection, seen, [row | {"seq": 0, "mark": 0}], ["place", "key"])


def forget_left_out(connection: sa.Connection) -> None:
    """Nothing was left out, for nothing was written."""
    connection.execute(seen.delete().where(seen.c.place.startswith(LEFT_OUT)))


def left_out(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> set[str]:
    """Those of an object's records that a run left out."""
    return those_of(
        connection, seen.c.key, keys, seen.c.place == LEFT_OUT + name
    )


def failed_keys(name: str) -> sa.CompoundSelect[Any]:
    """The keys of an object's records that failed last, written or left out, as a query."""
    unsent = sa.select(seen.c.key).where(
        seen.c.place == LEFT_OUT + name, seen.c.digest == "fail"
    )
    return sa.select(journal.c.key).where(last_failed(name)).union(unsent)


def unverified(store: Store, name: str) -> Iterator[list[str]]:
    """The keys of an object's drafts that no row of the destination was seen for, then of links
    and of failed records without a draft: a sample makes few of these.
    """
    told = [verified]
    for keys, table in (
        (drafted_keys(name), drafts),
        (linked_keys(name), links),
        (failed_keys(name), journal),
    ):
        key = keys.subquery().c.key
        known = [
            ~sa.exists().where(item.c.object == name, item.c.key == key)
            for item in told
        ]
        for rows in paged(store, sa.select(key).where(*known), key):
            yield [row.key for row in rows]
        told.append(table)


def count_skipped(connection: sa.Connection, names: Iterable[str]) -> int:
    """How many records of these objects were skipped by the runs so far."""
    places = [LEFT_OUT + name for name in names]
    return count_where(
        connection, seen.c.place.in_(places), seen.c.digest == "skip"
    )


def to_be_there(name: str) -> Any:
    """The keys that an object has a row for once the plan is carried out, as a query."""
    made = planned_keys(name, "create", "adopt")
    rows = made.union(linked_keys(name)).subquery()
    return sa.select(rows.c.key).where(
        rows.c.key.not_in(planned_keys(name, "delete"))
    )


def any_deletes(connection: sa.Connection) -> bool:
    """Whether the plan deletes any row."""
    return count_where(connection, changes.c.kind == "delete") > 0


def changes_of(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, Change]:
    """The changes planned for these records of an object."""
    query = sa.select(changes).where(changes.c.object == name)
    rows = rows_with(connection, query, changes.c.key, keys)
    return {row.key: _change(row) for row in rows}


def rows_to_be(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, str]:
    """The ids of the rows that the plan gives these records; "" for one that is not made yet."""
    query = sa.select(changes.c.key, changes.c.dest_id).where(
        changes.c.object == name, changes.c.kind.in_(("create", "adopt"))
    )
    rows = rows_with(connection, query, changes.c.key, keys)
    return {row[0]: row[1] for row in rows}


def adoptions_of(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, bool]:
    """Those of these records that the plan adopts a row for, and whether for a draft of theirs."""
    query = sa.select(changes.c.key, changes.c.draft).where(
        changes.c.object == name, changes.c.kind == "adopt"
    )
    rows = rows_with(connection, query, changes.c.key, keys)
    return {row[0]: bool(row[1]) for row in rows}


def stream_changes(
    store: Store, name: str, kind: Kind
) -> Iterator[list[Change]]:
    """An object's changes of one kind in the order of their records, a batch at a time."""
    yield from _stream(store, name, changes.c.kind == kind)


_WORK = sa.or_(
    changes.c.kind.in_(("create", "update", "adopt", "conflict")),
    sa.and_(changes.c.kind == "unchanged", changes.c.reason != ""),
)


def stream_work(store: Store, name: str) -> Iterator[list[Change]]:
    """An object's changes that ask for a call or for a note in the link, in their order."""
    yield from _stream(store, name, _WORK)


def count_work(store: Store, name: str) -> int:
    """How many of an object's changes ask for a call or for a note in the link."""
    with store.begin() as connection:
        return count_where(connection, changes.c.object == name, _WORK)


def stream_all(store: Store) -> Iterator[list[Change]]:
    """Every change but those where nothing is to be done, by object and in the order of its
    records.
    """
    query = sa.select(changes).where(changes.c.kind != "unchanged")
    for rows in paged(store, query, changes.c.object, *_ORDER):
        yield [_change(row) for row in rows]


def _stream(store: Store, name: str, wanted: Any) -> Iterator[list[Change]]:
    query = sa.select(changes).where(changes.c.object == name, wanted)
    for rows in paged(store, query, *_ORDER):
        yield [_change(row) for row in rows]


def count_changes(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """How many changes of which kind each object has."""
    query = sa.select(changes.c.object, changes.c.kind, sa.func.count())
    rows = connection.execute(query.group_by(changes.c.object, changes.c.kind))
    return {(row[0], row[1]): row[2] for row in rows}


def count_sent(connection: sa.Connection) -> dict[str, int]:
    """How many adopted rows of each object are written to as well."""
    query = sa.select(changes.c.object, sa.func.count()).where(
        changes.c.kind == "adopt", changes.c.send != "{}"
    )
    return {
        row[0]: row[1]
        for row in connection.execute(query.group_by(changes.c.object))
    }


def drop_changes(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> None:
    """Take changes out of the plan."""
    for part in batches(keys):
        connection.execute(
            changes.delete().where(
                changes.c.object == name, among(connection, changes.c.key, part)
            )
        )


def pending_deletes(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> set[str]:
    """Those of these records whose rows the plan deletes."""
    deletes = (changes.c.object == name, changes.c.kind == "delete")
    any_delete = sa.select(changes.c.key).where(*deletes).limit(1)
    if not keys or connection.execute(any_delete).first() is None:
        return set()
    return those_of(connection, changes.c.key, keys, *deletes)


def adopting_rows(
    connection: sa.Connection, name: str, ids: Sequence[str]
) -> set[str]:
    """Those of these destination rows that the plan adopts for a record of an object."""
    return those_of(
        connection,
        changes.c.dest_id,
        ids,
        changes.c.object == name,
        changes.c.kind == "adopt",
    )


def _change(row: Sequence[Any]) -> Change:
    name, key, seq, kind, dest_id, send, before, conflicts = row[:8]
    stuck, version, draft, reason, cost = row[8:]
    return Change(
        name,
        key,
        kind,
        dest_id,
        from_text(send),
        from_text(before),
        tuple(map(tuple, from_text(conflicts))),
        tuple(from_text(stuck)),
        from_text(version),
        draft,
        reason,
        cost,
        seq,
    )


# -- rows among which ours are looked for


def add_candidates(
    connection: sa.Connection,
    resource: str,
    rows: Sequence[tuple[str, str, Mapping[str, Any]]],
) -> None:
    """Keep rows as (token, id, fields) so that a batch of records can be looked up among them."""
    found = [
        {
            "resource": resource,
            "token": indexed(token),
            "dest_id": row_id,
            "body": as_text(dict(body)),
        }
        for token, row_id, body in rows
    ]
    upsert(connection, candidates, found, ["resource", "token", "dest_id"])


def find_candidates(
    connection: sa.Connection, resource: str, tokens: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Rows by id that can be looked up by one of these tokens."""
    query = sa.select(candidates).where(candidates.c.resource == resource)
    query = query.order_by(candidates.c.dest_id)
    sought = map(indexed, tokens)
    rows = rows_with(connection, query, candidates.c.token, sought)
    return {row.dest_id: from_text(row.body) for row in rows}
