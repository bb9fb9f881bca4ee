"""Values of custom fields as v1 has them: flat on the record, parts under longer keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.pipedrive import custom
from sandbox.pipedrive.checks import ADDRESS_PARTS
from sandbox.pipedrive.desk import Desk
from sandbox.pipedrive.store import Record

# field type -> the parts of a v2 value that stand under a key of their own in v1
_PARTS = {
    "monetary": ("currency",),
    "daterange": ("until",),
    "time": ("timezone_id",),
    "timerange": ("until", "timezone_id"),
    "address": (*ADDRESS_PARTS, "formatted_address"),
}
_DIGITS = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def keys(field: Record) -> list[str]:
    """Every key one field may have on a v1 record."""
    code = field["field_code"]
    return [code, *(f"{code}_{part}" for part in _PARTS.get(field["field_type"], ()))]


def shown(desk: Desk, entity: str, values: Mapping[str, Any]) -> Record:
    """The set values, flat; those that were never set do not appear."""
    seen: Record = {}
    for field in desk.custom_fields(entity):
        if field["field_code"] in values:
            seen |= _flat(field, values[field["field_code"]])
    return seen


def _flat(field: Record, value: Any) -> Record:
    code, kind = field["field_code"], field["field_type"]
    if kind == "enum":
        return {code: str(value)}
    if kind == "set":
        return {code: ",".join(map(str, value))}
    if kind not in _PARTS:
        return {code: value}
    rest = {f"{code}_{part}": value.get(part) for part in _PARTS[kind]}
    return {code: value["value"], **rest}


def accept(desk: Desk, entity: str, body: Record) -> Record:
    """The values to keep, from the flat keys of a body; 400 for one that does not fit."""
    given: Record = {}
    for field in desk.custom_fields(entity):
        code = field["field_code"]
        if code in body:
            given[code] = _v2_value(field, body)
    return custom.accept(desk, entity, given)


def _v2_value(field: Record, body: Record) -> Any:
    code, kind = field["field_code"], field["field_type"]
    value = body[code]
    if value is None or value == "":
        return None
    if kind in ("enum", "user", "org", "people"):
        return _whole(value)
    if kind == "set":
        parts = value.split(",") if isinstance(value, str) else value
        return [_whole(one) for one in (parts if isinstance(parts, list) else [parts])]
    if kind == "double":
        return _number(value)
    if kind not in _PARTS:
        return value
    parts = {part: body.get(f"{code}_{part}") for part in _PARTS[kind]}
    given = {part: said for part, said in parts.items() if said is not None}
    return {"value": _number(value) if kind == "monetary" else value, **given}


def _whole(value: Any) -> Any:
    """v1 takes a number written as text; what is none is left for the check to refuse."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if _DIGITS.fullmatch(text) else value


def _number(value: Any) -> Any:
    fits = isinstance(value, str) and _NUMBER.fullmatch(value)
    return float(value) if fits else value
