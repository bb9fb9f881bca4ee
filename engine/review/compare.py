"""Source beside destination: every mapped field of a record and what the destination now holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from engine.changes import definitions
from engine.connector.model import Resource
from engine.mapping.project import Projection, Sight, Source, Trace, project
from engine.run import Run
from engine.settle import MARGIN, stamp
from engine.spec.model import ObjectMapping
from engine.spec.uses import paths_read
from engine.stages.transform import sight_on
from engine.store.journal import failures
from engine.store.links import Link, links_of
from engine.store.records import Record, sample, stream
from engine.values import as_file, canonical, dig, is_empty, leaves, segments
from engine.wire import Definitions, Resolved, agrees, dig_target, resolve

FOUND = ("equal", "transformed", "looked_up", "defaulted")


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


def compare(run: Run, objects: Sequence[ObjectMapping], only: frozenset[str] | None = None) -> Iterator[Comparison]:
    """Read the destination back, in list pages, and compare it with what was wanted, record by record."""
    with run.store.begin() as connection:
        known = definitions(connection, run)
        whys = sample(connection)
    touched = touched_fields(objects)
    for mapping in objects:
        if mapping.rows or mapping.name.startswith("pipelines."):
            continue
        with run.store.begin() as connection:
            failed = {key: entry.reason for key, entry in failures(connection, mapping.name).items()}
        live = _readback(run, mapping, only)
        for name in mapping.sources:
            for batch in stream(run.store, name, only):
                yield from _batch(run, mapping, batch, known, live, failed, touched, whys)


def _batch(
    run: Run, mapping: ObjectMapping, batch: list[Record], known: Definitions, live: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str], touched: Mapping[str, set[str]], whys: Mapping[str, str],
) -> Iterator[Comparison]:  # fmt: skip
    """The comparisons of one batch of records."""
    with run.store.begin() as connection:
        sight = sight_on(run, connection)
        found = [(record, list(project(mapping, Source(record.collection, record.key, record.body), sight))) for record in batch]
        links = links_of(connection, mapping.name, [p.key for _, ps in found for p in ps])
        rows = [
            _one(run, connection, mapping, record, projection, links.get(projection.key), known, live, failed, touched, sight)
            for record, projections in found
            for projection in projections
        ]
    for row in rows:
        yield row if not whys else _with_why(row, whys)


def _with_why(row: Comparison, whys: Mapping[str, str]) -> Comparison:
    from dataclasses import replace

    return replace(row, why=whys.get(row.record, ""))


def _one(
    run: Run, connection: sa.Connection, mapping: ObjectMapping, record: Record, projection: Projection, link: Link | None,
    known: Definitions, live: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str], touched: Mapping[str, set[str]],
    sight: Sight,
) -> Comparison:  # fmt: skip
    resource = run.migration.destination.resources[mapping.resource]
    row = live.get(link.dest_id) if link else None
    resolved = resolve(
        projection.body, mapping, run.spec, run.migration.destination, lambda name, key: _id(connection, name, key), known
    )
    fields = tuple(
        field_state(run, mapping, trace, resolved, row, known, link) for trace in projection.traces
    )
    state, reason = _record_state(projection, resolved, link, row, failed)
    unmapped = unmapped_fields(mapping, record.body, touched.get(record.collection, set()))
    return Comparison(
        mapping.name, mapping.label, projection.key, record.key, mapping.resource, link.dest_id if link else "", state,
        reason, fields, unmapped, title=_title(projection.body, record.body),
        file=link.extra if link and link.extra.get("sha256") else None,
    )  # fmt: skip


def _record_state(
    projection: Projection, resolved: Resolved, link: Link | None, row: Mapping[str, Any] | None, failed: Mapping[str, str]
) -> tuple[str, str]:
    if row is not None:
        return "arrived", failed.get(projection.key, "")
    if projection.state != "ready":
        return projection.state, projection.reason
    if resolved.skipped or resolved.refused:
        return ("skipped", resolved.skipped) if resolved.skipped else ("failed", resolved.refused)
    if projection.key in failed:
        return "failed", failed[projection.key]
    return "missing", "it is not in the destination" if link else "it was not written"


def field_state(
    run: Run, mapping: ObjectMapping, trace: Trace, resolved: Resolved, row: Mapping[str, Any] | None, known: Definitions,
    link: Link | None,
) -> FieldState:  # fmt: skip
    """One field's state from its story and from what the destination holds."""
    resource = run.migration.destination.resources[mapping.resource]
    label = _label(run, mapping, trace.target)
    wanted = dig_target(resolved.body, trace.target, mapping.resource, resource, known)
    live = dig_target(row, trace.target, mapping.resource, resource, known) if row is not None else None
    state, reason = trace.how, trace.reason
    missing = dict(resolved.missing)
    if state == "constant":
        state = "defaulted"
    if as_file(wanted) and resource.file:
        live = {"name": row.get(resource.file[1]), "size": row.get(resource.file[2])} if row else None
        state = _file_state(live, wanted, link, state)
    elif trace.target in missing:
        state, reason = "lost", missing[trace.target]
    elif wanted is not None and not agrees(wanted, live, resource.fields.get(trace.target)):
        state, reason = "lost", "the destination holds something else" if row is not None else "the record did not arrive"
    return FieldState(
        trace.target, label, state, trace.sources, trace.steps, _shown(trace.value, wanted), live, reason
    )


def _shown(symbolic: Any, wire: Any) -> Any:
    """A wanted value for people: labels instead of option ids, ids only where there is nothing better."""
    return symbolic if symbolic is not None and not isinstance(symbolic, dict | list) else wire


def _file_state(live: Any, wanted: Any, link: Link | None, state: str) -> str:
    size = link.extra.get("size") if link else None
    described = as_file(wanted) or {}
    good = live is not None and live["name"] == described.get("name") and (size is None or live["size"] == size)
    return "transformed" if good else "lost"


def _label(run: Run, mapping: ObjectMapping, target: str) -> str:
    field = run.spec.custom_fields.get((mapping.resource, target.removeprefix("custom.")))
    return field.label if field and target.startswith("custom.") else target


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
        inside = {*mapping.related, *mapping.children, *([mapping.each.name] if mapping.each else [])}
        heads = {str(segments(path)[0]) for path in paths_read(mapping) if not path.startswith("$")} - inside
        for name in mapping.sources:
            found.setdefault(name, set()).update(heads, mapping.ignore)
    return found


_BOOKKEEPING = ("id", "path", "deleted")  # a row's own address and life sign, used by the engine itself


def unmapped_fields(mapping: ObjectMapping, body: Mapping[str, Any], touched: set[str]) -> tuple[tuple[str, Any], ...]:
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


# -- reading back


def _readback(run: Run, mapping: ObjectMapping, only: frozenset[str] | None) -> dict[str, Mapping[str, Any]]:
    """The destination rows of an object, read in list pages."""
    with run.store.begin() as connection:
        links = links_of(connection, mapping.name)
    wanted = [link for link in links.values() if only is None or link.key.partition("#")[0] in only]
    if not wanted:
        return {}
    resource = run.migration.destination.resources[mapping.resource]
    operation = resource.operations["list"]
    if operation.ids_of:
        parents = {str(value) for link in wanted for value in [_parent(run, link, operation.ids_of)] if value}
        return {str(row[resource.id]): row for row in run.destination.by_ids(mapping.resource, sorted(parents))}
    if operation.ids:
        ids = sorted((link.dest_id for link in wanted), key=lambda text: (len(text), text))
        return {str(row[resource.id]): row for row in run.destination.by_ids(mapping.resource, ids)}
    return _scan(run, resource, wanted)


def _parent(run: Run, link: Link, name: str) -> str | None:
    value = link.written.get(name)
    found = value.get("$link") if isinstance(value, dict) else None
    if not found:
        return None
    with run.store.begin() as connection:
        return _id(connection, found[0], found[1])


def _scan(run: Run, resource: Resource, wanted: list[Link]) -> dict[str, Mapping[str, Any]]:
    """A list that cannot be asked for ids: pages since the first write, until all are found."""
    operation = resource.operations["list"]
    missing = {link.dest_id for link in wanted}
    since = min(link.at for link in wanted) - MARGIN
    params = {operation.since: stamp(since, operation.since_style)} if operation.since else {}
    found: dict[str, Mapping[str, Any]] = {}
    for page in run.destination.pages(resource.name, params, newest_first=bool(operation.newest_first)):
        for row in page.rows:
            row_id = str(row.get(resource.id))
            if row_id in missing:
                found[row_id] = row
                missing.discard(row_id)
        if not missing:
            break
    return found


def text_of(value: Any) -> str:
    """A value as a table cell shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return canonical(value)
    return str(value)


__all__ = ["FOUND", "Comparison", "FieldState", "compare", "dig", "text_of", "touched_fields"]
