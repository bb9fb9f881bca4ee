"""Deleting the rows that the plan deletes, last object first: children before what they lean on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.load.apply import Loaded
from engine.load.deliver import deliver
from engine.load.writes import Write
from engine.run import Run
from engine.store.changes import stream_changes

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
    for batch in stream_changes(run.store, item.object, "delete"):
        for change in batch:
            yield Write(
                item.object, change.key, item.resource, "delete", {}, {}, change.dest_id
            )
