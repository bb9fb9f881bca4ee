"""What the last plan decided and nothing has changed for: it is kept, not decided again.

A draft without a row is to be made, or is held back by its own state. That rests on the draft, on
the mapping, and on which of the rows that it names are there or will be made; where these are as
they were, so is the change. A draft that is what was written last asks for nothing. Wherever rows
of the account have to be looked at, or the plan deletes some, everything is decided anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import cache

import msgspec
import sqlalchemy as sa

from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping
from engine.mapping.evaluate import FALLBACK
from engine.mapping.inputs import ENGINE, digest_of, digest_of_files
from engine.plan.notes import STAGE
from engine.session import Run
from engine.store.changes import drop_all, drop_some, planned_keys, settle
from engine.store.links import clear_findings_among
from engine.store.seen import (
    changed_since,
    compare_planned,
    dependents_of,
    place_of,
    planned_place,
)
from engine.store.tables import recall, remember, remember_in

STAMP = "planned."  # the store keeps under this name what an object's changes rest on


class Comparison(msgspec.Struct):
    """Which rows are there by a plan, or will be, against the plan before; each object once."""

    run: Run
    mark: int
    _done: set[str] = set()

    def compare(self, mapping: ObjectMapping) -> list[str]:
        """Compare the objects whose rows an object's drafts may name, which are planned by now."""
        names = sorted(
            {name for item in lookups(mapping) for name in item.objects}
        )
        for name in names:
            if name not in self._done:
                compare_planned(self.run.store, name, self.mark)
        self._done.update(names)
        return names


def keep_unchanged(
    comparison: Comparison, mapping: ObjectMapping, taken: Collection[str]
) -> None:
    """Take out of the last plan of an object what has to be decided anew, and note what asks for
    nothing; `taken` are keys that were refused.
    """
    run = comparison.run
    records = None if taken else _to_decide(comparison, mapping)
    with run.store.begin() as connection:
        remember_in(connection, STAMP + mapping.name, "")
        if records is None:
            drop_all(connection, mapping.name)
        else:
            drop_some(connection, mapping.name, records)
        settle(connection, mapping.name)

        every = planned_keys(mapping.name)
        clear_findings_among(connection, STAGE, mapping.name, every)
        over = planned_keys(mapping.name, "unchanged", "skip", "fail")
        clear_findings_among(connection, "write", mapping.name, over)


def remember_plan(comparison: Comparison, mapping: ObjectMapping) -> None:
    """The changes of an object rest on what is there now."""
    run = comparison.run
    comparison.compare(mapping)
    stamp = [_fixed(run, mapping), comparison.mark]
    remember(run.store, STAMP + mapping.name, json.dumps(stamp))


def forget_plan(
    connection: sa.Connection, objects: Iterable[ObjectMapping]
) -> None:
    """Nothing is kept of the last plan."""
    for mapping in objects:
        remember_in(connection, STAMP + mapping.name, "")


def _to_decide(
    comparison: Comparison, mapping: ObjectMapping
) -> list[str] | None:
    """The records whose drafts name rows that came or went; None where all are to be decided."""
    run = comparison.run
    text = recall(run.store, STAMP + mapping.name)
    fixed, mark = json.loads(text) if text else ("", 0)
    if fixed != _fixed(run, mapping):
        return None

    notes = set[str]()
    for name in comparison.compare(mapping):
        with run.store.begin() as connection:
            keys = changed_since(connection, planned_place(name), mark)
        if FALLBACK in keys:
            return None
        notes.update(f"{place_of(name)} {key}" for key in keys)
    return (
        list(dependents_of(run.store, mapping.name, frozenset(notes)))
        if notes
        else []
    )


def _fixed(run: Run, mapping: ObjectMapping) -> str:
    resource = run.resource(mapping.resource)
    return digest_of(_code(), mapping, resource)


@cache
def _code() -> str:
    """What makes changes of drafts."""
    beside = ["values.py", "store/changes.py", "language/dependencies.py"]
    return digest_of_files([ENGINE / "plan", ENGINE / "destination"], beside)
