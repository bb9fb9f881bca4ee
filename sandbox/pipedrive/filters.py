"""Saved filters (v1)."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive import removal
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.filtering import (
    MOST_CONDITIONS,
    OPERATORS,
    TYPES,
    field_of,
)
from sandbox.pipedrive.listing import flag
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import numbers, refused

_FLAG = frozenset({"include_field_code"})


def _conditions(call: Call, kind: str, given: Any) -> Record:
    """The two groups of conditions as they are kept; 400 for any other form."""
    groups = _members(given, "and")
    if len(groups) != 2:
        raise refused("conditions must hold two groups of conditions")
    checked = [
        {"glue": glue, "conditions": [_one(call, kind, one) for one in _members(group, glue)]}
        for glue, group in zip(("and", "or"), groups, strict=True)
    ]
    if sum(len(group["conditions"]) for group in checked) > MOST_CONDITIONS:
        raise refused(f"A maximum of {MOST_CONDITIONS} conditions is allowed per filter")
    return {"glue": "and", "conditions": checked}


def _members(group: Any, glue: str) -> list[Any]:
    if not isinstance(group, dict) or group.get("glue") != glue:
        raise refused(f"conditions must be glued with '{glue}'")
    members = group.get("conditions")
    if not isinstance(members, list):
        raise refused("conditions must be an array")
    return members


def _one(call: Call, kind: str, given: Any) -> Record:
    if not isinstance(given, dict) or given.get("operator") not in OPERATORS:
        raise refused("Invalid operator in conditions")
    # The real service also looks at the fields of related records; this one cannot.
    if given.get("object") != TYPES[kind][1]:
        raise refused("Invalid object in conditions")
    kept = {
        "object": given["object"],
        "field_id": str(given.get("field_id")),
        "operator": given["operator"],
        "value": None if given.get("value") is None else str(given["value"]),
        "extra_value": given.get("extra_value") or None,
        "json_value_flag": False,
    }
    if field_of(call.desk, kept) is None:
        raise refused("Invalid field_id in conditions")
    return kept


def _shown(call: Call, record: Record) -> Record:
    if not flag(call, "include_field_code"):
        return record
    groups = [
        {**group, "conditions": [_coded(call, one) for one in group["conditions"]]}
        for group in record["conditions"]["conditions"]
    ]
    return {**record, "conditions": {**record["conditions"], "conditions": groups}}


def _coded(call: Call, condition: Record) -> Record:
    field = field_of(call.desk, condition)
    return {**condition, "field_code": field and field["field_code"]}


def _need(call: Call) -> Record:
    return call.desk.one("filters", call.key(), "Filter")


def _create(call: Call) -> Answer:
    body = call.object()
    for name in ("name", "conditions", "type"):
        if not body.get(name):
            raise refused(f"{name} is required")
    if body["type"] not in TYPES:
        raise refused(f"type must be one of {', '.join(TYPES)}")
    now = call.desk.sql_now()
    record = {
        "name": str(body["name"]),
        "filter_code": None,
        "is_editable": True,
        "active_flag": True,
        "type": body["type"],
        "temporary_flag": False,
        "user_id": call.user_id,
        "add_time": now,
        "update_time": now,
        "visible_to": "1",
        "last_used_time": None,
        "custom_view_id": None,
        "conditions": _conditions(call, body["type"], body["conditions"]),
    }
    record["id"] = call.desk.store.insert("filters", record)
    return data(_shown(call, record))


def _read(call: Call) -> Answer:
    return data(_shown(call, _need(call)))


def _update(call: Call) -> Answer:
    record, body = _need(call), call.object()
    if not body.get("conditions"):
        raise refused("conditions is required")
    record["conditions"] = _conditions(call, record["type"], body["conditions"])
    if body.get("name"):
        record["name"] = str(body["name"])
    record["update_time"] = call.desk.sql_now()
    call.desk.store.replace("filters", record["id"], record)
    return data(_shown(call, record))


def _delete(call: Call) -> Answer:
    record = _need(call)
    removal.delete(call.desk, "filters", record)
    return data({"id": record["id"]})


def _delete_many(call: Call) -> Answer:
    wanted = numbers(call)
    found = call.desk.store.many("filters", wanted)
    for record in found.values():
        removal.delete(call.desk, "filters", record)
    return data({"id": sorted(found)})


def _list(call: Call) -> Answer:
    where, values = "is_deleted=0", []
    if "type" in call.query:
        where, values = "is_deleted=0 AND type=?", [call.query["type"]]
    rows = call.desk.store.find("filters", where, values)
    seen = [{key: value for key, value in row.items() if key != "conditions"} for row in rows]
    return data(seen or None)


_ALL, _ONE = "/filters", "/filters/{id}"
OPERATIONS = [
    Operation("getFilters", "v1", "GET", _ALL, 20, _list),
    Operation("addFilter", "v1", "POST", _ALL, 10, _create, _FLAG),
    Operation("deleteFilters", "v1", "DELETE", _ALL, 10, _delete_many),
    Operation("getFilter", "v1", "GET", _ONE, 2, _read, _FLAG),
    Operation("updateFilter", "v1", "PUT", _ONE, 10, _update, _FLAG),
    Operation("deleteFilter", "v1", "DELETE", _ONE, 6, _delete),
]
