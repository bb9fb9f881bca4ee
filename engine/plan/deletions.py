"""Rows whose record is deleted or no longer taken: which of them are deleted, and which stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.destination.edits import edits_of
from engine.destination.leaning import needed_by_others
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.changes import (
    Change,
    drop_changes,
    save_changes,
    stream_changes,
)
from engine.store.links import (
    MERGED,
    Finding,
    Link,
    clear_findings,
    draft_states,
    links_to_rows,
    save_findings,
    stream_links,
)
from engine.store.records import Record, gone_of, many
from engine.values import dig

STAGE = "delta"
DELETED = "deleted in the source"
NOT_LISTED = "its element is no longer in the record's list"
NOT_TAKEN = (
    "the record is no longer one that the spec takes (`when`, `where`, `from`,"
    " `take`, `unless_empty`)"
)
NO_LIST = "the record shows no list of its elements any more"
# after a refresh nothing is known of it any more: that a list lacks it does not say that it is gone
UNLISTED = "the source no longer lists the record, or shows it as deleted"


class PendingDelete(msgspec.Struct, frozen=True):
    """A link whose record makes no draft any more, and why."""

    link: Link
    why: str


def plan_deletions(run: Run) -> None:
    """Plan by each object's policy, last object first, and report what is deleted or kept.

    A row that people have edited since it was written, or had before, stays.
    """
    for mapping in reversed(run.spec.active()):
        with run.store.begin() as connection:
            clear_findings(connection, STAGE, mapping.name)
        for batch in stream_links(run.store, mapping.name):
            _plan(run, mapping, _pending_deletes(run, mapping, batch))
        _keep_needed(run, mapping)


def _keep_needed(run: Run, mapping: ObjectMapping) -> None:
    """Keep the rows that rows of people's lean on: their lists are read once an object."""
    planned: list[Change] = []
    for batch in stream_changes(run.store, mapping.name, "delete"):
        planned += batch
    needed = needed_by_others(
        run, mapping.resource, [change.dest_id for change in planned]
    )
    kept = [change for change in planned if change.dest_id in needed]
    found = []
    for change in kept:
        text = f"{change.reason}; kept, for {needed[change.dest_id]}"
        found.append(
            Finding(mapping.name, change.key, STAGE, "", "attention", text)
        )
    with run.store.begin() as connection:
        keys = [change.key for change in kept]
        drop_changes(connection, mapping.name, keys)
        clear_findings(connection, STAGE, mapping.name, keys)
        save_findings(connection, found)


def _pending_deletes(
    run: Run, mapping: ObjectMapping, links: Sequence[Link]
) -> list[PendingDelete]:
    with run.store.begin() as connection:
        drafted = draft_states(
            connection, mapping.name, [link.key for link in links]
        )
        rest = [link for link in links if link.key not in drafted]
        records = sorted({_record(link) for link in rest})
        deleted = gone_of(connection, records)
        there = many(connection, records)
    found = [
        PendingDelete(link, _why(mapping, link, deleted, there))
        for link in rest
    ]
    return [item for item in found if item.why]


def _record(link: Link) -> str:
    return link.key.partition("#")[0]


def _why(
    mapping: ObjectMapping,
    link: Link,
    deleted: set[str],
    there: Mapping[str, Record],
) -> str:
    """Why a record makes no draft; "" where that cannot be known."""
    name = _record(link)
    if name in deleted:
        return DELETED
    record = there.get(name)
    if record is None:
        return "" if mapping.scaffold else UNLISTED
    if mapping.each is None:
        return NOT_TAKEN

    # A list that was not read, or is none, does not say that its elements are gone.
    listed = dig(record.body, mapping.each.path.segments)
    return NOT_LISTED if isinstance(listed, list) else NO_LIST


def _plan(
    run: Run, mapping: ObjectMapping, found: Sequence[PendingDelete]
) -> None:
    retained = dict(_retained(run, mapping, found))
    deleted = [item for item in found if item.link.key not in retained]
    with run.store.begin() as connection:
        save_changes(
            connection, [_change(run, mapping, item) for item in deleted]
        )
        save_findings(connection, list(_findings(mapping, found, retained)))


def _retained(
    run: Run, mapping: ObjectMapping, found: Sequence[PendingDelete]
) -> Iterator[tuple[str, str]]:
    """Keys of rows that stay, and why."""
    operations = run.resource(mapping.resource).operations
    if mapping.on_delete != "delete" or "delete" not in operations:
        reason = "kept in the destination"
        if mapping.on_delete == "delete":
            reason += ", which cannot delete such rows"
        yield from ((item.link.key, reason) for item in found)
        return

    for item in found:
        if item.why in (UNLISTED, NO_LIST):
            yield item.link.key, "kept in the destination"
    links = [item.link for item in found]
    edited = edits_of(run, mapping.resource, links) if links else {}
    yield from ((key, f"kept, for {reason}") for key, reason in edited.items())
    with run.store.begin() as connection:
        ids = [link.dest_id for link in links]
        sharing = links_to_rows(connection, mapping.resource, ids)
    for link in links:
        origins = {one.origin for one in sharing.get(link.dest_id, ())}
        if link.origin == "matched":
            yield link.key, "kept, for people had it before"
        if MERGED in origins:
            yield link.key, "kept, for people merged another row into it"


def _change(run: Run, mapping: ObjectMapping, item: PendingDelete) -> Change:
    operation = run.resource(mapping.resource).operations["delete"]
    link = item.link
    return Change(
        mapping.name,
        link.key,
        "delete",
        link.dest_id,
        reason=item.why,
        cost=operation.share,
    )


def _findings(
    mapping: ObjectMapping,
    found: Sequence[PendingDelete],
    retained: Mapping[str, str],
) -> Iterator[Finding]:
    for item in found:
        key = item.link.key
        severity = "attention" if key in retained else "note"
        what = retained.get(key, "its row is to be deleted")
        yield Finding(
            mapping.name, key, STAGE, "", severity, f"{item.why}; {what}"
        )
