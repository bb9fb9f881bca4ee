"""Body fields several kinds of record share."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import array, boolean, fields, integer, text
from sandbox.pipedrive.refusals import forbidden, invalid
from sandbox.pipedrive.store import Record

VISIBLE_TO_ALL = {True: 7, False: 3}  # by whether the plan has visibility groups


def default_visibility(call: Call) -> int:
    """The whole company, in the plan's numbering."""
    return VISIBLE_TO_ALL[len(call.desk.plan.visibility) > 2]


def check_visibility(call: Call, checked: Record) -> None:
    """Only the levels of the plan."""
    allowed = call.desk.plan.visibility
    if "visible_to" in checked and checked["visible_to"] not in allowed:
        raise invalid("visible_to", f"Value must be one of {', '.join(map(str, allowed))}")


def check_labels(call: Call, entity: str, checked: Record) -> None:
    """Labels are options of the built-in field label_ids."""
    if "label_ids" in checked:
        most = call.desk.switches.most_labels
        if most and len(checked["label_ids"]) > most:
            raise invalid("label_ids", f"Array must contain at most {most} items")
        known = call.desk.label_options(entity, "label_ids")
        for one in checked["label_ids"]:
            if one not in known:
                raise invalid("label_ids", f"Label with id {one} not found")


label_ids = array(integer())
visible_to = integer()
owner_id = integer()


def contacts(value: Any, where: str) -> list[Record]:
    """E-mails or phones: at most one primary, the first one when none is marked."""
    one = fields(
        {"value": text(255, filled=True), "primary": boolean, "label": text(255)},
        ("value",),
        {"value": None, "primary": False, "label": "work"},
    )
    entries: list[Record] = array(one)(value, where)
    marked = sum(entry["primary"] for entry in entries)
    if marked > 1:
        raise invalid(where, "Only one item can be primary")
    if entries and not marked:
        entries[0]["primary"] = True
    return entries


def check_contacts(call: Call, checked: Record) -> None:
    """Not more e-mails or phones than a person may have."""
    most = call.desk.switches.most_contacts
    for name in ("emails", "phones"):
        if most and len(checked.get(name, ())) > most:
            raise invalid(name, f"Array must contain at most {most} items")


def shown_address(call: Call, address: Record | None) -> Record | None:
    """An address of a built-in field; with the switch on, the whole of it stands there twice."""
    if address is None or call.desk.switches.formatted_address == "off":
        return address
    return {**address, "formatted_address": address["value"]}


def only_with(call: Call, checked: Record, names: frozenset[str], feature: str) -> None:
    """403 for fields that exist only with a feature this account does not have."""
    for name in sorted(names & checked.keys()):
        raise forbidden(f"Field '{name}' is only available when {feature} is enabled")
