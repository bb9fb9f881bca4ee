"""What a changed spec does to the data: staged records mapped under both specs, without a call.

Only what can differ is mapped again: the changed fields of an object, or all of it where its
condition, sources or key changed. A record counts as rewritten where the writing stage, asked
about the new draft and the row as we last wrote it, would send an update.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from engine.destination.resolve import resolve
from engine.destination.rows import Definitions, RowCodec, codec_of
from engine.extract.full import index
from engine.language.dependencies import needed, walk
from engine.language.model import Field, Lookup, ObjectMapping, Path, Template
from engine.mapping.draft import as_draft, judged, kinds_of, sight_on
from engine.mapping.evaluate import Evaluation, LookupContext, Source, evaluate
from engine.plan.diff import (
    Decision,
    KnownRows,
    decide,
    merge,
    rows_as_drafted,
    rows_as_linked,
)
from engine.plan.make import foreseen
from engine.session import Run
from engine.store.links import (
    Draft,
    Link,
    count_drafts,
    drafted_beyond_sample,
    drafts_of,
    is_staged,
    links_of,
)
from engine.store.records import Record, all_cursors, one, sample, stream
from engine.values import canonical, key_of
from workbench.diff.differences import Difference
from workbench.meaning import field_steps

EXAMPLES = 3  # per field


@dataclass(frozen=True, slots=True)
class Example:
    """One field of one record, before and after."""

    key: str
    field: str
    before: Any
    after: Any


@dataclass(slots=True)
class Effect:
    """What the change does to one object's records."""

    object: str
    label: str
    # that the object makes of what is staged, under the old spec or the new one
    records: int = 0
    changed: int = 0  # whose draft is another, came or went
    rewritten: int = 0  # of those, rows a following delta updates
    created: int = 0  # drafts that the change brings
    # rows whose record is no longer mapped; they stay as they are
    gone: int = 0
    failing: int = 0  # drafts that were ready and are not any more
    # why they fail -> the first that does; a few of them
    reasons: dict[str, str] = field(default_factory=dict)
    fields: Counter[str] = field(default_factory=Counter)
    # drafts that were ready and fail now, by the field for which they do
    spoilt: Counter[str] = field(default_factory=Counter)
    # drafts in which a field has another value, whether a row is written for it or not
    differing: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


def effect(old: Run, new: Run, found: Sequence[Difference]) -> list[Effect]:
    """The effect on every object whose drafts can differ, in the order of the new spec."""
    _index(new)
    moved, known = _drafted_so_far(old, new), foreseen(new)
    effects = []
    for mapping in new.spec.active():
        before = next(
            (item for item in old.spec.active() if item.name == mapping.name),
            None,
        )
        scope = _scope(before, mapping, found, moved)
        if scope is not None:
            made = Effect(mapping.name, mapping.label)
            effects.append(
                _object(
                    _Work(old, new, before, mapping, scope, known, moved, made)
                )
            )
    effects += [
        _removed(old, mapping)
        for mapping in old.spec.active()
        if mapping.name not in {m.name for m in new.spec.active()}
    ]
    return [item for item in effects if item.records or item.gone]


@dataclass(slots=True)
class _Moved:
    """Records that have a draft under one spec and none under the other: (object, key) -> has
    one now.
    """

    undrafted: frozenset[str]  # objects nothing was drafted of yet
    # objects that only records of the sample were drafted of
    sampled: frozenset[str]
    sample: frozenset[str]  # keys of those records
    old: dict[tuple[str, str], bool] = field(default_factory=dict)
    new: dict[tuple[str, str], bool] = field(default_factory=dict)

    def objects(self) -> set[str]:
        return {name for name, _ in self.new}

    def not_asked(self, name: str, record: str) -> bool:
        """Whether no draft was attempted for an object of this record: then a missing draft says
        nothing.
        """
        return name in self.undrafted or (
            name in self.sampled and record not in self.sample
        )


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of an object is mapped again: some fields, or all of it."""

    targets: tuple[str, ...]
    whole: bool
    # the code of a step changed: what was is only known from the stored drafts
    stale: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """One object being compared: both runs, what is mapped again, and what was found so far."""

    old: Run
    new: Run
    before: ObjectMapping | None
    mapping: ObjectMapping
    scope: _Scope
    known: Definitions
    moved: _Moved
    result: Effect


def _drafted_so_far(*runs: Run) -> _Moved:
    names = {mapping.name for run in runs for mapping in run.spec.active()}
    with runs[0].store.begin() as connection:
        chosen = frozenset(sample(connection))
        undrafted = frozenset(
            name for name in names if not count_drafts(connection, name)
        )
        sampled = frozenset(
            name
            for name in names - undrafted
            if chosen and not drafted_beyond_sample(connection, name)
        )
    return _Moved(undrafted, sampled, chosen)


def _index(run: Run) -> None:
    """The new spec may find records by other fields than were indexed when they were read."""
    with run.store.begin() as connection:
        known = all_cursors(connection)
    for name, fields in needed(run.spec).items():
        if name in known and set(fields) - set(known[name].indexed):
            index(run, name, fields, known[name])


# -- what can differ


def _scope(
    before: ObjectMapping | None,
    after: ObjectMapping,
    found: Sequence[Difference],
    moved: _Moved,
) -> _Scope | None:
    """What of an object may draft differently; None where nothing can."""
    if before is None:
        return _Scope(tuple(after.fields), True, False)
    own = {
        item.name
        for item in found
        if item.area == after.name and item.weight != "none"
    }
    targets = {
        name.removeprefix("fields.")
        for name in own
        if name.startswith("fields.")
    }
    whole = any(
        not name.startswith("fields.") and name != "on_delete" for name in own
    ) or _ground_moved(after, found)
    changed_steps = {item.name for item in found if item.area == "steps"}
    stale = {
        target
        for target, item in after.fields.items()
        if field_steps(item) & changed_steps
    }
    settings = {item.name for item in found if item.area == "settings"}
    targets |= stale | {
        target
        for target, item in after.fields.items()
        if settings and _reads_settings(item)
    }
    targets |= {
        target
        for target, item in after.fields.items()
        if _looks_up(item) & moved.objects()
    }
    if not targets and not whole:
        return None
    everything = tuple(dict.fromkeys([*before.fields, *after.fields]))
    return _Scope(
        everything
        if whole
        else tuple(name for name in everything if name in targets),
        whole,
        bool(stale),
    )


def _ground_moved(mapping: ObjectMapping, found: Sequence[Difference]) -> bool:
    """Whether a connector changed below this object."""
    touched = {
        item.name
        for item in found
        if item.area.endswith(" connector") and item.weight != "none"
    }
    around = [
        *mapping.sources,
        mapping.resource,
        *(name for item in mapping.related.values() for name in item.sources),
    ]
    around += [item.source for item in mapping.children.values()]
    return any(
        name in ("identity",) or name.partition(".")[0] in around
        for name in touched
    )


def _reads_settings(item: Field) -> bool:
    exprs = list(walk(item.expr))
    named = any(
        isinstance(expr, Path) and expr.segments[:1] == ("$settings",)
        for expr in exprs
    )
    return named or any(
        isinstance(expr, Template) and "settings" in expr.source
        for expr in exprs
    )


def _looks_up(item: Field) -> set[str]:
    return {
        name
        for expr in walk(item.expr)
        if isinstance(expr, Lookup)
        for name in expr.objects
    }


# -- one object


def _object(work: _Work) -> Effect:
    before = (
        work.before
        if work.before is None or work.scope.whole
        else _only(work.before, work.scope.targets)
    )
    after = (
        work.mapping
        if work.scope.whole
        else _only(work.mapping, work.scope.targets)
    )
    for batch in _records(work):
        with work.new.store.begin() as connection:
            sight = _sight(work.new, connection, work.moved.new, work.moved)
            earlier = _sight(work.old, connection, work.moved.old, work.moved)
            was = _drafts(before, batch, earlier)
            now = _drafts(after, batch, sight)
            work.result.records += len({*was, *now})
            if work.scope.stale:
                was = _as_stored(connection, work, was)
            differing = [
                key
                for key in dict.fromkeys([*now, *was])
                if _differs(was.get(key), now.get(key))
            ]
            if differing:
                records = {record.key: record for record in batch}
                again = _again(work.mapping, records, sight)
                drafts = _complete(
                    connection,
                    work,
                    {key: (was.get(key), now.get(key)) for key in differing},
                    again,
                )
                if work.before is not None and not work.scope.whole:
                    was = _as_wholes(
                        was, drafts, _again(work.before, records, earlier)
                    )
                _count(connection, work, was, drafts)
        work.new.progress(
            f"comparing {work.mapping.label}", work.result.records, None
        )
    return work.result


def _only(mapping: ObjectMapping, targets: Sequence[str]) -> ObjectMapping:
    return structs.replace(
        mapping,
        fields={
            name: item
            for name, item in mapping.fields.items()
            if name in targets
        },
    )


def _records(work: _Work) -> Iterator[list[Record]]:
    """Staged records of both specs' sources; rows written in a spec stand there, not in the
    store.
    """
    both = [
        mapping
        for mapping in (work.before, work.mapping)
        if mapping is not None
    ]
    for mapping in both:
        if mapping.rows:
            name = mapping.sources[0]
            yield [
                Record(name, key_of(name, str(row["id"])), dict(row))
                for row in mapping.rows
            ]
    for name in dict.fromkeys(
        source for mapping in both for source in mapping.sources
    ):
        if not name.startswith("$rows"):
            yield from stream(work.new.store, name)


def _sight(
    run: Run,
    connection: sa.Connection,
    known: Mapping[tuple[str, str], bool],
    moved: _Moved,
) -> LookupContext:
    """What projections see; where nobody has tried to draft a record, being staged counts as
    being drafted.
    """
    memory: dict[tuple[str, str], bool] = {}

    def look(name: str, key: str) -> bool:
        record = key.partition("#")[0]
        if (name, key) in known:
            return known[name, key]
        if moved.not_asked(name, record) and not key.startswith("$rows"):
            return one(connection, record) is not None
        if name in moved.undrafted:
            return True
        return is_staged(connection, name, key)

    def drafted(name: str, key: str) -> bool:
        if (name, key) not in memory:
            memory[name, key] = look(name, key)
        return memory[name, key]

    return structs.replace(sight_on(run, connection), drafted=drafted)


def _drafts(
    mapping: ObjectMapping | None, batch: Sequence[Record], sight: LookupContext
) -> dict[str, Evaluation]:
    """Projections by key of the records that belong to the mapping."""
    if mapping is None:
        return {}
    mine = [record for record in batch if record.collection in mapping.sources]
    made = (
        item
        for record in mine
        for item in evaluate(
            mapping, Source(record.collection, record.key, record.body), sight
        )
    )
    return {item.key: item for item in made}


def _as_stored(
    connection: sa.Connection, work: _Work, was: Mapping[str, Evaluation]
) -> dict[str, Evaluation]:
    """What was, from the stored drafts: they were made by the code of their time."""
    stored = drafts_of(connection, work.mapping.name, list(was))
    found = {}
    for key, item in was.items():
        draft = stored.get(key)
        body = (
            {
                name: value
                for name, value in draft.body.items()
                if name in work.scope.targets
            }
            if draft
            else item.body
        )
        found[key] = structs.replace(item, body=body)
    return found


def _differs(was: Evaluation | None, now: Evaluation | None) -> bool:
    if was is None or now is None:
        return True
    return was.state != now.state or (
        was.body != now.body and canonical(was.body) != canonical(now.body)
    )


# under the old spec, under the new one
_Pair = tuple[Evaluation | None, Evaluation | None]


def _complete(
    connection: sa.Connection,
    work: _Work,
    pairs: Mapping[str, _Pair],
    again: Callable[[Evaluation], Evaluation | None],
) -> dict[str, Draft | None]:
    """Whole drafts of the records that differ: the stored ones with the changed fields, or new
    ones.
    """
    stored = (
        {}
        if work.scope.whole
        else drafts_of(connection, work.mapping.name, list(pairs))
    )
    kinds = kinds_of(work.new.migration, work.mapping)
    found: dict[str, Draft | None] = {}
    for key, (before, now) in pairs.items():
        whole = (
            now
            if now is None or work.scope.whole
            else _patched(stored.get(key), before, now, work.scope)
            or again(now)
        )
        whole = judged(kinds, whole) if whole is not None else None
        found[key] = (
            as_draft(work.mapping, whole, 0) if whole is not None else None
        )
    return found


def _patched(
    stored: Draft | None,
    before: Evaluation | None,
    now: Evaluation,
    scope: _Scope,
) -> Evaluation | None:
    """The stored draft with the changed fields put in; None where it is not what the old spec
    gives.
    """
    if (
        stored is None
        or before is None
        or stored.state != "ready"
        or (before.state, now.state) != ("ready", "ready")
    ):
        return None
    held = {
        name: value
        for name, value in stored.body.items()
        if name in scope.targets
    }
    if canonical(held) != canonical(before.body):
        return None
    return structs.replace(
        now,
        body={
            name: value
            for name, value in stored.body.items()
            if name not in scope.targets
        }
        | now.body,
    )


def _again(
    mapping: ObjectMapping, records: Mapping[str, Record], sight: LookupContext
) -> Callable[[Evaluation], Evaluation | None]:
    """Maps the whole record behind a projection."""

    def again(found: Evaluation) -> Evaluation | None:
        record = records[found.record]
        made = evaluate(
            mapping, Source(record.collection, record.key, record.body), sight
        )
        return next((item for item in made if item.key == found.key), None)

    return again


def _as_wholes(
    was: Mapping[str, Evaluation],
    drafts: Mapping[str, Draft | None],
    again: Callable[[Evaluation], Evaluation | None],
) -> dict[str, Evaluation]:
    """What was, where the draft fails now: of the changed fields alone it does not show that it
    failed before as well.
    """
    found = dict(was)
    for key, draft in drafts.items():
        if draft is not None and draft.state != "ready" and key in was:
            whole = again(was[key])
            found[key] = structs.replace(
                was[key], state=whole.state if whole else "skipped"
            )
    return found


# -- counting


def _count(
    connection: sa.Connection,
    work: _Work,
    was: Mapping[str, Evaluation],
    drafts: Mapping[str, Draft | None],
) -> None:
    name, result, moved = work.mapping.name, work.result, work.moved
    result.changed += len(drafts)
    links = links_of(connection, name, list(drafts))
    for key, draft in drafts.items():
        before, ready = (
            was.get(key),
            draft is not None and draft.state == "ready",
        )
        had = before is not None and before.state == "ready"
        if had != ready:
            moved.old[name, key], moved.new[name, key] = (
                had or key in links,
                ready or key in links,
            )
        if had and draft is not None and not ready:
            result.failing += 1
            result.spoilt[draft.reason.partition(": ")[0]] += 1
            if len(result.reasons) < EXAMPLES:
                result.reasons.setdefault(draft.reason, key)
        result.gone += key in links and draft is None
    whole = [draft for draft in drafts.values() if draft is not None]
    codec = codec_of(
        work.new.migration.destination, work.mapping.resource, work.known
    )
    rows = KnownRows(links, rows_as_drafted(work.new, connection, whole))
    for decision in decide(work.new, work.mapping, codec, whole, rows):
        earlier = was.get(decision.draft.key)
        # A draft that was there before and has no row yet is made with and without the change.
        result.created += decision.kind == "create" and (
            earlier is None or earlier.state != "ready"
        )
        _tally(connection, work, decision, codec)
        _examples(decision.draft, was.get(decision.draft.key), work)


def _tally(
    connection: sa.Connection, work: _Work, decision: Decision, codec: RowCodec
) -> None:
    """What a run would do, were the row as we last wrote it."""
    mapping, link = work.mapping, decision.link
    updatable = "update" in codec.resource.operations
    if decision.kind != "update" or not updatable or link is None:
        return

    written = _differing(decision, link)
    last = Draft(link.object, link.key, link.key, written, "")
    ids = rows_as_linked(work.new, connection, [last])
    as_written = resolve(written, mapping, work.new.spec, codec, ids)
    sent = merge(mapping, decision, as_written.body, as_written, codec).send
    work.result.rewritten += bool(sent)
    work.result.fields.update(list(sent))


def _differing(decision: Decision, link: Link) -> dict[str, Any]:
    """What we last wrote of the fields that are another now; the rest is not looked at."""
    wanted = decision.resolved.effective if decision.resolved else {}
    return {
        name: value
        for name, value in link.written.items()
        if canonical(wanted.get(name)) != canonical(value)
    }


def _examples(draft: Draft, before: Evaluation | None, work: _Work) -> None:
    old, examples = before.body if before else {}, work.result.examples
    for target in work.scope.targets:
        value = draft.body.get(target)
        if canonical(old.get(target)) == canonical(value):
            continue
        work.result.differing[target] += 1
        if sum(item.field == target for item in examples) < EXAMPLES:
            examples.append(Example(draft.key, target, old.get(target), value))


def _removed(run: Run, mapping: ObjectMapping) -> Effect:
    with run.store.begin() as connection:
        return Effect(
            mapping.name,
            mapping.label,
            gone=len(links_of(connection, mapping.name)),
        )
