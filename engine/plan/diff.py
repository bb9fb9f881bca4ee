"""Drafts against links and live rows: what is to be done about each record.

A draft and its link decide most; an update is decided field by field, against what the
destination holds now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.connector.model import Resource
from engine.destination.compare import (
    UNKNOWN,
    Action,
    ConflictPolicy,
    FieldView,
    decide_field,
)
from engine.destination.resolve import (
    UNDECLARED,
    Ids,
    Resolved,
    is_undeclared,
    resolve,
    unlinked,
)
from engine.destination.rows import Row, RowCodec
from engine.language.model import ObjectMapping, Spec
from engine.session import Run
from engine.store.changes import Change, Kind, pending_deletes, rows_to_be
from engine.store.links import (
    MERGED,
    Draft,
    Link,
    draft_states,
    linked_ids_of,
)
from engine.values import canonical, digest, links_in, without

# marks what stands in for the id of a row that the same plan makes
OF_PLAN = "$"
LOST_TRIES = 8  # times a value that the destination dropped is retried

Symbol = tuple[str, str]


class Decision(msgspec.Struct, frozen=True):
    """What a draft and its link say; an update and an adopted row still need a look at the row."""

    kind: Kind
    draft: Draft
    resolved: Resolved | None = None
    link: Link | None = None
    reason: str = ""

    def change(self, kind: Kind | None = None, reason: str = "") -> Change:
        """The change where nothing else is to be looked at, or of another kind."""
        row_id = self.link.dest_id if self.link else ""
        draft = self.draft
        return Change(
            draft.object,
            draft.key,
            kind or self.kind,
            row_id,
            draft=draft.digest,
            reason=reason or self.reason,
            seq=draft.seq,
        )


class KnownRows(msgspec.Struct, frozen=True):
    """What the store knows of the rows that drafts stand for, and of those that they name."""

    links: Mapping[str, Link]  # by the drafts' keys
    ids: Ids
    # rows that the drafts name and the same plan deletes
    to_delete: frozenset[Symbol] = frozenset()


def decide(
    run: Run,
    mapping: ObjectMapping,
    codec: RowCodec,
    drafts: Sequence[Draft],
    known: KnownRows,
) -> list[Decision]:
    """Compare drafts with what was last written."""
    return [_decide(run, mapping, codec, draft, known) for draft in drafts]


def _decide(
    run: Run,
    mapping: ObjectMapping,
    codec: RowCodec,
    draft: Draft,
    known: KnownRows,
) -> Decision:
    link = known.links.get(draft.key)
    if draft.state != "ready":
        kind: Kind = "skip" if draft.state == "skipped" else "fail"
        return Decision(kind, draft, link=link, reason=draft.reason)
    if link and _is_as_planned(link, draft, known):
        return Decision("unchanged", draft, link=link)

    found = unlinked(draft.body, mapping, known.ids)
    if found.skipped or found.refused:
        kind = "skip" if found.skipped else "fail"
        return Decision(
            kind, draft, link=link, reason=found.skipped or found.refused
        )

    if link is None:
        return Decision("create", draft)

    resolved = resolve(draft.body, mapping, run.spec, codec, known.ids)
    same = link.digest == digest(resolved.effective) and not link.held
    return Decision("unchanged" if same else "update", draft, resolved, link)


def _is_as_planned(link: Link, draft: Draft, known: KnownRows) -> bool:
    """Whether a row is as its draft without a look at anything else."""
    if link.origin == MERGED:  # what its row holds is people's
        return True
    as_written = link.digest == draft.digest and not link.held
    return as_written and known.to_delete.isdisjoint(links_in(draft.body))


# -- ids, now and after the plan was carried out


def known_rows(
    run: Run,
    connection: sa.Connection,
    drafts: Iterable[Draft],
    links: Mapping[str, Link],
) -> KnownRows:
    """What the store knows of the rows of these drafts, as planned."""
    return KnownRows(links, *_looked_up(run, connection, drafts, _planned))


Look = Callable[[Run, sa.Connection, str, list[str]], dict[str, str]]


def _known(
    look: Look, run: Run, connection: sa.Connection, drafts: Iterable[Draft]
) -> Ids:
    return _looked_up(run, connection, drafts, look)[0]


def _looked_up(
    run: Run, connection: sa.Connection, drafts: Iterable[Draft], look: Look
) -> tuple[Ids, frozenset[Symbol]]:
    found: dict[Symbol, str] = {}
    to_delete: set[Symbol] = set()
    for name, keys in _symbols(draft.body for draft in drafts).items():
        ordered = sorted(keys)
        deleted = pending_deletes(connection, name, ordered)
        to_delete |= {(name, key) for key in deleted}
        rows = look(run, connection, name, ordered)
        found |= {
            (name, key): row_id
            for key, row_id in rows.items()
            if key not in deleted
        }
    return (lambda name, key: found.get((name, key))), frozenset(to_delete)


def _symbols(bodies: Iterable[Any]) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for body in bodies:
        for name, key in links_in(body):
            wanted.setdefault(name, set()).add(key)
    return wanted


def _linked(
    run: Run, connection: sa.Connection, name: str, keys: list[str]
) -> dict[str, str]:
    """What rows of other resources name linked rows by."""
    resources = run.migration.destination.resources
    found = linked_ids_of(connection, name, keys)
    return {
        key: resources[resource].reference_to(row_id)
        for key, (resource, row_id) in found.items()
    }


def of_plan(name: str, key: str) -> str:
    """What stands in for the id of a row that is not made yet: no two are alike."""
    return f"{OF_PLAN}{name} {key}"


def _planned(
    run: Run, connection: sa.Connection, name: str, keys: list[str]
) -> dict[str, str]:
    """Linked rows, rows to be adopted, and rows to be made under an id that nobody has."""
    made = rows_to_be(connection, name, keys)
    found = {key: row_id or of_plan(name, key) for key, row_id in made.items()}
    return found | _linked(run, connection, name, keys)


def _drafted(
    run: Run, connection: sa.Connection, name: str, keys: list[str]
) -> dict[str, str]:
    """Linked rows, and whatever has a draft that can be written."""
    states = draft_states(connection, name, keys)
    ready = {
        key: of_plan(name, key)
        for key, state in states.items()
        if state == "ready"
    }
    return ready | _linked(run, connection, name, keys)


# the ids that symbols lead to once the plan is carried out, as far as they are known
rows_as_planned = partial(_known, _planned)
# ... that they lead to now
rows_as_linked = partial(_known, _linked)
# ... that they would lead to if every draft were written; for comparing specs
rows_as_drafted = partial(_known, _drafted)


# -- an update, field by field


class _Merged(msgspec.Struct):
    """What a comparison of one row has come to so far."""

    send: dict[str, Any] = {}
    before: dict[str, Any] = {}
    conflicts: list[tuple[str, Any, Any]] = []
    stuck: list[str] = []

    @property
    def kind(self) -> Kind:
        """What the fields together ask for."""
        if self.send:
            return "update"
        return "conflict" if self.conflicts or self.stuck else "unchanged"


def merge(
    mapping: ObjectMapping,
    decision: Decision,
    live: Row,
    last: Resolved,
    codec: RowCodec,
) -> Change:
    """A three-way comparison: last written, live now, wanted now; field by field."""
    resolved, link = decision.resolved, decision.link
    assert resolved is not None and link is not None
    found = _Merged()
    for target in _targets(codec.resource, resolved, link):
        if (target, UNDECLARED) in last.missing:
            continue  # its value stays, and is not looked at
        view = _view(target, resolved, link, last, live, codec)
        _note(found, target, view, mapping, codec)

    draft = decision.draft
    return Change(
        draft.object,
        draft.key,
        found.kind,
        link.dest_id,
        found.send,
        found.before,
        tuple(found.conflicts),
        tuple(found.stuck),
        version(codec.resource, live),
        draft.digest,
        seq=draft.seq,
    )


def _targets(
    resource: Resource, resolved: Resolved, link: Link
) -> Iterator[str]:
    """The fields to compare: those whose wanted value moved, and those that are still held back."""
    update = resource.operations.get("update")
    omit = update.omit if update else ()
    for target in dict.fromkeys(
        [*resolved.effective, *link.written, *link.held]
    ):
        wanted = resolved.effective.get(target)
        written = link.written.get(target)
        if wanted is None and written is None:
            continue  # what was wanted once, and never written, is nobody's any more
        same = bool(link.digest) and canonical(wanted) == canonical(written)
        if target not in omit and not (same and _is_settled(link, target)):
            yield target


def _is_settled(link: Link, target: str) -> bool:
    held = link.held.get(target)
    if not held:
        return True
    if held.get("why") == "altered":
        return True  # the destination would store it the same way
    return bool(
        held.get("why") == "lost" and held.get("tries", 0) >= LOST_TRIES
    )


def _view(
    target: str,
    resolved: Resolved,
    link: Link,
    last: Resolved,
    live: Row,
    codec: RowCodec,
) -> FieldView:
    stored = link.stored.get(target, UNKNOWN)
    unsent = link.origin == "created" and link.written.get(target) is None
    seen = "" if link.extra.get("touched") else link.extra.get("seen", "")
    if unsent and seen and codec.is_unchanged(seen, live):
        stored = codec.get(live, target)  # the destination filled it in itself
    if link.held.get(target, {}).get("why") == "lost":
        stored = None  # nothing is what the destination made of it
    return FieldView(
        codec.get(last.body, target),
        stored,
        codec.get(live, target),
        codec.get(resolved.body, target),
        bool(link.digest),
    )


def _note(
    found: _Merged,
    target: str,
    view: FieldView,
    mapping: ObjectMapping,
    codec: RowCodec,
) -> None:
    item = mapping.fields.get(target)
    policy: ConflictPolicy = item.on_conflict if item else "keep"
    can_empty = codec.resource.emptied(target) != "never"
    action = decide_field(view, policy, can_empty, partial(codec.equal, target))

    there = not view.linked and codec.alike(target, view.wanted, view.live)
    if action is Action.CONFLICT and there:
        # it is there, in the form that the platform gives it
        found.before[target] = view.live
        return

    match action:
        case Action.SEND:
            found.send[target] = view.wanted
            found.before[target] = view.live
        case Action.CONFLICT:
            found.conflicts.append((target, view.live, view.wanted))
        case Action.STUCK:
            found.stuck.append(target)


def version(resource: Resource, live: Row) -> dict[str, Any]:
    """The version of the row that a change was decided on; a later one refuses the change."""
    name = (
        resource.operations["update"].lock
        if "update" in resource.operations
        else ""
    )
    return {name: live[name]} if name and live.get(name) is not None else {}


def stored_after(change: Change, link: Link) -> dict[str, Any]:
    """What the destination makes of values, those that an adopted row holds among them."""
    stored = without(link.stored, change.send)
    return stored | without(change.before, change.send)


def update_body(
    change: Change, resolved: Resolved, codec: RowCodec
) -> dict[str, Any]:
    """What an update sends: only the fields that change, plus the ids its address needs."""
    body: dict[str, Any] = {}
    for target in change.send:
        value = codec.get(resolved.body, target)
        codec.put(
            body, target, codec.cleared(target) if value is None else value
        )

    needed = codec.resource.operations["update"].places
    places = {
        name: value for name, value in resolved.body.items() if name in needed
    }
    return {**body, **change.version, **places}


def written_after(
    change: Change, resolved: Resolved, link: Link, spec: Spec
) -> dict[str, Any]:
    """The draft as it will have been written: what people keep stays what we last wrote of it, and
    so does what the spec no longer declares: it may come back.
    """
    before = link.written
    kept = [
        *(target for target, _, _ in change.conflicts),
        *change.stuck,
        *(name for name in before if is_undeclared(spec, link.resource, name)),
    ]
    own = {name: before[name] for name in kept if name in before}
    return without(resolved.effective, kept) | own
