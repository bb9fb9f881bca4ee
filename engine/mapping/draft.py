"""Records to drafts, object by object; nothing but the store is touched."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import FieldType
from engine.connector.typed import Reader, Typed, reader_of
from engine.language.compile import Migration
from engine.language.dependencies import paths_read
from engine.language.model import ObjectMapping
from engine.language.typecheck import custom_kind, is_picky, refusal
from engine.mapping.ahead import AT_ONCE, look_ahead
from engine.mapping.evaluate import (
    FALLBACK,
    Evaluation,
    KeyedRows,
    LookupContext,
    Note,
    Source,
    evaluate,
)
from engine.mapping.inputs import (
    DependencyLog,
    Watch,
    digest_of,
    digest_of_code,
)
from engine.session import Run
from engine.store.links import (
    Draft,
    Finding,
    clear_drafts,
    clear_findings,
    count_drafts,
    count_findings,
    is_staged,
    links_of,
    save_drafts,
    save_findings,
    staged_keys,
)
from engine.store.records import (
    BATCH,
    Record,
    count,
    many,
    one,
    pointing_at,
    stream,
)
from engine.store.seen import (
    clear_dependencies,
    forget_drafts,
    indexed_fields,
    next_mark,
    number,
    save_dependencies,
)
from engine.store.tables import recall, remember, remember_in
from engine.values import Names, Row, T, as_list, batches, digest, segments

STAGE = "transform"  # of findings
STAMP = "mapped."  # the store keeps under this name what an object's drafts were made of
REMEMBERED = 2_000  # whole records, some of 50 kB
# keys of an object that are held in memory; of a larger one they are looked up one by one
KEYS = 20_000


class Remembered(OrderedDict[Any, Any]):
    """A bounded memory: the entry untouched for longest is forgotten first."""

    def get_or(self, key: Any, make: Callable[[], T]) -> T:
        """The remembered value, or the one `make` gives."""
        if key not in self:
            self[key] = make()
        self.move_to_end(key)
        found: T = self[key]
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


def sight_on(
    run: Run,
    connection: sa.Connection,
    memory: Remembered | None = None,
) -> LookupContext:
    """What evaluations may look at, read from the store as needed and remembered.

    A `memory` given by the caller lasts over several connections; only what does not change
    meanwhile may be remembered so: records, and drafts of objects above the
    one that is being drafted, for lookups lead nowhere else.
    """
    lasting = memory is not None
    memory = Remembered() if memory is None else memory
    users = memory.get_or("users", lambda: set(links_of(connection, "users")))

    read = reader_of(run.migration.source)

    def reread(collection: str, row: Row) -> Typed:
        # what is remembered holds the row as well, so no other one takes its identity
        kept = memory.get_or(
            ("typed", id(row)), lambda: (row, read(collection, row))
        )
        return kept[1]

    def record(key: str) -> Row | None:
        def look() -> Row | None:
            found = one(connection, key)
            return found.body if found else None

        return memory.get_or(key, look)

    def pointing(
        collection: str, field: str, targets: Sequence[str]
    ) -> KeyedRows:
        def look() -> KeyedRows:
            return [
                (found.key, found.body)
                for found in pointing_at(connection, collection, field, targets)
            ]

        return memory.get_or((collection, field, *targets), look)

    def staged(name: str, key: str) -> bool:
        keys = None
        if lasting:
            keys = memory.get_or(
                ("drafted", name), lambda: staged_keys(connection, name, KEYS)
            )
        if keys is not None:
            return key in keys
        return memory.get_or(
            ("drafted", name, key), lambda: is_staged(connection, name, key)
        )

    return LookupContext(
        settings=run.spec.settings,
        pattern=run.migration.source.reference.pattern,
        objects=run.spec.objects,
        record=record,
        pointing_at=pointing,
        drafted=staged,
        user=lambda key: key != FALLBACK and key in users,
        typed=reread,
        user_source=run.spec.users.source if run.spec.users else "",
        today=run.today,
    )


def transform(
    run: Run,
    objects: Sequence[ObjectMapping],
    only: frozenset[str] | None = None,
) -> None:
    """Make the drafts of these objects by the spec and the records as they are now.

    Only those are made that something has changed for: their record, their mapping, or what they
    looked at.
    """
    with run.store.begin() as connection:
        mark = next_mark(connection)
    watch = Watch(run.store, mark, _shared(run))
    for mapping in objects:
        _bring_up(run, mapping, watch, only)


class _Stamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept with an object's drafts."""

    # a digest of what they came from besides records and other drafts
    fixed: str
    indexed: str  # ... of the fields that records were looked for by
    places: Names  # where they looked
    states: Mapping[str, int]  # how many there are
    findings: int
    mark: int  # of the comparison that they were made after


def _bring_up(
    run: Run, mapping: ObjectMapping, watch: Watch, only: frozenset[str] | None
) -> None:
    chosen = None if mapping.rows else only
    stamp = _stamp_of(run, mapping) if chosen is None else None
    if stamp is None or stamp != _stamp(
        run, mapping, watch, stamp.places, stamp.mark
    ):
        _made_whole(run, mapping, watch, chosen)
    else:
        changed = watch.changed(stamp.places, stamp.mark)
        own = {key for name in mapping.sources for key in changed.get(name, ())}
        if own and mapping.order:
            _made_whole(run, mapping, watch, None)
        elif changed:
            leaning = watch.affected(mapping.name, changed)
            _made_some(run, mapping, watch, stamp, own | leaning)


def _stamp_of(run: Run, mapping: ObjectMapping) -> _Stamp | None:
    """The stamp that was kept; None where there is none, or of another version of ours."""
    kept = recall(run.store, STAMP + mapping.name) or "{}"
    try:
        return msgspec.json.decode(kept, type=_Stamp)
    except msgspec.MsgspecError:
        return None


def _stamp(
    run: Run,
    mapping: ObjectMapping,
    watch: Watch,
    places: Sequence[str],
    mark: int,
) -> _Stamp:
    """The stamp that an object's drafts would be given now."""
    with run.store.begin() as connection:
        return _Stamp(
            _fixed(run, mapping, watch.shared),
            digest_of(sorted(indexed_fields(connection, places).items())),
            tuple(places),
            count_drafts(connection, mapping.name),
            count_findings(connection, STAGE, mapping.name),
            mark,
        )


def _keep(
    run: Run, mapping: ObjectMapping, watch: Watch, places: Iterable[str]
) -> None:
    """Keep what an object's drafts were made of, all of it compared at this mark."""
    watch.made(mapping.name)
    watch.compare(places)
    stamp = _stamp(run, mapping, watch, sorted(places), watch.mark)
    text = json.dumps(structs.asdict(stamp))
    remember(run.store, STAMP + mapping.name, text)


def _shared(run: Run) -> str:
    """What the drafts of all objects come from besides records and other drafts."""
    source = run.migration.source
    sources = {name: item.sources for name, item in run.spec.objects.items()}
    read = {name: item.fields for name, item in source.resources.items()}
    told = (
        source.reference,
        source.empty_values,
        run.spec.settings,
        run.spec.users,
    )
    return digest_of(digest_of_code(), sources, read, told)


def _fixed(run: Run, mapping: ObjectMapping, shared: str) -> str:
    """The same for one object, with its mapping, with what its destination takes, and where it
    asks for it with the day.
    """
    day = run.today if "$today" in paths_read(mapping) else ""
    return digest_of(shared, mapping, kinds_of(run.migration, mapping), day)


def _made_whole(
    run: Run, mapping: ObjectMapping, watch: Watch, only: frozenset[str] | None
) -> None:
    """All of an object's drafts made anew; what they were made of is kept unless it is a sample."""
    with run.store.begin() as connection:
        remember_in(connection, STAMP + mapping.name, "")
        clear_drafts(connection, mapping.name)
        clear_dependencies(connection, mapping.name)
        clear_findings(connection, STAGE, mapping.name)
        total = (
            len(only)
            if only is not None
            else sum(count(connection, name) for name in mapping.sources)
        )
    notes = DependencyLog(set(mapping.sources))
    _evaluated(run, mapping, _batches(run, mapping, only), notes, total)
    watch.made(mapping.name)
    if only is None:
        _keep(run, mapping, watch, notes.places)


def _made_some(
    run: Run,
    mapping: ObjectMapping,
    watch: Watch,
    stamp: _Stamp,
    keys: set[str],
) -> None:
    """The drafts of some records made anew, as if all had been."""
    notes, ordered = DependencyLog(set(stamp.places)), sorted(keys)
    with run.store.begin() as connection:
        remember_in(connection, STAMP + mapping.name, "")
        was_made = forget_drafts(connection, mapping.name, ordered)
        clear_findings(connection, STAGE, mapping.name, was_made)
    parts = (_live(run, mapping, part) for part in batches(ordered, BATCH))
    _evaluated(run, mapping, parts, notes, len(keys))
    if keys:
        with run.store.begin() as connection:
            number(connection, mapping.name, mapping.sources)
    _keep(run, mapping, watch, notes.places)


def _live(
    run: Run, mapping: ObjectMapping, keys: Sequence[str]
) -> list[Record]:
    """Those of these records that are there, and in one of the object's collections."""
    with run.store.begin() as connection:
        found = many(connection, keys).values()
    return [record for record in found if record.collection in mapping.sources]


def _evaluated(
    run: Run,
    mapping: ObjectMapping,
    records: Iterable[Sequence[Record]],
    notes: DependencyLog,
    total: int,
) -> None:
    """Make and save the drafts of these records, with what they look at."""
    done, position, memory = 0, 0, Remembered()
    kinds = kinds_of(run.migration, mapping)
    for batch in records:
        with run.store.begin() as connection:
            known = sight_on(run, connection, memory=memory)
            sight = notes.recording(known)
            drafts: list[Draft] = []
            found: list[Finding] = []
            looked_at: dict[str, list[str]] = {}
            for source in _sources(
                run, mapping, batch, connection, known, memory
            ):
                for made in evaluate(mapping, source, sight, traced=False):
                    position += 1
                    projection = judged(kinds, made)
                    drafts.append(as_draft(mapping, projection, position))
                    found += findings(mapping, projection)
                looked_at[source.key] = notes.drain()
            save_drafts(connection, drafts)
            save_findings(connection, found)
            save_dependencies(connection, mapping.name, looked_at)
        done += len(batch)
        run.progress(f"mapping {mapping.label}", done, total)


def _sources(
    run: Run,
    mapping: ObjectMapping,
    records: Sequence[Record],
    connection: sa.Connection,
    sight: LookupContext,
    memory: Remembered,
) -> Iterator[Source]:
    """Records as evaluations see them, what they look at in memory."""
    read = structs.replace(sight, typed=_own_reader(run, mapping)).read
    for part in batches(records, AT_ONCE):
        sources = [read(item) for item in part]
        look_ahead(connection, memory, mapping, sources, sight)
        yield from sources


def _own_reader(run: Run, mapping: ObjectMapping) -> Reader:
    """How an object's own records are read: those of their fields that it looks at."""
    paths = (path for path in paths_read(mapping) if not path.startswith("$"))
    heads = {str(segments(path)[0]) for path in paths}
    return reader_of(run.migration.source, heads)


def _batches(
    run: Run, mapping: ObjectMapping, only: frozenset[str] | None
) -> Any:
    """An object's records; small ordered sets are sorted in memory, the rest streams."""
    if not mapping.order:
        for name in mapping.sources:
            yield from stream(run.store, name, only)
        return
    everything: list[Record] = [
        record
        for name in mapping.sources
        for batch in stream(run.store, name)
        for record in batch
    ]
    yield sorted(
        everything,
        key=lambda record: (
            str(record.body.get(mapping.order) or "").zfill(12),
            record.seq,
        ),
    )


def as_draft(
    mapping: ObjectMapping, projection: Evaluation, position: int
) -> Draft:
    """An evaluation as it is kept."""
    body = projection.body
    return Draft(
        mapping.name,
        projection.key,
        projection.record,
        body,
        digest(body),
        projection.state,
        projection.reason,
        position,
    )


def kinds_of(
    migration: Migration, mapping: ObjectMapping
) -> dict[str, FieldType]:
    """The types of the destination fields that an object fills, custom ones among them, by which
    values may be refused.
    """
    resource = migration.destination.resources[mapping.resource]
    custom = {
        f"custom.{name}": structs.replace(custom_kind(item), one_of=())
        for (of, name), item in migration.spec.custom_fields.items()
        if of == resource.name
    }
    known = {**resource.fields, **custom}
    return {
        name: known[name]
        for name in mapping.fields
        if name in known and is_picky(known[name])
    }


def judged(
    kinds: Mapping[str, FieldType], projection: Evaluation
) -> Evaluation:
    """An evaluation that the destination is known to refuse has failed."""
    if projection.state == "ready" and (
        reason := _refusal(kinds, projection.body)
    ):
        return structs.replace(projection, state="failed", reason=reason)
    return projection


def _refusal(kinds: Mapping[str, FieldType], body: Row) -> str:
    """What the destination is known to refuse: required fields left empty, values that no field
    of their type takes.
    """
    for name, kind in kinds.items():
        value = body.get(name)
        if value is None:
            if kind.required and kind.writable:
                return f"{name}: the destination needs it and the record has nothing for it"
        elif why := refusal(value, kind):
            return f"{name}: {why}"
        elif why := _lonely(kind, body):
            return f"{name}: the destination takes it only {why}"
    return ""


def _lonely(kind: FieldType, body: Row) -> str:
    """What a field needs beside it that a body has not; "" where it has all."""
    for other in kind.requires:
        if other not in body:
            return f"together with {other}"
    for other, wanted in kind.only_with.items():
        values = as_list(wanted)
        if body.get(other) not in values:
            return (
                f"with {other} {' or '.join(map(str, values))}, and here it is"
                f" {body.get(other, 'not given')}"
            )
    return ""


def findings(mapping: ObjectMapping, projection: Evaluation) -> list[Finding]:
    """What people must know about one projection."""
    notes = [*projection.notes]
    if projection.state != "ready":
        notes.append(Note("", f"{projection.state}: {projection.reason}"))
    return [
        Finding(
            mapping.name,
            projection.key,
            STAGE,
            note.field,
            note.severity,
            note.text,
        )
        for note in notes
    ]
