"""Activity types (v1)."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sandbox.pipedrive import removal
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import integer, refused

ICONS = frozenset(
    [
        "task",
        "email",
        "meeting",
        "deadline",
        "call",
        "lunch",
        "calendar",
        "downarrow",
        "document",
        "smartphone",
        "camera",
        "scissors",
        "cogs",
        "bubble",
        "uparrow",
        "checkbox",
        "signpost",
        "shuffle",
        "addressbook",
        "linegraph",
        "picture",
        "car",
        "world",
        "search",
        "clip",
        "sound",
        "brush",
        "key",
        "padlock",
        "pricetag",
        "suitcase",
        "finish",
        "plane",
        "loop",
        "wifi",
        "truck",
        "cart",
        "bulb",
        "bell",
        "presentation",
    ]
)
_COLOUR = re.compile(r"[0-9A-Fa-f]{6}")


def new_type(name: str, icon: str, order: int, now: str, *, key: str, custom: bool) -> Record:
    """A type as it is kept."""
    return {
        "order_nr": order,
        "name": name,
        "key_string": key,
        "icon_key": icon,
        "active_flag": True,
        "color": "FFFFFF",
        "is_custom_flag": custom,
        "add_time": now,
        "update_time": now,
    }


def _types(call: Call) -> list[Record]:
    found = call.desk.store.find("activity_types", "is_deleted=0", ())
    return sorted(found, key=lambda one: one["order_nr"])


def _key(call: Call, name: str) -> str:
    """A key made from the name, told apart from those that exist."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "type"
    taken = {one["key_string"] for one in call.desk.store.find("activity_types", "1", ())}
    key, serial = stem, 1
    while key in taken:
        serial += 1
        key = f"{stem}_{serial}"
    return key


def _checked(body: Record) -> Record:
    kept: Record = {}
    if "name" in body:
        kept["name"] = _name(body["name"])
    if "icon_key" in body:
        if body["icon_key"] not in ICONS:
            raise refused("icon_key is not a known icon")
        kept["icon_key"] = body["icon_key"]
    if body.get("color") is not None:
        if not isinstance(body["color"], str) or not _COLOUR.fullmatch(body["color"]):
            raise refused("color must be a 6-digit hex code")
        kept["color"] = body["color"]
    if "order_nr" in body:
        kept["order_nr"] = integer(body["order_nr"], "order_nr")
    return kept


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise refused("name must be a non-empty string")
    return value


def _need(call: Call) -> Record:
    return call.desk.one("activity_types", call.key(), "Activity type")


def _create(call: Call) -> Answer:
    body = call.object()
    for name in ("name", "icon_key"):
        if not body.get(name):
            raise refused(f"{name} is required")
    checked = _checked({key: body[key] for key in ("name", "icon_key", "color") if key in body})
    record = new_type(
        checked["name"],
        checked["icon_key"],
        len(_types(call)) + 1,
        call.desk.sql_now(),
        key=_key(call, checked["name"]),
        custom=True,
    )
    record |= checked
    record["id"] = call.desk.store.insert("activity_types", record)
    return data(record)


def _update(call: Call) -> Answer:
    record = {**_need(call), **_checked(call.object()), "update_time": call.desk.sql_now()}
    call.desk.store.replace("activity_types", record["id"], record)
    return data(record)


def _delete(call: Call) -> Answer:
    removal.delete(call.desk, "activity_types", _need(call))
    return data(call.desk.store.get("activity_types", call.key(), deleted=True))


_ONE = "/activityTypes/{id}"
OPERATIONS = [
    Operation(
        "getActivityTypes", "v1", "GET", "/activityTypes", 20, lambda call: data(_types(call))
    ),
    Operation("addActivityType", "v1", "POST", "/activityTypes", 10, _create),
    Operation("updateActivityType", "v1", "PUT", _ONE, 10, _update),
    Operation("deleteActivityType", "v1", "DELETE", _ONE, 6, _delete),
]
