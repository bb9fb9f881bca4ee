"""Where the rows stand in an answer and in a body: what platforms put around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.values import dig
from workbench.openapi.calls import Answer, Call
from workbench.openapi.names import key, placeable, singular
from workbench.openapi.schemas import Schema
from workbench.openapi.words import words

_DEEP = 3


@dataclass(frozen=True, slots=True)
class Found:
    """Where a row or the rows stand, and what a row is. `sure` False where there was a choice."""

    select: str
    row: Schema
    each: str = ""
    sure: bool = True

    @property
    def json_api(self) -> bool:
        """Whether a row keeps its fields as JSON:API does."""
        return {"type", "attributes"} <= set(self.row.properties)

    @property
    def attributes(self) -> Schema | None:
        """What holds the fields of a row."""
        return self.row.inner("attributes") if self.json_api else self.row


@dataclass(frozen=True, slots=True)
class Seen:
    """What a collection's answers and bodies hold."""

    listed: Found | None
    read: Found | None
    made: Found | None
    create: Found | None
    update: Found | None

    @property
    def held(self) -> Found | None:
        """The row, as far as the document draws it."""
        drawn = [
            one
            for one in (self.read, self.listed, self.made)
            if one is not None
        ]
        return max(drawn, key=lambda one: len(one.row.properties), default=None)


def rows(answer: Answer | None, resource: str) -> Found | None:
    """The rows of a list's answer; None where there are none that could be rows."""
    if answer is None or answer.schema is None:
        return None
    places = sorted(
        _lists(answer.schema, resource, ()), key=lambda found: found[0]
    )
    if not places:
        return None
    _, path, row = places[0]
    each = _only_object(row, resource)
    inner = row.inner(each) if each else None
    return Found(
        ".".join(path),
        inner or row,
        each,
        len(places) == 1 or places[0][0] < places[1][0],
    )


def _lists(
    schema: Schema, resource: str, path: tuple[str, ...]
) -> Iterator[tuple[tuple[int, int], tuple[str, ...], Schema]]:
    """Lists of objects in an answer, with how likely each is the one."""
    if schema.type == "array":
        item = schema.item
        if item is not None and (
            item.type == "object" or (item.type == "" and path == ())
        ):
            yield (len(path), 0), path, item
        return
    if len(path) == _DEEP or (not path and _is_a_row(schema)):
        return
    for name in schema.properties:
        word = key(name)
        inner = schema.inner(name)
        if (
            inner is None
            or not placeable(name)
            or (word in words("around") and word not in (key(resource), "page"))
        ):
            continue
        if (
            inner.type == "array"
            and inner.item is not None
            and inner.item.type in ("object", "")
        ):
            rank = _rank(word, resource)
            if rank < 50 or len(_own(schema)) <= 2:
                yield (len(path) + 1, rank), (*path, name), inner.item
        elif inner.type == "object":
            yield from _lists(inner, resource, (*path, name))


def _rank(word: str, resource: str) -> int:
    if word in (key(resource), key(singular(resource))):
        return 0
    return 1 + words("lists").index(word) if word in words("lists") else 50


def _own(schema: Schema) -> list[str]:
    """The properties that are no part of an envelope."""
    return [
        name for name in schema.properties if key(name) not in words("around")
    ]


def _is_a_row(schema: Schema) -> bool:
    return bool({"id", "uuid", "_id"} & set(schema.properties))


def _only_object(row: Schema, resource: str) -> str:
    """The one key of a row under which the row itself stands."""
    if len(row.properties) != 1:
        return ""
    name = next(iter(row.properties))
    inner = row.inner(name)
    fits = key(name) in (
        key(singular(resource)),
        key(resource),
        *words("singles"),
    ) or _tail(name, resource)
    return (
        name
        if inner is not None
        and inner.type == "object"
        and inner.properties
        and fits
        and placeable(name)
        else ""
    )


def _tail(name: str, resource: str) -> bool:
    return key(singular(resource)).endswith(key(name)) and len(key(name)) > 3


def row(answer: Answer | None, resource: str) -> Found | None:
    """The row of an answer that holds one; None where the answer says nothing of it."""
    if (
        answer is None
        or answer.schema is None
        or answer.schema.type not in ("object", "")
    ):
        return None
    schema = answer.schema
    if not schema.properties:
        return None
    if not _is_a_row(schema):
        names = [
            name
            for name in schema.properties
            if placeable(name) and _holds(schema.inner(name))
        ]
        ranked = sorted(
            names, key=lambda name: _single_rank(key(name), resource)
        )
        if ranked and (
            _single_rank(key(ranked[0]), resource) < 50
            or len(_own(schema)) == 1
        ):
            inner = schema.inner(ranked[0])
            return Found(ranked[0], inner) if inner is not None else None
    return Found("", schema)


def _holds(schema: Schema | None) -> bool:
    return (
        schema is not None
        and schema.type == "object"
        and bool(schema.properties)
    )


def _single_rank(word: str, resource: str) -> int:
    if word in (key(singular(resource)), key(resource)):
        return 0
    if word in words("singles"):
        return 1 + words("singles").index(word)
    return 99 if word in words("around") else 50


def sent(call: Call | None, resource: str) -> Found | None:
    """The row in a body; `select` is what it is wrapped in."""
    if call is None or call.body is None or not call.body.properties:
        return None
    wrap = _only_object(call.body, resource)
    inner = call.body.inner(wrap) if wrap else None
    return Found(wrap, inner) if inner is not None else Found("", call.body)


def examples(
    answer: Answer | None, found: Found | None
) -> list[Mapping[str, Any]]:
    """Rows of a document's examples."""
    if answer is None or found is None:
        return []
    path = tuple(found.select.split(".")) if found.select else ()
    shown = [dig(one, path) for one in answer.examples]
    some = [
        one
        for item in shown
        for one in (item if isinstance(item, list) else [item])
    ][:20]
    some = (
        [one.get(found.each) for one in some if isinstance(one, dict)]
        if found.each
        else some
    )
    return [one for one in some if isinstance(one, dict)]
