"""Drafts (what should be), links (what stands for what) and findings (what people must know)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.store.tables import (
    Among,
    Build,
    Store,
    among,
    as_text,
    count_where,
    drafts,
    findings,
    from_text,
    journal,
    links,
    paged,
    row_of,
    rows_among,
    rows_with,
    samples,
    those_of,
    upsert,
    verified,
    write_rows,
)
from engine.values import batches, digest, grouped, without
from engine.values import link as symbol_of

BATCH = 500
FEW = 20  # records that one statement looks for in the texts of drafts
# the origin of a link whose row people merged into another one, where it leads now
MERGED = "merged"
# Links, writes and findings of the account's fields and options belong to no object of the spec;
# their key is the field as specs write it: `persons.custom.tax`, `persons.label`.
DEFINITIONS = ""


class Draft(msgspec.Struct, frozen=True):
    """The wanted destination body of one record."""

    object: str
    key: str
    record: str
    body: dict[str, Any]
    digest: str
    state: str = "ready"
    reason: str = ""
    seq: int = 0


class Link(msgspec.Struct, frozen=True):
    """A record and the destination row that stands for it."""

    object: str
    key: str
    resource: str
    dest_id: str
    digest: str
    written: dict[str, Any]
    origin: str
    run: int = 0
    at: float = 0.0
    extra: dict[str, Any] = {}
    # target field -> what the destination made of our value
    stored: dict[str, Any] = {}
    # target field -> why it is not sent, and what that rests on
    held: dict[str, Any] = {}


def is_touched(link: Link, target: str) -> bool:
    """Whether people were seen to have changed a field before our last write; any field, where it
    is not known which.
    """
    theirs = link.extra.get("touched", ())
    return theirs is True or target in theirs


class Finding(msgspec.Struct, frozen=True):
    """Something about one record that a person must see."""

    object: str
    key: str
    stage: str
    field: str
    severity: str
    text: str


def save_drafts(connection: sa.Connection, found: Sequence[Draft]) -> None:
    """Insert or replace drafts."""
    rows = [row_of(draft, "body") for draft in found]
    upsert(connection, drafts, rows, ["object", "key"])


def clear_drafts(connection: sa.Connection, name: str) -> None:
    """Forget an object's drafts: they are made anew from the records."""
    connection.execute(drafts.delete().where(drafts.c.object == name))


def drop_drafts(connection: sa.Connection, record: str) -> None:
    """Forget what was made of a record that is no longer there."""
    connection.execute(drafts.delete().where(drafts.c.record == record))


# Asked for lookups of every record: built once, since building a statement costs more than
# running it.
_STAGED = (
    sa.select(drafts.c.key)
    .where(
        drafts.c.object == sa.bindparam("object"),
        drafts.c.key == sa.bindparam("key"),
        drafts.c.state == "ready",
    )
    .union_all(
        sa.select(links.c.key).where(
            links.c.object == sa.bindparam("object"),
            links.c.key == sa.bindparam("key"),
        )
    )
)


def is_staged(connection: sa.Connection, name: str, key: str) -> bool:
    """Whether an object has a draft of this key that can be written, or a row for it."""
    return (
        connection.execute(_STAGED, {"object": name, "key": key}).first()
        is not None
    )


def staged_keys(
    connection: sa.Connection, name: str, most: int
) -> frozenset[str] | None:
    """The keys of which an object has a draft that can be written, or a row; None for too many."""
    found = connection.execute(staged(name).limit(most + 1)).scalars().all()
    return frozenset(found) if len(found) <= most else None


def _any(connection: sa.Connection, query: sa.Select[Any]) -> bool:
    return connection.execute(query.limit(1)).first() is not None


def drafted_keys(name: str) -> sa.Select[Any]:
    """The keys of which an object has a draft, as a query."""
    return sa.select(drafts.c.key).where(drafts.c.object == name)


def linked_keys(name: str) -> sa.Select[Any]:
    """The keys of which an object has a row, as a query."""
    return sa.select(links.c.key).where(links.c.object == name)


def staged(name: str) -> sa.CompoundSelect[Any]:
    """The keys of which an object has a draft that can be written, or a row, as a query."""
    ready = drafted_keys(name).where(drafts.c.state == "ready")
    return ready.union(linked_keys(name))


def count_findings(connection: sa.Connection, stage: str, name: str) -> int:
    """How much a stage has found about an object's records."""
    return count_where(connection, *_found(stage, name))


def _by(column: sa.Column[Any], fixed: sa.Column[Any]) -> Build:
    """The rows of a table with one value in a column and one of many in another."""
    query = sa.select(column.table).where(fixed == sa.bindparam(fixed.name))
    return lambda among: query.where(among(column))


_DRAFTS = _by(drafts.c.key, drafts.c.object)
_LINKS = _by(links.c.key, links.c.object)
_LINKS_TO = _by(links.c.dest_id, links.c.resource)


def draft_states(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, str]:
    """The state of these drafts of an object; keys without a draft are left out."""
    rows = rows_among(connection, _states, keys, object=name)
    return {row.key: row.state for row in rows}


def _states(among: Among) -> sa.Select[Any]:
    return sa.select(drafts.c.key, drafts.c.state).where(
        drafts.c.object == sa.bindparam("object"), among(drafts.c.key)
    )


def drafts_of(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, Draft]:
    """These drafts of an object, as far as there are any."""
    found = map(_draft, rows_among(connection, _DRAFTS, keys, object=name))
    return {draft.key: draft for draft in found}


def stream_drafts(
    store: Store,
    name: str,
    batch: int = BATCH,
    without: sa.Select[Any] | None = None,
) -> Iterator[list[Draft]]:
    """An object's drafts in the order of their records, a batch at a time; `without` selects
    keys that are left out.
    """
    wanted = drafts.c.object == name
    if without is not None:
        # looked up draft by draft: `not in` would gather all the keys for each batch
        wanted &= ~without.where(
            without.selected_columns[0] == drafts.c.key
        ).exists()
    query, order = sa.select(drafts).where(wanted), (drafts.c.seq, drafts.c.key)
    for rows in paged(store, query, *order, batch=batch):
        yield [_draft(row) for row in rows]


def count_drafts(connection: sa.Connection, name: str) -> dict[str, int]:
    """How many drafts of an object are in which state."""
    query = (
        sa.select(drafts.c.state, sa.func.count())
        .where(drafts.c.object == name)
        .group_by(drafts.c.state)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def drafted_beyond_sample(connection: sa.Connection, name: str) -> bool:
    """Whether an object has drafts of records that the sample does not hold."""
    chosen = sa.select(samples.c.key)
    return _any(
        connection, drafted_keys(name).where(drafts.c.record.not_in(chosen))
    )


def save_link(connection: sa.Connection, link: Link) -> None:
    """Insert or replace a link."""
    save_links(connection, [link])


def save_links(connection: sa.Connection, found: Sequence[Link]) -> None:
    """Insert or replace links."""
    rows = [
        row_of(link, "written", "extra", "stored", "held") for link in found
    ]
    upsert(connection, links, rows, ["object", "key"])


def drop_link(
    connection: sa.Connection, name: str, key: str, row: str = ""
) -> None:
    """Forget a link; with `row`, which is gone, none to another: one that was made anew may stand
    in its place.
    """
    query = links.delete().where(links.c.object == name, links.c.key == key)
    if row:
        query = query.where(
            (links.c.dest_id == row) | (links.c.origin == MERGED)
        )
    connection.execute(query)


def link_of(connection: sa.Connection, name: str, key: str) -> Link | None:
    """The link of one record, if it has one."""
    return links_of(connection, name, [key]).get(key)


def links_of(
    connection: sa.Connection, name: str, keys: Sequence[str] | None = None
) -> dict[str, Link]:
    """An object's links, all or those of the given keys."""
    if keys is None:
        found = all_links(connection, name)
    else:
        rows = rows_among(connection, _LINKS, keys, object=name)
        found = map(_link, rows)
    return {link.key: link for link in found}


def all_links(connection: sa.Connection, *names: str) -> Iterator[Link]:
    """Every link of some objects, one object after the other by name."""
    query = sa.select(links).order_by(links.c.object)
    return map(_link, rows_with(connection, query, links.c.object, names))


def linked_ids_of(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Resource and id of the rows that stand for these records of an object."""
    query = sa.select(links.c.key, links.c.resource, links.c.dest_id).where(
        links.c.object == name
    )
    rows = rows_with(connection, query, links.c.key, keys)
    return {row[0]: (row[1], row[2]) for row in rows}


def stream_links(
    store: Store,
    name: str,
    batch: int = BATCH,
    naming: Collection[tuple[str, str]] = (),
) -> Iterator[list[Link]]:
    """An object's links ordered by key, a batch at a time; where `naming` has a few records, and
    not more than that, just those whose draft refers to one of them.
    """
    wanted = links.c.object == name
    if 0 < len(naming) <= FEW:
        symbols = (as_text(symbol_of(*one)) for one in naming)
        said = [
            links.c.written.contains(one, autoescape=True) for one in symbols
        ]
        wanted = sa.and_(wanted, sa.or_(*said))
    query = sa.select(links).where(wanted)
    for rows in paged(store, query, links.c.key, batch=batch):
        yield [_link(row) for row in rows]


def linked_rows(
    connection: sa.Connection, resource: str, ids: Sequence[str], name: str
) -> set[str]:
    """Those of these destination rows that stand for a record of an object."""
    return those_of(
        connection,
        links.c.dest_id,
        ids,
        links.c.resource == resource,
        links.c.object == name,
    )


def links_to_rows(
    connection: sa.Connection, resource: str, ids: Sequence[str]
) -> dict[str, list[Link]]:
    """Every link to these rows of a resource, by destination id."""
    rows = rows_among(connection, _LINKS_TO, ids, resource=resource)
    found = sorted(map(_link, rows), key=lambda one: (one.object, one.key))
    return grouped((link.dest_id, link) for link in found)


def links_marked(
    connection: sa.Connection, resource: str, mark: str
) -> list[Link]:
    """Links to rows of a resource that we made, as far as is known, with a mark in `extra`."""
    query = sa.select(links).where(
        links.c.resource == resource,
        links.c.origin == "created",
        links.c.extra.contains(f'"{mark}":'),
    )
    return [
        link
        for link in map(_link, connection.execute(query))
        if mark in link.extra
    ]


def unconfirmed_links(
    connection: sa.Connection, resource: str, since: float
) -> list[Link]:
    """Links to rows that we made since a moment and that no answer or reading has shown."""
    query = sa.select(links).where(
        links.c.resource == resource,
        links.c.origin == "created",
        links.c.at >= since,
        links.c.extra.not_like('%"seen":%'),
    )
    return [_link(row) for row in connection.execute(query)]


def rename_key(
    connection: sa.Connection, name: str, old: str, new: str
) -> None:
    """A record of an object goes by another key from now on: its link, journal and findings too."""
    for table in (links, journal, findings):
        connection.execute(
            table.update()
            .where(table.c.object == name, table.c.key == old)
            .values(key=new)
        )


def objects_with(connection: sa.Connection, origins: Sequence[str]) -> set[str]:
    """Objects some of whose links came to be in one of these ways."""
    query = (
        sa.select(links.c.object)
        .where(links.c.origin.in_(list(origins)))
        .distinct()
    )
    return set(connection.execute(query).scalars())


def any_links(connection: sa.Connection, name: str) -> bool:
    """Whether the store knows any row of an object."""
    return _any(connection, linked_keys(name))


def count_links(connection: sa.Connection) -> dict[str, int]:
    """How many links each object of a spec has."""
    query = (
        sa.select(links.c.object, sa.func.count())
        .where(links.c.object != DEFINITIONS)
        .group_by(links.c.object)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def save_findings(connection: sa.Connection, found: Sequence[Finding]) -> None:
    """Add findings."""
    if found:
        write_rows(connection, _FIND, [row_of(finding) for finding in found])


_FIND = findings.insert()


def save_once(connection: sa.Connection, finding: Finding) -> None:
    """Add a finding that may have been made before."""
    row = row_of(finding)
    connection.execute(
        findings.delete().where(
            *(findings.c[name] == value for name, value in row.items())
        )
    )
    connection.execute(findings.insert(), row)


def clear_findings(
    connection: sa.Connection,
    stage: str,
    name: str = "",
    keys: Sequence[str] | None = None,
) -> None:
    """Forget what a stage found, before it looks again."""
    query = findings.delete().where(findings.c.stage == stage)
    if name:
        query = query.where(findings.c.object == name)
    for part in [None] if keys is None else batches(keys):
        connection.execute(
            query
            if part is None
            else query.where(among(connection, findings.c.key, part))
        )


_CLEAR_FOUND = findings.delete().where(
    findings.c.stage == sa.bindparam("of_stage"),
    findings.c.object == sa.bindparam("of_object"),
    findings.c.key == sa.bindparam("of_key"),
)


def clear_findings_of(
    connection: sa.Connection, places: Sequence[tuple[str, str, str]]
) -> None:
    """Forget what was found about records, each named by stage, object and key."""
    # asked first, for nearly always nothing was found
    some = {
        (stage, name): _any(
            connection, sa.select(findings.c.id).where(*_found(stage, name))
        )
        for stage, name in {place[:2] for place in places}
    }
    rows = [
        {"of_stage": stage, "of_object": name, "of_key": key}
        for stage, name, key in places
        if some[stage, name]
    ]
    if rows:
        write_rows(connection, _CLEAR_FOUND, rows)


def _found(stage: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    """What a stage found about an object's records, as conditions."""
    return findings.c.stage == stage, findings.c.object == name


def clear_unlinked_findings(
    connection: sa.Connection, stage: str, name: str
) -> None:
    """Forget what a stage found about an object's records that have no row: it is found anew."""
    connection.execute(
        findings.delete().where(
            *_found(stage, name), findings.c.key.not_in(linked_keys(name))
        )
    )


def clear_findings_among(
    connection: sa.Connection, stage: str, name: str, keys: sa.Select[Any]
) -> None:
    """Forget what a stage found about those of an object's records that a query selects."""
    connection.execute(
        findings.delete().where(*_found(stage, name), findings.c.key.in_(keys))
    )


def clear_undrafted_findings(
    connection: sa.Connection, stages: Sequence[str], name: str
) -> None:
    """Forget what stages found about records that make no draft of an object any more."""
    connection.execute(
        findings.delete().where(
            findings.c.stage.in_(list(stages)),
            findings.c.object == name,
            findings.c.key.not_in(drafted_keys(name)),
        )
    )


def call_attention(connection: sa.Connection, stage: str, name: str) -> None:
    """What a stage noted about an object's records has to be seen by a person after all."""
    connection.execute(
        findings.update()
        .where(*_found(stage, name))
        .values(severity="attention")
    )


def told(connection: sa.Connection, stage: str) -> None:
    """What a stage found was said to people, who need not be asked to look at it again."""
    connection.execute(
        findings.update()
        .where(findings.c.stage == stage)
        .values(severity="note")
    )


def clear_held_findings(
    connection: sa.Connection, name: str, key: str, target: str
) -> None:
    """What was reported of a held field is over; what the mapping found of it stays."""
    connection.execute(
        findings.delete().where(
            findings.c.object == name,
            findings.c.key == key,
            findings.c.field == target,
            findings.c.stage.in_(("write", "load")),
        )
    )


def troubled_fields(
    connection: sa.Connection, stage: str, name: str
) -> list[tuple[str, int, str]]:
    """Fields of an object that a stage found something wrong with: in how many drafts, and what
    in one.

    Drafts that are skipped do not count: nothing is written of them anyway.
    """
    meant = drafted_keys(name).where(drafts.c.state != "skipped")
    query = (
        sa.select(
            findings.c.field,
            sa.func.count(findings.c.key.distinct()),
            sa.func.min(findings.c.text),
        )
        .where(*_found(stage, name), findings.c.key.in_(meant))
        .where(findings.c.severity == "attention", findings.c.field != "")
        .group_by(findings.c.field)
        .order_by(findings.c.field)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def count_attention(connection: sa.Connection) -> tuple[int, int]:
    """How much was found that needs a person, and about how many records."""
    needed = findings.c.severity == "attention"
    about = sa.select(findings.c.object, findings.c.key).where(needed)
    key = about.distinct().subquery().c.key
    return (
        count_where(connection, needed),
        count_where(connection, key.is_not(None)),
    )


def all_findings(
    connection: sa.Connection,
    severity: str = "",
    most: int | None = None,
    stage: str = "",
) -> list[Finding]:
    """Findings in the order they were made, or the first so many; of one stage if it is named."""
    query = sa.select(findings).order_by(findings.c.id).limit(most)
    if severity:
        query = query.where(findings.c.severity == severity)
    if stage:
        query = query.where(findings.c.stage == stage)
    return [
        Finding(r.object, r.key, r.stage, r.field, r.severity, r.text)
        for r in connection.execute(query)
    ]


def forget_written(
    connection: sa.Connection, resource: str, target: str
) -> int:
    """Forget that a field of a resource's rows was written; how many rows had it.

    A row that was never written keeps its empty digest, which says that whatever it holds is
    people's.
    """
    many, after = 0, ("", "")
    while True:
        query = sa.select(links).where(
            links.c.resource == resource,
            sa.tuple_(links.c.object, links.c.key) > sa.tuple_(*after),
        )
        rows = connection.execute(
            query.order_by(links.c.object, links.c.key).limit(BATCH)
        ).all()
        if not rows:
            return many
        after = (rows[-1].object, rows[-1].key)
        for link in map(_link, rows):
            if target in link.written:
                written = without(link.written, (target,))
                save_link(
                    connection,
                    structs.replace(
                        link,
                        written=written,
                        digest=digest(written) if link.digest else "",
                    ),
                )
                many += 1


def _draft(row: Sequence[Any]) -> Draft:
    name, key, seq, record, mark, body, state, reason = row[:8]
    return Draft(name, key, record, from_text(body), mark, state, reason, seq)


def _link(row: Sequence[Any]) -> Link:
    name, key, resource, dest_id, mark, written, origin, extra, run, at = row[
        :10
    ]
    texts = map(from_text, (extra, *row[10:12]))
    draft = from_text(written)
    return Link(
        name, key, resource, dest_id, mark, draft, origin, run, at, *texts
    )


def clear_verified(connection: sa.Connection) -> None:
    """Start a comparison: no row has been seen yet."""
    connection.execute(verified.delete())


def mark_verified(
    connection: sa.Connection, found: Sequence[tuple[str, str]]
) -> None:
    """These rows were seen in the destination."""
    upsert(
        connection,
        verified,
        [{"object": name, "key": key} for name, key in found],
        ["object", "key"],
    )


def first_written(connection: sa.Connection, resource: str) -> float | None:
    """When the oldest link of a resource was last written; None where there is none."""
    found = connection.execute(
        sa.select(sa.func.min(links.c.at)).where(links.c.resource == resource)
    ).scalar()
    return float(found) if found is not None else None


def seen_of(
    connection: sa.Connection, name: str, keys: Sequence[str]
) -> set[str]:
    """Those of an object's keys that were marked as seen in the destination."""
    return those_of(connection, verified.c.key, keys, verified.c.object == name)


def forget_found(connection: sa.Connection, needed: Collection[str]) -> None:
    """Forget which rows of others stand for records, but for those of objects that are `needed`."""
    connection.execute(links.delete().where(*_found_rows(needed)))


def count_found(connection: sa.Connection, needed: Collection[str]) -> int:
    """How many links to rows of others there are, but for those of these objects."""
    return count_where(connection, *_found_rows(needed))


def _found_rows(needed: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    origins = ("matched", "adopted", MERGED)
    return links.c.origin.in_(origins), links.c.object.not_in(needed)
