"""The field definitions every account has from the start."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.pipedrive.checks import ADDRESS_PARTS
from sandbox.pipedrive.store import Record

_SHARED = (
    ("ID", "id", "int"),
    ("Owner", "owner_id", "user"),
    ("Visible to", "visible_to", "visible_to"),
    ("Labels", "label_ids", "set"),
    ("Created", "add_time", "date"),
    ("Update time", "update_time", "date"),
)
_OWN = {
    "organization": (
        ("Name", "name", "varchar"),
        ("Address", "address", "address"),
        ("Website", "website", "varchar"),
        ("LinkedIn profile", "linkedin", "varchar"),
        ("Industry", "industry", "enum"),
        ("Annual revenue", "annual_revenue", "double"),
        ("Number of employees", "employee_count", "double"),
        *_SHARED,
    ),
    "person": (
        ("Name", "name", "varchar"),
        ("First name", "first_name", "varchar"),
        ("Last name", "last_name", "varchar"),
        ("Phone", "phones", "phone"),
        ("Email", "emails", "varchar"),
        ("Organization", "org_id", "org"),
        *_SHARED,
    ),
    "deal": (
        ("Title", "title", "varchar"),
        ("Value", "value", "monetary"),
        ("Status", "status", "status"),
        ("Contact person", "person_id", "people"),
        ("Organization", "org_id", "org"),
        ("Pipeline", "pipeline_id", "double"),
        ("Stage", "stage_id", "stage"),
        ("Probability", "probability", "int"),
        ("Expected close date", "expected_close_date", "date"),
        ("Won time", "won_time", "date"),
        ("Lost time", "lost_time", "date"),
        ("Lost reason", "lost_reason", "varchar_options"),
        *_SHARED,
    ),
    "product": (
        ("Name", "name", "varchar"),
        ("Product code", "code", "varchar"),
        ("Description", "description", "text"),
        ("Unit", "unit", "varchar"),
        ("Tax", "tax", "double"),
        ("Category", "category", "enum"),
        ("Unit prices", "prices", "price_list"),
        ("Billing frequency", "billing_frequency", "billing_frequency"),
        ("ID", "id", "int"),
        ("Owner", "owner_id", "user"),
        ("Visible to", "visible_to", "visible_to"),
        ("Created", "add_time", "date"),
        ("Update time", "update_time", "date"),
    ),
    "activity": (
        ("ID", "id", "int"),
        ("Subject", "subject", "varchar"),
        ("Type", "type", "enum"),
        ("Assigned to user", "owner_id", "user"),
        ("Due date", "due_date", "date"),
        ("Due time", "due_time", "time"),
        ("Duration", "duration", "time"),
        ("Done", "done", "boolean"),
        ("Deal", "deal_id", "deal"),
        ("Contact person", "person_id", "people"),
        ("Organization", "org_id", "org"),
        ("Location", "location", "address"),
        ("Priority", "priority", "enum"),
        ("Outcome", "outcome", "enum"),
        ("Note", "note", "text"),
    ),
    "project": (
        ("ID", "id", "int"),
        ("Project name", "title", "varchar"),
        ("Description", "description", "text"),
        ("Status", "status", "status"),
        ("Board", "board_id", "projects_board"),
        ("Phase", "phase_id", "projects_phase"),
        ("Owner", "owner_id", "user"),
        ("Start date", "start_date", "date"),
        ("End date", "end_date", "date"),
        ("Deals", "deal_ids", "deals"),
        ("Contact person", "person_id", "people"),
        ("Organization", "org_id", "org"),
        ("Labels", "label_ids", "set"),
        ("Created", "add_time", "date"),
        ("Update time", "update_time", "date"),
    ),
}
# Options known from the start; their ids are given out in this order.
_OPTIONS = {
    ("organization", "label_ids"): ("Customer", "Hot lead"),
    ("organization", "industry"): ("Construction", "Energy", "Manufacturing", "Retail"),
    ("person", "label_ids"): ("Customer", "Hot lead"),
    ("deal", "label_ids"): ("Hot", "Warm", "Cold"),
    ("product", "category"): ("Material", "Mano de obra"),
    ("activity", "priority"): ("High", "Medium", "Low"),
}
_COLOURS = ("green", "blue", "red", "yellow")


def built_in(entity: str, new_id: int, when: str) -> Iterator[Record]:
    """The definitions of one entity; option ids count up from `new_id`."""
    for name, code, kind in _OWN[entity]:
        options = None
        if kind in ("enum", "set"):
            options = [
                option(new_id + at, label, when)
                for at, label in enumerate(_OPTIONS.get((entity, code), ()))
            ]
            new_id += len(options)
        yield definition(entity, name, code, kind, options, custom=False, when=when)


def option(key: int, label: str, when: str) -> Record:
    """One choice of an enum or set field."""
    colour = _COLOURS[key % len(_COLOURS)]
    return {"id": key, "label": label, "color": colour, "update_time": when, "add_time": when}


def definition(
    entity: str,
    name: str,
    code: str,
    kind: str,
    options: list[Record] | None,
    *,
    custom: bool,
    when: str,
) -> Record:
    """A field definition with nothing special about it."""
    return {
        "entity": entity,
        "field_name": name,
        "field_code": code,
        "description": None,
        "field_type": kind,
        "options": options,
        "subfields": _subfields(name, kind),
        "is_custom_field": custom,
        "is_optional_response_field": False,
        "add_time": when,
        "update_time": when,
        **_display(entity),
    }


def _display(entity: str) -> Record:
    seen: Record = {"add_visible_flag": False, "details_visible_flag": True}
    if entity == "deal":
        seen["projects_detail_visible_flag"] = False
        seen["show_in_pipelines"] = {"show_in_all": True, "pipeline_ids": []}
    if entity in ("person", "organization"):
        seen["show_in_add_deal_dialog"] = {"show": False, "order": None}
    if entity == "organization":
        seen["show_in_add_person_dialog"] = {"show": False, "order": None}
    required: Record = {"enabled": False}
    if entity == "deal":
        required |= {"stage_ids": [], "statuses": {}}
    return {
        "ui_visibility": seen,
        "important_fields": {"enabled": False, "stage_ids": []},
        "required_fields": required,
    }


def _subfields(name: str, kind: str) -> list[Record] | None:
    parts = {
        "monetary": (("value", "Amount", "double"), ("currency", "Currency", "varchar")),
        "daterange": (("value", "Start date", "date"), ("until", "End date", "date")),
        "time": (("value", "Time", "time"), ("timezone_id", "Time zone", "int")),
        "timerange": (
            ("value", "Start time", "time"),
            ("until", "End time", "time"),
            ("timezone_id", "Time zone", "int"),
        ),
        "address": tuple(
            (part, part.replace("_", " ").capitalize(), "varchar")
            for part in ("value", *ADDRESS_PARTS, "formatted_address")
        ),
    }
    if kind not in parts:
        return None
    return [
        {"field_code": code, "field_name": f"{label} of {name}", "field_type": own}
        for code, label, own in parts[kind]
    ]
