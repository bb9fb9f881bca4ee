"""Take a migration back: delete what it made, restore what it changed, keep what people touched since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.changes import FIELDS, OPTIONS, definitions
from engine.connector.model import FieldType, Resource
from engine.errors import Rejected
from engine.run import Run
from engine.settle import live_row, settle_doubts
from engine.store.journal import Entry, entries, mark
from engine.store.links import Link, linked_ids, links_of
from engine.wire import agrees, dig_target
from engine.write import RESTORED, Outcome, Write, fingerprint, write_all

PASSES = 4  # times deletions are tried again while their outcome stays unknown


@dataclass(frozen=True, slots=True)
class Undoing:
    """One journal row and what is to become of it."""

    entry: Entry
    action: str  # delete, restore, keep, forget
    reason: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RolledBack:
    """Every journal row: undone, kept or failed, with its reason."""

    undone: int = 0
    kept: list[tuple[str, str, str]] = field(default_factory=list)  # object, key, reason
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    would: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    marked: set[int] = field(default_factory=set)


def rollback(run: Run, of_run: int | None = None, force: bool = False, dry: bool = False) -> RolledBack:
    """Undo the done writes of one run, or of all; safe to repeat and to interrupt."""
    if not dry:
        settle_doubts(run)
    result = RolledBack()
    with run.store.begin() as connection:
        done = [entry for entry in entries(connection, ("done",)) if of_run in (None, entry.run)]
    done = [entry for entry in done if entry.action in ("create", "update", "add_options")]
    groups = _in_reverse(done)
    kept = {} if force else _touched(run, done)
    before = run.destination.pacer.cost
    for position, (name, group) in enumerate(groups):
        run.progress(f"taking back {name}", position, len(groups))
        undoings = [_decide(run, entry, kept, group) for entry in group]
        if dry:
            _foretell(undoings, result)
        else:
            _undo(run, undoings, result)
    result.cost = run.destination.pacer.cost - before
    return result


def _in_reverse(done: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Journal rows by object, the object that was begun last first; definitions of fields at the end."""
    groups: dict[str, list[Entry]] = {}
    for entry in done:
        groups.setdefault(entry.object, []).append(entry)
    ordered = sorted(groups.items(), key=lambda item: (_is_definition(item[0]), -item[1][0].id))
    return [(name, sorted(group, key=lambda entry: -entry.id)) for name, group in ordered]


def _is_definition(name: str) -> bool:
    return name.startswith((FIELDS, OPTIONS))


# -- what people have touched


def _touched(run: Run, done: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """(resource, id) of rows that stay, with the reason: edited by people, or needed by a row that stays.

    Every list is read once, whole: it shows our rows as they are now and people's rows that point at them.
    """
    ours = {(entry.resource, entry.dest_id) for entry in done if entry.action == "create"}
    kept: dict[tuple[str, str], str] = {}
    needs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    resources = run.migration.destination.resources
    for name in _read_order(run, ours):
        resource = resources[name]
        for rows in _rows(run, resource, done):
            with run.store.begin() as connection:
                links = linked_ids(connection, name, [str(row.get(resource.id)) for row in rows])
            for row in rows:
                row_id = (name, str(row.get(resource.id)))
                needs[row_id] = list(_points_at(row, resource, ours))
                if row_id not in ours:
                    for other in needs[row_id]:
                        kept.setdefault(other, f"people's own {name} {row_id[1]} needs it")
                    _uses_fields(row, resource, row_id, ours, kept)
                    continue
                reason = _edited(run, links.get(row_id[1]), row, resource)
                if reason:
                    kept[row_id] = reason
    _spread(kept, needs)
    return {row_id: reason for row_id, reason in kept.items() if row_id in ours}


def _read_order(run: Run, ours: set[tuple[str, str]]) -> list[str]:
    """Resources worth reading: those we made rows of, and those that can point at them."""
    made = {name for name, _ in ours}
    resources = run.migration.destination.resources
    return [
        name
        for name, resource in resources.items()
        if "create" in resource.operations
        and "list" in resource.operations
        and not resource.id.endswith("code")
        and (name in made or any(set(kind.to) & made for kind in resource.fields.values()))
    ]


def _rows(run: Run, resource: Resource, done: Sequence[Entry]) -> Iterator[list[dict[str, Any]]]:
    operation = resource.operations["list"]
    if operation.ids_of:
        parents = sorted({entry.dest_id for entry in done if entry.resource in resource.fields[operation.ids_of].to})
        for start in range(0, len(parents), operation.ids_max):
            part = ",".join(parents[start : start + operation.ids_max])
            for page in run.destination.pages(resource.name, {operation.ids: part}):
                yield page.rows
        return
    for page in run.destination.pages(resource.name):
        yield page.rows


def _points_at(row: Mapping[str, Any], resource: Resource, ours: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Rows of ours that a row refers to."""
    for name, kind in resource.fields.items():
        yield from _references(row.get(name), kind, ours)


def _references(value: Any, kind: FieldType, ours: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    if kind.kind == "reference" and value is not None:
        yield from ((target, str(value)) for target in kind.to if (target, str(value)) in ours)
    elif kind.shape and isinstance(value, list | dict):
        for item in value if isinstance(value, list) else [value]:
            for name, inner in kind.shape.items():
                yield from _references(item.get(name) if isinstance(item, dict) else None, inner, ours)


def _uses_fields(
    row: Mapping[str, Any], resource: Resource, row_id: tuple[str, str], ours: set[tuple[str, str]], kept: dict[tuple[str, str], str]
) -> None:
    """People have filled one of our custom fields on a row of their own."""
    if resource.custom is None:
        return
    for code, value in (row.get(resource.custom.container) or {}).items():
        if value is not None and (resource.custom.resource, code) in ours:
            kept.setdefault((resource.custom.resource, code), f"people use it on {row_id[0]} {row_id[1]}")


def _edited(run: Run, link: Link | None, row: Mapping[str, Any], resource: Resource) -> str:
    """Why a row of ours counts as touched, or ""."""
    if link is None or link.extra.get("seen") in (None, fingerprint(row, resource)):
        return ""
    with run.store.begin() as connection:
        known = definitions(connection, run)
    mapping = run.spec.objects.get(link.object)
    changed = [
        target
        for target, value in link.written.items()
        if mapping and not isinstance(value, dict | list) and not target.startswith("custom.")
        and not agrees(value, dig_target(row, target, resource.name, resource, known), resource.fields.get(target))
    ]  # fmt: skip
    return f"people changed {', '.join(changed)}" if changed else "people changed it"


def _spread(kept: dict[tuple[str, str], str], needs: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> None:
    """What a kept row refers to is kept too."""
    waiting = list(kept)
    while waiting:
        row_id = waiting.pop()
        for other in needs.get(row_id, ()):
            if other not in kept:
                kept[other] = f"{row_id[0]} {row_id[1]}, which is kept, needs it"
                waiting.append(other)


# -- deciding and undoing


def _decide(run: Run, entry: Entry, kept: Mapping[tuple[str, str], str], group: Sequence[Entry]) -> Undoing:
    made_here = any(other.action == "create" and other.dest_id == entry.dest_id for other in group)
    reason = kept.get((entry.resource, entry.dest_id), "")
    if entry.action == "create":
        if reason:
            return Undoing(entry, "keep", reason)
        if entry.resource in {item.custom.resource for item in _customised(run)} and _rows_kept(run, entry, kept):
            return Undoing(entry, "keep", "rows that are kept still use it")
        return Undoing(entry, "delete")
    if made_here:
        return Undoing(entry, "keep", reason) if reason else Undoing(entry, "forget")
    if entry.action == "add_options":
        return Undoing(entry, "restore")
    return Undoing(entry, "restore")


def _customised(run: Run) -> list[Any]:
    return [resource for resource in run.migration.destination.resources.values() if resource.custom]


def _rows_kept(run: Run, entry: Entry, kept: Mapping[tuple[str, str], str]) -> bool:
    """Whether any row that carries this custom field stays."""
    owners = {item.name for item in _customised(run) if item.custom.resource == entry.resource}
    return any(name in owners for name, _ in kept)


def _foretell(undoings: Sequence[Undoing], result: RolledBack) -> None:
    for item in undoings:
        result.would[item.action] = result.would.get(item.action, 0) + 1
        if item.action == "keep":
            result.kept.append((item.entry.object, item.entry.key, item.reason))


def _undo(run: Run, undoings: Sequence[Undoing], result: RolledBack) -> None:
    deletions = [item for item in undoings if item.action == "delete"]
    originals = {(item.entry.object, item.entry.key, item.entry.dest_id): item.entry for item in deletions}

    def seen(outcome: Outcome) -> None:
        entry = originals[outcome.write.object, outcome.write.key, outcome.write.dest_id]
        _settled(run, entry, outcome, result)

    for _ in range(PASSES):
        left = [entry for entry in originals.values() if entry.id not in result.marked]
        if not left:
            break
        write_all(run, [_deletion(entry) for entry in left], seen)
        settle_doubts(run)
    for item in undoings:
        if item.action == "keep":
            result.kept.append((item.entry.object, item.entry.key, item.reason))
            _mark(run, item.entry, "kept", item.reason)
        elif item.action == "forget":
            _mark(run, item.entry, "undone", "the row itself was removed")
            result.undone += 1
        elif item.action == "restore":
            _restore(run, item.entry, result)


def _deletion(entry: Entry) -> Write:
    return Write(entry.object, entry.key, entry.resource, "delete", dict(entry.body), {}, entry.dest_id)


def _settled(run: Run, entry: Entry, outcome: Outcome, result: RolledBack) -> None:
    if outcome.state == "done":
        _mark(run, entry, "undone", outcome.reason)
        result.marked.add(entry.id)
        result.undone += 1
    elif outcome.state == "failed":
        result.marked.add(entry.id)
        result.failed.append((entry.object, entry.key, outcome.reason))


def _mark(run: Run, entry: Entry, state: str, reason: str) -> None:
    with run.store.begin() as connection:
        mark(connection, entry.id, state, reason, run.clock.now())


def _restore(run: Run, entry: Entry, result: RolledBack) -> None:
    """Put back the values an update overwrote, or take back options that were added."""
    if entry.action == "add_options":
        _take_back_options(run, entry, result)
        return
    resource = run.migration.destination.resources[entry.resource]
    row = live_row(run, entry.resource, entry.dest_id, entry.body)
    with run.store.begin() as connection:
        known = definitions(connection, run)
    body: dict[str, Any] = {}
    for target, value in entry.before.items():
        now = dig_target(row or {}, target, entry.resource, resource, known)
        sent = dig_target(entry.body, target, entry.resource, resource, known)
        if row is None or not agrees(sent, now, resource.fields.get(target)):
            result.kept.append((entry.object, entry.key, f"people changed {target}"))
            continue
        if target.startswith("custom.") and resource.custom:
            body.setdefault(resource.custom.container, {})[known[entry.resource, target.removeprefix("custom.")].code] = value
        else:
            body[target] = value
    if not body:
        _mark(run, entry, "kept", "nothing of it is left to restore")
        return

    def seen(outcome: Outcome) -> None:
        _settled(run, entry, outcome, result)

    write_all(run, [Write(entry.object, entry.key, entry.resource, "update", body, {}, entry.dest_id, origin=RESTORED)], seen)


def _take_back_options(run: Run, entry: Entry, result: RolledBack) -> None:
    """Remove the options we added to a field that was there before."""
    kind = next((item for item in _customised(run) if item.custom.resource == entry.resource), None)
    labels = {str(option.get("label")) for option in entry.body.get("", [])}
    with run.store.begin() as connection:
        link = links_of(connection, entry.object, [entry.key]).get(entry.key)
    if kind is None or link is None or "remove_options" not in run.migration.destination.resources[entry.resource].operations:
        result.failed.append((entry.object, entry.key, "the connector says no way to remove options"))
        return
    ids = [{kind.custom.option_id: value} for label, value in link.extra.get("options", {}).items() if label in labels]
    try:
        run.destination.write(entry.resource, "remove_options", ids, entry.dest_id)
    except Rejected as error:
        result.failed.append((entry.object, entry.key, str(error)))
        return
    _mark(run, entry, "undone", "")
    result.undone += 1
