"""Deleting the rows that the plan deletes, last object first: children before what they lean on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.destination.edits import edits_of
from engine.destination.leaning import needed_by_others
from engine.destination.rows import codec_now
from engine.destination.written import bodies_written
from engine.load.apply import FRESH, Loaded
from engine.load.deliver import deliver
from engine.load.reconcile import MARGIN
from engine.load.standing import STANDS, as_before, prove_deletions
from engine.load.writes import Write
from engine.plan.deletions import STAGE
from engine.session import Run
from engine.store.changes import Change, stream_changes
from engine.store.links import (
    Finding,
    Link,
    clear_findings,
    links_of,
    save_findings,
)


def apply_deletions(
    run: Run, loaded: Sequence[Loaded], planned_at: float
) -> None:
    """Delete what the plan deletes, and count it with the objects.

    `planned_at` is when the plan was made, epoch seconds. What people have made since may lean on a
    row, which then stays; where that is long ago, rows that people have edited since stay too.
    """
    for item in reversed(loaded):
        age = run.clock.now() - planned_at
        for outcome in deliver(run, _writes(run, item, age)):
            if outcome.state == "done":
                item.deleted += 1
            elif outcome.state in ("failed", "stale"):
                _count_failed(item, outcome.write.key, outcome.reason)
        for entry in prove_deletions(run):
            item.deleted -= 1
            _count_failed(item, entry.key, STANDS)


def _count_failed(item: Loaded, key: str, reason: str) -> None:
    item.failed += 1
    item.reasons.append(f"{key}: not deleted: {reason}")


def _writes(run: Run, item: Loaded, age: float) -> Iterator[Write]:
    """Deletions with what their addresses need besides the id, out of what was last written.

    `age` is that of the plan in seconds.
    """
    codec, name = codec_now(run, item.resource), item.object
    operation = codec.resource.operations.get("delete")
    if operation is None:
        return
    listing = codec.resource.operations.get("list", operation)
    needed = {*operation.places, listing.ids_of, listing.parent_id}
    for batch in stream_changes(run.store, name, "delete"):
        with run.store.begin() as connection:
            links = links_of(connection, name, [change.key for change in batch])
            bodies = bodies_written(
                run, connection, codec, list(links.values())
            )
        kept = _kept(run, item.resource, batch, list(links.values()), age)
        _keep(run, name, kept)
        for change in batch:
            if change.key in kept or change.key not in links:
                continue
            written = bodies.get(change.dest_id, {})
            body = {
                place: written[place] for place in needed if place in written
            }
            yield Write(
                name,
                change.key,
                item.resource,
                "delete",
                body,
                {},
                change.dest_id,
                as_before(links[change.key]),
            )


def _kept(
    run: Run,
    resource: str,
    batch: Sequence[Change],
    links: Sequence[Link],
    age: float,
) -> dict[str, str]:
    """Keys of rows that stay for what people have done since the plan, and what that is."""
    since = run.destination.now() - age - MARGIN
    needed = needed_by_others(
        run, resource, [change.dest_id for change in batch], since
    )
    kept = {
        change.key: needed[change.dest_id]
        for change in batch
        if change.dest_id in needed
    }
    return kept | (edits_of(run, resource, links) if age > FRESH else {})


def _keep(run: Run, name: str, kept: Mapping[str, str]) -> None:
    """Report rows that stay for what people have done since the plan was made."""
    found = [
        Finding(
            name,
            key,
            STAGE,
            "",
            "attention",
            f"deleted in the source; kept, for {reason}",
        )
        for key, reason in kept.items()
    ]
    with run.store.begin() as connection:
        clear_findings(connection, STAGE, name, list(kept))
        save_findings(connection, found)
