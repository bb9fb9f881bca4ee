"""Carrying a plan out, object by object: rows are linked, made and changed as the plan says."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.destination.resolve import Resolved, resolve
from engine.destination.rows import (
    RowCodec,
    codec_now,
)
from engine.errors import UnsafePlan
from engine.language.model import ObjectMapping
from engine.load.deliver import TRIES, deliver
from engine.load.outcomes import settle_ages
from engine.load.writes import Outcome, Write
from engine.plan.adopt import ADOPTING, CLOSED, OPEN, REOPENED
from engine.plan.diff import (
    LOST_TRIES,
    OF_PLAN,
    Symbol,
    rows_as_linked,
    stored_after,
    update_body,
    written_after,
)
from engine.plan.guards import ENOUGH
from engine.plan.make import FIXED, plan_drafts, planning_of
from engine.plan.merges import follow_named
from engine.session import Run
from engine.store.changes import (
    Change,
    Kind,
    count_changes,
    count_work,
    note_held,
    note_left_out,
    stream_changes,
    stream_work,
)
from engine.store.journal import counts, mark, refused_in_sample
from engine.store.links import (
    Finding,
    Link,
    any_links,
    drafts_of,
    link_of,
    links_of,
    save_findings,
    save_link,
)
from engine.store.tables import recall_in, remember, remember_in
from engine.values import batches, cause_of, digest, is_empty, links_in

# seconds for which a row that was read for the plan need not be read once more
FRESH = 900.0
STAGE = "load"
# records of an object that, all refused alike and none accepted before, are a fault of the mapping
SURE = 20


class Loaded(msgspec.Struct):
    """What became of an object's drafts in this run."""

    object: str
    label: str
    resource: str
    created: int = 0
    updated: int = 0
    adopted: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    deleted: int = 0
    conflicts: int = 0
    cost: float = 0.0
    least: float = 0.0  # what the writes alone must cost
    reasons: list[str] = []


class _Work(msgspec.Struct):
    """One object being written."""

    run: Run
    mapping: ObjectMapping
    codec: RowCodec
    planned_at: float
    yes: bool
    result: Loaded
    done: int = 0  # changes, of so many in all
    total: int = 0
    # what refused writes named, and what of it people merged
    looked_at: set[Symbol] = set()
    merged: set[Symbol] = set()

    def hold(
        self, connection: sa.Connection, key: str, word: str, reason: str
    ) -> None:
        """A record that cannot be written after all, for what it leans on was not."""
        if word == "failed":
            self.run.failed(self.mapping.name, key)
        text = f"{word}: {reason}"
        finding = Finding(self.mapping.name, key, STAGE, "", "attention", text)
        save_findings(connection, [finding])
        kind: Kind = "skip" if word == "skipped" else "fail"
        note_held(connection, self.mapping.name, key, kind)
        self.result.reasons.append(f"{key}: {reason}")
        self.result.skipped += word == "skipped"
        self.result.failed += word == "failed"


def apply(
    run: Run,
    objects: Sequence[ObjectMapping],
    planned_at: float,
    whole: bool,
    yes: bool,
) -> list[Loaded]:
    """Carry out what is planned for these objects, in their order.

    `planned_at` is when the plan was made, epoch seconds; `whole` says that all drafts were in it.
    Unless `yes`, raises UnsafePlan where every record of an object is refused for one reason; in a
    sample that is a finding, for it is taken to find out.
    """
    return [
        _object(run, mapping, planned_at, whole, yes) for mapping in objects
    ]


def _object(
    run: Run,
    mapping: ObjectMapping,
    planned_at: float,
    whole: bool,
    yes: bool,
) -> Loaded:
    before = run.destination.limiter.cost
    result = Loaded(mapping.name, mapping.label, mapping.resource)
    codec = codec_now(run, mapping.resource)
    going_on = yes or not whole
    work = _Work(run, mapping, codec, planned_at, going_on, result)

    if not whole:
        _keep_search_open(work)
    with run.store.begin() as connection:
        note_left_out(connection, mapping.name, whole)
    _link_found(work)
    _write(work)
    settle_ages(run, [mapping.resource])
    if whole:
        remember(run.store, ADOPTING + mapping.name, CLOSED)

    _count(work)
    result.cost = run.destination.limiter.cost - before
    return result


# -- rows that were there


def _keep_search_open(work: _Work) -> None:
    """A sample makes some rows; those of the other records may be there all the same."""
    name = work.mapping.name
    with work.run.store.begin() as connection:
        if recall_in(connection, ADOPTING + name) is None and not any_links(
            connection, name
        ):
            remember_in(connection, ADOPTING + name, OPEN)


def _link_found(work: _Work) -> None:
    """Link what the plan adopts, before anything of the object is made."""
    run, mapping = work.run, work.mapping
    for batch in stream_changes(run.store, mapping.name, "adopt"):
        with run.store.begin() as connection:
            state = recall_in(connection, ADOPTING + mapping.name)
            if not mapping.match and state != REOPENED:
                remember_in(connection, ADOPTING + mapping.name, OPEN)
            for change in batch:
                _link_one(work, connection, change)


def _link_one(work: _Work, connection: sa.Connection, change: Change) -> None:
    row_id = _row_id(connection, change)
    if not row_id:
        work.hold(
            connection,
            change.key,
            "failed",
            "the row it stands for was not written",
        )
        return
    name, resource = work.mapping.name, work.mapping.resource
    now = work.run.destination.now()
    link = Link(
        name,
        change.key,
        resource,
        row_id,
        "",
        {},
        change.reason,
        work.run.id,
        now,
    )
    save_link(connection, link)
    work.result.adopted += 1


def _row_id(connection: sa.Connection, change: Change) -> str:
    """The id of the row to adopt; of one that the plan itself makes, once it is made."""
    if not change.dest_id.startswith(OF_PLAN):
        return change.dest_id
    name, _, key = change.dest_id.removeprefix(OF_PLAN).partition(" ")
    link = link_of(connection, name, key)
    return link.dest_id if link else ""


# -- rows to make and to change


def _write(work: _Work) -> None:
    """Deliver the writes; what turns out to be stale is planned and delivered once more."""
    in_order = bool(work.mapping.rows or work.mapping.order)
    stale = [
        outcome.write.key
        for outcome in _while_accepted(
            work, deliver(work.run, _writes(work), in_order)
        )
        if _named_merged(work, outcome) or _noted(work, outcome)
    ]
    for _ in range(TRIES):
        if not stale:
            return
        writes = [
            write
            for part in batches(stale)
            for write in _planned_anew(work, part)
        ]
        stale = [
            item.write.key
            for item in deliver(work.run, writes)
            if _noted(work, item)
        ]

    for key in sorted(stale):
        with work.run.store.begin() as connection:
            reason = (
                "not updated, for its row changed between reading and writing every"
                " time"
            )
            work.hold(connection, key, "failed", reason)


def _while_accepted(
    work: _Work, outcomes: Generator[Outcome, None, None]
) -> Iterator[Outcome]:
    """Outcomes; raises UnsafePlan where all are refusals for one reason: what leans on these
    records is not to be written without them. What a sample has shown is known to people.
    """
    name = work.mapping.name
    with work.run.store.begin() as connection:
        known = any_links(connection, name) or refused_in_sample(
            connection, name
        )
    accepted = work.yes or known
    causes: set[str] = set()
    many = 0
    with closing(outcomes):
        for outcome in outcomes:
            _advance(work, 1)
            yield outcome
            # a file that is not to be had is no refusal of the destination
            refused = outcome.refused and outcome.called
            causes.add(cause_of(outcome.reason) if refused else "")
            many += refused
            if not accepted and many >= SURE and len(causes) == 1:
                break
    if not accepted and many >= ENOUGH and len(causes) == 1:
        raise UnsafePlan(
            f"the destination refuses each of the first {many} {work.mapping.label}:"
            f" {outcome.reason} – the run stops here; see `etl status`, correct the spec, or add"
            " --yes to go on without them"
        )


def _advance(work: _Work, many: int) -> None:
    """So many changes more are done."""
    work.done += many
    work.run.progress(f"writing {work.mapping.label}", work.done, work.total)


def _noted(work: _Work, outcome: Outcome) -> bool:
    """Whether a record is to be planned once more; failures are listed.

    That is one whose row has changed since, or whose creation found a row that was there.
    """
    if outcome.state == "failed":
        work.result.reasons.append(f"{outcome.write.key}: {outcome.reason}")
    return outcome.state == "stale" or outcome.existing


def _named_merged(work: _Work, outcome: Outcome) -> bool:
    """Whether a write was refused for a row that people merged into another: it is to be planned
    once more. No row is looked at twice.
    """
    write = outcome.write
    if not (outcome.refused and outcome.called):
        return False
    named = {(write.object, write.key), *links_in(write.draft)}
    fresh = named - work.looked_at
    work.looked_at |= fresh
    work.merged |= follow_named(work.run, sorted(fresh)).keys()
    if work.merged.isdisjoint(named):
        return False
    with work.run.store.begin() as connection:
        now = work.run.clock.now()
        mark(connection, write.entry, "void", outcome.reason, now)
    return True


def _writes(work: _Work) -> Iterator[Write]:
    work.total = count_work(work.run.store, work.mapping.name)
    for batch in stream_work(work.run.store, work.mapping.name):
        writes = _of_batch(work, batch)
        _advance(work, len(batch) - len(writes))  # the rest, as it ends
        yield from writes


def _of_batch(work: _Work, batch: Sequence[Change]) -> list[Write]:
    """The writes of some changes; looked at once more where the plan is not fresh."""
    aged = work.run.clock.now() - work.planned_at > FRESH
    looked_at = [
        c.key for c in batch if c.kind in ("update", "conflict") or c.send
    ]
    if aged and looked_at:
        fresh = {change.key: change for change in _replanned(work, looked_at)}
        batch = [fresh.get(change.key, change) for change in batch]
    return _prepared(work, batch)


def _planned_anew(work: _Work, keys: Sequence[str]) -> Iterator[Write]:
    yield from _prepared(work, _replanned(work, keys))


def _replanned(work: _Work, keys: Sequence[str]) -> list[Change]:
    with work.run.store.begin() as connection:
        drafts = drafts_of(connection, work.mapping.name, keys)
    planning = planning_of(work.run, work.mapping, work.codec)
    return plan_drafts(planning, list(drafts.values()))


def _prepared(work: _Work, batch: Sequence[Change]) -> list[Write]:
    """The writes of changes, with the ids that their links lead to now."""
    run, mapping = work.run, work.mapping
    keys = [change.key for change in batch if change.draft]
    writes = []
    with run.store.begin() as connection:
        drafts = drafts_of(connection, mapping.name, keys)
        links = links_of(connection, mapping.name, keys)
        ids = rows_as_linked(run, connection, drafts.values())
        for change in batch:
            draft = drafts.get(change.key)
            if draft is None:
                continue
            resolved = resolve(draft.body, mapping, run.spec, work.codec, ids)
            write = _one(
                work, connection, change, resolved, links.get(change.key)
            )
            if write is None:
                continue
            if not (
                write.digest or resolved.missing
            ):  # nothing was left out of it
                write = structs.replace(write, digest=draft.digest)
            writes.append(write)
    return writes


def _one(
    work: _Work,
    connection: sa.Connection,
    change: Change,
    resolved: Resolved,
    link: Link | None,
) -> Write | None:
    """The write of a change; None where only the link is to be kept up, or nothing can be sent."""
    if change.kind == "create":
        return _create(work, connection, change, resolved, link)
    if link is None:
        return None
    change = _sendable(work, change, resolved)
    if change.send:
        return _update(work, change, resolved, link)
    _keep_up(work, connection, change, resolved, link)
    return None


def _create(
    work: _Work,
    connection: sa.Connection,
    change: Change,
    resolved: Resolved,
    link: Link | None,
) -> Write | None:
    if link is not None:
        return None
    if resolved.skipped or resolved.refused:
        word = "skipped" if resolved.skipped else "failed"
        work.hold(
            connection, change.key, word, resolved.skipped or resolved.refused
        )
        return None

    found = [
        Finding(
            change.object,
            change.key,
            STAGE,
            target,
            "attention",
            f"left out: {why}",
        )
        for target, why in resolved.missing
    ]
    save_findings(connection, found)
    effective = resolved.effective
    resource = work.mapping.resource
    return Write(
        change.object, change.key, resource, "create", resolved.body, effective
    )


def _sendable(work: _Work, change: Change, resolved: Resolved) -> Change:
    """The change without fields whose value is not to be had after all, like a row not written."""
    codec = work.codec
    send = {
        name: value
        for name, value in change.send.items()
        if codec.code(name)
        and (is_empty(value) or codec.get(resolved.body, name) is not None)
    }
    return structs.replace(change, send=send)


def _update(
    work: _Work, change: Change, resolved: Resolved, link: Link
) -> Write:
    return Write(
        change.object,
        change.key,
        work.mapping.resource,
        "update",
        update_body(change, resolved, work.codec),
        written_after(change, resolved, link, work.run.spec),
        link.dest_id,
        {
            name: value
            for name, value in change.before.items()
            if name in change.send
        },
        link.origin,
        link.extra,
        stored_after(change, link),
        held_after(change, link),
        digest(resolved.effective),
    )


def _keep_up(
    work: _Work,
    connection: sa.Connection,
    change: Change,
    resolved: Resolved,
    link: Link,
) -> None:
    """A change that needs no call only moves the link."""
    kept = structs.replace(link, digest=digest(resolved.effective))
    if change.reason != FIXED:  # then the row holds what was written before
        kept = structs.replace(
            kept,
            written=written_after(change, resolved, link, work.run.spec),
            stored=stored_after(change, link),
            held=held_after(change, link),
        )
    save_link(connection, kept)


def held_after(change: Change, link: Link) -> dict[str, Any]:
    """The fields that will not be as wanted, and why."""
    held: dict[str, Any] = {}
    for target, before in link.held.items():
        lost = before.get("why") == "lost"
        tried = before.get("tries", 0) >= LOST_TRIES
        if (lost and (target in change.send or tried)) or before.get(
            "why"
        ) == "altered":
            held[target] = before

    held |= {target: {"why": "conflict"} for target, _, _ in change.conflicts}
    return held | {target: {"why": "stuck"} for target in change.stuck}


# -- what it came to


def _count(work: _Work) -> None:
    """Counts from the plan and from the journal of this run."""
    run, result, name = work.run, work.result, work.mapping.name
    with run.store.begin() as connection:
        planned = count_changes(connection)
        written = counts(connection, run.id)

    def of(action: str, state: str) -> int:
        many: int = written.get((name, action, state), (0, 0.0))[0]
        return many

    result.created = of("create", "done")
    result.updated = of("update", "done")
    result.adopted += of("create", "adopted")
    result.failed += of("create", "failed") + of("update", "failed")
    result.unchanged = planned.get((name, "unchanged"), 0) + planned.get(
        (name, "conflict"), 0
    )
    result.conflicts = planned.get((name, "conflict"), 0)
    result.skipped += planned.get((name, "skip"), 0)
    result.failed += planned.get((name, "fail"), 0)
    for batch in stream_changes(run.store, name, "fail"):
        for change in batch:
            run.failed(name, change.key)
    result.least = sum(
        written.get((name, action, "done"), (0, 0.0))[1]
        for action in ("create", "update")
    )
