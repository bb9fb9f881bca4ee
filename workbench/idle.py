"""What stands in a spec and has no effect: `etl validate` reports it as warnings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from engine.config.document import Document, Keys
from engine.config.suggestions import nearest
from engine.connector.model import Connector, FieldType
from engine.errors import Diagnostic
from engine.language.compile import Migration
from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping, Spec
from engine.language.scope import Shape

# types that may hold fields which no connector declares
_OPEN = ("any", "object", "list")
_PART = re.compile(r"\[[^]]*\]|[^.\[\]]+")


def idle(migration: Migration) -> Iterator[Diagnostic]:
    """What is left behind and yet mapped, ignored and yet nowhere, looked up and never found."""
    spec, document = migration.spec, migration.document
    yield from _left_behind(spec, document)
    yield from _ignored(spec, document, migration.source)
    for mapping in spec.objects.values():
        yield from _switched_off(spec, document, mapping)


def _left_behind(spec: Spec, document: Document) -> Iterator[Diagnostic]:
    mapped = {
        source: item.name
        for item in spec.objects.values()
        for source in item.sources
    }
    for name in spec.left_behind:
        if name in mapped:
            text = f"{name!r} is not left behind: {mapped[name]!r} is created from it"
            yield document.problem(
                ("left_behind", name),
                "unused",
                text,
                "remove this line",
                "warning",
            )


def _ignored(
    spec: Spec, document: Document, source: Connector
) -> Iterator[Diagnostic]:
    """Ignored fields that no record has; a list shared by an alias is judged by all objects that
    share it.
    """
    unknown: dict[object, Diagnostic] = {}
    known = set()
    for mapping in spec.objects.values():
        fields = [
            source.resources[name].fields
            for name in mapping.sources
            if name in source.resources
        ]
        for path in mapping.ignore if fields and all(fields) else ():
            keys: Keys = (*mapping.keys, "ignore", path)
            place = document.place(keys)
            misses = [miss for names in fields if (miss := _miss(names, path))]
            if len(misses) < len(fields):
                known.add(place)
            elif place not in unknown:
                unknown[place] = _told(document, keys, mapping, misses)
    yield from (item for place, item in unknown.items() if place not in known)


class _Miss(msgspec.Struct, frozen=True):
    """The part of a path that names no field, what stands around it, and the fields there are."""

    before: str
    part: str
    after: str
    fields: Shape

    def meant(self, ignored: Collection[str]) -> str:
        """The path with the field that was probably meant, unless it is ignored as well."""
        paths = {
            name: f"{self.before}{name}{self.after}" for name in self.fields
        }
        guess = nearest(
            self.part, [name for name in paths if paths[name] not in ignored]
        )
        return f"did you mean {paths[guess]!r}?" if guess else ""


def _miss(shape: Shape, path: str) -> _Miss | None:
    """Where a path leads to no field; None where it leads to one, or nobody can tell."""
    inside: Shape | None = shape
    for part in _PART.finditer(path):
        if inside is None:
            return None
        if part[0].startswith("["):
            continue  # every element has the same fields

        if part[0] not in inside:
            before, after = path[: part.start()], path[part.end() :]
            return _Miss(before, part[0], after, inside)
        inside = _fields_in(inside[part[0]])
    return None


def _fields_in(kind: FieldType) -> Shape | None:
    """The fields inside a field: a single value has none; None where they are not declared."""
    return kind.shape or (None if kind.kind in _OPEN else {})


def _told(
    document: Document,
    keys: Keys,
    mapping: ObjectMapping,
    misses: Iterable[_Miss],
) -> Diagnostic:
    """That a field to ignore is in no record, with the one that was probably meant."""
    text = f"{' and '.join(mapping.sources)} have no field {str(keys[-1])!r} to ignore"
    meant = (miss.meant(mapping.ignore) for miss in misses)
    advice = next(filter(None, meant), "remove this line")
    return document.problem(keys, "unknown-field", text, advice, "warning")


def _switched_off(
    spec: Spec, document: Document, mapping: ObjectMapping
) -> Iterator[Diagnostic]:
    """A lookup among disabled objects never finds anything."""
    for field in mapping.fields.values() if mapping.enabled else ():
        for lookup in lookups(field):
            off = [
                name
                for name in lookup.objects
                if name in spec.objects and not spec.objects[name].enabled
            ]
            if off and len(off) == len(lookup.objects):
                text = (
                    "this lookup never finds anything: switched off are"
                    f" {' and '.join(map(repr, off))}"
                )
                yield document.problem(
                    field.keys,
                    "never-matches",
                    text,
                    "switch it on, or remove the lookup",
                    "warning",
                )
