"""Activities (v2)."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import (
    Check,
    address,
    array,
    boolean,
    day,
    duration,
    fields,
    hour_minute,
    integer,
    nullable,
    text,
)
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.refusals import Refused, invalid
from sandbox.pipedrive.sanitise import sanitise
from sandbox.pipedrive.shared_parts import owner_id, shown_address
from sandbox.pipedrive.store import Record

MOST_NOTE_BYTES = 100 * 1024
_READ_ONLY_PERSON = (
    "'person_id' is a read-only field. Add a primary participant to set 'person_id' instead."
    ' For example: "participants": [{ "person_id": 1, "primary": true }]'
)
_participant = fields(
    {"person_id": integer(), "primary": boolean}, ("person_id",), {"person_id": 0, "primary": False}
)
_attendee = fields(
    {
        "email": text(255, filled=True),
        "name": text(255),
        "status": text(255),
        "is_organizer": boolean,
        "person_id": nullable(integer()),
        "user_id": nullable(integer()),
    },
    ("email",),
)


def _fresh(call: Call) -> Record:
    return {
        "subject": "",
        "type": None,
        "owner_id": call.user_id,
        "creator_user_id": call.user_id,
        "is_deleted": False,
        "add_time": call.now,
        "update_time": call.now,
        "deal_id": None,
        "lead_id": None,
        "person_id": None,
        "org_id": None,
        "project_id": None,
        "due_date": None,
        "due_time": None,
        "duration": None,
        "busy": False,
        "done": False,
        "marked_as_done_time": None,
        "location": None,
        "participants": [],
        "attendees": [],
        "conference_meeting_client": None,
        "conference_meeting_url": None,
        "conference_meeting_id": None,
        "public_description": None,
        "priority": None,
        "outcome": None,
        "note": None,
    }


def _body(call: Call, body: Record) -> Record:
    if "person_id" in body:
        # Word for word what users of an automation tool were shown (n8n, issue 31684).
        raise Refused(400, _READ_ONLY_PERSON, "ERR_BAD_REQUEST")
    if call.desk.switches.due_seconds == "accept":
        body = dict(body)
        for name in ("due_time", "duration"):
            said = body.get(name)
            if isinstance(said, str) and said.count(":") == 2:
                body[name] = said.rpartition(":")[0]
    return body


def _settle(call: Call, record: Record, checked: Record, before: Record | None) -> None:
    _one_parent(call, record, checked)
    _type(call, record, checked)
    _people(call, record, checked)
    for name in ("priority", "outcome"):
        chosen = checked.get(name)
        known = call.desk.label_options("activity", name)
        if chosen is not None and known and chosen not in known:
            raise invalid(name, f"Invalid option id '{chosen}'")
    if "note" in checked:
        if len(checked["note"].encode()) > MOST_NOTE_BYTES:
            raise invalid("note", "Note must not exceed 100 KB")
        record["note"] = sanitise(checked["note"])
    was_done = before is not None and before["done"]
    if record["done"] and not was_done:
        record["marked_as_done_time"] = call.now
    elif not record["done"]:
        record["marked_as_done_time"] = None


def _one_parent(call: Call, record: Record, checked: Record) -> None:
    """A deal wins over a lead, a lead over a project; projects do not exist here."""
    if checked.get("deal_id") is not None:
        record["lead_id"] = record["project_id"] = None
        return
    if checked.get("project_id") is not None:
        raise invalid("project_id", "Project not found")
    if checked.get("lead_id") is not None:
        lead = call.desk.by_uuid("leads", checked["lead_id"])
        if lead is None:
            raise invalid("lead_id", "Lead not found")
        record |= {"lead_id": lead["uuid"], "deal_id": None}


def _type(call: Call, record: Record, checked: Record) -> None:
    where, values = "is_deleted=0", []
    if record["type"] is not None:
        where, values = "is_deleted=0 AND key_string=?", [record["type"]]
    found = call.desk.store.find("activity_types", where, values, limit=1)
    if not found and "type" in checked:
        raise invalid("type", f"Activity type '{record['type']}' not found")
    if found:
        record["type"] = found[0]["key_string"]
    if not record["subject"]:
        record["subject"] = found[0]["name"] if found else "Activity"


def _people(call: Call, record: Record, checked: Record) -> None:
    """The activity's person is its primary participant, the first one if none is marked."""
    if "participants" in checked:
        people: list[Any] = record["participants"]
        for at, one in enumerate(people):
            call.desk.need("persons", one["person_id"], f"participants[{at}].person_id")
        if sum(one["primary"] for one in people) > 1:
            raise invalid("participants", "Only one participant can be primary")
        if people and not any(one["primary"] for one in people):
            people[0]["primary"] = True
        primary = [one["person_id"] for one in people if one["primary"]]
        record["person_id"] = primary[0] if primary else None
    for at, one in enumerate(checked.get("attendees", ())):
        for name, kind in (("person_id", "persons"), ("user_id", "users")):
            call.desk.need(kind, one.get(name), f"attendees[{at}].{name}")


def _show(call: Call, record: Record) -> None:
    switches = call.desk.switches
    del record["attendees"]  # only on request
    if switches.activity_times == "minutes":
        for name in ("due_time", "duration"):
            record[name] = record[name] and record[name].rpartition(":")[0]
    if switches.primary_flag != "off":
        keep = switches.primary_flag == "beside"
        record["participants"] = [_flagged(one, keep=keep) for one in record["participants"]]
    record["location"] = shown_address(call, record["location"])


def _flagged(participant: Record, *, keep: bool) -> Record:
    """A participant with the name `primary` had in v1, beside it or in its place."""
    left = {key: value for key, value in participant.items() if keep or key != "primary"}
    return {**left, "primary_flag": participant["primary"]}


_PARTS: dict[str, Check] = {
    "subject": text(255),
    "type": text(255),
    "owner_id": owner_id,
    "deal_id": nullable(integer()),
    "lead_id": nullable(text()),
    "org_id": nullable(integer()),
    "project_id": nullable(integer()),
    "due_date": day,
    "due_time": hour_minute,
    "duration": duration,
    "busy": boolean,
    "done": boolean,
    "location": nullable(address()),
    "participants": array(_participant),
    "attendees": array(_attendee),
    "public_description": text(),
    "priority": integer(),
    "outcome": nullable(integer()),
    "note": text(),
}
ACTIVITIES = Entity(
    kind="activities",
    entity="activity",
    operation="Activity",
    parts=_PARTS,
    create_only={},
    required=(),
    links={"owner_id": "users", "deal_id": "deals", "org_id": "organizations"},
    filters=("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done"),
    fresh=_fresh,
    body=_body,
    settle=_settle,
    show=_show,
    extras={"attendees": lambda _, record: record["attendees"]},
    custom=False,
    labels=False,
)
OPERATIONS = ACTIVITIES.operations()
