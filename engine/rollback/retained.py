"""The rows a migration made that a rollback must keep, and why.

Every list is read once: it shows our rows as they are now, and people's rows that lean on them.
Whatever a kept row refers to is kept with it, for platforms may delete a row together with the one
it belongs to. A row that could not be looked at is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.destination.edits import edit_of
from engine.destination.natural_key import holders
from engine.destination.rows import (
    Definitions,
    Row,
    RowCodec,
    codec_of,
    load_definitions,
)
from engine.destination.written import bodies_written
from engine.extract.records import other_id
from engine.load.standing import rows_of
from engine.session import Run
from engine.store.journal import (
    Entry,
    made_rows,
    stream_undoable,
    undoable_places,
    updates_of,
)
from engine.store.links import (
    DEFINITIONS,
    MERGED,
    Link,
    clear_verified,
    links_to_rows,
    mark_verified,
    seen_of,
)
from engine.values import as_list, canonical, grouped, is_empty, links_in

RowId = tuple[str, str]  # resource and id
# field or code, and its value as canonical JSON
Values = frozenset[tuple[str, str]]

HIDDEN = "people have put it where lists do not show it"
MOVED = "its id leads to row {}, as after a merge"
UNSEEN = "it could not be looked at: the platform answers without a row"
OF_ANOTHER = "people merged a row of another run into it"
UNLISTED = "it could not be looked at: the list shows none of our rows, and none can be read"


class Retained(msgspec.Struct):
    """Rows that stay with the reason, and the options that rows which stay use."""

    kept: dict[RowId, str] = {}
    # (resource, field or code) -> ids
    used: dict[RowId, set[str]] = {}


class _Look(msgspec.Struct):
    """One look at the destination."""

    run: Run
    of_run: int | None
    known: Definitions
    edited: bool
    found: Retained = msgspec.field(default_factory=Retained)
    # kept rows that are still to be followed
    waiting: list[RowId] = []
    # codes of the spec's fields that have options
    choices: set[str] = set()
    # resources whose lists show rows of ours
    shown: set[str] = set()

    def codec(self, name: str) -> RowCodec:
        return codec_of(self.run.migration.destination, name, self.known)

    def keep(self, row_id: RowId, reason: str) -> bool:
        """Keep a row; whether that is news."""
        if row_id in self.found.kept:
            return False
        self.found.kept[row_id] = reason
        return True


def find_retained(
    run: Run, of_run: int | None, edited: bool = True
) -> Retained:
    """Find rows people edited, rows that others' rows need, and what those need in turn.

    A row of ours that is there, but in no list, was put away by people. Without `edited`, only what
    rows of others need is kept: a platform may delete those together with ours.
    """
    with run.store.begin() as connection:
        clear_verified(connection)
        known = load_definitions(connection)
        look = _Look(run, of_run, known, edited)
        order = _order(look, connection)
    look.choices = {
        definition.code for definition in known.values() if definition.options
    }

    for position, name in enumerate(order):
        run.progress("looking for what people edited", position, len(order))
        for rows in rows_of(run, run.resource(name)):
            with run.store.begin() as connection:
                _look_at(look, connection, look.codec(name), rows)
            _follow(look)
    if edited:
        _check_unlisted(look)
    run.progress("looking for what people edited", len(order), len(order))
    return look.found


def _order(look: _Look, connection: sa.Connection) -> list[str]:
    """Resources worth reading: those we made rows of, and those that can point at them."""
    resources = look.run.migration.destination.resources
    made = {name for _, name in undoable_places(connection, look.of_run)}
    made |= {
        name
        for name, resource in resources.items()
        if resource.custom and resource.custom.resource in made
    }
    found = []
    for name, resource in resources.items():
        listed = {"create", "list"} <= set(resource.operations)
        points = any(
            made & set(field_type.to) for field_type in resource.all_types()
        )
        definition = name in holders(look.run.migration.destination)
        if listed and not definition and (name in made or points):
            found.append(name)
    return found


def _look_at(
    look: _Look, connection: sa.Connection, codec: RowCodec, rows: Sequence[Row]
) -> None:
    """Note what one page says must stay."""
    name = codec.resource.name
    ids = [codec.resource.id_of(row) for row in rows]
    ours = made_rows(connection, name, ids, look.of_run)
    links = links_to_rows(connection, name, ids)
    if ours:
        look.shown.add(name)
    seen = [
        (link.object, link.key)
        for row_id in ours
        for link in links.get(row_id, ())
        if link.origin != MERGED
    ]
    mark_verified(connection, seen)

    others = [
        link
        for row_id in ids
        if row_id not in ours
        for link in links.get(row_id, ())
    ]
    undone = _to_be_restored(look, connection, others)
    for row, row_id in zip(rows, ids, strict=True):
        linked = links.get(row_id, [])
        if row_id not in ours:
            reason = f"{_whose(linked)} needs it: {name} {row_id}"
            gone = undone.get(row_id, frozenset())
            _hold_all(look, connection, codec, row, reason, linked, gone)
        elif look.edited and _keep_edited(look, connection, codec, row, linked):
            reason = _needed_by(name, row_id)
            _hold_all(look, connection, codec, row, reason, linked)


def _whose(links: Sequence[Link]) -> str:
    made = any(link.origin == "created" for link in links)
    return "a row of another run" if made else "a row that people made"


def _keep_edited(
    look: _Look,
    connection: sa.Connection,
    codec: RowCodec,
    row: Row,
    links: Sequence[Link],
) -> bool:
    """Keep a row of ours that people have edited, or merged one of another run into; whether it
    was.
    """
    row_id = (codec.resource.name, codec.resource.id_of(row))
    merged = [link for link in links if link.origin == MERGED]
    if look.of_run and any(link.run != look.of_run for link in merged):
        return look.keep(row_id, OF_ANOTHER)
    reasons = [
        edit_of(look.run, connection, codec, link, row)
        for link in links
        if link.origin != MERGED
    ]
    return bool(reasons) and all(reasons) and look.keep(row_id, reasons[0])


def _needed_by(resource: str, row_id: str) -> str:
    return f"a row that is kept needs it: {resource} {row_id}"


def _to_be_restored(
    look: _Look, connection: sa.Connection, links: Sequence[Link]
) -> dict[str, Values]:
    """What updates of ours have put into rows that were there, and a rollback takes out."""
    keys = grouped((link.object, link.key) for link in links)

    sent: dict[str, Values] = {}
    for name, found in keys.items():
        for entry in updates_of(connection, name, found, look.of_run):
            codec = look.codec(entry.resource)
            held = {*_values(codec, entry.body), *_customs(codec, entry.body)}
            sent[entry.dest_id] = sent.get(entry.dest_id, frozenset()) | held
    return sent


def _values(codec: RowCodec, row: Row) -> Iterator[tuple[str, str]]:
    for name in codec.resource.fields:
        value = codec.get(row, name)
        if not is_empty(value):
            yield name, canonical(value)


def _customs(codec: RowCodec, row: Row) -> Iterator[tuple[str, str]]:
    for code, value in codec.custom_values(row).items():
        if not is_empty(value):
            yield code, canonical(value)


def _follow(look: _Look) -> None:
    """Keep what kept rows need, and what that needs in turn; those rows are read for it."""
    definitions = holders(look.run.migration.destination)
    while look.waiting:
        waiting, look.waiting = look.waiting, []
        by_resource = grouped(waiting)

        for name, ids in by_resource.items():
            codec = look.codec(name)
            read = name not in definitions
            rows = (
                list(look.run.destination.by_ids(name, sorted(ids)))
                if read
                else []
            )
            shown: dict[str, Row] = {row_id: {} for row_id in ids}
            shown |= {codec.resource.id_of(row): row for row in rows}
            with look.run.store.begin() as connection:
                links = links_to_rows(connection, name, list(shown) * read)
                for row_id, row in shown.items():
                    reason = _needed_by(name, row_id)
                    linked = links.get(row_id, ())
                    _hold_all(look, connection, codec, row, reason, linked)


# -- rows that no list shows


def _check_unlisted(look: _Look) -> None:
    """Rows of ours that no list shows: most are deleted; others are archived or hidden."""
    with look.run.store.begin() as connection:
        places = undoable_places(connection, look.of_run)
    for place in places:
        if place[0] == DEFINITIONS:
            continue
        for batch in stream_undoable(
            look.run.store, place, "create", look.of_run
        ):
            keys = [entry.key for entry in batch]
            with look.run.store.begin() as connection:
                seen = seen_of(connection, place[0], keys)
            for entry in batch:
                if entry.key not in seen:
                    _check_one(look, entry)
            _follow(look)


def _check_one(look: _Look, entry: Entry) -> None:
    """Keep a row that is there though no list shows it, or that cannot be looked at."""
    resource = entry.resource
    if "read" not in look.run.resource(resource).operations:
        if resource not in look.shown:
            _keep_unseen(look, entry, UNLISTED)
        return

    state, row = look.run.destination.look(resource, entry.dest_id)
    if state == "unclear":
        _keep_unseen(look, entry, UNSEEN)
    elif state == "there":
        kind = look.run.resource(resource)
        other = other_id(kind, row, entry.dest_id)
        reason = MOVED.format(other) if other else HIDDEN
        look.keep((resource, entry.dest_id), reason)
        _hold_for(look, entry, row)


def _keep_unseen(look: _Look, entry: Entry, reason: str) -> None:
    """What the row leans on is known only from what was sent."""
    if look.keep((entry.resource, entry.dest_id), reason):
        _hold_for(look, entry, entry.body)


def _hold_for(look: _Look, entry: Entry, row: Row) -> None:
    reason = _needed_by(entry.resource, entry.dest_id)
    name, row_id = entry.resource, entry.dest_id
    with look.run.store.begin() as connection:
        links = links_to_rows(connection, name, [row_id]).get(row_id, ())
        _hold_all(look, connection, look.codec(name), row, reason, links)


def _hold_all(  # noqa: PLR0913
    look: _Look,
    connection: sa.Connection,
    codec: RowCodec,
    row: Row,
    reason: str,
    links: Sequence[Link],
    undone: Values = frozenset(),
) -> None:
    """Keep what a row leans on by what it shows and, where that says nothing of it, by what was
    last written.
    """
    _hold(look, connection, codec, row, reason, undone)
    for link in links:
        if link.origin != MERGED and link.written:
            hidden = _unshown(look, connection, codec, link, row)
            last = [structs.replace(link, written=hidden)]
            for body in bodies_written(
                look.run, connection, codec, last
            ).values():
                _hold(look, connection, codec, body, reason, undone)


def _unshown(
    look: _Look,
    connection: sa.Connection,
    codec: RowCodec,
    link: Link,
    row: Row,
) -> dict[str, Any]:
    """What was written into fields of which the row says nothing, and links in whose place it
    shows no row of ours: they may stand there in another form.
    """
    led = set()
    for name, target, row_id in codec.references(row):
        own = bool(look.run.resource(target).own)
        if name not in led and made_rows(
            connection, target, [row_id], None, own
        ):
            led.add(name)
    return {
        target: value
        for target, value in link.written.items()
        if not (target in led if links_in(value) else codec.shows(row, target))
    }


def _hold(
    look: _Look,
    connection: sa.Connection,
    codec: RowCodec,
    row: Row,
    reason: str,
    undone: Values = frozenset(),
) -> None:
    """Keep what a row that stays leans on: rows, custom fields that hold a value, options."""
    wanted: dict[str, set[str]] = {}
    for name, target, row_id in codec.references(row):
        given_back = (name, canonical(codec.get(row, name))) in undone
        if not given_back or codec.resource.emptied(name) == "never":
            wanted.setdefault(target, set()).add(row_id)

    codes = _codes_in_use(codec, row, undone)
    if codec.resource.custom:
        wanted[codec.resource.custom.resource] = set(codes)
    _note_options(look, codec, row, codes, undone)
    for target, ids in wanted.items():
        own = bool(look.run.resource(target).own)
        for row_id in made_rows(
            connection, target, sorted(ids), look.of_run, own
        ):
            if look.keep((target, row_id), reason):
                look.waiting.append((target, row_id))


def _codes_in_use(codec: RowCodec, row: Row, undone: Values) -> dict[str, Any]:
    values = codec.custom_values(row)
    return {
        code: value
        for code, value in values.items()
        if not is_empty(value) and (code, canonical(value)) not in undone
    }


def _note_options(
    look: _Look,
    codec: RowCodec,
    row: Row,
    codes: Mapping[str, Any],
    undone: Values,
) -> None:
    """The options that a row which stays uses."""
    resource = codec.resource
    for name, field_type in resource.fields.items():
        value = codec.get(row, name)
        used = field_type.options and not is_empty(value)
        if used and (name, canonical(value)) not in undone:
            _use(look, resource.name, name, value)
    for code in look.choices & codes.keys() if resource.custom else ():
        assert resource.custom is not None
        _use(look, resource.custom.resource, code, codes[code])


def _use(look: _Look, resource: str, name: str, value: Any) -> None:
    values = as_list(value)
    look.found.used.setdefault((resource, name), set()).update(map(str, values))
