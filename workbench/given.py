"""What the steps of a field give, beside what the field takes."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType

from engine.connector.model import FieldType
from engine.language.model import Cases, Expr, First, NamedStep, Pipe
from engine.language.typecheck import check_path
from transforms import FORMS, PASSING, Step

_KINDS = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "list",
}
_ARTICLES = {"integer": "a whole number", "object": "an object"}


def misgiven(
    expr: Expr, taken: FieldType | None, functions: Mapping[str, Step]
) -> Iterator[str]:
    """What a step gives at the end of an expression that a field of this type never takes."""
    if taken is None or taken.kind in ("reference", "file"):
        return
    for pipe in _ends(expr):
        name, kind = _given(pipe.steps, functions)
        if kind and check_path(FieldType(kind), taken):
            given = _ARTICLES.get(kind, f"a {kind}")
            yield (
                f"the step {name} gives {given}, and the field takes"
                f" {taken.kind.replace('_', ' ')}"
            )


def _ends(expr: Expr) -> Iterator[Pipe]:
    """The parts of an expression whose steps come last."""
    match expr:
        case Pipe(mapping=None):
            yield expr
        case First():
            for option in expr.options:
                yield from _ends(option)
        case Cases():
            for _, option in expr.cases:
                yield from _ends(option)
            yield from _ends(expr.otherwise)


def _given(
    steps: Sequence[NamedStep], functions: Mapping[str, Step]
) -> tuple[str, str]:
    """The step that decides what comes out, and the type of that; "" where nobody says."""
    for step in reversed(steps):
        if step.name not in PASSING:
            return step.name, FORMS.get(step.name) or _hinted(
                functions[step.name]
            )
    return "", ""


def _hinted(step: Step) -> str:
    """The type that a step says it gives, where that is one and no text."""
    hint = typing.get_type_hints(step).get("return")
    kinds = [
        kind
        for kind in typing.get_args(hint) or (hint,)
        if kind is not NoneType
    ]
    if typing.get_origin(hint) in (list, dict):
        kinds = [hint]
    if len(kinds) != 1:
        return ""
    return _KINDS.get(typing.get_origin(kinds[0]) or kinds[0], "")
