"""Option labels that a field must have: written in the spec, or read from a staged collection."""

from __future__ import annotations

from engine.session import Run
from engine.store.records import stream
from engine.values import dig, segments


def wanted_options(
    run: Run, fixed: tuple[str, ...], origin: tuple[str, str]
) -> list[str]:
    """The labels, each once; `origin` is a collection and the path of its label, or two blanks."""
    collection, label = origin
    if not collection:
        return list(fixed)

    path = segments(label)
    labels: dict[str, None] = {}
    for batch in stream(run.store, collection):
        for record in batch:
            labels[str(dig(record.body, path) or "").strip()] = None
    labels.pop("", None)
    return list(labels)
