"""Whether a value fits a JSON Schema: yes or no, quickly. A full validator says what is wrong.

The rules are collected once for each part of the schema and type of value. This module knows as
much of JSON Schema as our schemas use; where a keyword or a comparison goes beyond that, it raises
Unsure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Fits = Callable[[Any, Any], bool]  # a value and a part of the schema
# a value, what stands behind the keyword, the part of the schema it stands in
Rule = Callable[[Any, Any, Mapping[str, Any], Fits], bool]
_Bound = tuple[Rule, Any, Mapping[str, Any]]

# keywords that refuse nothing; `then` and `else` are read with their `if`
_NOTES = {
    "$schema",
    "$defs",
    "title",
    "description",
    "examples",
    "default",
    "errorMessage",
    "writeOnly",
    "then",
    "else",
}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class Unsure(Exception):
    """Only a full validator can tell."""


def compiled(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """The check of a whole schema; it raises Unsure where it cannot decide."""
    known: dict[tuple[int, type], list[_Bound]] = {}

    def fits(value: Any, part: Any) -> bool:
        if isinstance(part, bool):
            return part
        kind = type(value)
        if (id(part), kind) not in known:
            known[id(part), kind] = list(_bound(part, kind, schema))
        # no `all`: most of the time is spent here
        for rule, limit, own in known[id(part), kind]:  # noqa: SIM110
            if not rule(value, limit, own, fits):
                return False
        return True

    return lambda value: fits(value, schema)


def _bound(
    part: Mapping[str, Any], kind: type, schema: Mapping[str, Any]
) -> Iterator[_Bound]:
    """The rules of a part that apply to values of a type; whether the type itself is right is
    decided here.
    """
    if kind not in _RULES or not part.keys() <= _KNOWN:
        raise Unsure
    rules = _RULES[object] | _RULES[kind]
    for word, limit in part.items():
        if word == "$ref":
            yield from _bound(
                schema["$defs"][limit.removeprefix("#/$defs/")], kind, schema
            )
        elif word == "type" and not _is(
            kind, [limit] if isinstance(limit, str) else limit
        ):
            yield lambda *_: False, limit, part
        elif word in rules:
            yield rules[word], limit, part


def _is(kind: type, names: Sequence[str]) -> bool:
    if kind is float and "number" not in names and "integer" in names:
        raise Unsure  # 1.0 is an integer
    return any(kind in _KINDS[name] for name in names)


def _word(value: Any, words: list[Any], *_: Any) -> bool:
    if not all(isinstance(word, str) for word in words):
        raise Unsure  # that 1 is 1.0 and not true is JSON's rule, not Python's
    return value in words


def _unique(value: list[Any], *_: Any) -> bool:
    if not all(type(item) in (str, int) for item in value):
        raise Unsure
    return len(set(value)) == len(value)


_NUMBERS: dict[str, Rule] = {
    "minimum": lambda value, limit, *_: value >= limit,
    "maximum": lambda value, limit, *_: value <= limit,
    "exclusiveMinimum": lambda value, limit, *_: value > limit,
}
_RULES: dict[type, dict[str, Rule]] = {
    object: {
        "enum": _word,
        "const": lambda value, limit, *_: _word(value, [limit]),
        "anyOf": lambda value, limit, _, fits: any(
            fits(value, part) for part in limit
        ),
        "oneOf": lambda value, limit, _, fits: (
            sum(fits(value, part) for part in limit) == 1
        ),
        "not": lambda value, limit, _, fits: not fits(value, limit),
        "if": lambda value, limit, part, fits: fits(
            value, part.get("then" if fits(value, limit) else "else", True)
        ),
    },
    dict: {
        "required": lambda value, limit, *_: all(key in value for key in limit),
        "dependentRequired": lambda value, limit, *_: all(
            key in value
            for owner in limit
            if owner in value
            for key in limit[owner]
        ),
        "dependentSchemas": lambda value, limit, _, fits: all(
            fits(value, limit[key]) for key in limit if key in value
        ),
        "properties": lambda value, limit, _, fits: all(
            fits(item, limit[key])
            for key, item in value.items()
            if key in limit
        ),
        "additionalProperties": lambda value, limit, part, fits: all(
            fits(item, limit)
            for key, item in value.items()
            if key not in part.get("properties", ())
        ),
        "propertyNames": lambda value, limit, _, fits: all(
            fits(key, limit) for key in value
        ),
        "minProperties": lambda value, limit, *_: len(value) >= limit,
        "maxProperties": lambda value, limit, *_: len(value) <= limit,
    },
    list: {
        "items": lambda value, limit, _, fits: all(
            fits(item, limit) for item in value
        ),
        "uniqueItems": _unique,
        "minItems": lambda value, limit, *_: len(value) >= limit,
    },
    str: {
        "pattern": lambda value, limit, *_: re.search(limit, value) is not None,
        "minLength": lambda value, limit, *_: len(value) >= limit,
    },
    int: _NUMBERS,
    float: _NUMBERS,
    bool: {},
    type(None): {},
}
_KNOWN = _NOTES.union({"$ref", "type"}, *_RULES.values())
