"""The value language of a spec: from what is written to expressions, with every name and fixed
value checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.config.document import Keys, Section, several
from engine.config.suggestions import suggest
from engine.connector.model import FieldType
from engine.errors import Code
from engine.language import model, templates, typecheck
from engine.language.problems import Checking, Fault
from engine.language.scope import ANY, NUMBERS, Found, Scope, kind_of
from engine.language.steps import bind
from engine.values import as_list, is_empty, segments, without
from transforms import MARKUP, PASSING

# the names a path may be, and the kinds of what they lead to
SPECIAL = {
    "$key": "text",
    "$record": "text",
    "$id": "text",
    "$collection": "text",
    "$today": "date",
    "$none": "any",
}
MODIFIERS = ("when", "using", "map", "default")
HEADS = frozenset({"from", "template", "lookup", "cases", "list", "download"})
TEXT = FieldType("text")


def _unfixed(wanted: Any) -> Fault | None:
    """Why a record's value cannot be compared with this: what it names is not looked up."""
    for item in as_list(wanted):
        name = item.partition(".")[0] if isinstance(item, str) else ""
        if name in SPECIAL or name == "$settings":
            return (
                "wrong-type",
                f"{item!r} would be compared as a text of these letters",
                "a condition compares with fixed values, such as 2025-03-04",
            )
    return None


class Builder(Checking):
    """Compiles the expressions of one object; problems are told."""

    folder: Path
    scope: Scope
    templates: dict[str, str]
    done: Mapping[str, model.ObjectMapping]
    settings_used: set[str]
    # the chosen language: its words, and what a text of a template is in it
    words: Mapping[str, str]
    say: Callable[[str, Keys], str]

    # -- paths and conditions

    def path(self, text: str, keys: Keys) -> model.Path:
        """A path, checked against what the source connector says the records hold."""
        return self.lead(text, keys)[0]

    def lead(
        self, text: str, keys: Keys, options: Sequence[str] = ()
    ) -> tuple[model.Path, FieldType]:
        """A path and the type of what it leads to; `options` are fixed texts that may be meant."""
        if keys[-1] != text:  # a key is no part of the value it leads to
            keys = self.document.aliases.get(keys, keys)
        if text in SPECIAL:
            return model.Path(text, (text,)), FieldType(SPECIAL[text])
        if text.startswith("$settings."):
            return model.Path(
                text, ("$settings", text.removeprefix("$settings."))
            ), self._setting(text, keys)
        nowhere = model.Path(text, ("$none",)), ANY
        if text.startswith("$"):
            names = [*SPECIAL, "$settings.NAME"]
            self.known(
                text, names, keys, "unknown-name", f"unknown name {text!r}"
            )
            return nowhere
        try:
            parts = segments(text)
        except ValueError as error:
            self.problem(
                keys,
                "bad-expression",
                str(error),
                "write it like main-address.city or lines[*].id; fixed text is"
                " {value: ...}",
            )
            return nowhere
        found: Found = self.scope.find(parts)
        if found.problem:
            self.problem(
                keys,
                found.code,
                found.problem,
                f"the fixed text is written {{value: {text}}}"
                if text in options
                else found.advice,
            )
        return model.Path(text, parts), found.kind

    def _setting(self, text: str, keys: Keys) -> FieldType:
        name = text.removeprefix("$settings.")
        self.settings_used.add(name)
        settings, problem = self.scope.settings, f"there is no setting {name!r}"
        if self.known(name, settings, keys, "unknown-name", problem):
            return kind_of(settings[name])
        return ANY

    def condition(self, data: Any, keys: Keys) -> model.Condition:
        """`{path: test}` (all must hold) or a list of those (any may)."""
        return model.Condition(
            tuple(
                tuple(
                    test
                    for text, wanted in option.items()
                    for test in self._tests(text, wanted, (*at, text))
                )
                for at, option in several(data, keys)
            )
        )

    def optional(
        self, data: Section, word: str, keys: Keys
    ) -> model.Condition | None:
        """The condition below a word that may be left out."""
        if word in data:
            return self.condition(data[word], (*keys, word))
        return None

    def flag(self, name: str) -> bool:
        """Whether a setting that is true or false is true."""
        value = self.scope.settings.get(name, False)
        if not isinstance(value, bool):
            self.problem(
                ("settings", name),
                "wrong-type",
                f"this setting is true or false, and {value!r} is neither",
                "write true or false; yes, no and words in quotes are text",
            )
        return value is True

    def _tests(self, text: str, wanted: Any, keys: Keys) -> list[model.Test]:
        path, kind = self.lead(text, keys)
        if isinstance(wanted, bool) and text.startswith("$settings."):
            self.flag(text.removeprefix("$settings."))
            return [model.Test(path, "equals", wanted)]
        tests = []
        for op, value in (
            wanted.items() if isinstance(wanted, dict) else [("equals", wanted)]
        ):
            at = (*keys, op) if isinstance(wanted, dict) else keys
            fault = _unfixed(value) or typecheck.check_comparison(
                kind, op, value
            )
            self._comparison(at, fault)
            tests.append(model.Test(path, op, value))
        return tests

    def _comparison(self, keys: Keys, fault: Fault | None) -> None:
        """A type that never fits is an error; options are a warning, as the connector's list may be
        outdated.
        """
        options = fault and fault[0] == "never-matches"
        self.fault(keys, fault, "warning" if options else "error")

    # -- expressions

    def expression(
        self, data: Any, keys: Keys, kind: FieldType = ANY
    ) -> model.Expr:
        """Any written value: a path, a list (first that is filled) or a mapping with one head.

        `kind` is the destination field's type; ANY where nothing is known of it.
        """
        if isinstance(data, str):
            path, found = self.lead(data, keys, kind.one_of)
            if path.segments[0] == "$settings":
                name = path.segments[1]
                value = self.scope.settings.get(str(name))
                given = None if is_empty(value) else value
                self._const(given, ("settings", name), kind)
            elif data != "$none":
                self.fault(keys, typecheck.check_path(found, kind))
                # what a text holds, only the records show
                self.fault(keys, typecheck.check_form(found, kind), "warning")
            return path
        if isinstance(data, list):
            self._reachable(data, keys)
            return model.First(
                tuple(
                    self.expression(item, at, kind)
                    for at, item in several(data, keys)
                )
            )
        if not isinstance(data, Mapping):
            return self._const(data, keys, kind)
        if not any(word in data for word in MODIFIERS):
            return self._head(data, keys, kind)
        moving = "using" in data or "map" in data
        steps = [step for _, step in several(data.get("using", []), keys)]
        names = {
            name
            for step in steps
            for name in ([step] if isinstance(step, str) else step)
        }
        inner = typecheck.moving(ANY if names & set(MARKUP) else kind)
        if moving and kind.kind in ("reference", "file"):
            self.fault(keys, typecheck.check_path(TEXT, kind))
        elif "from" in data and "map" not in data:
            moving = not all(step in PASSING for step in steps)
        return model.Pipe(
            self._head(data, keys, inner if moving else kind),
            when=self.optional(data, "when", keys),
            steps=self._steps(data.get("using", []), (*keys, "using")),
            mapping=self._map(data, keys, kind) if "map" in data else None,
            default=self._const(
                data.get("default"), (*keys, "default"), kind
            ).value,
        )

    def _const(self, value: Any, keys: Keys, kind: FieldType) -> model.Const:
        if kind.one_of and value not in kind.one_of:
            # an option, in the spec's own language
            value = self.words.get(str(value), value)
        self.fault(keys, typecheck.check_constant(value, kind))
        return model.Const(value)

    def _reachable(self, options: Sequence[Any], keys: Keys) -> None:
        """An option that always ends the search makes those after it unreachable."""
        for position, item in enumerate(options[:-1]):
            if not isinstance(item, Mapping) or "when" in item:
                continue
            if (
                item.get("on_miss") in ("skip", "fail")
                or item.get("lookup") == "users"
                or "value" in item
                or "default" in item
            ):
                self.problem(
                    (*keys, position + 1),
                    "unreachable",
                    "this option is never tried: the one before it always gives a value"
                    " or ends the record",
                    "move that one to the end of the list",
                    "warning",
                )
                return

    def _head(  # noqa: PLR0911
        self, data: Section, keys: Keys, kind: FieldType
    ) -> model.Expr:
        if "value" in data:
            return self._const(data["value"], (*keys, "value"), kind)
        if "template" in data:
            return self._template(data["template"], (*keys, "template"), kind)
        if "lookup" in data:
            return self._lookup(data, keys, kind)
        if "cases" in data:
            return self._cases(data, keys, kind)
        if "list" in data:
            return model.Items(
                tuple(
                    self._parts(row, at, kind)
                    for at, row in several(data["list"], (*keys, "list"))
                )
            )
        if "download" in data:
            if kind.kind not in ("file", "any"):
                self.problem(
                    (*keys, "download"),
                    "wrong-type",
                    "a download gives a file, but this field does not hold files",
                    "map the link itself",
                )
            name = self.expression(data["name"], (*keys, "name"), TEXT)
            return model.Download(
                self.expression(
                    data["download"], (*keys, "download"), typecheck.MOVING
                ),
                name,
            )
        inner = data["from"]
        if isinstance(inner, Mapping) and not HEADS & set(inner):
            return self._parts(inner, (*keys, "from"), kind)
        found = self.expression(inner, (*keys, "from"), kind)
        if (
            "map" in data
            and "using" not in data
            and isinstance(found, model.Path)
        ):
            self._words(found, data["map"], data["else"], keys)
        return found

    def _words(
        self,
        path: model.Path,
        entries: Section,
        otherwise: Any,
        keys: Keys,
    ) -> None:
        """Keys of a value map that the record can never hold; an error where every record fails
        for it.
        """
        kind = self._held(path)
        if path.text == "$collection":
            kind = FieldType("text", one_of=self.scope.sources)
        faults = {word: typecheck.check_map_key(kind, word) for word in entries}
        fails = otherwise == "fail" and all(faults.values())
        for word, fault in faults.items():
            self.fault(
                (*keys, "map", word), fault, "error" if fails else "warning"
            )

    def _held(self, path: model.Path) -> FieldType:
        """The type of what a path leads to; a name such as $key is text."""
        if path.text.startswith("$"):
            return TEXT
        return self.scope.find(path.segments).kind

    def _parts(self, data: Section, keys: Keys, kind: FieldType) -> model.Parts:
        """Named values: an object for the field, or the input of a step."""
        shape = kind.shape if kind.kind in ("object", "list") else None
        if kind.kind in (
            *NUMBERS,
            "text",
            "html",
            "boolean",
            "reference",
            "file",
        ):
            self.problem(
                keys,
                "wrong-type",
                "named parts make an object, but this field does not hold one",
                "pass them to a step: using: ...",
            )
        for name in data if shape else ():
            self.known(
                name,
                shape or {},
                (*keys, name),
                "unknown-field",
                f"the field has no part {name!r}",
            )
        moving = kind if kind.kind == "moving" else ANY
        values = {
            name: self.expression(
                item, (*keys, name), (shape or {}).get(name, moving)
            )
            for name, item in data.items()
        }
        return model.Parts(values)

    def _cases(self, data: Section, keys: Keys, kind: FieldType) -> model.Cases:
        cases = tuple(
            (
                self.condition(item["when"], (*at, "when")),
                self.expression(without(item, ("when",)), at, kind),
            )
            for at, item in several(data["cases"], (*keys, "cases"))
        )
        otherwise, at = data["else"], (*keys, "else")
        if isinstance(otherwise, dict | list):
            return model.Cases(cases, self.expression(otherwise, at, kind))
        return model.Cases(cases, self._const(otherwise, at, kind))

    def _steps(self, data: Any, keys: Keys) -> tuple[model.NamedStep, ...]:
        steps = []
        for at, item in several(data, keys):
            name, args = item, None
            if not isinstance(item, str):
                name, args = next(iter(item.items()))
                at = (*at, name)
            try:
                steps.append(
                    bind(name, self._arguments(args, at), self.scope.steps)
                )
            except ValueError as error:
                problem, _, advice = str(error).partition(" – ")
                for setting, value in self.scope.settings.items():
                    if f"$settings.{setting}" in str(args) and problem.endswith(
                        f" {value!r}"
                    ):
                        at = ("settings", setting)
                        problem = problem.partition(": ")[2]
                code: Code = (
                    "bad-argument"
                    if name in self.scope.steps.functions
                    else "unknown-step"
                )
                self.problem(at, code, problem, advice)
        return tuple(steps)

    def _arguments(self, args: Any, keys: Keys) -> Any:
        """Arguments with `$settings.x` replaced by the setting."""
        if isinstance(args, Mapping):
            return {
                name: self._arguments(value, (*keys, name))
                for name, value in args.items()
            }
        if isinstance(args, str) and args.startswith("$settings."):
            self.path(args, keys)
            return self.scope.settings.get(args.removeprefix("$settings."), "")
        return args

    def _map(
        self, data: Section, keys: Keys, kind: FieldType
    ) -> model.ValueMap:
        entries = {
            word: self._const(value, (*keys, "map", word), kind).value
            for word, value in data["map"].items()
        }
        otherwise, value = data["else"], None
        if otherwise not in ("omit", "report", "fail"):
            value = self._const(otherwise, (*keys, "else"), kind).value
        return model.ValueMap(
            entries, value, otherwise == "report", otherwise == "fail"
        )

    # -- lookups

    def _lookup(self, data: Section, keys: Keys, kind: FieldType) -> model.Expr:
        written = several(data["lookup"], (*keys, "lookup"))
        names = tuple(name for _, name in written)
        good = not [name for at, name in written if not self._target(name, at)]
        if good:
            self.fault(
                (*keys, "lookup"),
                typecheck.check_link(kind, self._resources(names)),
            )
        by = self.expression(data["by"], (*keys, "by"), typecheck.MOVING)
        on = data.get("on", "")
        if "users" in names:
            self._people_only(data, names, keys)
        elif on and good:
            self._on(names, on, (*keys, "on"))
        if good and not on:
            self._reaches(names, by, (*keys, "by"))
        miss = data.get("on_miss", "report")
        fallback = str(miss["fallback"]) if isinstance(miss, dict) else ""
        if fallback and good and "users" not in names:
            self._fallback(names, fallback, (*keys, "on_miss", "fallback"))
        return model.Lookup(
            names,
            by,
            on,
            "fallback" if fallback else miss,
            data.get("on_many", "first"),
            fallback,
        )

    def _resources(self, names: Sequence[str]) -> list[str]:
        """What objects become, without those whose own `to` is wrong."""
        found = (self.done[name].resource for name in names)
        return [name for name in dict.fromkeys(found) if name]

    def _target(self, name: str, keys: Keys) -> bool:
        if name in self.done:
            return True
        if name == "users":
            self.problem(
                keys,
                "missing-key",
                "a lookup of users needs the section `users`",
                "add it",
            )
        elif name in self.document.data["objects"]:
            self.problem(
                keys,
                "lookup-order",
                f"{name!r} is defined further down",
                "a lookup may only name objects above it: move that one up",
            )
        else:
            self.known(
                name,
                {**self.done, "users": None},
                keys,
                "unknown-object",
                f"there is no object {name!r}",
            )
        return False

    def _people_only(
        self, data: Section, names: Sequence[str], keys: Keys
    ) -> None:
        if len(names) > 1:
            self.problem(
                (*keys, "lookup"),
                "conflicting-keys",
                "users cannot be looked up together with objects",
                "write two lookups in a list instead",
            )
        for word in ("on", "on_miss", "on_many"):
            if word in data:
                self.problem(
                    (*keys, word),
                    "conflicting-keys",
                    f"a lookup of users has no {word!r}",
                    "unmatched users are assigned to users.fallback",
                )

    def _on(self, names: Sequence[str], on: str, keys: Keys) -> None:
        for source in dict.fromkeys(self._sources(names)):
            if source.startswith("$rows."):
                self.problem(
                    keys,
                    "conflicting-keys",
                    "rows written in the spec are looked up by their id",
                    "remove 'on'",
                )
                return
            found = replace(self.scope, sources=(source,)).find(
                segments(on), own=True
            )
            if found.problem:
                resource = self.scope.connector.resources.get(source)
                self.problem(
                    keys,
                    "unknown-field",
                    f"{source} have no field {on!r}",
                    suggest(on, resource.fields if resource else ()),
                )

    def _sources(self, names: Sequence[str]) -> list[str]:
        """The collections that objects are made from."""
        return [source for name in names for source in self.done[name].sources]

    def _reaches(
        self, names: Sequence[str], by: model.Expr, keys: Keys
    ) -> None:
        """Whether the values of `by` can name a record of any of the objects at all."""
        for path in by.options if isinstance(by, model.First) else (by,):
            if isinstance(path, model.Path):
                shared = all(len(self.done[name].sources) > 1 for name in names)
                fault = self.apart(path, self._sources(names), shared)
                self.fault(keys, fault)

    def apart(
        self, path: model.Path, sources: Sequence[str], several: bool
    ) -> Fault | None:
        """Why a path cannot name a row of these collections."""
        kind = self._held(path)
        own = (
            self.scope.sources if path.text in ("$key", "$record") else kind.to
        )
        listed = " or ".join(dict.fromkeys(sources))
        if own and sources and not set(own) & set(sources):
            return (
                "wrong-link",
                f"{path.text!r} names rows of {' or '.join(own)}, not of {listed}",
                "use the link that does",
            )
        if several and kind.kind in NUMBERS:
            return (
                "wrong-link",
                f"{path.text!r} is a bare id, which may belong to {listed}",
                "use the link that names the collection",
            )
        return None

    def _fallback(
        self, names: Sequence[str], fallback: str, keys: Keys
    ) -> None:
        rows = [
            str(row["id"])
            for name in names
            for row in self.done[name].rows
            if "id" in row
        ]
        sources = self._sources(names)
        if (
            rows
            and all(self.done[name].rows for name in names)
            and fallback not in rows
        ):
            self.problem(
                keys,
                "bad-fallback",
                f"there is no row {fallback!r}",
                suggest(fallback, rows),
            )
        elif (
            len(sources) > 1
            and len(names) == 1
            and fallback.partition("/")[0] not in sources
        ):
            self.problem(
                keys,
                "bad-fallback",
                f"{fallback!r} may belong to {' or '.join(sources)}",
                f"write {sources[0]}/{fallback}",
            )

    # -- templates

    def _template(
        self, written: str, keys: Keys, kind: FieldType
    ) -> model.Template:
        """A template, inline or from a file; a mistake inside names the file's own line."""
        self.fault(keys, typecheck.check_text(kind))
        name, source = "", written
        if written.endswith(".j2"):
            name, source = written, self.file(written, keys)
        source = templates.said(source, lambda text: self.say(text, keys))
        html = "html" in (kind.kind, kind.options) or written.endswith(
            ".html.j2"
        )
        is_plain = kind.kind not in ("html", "any", "moving")
        if is_plain and templates.has_markup(source, name):
            self.problem(
                keys,
                "markup",
                "HTML in a field that holds plain text",
                "remove the tags; people would see them",
                "warning",
            )
        found = templates.faults(source, self.scope, html)
        for fault in found:
            where = f"{name}:{fault.line}: " if name and fault.line else ""
            self.problem(
                keys,
                fault.code,
                where + fault.problem,
                fault.advice,
                fault.severity,
            )
        if any(fault.severity == "error" for fault in found):
            return model.Template("", name, html)
        template = templates.build(source, name, html, self.scope)
        self.settings_used |= {
            use.removeprefix("$settings.")
            for use in template.uses
            if use.startswith("$settings.")
        }
        if "$settings" in template.uses:
            self.settings_used |= set(self.scope.settings)
        return template

    def file(self, written: str, keys: Keys) -> str:
        """The text of a file of the project; "", with a problem told, where it cannot be read."""
        text = templates.read_template(self.folder, written)
        if isinstance(text, templates.Fault):
            self.problem(keys, text.code, text.problem, text.advice)
            return ""
        self.templates[written] = text
        return text
