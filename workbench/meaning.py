"""What a spec means for the data, as comparable parts: equal parts, equal drafts.

A part is one thing a reviewer can point at: a field of an object, an object's condition, a custom
field, a connector's resource, the source code of a step. Comments, the order of keys, aliases and
other ways to write the same are no part of the meaning. Labels, reasons for what stays behind,
sample sizes, guards and quotas are parts, but without weight: they change no data and are not in
the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Literal

from msgspec import Struct

import transforms
from engine.config.document import Keys
from engine.connector.model import Connection, Connector, CustomFields, Resource
from engine.language.compile import Migration
from engine.language.dependencies import needed, walk
from engine.language.jinja import filters_used, paths_used
from engine.language.model import (
    Condition,
    Field,
    NamedStep,
    ObjectMapping,
    Parts,
    Path,
    Pipe,
    Spec,
    Template,
    ValueMap,
)
from engine.values import canonical, digest
from transforms.code import step_code, texts_of

Weight = Literal["none", "data", "schema", "identity"]
STEPS_FOLDER = FilePath(transforms.__file__).resolve().parent
_COSMETIC = frozenset(
    {
        "keys",
        "label",
        "ignore",
        "note",
        "title",
        "digest",
        "uses",
        "heads",
        "known",
        "run",
    }
)
# of a resource: its fields, which are parts of their own, and what only people are shown
_SHOWN = frozenset(
    {
        "fields",
        "note",
        "called",
        "money",
        "labels",
        "flags",
        "most_in_all",
        "evidence",
        "published",
        "seen",
        "inferred",
    }
)
# keys that are younger than the first approvals
_LATER = frozenset({"one_of_plan", "order"})
# what things were called: the diff says so
_FORMER = frozenset({"was", "options_were"})
_PACING = frozenset(
    {
        "timeout",
        "concurrency",
        "cost",
        "limits",
        "plans",
        "tries",
        "message",
        "size",
        "most",
        "demanded",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a spec says: where, what it means, and how important it is.

    `value` is compared; `shown` is what the author wrote, for people.
    """

    area: str  # migration, users, settings, an object's name, connector NAME, steps ...
    name: str
    value: Any
    shown: Any
    weight: Weight

    @property
    def at(self) -> tuple[str, str]:
        """What identifies a part."""
        return self.area, self.name


Written = Callable[[Keys], Any]


def parts(
    migration: Migration, steps: FilePath = STEPS_FOLDER
) -> tuple[Part, ...]:
    """Every part of a loaded migration; `steps` is the folder of its transforms."""
    spec, source, destination = (
        migration.spec,
        migration.source,
        migration.destination,
    )

    def written(keys: Keys) -> Any:
        value = migration.document.data
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    found = [
        *_frame(spec, written),
        *(
            part
            for mapping in spec.objects.values()
            for part in _object(mapping, written)
        ),
        *_connector("source", source, _read_collections(spec)),
        *_connector(
            "destination", destination, _written_resources(spec, destination)
        ),
        *_steps(migration, steps),
    ]
    return tuple(found)


def digest_of(found: Iterable[Part]) -> str:
    """The fingerprint of everything that bears on the data."""
    return digest(
        {
            f"{part.area}\t{part.name}": part.value
            for part in found
            if part.weight != "none"
        }
    )


# -- the spec's own parts


def _frame(spec: Spec, written: Written) -> Iterator[Part]:
    yield Part("migration", "name", spec.name, spec.name, "identity")
    order = [mapping.name for mapping in spec.active()]
    yield Part("migration", "order of objects", order, order, "identity")
    if spec.users:
        # Where the variable of a fallback is not set, its default counts.
        yield Part(
            "users", "match", _plain(spec.users), written(("users",)), "data"
        )
    for name in sorted(_settings_used(spec)):
        yield Part(
            "settings",
            name,
            spec.settings.get(name),
            spec.settings.get(name),
            "data",
        )
    for (resource, name), item in spec.custom_fields.items():
        value = _plain(item, _FORMER)
        yield Part(
            "custom_fields",
            f"{resource}.{name}",
            value,
            written(("custom_fields", resource, name)),
            "schema",
        )
    for native in spec.native_options:
        at = f"{native.resource}.{native.field}"
        yield Part(
            "native_options",
            at,
            _plain(native, _COSMETIC | _FORMER),
            written(("native_options", at)),
            "schema",
        )
    if "deleted" in spec.take:
        yield Part("take", "deleted", True, True, "identity")
    yield from _weightless(spec, written)


def _weightless(spec: Spec, written: Written) -> Iterator[Part]:
    for section in ("sample", "guards"):
        if written((section,)) is not None:
            yield Part(
                section, "", written((section,)), written((section,)), "none"
            )
    for name, why in spec.left_behind.items():
        yield Part("left_behind", name, why, why, "none")
    for side, account in (
        ("source", spec.source),
        ("destination", spec.destination),
    ):
        yield Part(
            side,
            "plan",
            [account.plan, account.seats, account.reserve],
            written((side,)),
            "none",
        )


def _settings_used(spec: Spec) -> set[str]:
    """Settings that some field, condition or template reads; steps have theirs bound already."""
    found: set[str] = set()
    for mapping in spec.active():
        for path in _paths(mapping):
            if path.segments[:1] == ("$settings",):
                found.add(str(path.segments[1]))
        for template in _templates(mapping):
            for names, _ in paths_used(template.source):
                if names[0] == "settings":
                    found |= (
                        {names[1]} if len(names) > 1 else set(spec.settings)
                    )
    return found


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    for inner in _inside(value):
        yield from _paths(inner)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _templates(mapping: ObjectMapping) -> Iterator[Template]:
    for item in mapping.fields.values():
        yield from (
            expr for expr in walk(item.expr) if isinstance(expr, Template)
        )


_WRITTEN = {"sources": "from", "resource": "to", "ignoring": "match"}


def _object(mapping: ObjectMapping, written: Written) -> Iterator[Part]:
    weight: Weight = "identity" if mapping.enabled else "none"
    for name in (
        "sources",
        "resource",
        "when",
        "each",
        "match",
        "ignoring",
        "rows",
        "order",
    ):
        value = _meant(getattr(mapping, name), _In(mapping))
        if value not in (None, [], ""):
            shown = written((*mapping.keys, _WRITTEN.get(name, name)))
            yield Part(
                mapping.name,
                name,
                value,
                shown if shown is not None else value,
                weight,
            )
    yield from _left_out(mapping, weight)
    yield Part(
        mapping.name,
        "on_delete",
        mapping.on_delete,
        mapping.on_delete,
        "data" if mapping.enabled else "none",
    )
    for item in mapping.fields.values():
        yield _field(item, mapping, written)
    yield Part(mapping.name, "label", mapping.label, mapping.label, "none")
    if not mapping.enabled:
        yield Part(
            mapping.name,
            "enabled",
            False,
            written((*mapping.keys, "enabled")),
            "none",
        )
    for name, why in mapping.ignore.items():
        yield Part(mapping.name, f"ignore {name}", why, why, "none")


def _left_out(mapping: ObjectMapping, weight: Weight) -> Iterator[Part]:
    """The marks whose rows are left out."""
    for name, marks in mapping.marks.items():
        if marks:
            fields = sorted(marks.values())
            text = f"rows that are {' or '.join(marks)}"
            yield Part(
                mapping.name, f"left out of {name}", fields, text, weight
            )


def _field(item: Field, mapping: ObjectMapping, written: Written) -> Part:
    weight: Weight = (
        "identity"
        if item.target == mapping.key_field or item.target in mapping.match
        else "data"
    )
    value = {
        "value": _meant(item.expr, _In(mapping)),
        "on_conflict": item.on_conflict,
    }
    shown = written(item.keys) if item.keys[:1] == ("objects",) else value
    return Part(
        mapping.name,
        f"fields.{item.target}",
        value,
        shown,
        weight if mapping.enabled else "none",
    )


@dataclass(frozen=True, slots=True)
class _In:
    """Where an expression stands: its object, and whether the order of named values counts
    there.
    """

    mapping: ObjectMapping
    ordered: bool = False


def _meant(value: Any, where: _In) -> Any:
    """An expression in one normal form: names of related records are what they stand for."""
    if type(value) in _FORMS:
        return _FORMS[type(value)](value, where)
    if isinstance(value, Struct):
        return {type(value).__name__.lower(): _meant_fields(value, where)}
    if isinstance(value, tuple | list):
        return [_meant(item, where) for item in value]
    return _plain(value)


def _meant_fields(value: Any, where: _In) -> dict[str, Any]:
    names = [name for name in value.__struct_fields__ if name not in _COSMETIC]
    return {name: _meant(getattr(value, name), where) for name in names}


def _condition(value: Condition, where: _In) -> Any:
    return {
        "any": sorted(
            sorted(canonical(_meant(test, where)) for test in tests)
            for tests in value.any_of
        )
    }


def _template(value: Template, where: _In) -> Any:
    names = {head: _around(head, where.mapping) for head in sorted(value.heads)}
    return {
        "template": value.source,
        "html": value.html,
        "names": {head: text for head, text in names.items() if text},
    }


def _parts(value: Parts, where: _In) -> Any:
    """Handed to a step together, the order of the values decides; in an object it does not."""
    pairs = [[name, _meant(item, where)] for name, item in value.values.items()]
    return {"parts": pairs if where.ordered else dict(pairs)}


def _pipe(value: Pipe, where: _In) -> Any:
    return {
        "pipe": _meant_fields(
            value,
            replace(where, ordered=where.ordered or bool(value.steps)),
        )
    }


_FORMS: Mapping[type, Callable[[Any, _In], Any]] = {
    Path: lambda value, where: {"path": _full(value, where.mapping)},
    Condition: _condition,
    NamedStep: lambda value, _: {
        "step": value.name,
        "args": _plain(value.args),
    },
    ValueMap: lambda value, _: {
        "map": dict(value.entries),
        "else": value.otherwise,
        "report": value.report,
        "fail": value.fail,
    },
    Template: _template,
    Parts: _parts,
    Pipe: _pipe,
}


def _full(path: Path, mapping: ObjectMapping) -> str:
    head, rest = (
        str(path.segments[0]),
        "".join(f".{part}" for part in path.segments[1:]),
    )
    around = _around(head, mapping)
    return f"<{around}>{rest}" if around else path.text


def _around(head: str, mapping: ObjectMapping) -> str:
    """What a name beside the record stands for, or ""."""
    if head in mapping.related:
        related = mapping.related[head]
        return f"{'|'.join(related.sources)} by {_full(related.by, mapping)}"
    if head in mapping.children:
        return f"{mapping.children[head].source} on {mapping.children[head].on}"
    return (
        f"each {mapping.each.path.text}"
        if mapping.each and head == mapping.each.name
        else ""
    )


def _plain(value: Any, without: frozenset[str] = _COSMETIC) -> Any:
    """Structs, mappings and tuples as JSON."""
    if isinstance(value, Struct):
        told = {
            name: _plain(getattr(value, name), without)
            for name in value.__struct_fields__
            if name not in without
        }
        # Approvals that do not know of it hold where a connector does not name it.
        return {
            name: item
            for name, item in told.items()
            if item or name not in _LATER
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item, without) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(_plain(item, without) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item, without) for item in value]
    return value


# -- connectors and steps


def _read_collections(spec: Spec) -> set[str]:
    return set(needed(spec))


def _written_resources(spec: Spec, destination: Connector) -> set[str]:
    found = {mapping.resource for mapping in spec.active()} | {
        item.resource for item in spec.custom_fields.values()
    }
    holders = [
        destination.resources[name].custom
        for name in found
        if name in destination.resources
    ]
    found |= {
        holder.resource
        for holder in holders
        if isinstance(holder, CustomFields)
    }
    if destination.users:
        found.add(destination.users.resource)
    return found


def _connector(
    side: str, connector: Connector, used: set[str]
) -> Iterator[Part]:
    """What of a connector bears on this spec's data, resource by resource; how fast it may go
    does not.
    """
    area = f"{side} connector"
    bearing = _COSMETIC | _PACING
    whole = {"name": connector.name, "reference": connector.reference.pattern}
    yield Part(area, "identity", whole, whole, "identity")
    general = _plain(
        [connector.errors, connector.pipelines, connector.users], bearing
    )
    yield Part(area, "rules", general, general, "data")
    account = _connection(connector.connection)
    yield Part(area, "connection", account, account, "data")
    for name, resource in connector.resources.items():
        yield from _resource(area, resource, name in used, bearing)
    pace = _pace(connector)
    yield Part(area, "pace and cost", pace, pace, "none")


def _pace(connector: Connector) -> dict[str, Any]:
    costs = {
        name: {
            str(verb): operation.cost
            for verb, operation in item.operations.items()
        }
        for name, item in connector.resources.items()
    }
    return {
        "limits": _plain(connector.limits, frozenset()),
        "plans": list(connector.plans),
        "tries": connector.tries,
        "timeout": connector.connection.timeout,
        "concurrency": connector.connection.concurrency,
        "cost": costs,
    }


def _connection(item: Connection) -> dict[str, Any]:
    """Where the calls go, under which variable too, what each carries, and whence files may
    come.
    """
    return {
        "base_url": item.base_url,
        "variable": item.base_url_env,
        "auth": _plain(item.auth, frozenset()),
        "headers": dict(item.headers),
        "check": _plain(item.check, _PACING),
        "account": item.account,
        "hosts": list(item.file_hosts),
        "max_bytes": item.file_max_bytes,
        "signed": item.file_signed,
    }


def _resource(
    area: str, resource: Resource, used: bool, without: frozenset[str]
) -> Iterator[Part]:
    for name, field_type in resource.fields.items():
        value = _plain(field_type, without)
        yield Part(
            area,
            f"{resource.name}.{name}",
            value,
            value,
            "data" if used else "none",
        )
    names = [name for name in resource.__struct_fields__ if name not in _SHOWN]
    rest = {name: _plain(getattr(resource, name), without) for name in names}
    if resource.custom and not resource.custom.own:
        # Approvals that do not know of it hold where a connector does not name it.
        del rest["custom"]["own"]

    yield Part(area, resource.name, rest, rest, "data" if used else "none")


def steps_used(spec: Spec) -> set[str]:
    """Names of the transforms that active objects use, in fields and in templates."""
    return {name for mapping in spec.active() for name in object_steps(mapping)}


def object_steps(mapping: ObjectMapping) -> set[str]:
    """Names of the transforms that an object uses."""
    return {
        name for item in mapping.fields.values() for name in field_steps(item)
    }


def field_steps(item: Field) -> set[str]:
    """Names of the transforms that a field uses, in its steps or in its template."""
    found = set()
    for expr in walk(item.expr):
        if isinstance(expr, Pipe):
            found |= {step.name for step in expr.steps}
        elif isinstance(expr, Template):
            called = {call.name for call in filters_used(expr.source)}
            called |= dict(expr.code).keys()  # also those named in a `map`
            found |= {
                step
                for filter, step in expr.steps.filters.items()
                if filter in called
            }
    return found


def _steps(migration: Migration, folder: FilePath) -> Iterator[Part]:
    """The code of the steps: the shipped ones of a folder, and the project's own."""
    code = {
        **{
            name: digest(pieces)
            for name, pieces in step_code(texts_of(folder)).items()
        },
        **migration.steps.code,
    }
    for name in sorted(steps_used(migration.spec)):
        yield Part(
            "steps",
            name,
            code.get(name, ""),
            f"source code {code.get(name, 'missing')[:8]}",
            "data",
        )
