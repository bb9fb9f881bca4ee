"""Take a migration back: delete what it made, restore what it changed, keep what people touched since.

It walks the journal backwards, the object that was begun last first. Each step may be repeated, so a
rollback that was killed is gone on with by starting it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.changes import definitions, version
from engine.connector.model import Resource
from engine.run import Run
from engine.settle import defining, live_rows, settle_doubts
from engine.store.journal import Entry, creations, mark, stream_undoable, undoable_objects, written_before
from engine.store.links import forget_found, links_of, save_link
from engine.touched import Touched, is_definition, look
from engine.values import digest, is_empty
from engine.wire import agrees, dig_target
from engine.write import RESTORED, Outcome, Write, fingerprint, write_all

PASSES = 8  # times a call is tried again while its outcome stays unknown
BATCH = 100  # updates whose rows are read together

Row = Mapping[str, Any]


@dataclass(slots=True)
class RolledBack:
    """Every journal row: undone, kept or failed, with its reason."""

    undone: int = 0
    kept: list[tuple[str, str, str]] = field(default_factory=list)  # object, key, reason
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    would: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0


@dataclass(slots=True)
class _Undoing:
    """One rollback at work: what it is asked to do, what stays, and what became of it."""

    run: Run
    of_run: int | None
    force: bool
    dry: bool
    touched: Touched
    result: RolledBack = field(default_factory=RolledBack)
    given_up: set[int] = field(default_factory=set)  # entries that were refused this time

    def resource(self, name: str) -> Resource:
        return self.run.migration.destination.resources[name]


def rollback(run: Run, of_run: int | None = None, force: bool = False, dry: bool = False) -> RolledBack:
    """Undo the done writes of one run, or of all; safe to repeat and to interrupt."""
    if not dry:
        settle_doubts(run)
    before = run.destination.pacer.cost
    work = _Undoing(run, of_run, force, dry, Touched() if force else look(run, of_run))
    with run.store.begin() as connection:
        objects = undoable_objects(connection, of_run)
    names = sorted(objects, key=lambda name: (is_definition(name), -objects[name][1]))
    for position, name in enumerate(names):
        run.progress("taking back", position, len(names))
        _remove_made(work, name)
        _restore_changed(work, name)
        _remove_options(work, name)
    run.progress("taking back", len(names), len(names))
    if of_run is None and not dry:
        with run.store.begin() as connection:
            forget_found(connection)
    work.result.cost = run.destination.pacer.cost - before
    return work.result


# -- what becomes of an entry


def _undone(work: _Undoing, entry: Entry, reason: str) -> None:
    if work.dry:
        _would(work, "forget")
        return
    _mark(work, entry.id, "undone", reason)
    work.result.undone += 1


def _keep(work: _Undoing, entry: Entry, reason: str) -> None:
    _would(work, "keep")
    work.result.kept.append((entry.object, entry.key, reason))
    if not work.dry:
        _mark(work, entry.id, "kept", reason)


def _fail(work: _Undoing, entry: Entry, reason: str) -> None:
    work.given_up.add(entry.id)
    work.result.failed.append((entry.object, entry.key, reason))


def _would(work: _Undoing, action: str) -> None:
    work.result.would[action] = work.result.would.get(action, 0) + 1


def _mark(work: _Undoing, entry: int, state: str, reason: str) -> None:
    with work.run.store.begin() as connection:
        mark(connection, entry, state, reason, work.run.clock.now())


# -- rows we made


def _remove_made(work: _Undoing, name: str) -> None:
    """Delete an object's rows; those that stay are marked with the reason."""
    for attempt in range(PASSES):
        tally = write_all(work.run, _deletions(work, name, attempt == 0), lambda outcome: _deleted(work, outcome))
        if not tally["doubt"]:
            return
        settle_doubts(work.run)


def _deletions(work: _Undoing, name: str, first: bool) -> Iterator[Write]:
    for batch in stream_undoable(work.run.store, name, "create", work.of_run):
        for entry in batch:
            reason = work.touched.kept.get((entry.resource, entry.dest_id), "")
            if reason and first:
                _keep(work, entry, reason)
            elif work.dry and first:
                _would(work, "delete")
            elif not (reason or work.dry or entry.id in work.given_up):
                extra = {"undoes": entry}
                yield Write(entry.object, entry.key, entry.resource, "delete", entry.body, {}, entry.dest_id, extra=extra)


def _deleted(work: _Undoing, outcome: Outcome) -> None:
    entry = outcome.write.extra["undoes"]
    if outcome.state == "done":
        _undone(work, entry, outcome.reason)
    elif outcome.state == "failed":
        _fail(work, entry, outcome.reason)


# -- rows we changed


def _restore_changed(work: _Undoing, name: str) -> None:
    """Put back what updates overwrote, the last update of a row first."""
    for batch in stream_undoable(work.run.store, name, "update", work.of_run, BATCH):
        standing = _on_rows_that_stand(work, batch)
        while standing:
            newest: dict[str, Entry] = {}
            for entry in standing:
                newest.setdefault(entry.dest_id, entry)
            _restore(work, dict(newest))
            standing = [entry for entry in standing if newest[entry.dest_id] is not entry]


def _on_rows_that_stand(work: _Undoing, batch: Sequence[Entry]) -> list[Entry]:
    """The entries to restore; those of rows that we made ourselves end with their rows."""
    with work.run.store.begin() as connection:
        made = creations(connection, batch[0].object, [entry.key for entry in batch])
    standing = []
    for entry in batch:
        creation = made.get((entry.key, entry.dest_id))
        reason = work.touched.kept.get((entry.resource, entry.dest_id), "")
        if creation is None or (work.of_run not in (None, creation.run) and creation.state != "undone"):
            standing.append(entry)
        elif _is_renaming(entry) and creation.state != "undone" and (reason or not work.dry):
            standing.append(entry)  # a field of ours that stays is called again what it was
        elif creation.state == "undone" or (work.dry and not reason):
            _undone(work, entry, "the row itself was removed")
        else:
            _keep(work, entry, reason or "its row could not be removed")
    return standing


def _is_renaming(entry: Entry) -> bool:
    """Whether an entry has changed the name of a custom field, not a record."""
    return entry.action == "update" and is_definition(entry.object)


def _restore(work: _Undoing, left: dict[str, Entry]) -> None:
    """Restore one update each of different rows of a resource; what people changed since stays."""
    if work.dry:
        for _ in left:
            _would(work, "restore")
        return
    for _ in range(PASSES):
        found = list(left.values())
        rows = live_rows(work.run, found[0].resource, found) if found else {}
        writes = [write for entry in found if (write := _restoring(work, entry, rows.get(entry.dest_id), left))]
        tally = write_all(work.run, writes, lambda outcome: _noted(work, left, outcome))
        if not left:
            return
        if tally["doubt"]:
            settle_doubts(work.run)


def _restoring(work: _Undoing, entry: Entry, row: Row | None, left: dict[str, Entry]) -> Write | None:
    """The call that restores an update; None where nothing is left to be done, which is noted."""
    body, stays = _back(work, entry, row) if row is not None else ({}, "its row was removed since")
    if not body:
        del left[entry.dest_id]
        _restored(work, entry, row or {}, stays)
        return None
    path = work.resource(entry.resource).operations["update"].path
    body |= version(work.resource(entry.resource), row or {})
    body |= {name: value for name, value in entry.body.items() if f"{{{name}}}" in path}
    extra = {"undoes": entry, "stays": stays}
    return Write(entry.object, entry.key, entry.resource, "update", body, {}, entry.dest_id, origin=RESTORED, extra=extra)


def _back(work: _Undoing, entry: Entry, row: Row) -> tuple[dict[str, Any], str]:
    """The body that restores an update, and why some of it stays as it is."""
    resource = work.resource(entry.resource)
    with work.run.store.begin() as connection:
        known = definitions(connection, work.run)
    body: dict[str, Any] = {}
    people, fixed = [], []
    for target, before in entry.before.items():
        kind = resource.fields.get(target)
        now = dig_target(row, target, resource, known)
        if agrees(before, now, kind):
            continue
        if not work.force and not agrees(dig_target(entry.body, target, resource, known), now, kind):
            people.append(target)
        elif is_empty(before) and resource.emptied(target) == "never":
            fixed.append(target)
        elif target.startswith("custom.") and resource.custom:
            holder = body.setdefault(resource.custom.container, {}) if resource.custom.container else body
            holder[known[entry.resource, target.removeprefix("custom.")].code] = before
        else:
            body[target] = [] if is_empty(before) and resource.emptied(target) == "as_list" else before
    reasons = [("people changed", people), ("the destination cannot empty", fixed)]
    return body, "; ".join(f"{why} {', '.join(targets)}" for why, targets in reasons if targets)


def _noted(work: _Undoing, left: dict[str, Entry], outcome: Outcome) -> None:
    if outcome.state not in ("done", "failed"):
        return
    entry = left.pop(outcome.write.dest_id)
    if outcome.state == "done":
        _restored(work, entry, outcome.data, outcome.write.extra["stays"])
    else:
        _fail(work, entry, outcome.reason)


def _restored(work: _Undoing, entry: Entry, row: Row, stays: str) -> None:
    """The entry is settled, and the link says again what the write before this one said."""
    with work.run.store.begin() as connection:
        link = links_of(connection, entry.object, [entry.key]).get(entry.key)
        if link:
            written = written_before(connection, entry)
            seen = {"seen": fingerprint(row, work.resource(entry.resource))} if row else {}
            if _is_renaming(entry) and not stays:
                seen |= {"label": next(iter(entry.before.values())), "wanted": next(iter(entry.before.values()))}
            save_link(
                connection, replace(link, digest=digest(written) if written else "", written=written, extra=link.extra | seen)
            )
    if stays:
        _keep(work, entry, stays)
    else:
        _undone(work, entry, "")


# -- options added to fields that were there before


def _remove_options(work: _Undoing, name: str) -> None:
    for batch in stream_undoable(work.run.store, name, "add_options", work.of_run):
        for entry in _on_rows_that_stand(work, batch):
            if work.dry:
                _would(work, "restore")
            else:
                _take_out(work, entry)


def _take_out(work: _Undoing, entry: Entry) -> None:
    """Remove the options we added, but for those that rows which stay still use."""
    custom = defining(work.run, work.resource(entry.resource))
    labels = {str(option.get(custom.option_label)) for option in entry.body.get("", [])}
    used = _used(work, entry)
    for _ in range(PASSES):
        row = live_rows(work.run, entry.resource, [entry]).get(entry.dest_id, {})
        ours = [option for option in row.get(custom.options) or [] if str(option.get(custom.option_label)) in labels]
        free = [{custom.option_id: option[custom.option_id]} for option in ours if str(option[custom.option_id]) not in used]
        if not free:
            stays = ", ".join(str(option.get(custom.option_label)) for option in ours)
            (_keep if stays else _undone)(work, entry, f"rows that stay use {stays}" if stays else "")
            return
        write = Write(entry.object, entry.key, entry.resource, "remove_options", free, {}, entry.dest_id, extra={"undoes": entry})
        write_all(work.run, [write], lambda outcome: _refused(work, outcome))
        if entry.id in work.given_up:
            return
        settle_doubts(work.run)


def _refused(work: _Undoing, outcome: Outcome) -> None:
    if outcome.state == "failed":
        _fail(work, outcome.write.extra["undoes"], outcome.reason)


def _used(work: _Undoing, entry: Entry) -> set[str]:
    """Options of this field on rows that stay; a built-in field is known by its name, a custom one by its code."""
    owner, used = entry.object.partition(".")[2], work.touched.used
    return used.get((owner, entry.key), set()) | used.get((entry.resource, entry.dest_id), set())
