"""Deleting the rows that the plan deletes, last object first: children before what they lean on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.destination.rows import codec_of, load_definitions
from engine.destination.written import bodies_written
from engine.load.apply import Loaded
from engine.load.deliver import deliver
from engine.load.writes import Write
from engine.run import Run
from engine.store.changes import stream_changes
from engine.store.links import links_of

Key = tuple[str, str]


def apply_deletions(run: Run, loaded: Sequence[Loaded]) -> None:
    """Delete what the plan deletes, and count it with the objects."""
    for item in reversed(loaded):
        for outcome in deliver(run, _writes(run, item)):
            if outcome.state == "done":
                item.deleted += 1
            elif outcome.state == "failed":
                item.failed += 1
                item.reasons.append(f"{outcome.write.key}: not deleted: {outcome.reason}")


def _writes(run: Run, item: Loaded) -> Iterator[Write]:
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
        for change in batch:
            written = bodies.get(change.dest_id, {})
            body = {place: written[place] for place in needed if place in written}
            yield Write(name, change.key, item.resource, "delete", body, {}, change.dest_id)
