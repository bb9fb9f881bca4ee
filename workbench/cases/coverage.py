"""Which parts of a spec its cases exercise, and which they do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.language.dependencies import walk
from engine.language.model import Lookup, ObjectMapping, Pipe, Spec, Template
from workbench.cases.run import Seen


@dataclass(frozen=True, slots=True)
class Coverage:
    """One kind of part: how many there are, and which no case covers."""

    kind: str
    total: int
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """Covered per hundred."""
        return (
            100.0 * (self.total - len(self.missing)) / self.total
            if self.total
            else 100.0
        )


def coverage(spec: Spec, seen: Seen) -> list[Coverage]:
    """Objects, fields, templates, entries of value maps and lookups' misses."""
    objects = [item for item in spec.active() if item.keys[:1] == ("objects",)]
    fields = [
        (mapping.name, name) for mapping in objects for name in mapping.fields
    ]
    templates = dict.fromkeys(
        name for mapping in objects for name in _templates(mapping)
    )
    return [
        _of(
            "objects",
            [mapping.name for mapping in objects],
            {name for name, _ in seen.fields},
        ),
        _of(
            "fields",
            [f"{name}.{target}" for name, target in fields],
            {f"{name}.{target}" for name, target in seen.fields},
        ),
        _of(
            "templates",
            list(templates),
            seen.templates
            | {f"{name}.{target}" for name, target in seen.fields},
        ),
        _of("value map entries", list(_entries(objects)), _asked(seen)),
        _of(
            "miss policies",
            list(_misses(objects)),
            {f"{name}.{target}" for name, target in seen.misses},
        ),
    ]


def _asked(seen: Seen) -> set[str]:
    """Entries that were used for a field that some case checks."""
    return {
        f"{name}.{target}: {entry}"
        for name, target, entry in seen.entries
        if (name, target) in seen.fields
    }


def _of(kind: str, wanted: Sequence[str], found: Iterable[str]) -> Coverage:
    covered = set(found)
    return Coverage(
        kind, len(wanted), tuple(name for name in wanted if name not in covered)
    )


def _templates(mapping: ObjectMapping) -> Iterator[str]:
    for target, item in mapping.fields.items():
        for expr in walk(item.expr):
            if isinstance(expr, Template):
                yield expr.name or f"{mapping.name}.{target}"


def _entries(objects: Sequence[ObjectMapping]) -> Iterator[str]:
    for mapping in objects:
        for target, item in mapping.fields.items():
            for expr in walk(item.expr):
                if isinstance(expr, Pipe) and expr.mapping:
                    yield from (
                        f"{mapping.name}.{target}: {entry}"
                        for entry in (*expr.mapping.entries, "else")
                    )


def _misses(objects: Sequence[ObjectMapping]) -> Iterator[str]:
    for mapping in objects:
        for target, item in mapping.fields.items():
            policies = {
                expr.on_miss
                for expr in walk(item.expr)
                if isinstance(expr, Lookup) and expr.objects != ("users",)
            }
            if policies:
                yield f"{mapping.name}.{target}"


def as_data(found: Sequence[Coverage]) -> list[Mapping[str, object]]:
    """Coverage for --json."""
    return [
        {
            "kind": item.kind,
            "total": item.total,
            "share": round(item.share, 1),
            "missing": list(item.missing),
        }
        for item in found
    ]
