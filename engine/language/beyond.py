"""Custom fields that the destination's plan has no room for: they become lines of notes.

A spec says with one key, `beyond_plan`, which fields come first and where the others go. What it
then means is an ordinary spec: without those fields, and with an object for each of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from engine.config.document import Document, Keys
from engine.connector.model import Connector
from engine.errors import Diagnostic

LINES = "text.labelled_html"  # the step that makes lines of named values
# of an object, what its note is made of as well
SHARED = ("from", "when", "related", "children", "each")

Name = tuple[str, str]  # a resource, and a custom field of it


def within_plan(
    document: Document, destination: Connector
) -> tuple[Document, list[Diagnostic]]:
    """The spec as its destination's plan takes it, and what that leaves out; a spec without the key
    stays as it is.
    """
    data = document.data
    rules = data.get("beyond_plan")
    if rules is None:
        return document, []

    order = _by_importance(data, rules)
    problems = list(_unknown(document, rules, destination))
    room = rules.get("room", _room(destination, data["destination"]["plan"]))
    left = order if room is None else order[room:]
    if room is None:
        left = []

    fields = data.get("custom_fields", {})
    kept = {
        resource: {
            name: item
            for name, item in of_it.items()
            if (resource, name) not in left
        }
        for resource, of_it in fields.items()
    }
    objects, aliases = _objects(data, rules["note"], frozenset(left))
    if left:
        problems.append(_told(document, left, rules["note"]["about"], room))
    changed = {**data, "custom_fields": kept, "objects": objects}
    found = structs.replace(
        document, data=changed, aliases={**document.aliases, **aliases}
    )
    return found, problems


def _by_importance(
    data: Mapping[str, Any], rules: Mapping[str, Any]
) -> list[Name]:
    """All custom fields of the spec: first those by which rows are recognised, then those that the
    spec puts first, then the others as they stand there.
    """
    fields = data.get("custom_fields", {})
    written = [(of, name) for of, items in fields.items() for name in items]
    keys = [name for name in written if fields[name[0]][name[1]].get("key")]
    matched = [
        (item["to"], target.removeprefix("custom."))
        for item in data["objects"].values()
        for target in _matched(item.get("match", ()))
        if target.startswith("custom.")
    ]
    first = [tuple(text.split(".", 1)) for text in rules.get("first", ())]
    known = dict.fromkeys([*keys, *matched, *first, *written])
    return [name for name in known if name in written]


def _matched(match: Any) -> list[str]:
    if isinstance(match, Mapping):
        match = match["fields"]
    return [match] if isinstance(match, str) else list(match)


def _unknown(
    document: Document, rules: Mapping[str, Any], destination: Connector
) -> Iterator[Diagnostic]:
    """Names in the rules that lead nowhere."""
    fields = document.data.get("custom_fields", {})
    for position, text in enumerate(rules.get("first", ())):
        resource, _, name = text.partition(".")
        if name not in fields.get(resource, {}):
            yield document.problem(
                ("beyond_plan", "first", position),
                "unknown-name",
                f"the spec has no custom field {text!r}",
                "write resource.field, as under custom_fields",
            )

    note, at = rules["note"], ("beyond_plan", "note")
    resource = destination.resources.get(note["to"])
    held = resource.fields if resource else {}
    named: list[tuple[Keys, str]] = [(("text",), note["text"])]
    named += [(("about", of), field) for of, field in note["about"].items()]
    for keys, field in named:
        if field not in held:
            yield document.problem(
                (*at, *keys),
                "unknown-field",
                f"{destination.title} has no field {field!r} in {note['to']}",
            )


def _room(destination: Connector, plan: str) -> int | None:
    """How many custom fields an account on this plan may have, as the connector knows it."""
    for resource in destination.resources.values():
        most = resource.custom.most if resource.custom else {}
        if plan in most or "*" in most:
            return most.get(plan, most.get("*"))
    return None


def _objects(
    data: Mapping[str, Any], note: Mapping[str, Any], left: frozenset[Name]
) -> tuple[dict[str, Any], dict[Keys, Keys]]:
    """The objects without the fields that are left out, each followed by that of its notes; and
    where the parts of these stand in the spec.
    """
    objects: dict[str, Any] = {}
    aliases: dict[Keys, Keys] = {}
    for name, item in data["objects"].items():
        beyond = {
            target: value
            for target, value in item["fields"].items()
            if (item["to"], target.removeprefix("custom.")) in left
            and target.startswith("custom.")
        }
        rest = {
            target: value
            for target, value in item["fields"].items()
            if target not in beyond
        }
        objects[name] = {**item, "fields": rest}
        if item["to"] not in note["about"] or "rows" in item:
            continue

        notes = f"{name}_beyond_plan"
        labels = {target: _label(data, item["to"], target) for target in beyond}
        lines = {labels[target]: value for target, value in beyond.items()}
        objects[notes] = {
            **{key: item[key] for key in SHARED if key in item},
            "label": f"{item.get('label', name)}: fields beyond the plan",
            "to": note["to"],
            "enabled": item.get("enabled", True) if lines else False,
            "unless_empty": [note["text"]],
            "fields": {
                note["about"][item["to"]]: {
                    "lookup": name,
                    "by": "$key",
                    "on_miss": "skip",
                },
                note["text"]: {"from": lines, "using": LINES}
                if lines
                else {"value": ""},
            },
        }
        aliases[("objects", notes)] = ("objects", name)
        at = ("objects", notes, "fields", note["text"], "from")
        for target, label in labels.items():
            aliases[(*at, label)] = ("objects", name, "fields", target)
    return objects, aliases


def _label(data: Mapping[str, Any], resource: str, target: str) -> str:
    field = data["custom_fields"][resource][target.removeprefix("custom.")]
    return str(field["name"])


def _told(
    document: Document,
    left: list[Name],
    about: Mapping[str, str],
    room: int | None,
) -> Diagnostic:
    noted = [".".join(name) for name in left if name[0] in about]
    lost = [".".join(name) for name in left if name[0] not in about]
    parts = [f"lines of notes: {', '.join(noted)}"] if noted else []
    parts += [f"left behind: {', '.join(lost)}"] if lost else []
    return document.problem(
        ("beyond_plan",),
        "account-full",
        f"{len(left)} custom fields are more than the {room} that fit; {'; '.join(parts)}",
        "put what matters under `first`, or choose a larger plan",
        "warning",
    )
