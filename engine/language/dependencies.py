"""What a spec reads: collections, link fields and source paths, derived from its expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from engine.language.model import (
    Cases,
    Condition,
    Expr,
    Field,
    Lookup,
    ObjectMapping,
    Path,
    Pipe,
    Spec,
    Template,
)
from engine.values import Names, segments

Use = Literal["value", "link", "owner", "stage"]  # what a field is read for


def needed(spec: Spec) -> dict[str, Names]:
    """Every collection the spec reads, with the fields that other records are found by."""
    found: dict[str, set[str]] = {}
    for name, *links in _needs(spec):
        if not name.startswith("$"):
            found.setdefault(name, set()).update(links)
    return {name: tuple(sorted(fields)) for name, fields in found.items()}


def _needs(spec: Spec) -> Iterator[Names]:
    """A collection, then the fields others are found by."""
    if spec.users:
        yield (spec.users.source,)
    origins = [item.options_from for item in spec.custom_fields.values()]
    origins += [item.options_from for item in spec.native_options]
    yield from ((name,) for name, _ in origins if name)
    for mapping in spec.active():
        yield from ((name,) for name in mapping.sources)
        yield from (
            (name,)
            for related in mapping.related.values()
            for name in related.sources
        )
        yield from (
            (children.source, children.on)
            for children in mapping.children.values()
        )
        for lookup in lookups(mapping):
            for target in lookup.objects if lookup.on else ():
                yield from (
                    (name, lookup.on) for name in spec.objects[target].sources
                )


def by_source(
    objects: Iterable[ObjectMapping],
) -> dict[str, list[ObjectMapping]]:
    """The source collections, each with the objects made from it, in order."""
    found: dict[str, list[ObjectMapping]] = {}
    for mapping in objects:
        for name in mapping.sources:
            found.setdefault(name, []).append(mapping)
    return found


def lookups(item: ObjectMapping | Field) -> Iterable[Lookup]:
    """Every lookup inside a field, or inside all fields of an object."""
    whole = item.fields.values() if isinstance(item, ObjectMapping) else (item,)
    return (
        expr
        for field in whole
        for expr in walk(field.expr)
        if isinstance(expr, Lookup)
    )


def walk(expr: Expr) -> Iterator[Expr]:
    """An expression and everything inside it; what its conditions read is not inside."""
    yield expr
    if isinstance(expr, Struct):
        for name in expr.__struct_fields__:
            yield from _inside(getattr(expr, name))


def _inside(value: Any) -> Iterator[Expr]:
    if isinstance(value, Expr):
        yield from walk(value)
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _inside(item)


def conditions(item: Field) -> Iterator[Condition]:
    """Every condition inside a field."""
    for expr in walk(item.expr):
        if isinstance(expr, Pipe) and expr.when:
            yield expr.when
        elif isinstance(expr, Cases):
            yield from (condition for condition, _ in expr.cases)


def tested(condition: Condition | None) -> Iterator[str]:
    """The source paths a condition looks at."""
    return (
        test.path.text
        for tests in (condition.any_of if condition else ())
        for test in tests
    )


def paths_read(mapping: ObjectMapping) -> set[str]:
    """Source paths an object reads, as written."""
    found = {related.by.text for related in mapping.related.values()}
    found |= {
        children.by.text
        for children in mapping.children.values()
        if children.by
    }
    found.update(tested(mapping.when))
    if mapping.each:
        found.update([mapping.each.path.text], tested(mapping.each.where))
    for item in mapping.fields.values():
        found.update(_paths_in(item))
    return found


def _paths_in(item: Field) -> Iterator[str]:
    for expr in walk(item.expr):
        if isinstance(expr, Path):
            yield expr.text
        elif isinstance(expr, Template):
            yield from expr.uses
    for condition in conditions(item):
        yield from tested(condition)


def fields_read(spec: Spec) -> dict[str, dict[str, Use]]:
    """The fields that a spec reads, by collection, each with what it is read for: above all a
    link, an owner or a stage.
    """
    found: dict[str, dict[str, Use]] = {}
    if spec.users:
        found[spec.users.source] = {spec.users.source_email: "owner"}
    for mapping in spec.active():
        for name, text, use in _fields_of(spec, mapping):
            if name.startswith("$"):
                continue
            uses = found.setdefault(name, {})
            if uses.get(text, "value") == "value":
                uses[text] = use
    return found


def _fields_of(
    spec: Spec, mapping: ObjectMapping
) -> Iterator[tuple[str, str, Use]]:
    """A collection, a field of it, and what an object reads it for."""
    rest: Use = "stage" if mapping.scaffold else "value"
    uses = dict.fromkeys(sorted(paths_read(mapping)), rest)
    for related in mapping.related.values():
        uses[related.by.text] = "link"
    for children in mapping.children.values():
        yield children.source, children.on, "link"
        if children.by:
            uses[children.by.text] = "link"
    for lookup in lookups(mapping):
        use = _use_of(spec, lookup)
        uses |= dict.fromkeys(_paths_in(Field("", lookup.by, ())), use)
        for target in lookup.objects if lookup.on else ():
            for name in spec.objects[target].sources:
                yield name, lookup.on, use
    for text, use in uses.items():
        names, place = _placed(mapping, text)
        yield from ((name, place, use) for name in names if place)


def _use_of(spec: Spec, lookup: Lookup) -> Use:
    if lookup.objects == ("users",):
        return "owner"
    scaffold = any(spec.objects[name].scaffold for name in lookup.objects)
    return "stage" if scaffold else "link"


def _placed(mapping: ObjectMapping, text: str) -> tuple[Names, str]:
    """The collections whose rows a path leads to, and where it leads in them."""
    head = str(segments(text)[0])
    if head.startswith("$"):
        return (), ""
    inside = text.removeprefix(head)
    if mapping.each and head == mapping.each.name:
        return mapping.sources, f"{mapping.each.path.text}[*]{inside}"
    if head in mapping.related:
        sources = mapping.related[head].sources
    elif head in mapping.children:
        sources = (mapping.children[head].source,)
    else:
        return mapping.sources, text
    # the rows of a list are each looked at
    if inside.startswith("["):
        inside = inside.partition("]")[2]
    return sources, inside.removeprefix(".")
