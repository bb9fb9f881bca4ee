"""Drafts to the destination, object by object: what is new is created, what changed is updated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.changes import FIELDS, Change, decide, definitions, merge, update_body
from engine.connector.model import Resource
from engine.reading import rows_now
from engine.run import Run
from engine.settle import settle_doubts
from engine.spec.model import ObjectMapping
from engine.store.journal import failures
from engine.store.links import (
    Draft,
    Finding,
    Link,
    clear_findings,
    count_links,
    links_of,
    save_findings,
    save_link,
    stream_drafts,
)
from engine.store.records import Cursor, all_cursors, save_cursor
from engine.values import canonical, digest, word
from engine.wire import Definitions, agrees, dig_target, resolve
from engine.write import Outcome, Write, fingerprint, write_all

ADOPTING = "#adopting."  # marks the cursor of a search for rows that are there already
EXACT = ("text", "integer", "id", "reference")  # kinds of fields whose values agree only where they are the same
PASSES = 8  # times an object is gone through while doubtful writes turn out not to have happened


@dataclass(slots=True)
class Loaded:
    """What became of an object's drafts."""

    object: str
    label: str
    resource: str
    created: int = 0
    updated: int = 0
    adopted: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    conflicts: int = 0
    cost: float = 0.0
    least: float = 0.0  # what the writes alone must cost
    reasons: list[str] = field(default_factory=list)


def load(run: Run, objects: Sequence[ObjectMapping], only_failed: bool = False) -> list[Loaded]:
    """Write every ready draft of these objects; doubts are settled before the next object.

    With `only_failed`, just the records whose last attempt failed.
    """
    settle_doubts(run)
    return [_object(run, mapping, only_failed) for mapping in objects]


def _object(run: Run, mapping: ObjectMapping, only_failed: bool) -> Loaded:
    before = run.destination.pacer.cost
    result = Loaded(mapping.name, mapping.label, mapping.resource)
    with run.store.begin() as connection:
        known = definitions(connection, run)
        only = frozenset(failures(connection, mapping.name)) if only_failed else None
        _forget_findings(connection, mapping.name, only)
    result.adopted = _adopt(run, mapping, known)
    in_order = bool(mapping.rows or mapping.order)
    for attempt in range(PASSES * (10 if in_order else 1)):
        doubtful: dict[str, bool] = {}  # key -> whether its row was changed by others
        writes = _writes(run, mapping, known, result, attempt == 0, only)
        write_all(run, writes, lambda outcome, seen=doubtful: _count(outcome, result, seen), in_order)  # type: ignore[misc]
        if not doubtful:
            break
        result.created += settle_doubts(run)["happened"]
        only = only if in_order else frozenset(doubtful)  # those that happened are known now, the others are written again
    else:
        stale = sorted(key for key, outdated in doubtful.items() if outdated)
        result.failed += len(stale)
        result.reasons += [f"{key}: not updated, for its row changed between reading and writing every time" for key in stale]
    result.cost = run.destination.pacer.cost - before
    kind = run.migration.destination.resources[mapping.resource]
    for verb, many in (("create", result.created), ("update", result.updated)):
        if many:
            operation = kind.operations[verb]  # type: ignore[index]
            result.least += math.ceil(many / operation.rows) * operation.cost
    return result


def _forget_findings(connection: Any, name: str, only: frozenset[str] | None) -> None:
    """What earlier runs found about the records that are gone through now."""
    for stage in ("load", "write"):
        clear_findings(connection, stage, name, None if only is None else sorted(only))


def _count(outcome: Outcome, result: Loaded, doubtful: dict[str, bool]) -> None:
    if outcome.state == "done":
        if outcome.write.action == "create":
            result.created += 1
        else:
            result.updated += 1
    elif outcome.state == "failed":
        result.failed += 1
        result.reasons.append(f"{outcome.write.key}: {outcome.reason}")
    elif outcome.state == "doubt" or outcome.again:
        doubtful[outcome.write.key] = outcome.again


def _writes(
    run: Run, mapping: ObjectMapping, known: Definitions, result: Loaded, first: bool, only: frozenset[str] | None
) -> Iterator[Write]:
    """The writes that bring the destination to what the drafts say, batch by batch."""
    done = 0
    for everything in stream_drafts(run.store, mapping.name):
        batch = [draft for draft in everything if only is None or draft.key in only]
        with run.store.begin() as connection:
            changes = decide(run, connection, mapping, batch, known)
            if first:
                _report(connection, mapping, changes)
        merged = {c.draft.key: c for c in _merged(run, mapping, [c for c in changes if c.kind == "update"], known)}
        for change in changes:
            change = merged.get(change.draft.key, change)
            if first:
                _tally(change, result)
            if change.kind == "create":
                yield _create(mapping, change)
            elif change.kind == "update":
                yield _update(run, mapping, change, known)
        done += len(everything)
        run.progress(f"writing {mapping.label}", done, None)


def _tally(change: Change, result: Loaded) -> None:
    match change.kind:
        case "unchanged":
            result.unchanged += 1
        case "skip":
            result.skipped += 1
        case "fail":
            result.failed += 1
            result.reasons.append(f"{change.draft.key}: {change.reason}")
    result.conflicts += len(change.conflicts)


def _report(connection: Any, mapping: ObjectMapping, changes: Sequence[Change]) -> None:
    """Links and options that had to be left out of a record that is written all the same."""
    found = []
    for change in changes:
        for target, why in change.resolved.missing if change.resolved else ():
            found.append(Finding(mapping.name, change.draft.key, "load", target, "attention", f"left out: {why}"))
        if change.resolved and change.kind in ("skip", "fail"):
            word = "skipped" if change.kind == "skip" else "failed"
            found.append(Finding(mapping.name, change.draft.key, "load", "", "attention", f"{word}: {change.reason}"))
    save_findings(connection, found)


def _create(mapping: ObjectMapping, change: Change) -> Write:
    assert change.resolved is not None
    draft = change.draft
    return Write(mapping.name, draft.key, mapping.resource, "create", change.resolved.body, change.resolved.effective)


def _update(run: Run, mapping: ObjectMapping, change: Change, known: Definitions) -> Write:
    assert change.resolved is not None and change.link is not None
    resource = run.migration.destination.resources[mapping.resource]
    body = update_body(mapping, change, resource, known)
    link = change.link
    return Write(
        mapping.name, change.draft.key, mapping.resource, "update", body, change.resolved.effective, link.dest_id,
        change.before, link.origin, link.extra,
    )  # fmt: skip


def _merged(run: Run, mapping: ObjectMapping, changes: list[Change], known: Definitions) -> list[Change]:
    """Updates after a look at what the destination holds now; what needs no call is noted at once."""
    if not changes:
        return []
    resource = run.migration.destination.resources[mapping.resource]
    if "update" not in resource.operations:
        return [_frozen(run, change) for change in changes]
    bodies = {change.link.dest_id: change.resolved.body for change in changes if change.link and change.resolved}
    live = rows_now(run.destination, resource, bodies)
    result = []
    for change in changes:
        assert change.link is not None
        row = live.get(change.link.dest_id)
        if row is None:
            result.append(replace(change, kind="fail", reason="its row is no longer in the destination"))
            with run.store.begin() as connection:
                save_findings(
                    connection,
                    [_told(mapping, change.draft.key, "", "its row was removed in the destination; it is not made again")],
                )  # fmt: skip
            continue
        written = change.link.written
        change = _with_touch(run, change, row, resource)
        with run.store.begin() as connection:
            last = resolve(
                written, mapping, run.spec, run.migration.destination,
                lambda name, key: _id(connection, name, key), known,
            )  # fmt: skip
        merged = merge(run, mapping, change, row, last, known)
        _note(run, mapping, merged)
        result.append(merged)
    return result


def _with_touch(run: Run, change: Change, row: Mapping[str, Any], resource: Resource) -> Change:
    """Note for a rollback that people have changed a row: after an update of ours its fingerprint no longer tells."""
    link = change.link
    assert link is not None
    if link.extra.get("seen") in (None, fingerprint(row, resource)):
        return change
    link = replace(link, extra=link.extra | {"touched": True})
    with run.store.begin() as connection:
        save_link(connection, link)
    return replace(change, link=link)


def _id(connection: Any, name: str, key: str) -> str | None:
    found = links_of(connection, name, [key]).get(key)
    return found.dest_id if found else None


def _frozen(run: Run, change: Change) -> Change:
    """The platform cannot change such rows (files): what was written stays, and that is said."""
    link, resolved = change.link, change.resolved
    assert link is not None and resolved is not None
    with run.store.begin() as connection:
        save_findings(
            connection,
            [
                Finding(
                    link.object, link.key, "load", "", "note", "changed in the source, but the destination cannot change such a row"
                )
            ],
        )
        save_link(connection, replace(link, digest=digest(resolved.effective)))
    return replace(change, kind="unchanged")


def _told(mapping: ObjectMapping, key: str, target: str, text: str) -> Finding:
    return Finding(mapping.name, key, "load", target, "attention", text)


def _kept(now: Any, wanted: Any) -> str:
    return f"people changed it to {canonical(now)[:80]}; kept (the source says {canonical(wanted)[:80]})"


def _note(run: Run, mapping: ObjectMapping, change: Change) -> None:
    """Conflicts are listed; a change that needs no call only moves the link."""
    link, resolved = change.link, change.resolved
    assert link is not None and resolved is not None
    with run.store.begin() as connection:
        save_findings(
            connection,
            [
                _told(mapping, link.key, target, _kept(now, wanted)) for target, now, wanted in change.conflicts
            ]
            + [
                _told(mapping, link.key, target, "emptied in the source; the destination cannot empty this field")
                for target in change.stuck
            ],
        )  # fmt: skip
        if change.kind == "unchanged":
            save_link(connection, replace(link, digest=digest(resolved.effective), written=resolved.effective))


# -- rows that are there already


def _adopt(run: Run, mapping: ObjectMapping, known: Definitions) -> int:
    """Link drafts to rows that already stand for them: by our key field, or by the fields in `match`."""
    with run.store.begin() as connection:
        linked = links_of(connection, mapping.name) if mapping.match else {}
        fresh = not count_links(connection).get(mapping.name)
        cursor = all_cursors(connection).get(ADOPTING + mapping.name)
    if mapping.match:
        return _adopt_by_match(run, mapping, known, linked)
    if mapping.key_field and (fresh or (cursor and not cursor.complete)):
        return _adopt_by_key(run, mapping, known, cursor)
    return 0


def _adopt_by_match(run: Run, mapping: ObjectMapping, known: Definitions, linked: Mapping[str, Link]) -> int:
    resource = run.migration.destination.resources[mapping.resource]
    drafts = [d for batch in stream_drafts(run.store, mapping.name) for d in batch if d.state == "ready" and d.key not in linked]
    if not drafts:
        return 0
    exact = [name for name in mapping.match if (kind := resource.fields.get(name)) and kind.kind in EXACT]
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in run.listed(mapping.resource):
        rows.setdefault(_alike(row, exact), []).append(row)
    taken = {link.dest_id for link in linked.values()}
    adopted = 0
    with run.store.begin() as connection:
        for draft, change in zip(drafts, decide(run, connection, mapping, drafts, known), strict=True):
            if change.resolved is None:
                continue
            body = change.resolved.body
            hit = next(
                (
                    row
                    for row in rows.get(_alike(body, exact), ())
                    if resource.id_of(row) not in taken
                    and all(
                        agrees(
                            dig_target(body, target, resource, known),
                            dig_target(row, target, resource, known),
                            resource.fields.get(target),
                        )
                        for target in mapping.match
                    )
                ),
                None,
            )
            if hit is not None:
                taken.add(resource.id_of(hit))
                _link_up(run, connection, draft, mapping, resource.id_of(hit), change.resolved.effective, "matched")
                adopted += 1
    return adopted


def _alike(row: Mapping[str, Any], exact: Sequence[str]) -> tuple[str, ...]:
    """What two rows must have in common to match at all."""
    return tuple(word(row.get(name)).strip() for name in exact)


def _adopt_by_key(run: Run, mapping: ObjectMapping, known: Definitions, cursor: Cursor | None) -> int:
    """A store that knows no row of this object, and a key field that was there before: look for our rows.

    How far the looking has come is kept with the links it made: half an adoption would double the rest.
    """
    name = mapping.key_field.removeprefix("custom.")
    with run.store.begin() as connection:
        definition = links_of(connection, FIELDS + mapping.resource, [name]).get(name)
    if definition is None or definition.origin == "created":
        return 0
    resource, now = run.migration.destination.resources[mapping.resource], run.clock.now()
    cursor = cursor or Cursor(ADOPTING + mapping.name, None, False, 0, now, now)
    before = cursor.rows
    for page in run.destination.pages(mapping.resource, position=cursor.position):
        keys = {str(dig_target(row, mapping.key_field, resource, known) or ""): resource.id_of(row) for row in page.rows}
        ours = {key: row_id for key, row_id in keys.items() if key.partition("/")[0] in mapping.sources}
        cursor = replace(cursor, position=page.next, complete=page.last, rows=cursor.rows + len(ours), read_at=run.clock.now())
        with run.store.begin() as connection:
            for key, row_id in ours.items():
                _link_up(run, connection, Draft(mapping.name, key, key, {}, ""), mapping, row_id, {}, "adopted")
            save_cursor(connection, cursor)
    return cursor.rows - before


def _link_up(
    run: Run, connection: Any, draft: Draft, mapping: ObjectMapping, row_id: str, effective: dict[str, Any], origin: str
) -> None:
    complete = origin == "matched" and set(mapping.match) >= set(mapping.fields)
    save_link(
        connection,
        Link(
            mapping.name, draft.key, mapping.resource, row_id, digest(effective) if complete else "",
            effective if complete else {}, origin, run.id, run.clock.now(),
        ),
    )  # fmt: skip
