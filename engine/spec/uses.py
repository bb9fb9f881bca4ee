"""What a spec reads: collections, link fields, source paths; told from the expressions alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.spec.model import (
    Cases,
    Download,
    Expr,
    Field,
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
    for name, *fields in _needs(spec):
        if not name.startswith("$"):
            found.setdefault(name, set()).update(fields)
    return {name: tuple(sorted(fields)) for name, fields in found.items()}


def _needs(spec: Spec) -> Iterator[tuple[str, ...]]:
    """A collection, then the fields others are found by."""
    if spec.users:
        yield (spec.users.source,)
    yield from ((item.options_from[0],) for item in spec.custom_fields.values() if item.options_from[0])
    yield from ((item.options_from[0],) for item in spec.native_options if item.options_from[0])
    for mapping in spec.active():
        yield from ((name,) for name in mapping.sources)
        yield from ((name,) for related in mapping.related.values() for name in related.sources)
        yield from ((children.source, children.on) for children in mapping.children.values())
        for lookup in lookups(mapping):
            for target in lookup.objects if lookup.on else ():
                yield from ((name, lookup.on) for name in spec.objects[target].sources)


def lookups(item: ObjectMapping | Field) -> Iterable[Lookup]:
    """Every lookup inside a field, or inside all fields of an object."""
    fields = item.fields.values() if isinstance(item, ObjectMapping) else (item,)
    return (expr for field in fields for expr in walk(field.expr) if isinstance(expr, Lookup))


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
    found = {related.by.text for related in mapping.related.values()}
    found |= {children.by.text for children in mapping.children.values() if children.by}
    conditions = [mapping.when]
    if mapping.each:
        found.add(mapping.each.path.text)
        conditions.append(mapping.each.where)
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            match expr:
                case Path(text=text):
                    found.add(text)
                case Template(uses=uses):
                    found.update(uses)
                case Pipe(when=when):
                    conditions.append(when)
                case Cases(cases=cases):
                    conditions += [condition for condition, _ in cases]
    return found | {test.path.text for condition in conditions if condition for tests in condition.any_of for test in tests}
