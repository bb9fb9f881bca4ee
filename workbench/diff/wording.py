"""Expressions of a spec in words, for people who will never read YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.language.model import (
    Cases,
    Condition,
    Const,
    Download,
    Expr,
    First,
    Items,
    Lookup,
    NamedStep,
    Parts,
    Path,
    Pipe,
    Spec,
    Template,
    Test,
    ValueMap,
)
from engine.values import is_empty, word

FIRST = "the first of them that is filled"
_SPECIAL = {
    "$key": "the record's key",
    "$record": "the key of the record around it",
    "$id": "the record's id",
    "$collection": "the kind of record",
    "$today": "the day of the run",
    "$none": "nothing",
}
_MISS = {
    "report": "if there is none, it stays empty and is listed",
    "omit": "if there is none, it stays empty",
    "skip": "if there is none, the record stays behind",
    "fail": "if there is none, the record is not written and is listed",
    "fallback": "if there is none, a fixed record is used instead",
}
_OPS = {
    "gt": "greater than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
    "equals": "is",
    "not": "is not",
}


@dataclass(slots=True)
class Words:
    """Where a value comes from, what happens to it, and the tables it goes through."""

    sources: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    maps: list[ValueMap] = field(default_factory=list)


def in_words(expr: Expr, spec: Spec) -> Words:
    """The story of one field."""
    said = Words()
    _SAY[type(expr)](expr, spec, said)
    said.sources = list(dict.fromkeys(said.sources))
    return said


def _path(expr: Path, spec: Spec, said: Words) -> None:
    said.sources.append(named(expr, spec))


def named(path: Path, spec: Spec) -> str:
    """A source path as people read it."""
    return _named(path.text, spec)


def _named(text: str, spec: Spec) -> str:
    head, _, name = text.partition(".")
    if head != "$settings":
        return _SPECIAL.get(text, text)
    value = spec.settings.get(name)
    held = shown(value) if isinstance(value, bool) else value
    return f"the setting {name} ({'empty' if is_empty(value) else held})"


def _const(expr: Const, _: Spec, said: Words) -> None:
    said.steps.append(f"always {shown(expr.value)}")


def _template(expr: Template, spec: Spec, said: Words) -> None:
    said.sources += [
        _named(use, spec)
        for use in expr.uses
        if not any(other.startswith(f"{use}.") for other in expr.uses)
    ]
    said.steps.append(
        f"a text by the template {expr.name.rpartition('/')[2]}"
        if expr.name
        else "a text made of them"
    )


def _first(expr: First, spec: Spec, said: Words) -> None:
    if all(isinstance(option, Path) for option in expr.options):
        said.sources += [
            named(option, spec)
            for option in expr.options
            if isinstance(option, Path)
        ]
        said.steps.append(FIRST)
        return
    for place, option in enumerate(expr.options, 1):
        inner = in_words(option, spec)
        said.sources += inner.sources
        said.maps += inner.maps
        said.steps.append(f"choice {place}: {_joined(inner)}")
    said.steps.append("the first choice that gives a value")


def _joined(inner: Words) -> str:
    return "; ".join(inner.steps) or ", ".join(inner.sources)


def _parts(expr: Parts, spec: Spec, said: Words) -> None:
    for name, item in expr.values.items():
        inner = in_words(item, spec)
        said.maps += inner.maps
        title = name.replace("_", " ")
        said.sources += (
            [f"{title}: {' or '.join(inner.sources)}"] if inner.sources else []
        )
        steps = [step for step in inner.steps if step != FIRST]
        said.steps += [f"{title}: {'; '.join(steps)}"] if steps else []


def _items(expr: Items, spec: Spec, said: Words) -> None:
    for item in expr.items:
        _parts(item, spec, said)


def _cases(expr: Cases, spec: Spec, said: Words) -> None:
    for condition, item in expr.cases:
        inner = in_words(item, spec)
        said.sources += [*tested(condition), *inner.sources]
        said.maps += inner.maps
        said.steps.append(f"if {when(condition, spec)}: {_joined(inner)}")
    inner = in_words(expr.otherwise, spec)
    said.sources += inner.sources
    said.steps.append(f"otherwise: {_joined(inner)}")


def _lookup(expr: Lookup, spec: Spec, said: Words) -> None:
    by = in_words(expr.by, spec)
    said.sources += by.sources
    said.steps += by.steps if not isinstance(expr.by, Path | First) else []
    target = " or ".join(
        spec.objects[name].label if name in spec.objects else name
        for name in expr.objects
    )
    if expr.objects == ("users",):
        said.steps.append(
            "the user with the same e-mail address; if there is none, the fallback owner"
        )
        return
    how = f" with the same {expr.on}" if expr.on else ""
    said.steps.append(
        f"the migrated record of {target}{how}; {_MISS[expr.on_miss]}"
    )


def _download(expr: Download, spec: Spec, said: Words) -> None:
    inner = in_words(expr.url, spec)
    name = in_words(expr.name, spec)
    said.sources += inner.sources
    said.steps.append(
        f"the file behind the link, under the name: {_joined(name)}"
    )


def _pipe(expr: Pipe, spec: Spec, said: Words) -> None:
    if expr.when:
        said.steps.append(f"only if {when(expr.when, spec)}")
    _SAY[type(expr.head)](expr.head, spec, said)
    said.steps += [_step(step) for step in expr.steps]
    if expr.mapping:
        said.maps.append(expr.mapping)
        said.steps.append("translated by the table below")
    if expr.default is not None:
        said.steps.append(f"if empty: {shown(expr.default)}")


def _step(step: NamedStep) -> str:
    """The first sentence of the step's documentation, with its arguments."""
    sentence = (
        (getattr(step.run, "func", step.run).__doc__ or step.name)
        .strip()
        .splitlines()[0]
        .rstrip(".")
    )
    args = ", ".join(
        f"{name} {shown(value)}"
        for name, value in step.args.items()
        if not isinstance(value, bool)
    )
    return f"{sentence[0].lower()}{sentence[1:]}{f' ({args})' if args else ''}"


def when(condition: Condition, spec: Spec) -> str:
    """A condition in words."""
    return ", or ".join(
        " and ".join(_test(test, spec) for test in tests)
        for tests in condition.any_of
    )


def tested(condition: Condition) -> Iterator[str]:
    """The source fields a condition looks at."""
    yield from (test.path.text for tests in condition.any_of for test in tests)


def _test(test: Test, spec: Spec) -> str:
    field = test.path.text
    if test.path.segments[0] == "$settings":
        field = named(test.path, spec)
    if test.op in ("filled", "empty"):
        filled = bool(test.value) == (test.op == "filled")
        return f"{field} {'is filled' if filled else 'is empty'}"
    if test.op == "in":
        return f"{field} is {' or '.join(map(shown, test.value))}"
    return f"{field} {_OPS[test.op]} {shown(test.value)}"


def otherwise(rules: ValueMap) -> str:
    """What a value map does with the values it does not name."""
    if rules.fail:
        return "the record is not written and is listed"
    if rules.report:
        return "left out and listed"
    return "left out" if rules.otherwise is None else word(rules.otherwise)


def shown(value: Any) -> str:
    """A fixed value as people read it."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name} {shown(item)}" for name, item in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"“{value}”" if isinstance(value, str) else word(value)


_SAY: Mapping[type, Any] = {
    Path: _path,
    Const: _const,
    Template: _template,
    First: _first,
    Parts: _parts,
    Items: _items,
    Cases: _cases,
    Lookup: _lookup,
    Download: _download,
    Pipe: _pipe,
}
