"""Values of custom fields: what is accepted for each type and how records show them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.pipedrive.checks import address
from sandbox.pipedrive.currencies import CODES
from sandbox.pipedrive.moments import ZONE, ZONE_ID, is_day
from sandbox.pipedrive.refusals import Refused, invalid
from sandbox.pipedrive.store import Record

if TYPE_CHECKING:
    from sandbox.pipedrive.desk import Desk

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_LONGEST = {"varchar": 255, "varchar_auto": 255, "phone": 255, "text": 65_000}
_SCALARS = {
    **dict.fromkeys(_LONGEST, "string"),
    "double": "number",
    "date": "string",
    "enum": "number",
    "user": "number",
    "org": "number",
    "people": "number",
}
_LINKS = {"user": "users", "org": "organizations", "people": "persons"}
_PARTS = {
    "monetary": ("value", "currency"),
    "daterange": ("value", "until"),
    "time": ("value", "timezone_name", "timezone_id"),
    "timerange": ("value", "until", "timezone_name", "timezone_id"),
}
# Field types whose values the search index holds.
SEARCHABLE = frozenset(
    {"address", "varchar", "text", "varchar_auto", "double", "monetary", "phone"}
)


def accept(desk: Desk, entity: str, given: Any) -> Record:
    """The values to keep, by field code; raises a 400 for the first one that does not fit."""
    if not isinstance(given, dict):
        raise invalid("custom_fields", "Expected a valid object")
    known = {one["field_code"]: one for one in desk.custom_fields(entity)}
    kept: Record = {}
    for code, value in given.items():
        if code not in known:
            raise invalid("custom_fields", f"Unknown key '{code}'")
        kept[code] = None if value is None else _value(desk, entity, known[code], value)
    return kept


def _wrong(reason: str, code: str) -> Refused:
    return invalid("custom_fields", f"{reason} ('{code}')")


def _value(desk: Desk, entity: str, field: Record, value: Any) -> Any:
    kind, code = field["field_type"], field["field_code"]
    if kind in _SCALARS:
        return _scalar(desk, entity, field, value)
    if kind == "set":
        return _options(field, value)
    if not isinstance(value, dict):
        raise _wrong(f"{kind.capitalize()} custom field value expected 'object'", code)
    if kind == "address":
        return address(formatted=True)(value, f"custom_fields.{code}")
    return _compound(desk, kind, code, value)


def _scalar(desk: Desk, entity: str, field: Record, value: Any) -> Any:
    kind, code, wanted = field["field_type"], field["field_code"], _SCALARS[field["field_type"]]
    if isinstance(value, dict | list):
        raise invalid("custom_fields", "Invalid collection")
    fits = (
        isinstance(value, str)
        if wanted == "string"
        else isinstance(value, int | float) and not isinstance(value, bool)
    )
    if not fits:
        raise invalid(
            "custom_fields", f"Expected '{wanted}' as value for {entity} custom field '{code}'"
        )
    if value == "":
        raise _wrong("Empty string is not allowed, use null to clear the value", code)
    if kind in _LONGEST and len(value) > _LONGEST[kind]:
        raise _wrong(f"Value must be at most {_LONGEST[kind]} characters long", code)
    if kind == "date" and not is_day(value):
        raise _wrong("Expected a date in the format YYYY-MM-DD", code)
    if kind == "enum":
        _known_option(field, value)
    if kind in _LINKS and (type(value) is not int or not desk.store.has(_LINKS[kind], value)):
        raise _wrong(f"No {kind} with id {value}", code)
    return value


def _known_option(field: Record, value: Any) -> None:
    if type(value) is not int or all(one["id"] != value for one in field["options"]):
        raise _wrong(f"Invalid option id '{value}'", field["field_code"])


def _options(field: Record, value: Any) -> list[int]:
    code = field["field_code"]
    if not isinstance(value, list):
        raise _wrong("Set custom field value expected 'array'", code)
    if not value:
        raise _wrong("Empty array is not allowed, use null to clear the value", code)
    for one in value:
        _known_option(field, one)
    if len(set(value)) != len(value):
        raise _wrong("Option ids must be unique", code)
    return value


def _compound(desk: Desk, kind: str, code: str, value: Record) -> Record:
    for part in value:
        if part not in _PARTS[kind]:
            raise _wrong(f"Unknown key '{part}'", code)
    if kind == "monetary":
        amount, currency = value.get("value"), value.get("currency")
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise _wrong("Expected 'number' as monetary value", code)
        if not isinstance(currency, str) or currency not in CODES:
            raise _wrong("Invalid currency", code)
        return {"value": amount, "currency": currency}
    ends = ("value", "until") if kind.endswith("range") else ("value",)
    for part in ends:
        said = value.get(part)
        fits = is_day(said) if kind == "daterange" and isinstance(said, str) else _is_clock(said)
        if not fits:
            raise _wrong(f"Invalid {part} of {kind}", code)
    kept = {part: value[part] for part in ends}
    if kind != "daterange":
        kept["timezone_id"] = value.get("timezone_id") or ZONE_ID
        kept["timezone_name"] = value.get("timezone_name") or ZONE
    return kept


def _is_clock(said: Any) -> bool:
    return isinstance(said, str) and _CLOCK.fullmatch(said) is not None


def shown(
    desk: Desk, entity: str, values: Record, only: Iterable[str] = (), *, labels: bool = False
) -> Record:
    """The custom_fields object of a record: every defined field, null when unset."""
    wanted = set(only)
    seen: Record = {}
    for field in desk.custom_fields(entity):
        code = field["field_code"]
        if wanted and code not in wanted:
            continue
        value = values.get(code)
        seen[code] = _labelled(field, value) if labels else value
    return seen


def _labelled(field: Record, value: Any) -> Any:
    if value is None or field["field_type"] not in ("enum", "set"):
        return value
    known = {one["id"]: one["label"] for one in field["options"]}
    if isinstance(value, list):
        return [{"id": one, "label": known.get(one, "")} for one in value]
    return {"id": value, "label": known.get(value, "")}


def searchable(desk: Desk, entity: str, values: Record) -> Iterable[tuple[str, str]]:
    """(field code, text) of every value the search index holds."""
    for field in desk.custom_fields(entity):
        value = values.get(field["field_code"])
        if value is None or field["field_type"] not in SEARCHABLE:
            continue
        if isinstance(value, dict):
            value = value["value"]
        yield field["field_code"], str(value)
