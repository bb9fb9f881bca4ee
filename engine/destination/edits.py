"""Whether people have edited a row of ours since we wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from engine.destination.resolve import resolve
from engine.destination.rows import (
    Row,
    RowCodec,
    codec_now,
    load_definitions,
)
from engine.destination.written import bodies_written, linked_ids
from engine.extract.records import rows_now
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.links import MERGED, Link, link_of, save_link
from engine.values import links_in

# among the fields that people changed: they may have changed some that are not ours
ELSEWHERE = "*"


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
    run: Run, connection: sa.Connection, codec: RowCodec, link: Link, row: Row
) -> str:
    """Why a row of ours counts as edited, or ""."""
    seen, touched = link.extra.get("seen"), link.extra.get("touched")
    mapping = run.spec.objects.get(link.object)
    if not touched and _is_as_left(run, connection, codec, link, row):
        return ""
    changed = mapping and changed_fields(
        run, connection, codec, mapping, link, row
    )
    if changed:
        return f"people changed {', '.join(changed)}"

    # Without a fingerprint only what was written shows an edit.
    return "people changed it" if touched or seen is not None else ""


def _is_as_left(
    run: Run, connection: sa.Connection, codec: RowCodec, link: Link, row: Row
) -> bool:
    """Whether a row has the fingerprint of our last write, but for what refers to rows that people
    merged into others, and for fields that they deleted: neither is an edit of this row.
    """
    seen = link.extra.get("seen")
    if seen is None or codec.is_unchanged(seen, row):
        return seen is not None

    before = _before_merges(connection, link, row)
    if codec.is_unchanged(seen, before):
        return True
    every = load_definitions(connection, deleted=True)
    whole = replace(codec, definitions=every)
    gone = [
        name for name in link.written if whole.code(name) != codec.code(name)
    ]
    mapping = run.spec.objects.get(link.object)
    if not gone or mapping is None:
        return False

    ids = linked_ids(run, connection)
    sent = resolve(link.written, mapping, run.spec, whole, ids).body
    for name in gone:
        value = link.stored.get(name, whole.get(sent, name))
        whole.put(before, name, value)
    return whole.is_unchanged(seen, before)


def _before_merges(
    connection: sa.Connection, link: Link, row: Row
) -> dict[str, Any]:
    """A copy of a row that refers to the rows that were merged into those it refers to now."""
    before = deepcopy(dict(row))
    for target, value in link.written.items():
        for symbol in links_in(value) if target in row else ():
            other = link_of(connection, *symbol)
            if other and other.origin == MERGED:
                ids = (other.dest_id, other.extra[MERGED])
                before[target] = _moved_back(before[target], *ids)
    return before


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


def changed_fields(
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
    run: Run, connection: sa.Connection, codec: RowCodec, link: Link, row: Row
) -> None:
    """Keep that people changed a row, and which of our fields: after a write its fingerprint is
    another, and holds their values as well.
    """
    if "seen" not in link.extra or _is_as_left(
        run, connection, codec, link, row
    ):
        return
    known = link.extra.get("touched", ())
    mapping = run.spec.objects.get(link.object)
    theirs: Any = True
    if mapping is not None and known is not True:
        changed = changed_fields(run, connection, codec, mapping, link, row)
        theirs = sorted({ELSEWHERE, *known, *changed})
    if theirs != known:
        extra = link.extra | {"touched": theirs}
        save_link(connection, structs.replace(link, extra=extra))
