"""Persons (v2)."""

from __future__ import annotations

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import (
    address,
    array,
    boolean,
    day,
    fields,
    integer,
    moment,
    nullable,
    one_of,
    text,
)
from sandbox.pipedrive.entity import Entity, nothing_yet
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.organizations import counts
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.shared_parts import (
    check_contacts,
    check_labels,
    check_visibility,
    contacts,
    default_visibility,
    label_ids,
    only_with,
    owner_id,
    shown_address,
    visible_to,
)
from sandbox.pipedrive.store import Record

_SYNCED = frozenset({"postal_address", "notes", "im", "birthday", "job_title"})
_im = fields({"value": text(255), "primary": boolean, "label": text(255)}, ("value",))


def _fresh(call: Call) -> Record:
    record: Record = {
        "name": "",
        "first_name": None,
        "last_name": None,
        "owner_id": call.user_id,
        "org_id": None,
        "add_time": call.now,
        "update_time": call.now,
        "emails": [],
        "phones": [],
        "is_deleted": False,
        "visible_to": default_visibility(call),
        "label_ids": [],
        "picture_id": None,
        "custom_fields": {},
    }
    if call.desk.switches.contact_sync == "on":
        record |= {"postal_address": None, "notes": None, "im": [], "birthday": None}
        record["job_title"] = None
    return record


def _settle(call: Call, record: Record, checked: Record, before: Record | None) -> None:
    if call.desk.switches.contact_sync == "off":
        only_with(call, checked, _SYNCED, "contact sync")
    only_with(call, checked, frozenset({"marketing_status"}), "the Campaigns product")
    check_visibility(call, checked)
    check_contacts(call, checked)
    check_labels(call, "person", checked)
    _name(record, checked)
    if before is None and not record["name"]:
        raise invalid("name", "Required field is missing")


def _name(record: Record, checked: Record) -> None:
    """The whole name follows its parts, and the parts follow the whole."""
    if "first_name" in checked or "last_name" in checked:
        parts = (record["first_name"], record["last_name"])
        record["name"] = " ".join(part for part in parts if part)
        if not record["name"]:
            raise invalid("name", "Value cannot be an empty string")
    elif "name" in checked:
        first, _, last = record["name"].strip().partition(" ")
        record["first_name"], record["last_name"] = first, last.strip() or None


def _show(call: Call, record: Record) -> None:
    if "postal_address" in record:
        record["postal_address"] = shown_address(call, record["postal_address"])


def _narrow(call: Call, cut: Cut) -> None:
    deal = whole(call, "deal_id")
    if deal is not None and "filter_id" not in call.query:
        cut.add("id IN (SELECT person_id FROM deals WHERE id=? AND is_deleted=0)", deal)


_DEALS = ("participant_open_deals_count", "participant_closed_deals_count")
PERSONS = Entity(
    kind="persons",
    entity="person",
    operation="Person",
    parts={
        "name": text(255, filled=True),
        "first_name": nullable(text(255)),
        "last_name": nullable(text(255)),
        "owner_id": owner_id,
        "org_id": nullable(integer()),
        "emails": contacts,
        "phones": contacts,
        "visible_to": visible_to,
        "label_ids": label_ids,
        "postal_address": nullable(address()),
        "notes": text(10_000),
        "im": array(_im),
        "birthday": day,
        "job_title": text(255),
        "marketing_status": one_of(("no_consent", "unsubscribed", "subscribed", "archived")),
        "custom_fields": lambda value, _: value,
    },
    create_only={"add_time": moment},
    required=(),
    links={"owner_id": "users", "org_id": "organizations"},
    filters=("owner_id", "org_id"),
    fresh=_fresh,
    settle=_settle,
    show=_show,
    narrow=_narrow,
    narrowed=("deal_id",),
    extras={
        **counts("person_id"),
        **dict.fromkeys(_DEALS, nothing_yet(0)),
        "last_incoming_mail_time": nothing_yet(None),
        "last_outgoing_mail_time": nothing_yet(None),
        "marketing_status": nothing_yet("no_consent"),
        "doi_status": nothing_yet(1),
    },
)
OPERATIONS = PERSONS.operations()
