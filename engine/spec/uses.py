"""What a spec reads: collections, link fields, source paths; told from the expressions alone."""

from __future__ import annotations

from collections.abc import Iterable

from engine.spec.model import (
    Cases,
    Condition,
    Download,
    Expr,
    First,
    Items,
    Lookup,
    ObjectMapping,
    Parts,
    Path,
    Pipe,
    Spec,
    Template,
)


def needed(spec: Spec) -> dict[str, tuple[str, ...]]:
    """Every collection the spec reads, with the fields that other records are found by."""
    found: dict[str, set[str]] = {}

    def need(name: str, *fields: str) -> None:
        if not name.startswith("$"):
            found.setdefault(name, set()).update(fields)

    if spec.users:
        need(spec.users.source)
    for item in [*spec.custom_fields.values(), *spec.native_options]:
        if item.options_from[0]:
            need(item.options_from[0])
    for mapping in spec.active():
        for name in mapping.sources:
            need(name)
        for related in mapping.related.values():
            for name in related.sources:
                need(name)
        for children in mapping.children.values():
            need(children.source, children.on)
        for lookup in lookups(mapping):
            for target in lookup.objects if lookup.on else ():
                for name in spec.objects[target].sources:
                    need(name, lookup.on)
    return {name: tuple(sorted(fields)) for name, fields in found.items()}


def lookups(mapping: ObjectMapping) -> Iterable[Lookup]:
    """Every lookup inside an object's fields."""
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            if isinstance(expr, Lookup):
                yield expr


def walk(expr: Expr) -> Iterable[Expr]:
    """An expression and everything inside it."""
    yield expr
    inner: Iterable[Expr] = ()
    match expr:
        case First(options=options):
            inner = options
        case Parts(values=values):
            inner = values.values()
        case Items(items=items):
            inner = items
        case Cases(cases=cases, otherwise=otherwise):
            inner = [*(item for _, item in cases), otherwise]
        case Lookup(by=by):
            inner = (by,)
        case Pipe(head=head):
            inner = (head,)
        case Download(url=url, name=name):
            inner = (url, name)
    for item in inner:
        yield from walk(item)


def paths_read(mapping: ObjectMapping) -> set[str]:
    """Source paths an object reads, as written."""
    found: set[str] = set()

    def tests(condition: Condition | None) -> None:
        for option in condition.any_of if condition else ():
            found.update(test.path.text for test in option)

    tests(mapping.when)
    for related in mapping.related.values():
        found.add(related.by.text)
    if mapping.each:
        found.add(mapping.each.path.text)
        tests(mapping.each.where)
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            match expr:
                case Path(text=text):
                    found.add(text)
                case Template(uses=uses):
                    found.update(uses)
                case Pipe(when=when):
                    tests(when)
                case Cases(cases=cases):
                    for condition, _ in cases:
                        tests(condition)
    return found
