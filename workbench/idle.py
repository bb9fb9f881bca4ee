"""What stands in a spec and has no effect: `etl validate` reports it as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.config.document import Document, Keys
from engine.config.suggestions import did_you_mean
from engine.connector.model import Connector
from engine.errors import Diagnostic
from engine.language.compile import Migration
from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping, Spec
from engine.values import segments


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
            if any(str(segments(path)[0]) in names for names in fields):
                known.add(place)
            elif place not in unknown:
                unknown[place] = _misses(document, keys, mapping, fields)
    yield from (item for place, item in unknown.items() if place not in known)


def _misses(
    document: Document,
    keys: Keys,
    mapping: ObjectMapping,
    fields: Sequence[Mapping[str, object]],
) -> Diagnostic:
    """That a field to ignore is in no record, with the one that was probably meant."""
    path = str(keys[-1])
    known = {name for names in fields for name in names} - mapping.ignore.keys()
    text = f"{' and '.join(mapping.sources)} have no field {path!r} to ignore"
    advice = did_you_mean(path, known) or "remove this line"
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
