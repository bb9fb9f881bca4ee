"""A spec file to a Spec: shape, then names, then meaning; every mistake at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from engine.connector.load import load_connector, near
from engine.connector.model import Connector
from engine.document import Document, Keys, read
from engine.errors import Diagnostic, SpecError
from engine.schema import check_shape
from engine.spec.expressions import Builder, Scope
from engine.spec.meaning import digest_of, parts
from engine.spec.model import (
    Children,
    Const,
    CustomField,
    Each,
    Field,
    Lookup,
    NativeOptions,
    ObjectMapping,
    Path,
    Related,
    SamplePolicy,
    Side,
    Spec,
    UserMatch,
)
from engine.values import segments

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
PIPELINES = "$pipelines"
FALLBACK = "$fallback"


@dataclass(frozen=True, slots=True)
class Migration:
    """A spec with the two connectors it names."""

    spec: Spec
    source: Connector
    destination: Connector
    document: Document


def load_migration(path: FilePath, env: Mapping[str, str] | None = None) -> Migration:
    """Read, check and compile a spec and its connectors; raises SpecError with every problem."""
    document = read(path, _shown(path))
    problems = check_shape(document, "spec")
    if problems:
        raise SpecError(problems)
    document, problems = _with_variables(document, os.environ if env is None else env)
    connectors: dict[str, Connector] = {}
    for side in ("source", "destination"):
        file = path.parent / document.data[side]["connector"]
        try:
            connectors[side] = load_connector(file, _shown(file))
        except SpecError as error:
            problems += error.diagnostics
        except Exception as error:
            if not hasattr(error, "exit_code"):
                raise
            problems.append(document.problem((side, "connector"), str(error), "check the path"))
    if problems:
        raise SpecError(problems)
    source, destination = connectors["source"], connectors["destination"]
    compiler = _Compiler(document, path.parent, source, destination)
    spec = compiler.spec()
    if compiler.problems:
        raise SpecError(sorted(set(compiler.problems), key=lambda d: (d.where.line, d.where.col) if d.where else (0, 0)))
    return Migration(spec, source, destination, document)


def _shown(path: FilePath) -> str:
    """A path as messages show it: relative to where the user stands, if that is shorter."""
    try:
        return os.path.relpath(path) if len(os.path.relpath(path)) < len(str(path)) else str(path)
    except ValueError:
        return str(path)


def _with_variables(document: Document, env: Mapping[str, str]) -> tuple[Document, list[Diagnostic]]:
    """`${NAME}` and `${NAME:-default}` replaced from the environment."""
    problems: list[Diagnostic] = []

    def expand(value: Any, keys: Keys) -> Any:
        if isinstance(value, dict):
            return {key: expand(item, (*keys, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [expand(item, (*keys, position)) for position, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value

        def found(match: re.Match[str]) -> str:
            name, default = match.groups()
            if env.get(name) or default is not None:
                return env.get(name) or default or ""
            problems.append(document.problem(keys, f"the environment has no {name}", f"set {name} or give a default: ${{{name}:-...}}"))
            return ""

        return _VARIABLE.sub(found, value)

    return replace(document, data=expand(document.data, ())), problems


class _Compiler:
    """One spec document to one Spec, collecting problems on the way."""

    def __init__(self, document: Document, folder: FilePath, source: Connector, destination: Connector) -> None:
        self.document = document
        self.folder = folder
        self.source = source
        self.destination = destination
        self.problems: list[Diagnostic] = []
        self.templates: dict[str, str] = {}
        self.done: dict[str, ObjectMapping] = {}

    def problem(self, keys: Keys, problem: str, advice: str = "") -> None:
        self.problems.append(self.document.problem(keys, problem, advice))

    def spec(self) -> Spec:
        data = self.document.data
        settings = data.get("settings", {})
        self._plans(data)
        custom = self._custom_fields(data.get("custom_fields", {}))
        native = self._native_options(data.get("native_options", {}))
        self._pipelines(data.get("pipelines", {}), settings)
        for name, item in data["objects"].items():
            self.done[name] = self._object(name, item, settings, custom)
        self._left_behind(data.get("left_behind", {}))
        self._unique_keys()
        users = data.get("users")
        if users:
            self._collection(users["from"], ("users", "from"))
        spec = Spec(
            name=data["migration"],
            source=Side(**data["source"]),
            destination=Side(**data["destination"]),
            settings=settings,
            users=UserMatch(users["from"], users["email"], users["fallback"]) if users else None,
            custom_fields=custom,
            native_options=native,
            objects=self.done,
            left_behind=data.get("left_behind", {}),
            sample=SamplePolicy(**data.get("sample", {})),
            guards=data.get("guards", {}),
            folder=str(self.folder),
        )
        # A spec with mistakes has no meaning yet.
        return spec if self.problems else replace(spec, digest=digest_of(parts(spec, self.source, self.destination, data)))

    # -- the parts of a spec, in the order they stand in it

    def _plans(self, data: Mapping[str, Any]) -> None:
        for side, connector in (("source", self.source), ("destination", self.destination)):
            plan = data[side]["plan"]
            if plan not in connector.plans:
                self.problem((side, "plan"), f"{connector.title} has no plan {plan!r}", near(plan, connector.plans))

    def _collection(self, name: str, keys: Keys) -> None:
        if name not in self.source.resources:
            self.problem(keys, f"{self.source.title} has no collection {name!r}", near(name, list(self.source.resources)))

    def _custom_fields(self, data: Mapping[str, Any]) -> dict[tuple[str, str], CustomField]:
        fields: dict[tuple[str, str], CustomField] = {}
        for resource, items in data.items():
            known = self.destination.resources.get(resource)
            if known is None or known.custom is None:
                having = [name for name, item in self.destination.resources.items() if item.custom]
                self.problem(("custom_fields", resource), f"{resource!r} cannot have custom fields", near(resource, having))
                continue
            for name, item in items.items():
                keys: Keys = ("custom_fields", resource, name)
                if item["type"] not in known.custom.types:
                    advice = near(item["type"], list(known.custom.types))
                    self.problem((*keys, "type"), f"{self.destination.title} has no field type for {item['type']!r}", advice)
                options, origin = self._options(item.get("options", []), (*keys, "options"))
                fields[resource, name] = CustomField(
                    resource, name, item["name"], item["type"], options, origin, item.get("key", False)
                )
            if sum(field.key for field in fields.values() if field.resource == resource) > 1:
                self.problem(("custom_fields", resource), "more than one field is marked `key: true`", "keep one")
        return fields

    def _options(self, data: Any, keys: Keys) -> tuple[tuple[str, ...], tuple[str, str]]:
        if isinstance(data, list):
            return tuple(str(item) for item in data), ("", "")
        self._collection(data["from"], (*keys, "from"))
        return (), (data["from"], data["label"])

    def _native_options(self, data: Mapping[str, Any]) -> tuple[NativeOptions, ...]:
        found = []
        for target, item in data.items():
            resource, _, field = target.partition(".")
            keys: Keys = ("native_options", target)
            known = self.destination.resources.get(resource)
            if known is None or field not in known.fields or not known.fields[field].options:
                enums = [f"{r}.{f}" for r, res in self.destination.resources.items() for f, t in res.fields.items() if t.options]
                self.problem(keys, f"{target!r} is not a built-in field with options", near(target, enums))
                continue
            options, origin = self._options(item, keys)
            found.append(NativeOptions(resource, field, options, origin))
        return tuple(found)

    def _pipelines(self, data: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Pipelines and stages become ordinary objects whose rows are adopted by name or made."""
        rules = self.destination.pipelines
        if not data:
            return
        if rules is None:
            self.problem(("pipelines",), f"{self.destination.title} has no pipelines", "remove this section")
            return
        name = Field(rules.name, Path("name", ("name",)), ("pipelines",))
        rows = tuple({"id": key, "name": item["name"]} for key, item in data.items())
        self.done[PIPELINES] = ObjectMapping(
            PIPELINES, (f"$rows.{PIPELINES}",), rules.resource, {rules.name: name}, match=(rules.name,), rows=rows,
            label="Pipelines", keys=("pipelines",),
        )
        for key, item in data.items():
            self.done[f"pipelines.{key}"] = self._stages(key, item, settings)

    def _stages(self, key: str, item: Mapping[str, Any], settings: Mapping[str, Any]) -> ObjectMapping:
        rules, stages = self.destination.pipelines, item["stages"]
        assert rules is not None
        keys: Keys = ("pipelines", key, "stages")
        parent = Field(rules.parent, Lookup((PIPELINES,), Const(key), on_miss="fail"), keys)
        rows: tuple[Mapping[str, Any], ...] = ()
        source, label, when, order = f"$rows.pipelines.{key}", "name", None, ""
        if isinstance(stages, list):
            rows = tuple({"id": str(name), "name": str(name)} for name in stages)
        else:
            source, label, order = stages["from"], stages["label"], stages.get("order", "")
            self._collection(source, (*keys, "from"))
            scope = Scope(self.source, (source,), settings)
            builder = Builder(self.document, self.folder, scope, self.problems, self.templates)
            builder.path(label, (*keys, "label"))
            when = builder.condition(stages["where"], (*keys, "where")) if "where" in stages else None
        name = Field(rules.stage_name, Path(label, segments(label)), keys)
        return ObjectMapping(
            f"pipelines.{key}", (source,), rules.stages, {rules.stage_name: name, rules.parent: parent}, when=when,
            match=(rules.stage_name, rules.parent), rows=rows, label=f"Stages of {item['name']}", keys=keys, order=order,
        )

    def _object(
        self, name: str, data: Mapping[str, Any], settings: Mapping[str, Any], custom: Mapping[tuple[str, str], CustomField]
    ) -> ObjectMapping:
        keys: Keys = ("objects", name)
        sources = tuple([data["from"]] if isinstance(data["from"], str) else data["from"])
        for position, source in enumerate(sources):
            self._collection(source, (*keys, "from", position) if isinstance(data["from"], list) else (*keys, "from"))
        scope = Scope(self.source, sources, settings)
        builder = Builder(self.document, self.folder, scope, self.problems, self.templates, self.done, self._users())
        related = {key: self._related(item, (*keys, "related", key), scope, builder) for key, item in data.get("related", {}).items()}
        scope = replace(scope, related={key: item.sources for key, item in related.items()})
        children = {key: self._children(item, (*keys, "children", key)) for key, item in data.get("children", {}).items()}
        scope = replace(scope, children={key: item.source for key, item in children.items()})
        builder.scope = scope
        each = self._each(data["each"], (*keys, "each"), builder) if "each" in data else None
        target = self.destination.resources.get(data["to"])
        if target is None or "create" not in target.operations:
            made = [key for key, item in self.destination.resources.items() if "create" in item.operations]
            self.problem((*keys, "to"), f"{self.destination.title} has no writable {data['to']!r}", near(data["to"], made))
        fields = {
            field: self._field(field, item, (*keys, "fields", field), data["to"], custom, builder)
            for field, item in data["fields"].items()
        }
        for field, kind in (target.fields if target else {}).items():
            if kind.required and kind.writable and field not in fields:
                self.problem((*keys, "fields"), f"{data['to']} need the field {field!r}", "map it")
        for field in data.get("match", ()):
            if field not in fields:
                self.problem((*keys, "match"), f"{field!r} is not one of this object's fields", near(field, list(fields)))
        enabled = data.get("enabled", True)
        if isinstance(enabled, str):
            enabled = bool(settings.get(enabled.removeprefix("$settings."), False))
        return ObjectMapping(
            name=name,
            sources=sources,
            resource=data["to"],
            fields=fields,
            when=builder.condition(data["when"], (*keys, "when")) if "when" in data else None,
            related=related,
            children=children,
            each=each,
            match=tuple(data.get("match", ())),
            enabled=enabled,
            ignore=data.get("ignore", {}),
            label=data.get("label", name),
            keys=keys,
            on_delete=data.get("on_delete", "report"),
        )

    def _users(self) -> bool:
        return "users" in self.document.data

    def _related(self, data: Mapping[str, Any], keys: Keys, scope: Scope, builder: Builder) -> Related:
        sources = tuple([data["from"]] if isinstance(data["from"], str) else data["from"])
        for source in sources:
            self._collection(source, (*keys, "from"))
        return Related(sources, builder.path(data["by"], (*keys, "by")))

    def _children(self, data: Mapping[str, Any], keys: Keys) -> Children:
        self._collection(data["from"], (*keys, "from"))
        resource = self.source.resources.get(data["from"])
        if resource and data["on"] not in resource.fields:
            self.problem((*keys, "on"), f"{data['from']} have no field {data['on']!r}", near(data["on"], list(resource.fields)))
        return Children(data["from"], data["on"])

    def _each(self, data: Mapping[str, Any], keys: Keys, builder: Builder) -> Each:
        path = builder.path(data["path"], (*keys, "path"))
        builder.scope = replace(builder.scope, each=(data["name"], path.segments))
        where = builder.condition(data["where"], (*keys, "where")) if "where" in data else None
        builder.path(f"{data['name']}.{data['key']}", (*keys, "key"))
        return Each(data["name"], path, data["key"], where)

    def _field(
        self, target: str, data: Any, keys: Keys, resource: str, custom: Mapping[tuple[str, str], CustomField], builder: Builder
    ) -> Field:
        known = self.destination.resources.get(resource)
        kind = None
        if target.startswith("custom."):
            name = target.removeprefix("custom.")
            if (resource, name) not in custom:
                names = [field for of, field in custom if of == resource]
                self.problem(keys, f"custom field {name!r} is not declared for {resource}", near(name, names))
        elif known is not None:
            kind = known.fields.get(target)
            if kind is None:
                self.problem(keys, f"{resource} have no field {target!r}", near(target, list(known.fields)))
            elif not kind.writable:
                self.problem(keys, f"{target!r} cannot be written", "keep the value in a custom field")
        html = kind is not None and kind.kind == "html"
        conflict = data.get("on_conflict", "keep") if isinstance(data, Mapping) else "keep"
        return Field(target, builder.expression(data, keys, html), keys, conflict)

    def _left_behind(self, data: Mapping[str, str]) -> None:
        for name in data:
            self._collection(name, ("left_behind", name))

    def _unique_keys(self) -> None:
        """Two objects that make the same resource of the same collection would share source keys."""
        made: dict[tuple[str, str, str], str] = {}
        for item in self.done.values():
            if not item.key_field or item.each:
                continue
            for source in item.sources:
                other = made.setdefault((item.resource, source, item.key_field), item.name)
                if other != item.name:
                    self.problem(item.keys, f"{item.name!r} and {other!r} both make {item.resource} of {source}", "join them, or split them by `when`")
