"""What a spec may say but hardly means: `etl validate` reports it as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.config.document import Document, Keys, several
from engine.config.suggestions import did_you_mean
from engine.connector.model import FieldType, Resource
from engine.errors import Diagnostic
from engine.language.compile import Migration
from engine.language.model import Const, Field, ObjectMapping, Pipe
from engine.language.typecheck import custom_kind
from workbench.contradictions import contradiction, tests_of
from workbench.given import misgiven

TYPOGRAPHIC = ("“", "”", "„", "‟")
TESTS_OF_PRESENCE = ("filled", "empty")


def quotes(document: Document) -> Iterator[Diagnostic]:
    """Values and names in typographic quotes: YAML takes those for letters."""
    for keys in document.places:
        value = _at(document.data, keys)
        if isinstance(value, str) and value.startswith(TYPOGRAPHIC):
            problem = (
                f"the typographic quotes of {value[:40]!r} are part of the text"
            )
            yield document.problem(
                keys,
                "stray-character",
                problem,
                'use plain quotes (") instead',
                "warning",
            )


def doubts(document: Document, migration: Migration) -> Iterator[Diagnostic]:
    """Custom fields called like one of the platform's own, fields that the destination will
    refuse, steps that give what a field never takes, and conditions that never hold.
    """
    yield from _names(document, migration)
    yield from _conditions(document, migration)
    for mapping in migration.spec.active():
        kinds = migration.destination.resources[mapping.resource].fields
        for item in mapping.fields.values():
            taken = _taken(migration, mapping, item)
            for problem in misgiven(
                item.expr, taken, migration.steps.functions
            ):
                yield document.problem(
                    item.keys,
                    "wrong-type",
                    problem,
                    "add a step that converts it, or map it to a field that fits",
                    "warning",
                )
            for problem, advice in _alone(mapping, kinds.get(item.target)):
                yield document.problem(
                    item.keys,
                    "required-field",
                    f"{item.target!r} {problem}",
                    advice,
                    "warning",
                )


def _taken(
    migration: Migration, mapping: ObjectMapping, item: Field
) -> FieldType | None:
    """The type of the field that an object fills."""
    if item.custom:
        custom = migration.spec.custom_fields
        return custom_kind(custom[mapping.resource, item.custom])
    return migration.destination.resources[mapping.resource].fields.get(
        item.target
    )


def names_of_its_own(resource: Resource) -> frozenset[str]:
    """What people see as the names of the fields that the platform has of itself, as `folded`."""
    return frozenset(
        folded(resource.labels.get(name, name.replace("_", " ")))
        for name in (*resource.fields, *resource.labels)
    )


def folded(label: str) -> str:
    """A name in the form in which two of them are compared."""
    return label.strip().casefold()


def _names(document: Document, migration: Migration) -> Iterator[Diagnostic]:
    """Custom fields that are called like a field that the platform has of itself."""
    platform, source = migration.destination, migration.source.title
    for item in migration.spec.custom_fields.values():
        resource = platform.resources[item.resource]
        if folded(item.label) in names_of_its_own(resource):
            yield document.problem(
                ("custom_fields", item.resource, item.name, "name"),
                "duplicate-value",
                f"{platform.title} has a field of its own called {item.label!r} for"
                f" {item.resource}",
                f"choose another name, such as {item.label + f' ({source})'!r}, or map"
                " that field",
                "warning",
            )


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


# words below which a condition stands, and names under which the same word is a name
_CONDITIONS = ("when", "where")
_NAMES = ("fields", "related", "children", "map", "value")


def _conditions(
    document: Document, migration: Migration
) -> Iterator[Diagnostic]:
    """Conditions of objects and pipelines that never hold, each test at its place."""
    off = {
        name
        for name, mapping in migration.spec.objects.items()
        if not mapping.enabled
    }
    for keys in document.places:
        if not _is_condition(keys) or keys[1] in off:
            continue
        for at, tests in several(_at(document.data, keys), keys):
            for path, wanted in tests.items():
                sources = _sources(migration, keys)
                for problem, advice in _never(path, wanted, sources):
                    yield document.problem(
                        (*at, path), "never-matches", problem, advice, "warning"
                    )


def _is_condition(keys: Keys) -> bool:
    """Whether a condition stands at a place."""
    inside = keys[:1] in (("objects",), ("pipelines",))
    return inside and keys[-1] in _CONDITIONS and keys[-2] not in _NAMES


def _sources(migration: Migration, keys: Keys) -> tuple[str, ...]:
    """The collections that the records of a condition are of; () where they are of others."""
    if keys[0] != "objects" or "children" in keys:
        return ()
    return migration.spec.objects[str(keys[1])].sources


def _never(
    path: str, wanted: Any, sources: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """What is wrong with what a condition says of one path, and what to do."""
    if wanted in TESTS_OF_PRESENCE:
        yield (
            f"{path!r} is compared with the text {wanted!r}",
            f"to test whether it is, write {{{wanted}: true}}",
        )
    elif problem := contradiction(tests_of(path, wanted), sources):
        named = wanted if isinstance(wanted, str) else ""
        yield (
            problem,
            did_you_mean(named, sources)
            or "tests of one field all have to hold; a list of conditions holds where one does",
        )


def _alone(
    mapping: ObjectMapping, field_type: FieldType | None
) -> Iterator[tuple[str, str]]:
    """What a field requires that no record of this object will have."""
    for other in field_type.requires if field_type else ():
        if other not in mapping.fields:
            yield (
                f"is accepted only together with {other!r}, which is not mapped",
                f"map {other}",
            )
    for other, wanted in (field_type.only_with if field_type else {}).items():
        values = wanted if isinstance(wanted, list) else [wanted]
        said = " or ".join(map(str, values))
        if other not in mapping.fields:
            yield (
                f"is accepted only with {other} {said}, and {other} is not mapped",
                f"map {other}",
            )
        elif (
            fixed := _fixed(mapping.fields, other)
        ) and fixed.value not in values:
            yield (
                (
                    f"is accepted only with {other} {said}, but here it is always {fixed.value}"
                ),
                "remove one of them",
            )


def _fixed(fields: Mapping[str, Field], name: str) -> Const | None:
    expr = fields[name].expr
    if isinstance(expr, Pipe) and not (expr.when or expr.steps or expr.mapping):
        expr = expr.head
    return expr if isinstance(expr, Const) else None
