"""Merging two rows into one (v1): the row of the path goes, the one of `merge_with_id` stays.

What both hold is kept as the row that stays has it; what it lacks comes from the other one, and
whatever referred to the other one now refers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive import lines, removal, v1_rows
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.relations import repoint
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import integer, refused

_EMPTY: tuple[Any, ...] = (None, "", [], "0000-00-00")

@dataclass(frozen=True, slots=True)
class Merge:
    """How records of one kind are merged."""

    entity: Entity
    filled: tuple[str, ...]  # taken from the row that goes where the other one has nothing
    shown: Callable[[Call, Record, int], Record]  # the answer: call, row that stays, id that went
    prepare: Callable[[Call, Record, Record], None] = lambda *_: None  # call, goes, stays

    def act(self, call: Call) -> Answer:
        """PUT /{kind}/{id}/merge."""
        gone = self.entity.need(call)
        kept = self._other(call, gone)
        self.prepare(call, gone, kept)
        repoint(call.desk, self.entity.kind, gone["id"], kept["id"])
        removal.remove(call.desk, self.entity.kind, gone)
        # Read again: the row that stays may have referred to the other one itself.
        kept = call.desk.store.many(self.entity.kind, [kept["id"]])[kept["id"]]
        self.entity.rewrite(call, self._joined(gone, kept))
        return data(self.shown(call, kept, gone["id"]))

    def _other(self, call: Call, gone: Record) -> Record:
        """The row that stays."""
        body = call.object()
        if body.get("merge_with_id") is None:
            raise refused("merge_with_id is required")
        key = integer(body["merge_with_id"], "merge_with_id")
        label = LABELS[self.entity.kind]
        if key == gone["id"]:
            raise refused(f"{label} {key} cannot be merged with itself")
        kept = call.desk.store.get(self.entity.kind, key)
        if kept is None:
            raise not_found(label)
        return kept

    def _joined(self, gone: Record, kept: Record) -> Record:
        for name in self.filled:
            if kept.get(name) in _EMPTY and name in gone:
                kept[name] = gone[name]
        kept["custom_fields"] = {**gone["custom_fields"], **kept["custom_fields"]}
        return kept


def _prepare_deals(call: Call, gone: Record, kept: Record) -> None:
    if gone["is_archived"] or kept["is_archived"]:
        raise refused("Archived deal cannot be merged")
    lines.move(call, gone, kept)


def _organization(_: Call, record: Record, __: int) -> Record:
    return {"id": record["id"]}


def _person(call: Call, record: Record, gone: int) -> Record:
    return {**v1_rows.person(call, record), "merge_what_id": gone}


def _deal(call: Call, record: Record, gone: int) -> Record:
    return {**v1_rows.deal(call, record), "merge_what_id": gone}


_MERGES = (
    Merge(
        ORGANIZATIONS,
        (
            "address",
            "website",
            "linkedin",
            "industry",
            "annual_revenue",
            "employee_count",
            "label_ids",
        ),
        _organization,
    ),
    Merge(
        PERSONS,
        (
            "org_id",
            "emails",
            "phones",
            "label_ids",
            "postal_address",
            "notes",
            "im",
            "birthday",
            "job_title",
        ),
        _person,
    ),
    Merge(
        DEALS,
        ("person_id", "org_id", "probability", "expected_close_date", "label_ids"),
        _deal,
        _prepare_deals,
    ),
)
OPERATIONS = [
    Operation(
        f"merge{merge.entity.operation}s",
        "v1",
        "PUT",
        f"/{merge.entity.kind}/{{id}}/merge",
        40,
        merge.act,
    )
    for merge in _MERGES
]
