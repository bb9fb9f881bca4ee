"""Rows of v2 kinds as v1 writes them: flat, with old names, SQL stamps and names beside ids."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import ADDRESS_PARTS
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.moments import sql
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.store import Record

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
_CONTACT_COUNTS = (
    "open_deals_count",
    "closed_deals_count",
    "won_deals_count",
    "lost_deals_count",
    *_COUNTS,
)
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
_ACTIVITY_SAME = (
    "id",
    "subject",
    "type",
    "due_date",
    "deal_id",
    "lead_id",
    "person_id",
    "org_id",
    "project_id",
    "note",
    "done",
    "public_description",
    "conference_meeting_client",
    "conference_meeting_url",
    "conference_meeting_id",
)


def named(call: Call, kind: str, key: int | None) -> str | None:
    """The name of the row a link points at."""
    record = call.desk.store.get(kind, key) if key is not None else None
    return None if record is None else str(record["name"])


def _counted(call: Call, entity: Entity, names: tuple[str, ...], record: Record) -> Record:
    return {name: entity.extras[name](call, record) for name in names}


def _stamps(record: Record) -> Record:
    return {name: sql(record[name]) for name in ("add_time", "update_time")}


def _first(labels: list[int]) -> int | None:
    return labels[0] if labels else None


def person(call: Call, record: Record) -> Record:
    """A person."""
    same = ("id", "name", "first_name", "last_name", "owner_id", "org_id", "label_ids")
    return {
        **{name: record[name] for name in same},
        **_counted(call, PERSONS, _CONTACT_COUNTS, record),
        **_stamps(record),
        "company_id": call.desk.company_id,
        "active_flag": True,
        "phone": record["phones"],
        "email": record["emails"],
        "first_char": record["name"][:1].lower(),
        "visible_to": str(record["visible_to"]),
        "picture_id": None,
        "label": _first(record["label_ids"]),
        "org_name": named(call, "organizations", record["org_id"]),
        "owner_name": named(call, "users", record["owner_id"]),
    }


def organization(call: Call, record: Record) -> Record:
    """An organization."""
    address = record["address"] or {}
    parts = {f"address_{name}": address.get(name) for name in ADDRESS_PARTS}
    return {
        "id": record["id"],
        "company_id": call.desk.company_id,
        "owner_id": user(call, record["owner_id"]),
        "name": record["name"],
        "active_flag": True,
        "picture_id": None,
        "country_code": None,
        "first_char": record["name"][:1].lower(),
        **_stamps(record),
        "visible_to": str(record["visible_to"]),
        "label": _first(record["label_ids"]),
        "label_ids": record["label_ids"],
        "owner_name": named(call, "users", record["owner_id"]),
        "address": address.get("value"),
        **parts,
        "address_formatted_address": address.get("value"),
        **_counted(call, ORGANIZATIONS, ("people_count", *_CONTACT_COUNTS), record),
    }


def deal(call: Call, record: Record) -> Record:
    """A deal."""
    return {
        **{name: record[name] for name in _DEAL_SAME},
        **{name: sql(record[name]) for name in _DEAL_TIMES},
        **_counted(call, DEALS, _DEAL_COUNTS, record),
        "user_id": record["owner_id"],
        "active": record["status"] == "open",
        "deleted": False,
        "visible_to": str(record["visible_to"]),
        "label": ",".join(map(str, record["label_ids"])),
        "person_name": named(call, "persons", record["person_id"]),
        "org_name": named(call, "organizations", record["org_id"]),
        "owner_name": named(call, "users", record["owner_id"]),
    }


def product(call: Call, record: Record) -> Record:
    """A product."""
    same = ("id", "name", "code", "description", "unit", "tax", "category")
    return {
        **{name: record[name] for name in same},
        "active_flag": True,
        "selectable": record["is_linkable"],
        "first_char": record["name"][:1].lower(),
        "visible_to": record["visible_to"],
        "owner_id": record["owner_id"],
        "files_count": call.desk.store.number("files", "product_id", record["id"]),
        **_stamps(record),
        "prices": [_price(record["id"], one) for one in record["prices"]],
    }


def _price(key: int, price: Record) -> Record:
    same = {name: price[name] for name in ("currency", "price", "cost")}
    return {"product_id": key, **same, "overhead_cost": price["direct_cost"]}


def activity(call: Call, record: Record) -> Record:
    """An activity."""
    place = record["location"] or {}
    parts = {f"location_{name}": place.get(name) for name in ADDRESS_PARTS}
    people = [
        {"person_id": one["person_id"], "primary_flag": one["primary"]}
        for one in record["participants"]
    ]
    linked = call.desk.store.get("deals", record["deal_id"] or 0)
    return {
        **{name: record[name] for name in _ACTIVITY_SAME},
        **_stamps(record),
        "due_time": _minutes(record["due_time"]),
        "duration": _minutes(record["duration"]),
        "marked_as_done_time": sql(record["marked_as_done_time"]),
        "user_id": record["owner_id"],
        "assigned_to_user_id": record["owner_id"],
        "created_by_user_id": record["creator_user_id"],
        "company_id": call.desk.company_id,
        "busy_flag": record["busy"],
        "active_flag": True,
        "participants": people,
        "location": place.get("value"),
        **parts,
        "location_formatted_address": place.get("value"),
        "org_name": named(call, "organizations", record["org_id"]),
        "person_name": named(call, "persons", record["person_id"]),
        "deal_title": linked and linked["title"],
        "owner_name": named(call, "users", record["owner_id"]),
    }


def _minutes(clock: str | None) -> str:
    """HH:MM, and nothing where v2 says null."""
    return clock.rpartition(":")[0] if clock else ""


def pipeline(_: Call, record: Record) -> Record:
    """A pipeline."""
    return {
        "id": record["id"],
        "name": record["name"],
        "url_title": record["name"].replace(" ", "-"),
        "order_nr": record["order_nr"],
        "active": True,
        "deal_probability": record["is_deal_probability_enabled"],
        **_stamps(record),
    }


def stage(_: Call, record: Record) -> Record:
    """A stage."""
    return {
        "id": record["id"],
        "order_nr": record["order_nr"],
        "name": record["name"],
        "active_flag": True,
        "deal_probability": record["deal_probability"],
        "pipeline_id": record["pipeline_id"],
        "rotten_flag": record["is_deal_rot_enabled"],
        "rotten_days": record["days_to_rotten"],
        **_stamps(record),
    }


def user(call: Call, key: int) -> Record:
    """A user where a row names one."""
    found: Any = call.desk.store.get("users", key) or {}
    return {
        "id": key,
        "name": found.get("name", ""),
        "email": found.get("email", ""),
        "has_pic": 0,
        "pic_hash": None,
        "active_flag": found.get("active_flag", False),
        "value": key,
    }
