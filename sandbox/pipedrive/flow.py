"""Updates about one deal, person or organization (v1): changed values, and what was added."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.pipedrive import changes, files, notes, v1_rows
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.listing import limit
from sandbox.pipedrive.moments import sql
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed, refused

MOST_ROWS = 500
_CODE_LENGTH = 40  # of a custom field; built-in ones have names
Shown = Callable[[Call, Record], Record]
# table -> (what an update about it is called, how v1 shows the row, the moment it stands at)
_ADDED: dict[str, tuple[str, Shown, str]] = {
    "activities": ("activity", v1_rows.activity, "add_time"),
    "notes": ("note", notes.shown, "add_time"),
    "files": ("file", files.shown, "add_time"),
}
_LINKS = {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"}
_BY_WORD = {"change": ("dealChange", "personChange", "organizationChange")}


def _updates(call: Call, entity: Entity, record: Record) -> Iterator[Record]:
    """All updates about a row, in no order."""
    name = f"{entity.entity}Change"
    custom = call.query.get("all_changes") == "1"
    for one in changes.of(call.desk, entity.kind, record["id"]):
        if custom or len(one["field_key"]) != _CODE_LENGTH:
            yield {"object": name, "timestamp": one["log_time"], "data": _change(record, one)}
    for table, (word, shown, moment) in _ADDED.items():
        where = f"{_LINKS[entity.kind]}=? AND is_deleted=0"
        for row in call.desk.store.find(table, where, (record["id"],)):
            yield {"object": word, "timestamp": sql(row[moment]), "data": shown(call, row)}


def _change(record: Record, change: Record) -> Record:
    return {
        **change,
        "item_id": record["id"],
        "is_bulk_update_flag": None,
        "change_source": "api",
        "change_source_user_agent": None,
        "additional_data": {},
    }


def _flow(entity: Entity) -> Callable[[Call], Answer]:
    def flow(call: Call) -> Answer:
        found = list(_updates(call, entity, entity.need(call)))
        words = [one.strip() for one in call.query.get("items", "").split(",") if one.strip()]
        chosen = {kind for word in words for kind in _BY_WORD.get(word, (word,))}
        if words:
            found = [one for one in found if one["object"] in chosen]
        # The newest first; of one moment, what was written last.
        found.sort(key=lambda one: (one["timestamp"], one["data"]["id"]), reverse=True)
        return listed(*cut_out(call, found, MOST_ROWS))

    return flow


def _changelog(entity: Entity) -> Callable[[Call], Answer]:
    def changelog(call: Call) -> Answer:
        record = entity.need(call)
        rows = changes.of(call.desk, entity.kind, record["id"])
        return paged(call, rows, _entry)

    return changelog


def paged(call: Call, rows: list[Record], shown: Callable[[Record], Record]) -> Answer:
    """A page by cursor of changes, the newest first."""
    size, last = limit(call, MOST_ROWS), _last(call)
    left = [one for one in rows if last is None or one["id"] < last]
    page = left[:size]
    cursor = _cursor(page[-1]["id"]) if len(left) > size else None
    body = {"success": True, "data": [shown(one) for one in page]}
    return Answer({**body, "additional_data": {"next_cursor": cursor}})


def _entry(change: Record) -> Record:
    return {
        "field_key": change["field_key"],
        "old_value": change["old_value"],
        "new_value": change["new_value"],
        "actor_user_id": change["user_id"],
        "time": change["log_time"],
        "change_source": "api",
        "change_source_user_agent": None,
        "is_bulk_update_flag": False,
    }


def _cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"id:{key}".encode()).rstrip(b"=").decode()


def _last(call: Call) -> int | None:
    text: Any = call.query.get("cursor")
    if text is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).removeprefix(b"id:"))
    except ValueError:
        raise refused("Invalid cursor") from None


OPERATIONS = [
    operation
    for entity, name in ((DEALS, "Deal"), (PERSONS, "Person"), (ORGANIZATIONS, "Organization"))
    for operation in (
        Operation(
            f"get{name}Updates",
            "v1",
            "GET",
            f"/{entity.kind}/{{id}}/flow",
            40,
            _flow(entity),
            frozenset({"start", "limit", "all_changes", "items"}),
        ),
        Operation(
            f"get{name}Changelog",
            "v1",
            "GET",
            f"/{entity.kind}/{{id}}/changelog",
            20,
            _changelog(entity),
            frozenset({"cursor", "limit"}),
        ),
    )
]
