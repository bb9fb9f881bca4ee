"""Organizations (v2)."""

from __future__ import annotations

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import address, integer, moment, nullable, text
from sandbox.pipedrive.entity import Entity, Extra, counter, nothing_yet
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.shared_parts import (
    check_labels,
    check_visibility,
    default_visibility,
    label_ids,
    owner_id,
    shown_address,
    visible_to,
)
from sandbox.pipedrive.store import Record

DEAL_COUNTS = {
    "open_deals_count": "AND status='open'",
    "closed_deals_count": "AND status IN ('won', 'lost')",
    "won_deals_count": "AND status='won'",
    "lost_deals_count": "AND status='lost'",
}


def counts(column: str) -> dict[str, Extra]:
    """The optional counters persons and organizations share."""
    extras: dict[str, Extra] = {
        "next_activity_id": nothing_yet(None),
        "last_activity_id": nothing_yet(None),
        "email_messages_count": nothing_yet(0),
        "followers_count": counter("followers", column),
        "activities_count": counter("activities", column),
        "done_activities_count": counter("activities", column, "AND done=1"),
        "undone_activities_count": counter("activities", column, "AND done=0"),
        "files_count": counter("files", column),
        "notes_count": counter("notes", column),
        "smart_bcc_email": nothing_yet("stand-in@pipedrivemail.example"),
    }
    for name, extra in DEAL_COUNTS.items():
        extras[name] = counter("deals", column, extra)
        extras[f"related_{name}"] = nothing_yet(0)
    return extras


def _fresh(call: Call) -> Record:
    return {
        "name": "",
        "owner_id": call.user_id,
        "add_time": call.now,
        "update_time": call.now,
        "is_deleted": False,
        "visible_to": default_visibility(call),
        "address": None,
        "label_ids": [],
        "website": None,
        "linkedin": None,
        "industry": None,
        "annual_revenue": None,
        "employee_count": None,
        "custom_fields": {},
    }


def _settle(call: Call, _: Record, checked: Record, __: Record | None) -> None:
    check_visibility(call, checked)
    check_labels(call, "organization", checked)
    industry = checked.get("industry")
    if industry is not None and industry not in call.desk.label_options("organization", "industry"):
        raise invalid("industry", f"Invalid option id '{industry}'")


def _show(call: Call, record: Record) -> None:
    record["address"] = shown_address(call, record["address"])


ORGANIZATIONS = Entity(
    kind="organizations",
    entity="organization",
    operation="Organization",
    parts={
        "name": text(255, filled=True),
        "owner_id": owner_id,
        "visible_to": visible_to,
        "label_ids": label_ids,
        "address": nullable(address()),
        "website": nullable(text()),
        "linkedin": nullable(text()),
        "industry": nullable(integer()),
        "annual_revenue": nullable(integer()),
        "employee_count": nullable(integer()),
        "custom_fields": lambda value, _: value,
    },
    create_only={"add_time": moment},
    required=("name",),
    links={"owner_id": "users"},
    filters=("owner_id",),
    fresh=_fresh,
    settle=_settle,
    show=_show,
    extras={**counts("org_id"), "people_count": counter("persons", "org_id")},
)
OPERATIONS = ORGANIZATIONS.operations()
