"""Whether a value fits a JSON Schema: yes or no, fast. What is wrong with it is said by a whole
validator.

A schema is compiled into functions, each definition when it is first asked for. This knows of
JSON Schema what our schemas use; where a keyword or a comparison goes beyond that, it is unsure
and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[Any], bool]
Make = Callable[[Any], Check]
# what stands behind the keyword, the schema it stands in
Rule = Callable[[Any, Mapping[str, Any], Make], Check]

_NOTES = frozenset(
    (
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
    )
)
_CLASSES = {
    "string": str,
    "integer": int,
    "number": int,
    "array": list,
    "object": dict,
    "null": type(None),
}


class Unsure(Exception):
    """Only a whole validator knows."""


def compiled(schema: Mapping[str, Any]) -> Check:
    """The check of a whole schema; it raises Unsure, now or when it is called, where it cannot
    say.
    """
    named: dict[str, Check] = {}

    def make(part: Any) -> Check:
        if isinstance(part, bool):
            return lambda _: part
        words = [word for word in part if word not in _NOTES]
        if not {*words} <= _RULES.keys() | {"$ref"}:
            raise Unsure
        return _all(
            [
                (
                    _RULES[word](part[word], part, make)
                    if word != "$ref"
                    else refer(part[word])
                )
                for word in words
            ]
        )

    def refer(pointer: str) -> Check:
        name = pointer.removeprefix("#/$defs/")

        def check(value: Any) -> bool:
            if name not in named:
                named[name] = make(schema["$defs"][name])
            return named[name](value)

        return check

    return make(schema)


def _all(checks: list[Check]) -> Check:
    def check(value: Any) -> bool:
        return all(each(value) for each in checks)

    return checks[0] if len(checks) == 1 else check


def _type(limit: str | list[str], _: Mapping[str, Any], __: Make) -> Check:
    names = [limit] if isinstance(limit, str) else limit
    classes = tuple(_CLASSES[name] for name in names if name != "boolean")

    def check(value: Any) -> bool:
        if isinstance(value, bool):
            return "boolean" in names
        if isinstance(value, float):
            return "number" in names or ("integer" in names and value.is_integer())
        return isinstance(value, classes)

    return check


def _words(words: list[Any]) -> Check:
    if not all(isinstance(word, str) for word in words):
        raise Unsure  # that 1 is 1.0 and not true is JSON's, not Python's
    return lambda value: isinstance(value, str) and value in words


def _unique(value: list[Any]) -> bool:
    if not all(type(item) in (str, int) for item in value):
        raise Unsure
    return len(set(value)) == len(value)


def _properties(limit: Mapping[str, Any], _: Mapping[str, Any], make: Make) -> Check:
    parts = {key: make(part) for key, part in limit.items()}
    return _on(
        dict,
        lambda value: all(
            parts[key](item) for key, item in value.items() if key in parts
        ),
    )


def _additional(limit: Any, schema: Mapping[str, Any], make: Make) -> Check:
    known, other = schema.get("properties", {}), make(limit)
    return _on(
        dict,
        lambda value: all(
            other(item) for key, item in value.items() if key not in known
        ),
    )


def _dependent(limit: Mapping[str, Any], make: Make) -> Check:
    parts = {key: make(part) for key, part in limit.items()}
    return _on(
        dict,
        lambda value: all(part(value) for key, part in parts.items() if key in value),
    )


def _choice(limit: Any, schema: Mapping[str, Any], make: Make) -> Check:
    fits, then, otherwise = (
        make(limit),
        make(schema.get("then", True)),
        make(schema.get("else", True)),
    )
    return lambda value: then(value) if fits(value) else otherwise(value)


def _every(kind: type, check: Check) -> Check:
    return _on(kind, lambda value: all(check(item) for item in value))


def _on(kind: type, check: Check) -> Check:
    """A rule that says nothing about values of other kinds."""
    return lambda value: not isinstance(value, kind) or check(value)


def _number(check: Check) -> Check:
    return lambda value: (
        isinstance(value, bool) or not isinstance(value, int | float) or check(value)
    )


def _fitting(
    limit: Iterable[Any], make: Make, wanted: Callable[[Iterable[bool]], bool]
) -> Check:
    """So many of these alternatives as are wanted."""
    checks = [make(part) for part in limit]
    return lambda value: wanted(check(value) for check in checks)


def _not(check: Check) -> Check:
    return lambda value: not check(value)


_RULES: dict[str, Rule] = {
    "type": _type,
    "enum": lambda limit, _, __: _words(limit),
    "const": lambda limit, _, __: _words([limit]),
    "pattern": lambda limit, _, __: _on(
        str, lambda value: re.search(limit, value) is not None
    ),
    "minLength": lambda limit, _, __: _on(str, lambda value: len(value) >= limit),
    "minItems": lambda limit, _, __: _on(list, lambda value: len(value) >= limit),
    "minProperties": lambda limit, _, __: _on(dict, lambda value: len(value) >= limit),
    "maxProperties": lambda limit, _, __: _on(dict, lambda value: len(value) <= limit),
    "minimum": lambda limit, _, __: _number(lambda value: value >= limit),
    "maximum": lambda limit, _, __: _number(lambda value: value <= limit),
    "exclusiveMinimum": lambda limit, _, __: _number(lambda value: value > limit),
    "required": lambda limit, _, __: _on(
        dict, lambda value: all(key in value for key in limit)
    ),
    "dependentRequired": lambda limit, _, make: _dependent(
        {key: {"required": limit[key]} for key in limit}, make
    ),
    "dependentSchemas": lambda limit, _, make: _dependent(limit, make),
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": lambda limit, _, make: _every(dict, make(limit)),
    "items": lambda limit, _, make: _every(list, make(limit)),
    "uniqueItems": lambda _, __, ___: _on(list, _unique),
    "anyOf": lambda limit, _, make: _fitting(limit, make, any),
    "oneOf": lambda limit, _, make: _fitting(
        limit, make, lambda found: sum(found) == 1
    ),
    "not": lambda limit, _, make: _not(make(limit)),
    "if": _choice,
}
