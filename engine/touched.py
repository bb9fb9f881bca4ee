"""What people have touched: the rows a migration made that must stay, and why.

Every list is read once: it shows our rows as they are now, and the rows of others that lean on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from engine.changes import FIELDS, OPTIONS, definitions
from engine.connector.model import FieldType, Resource
from engine.run import Run
from engine.store.journal import made_rows, stream_undoable, undoable_objects, updates_of
from engine.store.links import Link, clear_verified, linked_ids, links_of, mark_verified, seen_of
from engine.values import canonical, is_empty
from engine.wire import agrees, dig_target, resolve
from engine.write import fingerprint

RowId = tuple[str, str]  # resource and id
Row = Mapping[str, Any]
Values = frozenset[tuple[str, str]]  # field or code, and its value as canonical JSON


@dataclass(slots=True)
class Touched:
    """Rows that stay with the reason, and the options that rows which stay use."""

    kept: dict[RowId, str] = field(default_factory=dict)
    used: dict[RowId, set[str]] = field(default_factory=dict)  # (resource, field or code) -> option ids


@dataclass(slots=True)
class _Look:
    """One look at the destination."""

    run: Run
    of_run: int | None
    found: Touched = field(default_factory=Touched)
    waiting: list[RowId] = field(default_factory=list)  # kept rows whose own references are still to be followed
    choices: set[str] = field(default_factory=set)  # codes of the spec's fields that have options

    def resource(self, name: str) -> Resource:
        return self.run.migration.destination.resources[name]

    def keep(self, row_id: RowId, reason: str) -> bool:
        """Keep a row; whether that is news."""
        if row_id in self.found.kept:
            return False
        self.found.kept[row_id] = reason
        return True


def look(run: Run, of_run: int | None) -> Touched:
    """Find what stays: rows people edited, rows that others' rows need, and what those need in turn.

    A row of ours that is there, but in no list, was put away by people.
    """
    work = _Look(run, of_run)
    with run.store.begin() as connection:
        clear_verified(connection)
        order = _order(work, connection)
        work.choices = {known.code for known in definitions(connection, run).values() if known.options}
    for position, name in enumerate(order):
        run.progress("looking at what people touched", position, len(order))
        for rows in _rows(work, work.resource(name)):
            with run.store.begin() as connection:
                _look_at(work, connection, work.resource(name), rows)
            _follow(work)
    _look_behind(work)
    run.progress("looking at what people touched", len(order), len(order))
    return work.found


def is_definition(name: str) -> bool:
    """Whether an object of the journal stands for custom fields or options, not for records."""
    return name.startswith((FIELDS, OPTIONS))


def _holders(run: Run) -> set[str]:
    """Resources that hold the definitions of custom fields."""
    return {kind.custom.resource for kind in run.migration.destination.resources.values() if kind.custom}


def _order(work: _Look, connection: sa.Connection) -> list[str]:
    """Resources worth reading: those we made rows of, and those that can point at them."""
    objects = undoable_objects(connection, work.of_run)
    made = {name.partition(".")[2] if is_definition(name) else resource for name, (resource, _) in objects.items()}
    return [
        name
        for name, resource in work.run.migration.destination.resources.items()
        if {"create", "list"} <= set(resource.operations) and name not in _holders(work.run)
        if name in made or any(set(kind.to) & made for kind in _kinds(resource))
    ]


def _kinds(resource: Resource) -> Iterator[FieldType]:
    for kind in resource.fields.values():
        yield kind
        yield from (kind.shape or {}).values()


def _rows(work: _Look, resource: Resource) -> Iterator[list[dict[str, Any]]]:
    """A resource's rows page by page; under all of their parents, people's too, where they are only listed there."""
    operation = resource.operations["list"]
    if not operation.ids_of:
        for page in work.run.destination.pages(resource.name):
            yield page.rows
        return
    for parent in resource.fields[operation.ids_of].to:
        for above in work.run.destination.pages(parent):
            ids = [work.resource(parent).id_of(row) for row in above.rows]
            yield list(work.run.destination.by_ids(resource.name, ids))


def _look_at(work: _Look, connection: sa.Connection, resource: Resource, rows: Sequence[Row]) -> None:
    """Note what one page says must stay."""
    ids = [resource.id_of(row) for row in rows]
    ours = made_rows(connection, resource.name, ids, work.of_run)
    links = linked_ids(connection, resource.name, ids)
    mark_verified(connection, [(link.object, link.key) for row_id, link in links.items() if row_id in ours])
    undone = _to_be_restored(work, connection, [link for row_id, link in links.items() if row_id not in ours])
    for row, row_id in zip(rows, ids, strict=True):
        link = links.get(row_id)
        if row_id not in ours:
            whose = "a row of another run" if link and link.origin == "created" else "a row that people made"
            _hold(work, connection, resource, row, f"{whose} needs it: {resource.name} {row_id}", undone.get(row_id, frozenset()))
        elif link and (reason := _edited(work.run, connection, link, row)) and work.keep((resource.name, row_id), reason):
            _hold(work, connection, resource, row, _needed_by(resource, row_id))


def _needed_by(resource: Resource, row_id: str) -> str:
    return f"a row that is kept needs it: {resource.name} {row_id}"


def _to_be_restored(work: _Look, connection: sa.Connection, links: Sequence[Link]) -> dict[str, Values]:
    """What updates of ours have put into rows that were there before, and that a rollback takes out again."""
    keys: dict[str, list[str]] = {}
    for link in links:
        keys.setdefault(link.object, []).append(link.key)
    sent: dict[str, Values] = {}
    for name, found in keys.items():
        for entry in updates_of(connection, name, found, work.of_run):
            values = [pair for key, value in entry.body.items() for pair in _flat(key, value)]
            sent[entry.dest_id] = sent.get(entry.dest_id, frozenset()) | {(key, canonical(value)) for key, value in values}
    return sent


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    """A field, and what stands inside it: custom fields stand in a container."""
    return [(name, value), *(value.items() if isinstance(value, dict) else ())]


def _follow(work: _Look) -> None:
    """Keep what kept rows need, and what that needs in turn: the rows themselves are read for it."""
    while work.waiting:
        waiting, work.waiting = work.waiting, []
        by_resource: dict[str, list[str]] = {}
        for name, row_id in waiting:
            by_resource.setdefault(name, []).append(row_id)
        for name, ids in by_resource.items():
            resource = work.resource(name)
            rows = list(work.run.destination.by_ids(name, sorted(ids))) if name not in _holders(work.run) else []
            with work.run.store.begin() as connection:
                for row in rows:
                    _hold(work, connection, resource, row, _needed_by(resource, resource.id_of(row)))


def _look_behind(work: _Look) -> None:
    """Rows of ours that no list shows are read one by one: most are gone, the others were put away (archived)."""
    with work.run.store.begin() as connection:
        objects = undoable_objects(connection, work.of_run)
    for name, (resource, _) in objects.items():
        if is_definition(name) or "read" not in work.resource(resource).operations:
            continue
        for batch in stream_undoable(work.run.store, name, "create", work.of_run):
            with work.run.store.begin() as connection:
                seen = seen_of(connection, name, [entry.key for entry in batch])
            for entry in batch:
                row = work.run.destination.read(resource, entry.dest_id) if entry.key not in seen else None
                if row is not None:
                    work.keep((resource, entry.dest_id), "people have put it where lists do not show it")
                    with work.run.store.begin() as connection:
                        _hold(work, connection, work.resource(resource), row, _needed_by(work.resource(resource), entry.dest_id))
            _follow(work)


def _hold(
    work: _Look, connection: sa.Connection, resource: Resource, row: Row, reason: str, undone: Values = frozenset()
) -> None:  # fmt: skip
    """Keep what a row that stays leans on: rows, custom fields that hold a value, options."""
    wanted: dict[str, set[str]] = {}
    for name, kind in resource.fields.items():
        value = row.get(name)
        if is_empty(value) or (name, canonical(value)) in undone:
            continue
        if kind.options:
            _use(work, resource.name, name, value)
        for target, row_id in _references(value, kind):
            wanted.setdefault(target, set()).add(row_id)
    if resource.custom:
        held = row.get(resource.custom.container) if resource.custom.container else row
        codes = {code: value for code, value in (held or {}).items() if not is_empty(value)}
        codes = {code: value for code, value in codes.items() if (code, canonical(value)) not in undone}
        wanted[resource.custom.resource] = set(codes)
        for code in work.choices & set(codes):
            _use(work, resource.custom.resource, code, codes[code])
    for target, ids in wanted.items():
        for row_id in made_rows(connection, target, sorted(ids), work.of_run, own=bool(work.resource(target).own)):
            if work.keep((target, row_id), reason):
                work.waiting.append((target, row_id))


def _use(work: _Look, resource: str, name: str, value: Any) -> None:
    work.found.used.setdefault((resource, name), set()).update(map(str, value if isinstance(value, list) else [value]))


def _references(value: Any, kind: FieldType) -> Iterator[RowId]:
    """The rows a value refers to."""
    if kind.kind == "reference" and value is not None:
        yield from ((target, str(value)) for target in kind.to)
    elif kind.shape and isinstance(value, list | dict):
        for item in value if isinstance(value, list) else [value]:
            for name, inner in kind.shape.items():
                yield from _references(item.get(name) if isinstance(item, dict) else None, inner)


def edited_since(run: Run, resource: str, links: Sequence[Link]) -> dict[str, str]:
    """Keys of links whose rows people have edited since we wrote them, with the reason."""
    kind = run.migration.destination.resources[resource]
    rows = {kind.id_of(row): row for row in run.destination.by_ids(resource, [link.dest_id for link in links])}
    with run.store.begin() as connection:
        reasons = {link.key: _edited(run, connection, link, rows[link.dest_id]) for link in links if link.dest_id in rows}
    return {key: reason for key, reason in reasons.items() if reason}


def _edited(run: Run, connection: sa.Connection, link: Link, row: Row) -> str:
    """Why a row of ours counts as touched, or ""."""
    resource = run.migration.destination.resources[link.resource]
    seen, touched = link.extra.get("seen"), link.extra.get("touched")
    mapping = run.spec.objects.get(link.object)
    if not touched and (seen == fingerprint(row, resource) or (seen is None and mapping is None)):
        return ""
    if mapping is None:
        return "people changed it"
    known = definitions(connection, run)
    last = resolve(link.written, mapping, run.spec, run.migration.destination, lambda name, key: _id(connection, name, key), known)
    changed = [
        target
        for target in last.effective
        if not (resource.file and target == resource.file[0])
        if not agrees(
            dig_target(last.body, target, resource, known),
            dig_target(row, target, resource, known),
            resource.fields.get(target),
        )
    ]
    told = touched or seen is not None  # without a fingerprint only what was written tells
    return f"people changed {', '.join(changed)}" if changed else "people changed it" if told else ""


def _id(connection: sa.Connection, name: str, key: str) -> str | None:
    found = links_of(connection, name, [key]).get(key)
    return found.dest_id if found else None
