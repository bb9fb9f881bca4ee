"""Deleting the rows that the plan deletes, last object first: children before what they lean on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.destination.edits import edits_of
from engine.destination.rows import codec_of, load_definitions
from engine.destination.written import bodies_written
from engine.load.apply import FRESH, Loaded
from engine.load.deliver import deliver
from engine.load.writes import Write
from engine.plan.deletions import STAGE
from engine.run import Run
from engine.store.changes import stream_changes
from engine.store.links import Finding, clear_findings, links_of, save_findings


def apply_deletions(run: Run, loaded: Sequence[Loaded], planned_at: float) -> None:
    """Delete what the plan deletes, and count it with the objects.

    `planned_at` is when the plan was made, epoch seconds: rows are looked at once more where that
    is long ago, and stay if people have edited them since.
    """
    aged = run.clock.now() - planned_at > FRESH
    for item in reversed(loaded):
        for outcome in deliver(run, _writes(run, item, aged)):
            if outcome.state == "done":
                item.deleted += 1
            elif outcome.state in ("failed", "stale"):
                item.failed += 1
                item.reasons.append(f"{outcome.write.key}: not deleted: {outcome.reason}")


def _writes(run: Run, item: Loaded, aged: bool) -> Iterator[Write]:
    """Deletions with what their addresses need besides the id, out of what was last written."""
    connector, name = run.migration.destination, item.object
    if "delete" not in connector.resources[item.resource].operations:
        return
    with run.store.begin() as connection:
        codec = codec_of(connector, item.resource, load_definitions(connection, connector))
    needed = codec.resource.operations["delete"].places
    for batch in stream_changes(run.store, name, "delete"):
        with run.store.begin() as connection:
            links = links_of(connection, name, [change.key for change in batch])
            bodies = bodies_written(run, connection, codec, list(links.values()))
        edited = edits_of(run, item.resource, list(links.values())) if aged else {}
        _keep(run, name, edited)
        for change in batch:
            if change.key in edited or change.key not in links:
                continue
            written = bodies.get(change.dest_id, {})
            body = {place: written[place] for place in needed if place in written}
            yield Write(name, change.key, item.resource, "delete", body, {}, change.dest_id)


def _keep(run: Run, name: str, edited: Mapping[str, str]) -> None:
    """Report rows that stay because people have edited them since the plan was made."""
    found = [
        Finding(name, key, STAGE, "", "attention", f"deleted in the source; kept, for {reason}")
        for key, reason in edited.items()
    ]
    with run.store.begin() as connection:
        clear_findings(connection, STAGE, name, list(edited))
        save_findings(connection, found)
