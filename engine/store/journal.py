"""One row for each intended write: intent first, then the call, then the outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.store.tables import (
    Store,
    among,
    count_where,
    from_text,
    journal,
    links,
    paged,
    row_of,
    runs,
    those_of,
    write_rows,
)
from engine.values import batches

OPEN = ("intent", "doubt")
RUNNING = "running"
LATEST = 100  # rows made last that stand for all of their time


class Entry(msgspec.Struct, frozen=True):
    """One intended write."""

    run: int
    object: str
    key: str
    resource: str
    action: str
    body: dict[str, Any]
    draft: dict[str, Any]
    before: dict[str, Any] = {}
    dest_id: str = ""
    state: str = "intent"
    reason: str = ""
    calls: int = 0
    cost: float = 0.0
    at: float = 0.0
    id: int = 0


TEXTS = ("body", "draft", "before")  # what of an entry is stored as JSON


class Settled(msgspec.Struct, frozen=True):
    """The outcome of an intent; `calls` and `cost` are added to what it took before."""

    entry: int
    state: str
    at: float
    dest_id: str = ""
    reason: str = ""
    calls: int = 0
    cost: float = 0.0


_INTEND = journal.insert().returning(journal.c.id, sort_by_parameter_order=True)
_INSERT = journal.insert()
_LAST = sa.select(sa.func.max(journal.c.id))
_SETTLE = (
    journal.update()
    .where(journal.c.id == sa.bindparam("entry"))
    .values(
        state=sa.bindparam("to_state"),
        settled=sa.bindparam("settled_at"),
        reason=sa.bindparam("why"),
        dest_id=sa.case(
            (sa.bindparam("row_id") == "", journal.c.dest_id),
            else_=sa.bindparam("row_id"),
        ),
        calls=journal.c.calls + sa.bindparam("more_calls"),
        cost=journal.c.cost + sa.bindparam("more_cost"),
    )
)


def intend(connection: sa.Connection, entries: Sequence[Entry]) -> list[int]:
    """Write intents; their ids, in order."""
    rows = [row_of(entry, *TEXTS) for entry in entries]
    if connection.dialect.name == "sqlite":
        return _numbered(connection, rows)
    for row in rows:
        del row["id"]
    return list(connection.execute(_INTEND, rows).scalars()) if rows else []


def _numbered(
    connection: sa.Connection, rows: list[dict[str, Any]]
) -> list[int]:
    """The same where nobody else writes meanwhile: the next numbers are known beforehand."""
    last = connection.execute(_LAST).scalar() or 0
    for number, row in enumerate(rows, last + 1):
        row["id"] = number
    if rows:
        write_rows(connection, _INSERT, rows)
    return [row["id"] for row in rows]


def settle(connection: sa.Connection, outcomes: Sequence[Settled]) -> None:
    """The outcomes of intents."""
    rows = [
        {
            "entry": one.entry,
            "to_state": one.state,
            "settled_at": one.at,
            "why": one.reason,
            "row_id": one.dest_id,
            "more_calls": one.calls,
            "more_cost": one.cost,
        }
        for one in outcomes
    ]
    if rows:
        write_rows(connection, _SETTLE, rows)


def last_settled(connection: sa.Connection) -> float:
    """When the outcome of a write was last recorded, in epoch seconds; 0 for never."""
    return (
        connection.execute(sa.select(sa.func.max(journal.c.settled))).scalar()
        or 0.0
    )


def mark(
    connection: sa.Connection, entry_id: int, state: str, reason: str, at: float
) -> None:
    """What later became of a write: undone or kept, and why."""
    connection.execute(
        journal.update()
        .where(journal.c.id == entry_id)
        .values(state=state, reason=reason, settled=at)
    )


def mark_creation(
    connection: sa.Connection,
    name: str,
    key: str,
    dest_id: str,
    before: str,
    state: str,
) -> None:
    """A creation was "done" or has "adopted" a row that was there, other than its answer seemed."""
    connection.execute(
        journal.update()
        .where(
            journal.c.object == name,
            journal.c.key == key,
            journal.c.dest_id == dest_id,
            journal.c.action == "create",
            journal.c.state == before,
        )
        .values(state=state)
    )


def entries(
    connection: sa.Connection, states: Sequence[str] = (), name: str = ""
) -> list[Entry]:
    """Journal rows in order, filtered by state and object."""
    conditions: list[sa.ColumnElement[bool]] = []
    if states:
        conditions.append(journal.c.state.in_(states))
    if name:
        conditions.append(journal.c.object == name)
    return _entries(connection, *conditions)


def _entries(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> list[Entry]:
    """Entries of which all of this holds, in order."""
    query = sa.select(journal).where(*conditions).order_by(journal.c.id)
    return [_entry(row) for row in connection.execute(query)]


def stream_entries(store: Store, batch: int = 500) -> Iterator[list[Entry]]:
    """The whole journal in order, a batch at a time."""
    for rows in paged(store, sa.select(journal), journal.c.id, batch=batch):
        yield [_entry(row) for row in rows]


def refused_in_sample(connection: sa.Connection, name: str) -> bool:
    """Whether a sample has shown that a write of an object is refused."""
    query = (
        sa.select(journal.c.id)
        .join(runs, runs.c.id == journal.c.run)
        .where(
            journal.c.object == name,
            journal.c.state == "failed",
            runs.c.command.contains("--sample"),
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def counts(
    connection: sa.Connection, run: int | None = None
) -> dict[tuple[str, str, str], tuple[int, float]]:
    """(object, action, state) -> how many and at what cost."""
    query = sa.select(
        journal.c.object,
        journal.c.action,
        journal.c.state,
        sa.func.count(),
        sa.func.sum(journal.c.cost),
    ).group_by(journal.c.object, journal.c.action, journal.c.state)
    if run is not None:
        query = query.where(journal.c.run == run)
    return {
        (row[0], row[1], row[2]): (row[3], float(row[4] or 0))
        for row in connection.execute(query)
    }


def last_failed(name: str) -> sa.ColumnElement[bool]:
    """That an entry is the last word on a record of an object, and a failure."""
    last = (
        sa.select(sa.func.max(journal.c.id))
        .where(journal.c.object == name)
        .group_by(journal.c.key)
    )
    return sa.and_(journal.c.id.in_(last), journal.c.state == "failed")


def failures(connection: sa.Connection, name: str) -> dict[str, Entry]:
    """The last word on each record of an object, where that word is a failure."""
    return {one.key: one for one in _entries(connection, last_failed(name))}


def writes_of_run(connection: sa.Connection, run: int) -> list[tuple[str, str]]:
    """What a run wrote or tried to write, by object and key."""
    query = (
        sa.select(journal.c.object, journal.c.key)
        .where(journal.c.run == run)
        .distinct()
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def attempted(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> set[str]:
    """Those of an object's records that a run has sent, or tried to send."""
    return those_of(connection, journal.c.key, keys, journal.c.object == name)


def attempts(connection: sa.Connection, name: str, key: str) -> int:
    """How often a record was sent, or tried to be sent."""
    return count_where(
        connection,
        journal.c.object == name,
        journal.c.key == key,
        journal.c.state != "void",
    )


def close_killed(connection: sa.Connection) -> None:
    """Runs that were killed could not say so; only who holds the store knows that none of them
    is at work.
    """
    connection.execute(
        runs.update().where(runs.c.outcome == RUNNING).values(outcome="killed")
    )


def start_run(
    connection: sa.Connection, command: str, at: float, spec_digest: str
) -> int:
    """A new run's number."""
    result = connection.execute(
        runs.insert().values(
            command=command,
            started=at,
            spec_digest=spec_digest,
            outcome=RUNNING,
        )
    )
    return _number(result)


def end_run(
    connection: sa.Connection, run: int, at: float, outcome: str
) -> None:
    """How a run ended."""
    connection.execute(
        runs.update().where(runs.c.id == run).values(ended=at, outcome=outcome)
    )


def all_runs(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every run, oldest first."""
    return [
        dict(row)
        for row in connection.execute(
            sa.select(runs).order_by(runs.c.id)
        ).mappings()
    ]


def _number(result: sa.CursorResult[Any]) -> int:
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _entry(row: Any) -> Entry:
    found = {name: getattr(row, name) for name in Entry.__struct_fields__}
    texts = {name: from_text(found[name] or "{}") for name in TEXTS}
    return Entry(**found | texts)


# -- what can be taken back

UNDOABLE = ("done", "kept")
_CAN_UNDO = journal.c.state.in_(UNDOABLE)
_CREATED = sa.and_(
    journal.c.action == "create", journal.c.state.in_((*UNDOABLE, "undone"))
)


def _of_run(query: sa.Select[Any], run: int | None) -> sa.Select[Any]:
    return query if run is None else query.where(journal.c.run == run)


Place = tuple[str, str]  # an object, and a resource that it has rows in


def undoable_places(
    connection: sa.Connection, run: int | None
) -> dict[Place, int]:
    """Where a run, or all, have made writes that can be taken back: the first entry of each."""
    columns = (journal.c.object, journal.c.resource)
    query = (
        sa.select(*columns, sa.func.min(journal.c.id))
        .where(_CAN_UNDO)
        .group_by(*columns)
    )
    return {
        (row[0], row[1]): row[2]
        for row in connection.execute(_of_run(query, run))
    }


def stream_undoable(
    store: Store, place: Place, action: str, run: int | None, batch: int = 500
) -> Iterator[list[Entry]]:
    """The writes of one kind that can be taken back, newest first; updates only with a
    before-image.
    """
    before: int | None = None
    while True:
        query = sa.select(journal).where(
            journal.c.object == place[0],
            journal.c.resource == place[1],
            journal.c.action == action,
            _CAN_UNDO,
        )
        if action == "update":
            query = query.where(journal.c.before != "{}")
        if before is not None:
            query = query.where(journal.c.id < before)
        with store.begin() as connection:
            found = [
                _entry(row)
                for row in connection.execute(
                    _of_run(query, run)
                    .order_by(journal.c.id.desc())
                    .limit(batch)
                )
            ]
        if not found:
            return
        before = found[-1].id
        yield found


# writes that have made or changed a row, with what it held before
_CHANGES = sa.and_(
    journal.c.action.in_(("create", "update", "add_options")),
    sa.or_(journal.c.action != "update", journal.c.before != "{}"),
)


def states_by_run(connection: sa.Connection) -> dict[int, set[str]]:
    """What has become of the rows that each run has made or changed; a row that was taken back has
    taken its changes along.
    """
    row = journal.c.resource, journal.c.dest_id
    undone = journal.c.action == "create", journal.c.state == "undone"
    gone = sa.select(*row).where(*undone).distinct().subquery()
    is_its = sa.and_(row[0] == gone.c.resource, row[1] == gone.c.dest_id)
    is_gone = gone.c.dest_id.is_not(None)
    state = sa.case((is_gone, "undone"), else_=journal.c.state)
    query = (
        sa.select(journal.c.run, state)
        .select_from(journal.outerjoin(gone, is_its))
        .where(_CHANGES)
        .distinct()
    )
    found = defaultdict[int, set[str]](set)
    for run, state in connection.execute(query):
        found[run].add(state)
    return found


def has_failed(connection: sa.Connection, run: int) -> bool:
    """Whether a run has sent a write that is not done."""
    mine = journal.c.run == run, journal.c.state != "done"
    return count_where(connection, *mine) > 0


def is_settled_between(
    connection: sa.Connection,
    states: Sequence[str],
    since: float,
    until: float,
    last: int,
) -> bool:
    """Whether a write of a run, up to the last of these, came to one of the states meanwhile."""
    mine = journal.c.run <= last, journal.c.state.in_(states)
    meanwhile = journal.c.settled.between(since, until)
    return count_where(connection, *mine, meanwhile) > 0


def count_rows(
    connection: sa.Connection, states: Sequence[str], run: int | None = None
) -> int:
    """How many rows were made or changed by writes in these states that can be taken back."""
    query = (
        sa.select(journal.c.resource, journal.c.dest_id)
        .where(journal.c.state.in_(states), _CHANGES)
        .distinct()
    )
    rows = sa.select(sa.func.count()).select_from(
        _of_run(query, run).subquery()
    )
    return int(connection.execute(rows).scalar_one())


def creations(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[tuple[str, str], Entry]:
    """The entries that made an object's rows, by key and destination id, taken back or not."""
    its = journal.c.object == name, among(connection, journal.c.key, keys)
    found = _entries(connection, _CREATED, *its)
    return {(entry.key, entry.dest_id): entry for entry in found}


def creations_of_rows(
    connection: sa.Connection, resource: str, ids: Sequence[str]
) -> dict[str, Entry]:
    """The entries that made these destination rows, taken back or not, by destination id."""
    rows = (
        journal.c.resource == resource,
        among(connection, journal.c.dest_id, ids),
    )
    found = _entries(connection, _CREATED, *rows)
    return {entry.dest_id: entry for entry in found}


def made_since(
    connection: sa.Connection, resource: str, since: float
) -> list[str]:
    """The ids of rows of a resource made since a moment, the last first; just the latest."""
    query = (
        sa.select(journal.c.dest_id)
        .where(
            journal.c.resource == resource,
            journal.c.action == "create",
            journal.c.state == "done",
            journal.c.at >= since,
        )
        .order_by(journal.c.id.desc())
        .limit(LATEST)
    )
    return list(connection.execute(query).scalars())


def unproven_deletions(connection: sa.Connection) -> list[Entry]:
    """Deletions that were answered as done, and whose rows nobody has looked for since."""
    return _entries(
        connection,
        journal.c.action == "delete",
        journal.c.state == "done",
        journal.c.before.like('{"link"%'),
    )


def clear_before(connection: sa.Connection, ids: Sequence[int]) -> None:
    """What these deletions kept of their links is not needed any more."""
    for part in batches(ids):
        connection.execute(
            journal.update().where(journal.c.id.in_(part)).values(before="{}")
        )


def stands_again(connection: sa.Connection, deletion: Entry) -> None:
    """The creation of a row that a deletion did not remove has not been undone."""
    connection.execute(
        journal.update()
        .where(
            journal.c.resource == deletion.resource,
            journal.c.dest_id == deletion.dest_id,
            journal.c.object == deletion.object,
            journal.c.key == deletion.key,
            journal.c.action == "create",
            journal.c.state == "undone",
            journal.c.id < deletion.id,
        )
        .values(state="done")
    )


def failed_creations(connection: sa.Connection, mark: str) -> list[Entry]:
    """Creations that failed with a mark in the reason, of records that have had no other outcome
    since.
    """
    later = journal.alias()
    return _entries(
        connection,
        journal.c.action == "create",
        journal.c.state == "failed",
        journal.c.reason.contains(mark, autoescape=True),
        ~sa.exists().where(
            later.c.object == journal.c.object,
            later.c.key == journal.c.key,
            later.c.id > journal.c.id,
        ),
    )


def written_before(connection: sa.Connection, entry: Entry) -> dict[str, Any]:
    """The draft of the write before this one on the same row; {} where there was none."""
    query = (
        sa.select(journal.c.draft)
        .where(
            journal.c.object == entry.object,
            journal.c.key == entry.key,
            journal.c.id < entry.id,
            _CAN_UNDO,
            journal.c.action.in_(("create", "update")),
        )
        .order_by(journal.c.id.desc())
    )
    found = connection.execute(query).scalars().first()
    return dict(from_text(found)) if found else {}


def made_rows(
    connection: sa.Connection,
    resource: str,
    ids: Sequence[str],
    run: int | None,
    own: bool = False,
) -> set[str]:
    """Those of these destination rows that a creation which can be taken back has made.

    With `own` the given ids are the rows' own: the last part of the joined ids in the store.
    """
    named = among(connection, links.c.dest_id, ids)
    if own:
        row_id = links.c.dest_id
        ends = [row_id.endswith(f"+{one}", autoescape=True) for one in ids]
        named = sa.or_(sa.false(), *ends)
    query = sa.select(links.c.dest_id).where(
        journal.c.object == links.c.object,
        journal.c.key == links.c.key,
        journal.c.dest_id == links.c.dest_id,
        links.c.resource == resource,
        named,
        journal.c.action == "create",
        _CAN_UNDO,
    )
    return set(connection.execute(_of_run(query, run)).scalars())


def updates_of(
    connection: sa.Connection, name: str, keys: Sequence[str], run: int | None
) -> list[Entry]:
    """The updates of these records that can be taken back."""
    conditions: list[sa.ColumnElement[bool]] = [
        journal.c.object == name,
        among(connection, journal.c.key, keys),
        journal.c.action == "update",
        _CAN_UNDO,
    ]
    if run is not None:
        conditions.append(journal.c.run == run)
    return _entries(connection, *conditions)
