"""The value language of a spec: written form to expression, every name in it checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from engine.connector.load import near
from engine.connector.model import Connector, FieldType
from engine.document import Document, Keys
from engine.errors import Diagnostic
from engine.mapping.notes import paths_used, syntax_problem
from engine.mapping.steps import bind
from engine.spec.model import (
    Cases,
    Condition,
    Const,
    Download,
    Expr,
    First,
    Items,
    Lookup,
    NamedStep,
    ObjectMapping,
    Parts,
    Path,
    Pipe,
    Template,
    Test,
    ValueMap,
)
from engine.values import Segments, segments

SPECIAL = ("$key", "$record", "$id", "$collection", "$none")
MODIFIERS = ("when", "using", "map", "default")
MAX_TEMPLATE = 200_000

Shape = Mapping[str, FieldType]


@dataclass(frozen=True, slots=True)
class Scope:
    """The names a path may start with inside one object."""

    connector: Connector
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    related: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    children: Mapping[str, str] = field(default_factory=dict)
    each: tuple[str, Segments] | None = None

    def shape(self, collections: tuple[str, ...]) -> Shape | None:
        """All fields of the collections together; None where the connector lists none."""
        found: dict[str, FieldType] = {}
        for name in collections:
            resource = self.connector.resources.get(name)
            if resource is None or not resource.fields:
                return None
            found |= resource.fields
        return found

    def unknown(self, path: Segments) -> tuple[str, list[str]] | None:
        """The first segment that names nothing, with what would have been known there."""
        head, rest = path[0], path[1:]
        if head in self.related:
            return _missing(self.shape(self.related[str(head)]), rest)
        if head in self.children:
            shape = self.shape((self.children[str(head)],))
            return _missing(shape, rest[1:] if rest and not isinstance(rest[0], str) or rest[:1] == ("*",) else rest)
        if self.each and head == self.each[0]:
            return _missing(self._element(self.each[1]), rest)
        own = self.shape(self.sources)
        if own is None:
            return None
        extra = [*self.related, *self.children, *([self.each[0]] if self.each else [])]
        return _missing(own, path, extra)

    def _element(self, path: Segments) -> Shape | None:
        shape = self.shape(self.sources)
        for part in path:
            kind = shape.get(str(part)) if shape else None
            shape = kind.shape if kind else None
        return shape


def _missing(shape: Shape | None, path: Segments, extra: list[str] | None = None) -> tuple[str, list[str]] | None:
    for part in path:
        if shape is None:
            return None
        if isinstance(part, int) or part == "*":
            continue
        if part not in shape:
            return part, [*shape, *(extra or [])]
        shape, extra = shape[part].shape, None
    return None


@dataclass(slots=True)
class Builder:
    """Compiles the expressions of one object; problems are added to the given list."""

    document: Document
    folder: FilePath
    scope: Scope
    problems: list[Diagnostic]
    templates: dict[str, str]
    done: Mapping[str, ObjectMapping] = field(default_factory=dict)
    users: bool = False

    def problem(self, keys: Keys, problem: str, advice: str = "") -> None:
        self.problems.append(self.document.problem(keys, problem, advice))

    # -- paths and conditions

    def path(self, text: str, keys: Keys) -> Path:
        """A path, checked against what the source connector says the records hold."""
        if text in SPECIAL:
            return Path(text, (text,))
        if text.startswith("$settings."):
            name = text.removeprefix("$settings.")
            if name not in self.scope.settings:
                self.problem(keys, f"there is no setting {name!r}", near(name, list(self.scope.settings)))
            return Path(text, ("$settings", name))
        if text.startswith("$"):
            self.problem(keys, f"{text!r} is not known", near(text, [*SPECIAL, "$settings.NAME"]))
            return Path(text, ("$none",))
        try:
            parts = segments(text)
        except ValueError as error:
            self.problem(keys, str(error), "write it like main-address.city or lines[*].id; a fixed text is {value: ...}")
            return Path(text, ("$none",))
        unknown = self.scope.unknown(parts)
        if unknown:
            name, known = unknown
            origin = " or ".join(self.scope.sources)
            self.problem(keys, f"{origin} have no field {name!r} (in {text!r})", near(name, known))
        return Path(text, parts)

    def condition(self, data: Any, keys: Keys) -> Condition:
        """`{path: test}` (all must hold) or a list of those (any may)."""
        options = data if isinstance(data, list) else [data]
        any_of = []
        for position, option in enumerate(options):
            at: Keys = (*keys, position) if isinstance(data, list) else keys
            tests: list[Test] = []
            for text, wanted in option.items():
                path = self.path(text, (*at, text))
                ops = wanted.items() if isinstance(wanted, dict) else [("equals", wanted)]
                tests += [Test(path, op, value) for op, value in ops]
            any_of.append(tuple(tests))
        return Condition(tuple(any_of))

    # -- expressions

    def expression(self, data: Any, keys: Keys, html: bool = False) -> Expr:
        """Any written value: a path, a list (first that is filled) or a mapping with one head."""
        if isinstance(data, str):
            return self.path(data, keys)
        if isinstance(data, list):
            return First(tuple(self.expression(item, (*keys, position), html) for position, item in enumerate(data)))
        if not isinstance(data, Mapping):
            return Const(data)
        head = self._head(data, keys, html)
        if not any(word in data for word in MODIFIERS):
            return head
        return Pipe(
            head,
            when=self.condition(data["when"], (*keys, "when")) if "when" in data else None,
            steps=self._steps(data.get("using", []), (*keys, "using")),
            mapping=self._map(data) if "map" in data else None,
            default=data.get("default"),
        )

    def _head(self, data: Mapping[str, Any], keys: Keys, html: bool) -> Expr:
        if "value" in data:
            return Const(data["value"])
        if "template" in data:
            return self._template(data["template"], (*keys, "template"), html)
        if "lookup" in data:
            return self._lookup(data, keys)
        if "cases" in data:
            return self._cases(data, keys, html)
        if "list" in data:
            rows = data["list"]
            return Items(tuple(self._parts(row, (*keys, "list", position)) for position, row in enumerate(rows)))
        if "download" in data:
            name = self.expression(data["name"], (*keys, "name"))
            return Download(self.expression(data["download"], (*keys, "download")), name)
        inner = data["from"]
        if isinstance(inner, Mapping) and not self._is_expression(inner):
            return self._parts(inner, (*keys, "from"))
        return self.expression(inner, (*keys, "from"), html)

    @staticmethod
    def _is_expression(data: Mapping[str, Any]) -> bool:
        heads = {"from", "template", "lookup", "cases", "list", "download"}
        return bool(heads & set(data)) or (set(data) <= {"value", *MODIFIERS} and not isinstance(data.get("value"), str))

    def _parts(self, data: Mapping[str, Any], keys: Keys) -> Parts:
        return Parts({name: self.expression(item, (*keys, name)) for name, item in data.items()})

    def _cases(self, data: Mapping[str, Any], keys: Keys, html: bool) -> Cases:
        cases = []
        for position, item in enumerate(data["cases"]):
            at: Keys = (*keys, "cases", position)
            rest = {key: value for key, value in item.items() if key != "when"}
            cases.append((self.condition(item["when"], (*at, "when")), self.expression(rest, at, html)))
        otherwise = data["else"]
        if isinstance(otherwise, dict | list):
            return Cases(tuple(cases), self.expression(otherwise, (*keys, "else"), html))
        return Cases(tuple(cases), Const(otherwise))

    def _steps(self, data: Any, keys: Keys) -> tuple[NamedStep, ...]:
        single = not isinstance(data, list)
        steps = []
        for position, item in enumerate([data] if single else data):
            at = keys if single else (*keys, position)
            name, args = (item, None) if isinstance(item, str) else next(iter(item.items()))
            at = at if isinstance(item, str) else (*at, name)
            try:
                steps.append(bind(name, self._arguments(args, at)))
            except ValueError as error:
                problem, _, advice = str(error).partition(" – ")
                self.problem(at, problem, advice)
        return tuple(steps)

    def _arguments(self, args: Any, keys: Keys) -> Any:
        """Arguments with `$settings.x` replaced by the setting."""
        if isinstance(args, Mapping):
            return {name: self._arguments(value, (*keys, name)) for name, value in args.items()}
        if isinstance(args, str) and args.startswith("$settings."):
            self.path(args, keys)
            return self.scope.settings.get(args.removeprefix("$settings."), "")
        return args

    def _map(self, data: Mapping[str, Any]) -> ValueMap:
        otherwise = data["else"]
        if otherwise in ("omit", "report"):
            return ValueMap(data["map"], None, report=otherwise == "report")
        return ValueMap(data["map"], otherwise, fail=otherwise == "fail")

    def _lookup(self, data: Mapping[str, Any], keys: Keys) -> Expr:
        written = data["lookup"]
        names = tuple([written] if isinstance(written, str) else written)
        for position, name in enumerate(names):
            at: Keys = (*keys, "lookup") if isinstance(written, str) else (*keys, "lookup", position)
            self._target(name, at)
        if "by" not in data:
            self.problem(keys, "a lookup needs `by`: the value that names the record", "add by: account-path, or $key")
        by = self.expression(data.get("by", "$none"), (*keys, "by"))
        on = data.get("on", "")
        if on:
            self._on(names, on, (*keys, "on"))
        miss = data.get("on_miss", "report")
        fallback = miss["fallback"] if isinstance(miss, dict) else ""
        return Lookup(names, by, on, "fallback" if fallback else miss, data.get("on_many", "first"), fallback)

    def _target(self, name: str, keys: Keys) -> None:
        if name == "users":
            if not self.users:
                self.problem(keys, "this spec has no `users` section to look up in", "add one")
            return
        if name in self.done:
            return
        later = name in self.document.data["objects"]
        if later:
            self.problem(keys, f"{name!r} stands further down", "a lookup may only point upwards: move that object up")
        else:
            self.problem(keys, f"there is no object {name!r}", near(name, [*self.done, "users"]))

    def _on(self, names: tuple[str, ...], on: str, keys: Keys) -> None:
        for name in names:
            target = self.done.get(name)
            for source in target.sources if target else ():
                resource = self.scope.connector.resources.get(source)
                if resource and resource.fields and on not in resource.fields:
                    self.problem(keys, f"{source} have no field {on!r}", near(on, list(resource.fields)))

    # -- templates

    def _template(self, written: str, keys: Keys, html: bool) -> Template:
        name, source = "", written
        if written.endswith(".j2"):
            name = written
            html = html or written.endswith(".html.j2")
            source = self._template_file(written, keys)
        found = syntax_problem(source)
        if found:
            problem, line = found
            where = f"{name}:{line}: " if name else ""
            self.problem(keys, f"{where}not a template: {problem}", "correct the Jinja")
            return Template("", name, html)
        uses, heads = [], []
        for path, line in paths_used(source):
            heads.append(path[0])
            uses.append(".".join(part for part in path if part != "*"))
            self._template_path(path, f"{name}:{line}" if name else "", keys)
        return Template(source, name, html, tuple(dict.fromkeys(uses)), tuple(dict.fromkeys(heads)), self._known_names())

    def _known_names(self) -> frozenset[str]:
        """Every field name of the records a template may see, as templates write them."""
        scope = self.scope
        collections = [scope.sources, *scope.related.values(), *((name,) for name in scope.children.values())]
        return frozenset(name for of in collections for name in _names(_underscored(scope.shape(of))))

    def _template_file(self, written: str, keys: Keys) -> str:
        """The text of a template; it must lie in the spec's project folder."""
        root = self.folder.resolve().parent
        file = (self.folder / written).resolve()
        if not file.is_relative_to(root):
            self.problem(keys, f"{written!r} leaves the project folder", f"keep templates below {root.name}/")
            return ""
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self.problem(keys, f"the template {written!r} cannot be read: {reason}", "check the path")
            return ""
        if len(text) > MAX_TEMPLATE:
            self.problem(keys, f"the template {written!r} is larger than {MAX_TEMPLATE:,} characters", "shorten it")
            return ""
        self.templates[written] = text
        return text

    def _template_path(self, path: tuple[str, ...], where: str, keys: Keys) -> None:
        scope, head = self.scope, path[0]
        if head in ("settings", "key", "collection", "loop", "range"):
            return
        shapes: dict[str, Shape | None] = {name: scope.shape(of) for name, of in scope.related.items()}
        shapes |= {name: scope.shape((of,)) for name, of in scope.children.items()}
        if scope.each:
            shapes[scope.each[0]] = scope._element(scope.each[1])
        if head in shapes:
            unknown = _missing(_underscored(shapes[head]), tuple(part for part in path[1:]))
        else:
            unknown = _missing(_underscored(scope.shape(scope.sources)), path, list(shapes))
        if unknown:
            name, known = unknown
            prefix = f"{where}: " if where else ""
            self.problem(keys, f"{prefix}the template names an unknown field {'.'.join(path)!r}", near(name, known))


def _underscored(shape: Shape | None) -> Shape | None:
    """Field names as templates write them."""
    if shape is None:
        return None
    return {
        name.replace("-", "_"): FieldType(kind.kind, _underscored(kind.shape), kind.to) for name, kind in shape.items()
    }


def _names(shape: Shape | None) -> set[str]:
    """The names of a shape and of everything inside it."""
    found = set(shape or ())
    for kind in (shape or {}).values():
        found |= _names(kind.shape)
    return found
