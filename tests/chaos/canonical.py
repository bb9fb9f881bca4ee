"""A destination account in words: what it holds, told without its ids and its stamps.

Two accounts that hold the same records in the same places give the same lines, whichever ids and
field codes they drew and whenever they were written. A row is named by what it is: our key where it
carries one, otherwise its name; a stage by its pipeline and its name; an option by its label.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]  # {"resource", "id", "record"}, as the sandbox dumps it

KEY = "STEL key"  # the custom field that holds our key
ENTITIES = {"organizations": "organization", "persons": "person", "deals": "deal", "products": "product"}
LINKS = {
    "owner_id": "users", "user_id": "users", "creator_user_id": "users", "org_id": "organizations", "person_id": "persons",
    "deal_id": "deals", "product_id": "products", "stage_id": "stages", "pipeline_id": "pipelines", "activity_id": "activities",
}  # fmt: skip
# When a row was written says nothing about what it holds. `add_time` counts where we set it.
TIMELESS = "contacts/"  # STEL has no creation time of contacts
STAMPS = ("id", "update_time", "stage_change_time", "marked_as_done_time", "last_update_user_id", "file_name", "field_code")
OWN_TIME = ("organizations", "persons", "notes")


def describe(rows: Iterable[Row]) -> Counter[str]:
    """Every row as one line of JSON without ids and stamps, with how often it occurs."""
    book = _Book(list(rows))
    return Counter(
        json.dumps([row["resource"], book.row(row["resource"], row["record"])], sort_keys=True, ensure_ascii=False)
        for row in book.rows
    )


def difference(found: Counter[str], wanted: Counter[str]) -> tuple[list[str], list[str]]:
    """Lines too many and lines missing in what was found."""
    return sorted((found - wanted).elements()), sorted((wanted - found).elements())


def doubled(rows: Iterable[Row]) -> list[str]:
    """Source keys that more than one row of a resource carries."""
    book = _Book(list(rows))
    keys = Counter((row["resource"], key) for row in book.rows if (key := book.key(row["resource"], row["record"])))
    return sorted(f"{resource} {key}: {many} rows" for (resource, key), many in keys.items() if many > 1)


LAST_CHANGE = ("update_time", "stage_change_time", "last_update_user_id")  # by whom and when: nobody can take that back


def unchanged(rows: Iterable[Row]) -> list[str]:
    """Every row with its ids, but without its last change: the same account, not one like it."""
    return sorted(json.dumps([row["resource"], row["id"], _held(row["record"])], sort_keys=True, ensure_ascii=False) for row in rows)


def _held(record: Row) -> dict[str, Any]:
    """What a record holds; an empty custom field is none."""
    held = {name: value for name, value in record.items() if name not in LAST_CHANGE}
    if "custom_fields" in held:
        held["custom_fields"] = {code: value for code, value in held["custom_fields"].items() if value is not None}
    return held


class _Book:
    """Names for everything that others refer to by id."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.fields: dict[tuple[str, str], str] = {}  # entity, code -> name
        self.options: dict[str, str] = {}  # option id -> label; one counter numbers all of them
        self.names: dict[tuple[str, str], str] = {}
        for row in rows:
            if row["resource"].endswith("_fields"):
                record = row["record"]
                self.fields[record["entity"], record["field_code"]] = record["field_name"]
                self.options |= {str(option["id"]): option["label"] for option in record["options"] or ()}
        for row in rows:
            self.names[row["resource"], str(row["id"])] = self._name(row["resource"], row["record"])

    def key(self, resource: str, record: Row) -> str:
        """Our source key on a row, or ""."""
        entity = ENTITIES.get(resource, "")
        values = record.get("custom_fields") or {}
        return next((str(value) for code, value in values.items() if value and self.fields.get((entity, code)) == KEY), "")

    def _name(self, resource: str, record: Row) -> str:
        own = self.key(resource, record) or str(record.get("name") or record.get("title") or record.get("subject") or record["id"])
        return f"{self.names.get(('pipelines', str(record['pipeline_id'])))} / {own}" if resource == "stages" else own

    def row(self, resource: str, record: Row) -> dict[str, Any]:
        """One record in words."""
        told = {name: self._value(resource, name, value) for name, value in record.items() if name not in STAMPS}
        if resource not in OWN_TIME or self.key(resource, record).startswith(TIMELESS):
            told.pop("add_time", None)
        if resource == "deal_products":
            told.pop("order_nr")  # lines that travel alone may overtake each other
        return told

    def _value(self, resource: str, name: str, value: Any) -> Any:
        if name in LINKS and value is not None:
            return self.names.get((LINKS[name], str(value)), f"nothing: {LINKS[name]} {value}")
        if name == "custom_fields":
            return sorted([self._field(resource, code), self._option(resource, code, item)] for code, item in value.items() if item is not None)
        if name == "options" and isinstance(value, list):
            return [option["label"] for option in value]
        if name == "category" and value is not None:
            return self.options.get(str(value), f"nothing: option {value}")
        if name == "participants":
            return [item | {"person_id": self.names.get(("persons", str(item["person_id"])))} for item in value]
        return value

    def _field(self, resource: str, code: str) -> str:
        return self.fields.get((ENTITIES[resource], code), f"nothing: field {code}")

    def _option(self, resource: str, code: str, value: Any) -> Any:
        kind = next((row["record"] for row in self.rows if row["id"] == code), None)
        if kind is None or kind["options"] is None:
            return value
        return [self.options.get(str(item), f"nothing: option {item}") for item in (value if isinstance(value, list) else [value])]
