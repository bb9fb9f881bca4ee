"""A schema of the document seen as one: references, `allOf`, alternatives and the ways of saying
null taken together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config.document import Keys
from workbench.openapi.reading import Node, followed

MOST_PARTS = 400  # schemas that one schema may be made of
MOST_FIELDS = 600  # properties of one object that are looked at
_NULL = ("null", None)


@dataclass(frozen=True, slots=True)
class Schema:
    """What holds for one value. `type` is "" where the document does not say, or says several."""

    keys: Keys
    type: str
    nullable: bool = False
    # what the first part to say a word says
    said: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Node] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Node | None = None
    enum: tuple[Any, ...] = ()

    def text(self, word: str) -> str:
        """A word's text; "" where there is none."""
        found = self.said.get(word)
        return found if isinstance(found, str) else ""

    def count(self, word: str) -> int | None:
        """A word's whole number; None where there is none."""
        found = self.said.get(word)
        return (
            found
            if isinstance(found, int) and not isinstance(found, bool)
            else None
        )

    def flag(self, word: str) -> bool:
        """Whether a word is true."""
        return self.said.get(word) is True

    def inner(self, name: str) -> Schema | None:
        """The schema of a property."""
        return view(self.properties[name]) if name in self.properties else None

    @property
    def item(self) -> Schema | None:
        """The schema of a list's items."""
        return view(self.items) if self.items is not None else None


def view(node: Node) -> Schema:
    """A schema as one; worked out once for each place."""
    memo = node.api.memo
    if ("schema", node.keys) not in memo:
        memo["schema", node.keys] = _seen(node)
    found: Schema = memo["schema", node.keys]
    return found


def _seen(node: Node) -> Schema:
    said: dict[str, Any] = {}
    properties: dict[str, Node] = {}
    required: set[str] = set()
    types: list[str] = []
    items: Node | None = None
    parts = list(_parts(node, set(), True))
    for part, sure in parts:
        value = part.value
        for word, one in value.items():
            said.setdefault(word, one)
        for name in part.raw("properties").names()[
            : MOST_FIELDS - len(properties)
        ]:
            properties.setdefault(name, part.raw("properties").raw(name))
        if sure and isinstance(value.get("required"), list):
            required |= {
                name for name in value["required"] if isinstance(name, str)
            }
        types += [one for one in _types(value) if one not in types]
        items = items or (
            part.raw("items") if isinstance(value.get("items"), dict) else None
        )
    only = [said["const"]] if "const" in said else []
    listed = said.get("enum")
    enum: list[Any] = listed if isinstance(listed, list) else only
    nullable = (
        "null" in types
        or None in enum
        or any(_says_null(part) for part, _ in parts)
    )
    words = tuple(one for one in enum if one is not None)
    kind = _one_type(
        [one for one in types if one != "null"], properties, items, words
    )
    return Schema(
        node.keys,
        kind,
        nullable,
        said,
        properties,
        frozenset(required),
        items,
        words,
    )


def _parts(
    node: Node, seen: set[Keys], sure: bool
) -> Iterator[tuple[Node, bool]]:
    """Every schema that a schema is made of, each once; `sure` False for one of several
    alternatives.
    """
    if (
        node.keys in seen
        or len(seen) > MOST_PARTS
        or not isinstance(node.value, dict)
    ):
        return
    seen.add(node.keys)
    if isinstance(node.value.get("$ref"), str):
        beside = {
            word: one for word, one in node.value.items() if word != "$ref"
        }
        yield Node(node.api, beside, node.keys), sure
        yield from _parts(followed(node), seen, sure)
        return
    yield node, sure
    for part in node.raw("allOf").raws():
        yield from _parts(part, seen, sure)
    for word in ("oneOf", "anyOf"):
        others = [part for part in node.raw(word).raws() if not _is_null(part)]
        for part in others:
            yield from _parts(part, seen, sure and len(others) == 1)


def _is_null(node: Node) -> bool:
    return isinstance(node.value, dict) and node.value.get("type") == "null"


def _says_null(node: Node) -> bool:
    stated = (
        node.value.get("nullable") is True
        or node.value.get("x-nullable") is True
    )
    return stated or any(
        _is_null(part)
        for word in ("oneOf", "anyOf")
        for part in node.raw(word).raws()
    )


def _types(value: Mapping[str, Any]) -> list[str]:
    stated = value.get("type")
    return [
        one
        for one in (stated if isinstance(stated, list) else [stated])
        if isinstance(one, str)
    ]


def _one_type(
    types: list[str],
    properties: Mapping[str, Node],
    items: Node | None,
    enum: tuple[Any, ...],
) -> str:
    if set(types) == {"integer", "number"}:
        return "number"
    if len(types) == 1:
        return types[0]
    if types:
        return ""
    if properties:
        return "object"
    if items is not None:
        return "array"
    return (
        "string" if enum and all(isinstance(one, str) for one in enum) else ""
    )
