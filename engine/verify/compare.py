"""Source beside destination: every record with what the destination now holds of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import Resource
from engine.connector.titles import first_word
from engine.destination.edits import changed_fields
from engine.destination.resolve import Ids, Resolved, resolve
from engine.destination.rows import (
    Definitions,
    Row,
    RowCodec,
    codec_of,
    load_definitions,
)
from engine.destination.written import bodies_written
from engine.extract.records import can_look, recent, rows_now
from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping
from engine.load.reconcile import MARGIN, check_unconfirmed
from engine.mapping.draft import Remembered, judged, kinds_of, sight_on
from engine.mapping.evaluate import Evaluation, Provenance, Source, evaluate
from engine.plan.diff import Symbol, rows_as_linked
from engine.plan.merges import follow_merges, merged_text
from engine.session import Run
from engine.store.changes import left_out, unverified
from engine.store.journal import attempted, failures
from engine.store.links import (
    MERGED,
    Draft,
    Link,
    clear_verified,
    draft_states,
    first_written,
    links_of,
    links_to_rows,
    mark_verified,
    seen_of,
    stream_links,
)
from engine.store.records import Record, many, sample
from engine.values import (
    canonical,
    digest,
    grouped,
    is_empty,
    without,
)
from engine.verify.fields import (
    FieldState,
    Side,
    field_states,
    money_of,
    side_of,
)
from engine.verify.learn import Sight, learn
from engine.verify.unmapped import UnmappedFields, touched_fields

AGAIN = 200  # rows of a resource that are read once more because a list may lag
MISSING = "it is not in the destination any more, and is not made again: restore it there"
CHANGED_SINCE = "what is wanted has changed since; the next run sends it"


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
    With `only_written`, drafts that no run has tried to write or left out are passed over: a plan
    made them.
    """
    with run.store.begin() as connection:
        clear_verified(connection)
        known = load_definitions(connection)
        unmapped = UnmappedFields(touched_fields(objects))
        whys = sample(connection)
        bench = _Context(run, known, unmapped, whys, judged, only_written)

    by_resource: dict[str, dict[str, ObjectMapping]] = {}
    for mapping in objects:
        by_resource.setdefault(mapping.resource, {})[mapping.name] = mapping
    order = _parents_first(run, by_resource)
    for name in run.each("reading the destination back", order):
        mappings = by_resource[name]
        for rows in _pages(run, run.resource(name), since):
            yield from _seen(bench, name, mappings, rows)
        check_unconfirmed(run, name)

        for mapping in mappings.values():
            for keys in unverified(run.store, mapping.name):
                yield from _unseen(bench, mapping, keys)


def _parents_first(
    run: Run, by_resource: Mapping[str, Mapping[str, ObjectMapping]]
) -> list[str]:
    """The resources, those before others that these refer to: which row stands for a record now is
    known before what refers to it is judged.
    """
    order: dict[str, None] = {}
    begun: set[str] = set()
    resources = {item.name: item.resource for item in run.spec.active()}

    def visit(name: str) -> None:
        if name in begun or name not in by_resource:
            return
        begun.add(name)
        for mapping in by_resource[name].values():
            for lookup in lookups(mapping):
                for target in lookup.objects:
                    visit(resources.get(target, ""))
        order[name] = None

    for name in by_resource:
        visit(name)
    return list(order)


class _Context(msgspec.Struct, frozen=True):
    """What every comparison needs besides its record."""

    run: Run
    known: Definitions
    unmapped: UnmappedFields
    whys: Mapping[str, str]
    judged: Judged
    only_written: bool
    # rows of each resource read once more
    read: dict[str, int] = {}
    # rows without a link to the record whose key they carry, by that record
    carriers: dict[Symbol, str] = {}
    memory: Remembered = msgspec.field(default_factory=Remembered)
    labels: dict[str, dict[str, str]] = {}
    codecs: dict[str, RowCodec] = {}

    def label(self, resource: str) -> Callable[[str], str]:
        """What people call the fields of a resource."""
        known = self.labels.setdefault(resource, {})

        def label(target: str) -> str:
            if target not in known:
                known[target] = self.run.spec.label(resource, target)
            return known[target]

        return label

    def codec(self, resource: str) -> RowCodec:
        """How the rows of a resource are read."""
        if resource not in self.codecs:
            connector = self.run.migration.destination
            self.codecs[resource] = codec_of(connector, resource, self.known)
        return self.codecs[resource]


class _Pair(msgspec.Struct, frozen=True):
    """A draft's object and key, its link and its row in the destination."""

    mapping: ObjectMapping
    key: str
    link: Link | None
    row: Row | None

    @property
    def record(self) -> str:
        """The key of the record that it was made of."""
        return self.key.partition("#")[0]


class _Case(msgspec.Struct, frozen=True):
    """A pair with its record, and what was made of that."""

    pair: _Pair
    record: Record
    projection: Evaluation
    side: Side
    sight: Sight = "listed"


def _seen(
    bench: _Context,
    resource: str,
    objects: Mapping[str, ObjectMapping],
    rows: Sequence[Row],
) -> Iterator[Comparison]:
    """The comparisons of one page of destination rows; rows that are not ours are passed over."""
    kind = bench.run.resource(resource)
    live = {kind.id_of(row): row for row in rows}
    with bench.run.store.begin() as connection:
        linked = links_to_rows(connection, resource, list(live))
        strangers = without(live, linked)
        _note_carriers(bench, objects.values(), list(strangers.values()))
        links = [
            link
            for some in linked.values()
            for link in some
            if link.object in objects and bench.judged(link.object, link.key)
        ]
        links = _not_compared(connection, links)
        mark_verified(connection, [(link.object, link.key) for link in links])
        pairs = [
            _Pair(objects[link.object], link.key, link, live[link.dest_id])
            for link in links
        ]
        cases = _cases(bench, connection, pairs)
    cases = _fresh(bench, resource, cases)
    with bench.run.store.begin() as connection:
        made = [_one(bench, connection, case) for case in cases]
    yield from made


def _note_carriers(
    bench: _Context, objects: Iterable[ObjectMapping], rows: Sequence[Row]
) -> None:
    """Note which rows carry our keys: one that was merged may have left its key to another."""
    for mapping in objects:
        if mapping.key_field:
            codec = bench.codec(mapping.resource)
            for row in rows:
                key = codec.get(row, mapping.key_field)
                place = (mapping.name, str(key))
                row_id = codec.resource.id_of(row)
                if not is_empty(key):
                    known = bench.carriers.setdefault(place, row_id)
                    # of several that carry one key none is the one
                    bench.carriers[place] = row_id if known == row_id else ""


def _not_compared(
    connection: sa.Connection, links: Sequence[Link]
) -> list[Link]:
    """Those that no page before has shown: a list may show a row twice, as rows move."""
    keys = grouped((link.object, link.key) for link in links)
    compared = {
        name: seen_of(connection, name, some) for name, some in keys.items()
    }
    return [link for link in links if link.key not in compared[link.object]]


def _fresh(
    bench: _Context, resource: str, cases: Sequence[_Case]
) -> list[_Case]:
    """The cases, with rows that this run wrote and a list shows otherwise than the answer did
    read by their ids.

    Lists may lag behind. So many are read and no more, for a platform may always show rows
    otherwise.
    """
    run, codec = bench.run, bench.codec(resource)
    if "read" not in codec.resource.operations:
        return list(cases)

    fresh: dict[str, Row | None] = {}

    def looked_at(case: _Case) -> _Case:
        link, row = case.side.link, case.side.row
        if link is None or row is None or case.side.is_intact:
            return case
        seen = link.extra.get("seen")
        if seen is None or link.run != run.id:
            return case
        if codec.is_unchanged(seen, row):
            return structs.replace(case, sight="unedited")

        row_id, reads = link.dest_id, bench.read.get(resource, 0)
        if row_id not in fresh and reads < AGAIN:
            bench.read[resource] = reads + 1
            fresh[row_id] = run.destination.read(resource, row_id)
        now = fresh.get(row_id)
        side = side_of(codec, case.side.resolved, link, now or row)
        sight: Sight = "read" if now else "listed"
        return structs.replace(case, side=side, sight=sight)

    return list(map(looked_at, cases))


def _unseen(
    bench: _Context, mapping: ObjectMapping, unseen: Sequence[str]
) -> Iterator[Comparison]:
    """The comparisons of records that no page has shown a row for, by key."""
    keys = [key for key in unseen if bench.judged(mapping.name, key)]
    if not keys:
        return
    with bench.run.store.begin() as connection:
        place = (connection, mapping.name, keys)
        failed = failures(connection, mapping.name)
        links = links_of(*place)
        if bench.only_written:
            known = attempted(*place) | left_out(*place) | links.keys()
            keys = [key for key in keys if key in known]
    rows = _found_since(bench, mapping, links)

    pairs = []
    for key in keys:
        link = links.get(key)
        row = rows.get(link.dest_id) if link else None
        pairs.append(_Pair(mapping, key, link, row))
    with bench.run.store.begin() as connection:
        cases = _cases(bench, connection, pairs)
        found = [_one(bench, connection, case) for case in cases]
    for one in found:
        if one.state == "missing" and one.key in failed:
            reason = failed[one.key].reason
            one = structs.replace(one, state="failed", reason=reason)
        yield one


def _found_since(
    bench: _Context, mapping: ObjectMapping, links: dict[str, Link]
) -> dict[str, Row]:
    """The rows of links by a second look, by id; links to rows that people merged are corrected."""
    rows = _second_look(bench, mapping, list(links.values()))
    gone = [link for link in links.values() if link.dest_id not in rows]
    for moved, row in follow_merges(bench.run, gone, bench.carriers).values():
        links[moved.key] = moved
        rows[moved.dest_id] = row
    return rows


def _second_look(
    bench: _Context, mapping: ObjectMapping, links: Sequence[Link]
) -> dict[str, Row]:
    """Linked rows that no page has shown, by id: read by their ids, or in a list a little later."""
    if not links:
        return {}
    run, resource = bench.run, bench.run.resource(mapping.resource)
    if can_look(resource):
        with run.store.begin() as connection:
            bodies = bodies_written(
                run, connection, bench.codec(resource.name), links
            )
        return dict(rows_now(run.destination, resource, bodies))

    run.clock.sleep(run.destination.connector.connection.reconcile_after)
    wanted = {link.dest_id for link in links}
    pages = run.destination.pages(resource.name)
    rows = ((resource.id_of(row), row) for page in pages for row in page.rows)
    return {row_id: row for row_id, row in rows if row_id in wanted}


def _cases(
    bench: _Context, connection: sa.Connection, pairs: Sequence[_Pair]
) -> list[_Case]:
    """The cases of those pairs whose record is still there and still makes this draft."""
    run = bench.run
    records = many(connection, list({pair.record for pair in pairs}))
    sight = sight_on(run, connection, memory=bench.memory)
    found = []
    for pair in pairs:
        record = records.get(pair.record)
        if record is None:
            continue
        source = Source(record.collection, record.key, record.body)
        made = evaluate(pair.mapping, source, sight)
        projection = next((item for item in made if item.key == pair.key), None)
        if projection is not None:
            kinds = bench.memory.get_or(
                ("kinds", pair.mapping.name),
                partial(kinds_of, run.migration, pair.mapping),
            )
            projection = judged(kinds, projection)
        elif draft_states(connection, pair.mapping.name, [pair.key]):
            projection = _as_linked(pair)
        if projection is not None:
            found.append((pair, record, projection))

    bodies = [_as_draft(pair, projection.body) for pair, _, projection in found]
    ids = rows_as_linked(run, connection, bodies)
    return [_case(bench, connection, ids, *one) for one in found]


def _as_draft(pair: _Pair, body: dict[str, Any]) -> Draft:
    return Draft(pair.mapping.name, pair.key, pair.record, body, "")


def _as_linked(pair: _Pair) -> Evaluation | None:
    """What was written of a record that a mapping edited since would leave out, though the last run
    made its draft.
    """
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
        yield from recent(
            run.destination, resource, max(since or 0.0, oldest) - MARGIN
        )


def _by_parents(run: Run, resource: Resource) -> Iterator[Sequence[Row]]:
    """Rows that can only be listed under their parents, many parents a call."""
    operation = resource.operations["list"]
    for target in resource.fields[operation.ids_of].to:
        for mapping in run.spec.active():
            if mapping.resource != target:
                continue
            for batch in stream_links(
                run.store, mapping.name, operation.ids_max
            ):
                ids = [link.dest_id for link in batch]
                yield list(run.destination.by_ids(resource.name, ids))


# -- one record


def _case(
    bench: _Context,
    connection: sa.Connection,
    ids: Ids,
    pair: _Pair,
    record: Record,
    projection: Evaluation,
) -> _Case:
    """What is judged: the draft that was written, not what a mapping edited since would make."""
    link, mapping, spec = pair.link, pair.mapping, bench.run.spec
    codec = bench.codec(mapping.resource)
    resolved = resolve(projection.body, mapping, spec, codec, ids)
    if link is not None and link.digest not in ("", digest(resolved.effective)):
        written = _as_draft(pair, link.written)
        ids = rows_as_linked(bench.run, connection, [written])
        resolved = resolve(link.written, mapping, spec, codec, ids)
        traces = tuple(
            _trace_as_written(trace, link.written)
            for trace in projection.traces
        )
        projection = structs.replace(
            projection, traces=traces, body=link.written
        )
    side = side_of(codec, resolved, link, pair.row)
    return _Case(pair, record, projection, side)


def _one(bench: _Context, connection: sa.Connection, case: _Case) -> Comparison:
    record, projection, side = case.record, case.projection, case.side
    mapping = case.pair.mapping
    link, row = side.link, side.row
    is_merged = link is not None and link.origin == MERGED
    if is_merged:  # what the row holds is people's
        side = structs.replace(side, row=None, is_intact=False)
    else:
        link = learn(connection, side, bench.run.id, case.sight)
        side = structs.replace(side, link=link)
        edited = _edited(bench.run, connection, side, mapping)
        side = structs.replace(side, edited=edited)

    resource = side.codec.resource
    fields = field_states(
        side, projection.traces, bench.label(mapping.resource)
    )
    money = money_of(resource, fields)
    state, reason = _record_state(projection, side.resolved, link, row)
    if link is not None and is_merged and row is not None:
        state, reason, fields = "arrived", merged_text(link), ()
    source = bench.run.migration.source
    read = source.resources[record.collection]
    title = first_word(projection.body, resource.called)
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
        bench.unmapped.of(record, read, source.said_by),
        bench.whys.get(record.key, ""),
        title or first_word(record.body, read.called),
        link.extra if link and link.extra.get("sha256") else None,
        money,
    )


def _edited(
    run: Run, connection: sa.Connection, side: Side, mapping: ObjectMapping
) -> Sequence[str]:
    """The fields that people changed in a row that an earlier run wrote: what is another in one of
    this run may be the platform's work since it answered.
    """
    link, row = side.link, side.row
    if side.is_intact or link is None or row is None or link.run == run.id:
        return ()
    seen = link.extra.get("seen")
    if seen is None or side.codec.is_unchanged(seen, row):
        return ()
    return changed_fields(run, connection, side.codec, mapping, link, row)


def _trace_as_written(
    trace: Provenance, written: Mapping[str, Any]
) -> Provenance:
    """How a field came about, where what was written differs from what is mapped now."""
    value = written.get(trace.target)
    if canonical(value) == canonical(trace.value):
        return trace
    how = "empty" if value is None else "transformed"
    return structs.replace(trace, how=how, value=value, reason=CHANGED_SINCE)


def _record_state(
    projection: Evaluation,
    resolved: Resolved,
    link: Link | None,
    row: Row | None,
) -> tuple[str, str]:
    if row is not None:
        if projection.state != "failed":
            return "arrived", ""
        kept = "its row holds what was written before"
        return "failed", f"{projection.reason}; {kept}"
    if projection.state != "ready":
        return projection.state, projection.reason
    if link is not None:
        return "missing", MISSING
    verdicts = {"skipped": resolved.skipped, "failed": resolved.refused}
    for state, why in verdicts.items():
        if why:
            return state, why
    return "missing", "it was not written"
