"""What drafts were last made of: every record as it was then, every key that had a draft or a row,
and what the drafts of each record looked at.

Each comparison with what is there now has a number, its mark. What is found to be different keeps
the mark of that comparison: whoever was up to date at an earlier mark has not seen it yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from engine.store.changes import to_be_there
from engine.store.links import staged
from engine.store.records import BATCH, live_keys
from engine.store.tables import (
    Store,
    among,
    as_text,
    cursors,
    dependencies,
    drafts,
    from_text,
    insert_into,
    paged,
    recall_in,
    records,
    refs,
    remember_in,
    rows_with,
    seen,
    upsert,
)
from engine.values import batches

MARK = "mapping.mark"  # the store keeps under this name the mark of the last comparison
GONE = ""  # the digest of what is not there any more
STAGED = "staged"  # the digest of a key that has a draft or a row
AT_ONCE = 5_000  # short rows


def next_mark(connection: sa.Connection) -> int:
    """The mark of a comparison that begins."""
    mark = int(recall_in(connection, MARK) or 0) + 1
    remember_in(connection, MARK, str(mark))
    return mark


# -- records


_RECORDS = (
    sa.select(
        records.c.seq,
        records.c.key,
        records.c.body,
        seen.c.digest,
        seen.c.seq,
        seen.c.mark,
    )
    .outerjoin_from(
        records,
        seen,
        sa.and_(
            seen.c.place == records.c.collection, seen.c.key == records.c.key
        ),
    )
    .where(
        records.c.collection == sa.bindparam("place"),
        records.c.seq > sa.bindparam("after"),
        records.c.gone.is_(False),
    )
    .order_by(records.c.seq)
    .limit(BATCH)
)


def compare_records(store: Store, collection: str, mark: int) -> None:
    """Note which records of a collection are new, different, in another order, or gone."""
    after, last = 0, 0
    while True:
        with store.begin() as connection:
            rows = connection.execute(
                _RECORDS, {"place": collection, "after": after}
            ).all()
            if not rows:
                _note_gone(connection, collection, live_keys(collection), mark)
                return
            found = []
            for seq, key, body, was, was_at, of_mark in rows:
                now, is_behind = _digest(body), bool(was) and was_at < last
                if was != now or is_behind:
                    found.append((key, now, seq, mark))
                elif was_at != seq:
                    found.append((key, now, seq, of_mark))
                last = max(last, was_at if was else 0)
            _save(connection, collection, found)
        after = rows[-1][0]


def _digest(body: str) -> str:
    data = body.encode(errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _save(
    connection: sa.Connection,
    place: str,
    found: Iterable[tuple[str, str, int, int]],
) -> None:
    rows = [
        {"place": place, "key": key, "digest": digest, "seq": seq, "mark": mark}
        for key, digest, seq, mark in found
    ]
    upsert(connection, seen, rows, ["place", "key"])


# -- keys that have a draft or a row


def place_of(name: str) -> str:
    """Where the keys of an object are noted; no collection is called so."""
    return f"={name}"


def compare_keys(store: Store, name: str, mark: int) -> None:
    """Note for which keys an object has, or no longer has, a draft or a row."""
    _compare(store, place_of(name), staged(name), mark)


def planned_place(name: str) -> str:
    """Where the keys are noted that an object has a row for, or will have by the plan."""
    return f"+{name}"


def compare_planned(store: Store, name: str, mark: int) -> None:
    """Note for which keys the plan gives, or no longer gives, an object a row."""
    _compare(store, planned_place(name), to_be_there(name), mark)


def _compare(store: Store, place: str, keys: Any, mark: int) -> None:
    """The keys stay in the store: there may be a million of them."""
    now = sa.select(keys.subquery().c.key)
    with store.begin() as connection:
        _note_staged(connection, place, now, mark)
        _note_gone(connection, place, now, mark)


def _known(place: str) -> sa.Select[Any]:
    return sa.select(seen.c.key).where(
        seen.c.place == place, seen.c.digest != GONE
    )


def _note_staged(
    connection: sa.Connection, place: str, now: sa.Select[Any], mark: int
) -> None:
    key = sa.except_(now, _known(place)).subquery().c.key
    values = {"place": place, "digest": STAGED, "seq": 0, "mark": mark}
    rows = sa.select(key, *map(sa.literal, values.values()))
    # SQLite needs a WHERE before ON CONFLICT: without one, ON would join tables
    statement = insert_into(seen, connection.dialect.name).from_select(
        ["key", *values], rows.where(sa.true())
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["place", "key"], set_=values
        )
    )


def _note_gone(
    connection: sa.Connection, place: str, now: sa.Select[Any], mark: int
) -> None:
    left = sa.except_(_known(place), now)
    connection.execute(
        seen.update()
        .where(seen.c.place == place, seen.c.key.in_(left))
        .values(digest=GONE, seq=0, mark=mark)
    )


# -- what is different since then


def changed_since(
    connection: sa.Connection, place: str, mark: int
) -> list[str]:
    """The keys of what is not as it was at a mark."""
    query = sa.select(seen.c.key).where(
        seen.c.place == place, seen.c.mark > mark
    )
    return list(connection.execute(query).scalars())


def targets_of(
    connection: sa.Connection, collection: str, keys: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """What records of a collection name now: the field, and the value as it is indexed."""
    query = sa.select(refs.c.field, refs.c.target).where(
        refs.c.collection == collection
    )
    for row in rows_with(connection, query, refs.c.key, keys):
        yield row[0], row[1]


def indexed_fields(
    connection: sa.Connection, names: Iterable[str]
) -> dict[str, list[str]]:
    """The fields by which the records of these collections can be found."""
    query = sa.select(cursors.c.collection, cursors.c.indexed).where(
        cursors.c.collection.in_(list(names))
    )
    rows = connection.execute(query).all()
    return {name: sorted(from_text(fields)) for name, fields in rows}


# -- what the drafts of a record looked at


def save_dependencies(
    connection: sa.Connection, name: str, found: Mapping[str, Sequence[str]]
) -> None:
    """Keep what the drafts of records looked at, replacing what was kept."""
    rows = [
        {"object": name, "record": record, "found": as_text(list(looked_at))}
        for record, looked_at in found.items()
        if looked_at
    ]
    upsert(connection, dependencies, rows, ["object", "record"])


def clear_dependencies(connection: sa.Connection, name: str) -> None:
    """Forget them for all records of an object."""
    connection.execute(
        dependencies.delete().where(dependencies.c.object == name)
    )


def dependents_of(
    store: Store, name: str, changed: frozenset[str]
) -> Iterator[str]:
    """The records of an object whose drafts looked at any of these."""
    query = sa.select(dependencies).where(dependencies.c.object == name)
    for rows in paged(store, query, dependencies.c.record, batch=AT_ONCE):
        for row in rows:
            if not changed.isdisjoint(from_text(row.found)):
                yield row.record


# -- the drafts of some records


def forget_drafts(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> list[str]:
    """Forget an object's drafts of these records, and what they looked at; the drafts' keys."""
    found: list[str] = []
    for part in batches(keys):
        made = (
            drafts.c.object == name,
            among(connection, drafts.c.record, part),
        )
        found += connection.execute(
            sa.select(drafts.c.key).where(*made)
        ).scalars()
        connection.execute(drafts.delete().where(*made))
        connection.execute(
            dependencies.delete().where(
                dependencies.c.object == name,
                among(connection, dependencies.c.record, part),
            )
        )
    return found


def number(
    connection: sa.Connection, name: str, sources: Sequence[str]
) -> None:
    """Number an object's drafts in the order of its collections and their records."""
    rank: Any = sa.case(
        {source: position for position, source in enumerate(sources)},
        value=records.c.collection,
    )
    order = (rank, records.c.seq, drafts.c.seq)
    place = sa.func.row_number().over(order_by=order).label("place")
    numbered = (
        sa.select(drafts.c.key, place)
        .join(
            records,
            sa.and_(
                records.c.collection.in_(list(sources)),
                records.c.key == drafts.c.record,
            ),
        )
        .where(drafts.c.object == name)
        .subquery()
    )
    connection.execute(
        drafts.update()
        .where(
            drafts.c.object == name,
            drafts.c.key == numbered.c.key,
            drafts.c.seq != numbered.c.place,
        )
        .values(seq=numbered.c.place)
    )
