"""Source beside destination: every mapped field of a record and what the destination now holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import Resource
from engine.connector.titles import first_word
from engine.destination.compare import UNKNOWN, FieldView, holds_wanted
from engine.destination.equality import is_same
from engine.destination.resolve import Resolved, resolve
from engine.destination.rows import (
    Definitions,
    Row,
    RowCodec,
    codec_of,
    load_definitions,
)
from engine.destination.written import bodies_written
from engine.extract.records import recent, rows_now
from engine.language.dependencies import paths_read
from engine.language.model import ObjectMapping
from engine.load.outcomes import note_live, report_held
from engine.load.reconcile import MARGIN
from engine.mapping.draft import Remembered, judged, sight_on
from engine.mapping.evaluate import Evaluation, Provenance, Source, evaluate
from engine.plan.diff import rows_as_linked
from engine.session import Run
from engine.store.journal import attempted, failures
from engine.store.links import (
    Draft,
    Link,
    clear_field_findings,
    clear_verified,
    draft_states,
    first_written,
    links_of,
    links_to_rows,
    mark_verified,
    save_link,
    stream_links,
    unverified_drafts,
)
from engine.store.records import Record, many, sample
from engine.values import as_file, canonical, digest, is_empty, leaves, segments, word

AGAIN = 200  # rows of a resource that are read once more because a list may lag
CHANGED_SINCE = "the mapping has changed since; the next run brings it over"


class FieldState(msgspec.Struct, frozen=True):
    """One mapped field of one record.

    `state` is equal, transformed, looked_up, defaulted, stored_as (all of them: arrived, the last
    in the form that the destination gave it), dropped (the mapping left it out), lost (wanted, but
    the destination holds something else) or empty.
    """

    target: str
    label: str
    state: str
    sources: tuple[tuple[str, Any], ...]
    steps: tuple[str, ...]
    wanted: Any
    live: Any
    reason: str = ""


class Comparison(msgspec.Struct, frozen=True):
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
    money: tuple[FieldState, FieldState] | None = None  # amount and currency


# whether an object's record of this key is to be judged
Judged = Callable[[str, str], bool]


def everything(_object: str, _key: str) -> bool:
    """Every record is judged."""
    return True


def records_of(keys: frozenset[str]) -> Judged:
    """All that these source records became is judged."""
    return lambda _, key: key.partition("#")[0] in keys


def writes_of(pairs: frozenset[tuple[str, str]]) -> Judged:
    """Just what was written, by object and key, is judged."""
    return lambda name, key: (name, key) in pairs


def compare(
    run: Run,
    objects: Sequence[ObjectMapping],
    judged: Judged = everything,
    since: float | None = None,
    only_written: bool = False,
) -> Iterator[Comparison]:
    """Read the destination back, in list pages, and compare it with what was written.

    Every resource is read once, however many objects write to it. Rows that are linked and that no
    page has shown are read by their ids before they are called missing: lists may lag, and do not
    show rows that have not changed since. Memory stays flat: what was seen is marked in the store.
    With `only_written`, drafts that no run has tried to write are passed over: a plan made them.
    """
    with run.store.begin() as connection:
        clear_verified(connection)
        known = load_definitions(connection, run.migration.destination)
        touched, whys = touched_fields(objects), sample(connection)
        bench = _Context(run, known, touched, whys, judged, only_written)

    by_resource: dict[str, dict[str, ObjectMapping]] = {}
    for mapping in objects:
        by_resource.setdefault(mapping.resource, {})[mapping.name] = mapping
    for position, (name, mappings) in enumerate(by_resource.items()):
        run.progress("reading the destination back", position, len(by_resource))
        for rows in _pages(run, run.migration.destination.resources[name], since):
            yield from _seen(bench, name, mappings, rows)

    for mapping in objects:
        for batch in unverified_drafts(run.store, mapping.name):
            drafts = [draft for draft in batch if judged(mapping.name, draft.key)]
            yield from _unseen(bench, mapping, drafts)
    run.progress("reading the destination back", len(by_resource), len(by_resource))


@dataclass(frozen=True, slots=True)
class _Context:
    """What every comparison needs besides its record."""

    run: Run
    known: Definitions
    touched: Mapping[str, set[str]]
    whys: Mapping[str, str]
    judged: Judged
    only_written: bool
    # rows of each resource read once more
    read: dict[str, int] = field(default_factory=dict)
    memory: Remembered = field(default_factory=Remembered)
    # of a page: rows with the fingerprint of their answer
    unedited: set[tuple[str, str]] = field(default_factory=set)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    # collection -> field -> whether it is left behind
    settled: dict[str, dict[str, bool]] = field(default_factory=dict)

    def label(self, resource: str, target: str) -> str:
        """A destination field as people know it."""
        if (resource, target) not in self.labels:
            self.labels[resource, target] = self.run.spec.label(resource, target)
        return self.labels[resource, target]

    def codec(self, resource: str) -> RowCodec:
        return codec_of(self.run.migration.destination, resource, self.known)


class _Pair(msgspec.Struct, frozen=True):
    """A draft's object and key, its link and its row in the destination."""

    mapping: ObjectMapping
    key: str
    link: Link | None
    row: Row | None

    @property
    def record(self) -> str:
        return self.key.partition("#")[0]


def _seen(
    bench: _Context,
    resource: str,
    objects: Mapping[str, ObjectMapping],
    rows: Sequence[Row],
) -> Iterator[Comparison]:
    """The comparisons of one page of destination rows; rows that are not ours are passed over."""
    kind = bench.run.migration.destination.resources[resource]
    live = {kind.id_of(row): row for row in rows}
    with bench.run.store.begin() as connection:
        found = links_to_rows(connection, resource, list(live))
    live |= _fresh(bench, resource, live, found)
    with bench.run.store.begin() as connection:
        links = [
            link
            for linked in found.values()
            for link in linked
            if link.object in objects and bench.judged(link.object, link.key)
        ]
        mark_verified(connection, [(link.object, link.key) for link in links])
        pairs = [
            _Pair(objects[link.object], link.key, link, live[link.dest_id])
            for link in links
        ]
        made = list(_side_by_side(bench, connection, pairs))
    yield from made


def _fresh(
    bench: _Context,
    resource: str,
    live: Mapping[str, Row],
    found: Mapping[str, list[Link]],
) -> dict[str, Row]:
    """Rows that this run wrote and a list shows otherwise than the answer did, read by their
    ids.

    Lists may lag behind. So many are read and no more, for a platform may always show rows
    otherwise.
    """
    run, codec = bench.run, bench.codec(resource)
    bench.unedited.clear()
    if "read" not in codec.resource.operations:
        return {}
    stale = []
    for row_id, links in found.items():
        if any(_is_stale(run, codec, link, live[row_id]) for link in links):
            stale.append(row_id)
        else:
            bench.unedited.update(
                (link.object, link.key)
                for link in links
                if link.run == run.id and "seen" in link.extra
            )
    room = max(0, AGAIN - bench.read.get(resource, 0))
    bench.read[resource] = bench.read.get(resource, 0) + len(stale[:room])
    rows = {row_id: run.destination.read(resource, row_id) for row_id in stale[:room]}
    return {row_id: row for row_id, row in rows.items() if row is not None}


def _is_stale(run: Run, codec: RowCodec, link: Link, row: Row) -> bool:
    seen = link.extra.get("seen")
    return link.run == run.id and seen is not None and not codec.is_unchanged(seen, row)


def _unseen(
    bench: _Context, mapping: ObjectMapping, drafts: Sequence[Draft]
) -> Iterator[Comparison]:
    """The comparisons of drafts that no page has shown a row for."""
    if not drafts:
        return
    with bench.run.store.begin() as connection:
        failed = failures(connection, mapping.name)
        links = links_of(connection, mapping.name, [draft.key for draft in drafts])
        if bench.only_written:
            tried = attempted(connection, mapping.name, [draft.key for draft in drafts])
            drafts = [
                d
                for d in drafts
                if d.key in tried or d.key in links or d.state != "ready"
            ]
    rows = _second_look(bench, mapping, list(links.values()))

    pairs = []
    for draft in drafts:
        link = links.get(draft.key)
        pairs.append(
            _Pair(mapping, draft.key, link, rows.get(link.dest_id) if link else None)
        )
    with bench.run.store.begin() as connection:
        found = list(_side_by_side(bench, connection, pairs))
    for row in found:
        lost = row.state == "missing" and row.key in failed
        yield (
            structs.replace(row, state="failed", reason=failed[row.key].reason)
            if lost
            else row
        )


def _second_look(
    bench: _Context, mapping: ObjectMapping, links: Sequence[Link]
) -> Mapping[str, Row]:
    """Linked rows that no page has shown, by id: read by their ids, or in a list a little later."""
    if not links:
        return {}
    run, resource = bench.run, run_resource(bench.run, mapping)
    listing = resource.operations["list"]
    if "read" in resource.operations or listing.ids or listing.parent:
        with run.store.begin() as connection:
            bodies = bodies_written(run, connection, bench.codec(resource.name), links)
        return rows_now(run.destination, resource, bodies)

    run.clock.sleep(run.destination.connector.connection.settle_after)
    wanted = {link.dest_id for link in links}
    pages = run.destination.pages(resource.name)
    rows = ((resource.id_of(row), row) for page in pages for row in page.rows)
    return {row_id: row for row_id, row in rows if row_id in wanted}


def run_resource(run: Run, mapping: ObjectMapping) -> Resource:
    """The resource that an object is written to."""
    return run.migration.destination.resources[mapping.resource]


def _side_by_side(
    bench: _Context, connection: sa.Connection, pairs: Sequence[_Pair]
) -> Iterator[Comparison]:
    """The comparisons of those pairs whose record is still there and still makes this draft."""
    run = bench.run
    records = many(connection, list({pair.record for pair in pairs}))
    drafted = _drafted(connection, pairs)
    sight = sight_on(run, connection, memory=bench.memory)
    for pair in pairs:
        record = records.get(pair.record)
        if record is None:
            continue
        made = evaluate(
            pair.mapping, Source(record.collection, record.key, record.body), sight
        )
        projection = next((item for item in made if item.key == pair.key), None)
        if projection is not None:
            projection = judged(
                run_resource(run, pair.mapping), pair.mapping, projection
            )
        if projection is None and (pair.mapping.name, pair.key) in drafted:
            projection = _as_linked(pair)
        if projection is not None:
            yield _one(bench, connection, pair, record, projection)


def _drafted(connection: sa.Connection, pairs: Sequence[_Pair]) -> set[tuple[str, str]]:
    """The pairs whose draft was made by the last run, whatever the mapping would make now."""
    keys: dict[str, list[str]] = {}
    for pair in pairs:
        keys.setdefault(pair.mapping.name, []).append(pair.key)
    return {
        (name, key)
        for name, some in keys.items()
        for key in draft_states(connection, name, some)
    }


def _as_linked(pair: _Pair) -> Evaluation | None:
    """What was written of a record that a mapping edited since would leave out."""
    if pair.link is None:
        return None
    written = pair.link.written
    traces = tuple(
        Provenance(target, "transformed", (), (), value, CHANGED_SINCE)
        for target, value in written.items()
    )
    return Evaluation(pair.key, pair.record, written, "ready", "", traces, ())


def _pages(
    run: Run, resource: Resource, since: float | None
) -> Iterator[Sequence[Row]]:
    """Rows of a resource changed since a moment, or since our oldest write to it, page by page."""
    with run.store.begin() as connection:
        oldest = first_written(connection, resource.name)
    if oldest is None:
        return
    if resource.operations["list"].ids_of:
        yield from _by_parents(run, resource)
    else:
        yield from recent(run.destination, resource, max(since or 0.0, oldest) - MARGIN)


def _by_parents(run: Run, resource: Resource) -> Iterator[Sequence[Row]]:
    """Rows that can only be listed under their parents, many parents a call."""
    operation = resource.operations["list"]
    for target in resource.fields[operation.ids_of].to:
        for mapping in run.spec.active():
            if mapping.resource != target:
                continue
            for batch in stream_links(run.store, mapping.name, operation.ids_max):
                ids = [link.dest_id for link in batch]
                yield list(run.destination.by_ids(resource.name, ids))


# -- one record


class _Side(msgspec.Struct, frozen=True):
    """One record: what was written, in our words and as it travels, and what the row holds."""

    codec: RowCodec
    resolved: Resolved
    link: Link | None
    row: Row | None


def _one(
    bench: _Context,
    connection: sa.Connection,
    pair: _Pair,
    record: Record,
    projection: Evaluation,
) -> Comparison:
    mapping, link, row = pair.mapping, pair.link, pair.row
    codec = bench.codec(mapping.resource)
    projection, resolved = _as_written(bench, connection, pair, projection)
    if link is not None and row is not None:
        link = _learn(bench, connection, codec, link, resolved, row)

    side = _Side(codec, resolved, link, row)
    fields = tuple(
        [field_state(bench, mapping, trace, side) for trace in projection.traces]
    )
    state, reason = _record_state(projection, resolved, link, row)
    source = bench.run.migration.source
    read = source.resources[record.collection]
    return Comparison(
        mapping.name,
        mapping.label,
        projection.key,
        record.key,
        mapping.resource,
        link.dest_id if link else "",
        state,
        reason,
        fields,
        _unmapped(bench, record, read, source.said_by),
        bench.whys.get(record.key, ""),
        first_word(projection.body, codec.resource.called)
        or first_word(record.body, read.called),
        link.extra if link and link.extra.get("sha256") else None,
        _money(codec.resource, fields),
    )


def _as_written(
    bench: _Context, connection: sa.Connection, pair: _Pair, projection: Evaluation
) -> tuple[Evaluation, Resolved]:
    """What is judged: the draft that was written, not what a mapping edited since would make."""
    link, mapping = pair.link, pair.mapping
    codec = bench.codec(mapping.resource)
    bodies = [projection.body, link.written if link else {}]
    drafts = [Draft(mapping.name, pair.key, pair.record, body, "") for body in bodies]
    ids = rows_as_linked(bench.run, connection, drafts)
    made = partial(resolve, mapping=mapping, spec=bench.run.spec, codec=codec, ids=ids)
    resolved = made(projection.body)
    if link is None or link.digest in ("", digest(resolved.effective)):
        return projection, resolved

    traces = tuple(
        _trace_as_written(trace, link.written) for trace in projection.traces
    )
    return replace(projection, traces=traces, body=link.written), made(link.written)


def _trace_as_written(trace: Provenance, written: Mapping[str, Any]) -> Provenance:
    """How a field came about, where what was written differs from what is mapped now."""
    value = written.get(trace.target)
    if canonical(value) == canonical(trace.value):
        return trace
    how = "empty" if value is None else "transformed"
    return replace(trace, how=how, value=value, reason=CHANGED_SINCE)


def _learn(
    bench: _Context,
    connection: sa.Connection,
    codec: RowCodec,
    link: Link,
    resolved: Resolved,
    row: Row,
) -> Link:
    """What a reading shows of a row: its first fingerprint, and what is as wanted by now."""
    stored, held, extra = dict(link.stored), dict(link.held), dict(link.extra)
    seen = extra.get("seen")
    if link.origin == "created" and seen is None:
        # The answer to our write has not shown the row: this reading does.
        extra["seen"] = codec.fingerprint(row)
        _note_all(codec, resolved, row, stored, held)
    elif seen is not None and (
        (link.object, link.key) in bench.unedited or codec.is_unchanged(seen, row)
    ):
        # Nobody has edited the row: whatever it holds is what the platform made of our values.
        _note_all(codec, resolved, row, stored, held)
    elif link.run == bench.run.id and "touched" not in extra:
        _tidied_later(codec, resolved, row, stored, extra)

    for target in list(held):
        wanted, live = codec.get(resolved.body, target), codec.get(row, target)
        if codec.equal(target, wanted, live):
            del held[target]
            clear_field_findings(connection, link.object, link.key, target)

    learnt = structs.replace(link, stored=stored, held=held, extra=extra)
    if learnt != link:
        save_link(connection, learnt)
        if learnt.held.keys() - link.held.keys():
            report_held(connection, learnt)
    return learnt


def _note_all(
    codec: RowCodec,
    resolved: Resolved,
    row: Row,
    stored: dict[str, Any],
    held: dict[str, Any],
) -> None:
    """What a row that nobody has edited holds in place of what was sent."""
    for target in resolved.effective:
        sent, live = codec.get(resolved.body, target), codec.get(row, target)
        if is_same(sent, live) and target not in stored:
            continue
        if not (is_empty(sent) or as_file(sent) or target in held):
            note_live(codec, target, sent, live, stored, held)


def _tidied_later(
    codec: RowCodec,
    resolved: Resolved,
    row: Row,
    stored: dict[str, Any],
    extra: dict[str, Any],
) -> None:
    """Values that the platform tidied only after it had answered with them as they were sent."""
    found = {}
    for target in resolved.effective:
        wanted, live = codec.get(resolved.body, target), codec.get(row, target)
        if as_file(wanted) or target in stored or codec.equal(target, wanted, live):
            continue
        if codec.alike(target, wanted, live):
            found[target] = live
    if found:
        stored |= found
        extra["seen"] = codec.fingerprint(row)


def _record_state(
    projection: Evaluation, resolved: Resolved, link: Link | None, row: Row | None
) -> tuple[str, str]:
    if row is not None:
        return "arrived", ""
    if projection.state != "ready":
        return projection.state, projection.reason
    if link is not None:
        return "missing", "it is not in the destination"
    if resolved.skipped:
        return "skipped", resolved.skipped
    if resolved.refused:
        return "failed", resolved.refused
    return "missing", "it was not written"


def field_state(
    bench: _Context, mapping: ObjectMapping, trace: Provenance, side: _Side
) -> FieldState:
    """One field's state from its story and from what the destination holds."""
    codec, target = side.codec, trace.target
    label = bench.label(mapping.resource, target)
    wanted = codec.get(side.resolved.body, target)
    live = codec.get(side.row, target) if side.row is not None else None
    state, reason = (
        ("defaulted" if trace.how == "constant" else trace.how),
        trace.reason,
    )
    missing = dict(side.resolved.missing) if side.resolved.missing else {}

    file = codec.resource.file
    if is_same(wanted, live) and target not in missing:
        pass  # it arrived as it was sent, as nearly always
    elif as_file(wanted) and file:
        row = side.row
        live = {"name": row.get(file[1]), "size": row.get(file[2])} if row else None
        state = _file_state(live, wanted, side.link)
    elif target in missing:
        state, reason = "lost", missing[target]
    else:
        state, reason = _arrived(side, target, wanted, live, (state, reason))
    shown = _shown(trace.value, wanted)
    return FieldState(
        target, label, state, trace.sources, trace.steps, shown, live, reason
    )


def _arrived(
    side: _Side, target: str, wanted: Any, live: Any, told: tuple[str, str]
) -> tuple[str, str]:
    """The state of a plain field, `told` being that of one that arrived as it was sent."""
    held = side.link.held.get(target, {}) if side.link else {}
    if is_empty(wanted) and not (held and not is_empty(live)):
        return told
    if side.row is None:
        return "lost", "the record did not arrive"

    same = partial(side.codec.equal, target)
    if same(wanted, live):
        return told
    stored = side.link.stored.get(target, UNKNOWN) if side.link else UNKNOWN
    view = FieldView(wanted, stored, live, wanted)
    if holds_wanted(view, same) and side.codec.alike(target, wanted, live):
        return "stored_as", f"the destination stores it as {text_of(live)[:80]}"
    return "lost", _why_lost(held, view, same)


def _why_lost(
    held: Mapping[str, Any], view: FieldView, same: Callable[[Any, Any], bool]
) -> str:
    if held.get("why") == "stuck":
        return "emptied in the source; the destination cannot empty this field"
    if held.get("why") == "conflict":
        return "people changed it; kept"
    if is_empty(view.live):
        return "the destination holds nothing"
    if holds_wanted(view, same):
        return "the destination made something else of it"
    return "the destination holds something else"


def _shown(symbolic: Any, wire: Any) -> Any:
    """A wanted value for people: labels instead of option ids, ids only where there is nothing
    better.
    """
    return (
        symbolic
        if symbolic is not None and not isinstance(symbolic, dict | list)
        else wire
    )


def _file_state(live: Any, wanted: Any, link: Link | None) -> str:
    size = link.extra.get("size") if link else None
    described = as_file(wanted) or {}
    good = (
        live is not None
        and live["name"] == described.get("name")
        and (size is None or live["size"] == size)
    )
    return "transformed" if good else "lost"


def _money(
    kind: Resource, fields: Sequence[FieldState]
) -> tuple[FieldState, FieldState] | None:
    """The amount and the currency of a record, where its resource has both and both are mapped."""
    found = {item.target: item for item in fields}
    amount, currency = (found.get(name) for name in kind.money or ("", ""))
    return (amount, currency) if amount and currency else None


# -- what no mapping touches


def touched_fields(objects: Sequence[ObjectMapping]) -> dict[str, set[str]]:
    """Top-level source fields that any object reads or says why it ignores, by collection."""
    found: dict[str, set[str]] = {}
    for mapping in objects:
        heads = {
            str(segments(path)[0])
            for path in paths_read(mapping)
            if not path.startswith("$")
        } - mapping.beside
        for name in mapping.sources:
            found.setdefault(name, set()).update(heads, mapping.ignore)
    return found


def unmapped_fields(
    body: Mapping[str, Any],
    touched: set[str],
    kind: Resource,
    said_by: Callable[[str], Iterable[str]],
) -> tuple[tuple[str, Any], ...]:
    """Filled source fields that no mapping reads and none says why it leaves behind.

    A row's own id and its life sign are used by the engine itself; a field whose whole content
    another one that is read says as well is not left behind.
    """
    known = touched | {kind.own_field, kind.deleted}
    found = []
    for name, value in body.items():
        if name in known or not known.isdisjoint(said_by(name)) or is_empty(value):
            continue
        if all(is_empty(leaf) for _, leaf in leaves(value)):
            continue
        found.append((name, value))
    return tuple(found)


def _unmapped(
    bench: _Context,
    record: Record,
    kind: Resource,
    said_by: Callable[[str], Iterable[str]],
) -> tuple[tuple[str, Any], ...]:
    """The same for a record of a comparison; a field of a collection is asked about once."""
    touched = bench.touched.get(record.collection, set())
    settled = bench.settled.setdefault(record.collection, {})
    known = None
    for name in record.body:
        if name not in settled:
            known = known or touched | {kind.own_field, kind.deleted}
            settled[name] = name not in known and known.isdisjoint(said_by(name))
    left = {name: value for name, value in record.body.items() if settled[name]}
    return unmapped_fields(left, touched, kind, said_by) if left else ()


def text_of(value: Any) -> str:
    """A value as a table cell shows it."""
    return canonical(value) if isinstance(value, dict | list) else word(value)
