"""Take a migration back: delete what it made, restore what it changed, keep what people edited.

It walks the journal backwards: children before what they lean on, as the spec orders its objects.
Each step may be repeated, so a rollback that was killed is continued by starting it once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.model import CustomFields
from engine.destination.compare import (
    UNKNOWN,
    Action,
    ConflictPolicy,
    FieldView,
    decide_field,
)
from engine.destination.edits import note_edit
from engine.destination.natural_key import defining
from engine.destination.resolve import sent_as
from engine.destination.rows import Row, RowCodec, codec_now
from engine.language.compile import PIPELINES
from engine.load.custom_fields import note_deleted
from engine.load.deliver import deliver
from engine.load.outcomes import settle_ages
from engine.load.reconcile import check_unconfirmed, live_rows, reconcile
from engine.load.standing import STANDS, as_before, prove_deletions
from engine.load.writes import RESTORED, Outcome, Write
from engine.plan.adopt import ADOPTING, REOPENED
from engine.plan.diff import version
from engine.plan.doubt import NEAR
from engine.rollback.retained import Retained, RowId, find_retained
from engine.session import Run, stage
from engine.store.changes import forget_left_out
from engine.store.journal import (
    Entry,
    Place,
    creations_of_rows,
    failed_creations,
    mark,
    stream_undoable,
    undoable_places,
    written_before,
)
from engine.store.links import (
    DEFINITIONS,
    count_found,
    forget_found,
    link_of,
    links_of,
    save_link,
)
from engine.store.tables import remember_in
from engine.values import digest, is_empty

BATCH = 100  # updates whose rows are read together
NEEDED = (
    DEFINITIONS,
    PIPELINES,
    "users",
)  # objects whose links another run needs
ROUNDS = 8  # times rows are looked at once more because they changed meanwhile


class RolledBack(msgspec.Struct):
    """What became of writes, and of each row that stays, the first reason."""

    undone: int = 0
    # object, key, reason
    kept: list[tuple[str, str, str]] = []
    failed: list[tuple[str, str, str]] = []
    would: dict[str, int] = {}
    there_before: int = 0  # rows that records were found to have, and keep
    cost: float = 0.0


class _Undoing(msgspec.Struct):
    """One rollback at work: what it is asked to do, what stays, and what became of it."""

    run: Run
    of_run: int | None
    force: bool
    dry: bool
    retained: Retained
    result: RolledBack = msgspec.field(default_factory=RolledBack)
    codecs: dict[str, RowCodec] = {}
    deferred: set[int] = set()  # of rows that another object made
    # kept rows whose own references are kept
    followed: set[RowId] = set()
    # kept rows of which the result says so
    told: set[RowId] = set()
    last: bool = False  # whether every object has been visited once

    def codec(self, name: str) -> RowCodec:
        """The codec of a resource; definitions of fields are taken back last of all."""
        if name not in self.codecs:
            self.codecs[name] = codec_now(self.run, name)
        return self.codecs[name]


@stage("rollback")
def rollback(
    run: Run, of_run: int | None = None, force: bool = False, dry: bool = False
) -> RolledBack:
    """Undo the done writes of one run, or of all; safe to repeat and to interrupt."""
    if not dry:
        reconcile(run)
        prove_deletions(run)
        for name in run.migration.destination.resources:
            check_unconfirmed(run, name)
        settle_ages(run, list(run.migration.destination.resources))
    before = run.destination.limiter.cost
    note_deleted(run)
    retained = _retained(run, of_run, force)
    work = _Undoing(
        run, of_run, force, dry, retained, followed=set(retained.kept)
    )
    places = _order(run, of_run)
    for position, place in enumerate(places):
        run.progress("taking back", position, len(places))
        _remove_made(work, place)
        _restore_changed(work, place)
        _remove_options(work, place)

    # Updates of rows that another object made: those rows are deleted or kept by now.
    work.last = True
    for place in places:
        _restore_changed(work, place)
    run.progress("taking back", len(places), len(places))
    if of_run is None and not dry:
        with run.store.begin() as connection:
            work.result.kept += [
                (entry.object, entry.key, entry.reason)
                for entry in failed_creations(connection, NEAR)
            ]
            work.result.there_before = count_found(connection, NEEDED)
            forget_found(connection, NEEDED)
            forget_left_out(connection)
            # what was found once may be found again, and by the keys that rows may have kept
            for name in run.spec.objects:
                remember_in(connection, ADOPTING + name, REOPENED)
    work.result.cost = run.destination.limiter.cost - before
    return work.result


def _retained(run: Run, of_run: int | None, force: bool) -> Retained:
    """What stays; by force just what people's rows need, where a deletion takes those along."""
    cascading = any(
        resource.cascades
        for resource in run.migration.destination.resources.values()
    )
    if force and not cascading:
        return Retained()
    return find_retained(run, of_run, edited=not force)


def _order(run: Run, of_run: int | None) -> list[Place]:
    """Objects as they are taken back: the spec's last first, definitions of fields in the end.

    An object that the spec no longer names goes first, the one begun last before the others.
    """
    with run.store.begin() as connection:
        begun = undoable_places(connection, of_run)
    order = {name: position for position, name in enumerate(run.spec.objects)}

    def turn(place: Place) -> tuple[bool, int, int]:
        name = place[0]
        return (
            name == DEFINITIONS,
            -order.get(name, len(order)),
            -begun[place],
        )

    return sorted(begun, key=turn)


# -- what becomes of an entry


def _undone(work: _Undoing, entry: Entry, reason: str) -> None:
    if work.dry:
        _would(work, "forget")
        return
    _mark(work, entry.id, "undone", reason)
    work.result.undone += 1


def _keep(work: _Undoing, entry: Entry, reason: str) -> None:
    _would(work, "keep")
    row_id = (entry.resource, entry.dest_id)
    if row_id not in work.told:
        work.told.add(row_id)
        work.result.kept.append((entry.object, entry.key, reason))
    if not work.dry:
        _mark(work, entry.id, "kept", reason)


def _fail(work: _Undoing, entry: Entry, reason: str) -> None:
    work.result.failed.append((entry.object, entry.key, reason))


def _would(work: _Undoing, action: str) -> None:
    work.result.would[action] = work.result.would.get(action, 0) + 1


def _mark(work: _Undoing, entry: int, state: str, reason: str) -> None:
    with work.run.store.begin() as connection:
        mark(connection, entry, state, reason, work.run.clock.now())


# -- rows we made


def _remove_made(work: _Undoing, place: Place) -> None:
    """Delete an object's rows; those that stay are marked with the reason."""
    for outcome in deliver(work.run, _deletions(work, place)):
        entry = outcome.write.extra["undoes"]
        if outcome.state == "done":
            _undone(work, entry, outcome.reason)
        elif outcome.state in ("failed", "stale"):
            _fail(work, entry, outcome.reason)
            _keep_below(work, entry)
    # rows that stand though they were said to be deleted are not taken back
    for deletion in prove_deletions(work.run):
        work.result.undone -= 1
        _fail(work, deletion, STANDS)
        _keep_below(work, deletion)


def _keep_below(work: _Undoing, entry: Entry) -> None:
    """A row that stays after all keeps what it leans on; that is taken back after it."""
    codec = work.codec(entry.resource)
    reason = f"a row that could not be removed needs it: {entry.resource} {entry.dest_id}"
    for _, resource, row_id in codec.references(entry.body):
        work.retained.kept.setdefault((resource, row_id), reason)
    custom = codec.resource.custom
    for code in codec.custom_values(entry.body) if custom else ():
        assert custom is not None
        work.retained.kept.setdefault((custom.resource, code), reason)


def _deletions(work: _Undoing, place: Place) -> Iterator[Write]:
    for batch in stream_undoable(work.run.store, place, "create", work.of_run):
        keys = [entry.key for entry in batch]
        with work.run.store.begin() as connection:
            links = links_of(connection, place[0], keys)
        for entry in batch:
            reason = work.retained.kept.get((entry.resource, entry.dest_id), "")
            if reason:
                _keep(work, entry, reason)
                if (entry.resource, entry.dest_id) not in work.followed:
                    _keep_below(work, entry)
            elif work.dry:
                _would(work, "delete")
            else:
                link = links.get(entry.key)
                same = link and link.dest_id == entry.dest_id
                write = _undoing(entry, "delete", entry.body)
                before = as_before(link if same else None)
                yield structs.replace(write, before=before)


def _undoing(entry: Entry, action: Any, body: Any, **more: Any) -> Write:
    extra = {"undoes": entry, **more}
    return Write(
        entry.object,
        entry.key,
        entry.resource,
        action,
        body,
        {},
        entry.dest_id,
        extra=extra,
    )


# -- rows we changed


def _restore_changed(work: _Undoing, place: Place) -> None:
    """Put back what updates overwrote, the last update of a row first."""
    for batch in stream_undoable(
        work.run.store, place, "update", work.of_run, BATCH
    ):
        due = [
            entry
            for entry in batch
            if not work.last or entry.id in work.deferred
        ]
        standing = _on_rows_that_stand(work, due)
        while standing:
            newest: dict[str, Entry] = {}
            for entry in standing:
                newest.setdefault(entry.dest_id, entry)
            _restore(work, dict(newest))
            standing = [
                entry
                for entry in standing
                if newest[entry.dest_id] is not entry
            ]


def _on_rows_that_stand(work: _Undoing, batch: Sequence[Entry]) -> list[Entry]:
    """The entries to restore; those of rows that we made ourselves end with their rows."""
    if not batch:
        return []
    ids = [entry.dest_id for entry in batch]
    with work.run.store.begin() as connection:
        made = creations_of_rows(connection, batch[0].resource, ids)
    return [
        entry
        for entry in batch
        if _stands(work, entry, made.get(entry.dest_id))
    ]


def _stands(work: _Undoing, entry: Entry, creation: Entry | None) -> bool:
    """Whether an entry's row is to be restored; of a row of ours it is noted what became of it."""
    if creation is None:
        return True
    reason = work.retained.kept.get((entry.resource, entry.dest_id), "")
    stays = creation.state != "undone"
    if stays and work.of_run not in (None, creation.run):
        return True
    if stays and _is_renaming(entry) and (reason or not work.dry):
        return True  # a field of ours that stays gets its old name back

    if not stays or (work.dry and not reason):
        _undone(work, entry, "the row itself was removed")
    elif creation.object != entry.object and not work.last:
        work.deferred.add(entry.id)
    else:
        _keep(work, entry, reason or "its row could not be removed")
    return False


def _is_renaming(entry: Entry) -> bool:
    """Whether an entry has changed the name of a custom field, not a record."""
    return entry.action == "update" and entry.object == DEFINITIONS


def _restore(work: _Undoing, left: dict[str, Entry]) -> None:
    """Restore one update each of different rows of a resource; what people changed since stays."""
    if work.dry:
        for _ in left:
            _would(work, "restore")
        return

    for _ in range(ROUNDS):
        if not left:
            return
        found = list(left.values())
        codec = work.codec(found[0].resource)
        rows = live_rows(work.run, found[0].resource, found)
        writes = []
        for entry in found:
            write = _restoring(
                work, codec, entry, rows.get(entry.dest_id), left
            )
            if write is not None:
                writes.append(write)
        for outcome in deliver(work.run, writes):
            _noted(work, codec, left, outcome)

    for entry in left.values():
        _fail(
            work,
            entry,
            "its row changed between reading and writing every time",
        )


def _restoring(
    work: _Undoing,
    codec: RowCodec,
    entry: Entry,
    row: Row | None,
    left: dict[str, Entry],
) -> Write | None:
    """The call that restores an update; None where nothing is left to be done, which is noted."""
    removed = "its row was removed since"
    body, stays = (
        _back(work, codec, entry, row) if row is not None else ({}, removed)
    )
    if not body:
        del left[entry.dest_id]
        _restored(work, codec, entry, row or {}, stays)
        return None

    needed = codec.resource.operations["update"].places
    places = {
        name: value for name, value in entry.body.items() if name in needed
    }
    whole = {**body, **version(codec.resource, row or {}), **places}
    return structs.replace(
        _undoing(entry, "update", whole, stays=stays), origin=RESTORED
    )


def _back(
    work: _Undoing, codec: RowCodec, entry: Entry, row: Row
) -> tuple[dict[str, Any], str]:
    """The body that restores an update, and why some of it stays as it is."""
    with work.run.store.begin() as connection:
        link = link_of(connection, entry.object, entry.key)
        if link:
            note_edit(work.run, connection, codec, link, row)
    stored = link.stored if link else {}
    body: dict[str, Any] = {}
    people, fixed = [], []
    for target, before in entry.before.items():
        view = FieldView(
            codec.get(entry.body, target),
            stored.get(target, UNKNOWN),
            codec.get(row, target),
            codec.plain(target, before),
        )
        can_empty = codec.resource.emptied(target) != "never"
        policy: ConflictPolicy = "overwrite" if work.force else "keep"
        action = decide_field(
            view, policy, can_empty, partial(codec.equal, target)
        )
        if action is Action.CONFLICT:
            people.append(target)
        elif action is Action.STUCK:
            fixed.append(target)
        elif action is Action.SEND:
            emptied = is_empty(view.wanted)
            codec.put(
                body, target, codec.cleared(target) if emptied else view.wanted
            )

    reasons = [
        ("people changed", people),
        ("the destination cannot empty", fixed),
    ]
    return body, "; ".join(
        f"{why} {', '.join(targets)}" for why, targets in reasons if targets
    )


def _noted(
    work: _Undoing, codec: RowCodec, left: dict[str, Entry], outcome: Outcome
) -> None:
    """A stale row is looked at once more; anything else is settled."""
    if outcome.state not in ("done", "failed"):
        return
    entry = left.pop(outcome.write.dest_id)
    if outcome.state == "done":
        row = outcome.answer.row if outcome.answer.shown else {}
        _restored(work, codec, entry, row, outcome.write.extra["stays"])
    else:
        _fail(work, entry, outcome.reason)
        _keep_below(work, entry)


def _restored(
    work: _Undoing, codec: RowCodec, entry: Entry, row: Row, stays: str
) -> None:
    """The entry is settled, and the link says what the write before this one said."""
    with work.run.store.begin() as connection:
        link = link_of(connection, entry.object, entry.key)
        if link:
            written = written_before(connection, entry)
            seen = {"seen": codec.fingerprint(row)} if row else {}
            if _is_renaming(entry) and not stays:
                name = next(iter(entry.before.values()))
                seen |= {"label": name, "wanted": name}
            mark_of = digest(written) if written else ""
            before = structs.replace(
                link,
                digest=mark_of,
                written=written,
                extra=link.extra | seen,
                stored={},
                held={},
            )
            save_link(connection, before)
    if stays:
        _keep(work, entry, stays)
        _keep_below(work, entry)
    else:
        _undone(work, entry, "")


# -- options added to fields that were there before


def _remove_options(work: _Undoing, place: Place) -> None:
    for batch in stream_undoable(
        work.run.store, place, "add_options", work.of_run
    ):
        for entry in _on_rows_that_stand(work, batch):
            if work.dry:
                _would(work, "restore")
            else:
                _take_out(work, entry)


def _take_out(work: _Undoing, entry: Entry) -> None:
    """Remove the options we added, but for those that rows which stay still use."""
    resource = work.run.resource(entry.resource)
    if "remove_options" not in resource.operations:
        _keep(work, entry, "the destination takes no options away")
        return
    custom = defining(work.run.migration.destination, resource)
    ours = _options_of(work, custom, entry)
    used = ours.keys() & _used(work, entry)
    shape = resource.fields[custom.options].shape or {}
    kind = shape[custom.option_id].kind if custom.option_id in shape else ""
    free = [
        {custom.option_id: sent_as(kind, option[custom.option_id])}
        for option_id, option in ours.items()
        if option_id not in used
    ]
    for outcome in deliver(
        work.run, [_undoing(entry, "remove_options", free)] if free else []
    ):
        if outcome.state != "done":
            _fail(work, entry, outcome.reason)
            return

    names = [ours[one].get(custom.option_label) for one in ours if one in used]
    if names:
        _keep(work, entry, f"rows that stay use {', '.join(map(str, names))}")
    else:
        _undone(work, entry, "")


def _options_of(
    work: _Undoing, custom: CustomFields, entry: Entry
) -> dict[str, Mapping[str, Any]]:
    """The options that an entry added, as far as they are there, by their ids."""
    label = custom.option_label
    labels = {str(option.get(label)) for option in entry.body.get("", [])}
    with work.run.store.begin() as connection:
        link = link_of(connection, entry.object, entry.key)
    known = link.extra.get("options", {}) if link else {}
    # the account may call them otherwise
    ids = {str(known[one]) for one in labels & known.keys()}
    row = live_rows(work.run, entry.resource, [entry]).get(entry.dest_id, {})
    return {
        str(option[custom.option_id]): option
        for option in row.get(custom.options) or []
        if str(option.get(label)) in labels
        or str(option[custom.option_id]) in ids
    }


def _used(work: _Undoing, entry: Entry) -> set[str]:
    """Options of this field on rows that stay; a built-in field is known by its name."""
    owner, _, name = entry.key.partition(".")
    used = work.retained.used
    by_code = used.get((entry.resource, entry.dest_id), set())
    return by_code | used.get((owner, name), set())
