"""Custom fields that the destination's plan has no room for: they become lines of notes.

A spec says with one key, `beyond_plan`, which fields come first and where the others go. What it
then means is an ordinary spec: without those fields, and with an object for each of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from engine.config.document import Document, Keys, Section
from engine.connector.model import Connector
from engine.errors import Diagnostic
from engine.language.model import custom_name
from engine.values import without

LINES = "text.labelled_html"  # the step that makes lines of named values
# of an object, what its note is made of as well
SHARED = ("from", "when", "related", "children", "each", "on_delete")

Name = tuple[str, str]  # a resource, and a custom field of it
Say = Callable[[str, Keys], str]  # a text in the language of the run


def within_plan(
    document: Document, destination: Connector, say: Say
) -> tuple[Document, list[Diagnostic]]:
    """The spec as its destination's plan takes it, and what that leaves out; a spec without the key
    stays as it is, and so does one whose rules name what is not there.
    """
    data = document.data
    rules = data.get("beyond_plan")
    if rules is None:
        return document, []

    order = _by_importance(data, rules)
    if problems := list(_unknown(document, rules, destination)):
        return document, problems
    room = rules.get(
        "room", destination.room_for_fields(data["destination"]["plan"])
    )
    left = order[room:] if room is not None else []

    fields = data.get("custom_fields", {})
    kept = {
        resource: {
            name: item
            for name, item in of_it.items()
            if (resource, name) not in left
        }
        for resource, of_it in fields.items()
    }
    objects, aliases = _objects(data, rules["note"], frozenset(left), say)
    if left:
        problems = [_told(document, order, left, rules["note"]["about"])]
    changed = {**data, "custom_fields": kept, "objects": objects}
    # a mistake in what a note shares with its object is told at its one place
    shared = {
        ("objects", f"{keys[1]}_beyond_plan", *keys[2:]): place
        for keys, place in document.places.items()
        if len(keys) > 2 and keys[0] == "objects" and keys[2] in SHARED
    }
    found = structs.replace(
        document,
        data=changed,
        places=document.places | shared,
        aliases={**document.aliases, **aliases},
    )
    return found, problems


def _by_importance(data: Section, rules: Section) -> list[Name]:
    """All custom fields of the spec: first those by which rows are recognised, and those of rows
    that the spec itself holds, then those that it puts first, then those that no note can be about,
    then the others in their order.
    """
    fields = data.get("custom_fields", {})
    written = [(of, name) for of, items in fields.items() for name in items]
    keys = [name for name in written if fields[name[0]][name[1]].get("key")]
    matched = [
        (item["to"], custom_name(target))
        for item in data["objects"].values()
        for target in [
            *_matched(item.get("match", ())),
            *(item["fields"] if "rows" in item else ()),
        ]
        if custom_name(target)
    ]
    first = [tuple(text.split(".", 1)) for text in rules.get("first", ())]
    # no note can be about these: their values would be left behind
    alone = [name for name in written if name[0] not in rules["note"]["about"]]
    known = dict.fromkeys([*keys, *matched, *first, *alone, *written])
    return [name for name in known if name in written]


def _matched(match: Any) -> list[str]:
    found: list[str] = match["fields"] if isinstance(match, Mapping) else match
    return found


def _unknown(
    document: Document, rules: Section, destination: Connector
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

    for name in document.data["objects"]:
        taken = f"{name}_beyond_plan"
        if taken in document.data["objects"]:
            yield document.problem(
                ("objects", taken),
                "taken-name",
                f"{taken!r} is the name of the notes about {name}",
                "give the object another name",
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


def _objects(
    data: Section,
    note: Section,
    left: frozenset[Name],
    say: Say,
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
            if (item["to"], custom_name(target)) in left
        }
        objects[name] = {**item, "fields": without(item["fields"], beyond)}
        if item["to"] not in note["about"] or "rows" in item:
            continue

        notes = f"{name}_beyond_plan"
        labels = _labels(data, item["to"], list(beyond), say)
        lines = {
            labels[target]: _in_words(
                value, _options(data, item["to"], target, say)
            )
            for target, value in beyond.items()
        }
        was = f"{item['was']}_beyond_plan" if item.get("was") else ""
        objects[notes] = {
            **{key: item[key] for key in SHARED if key in item},
            **({"was": was} if was else {}),
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


def _labels(
    data: Section, resource: str, targets: Sequence[str], say: Say
) -> dict[str, str]:
    """What each field is called in the notes: two of one name are told apart by their own."""
    fields = data["custom_fields"].get(resource, {})
    names = [custom_name(target) for target in targets]
    called = [
        say(fields[name]["name"], ("custom_fields", resource, name, "name"))
        for name in names
    ]
    return {
        target: label if called.count(label) == 1 else f"{label} ({name})"
        for target, name, label in zip(targets, names, called, strict=True)
    }


def _options(
    data: Section, resource: str, target: str, say: Say
) -> dict[str, str]:
    """The options that the spec gives a field, each as people read it."""
    name = custom_name(target)
    given = data["custom_fields"][resource][name].get("options", ())
    at = ("custom_fields", resource, name, "options")
    found = {}
    for position, item in enumerate(given if isinstance(given, list) else ()):
        label = item["label"] if isinstance(item, Mapping) else item
        found[label] = say(label, (*at, position))
    return found


def _in_words(written: Any, options: Mapping[str, str]) -> Any:
    """What is written of a field, with the options among its fixed values as people read them."""
    if isinstance(written, list):
        return [_in_words(item, options) for item in written]
    if not isinstance(written, Mapping):
        return written
    return {
        key: _part_in_words(written, key, value, options)
        for key, value in written.items()
    }


def _part_in_words(
    written: Section, key: str, value: Any, options: Mapping[str, str]
) -> Any:
    """The same of one part; paths, conditions and what steps or a map get stay as they are."""
    if key == "map":
        return {word: _constant(item, options) for word, item in value.items()}
    if key in ("value", "default") or (
        key == "else" and isinstance(value, str)
    ):
        return _constant(value, options)

    # the first of several that is there, as it is
    is_first = isinstance(value, list) and not {"using", "map"} & written.keys()
    if key in ("cases", "else") or (key == "from" and is_first):
        return _in_words(value, options)
    return value


def _constant(value: Any, options: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_constant(item, options) for item in value]
    return options.get(value, value) if isinstance(value, str) else value


def _told(
    document: Document,
    order: Sequence[Name],
    left: Sequence[Name],
    about: Mapping[str, str],
) -> Diagnostic:
    noted = [".".join(name) for name in left if name[0] in about]
    lost = [".".join(name) for name in left if name[0] not in about]
    fit = len(order) - len(left)
    asked = document.data["beyond_plan"].get("room")
    are = "fit" if asked is None else "are made, as `room` says"
    parts = [f"{len(order)} custom fields, of which {fit} {are}"]
    if noted:
        parts.append(f"{len(noted)} become lines of notes: {', '.join(noted)}")
    if lost:
        parts.append(f"{len(lost)} are left behind: {', '.join(lost)}")
    return document.problem(
        ("beyond_plan",),
        "account-full",
        "; ".join(parts),
        "put what matters under `first`, or "
        + ("choose a larger plan" if asked is None else "say more `room`"),
        "warning",
    )
