"""Whether people have edited a row of ours since we wrote it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from engine.destination.resolve import Symbol, resolve, sent_as
from engine.destination.rows import Row, RowCodec, codec_now
from engine.destination.written import bodies_written, linked_ids
from engine.extract.records import rows_now
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.links import (
    MERGED,
    Link,
    link_of,
    links_to_rows,
    save_link,
)
from engine.values import is_empty, links_in


def edits_of(run: Run, resource: str, links: Sequence[Link]) -> dict[str, str]:
    """Keys of links whose rows people have edited since we wrote them, with the reason."""
    codec = codec_now(run, resource)
    with run.store.begin() as connection:
        bodies = bodies_written(run, connection, codec, links)

    rows = rows_now(run.destination, codec.resource, bodies)
    with run.store.begin() as connection:
        reasons = {
            link.key: edit_of(run, connection, codec, link, rows[link.dest_id])
            for link in links
            if link.dest_id in rows
        }
    return {key: reason for key, reason in reasons.items() if reason}


def edit_of(
    run: Run,
    connection: sa.Connection,
    codec: RowCodec,
    link: Link,
    row: Row,
    gone: Collection[Symbol] = (),
) -> str:
    """Why a row of ours counts as edited, or ""; `gone` are records whose rows people deleted."""
    seen, touched = link.extra.get("seen"), link.extra.get("touched")
    mapping = run.spec.objects.get(link.object)
    if not touched and _is_as_left(connection, codec, link, row, gone):
        return ""
    if mapping is None:
        return "people changed it" if touched or seen is not None else ""

    changed = _changed(run, connection, codec, mapping, link, row)
    if changed:
        return f"people changed {', '.join(changed)}"

    # Without a fingerprint only what was written shows an edit.
    return "people changed it" if touched or seen is not None else ""


def emptied(
    codec: RowCodec, link: Link, row: Row
) -> Iterator[tuple[str, Symbol]]:
    """What a row was written to refer to where it refers to nothing now: field and record."""
    for target, value in link.written.items():
        symbols = links_in(value) if target in row else ()
        if symbols and is_empty(codec.get(row, target)):
            yield from ((target, symbol) for symbol in symbols)


def gone_from(
    run: Run, codec: RowCodec, rows: Iterable[Row]
) -> frozenset[Symbol]:
    """The records whose rows are deleted of those that these rows were written to refer to, and
    refer to none now: where people delete a row, a platform may empty what refers to it.
    """
    by_id = {codec.resource.id_of(row): row for row in rows}
    with run.store.begin() as connection:
        linked = links_to_rows(connection, codec.resource.name, list(by_id))
        named = {
            symbol: link_of(connection, *symbol)
            for row_id, links in linked.items()
            for link in links
            for _, symbol in emptied(codec, link, by_id[row_id])
        }
    return frozenset(
        symbol
        for symbol, other in named.items()
        if other and _is_deleted(run, other)
    )


def _is_deleted(run: Run, link: Link) -> bool:
    """Whether the platform says so of a row: no answer says nothing."""
    if "read" not in run.resource(link.resource).operations:
        return False
    return run.destination.look(link.resource, link.dest_id)[0] == "deleted"


def _is_as_left(
    connection: sa.Connection,
    codec: RowCodec,
    link: Link,
    row: Row,
    gone: Collection[Symbol],
) -> bool:
    """Whether a row has the fingerprint of our last write, but for what refers to rows that people
    merged into others, or referred to rows that they deleted: that is no edit of this row.
    """
    seen = link.extra.get("seen")
    if seen is None or codec.is_unchanged(seen, row):
        return seen is not None

    before = dict(row)
    for target, value in link.written.items():
        for symbol in links_in(value) if target in row else ():
            other = link_of(connection, *symbol)
            if other and other.origin == MERGED:
                ids = (other.dest_id, other.extra[MERGED])
                before[target] = _moved_back(before[target], *ids)
    for target, symbol in emptied(codec, link, row):
        other = link_of(connection, *symbol)
        if other and symbol in gone:
            before[target] = sent_as("integer", other.dest_id)
    return codec.is_unchanged(seen, before)


def _moved_back(value: Any, survivor: str, gone: str) -> Any:
    """A value as it was when it named the row that is gone."""
    if isinstance(value, list):
        return [_moved_back(item, survivor, gone) for item in value]
    if isinstance(value, dict):
        return {
            name: _moved_back(item, survivor, gone)
            for name, item in value.items()
        }
    return type(value)(gone) if str(value) == survivor else value


def _changed(
    run: Run,
    connection: sa.Connection,
    codec: RowCodec,
    mapping: ObjectMapping,
    link: Link,
    row: Row,
) -> list[str]:
    """The written fields that hold neither what we sent nor what the platform made of it."""
    last = resolve(
        link.written, mapping, run.spec, codec, linked_ids(run, connection)
    )
    file = codec.resource.file
    found = []
    for target in last.effective:
        live = codec.get(row, target)
        ours = codec.equal(target, codec.get(last.body, target), live)
        stored = target in link.stored and codec.equal(
            target, link.stored[target], live
        )
        if not (ours or stored or (file and target == file[0])):
            found.append(target)
    return found


def note_edit(
    connection: sa.Connection,
    codec: RowCodec,
    link: Link,
    row: Row,
    gone: Collection[Symbol] = (),
) -> None:
    """Keep for a rollback that people changed a row: after a write its fingerprint is another."""
    if (
        "seen" in link.extra
        and not link.extra.get("touched")
        and not _is_as_left(connection, codec, link, row, gone)
    ):
        save_link(
            connection,
            structs.replace(link, extra=link.extra | {"touched": True}),
        )
