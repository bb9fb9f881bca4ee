"""Leads, their labels and their sources (v1, with moments as v2 writes them)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive import index, removal, v1_values
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.currencies import CODES
from sandbox.pipedrive.filtering import narrow
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.moments import is_day, parse_rfc3339
from sandbox.pipedrive.refusals import not_found, over_plan
from sandbox.pipedrive.shared_parts import default_visibility
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import listed, page, refused

MOST_ROWS = 500
LINKS = {"person_id": "persons", "organization_id": "organizations", "owner_id": "users"}
COLOURS = (
    "blue",
    "brown",
    "dark-gray",
    "gray",
    "green",
    "orange",
    "pink",
    "purple",
    "red",
    "yellow",
)
SOURCES = (
    "Manually created",
    "Deal",
    "Web forms",
    "Prospector",
    "Leadbooster",
    "Live chat",
    "Import",
    "Website visitors",
    "Workflow automation",
    "API",
)
_SORTS = (
    "id",
    "title",
    "owner_id",
    "creator_id",
    "was_seen",
    "expected_close_date",
    "add_time",
    "update_time",
)
_FILTERS = ("owner_id", "person_id", "organization_id")


def _invalid(reason: str) -> Any:
    """400 in the words of this service, which differ from those of the rest of v1."""
    return refused(f"ServerError [ERR_INVALID_INPUT]: Invalid input: {reason}")


def _title(_: Call, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _invalid('"title" is not allowed to be empty')
    if len(value) > 255:
        raise _invalid('"title" length must be less than or equal to 255 characters long')
    return value


def _link(name: str) -> Callable[[Call, Any], int | None]:
    def check(call: Call, value: Any) -> int | None:
        if value is None and name != "owner_id":
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise _invalid(f'"{name}" must be a number')
        if not call.desk.store.has(LINKS[name], value):
            raise not_found(name.removesuffix("_id").capitalize())
        return value

    return check


def _label_ids(call: Call, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _invalid('"label_ids" must be an array')
    found = [call.desk.by_uuid("lead_labels", one) for one in value]
    if None in found:
        raise not_found("Lead label")
    return [str(one["uuid"]) for one in found if one is not None]


def _value(_: Call, value: Any) -> Record | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"amount", "currency"}:
        raise _invalid('"value" must contain amount and currency')
    amount = value["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise _invalid('"value.amount" must be a number')
    if value["currency"] not in CODES:
        raise _invalid('"value.currency" must be a valid currency')
    return value


def _day(_: Call, value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and is_day(value)):
        raise _invalid('"expected_close_date" must be in YYYY-MM-DD format')
    return value


def _visible_to(call: Call, value: Any) -> str:
    allowed = [str(one) for one in call.desk.plan.visibility]
    if value not in allowed:
        raise _invalid(f'"visible_to" must be one of [{", ".join(allowed)}]')
    return str(value)


def _boolean(name: str) -> Callable[[Call, Any], bool]:
    def check(_: Call, value: Any) -> bool:
        if not isinstance(value, bool):
            raise _invalid(f'"{name}" must be a boolean')
        return value

    return check


def _text(name: str) -> Callable[[Call, Any], str | None]:
    def check(_: Call, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise _invalid(f'"{name}" must be a string')
        return value

    return check


def _channel(_: Call, value: Any) -> None:
    if value is not None:  # the account has configured none
        raise _invalid('"channel" must be one of the channels of the company')


_CHECKS: dict[str, Callable[[Call, Any], Any]] = {
    "title": _title,
    "owner_id": _link("owner_id"),
    "label_ids": _label_ids,
    "person_id": _link("person_id"),
    "organization_id": _link("organization_id"),
    "value": _value,
    "expected_close_date": _day,
    "visible_to": _visible_to,
    "was_seen": _boolean("was_seen"),
    "channel": _channel,
    "channel_id": _text("channel_id"),
}
_CREATE = {**_CHECKS, "origin_id": _text("origin_id")}
_UPDATE = {**_CHECKS, "is_archived": _boolean("is_archived")}


def _checked(
    call: Call, record: Record, body: Record, checks: dict[str, Callable[[Call, Any], Any]]
) -> Record:
    """The record with the body laid over it; custom fields are those of deals."""
    custom_keys = {key for one in call.desk.custom_fields("deal") for key in v1_values.keys(one)}
    kept = dict(record)
    for name, value in body.items():
        if name in checks:
            kept[name] = checks[name](call, value)
        elif name not in custom_keys:
            raise _invalid(f'"{name}" is not allowed')
    values = {**record["custom_fields"], **v1_values.accept(call.desk, "deal", body)}
    kept["custom_fields"] = {key: one for key, one in values.items() if one is not None}
    if kept["person_id"] is None and kept["organization_id"] is None:
        raise refused('One of the "person_id" or "organization_id" must be set.')
    return kept


def _fresh(call: Call) -> Record:
    return {
        "uuid": call.desk.new_uuid(),
        "title": "",
        "owner_id": call.user_id,
        "creator_id": call.user_id,
        "label_ids": [],
        "person_id": None,
        "organization_id": None,
        "source_name": "API",
        "origin": "API",
        "origin_id": None,
        "channel": None,
        "channel_id": None,
        "source_deal_id": None,
        "is_archived": False,
        "was_seen": False,
        "value": None,
        "expected_close_date": None,
        "next_activity_id": None,
        "add_time": call.now,
        "update_time": call.now,
        "visible_to": str(default_visibility(call)),
        "custom_fields": {},
    }


def _shown(call: Call, record: Record) -> Record:
    hidden = ("id", "uuid", "custom_fields")
    return {
        "id": record["uuid"],
        **{key: value for key, value in record.items() if key not in hidden},
        "cc_email": "stand-in+lead@pipedrivemail.example",
        **v1_values.shown(call.desk, "deal", record["custom_fields"]),
    }


def _need(call: Call, kind: str, what: str) -> Record:
    record = call.desk.by_uuid(kind, call.path["uuid"])
    if record is None:
        raise not_found(what)
    return record


def _create(call: Call) -> Answer:
    body = call.object()
    if "title" not in body:
        raise _invalid('"title" is required')
    record = _checked(call, _fresh(call), body, _CREATE)
    if call.desk.room() < 1:
        raise over_plan("lead", "Leads and deals", "feature_capping_deals_limit")
    record["id"] = call.desk.store.insert("leads", record)
    index.keep(call.desk, "leads", "deal", record)
    return data(_shown(call, record), 201)


def _read(call: Call) -> Answer:
    return data(_shown(call, _need(call, "leads", "Lead")))


def _update(call: Call) -> Answer:
    before = _need(call, "leads", "Lead")
    record = _checked(call, before, call.object(), _UPDATE)
    record["update_time"] = call.now
    call.desk.store.replace("leads", record["id"], record)
    index.keep(call.desk, "leads", "deal", record)
    return data(_shown(call, record))


def _delete(call: Call) -> Answer:
    record = _need(call, "leads", "Lead")
    removal.delete(call.desk, "leads", record)
    return data({"id": record["uuid"]})


def _list(archived: int) -> Callable[[Call], Answer]:
    def collection(call: Call) -> Answer:
        cut = Cut("is_deleted=0", f"is_archived={archived}")
        if not narrow(call, cut, "leads"):
            for name in _FILTERS:
                value = whole(call, name)
                if value is not None:
                    cut.add(f"{name}=?", value)
        if "updated_since" in call.query:
            moment = parse_rfc3339(call.query["updated_since"])
            if moment is None:
                raise _invalid('"updated_since" must be in ISO 8601 date format')
            cut.add("update_time>=?", moment)
        rows, additional = page(call, "leads", cut, _SORTS, MOST_ROWS)
        return listed([_shown(call, row) for row in rows], additional)

    return collection


# -- labels and sources


def new_label(call: Call, name: str, colour: str) -> Record:
    """A label as it is kept."""
    record = {"uuid": call.desk.new_uuid(), "name": name, "color": colour}
    return {**record, "add_time": call.now, "update_time": call.now}


def _label_parts(body: Record) -> Record:
    kept: Record = {}
    for key, value in body.items():
        if key not in ("name", "color"):
            raise _invalid(f'"{key}" is not allowed')
        fits = value in COLOURS if key == "color" else isinstance(value, str) and value.strip()
        if not fits:
            raise _invalid(f'"{key}" is not a valid {key}')
        kept[key] = value
    return kept


def _label_shown(record: Record) -> Record:
    rest = {key: value for key, value in record.items() if key not in ("id", "uuid")}
    return {"id": record["uuid"], **rest}


def _list_labels(call: Call) -> Answer:
    found = call.desk.store.find("lead_labels", "is_deleted=0", ())
    return data([_label_shown(one) for one in found])


def _create_label(call: Call) -> Answer:
    kept = _label_parts(call.object())
    for name in ("name", "color"):
        if name not in kept:
            raise _invalid(f'"{name}" is required')
    record = new_label(call, kept["name"], kept["color"])
    call.desk.store.insert("lead_labels", record)
    return data(_label_shown(record))


def _update_label(call: Call) -> Answer:
    before = _need(call, "lead_labels", "Lead label")
    record = {**before, **_label_parts(call.object()), "update_time": call.now}
    call.desk.store.replace("lead_labels", record["id"], record)
    return data(_label_shown(record))


def _delete_label(call: Call) -> Answer:
    """The label goes, and with it every mention in a lead."""
    record = _need(call, "lead_labels", "Lead label")
    removal.delete(call.desk, "lead_labels", record)
    for lead in call.desk.store.walk("leads"):
        if record["uuid"] in lead["label_ids"]:
            lead["label_ids"].remove(record["uuid"])
            call.desk.store.replace("leads", lead["id"], lead)
    return data({"id": record["uuid"]})


def _list_sources(_: Call) -> Answer:
    return data([{"name": name} for name in SOURCES])


def _operation(
    name: str, verb: str, path: str, cost: int, act: Callable[[Call], Answer]
) -> Operation:
    return Operation(name, "v1", verb, path, cost, act, iso=True)


# Before /leads/{uuid}: the first path that fits is taken.
OPERATIONS = [
    _operation("getArchivedLeads", "GET", "/leads/archived", 40, _list(archived=1)),
    _operation("getLeads", "GET", "/leads", 20, _list(archived=0)),
    _operation("addLead", "POST", "/leads", 10, _create),
    _operation("getLead", "GET", "/leads/{uuid}", 2, _read),
    _operation("updateLead", "PATCH", "/leads/{uuid}", 10, _update),
    _operation("deleteLead", "DELETE", "/leads/{uuid}", 6, _delete),
    _operation("getLeadLabels", "GET", "/leadLabels", 10, _list_labels),
    _operation("addLeadLabel", "POST", "/leadLabels", 10, _create_label),
    _operation("updateLeadLabel", "PATCH", "/leadLabels/{uuid}", 10, _update_label),
    _operation("deleteLeadLabel", "DELETE", "/leadLabels/{uuid}", 6, _delete_label),
    _operation("getLeadSources", "GET", "/leadSources", 2, _list_sources),
]
