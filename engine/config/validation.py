"""The shape of a spec or connector: checked against its JSON Schema, reported in plain words.

The schemas are the files that editors use. Of their annotations this module reads `description`
(advice where something is missing), `errorMessage` (what would be right) and `writeOnly` (never
repeat the value: it may be a secret). A mistake inside alternatives (anyOf, oneOf) is reported for
the alternative that was meant: the one of the same type or kind. A misspelt key is reported once,
not a second time as the key that is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.config.conforms import Unsure, compiled
from engine.config.document import Document, Keys
from engine.config.suggestions import did_you_mean, nearest
from engine.errors import Code, Diagnostic, in_order

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

# beside the package, in a checkout and in a wheel
_FOLDER = Path(__file__).resolve().parents[2] / "schemas"
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class _Fault(msgspec.Struct, frozen=True):
    """A rule of the schema that a value breaks."""

    rule: str  # the schema's keyword ...
    limit: Any  # ... and what stands there
    value: Any
    keys: Keys
    schema: Mapping[str, Any]
    owner: str  # the key whose presence made the rule hold, or ""
    # anyOf, oneOf: the faults of each alternative
    inside: tuple[tuple[_Fault, ...], ...]
    root: bool  # of an alternative: about its whole value, not about a part

    def advice(self, key: str = "") -> str:
        described = (
            self.schema.get("properties", {}).get(key, {})
            if key
            else self.schema
        )
        return str(
            self.schema.get("errorMessage") or described.get("description", "")
        ).rstrip(".")


class _Problem(msgspec.Struct, frozen=True):
    """A fault in words."""

    keys: Keys
    code: Code
    text: str
    advice: str = ""
    mapping: Keys = ()  # for faults of keys: the mapping they are or should be in
    # the key that should be there, or several of which one should
    missing: frozenset[str] = frozenset()
    # for an unknown key: what was probably meant, or ""
    guess: str | None = None
    crowded: bool = False  # the mapping has more keys than it may


def check_shape(document: Document, schema_name: str) -> list[Diagnostic]:
    """Every place where the document differs from `schemas/<schema_name>.schema.json`, in order."""
    with suppress(Unsure):
        if _check(schema_name)(document.data):
            return []
    errors = _validator(schema_name).iter_errors(document.data)
    faults = (cause for error in errors for cause in _causes(_fault(error)))
    problems = [
        problem
        for fault in faults
        for problem in _WORDS.get(fault.rule, _by_rule)(fault)
    ]
    return in_order(
        document.problem(item.keys, item.code, item.text, item.advice)
        for item in _without_echoes(problems)
    )


@cache
def _check(name: str) -> Callable[[Any], bool]:
    """Whether a value certainly fits."""
    return compiled(_schema(name))


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import (
        Draft202012Validator,
    )  # only what is wrong waits for it

    return Draft202012Validator(_schema(name))


@cache
def _schema(name: str) -> Any:
    return json.loads(schema_path(name).read_text(encoding="utf-8"))


def schema_path(name: str) -> Path:
    """Where an editor finds a schema."""
    return _FOLDER / f"{name}.schema.json"


def _fault(error: ValidationError) -> _Fault:
    branches: dict[Any, list[_Fault]] = {}
    for child in error.context or ():
        branches.setdefault(child.relative_schema_path[0], []).append(
            _fault(child)
        )
    path, value = list(error.absolute_schema_path), error.instance
    return _Fault(
        rule=str(error.validator),
        limit=error.validator_value,
        value=value,
        keys=(
            (*error.absolute_path, str(value))
            if "propertyNames" in path
            else tuple(error.absolute_path)
        ),
        schema=error.schema if isinstance(error.schema, Mapping) else {},
        owner=str(path[-2]) if path[-3:-2] == ["dependentSchemas"] else "",
        inside=tuple(tuple(faults) for faults in branches.values()),
        root=not error.relative_path,
    )


def _without_echoes(problems: Sequence[_Problem]) -> Iterator[_Problem]:
    """Without "needs 'else'" where an unknown key of the same mapping is a misspelt 'else', and
    without what is wrong inside a mapping that holds too many keys.
    """
    crowded = [problem.keys for problem in problems if problem.crowded]
    guesses = {
        (problem.mapping, problem.guess)
        for problem in problems
        if problem.guess is not None
    }
    unknown = {mapping for mapping, _ in guesses}
    for problem in problems:
        misspelt = any(
            (problem.mapping, word) in guesses for word in problem.missing
        )
        inside = any(
            keys == problem.keys[: len(keys)] != problem.keys
            for keys in crowded
        )
        if not (misspelt or inside) and not (
            len(problem.missing) > 1 and problem.mapping in unknown
        ):
            yield problem


def _causes(fault: _Fault) -> Iterator[_Fault]:
    """The fault, or those of the alternative that was meant."""
    nearest = min(fault.inside, key=_unlikeness, default=())
    if nearest and not _choices(fault) and _unlikeness(nearest)[:2] == (0, 0):
        for inner in nearest:
            yield from _causes(inner)
    else:
        yield fault


def _unlikeness(faults: Sequence[_Fault]) -> tuple[int, int, int]:
    """How far a value is from an alternative: another type, another kind, so many faults."""
    types = sum(fault.rule == "type" and fault.root for fault in faults)
    kinds = sum(fault.rule == "const" and not fault.root for fault in faults)
    return (
        types,
        kinds,
        sum(
            len(_unknown_keys(f)) if f.rule == "additionalProperties" else 1
            for f in faults
        ),
    )


def _choices(fault: _Fault) -> list[str]:
    """The keys of an anyOf or oneOf that only says which keys must or must not occur together."""
    branches = fault.limit if fault.rule in ("anyOf", "oneOf") else ()
    return [
        branch["required"][0]
        for branch in branches
        if branch.keys() == {"required"}
    ]


def _alternatives(fault: _Fault) -> Iterator[_Problem]:
    """No alternative has the right type or kind, or one of several keys is wanted."""
    faults = [inner for branch in fault.inside for inner in branch]
    if words := _choices(fault):
        yield from _choice(fault, words)
    elif kinds := [
        inner for inner in faults if inner.rule == "const" and not inner.root
    ]:
        yield from _not_listed(kinds[0], [inner.limit for inner in kinds])
    else:
        yield from _wrong_type(
            fault,
            [
                inner.limit
                for inner in faults
                if inner.rule == "type" and inner.root
            ],
        )


def _choice(fault: _Fault, words: list[str]) -> Iterator[_Problem]:
    if not isinstance(fault.value, dict):
        return  # told as a wrong type
    present = [word for word in fault.value if word in words]
    if len(present) > 1:
        text = f"{' and '.join(map(repr, present))} exclude each other"
        yield _Problem(
            (*fault.keys, present[-1]),
            "conflicting-keys",
            text,
            "keep one of them",
        )
    elif not present:
        place, subject = (
            ((*fault.keys, fault.owner), f"{fault.owner!r} ")
            if fault.owner
            else (fault.keys, "")
        )
        yield _Problem(
            place,
            "missing-key",
            f"{subject}needs one of {', '.join(words)}",
            fault.advice(),
            fault.keys,
            frozenset(words),
        )


def _unknown_keys(fault: _Fault) -> list[str]:
    return [
        key
        for key in fault.value
        if key not in fault.schema.get("properties", {})
    ]


def _unknown(fault: _Fault) -> Iterator[_Problem]:
    allowed = list(fault.schema.get("properties", {}))
    for key in _unknown_keys(fault):
        guess = nearest(
            key, [word for word in allowed if word not in fault.value]
        )
        advice = f"allowed: {', '.join(allowed)}"
        if guess:
            advice = f"did you mean {guess!r}?"
        elif "." in key and "using" in allowed:
            advice = f"a step is written below using: {{using: {{{key}: ...}}}}"
        yield _Problem(
            (*fault.keys, key),
            "unknown-key",
            f"unknown key {key!r}",
            advice,
            fault.keys,
            guess=guess,
        )


def _missing(fault: _Fault) -> Iterator[_Problem]:
    """`required`, a list; or `dependentRequired`, a list for each key that needs others beside
    it.
    """
    groups = fault.limit if isinstance(fault.limit, dict) else {"": fault.limit}
    for owner, words in groups.items():
        place, subject = (
            ((*fault.keys, owner), f"{owner!r} ") if owner else (fault.keys, "")
        )
        for word in words if not owner or owner in fault.value else ():
            if word not in fault.value:
                yield _Problem(
                    place,
                    "missing-key",
                    f"{subject}needs {word!r}",
                    fault.advice(word),
                    fault.keys,
                    frozenset([word]),
                )


def _excluded(fault: _Fault) -> Iterator[_Problem]:
    """`not: {required: [key]}`: the key is not allowed here."""
    for word in fault.limit.get("required", ()):
        text = (
            f"{word!r} cannot be used"
            f" {f'together with {fault.owner!r}' if fault.owner else 'here'}"
        )
        yield _Problem(
            (*fault.keys, word), "conflicting-keys", text, fault.advice()
        )


def _wrong_type(
    fault: _Fault, limits: Sequence[Any] = ()
) -> Iterator[_Problem]:
    names = [
        name
        for limit in limits or [fault.limit]
        for name in ([limit] if isinstance(limit, str) else limit)
    ]
    expected = " or ".join(dict.fromkeys(_TYPES[name] for name in names))
    yield _Problem(
        fault.keys,
        "wrong-type",
        f"expected {expected}, found {_shown(fault)}",
        fault.advice(),
    )


def _not_listed(
    fault: _Fault, limits: Sequence[Any] = ()
) -> Iterator[_Problem]:
    words = [
        str(word)
        for word in limits
        or ([fault.limit] if fault.rule == "const" else fault.limit)
    ]
    rule = (
        f"must be one of {', '.join(words)}"
        if len(words) > 1
        else f"must be {words[0]!r}"
    )
    advice = (
        did_you_mean(fault.value, words) if isinstance(fault.value, str) else ""
    ) or fault.advice()
    yield _Problem(
        fault.keys, "not-an-option", f"{rule}; found {_shown(fault)}", advice
    )


def _repeated(fault: _Fault) -> Iterator[_Problem]:
    for position, item in enumerate(fault.value):
        if item in fault.value[:position]:
            yield _Problem(
                (*fault.keys, position),
                "duplicate-value",
                f"duplicate entry {item!r}",
                "keep one of them",
            )


def _by_rule(fault: _Fault) -> Iterator[_Problem]:
    code, text = _RULES.get(
        fault.rule, ("bad-format", f"does not fit ({fault.rule})")
    )
    yield _Problem(
        fault.keys,
        code,
        text.format(limit=fault.limit, found=_shown(fault)),
        fault.advice(),
        crowded=fault.rule == "maxProperties",
    )


_EMPTY: tuple[Code, str] = ("out-of-range", "must not be empty")
_RULES: Mapping[str, tuple[Code, str]] = {
    "minLength": _EMPTY,
    "minItems": _EMPTY,
    "minProperties": _EMPTY,
    "pattern": ("bad-format", "{found} is not valid here"),
    "maxProperties": ("conflicting-keys", "only {limit} key is allowed here"),
    "minimum": ("out-of-range", "must be at least {limit}, found {found}"),
    "maximum": ("out-of-range", "must be at most {limit}, found {found}"),
    "exclusiveMinimum": (
        "out-of-range",
        "must be more than {limit}, found {found}",
    ),
}
_WORDS: dict[str, Callable[[_Fault], Iterator[_Problem]]] = {
    "additionalProperties": _unknown,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "required": _missing,
    "dependentRequired": _missing,
    "not": _excluded,
    "type": _wrong_type,
    "enum": _not_listed,
    "const": _not_listed,
    "uniqueItems": _repeated,
}


def _shown(fault: _Fault) -> str:
    """The value as a message names it."""
    value = fault.value
    if isinstance(value, dict | list):
        return _TYPES["object" if isinstance(value, dict) else "array"]
    if value is None or fault.schema.get("writeOnly"):
        return "nothing" if value is None else "this value"
    return (
        repr(value[:40] + "…" * (len(value) > 40))
        if isinstance(value, str)
        else json.dumps(value)
    )
