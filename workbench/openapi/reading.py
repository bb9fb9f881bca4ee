"""An OpenAPI document as plain data with places: YAML or JSON, Swagger 2.0, OpenAPI 3.0 or 3.1;
never trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from engine.config.document import Document, Keys, Limits, decoded, parse
from engine.errors import Diagnostic, Place, SpecError, UsageError
from workbench.openapi.names import one_line

# published documents are larger than specs
LARGE = Limits(bytes=20_000_000, nodes=2_000_000, depth=64, any_keys=True)
HOPS = 30  # references that may lead to references
DEEPEST = 200  # levels of a JSON document


@dataclass(frozen=True, slots=True)
class Api:
    """A document, and what has been derived from it so far, by kind and place."""

    document: Document
    swagger: bool  # 2.0, whose parts stand elsewhere
    memo: dict[Any, Any] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def root(self) -> Node:
        """The whole document."""
        return Node(self, self.document.data, ())


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the document with its place. What is not there, or is of another kind, is an
    empty node.
    """

    api: Api = field(repr=False)
    value: Any
    keys: Keys

    def raw(self, name: str | int) -> Node:
        """The part under a key or position as it stands, references not followed."""
        holder = self.value
        if isinstance(holder, dict) and isinstance(name, str):
            return Node(self.api, holder.get(name), (*self.keys, name))
        inside = (
            isinstance(holder, list)
            and isinstance(name, int)
            and name < len(holder)
        )
        return Node(
            self.api, holder[name] if inside else None, (*self.keys, name)
        )

    def at(self, *names: str | int) -> Node:
        """The part at a path, references followed on the way and at its end."""
        node = followed(self)
        for name in names:
            node = followed(node.raw(name))
        return node

    def names(self) -> tuple[str, ...]:
        """The keys of a mapping."""
        return tuple(self.value) if isinstance(self.value, dict) else ()

    def raws(self) -> Iterator[Node]:
        """The items of a list as they stand."""
        for position in range(
            len(self.value) if isinstance(self.value, list) else 0
        ):
            yield self.raw(position)

    def each(self) -> Iterator[Node]:
        """The items of a list, references followed."""
        return (followed(item) for item in self.raws())

    def text(self, *names: str) -> str:
        """The text at a path; "" where there is none."""
        found = self.at(*names).value
        return found if isinstance(found, str) else ""


def opened(raw: bytes, name: str) -> Api:
    """Read a document; raises SpecError with the place of what is wrong."""
    document = _parsed(decoded(raw, name, LARGE), name)
    if not isinstance(document.data, dict):
        raise SpecError(
            [
                document.problem(
                    (),
                    "unsupported",
                    "not an OpenAPI document",
                    "it begins with openapi: or swagger:",
                )
            ]
        )
    version = str(
        document.data.get("openapi", document.data.get("swagger", ""))
    )
    if version not in ("2.0", "2") and not version.startswith("3."):
        problem = (
            f"version {one_line(version, 20)!r} is not known"
            if version
            else "not an OpenAPI document"
        )
        keys: Keys = (
            ("openapi",) if "openapi" in document.data else ("swagger",)
        )
        raise SpecError(
            [
                document.problem(
                    keys,
                    "unsupported",
                    problem,
                    "Swagger 2.0, OpenAPI 3.0 and 3.1 are read",
                )
            ]
        )
    if (
        not isinstance(document.data.get("paths"), dict)
        or not document.data["paths"]
    ):
        raise SpecError(
            [
                document.problem(
                    ("paths",),
                    "missing-key",
                    "the document has no paths",
                    "a connector is drafted from its paths",
                )
            ]
        )
    return Api(document, version.startswith("2"))


def file(path: Path) -> bytes:
    """What a file holds; raises UsageError where it cannot be read."""
    try:
        if path.stat().st_size > LARGE.bytes:
            raise UsageError(
                f"{path}: larger than {LARGE.bytes:,} bytes – leave out what you do not need"
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror} – check the path"
        ) from None


def _parsed(text: str, name: str) -> Document:
    """JSON where the text is JSON, YAML otherwise; a text that is neither is refused as YAML is."""
    if not text.lstrip().startswith(("{", "[")):
        return parse(text, name, LARGE)
    try:
        data = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        place = Place(name, error.lineno, error.colno)
        raise _not_json(place, f"not valid JSON: {error.msg}") from None
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise _not_json(Place(name, 1, 1), one_line(error)) from None
    if _depth(data) > DEEPEST:
        raise _too_deep(name)
    return Document(name, data, {})


def _not_json(place: Place, problem: str) -> SpecError:
    return SpecError(
        [Diagnostic(place, "", "bad-syntax", problem, "correct the document")]
    )


def _too_deep(name: str) -> SpecError:
    place, advice = Place(name, 1, 1), f"at most {DEEPEST} levels"
    return SpecError(
        [Diagnostic(place, "", "too-large", "nested too deeply", advice)]
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"duplicate key {one_line(twice, 60)!r}")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _depth(data: Any) -> int:
    """How deep a value is nested, without descending by recursion."""
    level, deep = [data], 0
    while level and deep <= DEEPEST:
        inner = [
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, dict | list)
        ]
        level, deep = [one for items in inner for one in items], deep + 1
    return deep


def followed(node: Node) -> Node:
    """The node itself, or what its `$ref` leads to; raises SpecError for one that leads
    elsewhere, nowhere or in a circle.
    """
    hops = 0
    while isinstance(node.value, dict) and isinstance(
        node.value.get("$ref"), str
    ):
        hops += 1
        if hops > HOPS:
            raise _wrong(
                node,
                "leads back to itself",
                "write the schema where it is used",
            )
        node = _target(node)
    return node


def _target(node: Node) -> Node:
    reference = node.value["$ref"]
    if not reference.startswith("#"):
        raise _wrong(
            node,
            "leads out of the document, which is not followed",
            "bundle the document into one file first",
        )
    found = node.api.root
    for part in unquote(reference[1:]).strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.raw(
            int(name)
            if name.isdecimal()
            and len(name) < 6
            and isinstance(found.value, list)
            else name
        )
    if found.value is None:
        raise _wrong(node, "leads nowhere", "correct it, or add what it names")
    return found


def _wrong(node: Node, problem: str, advice: str) -> SpecError:
    reference = one_line(node.value["$ref"], 80)
    return SpecError(
        [
            node.api.document.problem(
                (*node.keys, "$ref"),
                "bad-reference",
                f"the reference {reference!r} {problem}",
                advice,
            )
        ]
    )
