"""Source beside destination: every mapped field of a record and what the destination now holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from engine.changes import definitions
from engine.connector.model import Resource
from engine.mapping.project import Projection, Source, Trace, project
from engine.reading import recent
from engine.run import Run
from engine.settle import MARGIN
from engine.spec.model import ObjectMapping
from engine.spec.uses import paths_read
from engine.stages.transform import sight_on
from engine.store.journal import failures
from engine.store.links import (
    Draft,
    Link,
    clear_verified,
    first_written,
    linked_ids,
    links_of,
    mark_verified,
    save_link,
    stream_links,
    unverified_drafts,
)
from engine.store.records import Record, many, sample
from engine.values import as_file, canonical, is_empty, leaves, segments, word
from engine.wire import Definitions, Resolved, agrees, dig_target, resolve
from engine.write import fingerprint


@dataclass(frozen=True, slots=True)
class FieldState:
    """One mapped field of one record.

    `state` is equal, transformed, looked_up, defaulted (all of them: arrived), dropped (the
    mapping left it out), lost (wanted, but the destination holds something else) or empty.
    """

    target: str
    label: str
    state: str
    sources: tuple[tuple[str, Any], ...]
    steps: tuple[str, ...]
    wanted: Any
    live: Any
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One record side by side."""

    object: str
    label: str
    key: str
    record: str
    resource: str
    dest_id: str
    state: str  # arrived, missing, skipped, failed
    reason: str
    fields: tuple[FieldState, ...]
    unmapped: tuple[tuple[str, Any], ...]
    why: str = ""
    title: str = ""
    file: Mapping[str, Any] | None = None


def compare(
    run: Run, objects: Sequence[ObjectMapping], only: frozenset[str] | None = None, since: float | None = None
) -> Iterator[Comparison]:
    """Read the destination back, in list pages, and compare it with what was wanted, record by record.

    Every resource is read once, however many objects write to it; then come the drafts no row was
    seen for. Memory stays flat: what was seen is marked in the store.
    """
    with run.store.begin() as connection:
        clear_verified(connection)
        bench = _Bench(definitions(connection, run), touched_fields(objects), sample(connection), only)
    by_resource: dict[str, list[ObjectMapping]] = {}
    for mapping in objects:
        by_resource.setdefault(mapping.resource, []).append(mapping)
    for position, (name, mappings) in enumerate(by_resource.items()):
        run.progress("reading the destination back", position, len(by_resource))
        known = {mapping.name: mapping for mapping in mappings}
        for rows in _pages(run, run.migration.destination.resources[name], since):
            yield from _seen(run, name, known, rows, bench)
    for mapping in objects:
        for batch in unverified_drafts(run.store, mapping.name):
            yield from _unseen(run, mapping, [d for d in batch if only is None or d.record in only], bench)
    run.progress("reading the destination back", len(by_resource), len(by_resource))


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every comparison needs besides its record."""

    known: Definitions
    touched: Mapping[str, set[str]]
    whys: Mapping[str, str]
    only: frozenset[str] | None


# A draft's object, key and record, with its link and its row in the destination.
_Pair = tuple[ObjectMapping, str, str, Link | None, Mapping[str, Any] | None]


def _seen(
    run: Run, resource: str, objects: Mapping[str, ObjectMapping], rows: list[dict[str, Any]], bench: _Bench
) -> Iterator[Comparison]:
    """The comparisons of one page of destination rows; rows that are not ours are passed over."""
    kind = run.migration.destination.resources[resource]
    live = {kind.id_of(row): row for row in rows}
    with run.store.begin() as connection:
        links = [link for link in linked_ids(connection, resource, list(live)).values() if link.object in objects]
        links = [link for link in links if bench.only is None or link.key.partition("#")[0] in bench.only]
        mark_verified(connection, [(link.object, link.key) for link in links])
        pairs: list[_Pair] = [
            (objects[link.object], link.key, link.key.partition("#")[0], link, live[link.dest_id]) for link in links
        ]
        found = list(_side_by_side(run, connection, pairs, bench))
        arrived = {(one.object, one.key) for one in found if all(item.state != "lost" for item in one.fields)}
        for link in links:  # a write whose answer did not show the row left no fingerprint
            if link.origin == "created" and "seen" not in link.extra and (link.object, link.key) in arrived:
                save_link(connection, replace(link, extra=link.extra | {"seen": fingerprint(live[link.dest_id], kind)}))
    yield from found


def _unseen(run: Run, mapping: ObjectMapping, drafts: Sequence[Draft], bench: _Bench) -> Iterator[Comparison]:
    """The comparisons of drafts that no row of the destination stands for."""
    with run.store.begin() as connection:
        failed = failures(connection, mapping.name)
        links = links_of(connection, mapping.name, [draft.key for draft in drafts])
        pairs: list[_Pair] = [(mapping, draft.key, draft.record, links.get(draft.key), None) for draft in drafts]
        found = list(_side_by_side(run, connection, pairs, bench))
    for row in found:
        lost = row.state == "missing" and row.key in failed
        yield replace(row, state="failed", reason=failed[row.key].reason) if lost else row


def _side_by_side(run: Run, connection: sa.Connection, pairs: Sequence[_Pair], bench: _Bench) -> Iterator[Comparison]:
    """The comparisons of those pairs whose record is still there and still makes this draft."""
    records = many(connection, list({name for _, _, name, _, _ in pairs}))
    sight = sight_on(run, connection)
    for mapping, key, name, link, row in pairs:
        record = records.get(name)
        made = project(mapping, Source(record.collection, record.key, record.body), sight) if record else ()
        projection = next((item for item in made if item.key == key), None)
        if record and projection:
            yield _one(run, connection, mapping, record, projection, link, row, bench)


def _pages(run: Run, resource: Resource, since: float | None) -> Iterator[list[dict[str, Any]]]:
    """Rows of a resource changed since a moment, or since our oldest write to it, page by page."""
    with run.store.begin() as connection:
        oldest = first_written(connection, resource.name)
    if oldest is None:
        return
    if resource.operations["list"].ids_of:
        yield from _by_parents(run, resource)
    else:
        yield from recent(run.destination, resource, max(since or 0.0, oldest) - MARGIN)


def _by_parents(run: Run, resource: Resource) -> Iterator[list[dict[str, Any]]]:
    """Rows that can only be listed under their parents, many parents a call."""
    operation = resource.operations["list"]
    for target in resource.fields[operation.ids_of].to:
        for mapping in run.spec.active():
            if mapping.resource != target:
                continue
            for batch in stream_links(run.store, mapping.name, operation.ids_max):
                yield list(run.destination.by_ids(resource.name, [link.dest_id for link in batch]))


def _one(
    run: Run, connection: sa.Connection, mapping: ObjectMapping, record: Record, projection: Projection, link: Link | None,
    row: Mapping[str, Any] | None, bench: _Bench,
) -> Comparison:  # fmt: skip
    resolved = resolve(
        projection.body, mapping, run.spec, run.migration.destination, lambda name, key: _id(connection, name, key), bench.known
    )
    fields = tuple(field_state(run, mapping, trace, resolved, row, bench.known, link) for trace in projection.traces)
    state, reason = _record_state(projection, resolved, link, row)
    return Comparison(
        mapping.name, mapping.label, projection.key, record.key, mapping.resource, link.dest_id if link else "", state,
        reason, fields, unmapped_fields(record.body, bench.touched.get(record.collection, set())),
        bench.whys.get(record.key, ""), _title(projection.body, record.body),
        link.extra if link and link.extra.get("sha256") else None,
    )  # fmt: skip


def _record_state(projection: Projection, resolved: Resolved, link: Link | None, row: Mapping[str, Any] | None) -> tuple[str, str]:
    if row is not None:
        return "arrived", ""
    if projection.state != "ready":
        return projection.state, projection.reason
    if resolved.skipped or resolved.refused:
        return ("skipped", resolved.skipped) if resolved.skipped else ("failed", resolved.refused)
    return "missing", "it is not in the destination" if link else "it was not written"


def field_state(
    run: Run, mapping: ObjectMapping, trace: Trace, resolved: Resolved, row: Mapping[str, Any] | None, known: Definitions,
    link: Link | None,
) -> FieldState:  # fmt: skip
    """One field's state from its story and from what the destination holds."""
    resource = run.migration.destination.resources[mapping.resource]
    label = run.spec.label(mapping.resource, trace.target)
    wanted = dig_target(resolved.body, trace.target, resource, known)
    live = dig_target(row, trace.target, resource, known) if row is not None else None
    state, reason = trace.how, trace.reason
    missing = dict(resolved.missing)
    if state == "constant":
        state = "defaulted"
    if as_file(wanted) and resource.file:
        live = {"name": row.get(resource.file[1]), "size": row.get(resource.file[2])} if row else None
        state = _file_state(live, wanted, link)
    elif trace.target in missing:
        state, reason = "lost", missing[trace.target]
    elif wanted is not None and not agrees(wanted, live, resource.fields.get(trace.target)):
        state, reason = "lost", "the destination holds something else" if row is not None else "the record did not arrive"
    return FieldState(trace.target, label, state, trace.sources, trace.steps, _shown(trace.value, wanted), live, reason)


def _shown(symbolic: Any, wire: Any) -> Any:
    """A wanted value for people: labels instead of option ids, ids only where there is nothing better."""
    return symbolic if symbolic is not None and not isinstance(symbolic, dict | list) else wire


def _file_state(live: Any, wanted: Any, link: Link | None) -> str:
    size = link.extra.get("size") if link else None
    described = as_file(wanted) or {}
    good = live is not None and live["name"] == described.get("name") and (size is None or live["size"] == size)
    return "transformed" if good else "lost"


def _title(body: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    for name in ("title", "name", "subject"):
        if isinstance(body.get(name), str):
            return str(body[name])
    return str(record.get("full-reference") or record.get("name") or "")


def _id(connection: sa.Connection, name: str, key: str) -> str | None:
    found = links_of(connection, name, [key]).get(key)
    return found.dest_id if found else None


# -- what no mapping touches


def touched_fields(objects: Sequence[ObjectMapping]) -> dict[str, set[str]]:
    """Top-level source fields that any object reads or says why it ignores, by collection."""
    found: dict[str, set[str]] = {}
    for mapping in objects:
        heads = {str(segments(path)[0]) for path in paths_read(mapping) if not path.startswith("$")} - mapping.beside
        for name in mapping.sources:
            found.setdefault(name, set()).update(heads, mapping.ignore)
    return found


_BOOKKEEPING = ("id", "path", "deleted")  # a row's own address and life sign, used by the engine itself


def unmapped_fields(body: Mapping[str, Any], touched: set[str]) -> tuple[tuple[str, Any], ...]:
    """Filled source fields that no mapping reads and none says why it leaves behind."""
    found = []
    for name, value in body.items():
        twin = name.removesuffix("-id") + "-path" if name.endswith("-id") else name
        if name in touched or twin in touched or name in _BOOKKEEPING or is_empty(value):
            continue
        if all(is_empty(leaf) for _, leaf in leaves(value)):
            continue
        found.append((name, value))
    return tuple(found)


def text_of(value: Any) -> str:
    """A value as a table cell shows it."""
    return canonical(value) if isinstance(value, dict | list) else word(value)
