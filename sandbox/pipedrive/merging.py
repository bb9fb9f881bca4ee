"""Merging two rows into one (v1): the row of the path goes, the one of `merge_with_id` stays.

What both hold is kept as the row that stays has it; what it lacks comes from the other one, and
whatever referred to the other one now refers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive import lines, removal
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.relations import repoint
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.users import COMPANY
from sandbox.pipedrive.v1 import integer, refused

_EMPTY: tuple[Any, ...] = (None, "", [], "0000-00-00")
_COUNTS = (
    "files_count",
    "notes_count",
    "followers_count",
    "email_messages_count",
    "activities_count",
    "done_activities_count",
    "undone_activities_count",
)
_DEAL_COUNTS = ("products_count", "participants_count", *_COUNTS)
_PERSON_COUNTS = (
    "open_deals_count",
    "closed_deals_count",
    "won_deals_count",
    "lost_deals_count",
    *_COUNTS,
)


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


def _sql(moment: str | None) -> str | None:
    """A moment as v1 writes it."""
    return moment and moment[:19].replace("T", " ")


def _counted(call: Call, entity: Entity, names: tuple[str, ...], record: Record) -> Record:
    return {name: entity.extras[name](call, record) for name in names}


def _named(call: Call, kind: str, key: int | None) -> str | None:
    record = call.desk.store.get(kind, key) if key is not None else None
    return None if record is None else str(record["name"])


def _organization(_: Call, record: Record, __: int) -> Record:
    return {"id": record["id"]}


def _person(call: Call, record: Record, gone: int) -> Record:
    same = ("id", "name", "first_name", "last_name", "owner_id", "org_id", "label_ids")
    return {
        **{name: record[name] for name in same},
        **_counted(call, PERSONS, _PERSON_COUNTS, record),
        "company_id": COMPANY["company_id"],
        "active_flag": True,
        "phone": record["phones"],
        "email": record["emails"],
        "first_char": record["name"][:1].lower(),
        "add_time": _sql(record["add_time"]),
        "update_time": _sql(record["update_time"]),
        "visible_to": str(record["visible_to"]),
        "picture_id": None,
        "label": record["label_ids"][0] if record["label_ids"] else None,
        "org_name": _named(call, "organizations", record["org_id"]),
        "owner_name": _named(call, "users", record["owner_id"]),
        "merge_what_id": gone,
    }


_DEAL_SAME = (
    "id",
    "creator_user_id",
    "person_id",
    "org_id",
    "stage_id",
    "pipeline_id",
    "title",
    "value",
    "currency",
    "is_archived",
    "status",
    "probability",
    "lost_reason",
    "expected_close_date",
    "origin",
    "origin_id",
    "channel",
    "channel_id",
    "acv",
    "arr",
    "mrr",
)
_DEAL_TIMES = (
    "add_time",
    "update_time",
    "stage_change_time",
    "close_time",
    "won_time",
    "lost_time",
)


def _deal(call: Call, record: Record, gone: int) -> Record:
    return {
        **{name: record[name] for name in _DEAL_SAME},
        **{name: _sql(record[name]) for name in _DEAL_TIMES},
        **_counted(call, DEALS, _DEAL_COUNTS, record),
        "user_id": record["owner_id"],
        "active": record["status"] == "open",
        "deleted": False,
        "visible_to": str(record["visible_to"]),
        "label": ",".join(map(str, record["label_ids"])),
        "person_name": _named(call, "persons", record["person_id"]),
        "org_name": _named(call, "organizations", record["org_id"]),
        "owner_name": _named(call, "users", record["owner_id"]),
        "merge_what_id": gone,
    }


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
