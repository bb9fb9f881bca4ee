"""Custom fields of the small platform: definitions are rows, values stand under their codes.

A definition is `{"id": "f_1001", "label": "Tier", "kind": "choice", "choices": [...]}`, a choice
`{"id": 1002, "text": "Gold"}`.
Contacts hold the values beside their own fields, under `custom`, or under `data.custom`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Before, Platform, Request, Row
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

CONTAINERS = ("", "custom", "data.custom")
TABLE = "contact_fields"
TIER = {"name": "Tier", "type": "enum", "options": ["Gold", "Silver"]}
TAX = {"name": "Tax id", "type": "text"}


# -- the platform's side


def defining() -> Before:
    """Definitions get codes, and their options ids."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        match request.method, request.parts:
            case "POST", [found] if found == TABLE:
                row = _numbered(platform, request.body)
                platform.tables[TABLE].append(row)
                return Answer(201, dict(row))
            case "POST", [found, row_id, "choices"] if found == TABLE:
                row = platform.find(TABLE, row_id) or {}
                row["choices"] += _choices(platform, request.body)
                return Answer(200, dict(row))
        return None

    return hook


def _numbered(platform: Platform, body: Row) -> Row:
    choices = _choices(platform, body.get("choices") or [])
    platform.next_id += 1
    return {**body, "id": f"f_{platform.next_id}", "choices": choices}


def _choices(platform: Platform, wanted: list[Row]) -> list[Row]:
    first = platform.next_id + 1
    platform.next_id += len(wanted)
    return [{"id": first + place, "text": one["text"]} for place, one in enumerate(wanted)]


def checking(container: str) -> Before:
    """A contact is refused where it names a field or an option that is not there."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if not request.writes("contacts"):
            return None
        for code, value in custom_of(request.body, container).items():
            field = platform.find(TABLE, code)
            if field is None:
                return Answer(422, {"error": f"no field {code}"})
            ids = {choice["id"] for choice in field["choices"]}
            if field["kind"] == "choice" and value is not None and value not in ids:
                return Answer(422, {"error": f"no option {value} of {field['label']}"})
        return None

    return hook


def custom_of(row: Mapping[str, Any], container: str) -> Mapping[str, Any]:
    """The custom values of a row."""
    if not container:
        return {name: value for name, value in row.items() if name.startswith("f_")}
    for part in container.split("."):
        row = row.get(part) or {}
    return row


def field(platform: Platform, label: str) -> Row:
    """The definition that people see under a label."""
    return platform.one(TABLE, label=label)


def option(platform: Platform, label: str, text: str) -> Row:
    """An option of a field, by its text."""
    choices: list[Row] = field(platform, label)["choices"]
    return next(one for one in choices if one["text"] == text)


def delete_field(platform: Platform, label: str) -> None:
    """People delete a field, and its values go with it."""
    gone = field(platform, label)
    platform.tables[TABLE].remove(gone)
    held = list(platform.tables["contacts"])
    for row in held:
        row.pop(gone["id"], None)
        held += [value for value in row.values() if isinstance(value, dict)]


def values(platform: Platform, label: str, container: str = "") -> dict[str, Any]:
    """By the name of each contact what it holds in a field; options by their text."""
    found = field(platform, label)
    texts = {choice["id"]: choice["text"] for choice in found["choices"]}
    held = {
        row["name"]: custom_of(row, container).get(found["id"])
        for row in platform.tables["contacts"]
    }
    return {name: texts.get(value, value) for name, value in held.items()}


# -- the migration's side


def connector(container: str, renames: bool = True) -> Mapping[str, Any]:
    """A destination whose contacts have custom fields; whether a definition can be changed."""
    kept = writable(TABLE, [], label="text", kind="text", choices="list")
    definitions = {name: value for name, value in kept.items() if name != "recognise"}
    definitions["fields"]["id"] = {"type": "text", "writable": False}
    definitions["add_options"] = {"post": f"/{TABLE}/{{id}}/choices"}
    if not renames:
        definitions["update"] = "none"
    how = {
        "code": "id",
        "name": "label",
        "type": "kind",
        "options": "choices",
        "option_label": "text",
        "option_id": "id",
        "types": {"text": "string", "number": "number", "enum": "choice"},
    }
    return {
        "custom_fields": {**how, **({"container": container} if container else {})},
        "resources": {
            "contacts": {**writable("contacts", ["name"], name=NAME), "custom_fields": TABLE},
            TABLE: definitions,
        },
    }


def spec(
    tier: Mapping[str, Any] = TIER, tax: Mapping[str, Any] = TAX, **keys: Any
) -> Mapping[str, Any]:
    """People become contacts with a tier and a tax id; `keys` are of the object."""
    name = keys.pop("called", "contacts")
    tax_key = keys.pop("tax_key", "tax")
    fields = {"name": "name", "custom.tier": "tier", f"custom.{tax_key}": "tax"}
    custom = {"contacts": {"tier": tier, tax_key: tax}}
    return migration({name: mapped("people", "contacts", fields, **keys)}, custom_fields=custom)


def person(number: int, tier: str) -> Row:
    """A person of the source."""
    return {"id": number, "name": f"Person {number}", "tier": tier, "tax": f"B{number}"}


def members(
    serve: Serve,
    folder: Path,
    container: str = "",
    renames: bool = True,
    fields: tuple[Row, ...] = (),
) -> Project:
    """Three people; `fields` are definitions that people made before."""
    people = [person(1, "Gold"), person(2, "Silver"), person(3, "Gold")]
    platform = serve(people=people, contacts=[], **{TABLE: list(fields)})
    platform.before += [defining(), checking(container)]
    source = {"people": readable("people", name="text", tier="text", tax="text")}
    return project(folder, platform, source, connector(container, renames), spec())
