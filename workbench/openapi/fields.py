"""Fields and their types: what schemas say, what examples show, and what only names suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.openapi.envelopes import Found, Seen
from workbench.openapi.names import key, one_line, placeable, singular, usable
from workbench.openapi.schemas import Schema
from workbench.openapi.words import words

MOST_OPTIONS = 60
DEEPEST = 3  # shapes within shapes
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT_WORDS = re.compile(
    r"date ?(?:and|&|/)? ?time|timestamp|RFC ?3339|\bISO[- ]?8601",
    re.IGNORECASE,
)
_DAY_NAME = re.compile(r"(?:^|_|[a-z])(?:date|Date)$")
_CLOCK = re.compile(r"\d\d:\d\d(?::\d\d)?")
_ID_OF = re.compile(
    r"\bid(?:entifier)?s? of (?:the |an? |its |this )?((?:[\w-]+ ?){1,4})",
    re.IGNORECASE,
)
_STOPS = re.compile(
    r"\b(?:the|an?|who|whom|whose|that|which|this|to|of|in|for|by|with"
    r"|linked|associated|attached|assigned|belonging)\b",
    re.IGNORECASE,
)
_FORMATS = {
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "uri": "url",
    "url": "url",
    "binary": "file",
    "html": "html",
}
_PLAIN = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "file": "file",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field as the connector will declare it, with the reason and open questions."""

    kind: str
    to: tuple[str, ...] = ()
    inner: tuple[tuple[str, Field], ...] = ()
    required: bool = False
    writable: bool = True
    max: int | None = None
    one_of: tuple[str, ...] = ()
    empty: str = ""
    why: tuple[str, ...] = ()
    ask: str = ""


# what resources are called, style and number aside, and their names
Known = Mapping[str, str]


def known(names: Iterable[str]) -> Known:
    """Resources by the names that a field may use for them."""
    return {key(singular(name)): name for name in reversed(list(names))}


def field(
    name: str, schema: Schema, shown: Any, resources: Known, level: int = 0
) -> Field:
    """One field of a row. `shown` is its value in an example, `resources` what it may point to."""
    if schema.type == "array":
        item = schema.item
        inner = (
            _inner(item, _first(shown), resources, level)
            if item is not None and item.type == "object"
            else ()
        )
        return Field("list", inner=inner)
    if schema.type == "object":
        return Field("object", inner=_inner(schema, shown, resources, level))
    to, why = _target(name, schema, resources) if level < DEEPEST else ("", "")
    if to:
        return Field("ref", (to,), why=(why,))
    return _scalar(name, schema, shown)


def _inner(
    schema: Schema, shown: Any, resources: Known, level: int
) -> tuple[tuple[str, Field], ...]:
    if level >= DEEPEST or not schema.properties:
        return ()
    example = shown if isinstance(shown, dict) else {}
    return tuple(
        (name, field(name, inner, example.get(name), resources, level + 1))
        for name in schema.properties
        if placeable(name) and (inner := schema.inner(name)) is not None
    )


def _first(shown: Any) -> Any:
    return shown[0] if isinstance(shown, list) and shown else None


def _scalar(name: str, schema: Schema, shown: Any) -> Field:
    shown = shown if shown is not None else schema.said.get("example")
    form, text = schema.text("format"), schema.text("description")
    if schema.type == "string" and form in _FORMATS:
        return Field(_FORMATS[form])
    if schema.enum:
        return _listed(schema)
    if schema.type not in _PLAIN:
        kind = {bool: "boolean", int: "integer", float: "number"}.get(
            type(shown), "text"
        )
        return Field(
            kind, ask=f"the document gives {one_line(name, 40)} no single type"
        )
    if schema.type != "string":
        moment = form not in ("int32",) and re.search(
            r"\b(unix|epoch)\b", text, re.I
        )
        return Field(
            _PLAIN[schema.type],
            ask="seconds or milliseconds since 1970?" if moment else "",
        )
    most = schema.count("maxLength")
    most = most if most and most > 0 else None
    kind, why = _text_kind(name, text, shown, schema)
    return Field(
        kind,
        max=most if kind in ("text", "html") else None,
        why=(why,) if why else (),
    )


def _listed(schema: Schema) -> Field:
    options = tuple(
        one for at, one in enumerate(schema.enum) if one not in schema.enum[:at]
    )
    if all(isinstance(one, str) and usable(one) for one in options):
        many = f"it takes one of {len(options)} words; see the document"
        return (
            Field("text", one_of=options)
            if len(options) <= MOST_OPTIONS
            else Field("text", ask=many)
        )
    whole = all(isinstance(one, int) for one in options)
    kind = (
        "integer"
        if schema.type == "number" and whole
        else _PLAIN.get(schema.type, "text")
    )
    return Field(
        kind,
        ask=(
            f"it takes only {one_line(', '.join(map(str, options)), 60)}"
            if kind != "boolean"
            else ""
        ),
    )


def _text_kind(
    name: str, text: str, shown: Any, schema: Schema
) -> tuple[str, str]:
    """What a text is, where its schema only says that it is text."""
    example = _example_kind(shown) if isinstance(shown, str) else ""
    html = re.search(r"\bHTML\b", text) and not schema.text("pattern")
    moment = _MOMENT_WORDS.search(text) and key(name) != "timezone"
    day = _DAY_NAME.search(name) and not _MOMENT.search(str(shown))
    stamped = key(name) in (*words("modified"), *words("created"))
    clock = re.search(r"_time$|[a-z]Time$", name) and re.search(
        r"\bHH:MM", text
    )
    lasts = key(name).endswith("duration") and re.search(
        r"\bHH:MM|^\d+:\d\d", f"{shown} {text}"
    )
    signs = (
        (lasts, "duration", "its name"),
        (example, example, "its example"),
        (html, "html", "its description"),
        (moment, "datetime", "its description"),
        (day, "date", "its name"),
        (stamped, "datetime", "its name"),
        (clock, "time", "its description"),
    )
    return next(
        ((kind, why) for sign, kind, why in signs if sign), ("text", "")
    )


def _example_kind(shown: str) -> str:
    """What a text looks like; "" for any text."""
    tests = (
        (_MOMENT.match, "datetime"),
        (_DAY.fullmatch, "date"),
        (_CLOCK.fullmatch, "time"),
        (re.compile("https?://").match, "url"),
    )
    return next((kind for test, kind in tests if test(shown)), "")


def _target(name: str, schema: Schema, resources: Known) -> tuple[str, str]:
    """The resource that a field points to, by its description or its name."""
    if (
        schema.type not in ("integer", "string", "number", "")
        or schema.enum
        or schema.text("format") in ("date-time", "date")
    ):
        return "", ""
    word = key(name)
    ends = next(
        (
            end
            for end in ("uuid", "guid", "id")
            if word.endswith(end) and len(word) > len(end)
        ),
        "",
    )
    stem = word[: -len(ends)] if ends else word
    if not re.search(r"(?:_|-|[a-z])(?:id|Id|ID|uuid|guid|Uuid)$", name):
        return "", ""
    described = _ID_OF.search(schema.text("description"))
    if described:
        nouns = [
            key(singular(one)) for one in _STOPS.split(described[1])[0].split()
        ]
        named = [
            one for one in ("".join(nouns[:2]), *nouns) if one in resources
        ]
        if named:
            return (
                resources[
                    next(
                        (one for one in named if stem.startswith(one[:3])),
                        named[0],
                    )
                ],
                "its description",
            )
    if stem in resources:
        return resources[stem], "its name"
    if described:
        return "", ""  # of something that is no resource here
    target = (
        _people(resources) if stem in words("roles") else _near(stem, resources)
    )
    return target, "its name" if target else ""


def _people(resources: Known) -> str:
    """The resource of the people who use the platform."""
    by_key = {key(name): name for name in reversed(list(resources.values()))}
    return next(
        (by_key[word] for word in words("people") if word in by_key), ""
    )


def _near(stem: str, resources: Known) -> str:
    """The only resource whose name begins with the stem, or that the stem ends with."""
    near = [
        one
        for one in resources
        if len(stem) >= 3
        and (one.startswith(stem) or (stem.endswith(one) and len(one) > 3))
    ]
    return resources[near[0]] if len(near) == 1 else ""


def properties(found: Found | None) -> dict[str, Schema]:
    """The fields of a row side by side; those of JSON:API stand one level down."""
    if found is None:
        return {}
    row = found.attributes
    held = row if row is not None else found.row
    own = {
        name: one
        for name in held.properties
        if usable(name)
        and placeable(name)
        and (one := held.inner(name)) is not None
    }
    key_of_row = found.row.inner("id") if found.json_api else None
    return {**({"id": key_of_row} if key_of_row is not None else {}), **own}


def _sent(found: Found | None) -> dict[str, Schema]:
    """The fields of a body; the id of JSON:API is the platform's."""
    return {
        name: one
        for name, one in properties(found).items()
        if not (found and found.json_api and name == "id")
    }


def required(found: Found | None) -> frozenset[str]:
    """The fields a body must hold."""
    if found is None:
        return frozenset()
    row = found.attributes
    return row.required if row is not None else frozenset()


def fields(
    seen: Seen,
    shown: Iterable[Mapping[str, Any]],
    resources: Known,
    own_id: str,
    writes: bool,
) -> dict[str, Field]:
    """The fields of rows, those that are read and those that are sent."""
    read = properties(seen.held)
    made, changed = _sent(seen.create), _sent(seen.update)
    needed, examples = required(seen.create), list(shown)
    result: dict[str, Field] = {}
    for name in dict.fromkeys((*read, *made, *changed)):
        schema = made.get(name) or changed.get(name) or read[name]
        both = [one for one in (schema, read.get(name)) if one is not None]
        value = next(
            (one[name] for one in examples if one.get(name) is not None), None
        )
        none = {} if name == own_id else resources
        options = [field(name, one, value, none) for one in both]
        one = next(
            (
                item
                for item in options
                if item.kind not in ("text", "object", "list")
                or item.one_of
                or item.inner
            ),
            options[0],
        )
        inner = {
            inner: item
            for option in reversed(options)
            for inner, item in option.inner
        }
        one = (
            replace(one, inner=tuple(inner.items()))
            if one.kind in ("list", "object")
            else one
        )
        result[name] = _written(
            one, schema, name in made, name in changed, name in needed, writes
        )
    return result


def _written(
    one: Field,
    schema: Schema,
    made: bool,
    changed: bool,
    needed: bool,
    writes: bool,
) -> Field:
    """The field with what its place in the bodies says."""
    sent = (made or changed) and not schema.flag("readOnly")
    if not sent:
        why = "readOnly" if schema.flag("readOnly") else "no body holds it"
        return (
            replace(one, writable=False, why=(*one.why, why))
            if writes or schema.flag("readOnly")
            else one
        )
    nullable = schema.nullable and changed
    return replace(one, required=needed, empty="as_null" if nullable else "")


def row_id(names: Iterable[str], item: str, resource: str) -> tuple[str, str]:
    """The field with a row's id, and why it is that; "" where none looks like it."""
    held = list(names)
    wanted = [item] if item and key(item) not in ("id",) else []
    stem = key(singular(resource))
    if item and item in held:
        return item, "the place in the path"
    for word in (
        *map(key, wanted),
        "id",
        "uuid",
        "guid",
        f"{stem}id",
        f"{stem}uuid",
        "code",
        "key",
        "number",
        "slug",
    ):
        for name in held:
            if key(name) == word and placeable(name):
                return name, "" if name == "id" else "its name"
    return "", ""


def stamp(found: Mapping[str, Field], which: str) -> str:
    """The field with the moment of the last change, of creation, or that says that a row is
    deleted.
    """
    kinds = (
        ("boolean", "datetime", "date")
        if which == "deleted"
        else ("datetime", "integer", "date", "text", "number")
    )
    return next(
        (
            name
            for word in words(which)
            for name, one in found.items()
            if key(name) == word and one.kind in kinds
        ),
        "",
    )
