"""What a saved filter lets through: its conditions as SQL over the rows of one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.store import Record

if TYPE_CHECKING:
    from sandbox.pipedrive.call import Call
    from sandbox.pipedrive.desk import Desk

# type of a filter -> (table it is for, entity its conditions may name)
TYPES = {
    "deals": ("deals", "deal"),
    "leads": ("leads", "deal"),
    "org": ("organizations", "organization"),
    "people": ("persons", "person"),
    "products": ("products", "product"),
    "activity": ("activities", "activity"),
    "projects": ("", "project"),  # nothing of this kind is here
}
MOST_CONDITIONS = 16
_COMPARED = ("=", "!=", "<", ">", "<=", ">=")
_LIKE = {"LIKE '$%'": ("", "%"), "LIKE '%$%'": ("%", "%"), "NOT LIKE '$%'": ("", "%")}
OPERATORS = (*_COMPARED, *_LIKE, "IS NULL", "IS NOT NULL")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def narrow(call: Call, cut: Cut, kind: str) -> bool:
    """Cut a list by `filter_id`; whether one was given: other parameters do not count then."""
    key = whole(call, "filter_id")
    if key is None:
        return False
    saved = call.desk.store.get("filters", key)
    if saved is None or TYPES[saved["type"]][0] != kind:
        raise not_found("Filter")
    condition, values = _group(call.desk, saved["conditions"])
    cut.add(condition, *values)
    return True


def _group(desk: Desk, group: Record) -> tuple[str, list[Any]]:
    """A group of conditions; an empty one lets everything through."""
    parts, values = [], []
    for one in group["conditions"]:
        inner = _group if "conditions" in one else _condition
        said, more = inner(desk, one)
        parts.append(f"({said})")
        values += more
    glue = f" {group['glue'].upper()} "
    return glue.join(parts) or "1", values


def field_of(desk: Desk, condition: Record) -> Record | None:
    """The definition a condition names by number."""
    for field in desk.fields(condition["object"]):
        if str(field["id"]) == str(condition["field_id"]):
            return field
    return None


def _condition(desk: Desk, condition: Record) -> tuple[str, list[Any]]:
    field = field_of(desk, condition)
    if field is None:  # it was deleted since: no row has it
        return "0", []
    operator, value = condition["operator"], condition["value"]
    place, path = _place(field)
    if operator in ("IS NULL", "IS NOT NULL"):
        word = "NOT " if operator == "IS NOT NULL" else ""
        return f"{word}COALESCE({place}, '') IN ('', '[]')", [path]
    if operator in _LIKE:
        before, after = _LIKE[operator]
        word = "NOT " if operator.startswith("NOT") else ""
        return f"{word}COALESCE({place}, '') LIKE ?", [path, f"{before}{value}{after}"]
    if field["field_type"] == "set":
        word = "NOT " if operator == "!=" else ""
        held = f"EXISTS (SELECT 1 FROM json_each({place}) WHERE CAST(value AS TEXT)=?)"
        return f"{word}{held}", [path, str(value)]
    return _compared(place, path, operator, value)


def _compared(place: str, path: str, operator: str, value: Any) -> tuple[str, list[Any]]:
    if _NUMBER.fullmatch(str(value)):
        return f"CAST({place} AS REAL) {operator} ?", [path, float(value)]
    return f"CAST({place} AS TEXT) {operator} ?", [path, str(value)]


def _place(field: Record) -> tuple[str, str]:
    """The SQL that reads the field's value, and the path it is given."""
    code = field["field_code"]
    path = f'$.custom_fields."{code}"' if field["is_custom_field"] else f'$."{code}"'
    if field["subfields"] and (field["is_custom_field"] or field["field_type"] == "address"):
        path += ".value"
    return "json_extract(body, ?)", path
