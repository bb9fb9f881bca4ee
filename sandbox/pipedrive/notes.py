"""Notes (v1)."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive import removal
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.moments import is_day, is_sql, parse_rfc3339
from sandbox.pipedrive.refusals import not_found, over_count
from sandbox.pipedrive.sanitise import sanitise
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import flag, integer, listed, page, refused

MOST_ROWS = 500
PARENTS = {"deal_id": "deals", "person_id": "persons", "org_id": "organizations"}
_ABSENT = ("project_id", "task_id")  # parents this stand-in has none of
_PINS = {
    "pinned_to_deal_flag": "deal_id",
    "pinned_to_person_flag": "person_id",
    "pinned_to_organization_flag": "org_id",
    "pinned_to_lead_flag": "lead_id",
    "pinned_to_project_flag": "project_id",
    "pinned_to_task_flag": "task_id",
}
_SORTS = ("id", "user_id", "deal_id", "person_id", "org_id", "add_time", "update_time")


def _content(call: Call, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise refused("Note content must be a non-empty string")
    most = call.desk.switches.note_bytes
    if most and len(value.encode()) > most:
        said = f"{most} bytes" if most % 1024 else f"{most // 1024} KB"
        raise refused(f"Note content must not exceed {said}")
    return sanitise(value)


def _checked(call: Call, body: Record) -> Record:
    """The known fields of a body, in the form they are kept; others are ignored in v1."""
    kept: Record = {}
    if "content" in body:
        kept["content"] = _content(call, body["content"])
    for name, kind in PARENTS.items():
        if body.get(name) is not None:
            key = integer(body[name], name)
            if not call.desk.store.has(kind, key):
                raise not_found(name.removesuffix("_id").capitalize())
            kept[name] = key
        elif name in body:
            kept[name] = None
    if "lead_id" in body:
        kept["lead_id"] = _lead(call, body["lead_id"])
    for name in _ABSENT:
        if body.get(name) is not None:
            raise not_found(name.removesuffix("_id").capitalize())
    if body.get("user_id") is not None:
        kept["user_id"] = integer(body["user_id"], "user_id")
        if not call.desk.store.has("users", kept["user_id"]):
            raise not_found("User")
    if body.get("add_time") is not None:
        if not isinstance(body["add_time"], str) or not is_sql(body["add_time"]):
            raise refused("add_time must be in the format YYYY-MM-DD HH:MM:SS")
        kept["add_time"] = body["add_time"]
    for name in _PINS:
        if body.get(name) is not None:
            kept[name] = flag(body[name], name)
    return kept


def _lead(call: Call, key: Any) -> str | None:
    if key is None:
        return None
    found = call.desk.by_uuid("leads", key)
    if found is None:
        raise not_found("Lead")
    return str(found["uuid"])


def _settle(record: Record) -> None:
    if all(record[name] is None for name in (*PARENTS, "lead_id")):
        raise refused("A note must be attached to a deal, person, organization, lead or project")
    for pin, parent in _PINS.items():
        if record[pin] and record[parent] is None:
            raise refused(f"{pin} can only be set together with {parent}")


def blank(call_user: int, now: str) -> Record:
    """A note with nothing in it yet."""
    return {
        "active_flag": True,
        "add_time": now,
        "content": "",
        "deal_id": None,
        "lead_id": None,
        "org_id": None,
        "person_id": None,
        "project_id": None,
        "task_id": None,
        **dict.fromkeys(_PINS, False),
        "update_time": now,
        "user_id": call_user,
        "last_update_user_id": None,
    }


def shown(call: Call, record: Record) -> Record:
    """The note with the names of what it belongs to."""
    store = call.desk.store
    deal = store.get("deals", record["deal_id"] or 0)
    person = store.get("persons", record["person_id"] or 0)
    organization = store.get("organizations", record["org_id"] or 0)
    user = store.get("users", record["user_id"]) or {}
    return {
        **record,
        "deal": deal and {"title": deal["title"]},
        "person": person and {"name": person["name"]},
        "organization": organization and {"name": organization["name"]},
        "project": None,
        "task": None,
        "user": {
            "email": user.get("email", ""),
            "icon_url": user.get("icon_url"),
            "is_you": record["user_id"] == call.user_id,
            "name": user.get("name", ""),
        },
    }


def _need(call: Call) -> Record:
    return call.desk.one("notes", call.key(), "Note")


def _read(call: Call) -> Answer:
    record = call.desk.readable("notes", call.key())
    if record is None:
        raise not_found("Note")
    return data(shown(call, record))


def _create(call: Call) -> Answer:
    body = call.object()
    if "content" not in body:
        raise refused("Note content is required")
    record = {**blank(call.user_id, call.desk.sql_now()), **_checked(call, body)}
    _settle(record)
    _check_number(call, record["deal_id"])
    record["id"] = call.desk.store.insert("notes", record)
    return data(shown(call, record))


def _check_number(call: Call, deal: int | None) -> None:
    """403 when the deal has as many notes as it may; how many that are was never published."""
    most = call.desk.switches.most_notes_per_deal
    if most and deal is not None and call.desk.store.number("notes", "deal_id", deal) >= most:
        raise over_count("note", "deal")


def _update(call: Call) -> Answer:
    record = {**_need(call), **_checked(call, call.object())}
    _settle(record)
    record |= {"update_time": call.desk.sql_now(), "last_update_user_id": call.user_id}
    call.desk.store.replace("notes", record["id"], record)
    return data(shown(call, record))


def _delete(call: Call) -> Answer:
    record = _need(call)
    removal.delete(call.desk, "notes", record)
    return data(True)


def _list(call: Call) -> Answer:
    cut = Cut("is_deleted=0")
    for name in ("user_id", *PARENTS):
        value = whole(call, name)
        if value is not None:
            cut.add(f"{name}=?", value)
    if "lead_id" in call.query:
        cut.add("lead_id=?", call.query["lead_id"].lower())
    if any(name in call.query for name in _ABSENT):
        cut.add("0")
    for name in _PINS:
        if name in call.query:
            cut.add(f"json_extract(body, '$.{name}')=?", int(flag(call.query[name], name)))
    _dates(call, cut)
    rows, additional = page(call, "notes", cut, _SORTS, MOST_ROWS)
    return listed([shown(call, row) for row in rows], additional)


def _dates(call: Call, cut: Cut) -> None:
    for name, condition, clock in (
        ("start_date", "add_time>=?", "00:00:00"),
        ("end_date", "add_time<=?", "23:59:59"),
    ):
        if name in call.query:
            if not is_day(call.query[name]):
                raise refused(f"{name} must be in the format YYYY-MM-DD")
            cut.add(condition, f"{call.query[name]} {clock}")
    if "updated_since" in call.query:
        moment = parse_rfc3339(call.query["updated_since"])
        if moment is None:
            raise refused("updated_since must be an RFC 3339 date-time")
        cut.add("update_time>=?", moment[:19].replace("T", " "))


OPERATIONS = [
    Operation("getNotes", "v1", "GET", "/notes", 20, _list),
    Operation("addNote", "v1", "POST", "/notes", 10, _create),
    Operation("getNote", "v1", "GET", "/notes/{id}", 2, _read),
    Operation("updateNote", "v1", "PUT", "/notes/{id}", 10, _update),
    Operation("deleteNote", "v1", "DELETE", "/notes/{id}", 6, _delete),
]
