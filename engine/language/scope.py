"""The names that a path may begin with inside one object, and what a path leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from engine.config.suggestions import suggest
from engine.connector.model import Connector, FieldType
from engine.errors import Code
from engine.language.model import Children, Related
from engine.values import Names, Segments, picks
from transforms.found import Steps

Shape = Mapping[str, FieldType]
ANY = FieldType("any")
TEXTS = (
    "text",
    "html",
    "url",
    "enum",
    "date",
    "time",
    "duration",
    "datetime",
    "wall_time",
)
NUMBERS = ("number", "integer")


class Found(msgspec.Struct, frozen=True):
    """What a path leads to; or what is wrong with it, and what to do."""

    kind: FieldType = ANY
    code: Code = "bad-expression"
    problem: str = ""
    advice: str = ""
    # so many parts of the path are names that the connector or the spec lists
    listed: int = 0


@dataclass(frozen=True)
class Scope:
    """The names that a path may begin with inside one object; what they stand for is worked out
    once.
    """

    connector: Connector
    sources: Names
    settings: Mapping[str, Any]
    steps: Steps
    # rows written in the spec, by their collection
    rows: Mapping[str, Shape] = field(default_factory=dict)
    related: Mapping[str, Related] = field(default_factory=dict)
    children: Mapping[str, Children] = field(default_factory=dict)
    each: tuple[str, Segments] | None = None
    _shapes: dict[Names, Shape | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def shape(self, collections: Sequence[str]) -> Shape | None:
        """All fields of the collections together; None where the connector lists none."""
        asked = tuple(collections)
        if asked not in self._shapes:
            self._shapes[asked] = self._together(asked)
        return self._shapes[asked]

    def _together(self, collections: Sequence[str]) -> Shape | None:
        found: dict[str, FieldType] = {}
        for name in collections:
            resource = self.connector.resources.get(name)
            fields = self.rows.get(name, resource.fields if resource else None)
            if not fields:
                return None
            for key, kind in fields.items():
                found[key] = (
                    kind if key not in found else _either(found[key], kind)
                )
        return found

    @cached_property
    def names(self) -> Shape:
        """What is defined beside the record's own fields, and shadows a field of the same name."""
        found = {
            name: FieldType(
                "list" if item.many else "object", self.shape(item.sources)
            )
            for name, item in self.related.items()
        }
        found |= {
            name: FieldType("list", self.shape((item.source,)))
            for name, item in self.children.items()
        }
        if self.each:
            inside = self.find(self.each[1], own=True).kind
            found[self.each[0]] = FieldType("object", inside.shape)
        return found

    def find(
        self, path: Segments, *, own: bool = False, template: bool = False
    ) -> Found:
        """What the path leads to; with `own` only the record's own fields, with `template` names as
        templates write them.
        """
        beside = {} if own else self.names
        shape = self.shape(self.sources)
        if shape is None and path[0] not in beside:
            return Found()
        root = FieldType("object", {**(shape or {}), **beside})
        return _walk(
            root, path, "" if own else " or ".join(self.sources), template
        )


def _either(one: FieldType, other: FieldType) -> FieldType:
    """A field that two collections have."""
    if one.kind != other.kind:
        return ANY
    shape = {**(one.shape or {}), **(other.shape or {})} or None
    return FieldType(
        one.kind,
        shape,
        tuple(dict.fromkeys([*one.to, *other.to])),
        one_of=one.one_of if other.one_of else (),
    )


def _walk(  # noqa: PLR0911
    kind: FieldType, path: Segments, origin: str, template: bool
) -> Found:
    several = False
    for position, part in enumerate(path):
        if kind is ANY or kind.kind == "any":
            return Found(listed=position)
        by = picks(part)
        if isinstance(part, int) or part == "*" or by:
            if kind.kind != "list":
                text = f"{_text(path[:position])} is not a list (in {_text(path)!r})"
                return Found(problem=text, advice="remove the brackets")
            if by and kind.shape and by[0] not in kind.shape:
                text = (
                    f"the elements of {_text(path[:position])} have no field {by[0]!r}"
                    f" (in {_text(path)!r})"
                )
                return Found(
                    code="unknown-field",
                    problem=text,
                    advice=suggest(by[0], kind.shape),
                )
            several = several or part == "*"
            kind = FieldType("object", kind.shape) if kind.shape else ANY
            continue
        if kind.kind == "list":
            advice = (
                "loop over it"
                if template
                else f"write {_text((*path[:position], '*', *path[position:]))}"
            )
            return Found(
                problem=f"{_text(path[:position])} is a list (in {_text(path)!r})",
                advice=advice,
            )
        if kind.shape is None:
            text = (
                f"{_text(path[:position])} has no fields (in {_text(path)!r})"
            )
            return (
                Found(listed=position)
                if kind.kind == "object"
                else Found(problem=text, advice="it is a single value")
            )
        key = _key(kind.shape, part, template)
        if key is None:
            owner = origin if position == 0 else _text(path[:position])
            known = [
                name.replace("-", "_") if template else name
                for name in kind.shape
            ]
            where = f" (in {_text(path)!r})" if len(path) > 1 else ""
            return Found(
                code="unknown-field",
                problem=(
                    f"{owner} {'have' if position == 0 else 'has'} no field"
                    f" {part!r}{where}"
                ),
                advice=suggest(part, known),
            )
        kind = kind.shape[key]
    return Found(
        FieldType("list", to=kind.to) if several else kind, listed=len(path)
    )


def _key(shape: Shape, part: str, template: bool) -> str | None:
    """The field's own name; templates write `_` for `-`."""
    if part in shape:
        return part
    return (
        next((name for name in shape if name.replace("-", "_") == part), None)
        if template
        else None
    )


def real(path: Sequence[str], scope: Scope) -> str:
    """A path of a template as the spec writes it: `line.item_name` is `line.item-name`."""
    shape: Shape | None = {**(scope.shape(scope.sources) or {}), **scope.names}
    found: list[str] = []
    for part in path:
        if part == "*":
            found.append(part)
            continue  # every element has the same fields

        key = _key(shape, part, template=True) if shape else None
        found.append(key or part)
        shape = shape[key].shape if shape and key else None
    return _text(found)


def _text(path: Sequence[str | int]) -> str:
    return "".join(map(_part, path)).removeprefix(".")


def _part(part: str | int) -> str:
    if isinstance(part, int) or part == "*":
        return f"[{part}]"
    return part if picks(part) else f".{part}"


def shape_of(rows: Sequence[Mapping[str, Any]]) -> Shape:
    """The fields of rows written in a spec, inferred from their values."""
    found: dict[str, FieldType] = {}
    for row in rows:
        for key, value in row.items():
            known, kind = found.get(key, ANY), kind_of(value)
            found[key] = (
                kind if value is None or known is ANY else _either(known, kind)
            )
    return found


def kind_of(value: Any) -> FieldType:
    """The type of a value written in a spec; null may be of any type."""
    if isinstance(value, dict):
        return FieldType("object", shape_of([value]))
    if isinstance(value, list):
        inner = [item for item in value if isinstance(item, dict)]
        same = bool(inner) and len(inner) == len(value)
        return FieldType("list", shape_of(inner) if same else None)
    if value is None:
        return ANY
    if isinstance(value, bool):
        return FieldType("boolean")
    return FieldType("text" if isinstance(value, str) else "number")
