"""Holds what a client got against the account's own rows: each row once, none missing, every value both have the same."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.clients.seeding import Dump, Row

# What a row of each table must at least show.
NAMED = {
    "organizations": "name", "persons": "name", "deals": "title", "products": "name", "activities": "subject", "pipelines": "name",
    "stages": "name", "notes": "content", "files": "file_name", "leads": "title", "lead_labels": "name", "activity_types": "name",
    "filters": "name", "users": "name", "deal_products": "quantity",
}  # fmt: skip
# What the same client calls a table.
ALIASES = {"v2_deal_products": "deal_products", "participants": "deals_participants"}
# Of the same name in both versions, and not the same thing; or worked out for the answer.
DIFFERENT = {"label", "visible_to", "id", "picture_id", "sum", "options", "next_activity_id", "cc_email", "file_name", "due_time", "duration"}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|\+00:00)?)?")


@dataclass(slots=True)
class Judged:
    """What was found so far."""

    rows: int = 0
    values: int = 0
    faults: list[str] = field(default_factory=list)

    def list_of(self, resource: str, got: list[Row], dump: Dump, month: str) -> None:
        """One list. `month` is the moment before which recents show nothing."""
        table, recent = named(resource)
        if table.endswith("_fields"):
            self._fields(table, got, dump)
            return
        if table not in NAMED:
            return  # worked out by the client or by the emulator; test_clients.py looks at these by themselves
        wanted = {_key(one): one for one in dump.get(table, {}).values() if _listed(resource, table, one, month if recent else "")}
        live = [row for row in got if not row.get("is_deleted")]
        self.rows += len(live)
        keys = [row.get("id") for row in live]
        self.faults += [f"{resource}: {key} came twice" for key in {key for key in keys if keys.count(key) > 1}]
        self.faults += [f"{resource}: {key} is missing" for key in wanted.keys() - set(keys)]
        self.faults += [f"{resource}: {key} is none of the account" for key in set(keys) - wanted.keys()]
        for row in live:
            if row.get("id") in wanted:
                self.one(resource, row, wanted[row["id"]])

    def one(self, resource: str, row: Row, record: Row) -> None:
        """One row against the row of the account."""
        table, _ = named(resource)
        if NAMED[table] not in row:
            self.faults.append(f"{resource} {row.get('id')}: no {NAMED[table]}")
        for name, mine, theirs in _pairs(row, record):
            self.values += 1
            if not same(mine, theirs):
                self.faults.append(f"{resource} {row.get('id')}.{name}: {mine!r} is {theirs!r} in the account")

    def _fields(self, table: str, got: list[Row], dump: Dump) -> None:
        mine = {row.get("field_code") or row.get("key"): row.get("field_name") or row.get("name") for row in got}
        theirs = {code: one["field_name"] for code, one in dump.get(table, {}).items()}
        self.rows += len(got)
        self.faults += [f"{table}: {name} is missing or has another name" for code, name in theirs.items() if mine.get(code) != name]


def named(resource: str) -> tuple[str, bool]:
    """The table that a client's resource shows, and whether it comes from the recents."""
    plain = resource.removeprefix("v1 ").removeprefix("v2 ").removeprefix("recent ").removeprefix("v2_").removesuffix(" archived")
    return plain, resource.startswith("recent ")


def _listed(resource: str, table: str, record: Row, since: str) -> bool:
    if since:
        return str(record.get("update_time") or record.get("modified")).replace("T", " ") >= since
    if table == "deals":
        return bool(record["is_archived"]) is resource.endswith(" archived")
    return True


def _key(record: Row) -> Any:
    return record.get("uuid") or record["id"]


def _pairs(row: Row, record: Row) -> Iterator[tuple[str, Any, Any]]:
    for name, theirs in record.items():
        if name in row and name not in DIFFERENT and name != "custom_fields":
            yield name, row[name], theirs
    custom = record.get("custom_fields") or {}
    flat = "custom_fields" not in row or not isinstance(row["custom_fields"], dict)
    for code, theirs in custom.items():
        if flat and code in row:
            value = theirs["value"] if isinstance(theirs, dict) else theirs
            yield code, row[code], ",".join(map(str, value)) if isinstance(value, list) and isinstance(row[code], str) else value
        elif not flat:
            yield code, row["custom_fields"].get(code), theirs


def same(mine: Any, theirs: Any) -> bool:
    """Whether both say the same where both say something: v1 names parts and links in another form, clients leave out or wrap what they
    have no model for."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        both = [name for name in theirs if name in mine]
        return bool(both) and all(same(mine[name], theirs[name]) for name in both)
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(same(one, other) for one, other in zip(mine, theirs, strict=True))
    if isinstance(mine, str) and mine.startswith("{'"):
        return same(literal_eval(mine), theirs)  # what Singer makes of an object in a column of text
    if isinstance(mine, list) and len(mine) == 1:
        return same(mine[0], theirs)  # the PHP client's models wrap the values of custom fields so
    return bool(_scalar(mine) == _scalar(theirs))


def _scalar(value: Any) -> Any:
    if isinstance(value, dict):
        value = value.get("value", value.get("id"))
    if value in (None, "", {}, []):
        return None
    if isinstance(value, bool | int | float):
        return float(value)
    text = str(value)
    if _MOMENT.fullmatch(text):
        return re.sub(r"\D", "", text)[:14].ljust(14, "0")
    return float(text) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", text) else text
