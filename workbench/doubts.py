"""What a spec may say but hardly means: `etl validate` reports it as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.config.document import Document, Keys, several
from engine.config.suggestions import did_you_mean
from engine.connector.model import FieldType, Resource
from engine.errors import Diagnostic
from engine.language.compile import Migration
from engine.language.expressions import HEADS
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
    yield from _conditions(migration)
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


def _conditions(migration: Migration) -> Iterator[Diagnostic]:
    """Conditions of objects and pipelines that never hold, each test at its place."""
    document = migration.document
    for keys, sources in conditions_of(migration):
        for at, tests in several(_at(document.data, keys), keys):
            for path, wanted in tests.items():
                for problem, advice in _never(path, wanted, sources):
                    yield document.problem(
                        (*at, path), "never-matches", problem, advice, "warning"
                    )


def conditions_of(
    migration: Migration,
) -> Iterator[tuple[Keys, tuple[str, ...]]]:
    """Where conditions stand in objects that are switched on and in pipelines, and the collections
    that their records are of; () where those are others than the object's.
    """
    data = migration.document.data
    for name, item in data["objects"].items():
        mapping, keys = migration.spec.objects[name], ("objects", name)
        if not mapping.enabled:
            continue
        for at in _of_records(item, keys):
            yield at, mapping.sources
        for child, rows in item.get("children", {}).items():
            for at in _below(rows, "where", (*keys, "children", child)):
                yield at, ()
    for name, item in data.get("pipelines", {}).items():
        for at in _below(
            item["stages"], "where", ("pipelines", name, "stages")
        ):
            yield at, ()


def _of_records(item: Mapping[str, Any], keys: Keys) -> Iterator[Keys]:
    """Conditions on the records of an object."""
    yield from _below(item, "when", keys)
    yield from _below(item.get("each", {}), "where", (*keys, "each"))
    for target, written in item["fields"].items():
        yield from _inside(written, (*keys, "fields", target))


def _below(written: Any, word: str, keys: Keys) -> Iterator[Keys]:
    if isinstance(written, Mapping) and word in written:
        yield (*keys, word)


def _inside(written: Any, keys: Keys) -> Iterator[Keys]:
    """Conditions of an expression: `when` is one there, and elsewhere a name like any other."""
    if isinstance(written, list):
        for at, item in several(written, keys):
            yield from _inside(item, at)
    if not isinstance(written, Mapping):
        return

    yield from _below(written, "when", keys)
    for word in ("by", "download", "name"):
        yield from _inside(written.get(word), (*keys, word))
    inner = written.get("from")
    if isinstance(inner, Mapping) and not HEADS & set(inner):
        yield from _of_parts(inner, (*keys, "from"))
    else:
        yield from _inside(inner, (*keys, "from"))

    for at, item in several(written.get("cases", []), (*keys, "cases")):
        yield from _inside(item, at)
    if "cases" in written:
        yield from _inside(written["else"], (*keys, "else"))
    for at, item in several(written.get("list", []), (*keys, "list")):
        yield from _of_parts(item, at)


def _of_parts(parts: Mapping[str, Any], keys: Keys) -> Iterator[Keys]:
    """Conditions of values that have names."""
    for name, written in parts.items():
        yield from _inside(written, (*keys, name))


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
