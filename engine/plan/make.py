"""The plan: one change for each draft and for each row to delete, kept in the store.

What is shown, judged and carried out is this table. The destination is read for it, never written
to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import Verb
from engine.destination.definitions import DELETED
from engine.destination.edits import note_edit
from engine.destination.options import wanted_options
from engine.destination.resolve import Resolved, resolve
from engine.destination.rows import (
    Definition,
    Row,
    RowCodec,
    load_definitions,
)
from engine.destination.written import linked_ids
from engine.extract.records import rows_now
from engine.language.compile import PIPELINES
from engine.language.model import CustomField, NativeOptions, ObjectMapping
from engine.plan.adopt import (
    Hit,
    Search,
    Way,
    anything_found,
    awaits_rows_of_the_plan,
    find_rows,
    offer,
    rows_by_key,
    way_of,
)
from engine.plan.cost import Plan, summed_up
from engine.plan.deletions import plan_deletions
from engine.plan.diff import (
    Decision,
    decide,
    known_rows,
    merge,
    rows_as_planned,
)
from engine.plan.doubt import is_in_doubt, refused, sent_before
from engine.plan.kept import (
    Comparison,
    forget_plan,
    keep_unchanged,
    remember_plan,
)
from engine.plan.merges import follow_merges
from engine.plan.moves import follow_moves
from engine.plan.notes import STAGE, report, report_rows
from engine.session import Run
from engine.store.changes import (
    Change,
    Kind,
    adoptions_of,
    any_deletes,
    clear_changes,
    drop_all,
    failed_keys,
    keep_untouched,
    planned_keys,
    save_changes,
)
from engine.store.journal import Entry, failures
from engine.store.links import (
    DEFINITIONS,
    Draft,
    Link,
    clear_undrafted_findings,
    clear_unlinked_findings,
    drafts_of,
    links_of,
    objects_with,
    stream_drafts,
)
from engine.store.seen import next_mark
from engine.values import without

REMOVED = "its row was removed in the destination, and is not made again: restore it, or leave it"
FIXED = "changed in the source, but the destination cannot change such a row"
AS_WANTED = "the row holds what is wanted"


class Planning(msgspec.Struct, frozen=True):
    """What the planning of one object is given."""

    search: Search
    mapping: ObjectMapping
    codec: RowCodec
    way: Way = ""
    refused: Mapping[str, Entry] = {}  # see doubt.py

    @property
    def run(self) -> Run:
        """The run the plan is for."""
        return self.search.run


def foreseen(run: Run) -> dict[tuple[str, str], Definition]:
    """The account's definitions, with the fields and options that the run makes first."""
    declared: dict[tuple[str, str], CustomField | NativeOptions] = {
        (item.resource, f"custom.{item.name}"): item
        for item in run.spec.custom_fields.values()
    }
    for native in run.spec.native_options:
        declared[native.resource, native.field] = native

    with run.store.begin() as connection:
        known = load_definitions(connection)
        links = links_of(connection, DEFINITIONS)

    for place, item in declared.items():
        link = links.get(".".join(place))
        if link and link.extra.get(DELETED):
            continue
        name = place[1].removeprefix("custom.")
        found = known.get(place) or Definition(f"new {name}")
        wanted = wanted_options(run, item.options, item.options_from)
        labels = {label.strip(): label for label in wanted}
        renamed = {
            label: found.options[was]
            for label, was in item.options_were
            if was in found.options
        }
        known[place] = Definition(
            found.code, labels | renamed | dict(found.options)
        )
    return known


def plan_object(
    search: Search,
    mapping: ObjectMapping,
    whole: bool = False,
    only_failed: bool = False,
    last: Comparison | None = None,
    yes: bool = False,
) -> None:
    """Plan every draft of an object, or those of records that failed last.

    With a comparison with the last plan, what it decided is kept where it holds. With `yes`,
    records that failed are sent though they may have made a row.
    """
    run, codec = search.run, search.codec(mapping.resource)
    if not only_failed:
        _begin_object(run, mapping, whole)
    with run.store.begin() as connection:
        failed = {} if yes else failures(connection, mapping.name)
    planning = Planning(
        search,
        mapping,
        codec,
        way_of(search, mapping),
        refused(failed, only_failed),
    )
    if last and (_looks_for_rows(planning) or _offers(planning)):
        with run.store.begin() as connection:
            drop_all(connection, mapping.name)
        last = None
    if last:
        keep_unchanged(last, mapping, planning.refused)

    if only_failed:
        _plan_failed(planning)
    else:
        _plan_rest(planning, is_kept=last is not None)
    if last:
        remember_plan(last, mapping)


def _begin_object(run: Run, mapping: ObjectMapping, whole: bool) -> None:
    """Forget what was found of an object before."""
    with run.store.begin() as connection:
        clear_unlinked_findings(connection, STAGE, mapping.name)
        if whole:
            clear_undrafted_findings(connection, (STAGE, "write"), mapping.name)


def _plan_rest(planning: Planning, is_kept: bool) -> None:
    """Plan an object's drafts, but for those whose last plan is kept."""
    if planning.way == "key":
        _adopt_by_key(planning)
    for batch in _batches(planning, is_kept):
        plan_drafts(planning, batch)


def _plan_failed(planning: Planning) -> None:
    """Plan the drafts of an object's records that failed last."""
    name = planning.mapping.name
    with planning.run.store.begin() as connection:
        failed = set(connection.execute(failed_keys(name)).scalars())
    for batch in _batches(planning):
        plan_drafts(planning, [one for one in batch if one.key in failed])


def _batches(
    planning: Planning, is_kept: bool = False
) -> Iterator[list[Draft]]:
    run, mapping, done = planning.run, planning.mapping, 0
    kept = planned_keys(mapping.name) if is_kept else None
    for batch in stream_drafts(run.store, mapping.name, without=kept):
        yield batch
        done += len(batch)
        run.progress(f"planning {mapping.label}", done, None)


def _looks_for_rows(planning: Planning) -> bool:
    """Whether rows of the account may stand for drafts without one."""
    if planning.way == "recognise":
        return anything_found(planning.search)
    return planning.way != ""


def _offers(planning: Planning) -> bool:
    """Whether a later object may match rows that this one makes."""
    return awaits_rows_of_the_plan(planning.run, planning.mapping)


def plan_drafts(planning: Planning, drafts: Sequence[Draft]) -> list[Change]:
    """Plan some drafts and keep what is decided; also used to look at a record once more."""
    run, name = planning.run, planning.mapping.name
    with run.store.begin() as connection:
        keys = [draft.key for draft in drafts]
        linked = links_of(connection, name, keys)
        found = adoptions_of(connection, name, keys)
        adopted = without(found, linked)
        fresh = [draft for draft in drafts if not adopted.get(draft.key)]
        decided = _decided(planning, connection, fresh, linked)

    decisions = _without_refused(planning, decided)
    changes = {item.draft.key: item.change() for item in decisions}
    changes |= _updates(planning, _of_kind(decisions, "update"))
    changes |= _creations(planning, _of_kind(decisions, "create"))

    priced = [_priced(planning, change) for change in changes.values()]
    new = [change for change in priced if change.key not in adopted]
    with run.store.begin() as connection:
        save_changes(connection, new)
        report(connection, planning.mapping, decisions, priced)
    return priced


def _of_kind(decisions: Iterable[Decision], kind: Kind) -> list[Decision]:
    return [item for item in decisions if item.kind == kind]


def _without_refused(
    planning: Planning, decided: Sequence[Decision]
) -> list[Decision]:
    """The decisions; creations that are not simply sent once more fail as they did."""
    before = planning.refused
    repeated = [
        item
        for item in decided
        if item.kind == "create" and item.draft.key in before
    ]
    failed = {
        key: structs.replace(item, kind="fail", reason=before[key].reason)
        for key, (item, resolved) in _resolved(planning, repeated).items()
        if is_in_doubt(before[key].reason)
        or sent_before(before[key], item.draft, resolved)
    }
    return [failed.get(item.draft.key, item) for item in decided]


def _decided(
    planning: Planning,
    connection: sa.Connection,
    drafts: Sequence[Draft],
    links: Mapping[str, Link],
) -> list[Decision]:
    run, mapping = planning.run, planning.mapping
    known = known_rows(run, connection, drafts, links)
    return decide(run, mapping, planning.codec, drafts, known)


def _priced(planning: Planning, change: Change) -> Change:
    """The change with what its own call costs."""
    resource = planning.codec.resource
    verb: Verb | None = "create" if change.kind == "create" else None
    if change.send:
        verb = "update"

    operation = resource.operations.get(verb) if verb else None
    if operation is None:
        return change
    return structs.replace(change, cost=operation.share)


# -- rows that are linked


def _updates(
    planning: Planning, decisions: Sequence[Decision]
) -> dict[str, Change]:
    """Updates after a look at what the destination holds now."""
    if not decisions:
        return {}

    resource = planning.codec.resource
    if "update" not in resource.operations:
        return {
            item.draft.key: item.change("unchanged", FIXED)
            for item in decisions
        }

    linked = [
        (item.link, item.resolved)
        for item in decisions
        if item.link and item.resolved
    ]
    bodies = {link.dest_id: resolved.body for link, resolved in linked}
    live = rows_now(planning.run.destination, resource, bodies)
    gone = [link for link, _ in linked if link.dest_id not in live]
    followed = follow_merges(planning.run, gone)

    found = {}
    for item in decisions:
        assert item.link is not None
        row, key = live.get(item.link.dest_id), item.draft.key
        if row:
            found[key] = _merged(planning, item, row)
        elif (item.draft.object, key) in followed:
            found[key] = item.change("unchanged")
        else:
            found[key] = item.change("fail", REMOVED)
    return found


def _merged(planning: Planning, item: Decision, row: Row) -> Change:
    run, link = planning.run, item.link
    assert link is not None
    with run.store.begin() as connection:
        note_edit(run, connection, planning.codec, link, row)
        last = _last_written(planning, connection, link)

    change = merge(planning.mapping, item, row, last, planning.codec)
    return (
        structs.replace(change, reason=AS_WANTED)
        if change.kind == "unchanged"
        else change
    )


def _last_written(
    planning: Planning, connection: sa.Connection, link: Link
) -> Resolved:
    ids = linked_ids(planning.run, connection)
    return resolve(
        link.written, planning.mapping, planning.run.spec, planning.codec, ids
    )


# -- rows that are to be made, unless they are there


def _creations(
    planning: Planning, decisions: Sequence[Decision]
) -> dict[str, Change]:
    """Drafts without a row: adopted where one is there already, else created."""
    mapping = planning.mapping
    offered = _offers(planning)
    looked_for = planning.way != "key" and _looks_for_rows(planning)
    if not decisions or not (offered or looked_for):
        return {}

    made = _resolved(planning, decisions)
    hits = find_rows(planning.search, mapping, planning.way, made)
    for key, (_, resolved) in made.items():
        if offered and key not in hits:
            offer(planning.search, mapping, key, resolved.body)
    return {
        key: _adopted(planning, *made[key], hit) for key, hit in hits.items()
    }


def _resolved(
    planning: Planning, decisions: Sequence[Decision]
) -> dict[str, tuple[Decision, Resolved]]:
    run = planning.run
    with run.store.begin() as connection:
        ids = rows_as_planned(
            run, connection, [item.draft for item in decisions]
        )
    return {
        item.draft.key: (
            item,
            resolve(
                item.draft.body, planning.mapping, run.spec, planning.codec, ids
            ),
        )
        for item in decisions
    }


def _adopted(
    planning: Planning, item: Decision, resolved: Resolved, hit: Hit
) -> Change:
    """A row to be linked, and what has to be written into it."""
    resource, draft = planning.codec.resource, item.draft
    link = Link(
        draft.object, draft.key, resource.name, hit.row_id, "", {}, hit.origin
    )
    change = structs.replace(item.change(), dest_id=hit.row_id)
    if "update" in resource.operations:
        nothing = Resolved({}, {}, ())
        seen = Decision("adopt", draft, resolved, link)
        change = merge(planning.mapping, seen, hit.row, nothing, planning.codec)
    return structs.replace(change, kind="adopt", reason=hit.origin)


def _adopt_by_key(planning: Planning) -> None:
    """Adopt all rows that carry a key of ours, with a draft or without one."""
    run, mapping = planning.run, planning.mapping
    for rows in rows_by_key(planning.search, mapping):
        with run.store.begin() as connection:
            drafts = drafts_of(connection, mapping.name, list(rows))
            linked = links_of(connection, mapping.name, list(rows))
            decided = _decided(
                planning, connection, list(drafts.values()), linked
            )

        resolved = _resolved(planning, _of_kind(decided, "create"))
        found = []
        for key, row in rows.items():
            if key in linked:
                continue
            hit = Hit(planning.codec.resource.id_of(row), row, "adopted")
            if key in resolved:
                found.append(
                    _priced(planning, _adopted(planning, *resolved[key], hit))
                )
            else:
                # no draft, or none that can be written now: its row is ours all the same
                row_id, reason = hit.row_id, hit.origin
                found.append(
                    Change(mapping.name, key, "adopt", row_id, reason=reason)
                )
        with run.store.begin() as connection:
            save_changes(connection, found)
            report_rows(connection, mapping, found)


def planning_of(run: Run, mapping: ObjectMapping, codec: RowCodec) -> Planning:
    """What a record is planned with once more while the plan is carried out."""
    return Planning(Search(run, codec.definitions), mapping, codec)


def _begin(
    run: Run, objects: Sequence[ObjectMapping], whole: bool
) -> Comparison | None:
    """Forget what cannot be kept of the last plan, and see what is to be deleted; a comparison
    with the last plan, or None where everything is decided anew.
    """
    if not whole:
        with run.store.begin() as connection:
            clear_changes(connection)
            forget_plan(connection, objects)
        return None

    follow_moves(run)
    with run.store.begin() as connection:
        keep_untouched(connection, [item.name for item in objects])
    plan_deletions(run)
    with run.store.begin() as connection:
        if not any_deletes(connection):
            return Comparison(run, next_mark(connection))
        forget_plan(connection, objects)
        for mapping in objects:
            drop_all(connection, mapping.name)
    return None


def make_plan(
    run: Run,
    objects: Sequence[ObjectMapping],
    whole: bool = False,
    only_failed: bool = False,
    yes: bool = False,
) -> Plan:
    """Plan these objects anew and keep every change; what they come to.

    `whole` says that the drafts are those of everything: only then a row without a draft is one
    whose record has left. With `only_failed`, just the records whose last attempt failed; with
    `yes`, also those that may have made a row.
    """
    made_at = run.clock.now()
    last = _begin(run, objects, whole)
    with run.store.begin() as connection:
        names = objects_with(connection, ["adopted"]) - {DEFINITIONS, PIPELINES}
    search = Search(run, foreseen(run), ours=bool(names))
    for mapping in objects:
        plan_object(search, mapping, whole, only_failed, last, yes)
    return summed_up(run, objects, made_at)
