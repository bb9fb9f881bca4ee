"""Persons who take part in a deal (v1)."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive import changes, removal, v1_rows
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, integer, refused

MOST_ROWS = 500
_HISTORY = "deals participants"


def _find(call: Call, deal: int, person: int) -> Record | None:
    where = "deal_id=? AND person_id=? AND is_deleted=0"
    found = call.desk.store.find("participants", where, (deal, person), limit=1)
    return found[0] if found else None


def _add(call: Call, deal: int, person: int) -> Record:
    record: Record = {"deal_id": deal, "person_id": person, "active_flag": True}
    record |= {"add_time": call.desk.sql_now(), "user_id": call.user_id}
    record["id"] = call.desk.store.insert("participants", record)
    changes.came(call.desk, _HISTORY, deal, person, call.user_id)
    return record


def _all(call: Call, deal: Record) -> list[Record]:
    """Everybody; the person the deal is linked to takes part without having been added."""
    linked = deal["person_id"]
    if linked is not None and _find(call, deal["id"], linked) is None:
        _add(call, deal["id"], linked)
    where = "deal_id=? AND is_deleted=0"
    return call.desk.store.find("participants", where, (deal["id"],))


def _person(call: Call, record: Record) -> Record:
    """The person as this list shows it: the organization and the owner are objects."""
    key = record["org_id"]
    company: Any = call.desk.store.get("organizations", key) if key is not None else None
    return {
        **v1_rows.person(call, record),
        "owner_id": v1_rows.user(call, record["owner_id"]),
        "org_id": company and {**organization(call, company), "value": key},
    }


def organization(call: Call, record: Record) -> Record:
    """An organization where a row names one."""
    return {
        "name": record["name"],
        "people_count": call.desk.store.number("persons", "org_id", record["id"]),
        "owner_id": record["owner_id"],
        "address": (record["address"] or {}).get("value"),
        "active_flag": True,
        "cc_email": None,
    }


def contact(record: Record) -> Record:
    """A person where a row names one."""
    return {
        "active_flag": True,
        "name": record["name"],
        "email": record["emails"],
        "phone": record["phones"],
        "owner_id": record["owner_id"],
    }


def _shown(call: Call, deal: Record, record: Record, person: Record) -> Record:
    head = {"company_id": call.desk.company_id, "value": person["id"]}
    return {
        "id": record["id"],
        "person_id": {**contact(person), **head},
        "add_time": record["add_time"],
        "active_flag": record["active_flag"],
        "related_item_data": {"deal_id": deal["id"], "title": deal["title"]},
        "person": _person(call, person),
        "added_by_user_id": v1_rows.user(call, record["user_id"]),
        "related_item_type": "deal",
        "related_item_id": deal["id"],
    }


def _answer(call: Call, deal: Record, records: list[Record], *, listed: bool) -> Answer:
    known = call.desk.store.many("persons", [one["person_id"] for one in records])
    people = [known[one["person_id"]] for one in records]
    pairs = zip(records, people, strict=True)
    seen = [_shown(call, deal, record, person) for record, person in pairs]
    users = {one["user_id"] for one in records} | {one["owner_id"] for one in people}
    related: Record = {
        "user": {str(key): _without_value(v1_rows.user(call, key)) for key in sorted(users)},
        "person": {str(one["id"]): {"id": one["id"], **contact(one)} for one in people},
    }
    body = {"success": True, "data": seen if listed else seen[0], "related_objects": related}
    return Answer(body)


def _without_value(user: Record) -> Record:
    return {key: value for key, value in user.items() if key != "value"}


def _list(call: Call) -> Answer:
    deal = DEALS.need(call)
    rows, additional = cut_out(call, _all(call, deal), MOST_ROWS)
    answer = _answer(call, deal, rows, listed=True)
    answer.body["data"] = answer.body["data"] or None
    answer.body["additional_data"] = additional
    return answer


def _create(call: Call) -> Answer:
    deal, body = DEALS.need(call), call.object()
    if body.get("person_id") is None:
        raise refused("person_id is required")
    person = integer(body["person_id"], "person_id")
    if not call.desk.store.has("persons", person):
        raise not_found("Person")
    if any(one["person_id"] == person for one in _all(call, deal)):
        raise refused("Person is already a participant of the deal")
    return _answer(call, deal, [_add(call, deal["id"], person)], listed=False)


def _delete(call: Call) -> Answer:
    deal, key = DEALS.need(call), call.key("deal_participant_id")
    record = next((one for one in _all(call, deal) if one["id"] == key), None)
    if record is None:
        raise not_found("Participant")
    if record["person_id"] == deal["person_id"]:
        # Not published; to take the person off the deal itself would be the other reading.
        raise refused("The person linked to the deal cannot be removed from its participants")
    removal.delete(call.desk, "participants", record)
    changes.went(call.desk, _HISTORY, deal["id"], record["person_id"], call.user_id)
    return Answer({"success": True, "data": {"id": record["id"]}})


_ALL = "/deals/{id}/participants"
OPERATIONS = [
    Operation("getDealParticipants", "v1", "GET", _ALL, 10, _list),
    Operation("addDealParticipant", "v1", "POST", _ALL, 10, _create),
    Operation(
        "deleteDealParticipant", "v1", "DELETE", f"{_ALL}/{{deal_participant_id}}", 6, _delete
    ),
]
