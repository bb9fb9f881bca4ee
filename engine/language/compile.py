"""From a spec file to a Spec: shape, then names, then meaning; every mistake at once."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from engine.config.document import Document, Keys, Section, parse, read, several
from engine.config.suggestions import suggest
from engine.config.validation import check_shape
from engine.config.variables import expand
from engine.connector.addressing import addressed
from engine.connector.load import connector_file, load_connector
from engine.connector.model import Connector, FieldType
from engine.errors import (
    Diagnostic,
    Place,
    SpecError,
    UsageError,
    in_order,
)
from engine.language import model
from engine.language.beyond import within_plan
from engine.language.checks import whole
from engine.language.expressions import Builder
from engine.language.problems import Checking
from engine.language.scope import ANY, NUMBERS, Scope, Shape, shape_of
from engine.language.typecheck import custom_kind
from engine.values import Names, Row, digest, is_empty, segments
from transforms.found import SHIPPED, Steps
from transforms.own import steps_beside

PIPELINES = "$pipelines"
# names every template has
RESERVED = ("settings", "key", "collection", "loop", "range")


class Migration(msgspec.Struct, frozen=True):
    """A spec with the two connectors it names, and warnings for its author."""

    spec: model.Spec
    source: Connector
    destination: Connector
    document: Document
    warnings: tuple[Diagnostic, ...] = ()
    steps: Steps = SHIPPED


def load_migration(
    path: Path,
    env: Mapping[str, str] | None = None,
    document: Document | None = None,
) -> Migration:
    """Read, check and compile a spec, or one already read as `document`, and its connectors; raises
    SpecError with every problem.
    """
    document, problems = expand(
        document or read(path, shown(path)), os.environ if env is None else env
    )
    shape = check_shape(document, "spec")
    if shape:
        # that a missing variable has no good value is no news
        told = {item.where for item in problems}
        raise SpecError(
            in_order(
                [*problems, *(item for item in shape if item.where not in told)]
            )
        )
    # of this project: code that the folder `specs` has beside it
    steps, faults = steps_beside(path)
    problems += [
        Diagnostic(Place(shown(fault.file), fault.line, 1), "", *fault.told)
        for fault in faults
    ]
    source = _connector("source", path.parent, document, problems)
    destination = _connector("destination", path.parent, document, problems)
    if source is None or destination is None or faults:
        raise SpecError(in_order(problems))
    compiler = _Compiler(
        document, problems, path.parent, source, addressed(destination), steps
    )
    spec = compiler.spec()
    found = in_order(problems)
    if errors := [item for item in found if item.severity == "error"]:
        raise SpecError(errors)
    return Migration(
        spec,
        source,
        compiler.destination,
        compiler.document,
        tuple(found),
        steps,
    )


def _connector(
    side: str, folder: Path, document: Document, problems: list[Diagnostic]
) -> Connector | None:
    """The connector of a side; None, with its problems among those, where it cannot be used."""
    try:
        file = connector_file(folder, document.data[side]["connector"])
        return load_connector(file, shown(file))
    except SpecError as error:
        problems += error.diagnostics
    except UsageError as error:
        keys = (side, "connector")
        problems.append(document.problem(keys, "unreadable-file", str(error)))
    return None


def shown(path: Path) -> str:
    """A path as messages show it: relative to the working directory, if that is shorter."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except ValueError:
        return str(path)


class _Compiler(Checking):
    """Compiles one spec document into one Spec, collecting problems on the way."""

    folder: Path
    source: Connector
    destination: Connector
    steps: Steps
    templates: dict[str, str] = msgspec.field(default_factory=dict)
    builders: dict[str, Builder] = msgspec.field(default_factory=dict)
    done: dict[str, model.ObjectMapping] = msgspec.field(default_factory=dict)
    # the people of the section `users`, as if they were an object
    people: dict[str, model.ObjectMapping] = msgspec.field(default_factory=dict)
    rows: dict[str, Shape] = msgspec.field(default_factory=dict)
    used: set[str] = msgspec.field(default_factory=set)
    take: frozenset[str] = frozenset()
    custom: dict[tuple[str, str], model.CustomField] = msgspec.field(
        default_factory=dict
    )
    # custom fields declared for resources that have none, such as a misspelt one
    misplaced: set[str] = msgspec.field(default_factory=set)
    # the words of each language but the spec's own, and of the chosen one
    catalogues: dict[str, Mapping[str, str]] = msgspec.field(
        default_factory=dict
    )
    words: Mapping[str, str] = {}

    @property
    def settings(self) -> Section:
        """The settings as written."""
        found: Section = self.document.data.get("settings", {})
        return found

    def spec(self) -> model.Spec:
        data = self.document.data
        self._plans(data)
        self._languages(data.get("languages", {}))
        self.document, told = within_plan(
            self.document, self.destination, self.say
        )
        self.problems += told
        data = self.document.data
        self._custom_fields(data.get("custom_fields", {}))
        self._labels()
        native = self._native_options(data.get("native_options", {}))
        users = self._users(data.get("users"))
        self.take = self._take(data.get("take", {}))
        self._pipelines(data.get("pipelines", {}))
        for name, item in data["objects"].items():
            self.done[name] = self._object(name, item)
        self._were(data["objects"], ("objects",), "object")
        for name in data.get("left_behind", {}):
            self._collection(name, ("left_behind", name))
        meaning = {
            **data,
            "templates": self.templates,
            "source": self.source.digest,
            "destination": self.destination.digest,
        }
        spec = model.Spec(
            name=data["migration"],
            source=model.Side(**data["source"]),
            destination=model.Side(**data["destination"]),
            settings=self.settings,
            users=users,
            custom_fields=self.custom,
            native_options=native,
            objects=self.done,
            left_behind=data.get("left_behind", {}),
            take=self.take,
            sample=model.SamplePolicy(**data.get("sample", {})),
            guards=data.get("guards", {}),
            exports=self._exports(data.get("exports", {})),
            digest=digest(meaning),
        )
        whole(spec, self, self.destination, self.used)
        return spec

    def _builder(
        self,
        sources: Names,
        above: dict[str, model.ObjectMapping] | None = None,
    ) -> Builder:
        scope = Scope(
            self.source,
            sources,
            self.settings,
            self.steps,
            self.rows,
        )
        return Builder(
            self.document,
            self.problems,
            self.folder,
            scope,
            self.templates,
            ChainMap(self.people, above or {}),
            self.used,
            self.words,
            self.say,
        )

    # -- the parts of a spec, in the order they stand in it

    def _plans(self, data: Section) -> None:
        for side, connector in (
            ("source", self.source),
            ("destination", self.destination),
        ):
            plan = data[side]["plan"]
            self.known(
                plan,
                connector.plans,
                (side, "plan"),
                "unknown-name",
                f"{connector.title} has no plan {plan!r}",
            )

    def _languages(self, data: Mapping[str, str]) -> None:
        """The words of the languages that people may be spoken to in; the settings choose one."""
        if not data:
            return
        chosen = self.settings.get("language", "")
        self.used.add("language")
        self.known(
            chosen,
            data,
            ("settings", "language"),
            "unknown-name",
            f"there is no language {chosen!r}",
        )
        for name, written in data.items():
            if written:
                keys = ("languages", name)
                self.catalogues[name] = self._catalogue(written, keys)
        self.words = self.catalogues.get(chosen, {})

    def _catalogue(self, written: str, keys: Keys) -> Mapping[str, str]:
        text = self._builder(()).file(written, keys)
        if written not in self.templates:  # it cannot be read
            return {}
        try:
            found = parse(text, written).data
        except SpecError as error:
            self.problems += error.diagnostics
            return {}
        if not isinstance(found, dict) or not all(
            isinstance(words, str) and words for words in found.values() or [0]
        ):
            self.problem(
                keys,
                "wrong-type",
                f"{written} is not a list of texts, each with its translation",
            )
            return {}
        return found

    def say(self, text: str, keys: Keys) -> str:
        """A text of the spec in the chosen language; one without a translation is told."""
        if self.words and text not in self.words:
            name = self.settings["language"]
            self.problem(
                keys,
                "missing-key",
                f"{text!r} has no translation into {name!r}",
                f"add it to {self.document.data['languages'][name]}",
            )
        return self.words.get(text, text)

    def _take(self, data: Mapping[str, bool | str]) -> frozenset[str]:
        """The marks of rows that are migrated all the same."""
        known = {
            mark: None
            for resource in self.source.resources.values()
            for mark in resource.marks
        }
        for mark in data:
            self.known(
                mark,
                known,
                ("take", mark),
                "unknown-name",
                f"no row of {self.source.title} is marked as {mark!r}",
            )
        builder = self._builder(())
        return frozenset(
            mark
            for mark, written in data.items()
            if self._enabled(written, builder, ("take", mark))
        )

    def _marks(self, collection: str) -> Mapping[str, str]:
        """The marks whose rows are left out of a collection, with their fields; deleted ones are
        when they are read.
        """
        resource = self.source.resources.get(collection)
        marks = resource.flags.items() if resource else ()
        return {mark: name for mark, name in marks if mark not in self.take}

    def _collection(self, name: str, keys: Keys) -> bool:
        return self.known(
            name,
            self.source.resources,
            keys,
            "unknown-collection",
            f"{self.source.title} has no collection {name!r}",
        )

    def _collections(self, data: Section, keys: Keys) -> Names:
        """The collection of a section, or its several collections."""
        written = several(data["from"], (*keys, "from"))
        for at, name in written:
            self._collection(name, at)
        return tuple(name for _, name in written)

    def _builder_of(self, data: Section, word: str, keys: Keys) -> Builder:
        """What reads the rows of the one collection of a section, of which it names a path."""
        self._collection(data["from"], (*keys, "from"))
        builder = self._builder((data["from"],))
        builder.path(data[word], (*keys, word))
        return builder

    def _users(self, data: Section | None) -> model.UserMatch | None:
        if data is None:
            return None
        self._builder_of(data, "email", ("users",))
        rules = self.destination.users
        self.people["users"] = model.ObjectMapping(
            "users",
            tuple({data["from"]} & self.source.resources.keys()),
            rules.resource if rules else "",
            {},
        )
        if rules is None:
            self.problem(
                ("users",),
                "unsupported",
                f"{self.destination.title} has no users",
                "remove this section",
            )
        if "@" not in data["fallback"] and "${" not in data["fallback"]:
            self.problem(
                ("users", "fallback"),
                "bad-fallback",
                f"{data['fallback']!r} is not an e-mail address",
                f"give the e-mail address of a user of {self.destination.title}",
            )
        return model.UserMatch(
            data["from"],
            data["email"],
            data["fallback"],
            data.get("by_name", False),
        )

    def _custom_fields(self, data: Section) -> None:
        having = {
            name: item.custom
            for name, item in self.destination.resources.items()
            if item.custom
        }
        for resource, items in data.items():
            place = ("custom_fields", resource)
            if not self.known(
                resource,
                having,
                place,
                "unsupported",
                f"{resource!r} cannot have custom fields",
            ):
                self.misplaced |= items.keys()
                continue
            for name, item in items.items():
                keys = (*place, name)
                self.known(
                    item["type"],
                    having[resource].types,
                    (*keys, "type"),
                    "unsupported",
                    f"{self.destination.title} has no field type for {item['type']!r}",
                )
                self.custom[resource, name] = self._custom_field(
                    resource, name, item, keys
                )
            self._were(items, place, "custom field")
            if sum(item.get("key", False) for item in items.values()) > 1:
                self.problem(
                    place,
                    "key-field",
                    "more than one field is marked `key: true`",
                    "mark only one",
                )

    def _custom_field(
        self, resource: str, name: str, item: Section, keys: Keys
    ) -> model.CustomField:
        options = self._options(item.get("options", []), (*keys, "options"))
        return model.CustomField(
            resource,
            name,
            self.say(item["name"], (*keys, "name")),
            item["type"],
            key=item.get("key", False),
            was=item.get("was", ""),
            **options,
        )

    def _were(self, items: Section, keys: Keys, kind: str) -> None:
        """A former name must be unused now, and claimed only once."""
        taken: dict[str, str] = {}
        for name, item in items.items():
            was = item.get("was", "")
            place = (*keys, name, "was")
            if not was:
                continue
            if was in items:
                self.problem(
                    place,
                    "bad-rename",
                    f"the {kind} {was!r} still exists",
                    "remove it, or remove this line",
                )
            elif taken.setdefault(was, name) != name:
                self.problem(
                    place,
                    "bad-rename",
                    f"{taken[was]!r} also says that it was {was!r}",
                    "keep it in one of them",
                )

    def _labels(self) -> None:
        """A field is recognised by its name and type: no two may share both."""
        taken: dict[tuple[str, str, str], str] = {}
        for (resource, name), item in self.custom.items():
            other = taken.setdefault(
                (resource, item.label.strip().casefold(), item.type), name
            )
            if other != name:
                self.problem(
                    ("custom_fields", resource, name, "name"),
                    "duplicate-value",
                    f"{other!r} and {name!r} of {resource} are both called"
                    f" {item.label!r}",
                    "rename one of them",
                )

    def _options(self, data: Any, keys: Keys) -> dict[str, Any]:
        """The options of a field, written one by one or taken from a collection."""
        if not isinstance(data, list):
            self._builder_of(data, "label", keys)
            return {"options_from": (data["from"], data["label"])}
        # written alone, or together with the former label
        labels = [
            str(item["label"] if isinstance(item, Mapping) else item)
            for item in data
        ]
        said = [self.say(label, at) for at, label in several(labels, keys)]
        self._own_options(data, labels, said, keys)
        were = self._options_were(data, labels, said)
        return {"options": tuple(said), "options_were": were}

    def _own_options(
        self,
        data: Sequence[Any],
        labels: Sequence[str],
        said: Sequence[str],
        keys: Keys,
    ) -> None:
        """Each label is used once, also where one is a translation, and a former label only where
        no option has it now.
        """
        for position, label in enumerate(said):
            if label in {*said[:position], *labels} - {labels[position]} or (
                label in labels[:position]
            ):
                self.problem(
                    (*keys, position),
                    "duplicate-value",
                    f"two options are called {label!r}",
                    "keep one",
                )
        for position, item in enumerate(data):
            if isinstance(item, Mapping) and item["was"] in labels:
                self.problem(
                    (*keys, position, "was"),
                    "bad-rename",
                    f"the option {item['was']!r} still exists",
                    "remove it, or remove this line",
                )

    def _options_were(
        self,
        data: Sequence[Any],
        labels: Sequence[str],
        said: Sequence[str],
    ) -> tuple[tuple[str, str], ...]:
        """Options, each with the labels that earlier runs may have known it by: in other languages,
        or before it was renamed.
        """
        found = []
        for item, label, now in zip(data, labels, said, strict=True):
            languages = self.catalogues.values()
            were = [label, *(words.get(label, label) for words in languages)]
            if isinstance(item, Mapping):
                were.append(str(item["was"]))
            # a label that another option has now is that one's
            found += [(now, was) for was in were if was not in said]
        return tuple(found)

    def _native_options(self, data: Section) -> tuple[model.NativeOptions, ...]:
        found = []
        enums = [
            f"{r}.{f}"
            for r, res in self.destination.resources.items()
            for f, t in res.fields.items()
            if t.options
        ]
        for target, item in data.items():
            resource, _, field = target.partition(".")
            keys = ("native_options", target)
            if self.known(
                target,
                enums,
                keys,
                "unknown-field",
                f"{target!r} is not a built-in field with options",
            ):
                options = self._options(item, keys)
                found.append(model.NativeOptions(resource, field, **options))
        return tuple(found)

    def _pipelines(self, data: Section) -> None:
        """Pipelines and stages become ordinary objects; their rows are adopted or created."""
        rules = self.destination.pipelines
        if not data:
            return
        if rules is None:
            self.problem(
                ("pipelines",),
                "unsupported",
                f"{self.destination.title} has no pipelines",
                "remove this section",
            )
            return
        name = model.Field(
            rules.name, model.Path("name", ("name",)), ("pipelines",)
        )
        rows = self._named_rows(
            "pipelines",
            [
                (("pipelines", key, "name"), key, item["name"])
                for key, item in data.items()
            ],
        )
        self.done[PIPELINES] = model.ObjectMapping(
            PIPELINES,
            (f"$rows.{PIPELINES}",),
            rules.resource,
            {rules.name: name},
            match=(rules.name,),
            rows=rows,
            label="Pipelines",
            keys=("pipelines",),
        )
        for key, item in data.items():
            self.done[f"pipelines.{key}"] = self._stages(key, item)

    def _named_rows(
        self, what: str, written: Sequence[tuple[Keys, str, str]]
    ) -> tuple[Row, ...]:
        """Rows by the places, ids and names that are written; one that is called like one before
        it, be it in a language, is told.
        """
        rows: list[Row] = []
        for keys, row_id, name in written:
            said = self.say(name, keys)
            if said in [row["name"] for row in rows]:
                self.problem(
                    keys,
                    "duplicate-value",
                    f"two {what} are called {said!r}",
                    "rename one of them",
                )
            rows.append({"id": row_id, "name": said})
        return tuple(rows)

    def _stages(self, key: str, item: Section) -> model.ObjectMapping:
        rules, stages = self.destination.pipelines, item["stages"]
        assert rules is not None
        keys = ("pipelines", key, "stages")
        parent = model.Field(
            rules.parent,
            model.Lookup((PIPELINES,), model.Const(key), on_miss="fail"),
            keys,
        )
        rows: tuple[Row, ...] = ()
        source, label, when, order = f"$rows.pipelines.{key}", "name", None, ""
        if isinstance(stages, list):
            listed = [(at, name, name) for at, name in several(stages, keys)]
            rows = self._named_rows("stages", listed)
        else:
            source, label, order = (
                stages["from"],
                stages["label"],
                stages.get("order", ""),
            )
            builder = self._builder_of(stages, "label", keys)
            if order:
                builder.path(order, (*keys, "order"))
            when = builder.optional(stages, "where", keys)
        name = model.Field(
            rules.stage_name, model.Path(label, segments(label)), keys
        )
        return model.ObjectMapping(
            f"pipelines.{key}",
            (source,),
            rules.stages,
            {rules.stage_name: name, rules.parent: parent},
            when=when,
            match=(rules.stage_name, rules.parent),
            rows=rows,
            label=f"Stages of {item['name']}",
            keys=keys,
            order=order,
        )

    # -- one object

    def _object(self, name: str, data: Section) -> model.ObjectMapping:
        keys = ("objects", name)
        if name == "users":
            self.problem(
                keys,
                "taken-name",
                "'users' is reserved for the people of the section `users`",
                "give the object another name",
            )
        sources, rows = self._sources(name, data, keys)
        builder = self._builder(sources, self.done)
        related = {
            key: self._related(item, (*keys, "related", key), builder)
            for key, item in data.get("related", {}).items()
        }
        builder.scope = replace(builder.scope, related=related)
        children = {
            key: self._children(item, (*keys, "children", key), builder)
            for key, item in data.get("children", {}).items()
        }
        builder.scope = replace(builder.scope, children=children)
        each = (
            self._each(data["each"], (*keys, "each"), builder)
            if "each" in data
            else None
        )
        self._own_names(data, builder.scope, keys)
        self._by_itself(related, (*keys, "related"))
        self._by_itself(children, (*keys, "children"))
        self.builders[name] = builder
        fields = {
            target: self._field(
                target, item, (*keys, "fields", target), data["to"], builder
            )
            for target, item in data["fields"].items()
        }
        resource = self._complete(data["to"], fields, keys)
        needed = data.get("unless_empty", [])
        match, at, ignoring = _match(data.get("match", []))
        for place, target in [
            *several(needed, (*keys, "unless_empty")),
            *several(match, (*keys, *at)),
        ]:
            self.known(
                target,
                fields,
                place,
                "unknown-field",
                f"{target!r} is not one of this object's fields",
            )
        return model.ObjectMapping(
            name=name,
            sources=sources,
            resource=resource,
            fields=fields,
            when=builder.optional(data, "when", keys),
            marks={name: self._marks(name) for name in sources},
            related=related,
            children=children,
            each=each,
            match=tuple(match),
            ignoring=tuple(ignoring),
            enabled=self._enabled(
                data.get("enabled", True), builder, (*keys, "enabled")
            ),
            ignore=data.get("ignore", {}),
            rows=rows,
            label=data.get("label", name),
            keys=keys,
            on_delete=data.get("on_delete", "report"),
            was=data.get("was", ""),
            unless_empty=tuple(needed),
        )

    def _sources(
        self, name: str, data: Section, keys: Keys
    ) -> tuple[Names, tuple[Row, ...]]:
        """The collections of an object, or the rows written in it."""
        if "rows" in data:
            self.rows[f"$rows.{name}"] = shape_of(data["rows"])
            self._row_ids(data["rows"], (*keys, "rows"))
            return (f"$rows.{name}",), tuple(data["rows"])
        return self._collections(data, keys), ()

    def _row_ids(self, rows: Sequence[Row], keys: Keys) -> None:
        taken: dict[str, int] = {}
        for position, row in enumerate(rows):
            found = row.get("id")
            if isinstance(found, bool | list | dict) or is_empty(found):
                place = (
                    (*keys, position, "id")
                    if "id" in row
                    else (*keys, position)
                )
                self.problem(
                    place,
                    "missing-key",
                    "a row needs an `id`, a text or a number",
                    "later runs recognise the row by it",
                )
            elif taken.setdefault(str(found), position) != position:
                self.problem(
                    (*keys, position, "id"),
                    "duplicate-value",
                    f"two rows have the id {str(found)!r}",
                    "change one of them",
                )

    def _complete(
        self, resource: str, fields: Mapping[str, model.Field], keys: Keys
    ) -> str:
        """The resource that an object becomes; "" where it does not exist."""
        creatable = [
            name
            for name, item in self.destination.resources.items()
            if "create" in item.operations
        ]
        self.known(
            resource,
            creatable,
            (*keys, "to"),
            "unknown-resource",
            f"{self.destination.title} cannot create {resource!r}",
        )
        target = self.destination.resources.get(resource)
        for name, kind in (target.fields if target else {}).items():
            if kind.required and kind.writable and name not in fields:
                self.problem(
                    (*keys, "fields"),
                    "required-field",
                    f"{resource} require the field {name!r}",
                    "map it",
                )
        return resource if resource in creatable else ""

    def _enabled(
        self, written: bool | str, builder: Builder, keys: Keys
    ) -> bool:
        if isinstance(written, bool):
            return written
        builder.path(written, keys)
        return builder.flag(written.removeprefix("$settings."))

    def _own_names(self, data: Section, scope: Scope, keys: Keys) -> None:
        """Names defined beside the record's fields: each is unique, and shadows no field."""
        own = scope.shape(scope.sources) or {}
        made: list[tuple[str, Keys]] = [
            (name, (*keys, group, name))
            for group in ("related", "children")
            for name in data.get(group, {})
        ]
        if "each" in data:
            made.append((data["each"]["name"], (*keys, "each", "name")))
        taken: set[str] = set()
        for name, place in made:
            if name in RESERVED:
                self.problem(
                    place,
                    "taken-name",
                    f"{name!r} is a reserved name",
                    "choose another",
                )
            if name in taken:
                self.problem(
                    place,
                    "taken-name",
                    f"the name {name!r} is already taken",
                    "choose another",
                )
            if name in own:
                self.problem(
                    place,
                    "taken-name",
                    f"{name!r} shadows the record's own field of that name",
                    "choose another",
                    "warning",
                )
            taken.add(name)

    def _related(
        self, data: Section, keys: Keys, builder: Builder
    ) -> model.Related:
        sources = self._collections(data, keys)
        by = builder.path(data["by"], (*keys, "by"))
        builder.fault(
            (*keys, "by"), builder.apart(by, sources, len(sources) > 1)
        )
        return model.Related(sources, by)

    def _by_itself(
        self, made: Mapping[str, model.Related | model.Children], keys: Keys
    ) -> None:
        """Rows beside the record are found by its fields, or through others: never through
        themselves.
        """
        for name in made:
            at, seen = name, list[str]()
            while at in made and at not in seen and (by := made[at].by):
                seen.append(at)
                at = str(by.segments[0])
            if seen and at == name:
                self.problem(
                    (*keys, name),
                    "taken-name",
                    f"{' > '.join([*seen, at])}: found through itself, without end",
                    "choose a name that is not the field it is found by",
                )

    def _children(
        self, data: Section, keys: Keys, builder: Builder
    ) -> model.Children:
        source = data["from"]
        child, on = self._builder((source,)), ANY
        if self._collection(source, (*keys, "from")):
            on = child.lead(data["on"], (*keys, "on"))[1]
        where = child.optional(data, "where", keys)
        if "by" in data:
            by, kind = builder.lead(data["by"], (*keys, "by"))
            if on.to and kind.to and not set(on.to) & set(kind.to):
                self.problem(
                    (*keys, "by"),
                    "wrong-link",
                    f"{data['by']!r} and {data['on']!r} never name the same row",
                    "compare the rows that they link to",
                )
            return model.Children(source, data["on"], by, where)
        own = builder.scope.sources
        if on.to and not set(on.to) & set(own):
            self.problem(
                (*keys, "on"),
                "wrong-link",
                f"{data['on']!r} names rows of {' or '.join(on.to)}, not of"
                f" {' or '.join(own)}",
                "use the link that does",
            )
        elif len(own) > 1 and on.kind in NUMBERS:
            self.problem(
                (*keys, "on"),
                "wrong-link",
                f"{data['on']!r} is a bare id, which rows of {' and '.join(own)} may share",
                "use the link that names the collection",
                "warning",
            )
        return model.Children(source, data["on"], None, where)

    def _each(self, data: Section, keys: Keys, builder: Builder) -> model.Each:
        path, kind = builder.lead(data["path"], (*keys, "path"))
        if kind.kind not in ("list", "any"):
            self.problem(
                (*keys, "path"),
                "wrong-type",
                f"{data['path']!r} is not a list",
                "`each` takes a list inside the record",
            )
        builder.scope = replace(
            builder.scope, each=(data["name"], path.segments)
        )
        where = builder.optional(data, "where", keys)
        builder.path(f"{data['name']}.{data['key']}", (*keys, "key"))
        return model.Each(data["name"], path, data["key"], where)

    def _field(
        self,
        target: str,
        data: Any,
        keys: Keys,
        resource: str,
        builder: Builder,
    ) -> model.Field:
        kind = self._kind(target, keys, resource)
        expression = builder.expression(data, keys, kind)
        if isinstance(data, Mapping) and "on_conflict" in data:
            return model.Field(target, expression, keys, data["on_conflict"])
        return model.Field(target, expression, keys)

    def _kind(self, target: str, keys: Keys, resource: str) -> FieldType:
        """The type of a destination field; ANY where there is no such field."""
        known = self.destination.resources.get(resource)
        if known is None:
            return ANY
        if name := model.custom_name(target):
            return self._custom_kind(name, keys, resource)
        kind = known.fields.get(target)
        if kind is None:
            writable = [
                name for name, item in known.fields.items() if item.writable
            ]
            self.problem(
                keys,
                "unknown-field",
                f"{resource} have no field {target!r}",
                suggest(target, writable),
            )
            return ANY
        if not kind.writable:
            self.problem(
                keys,
                "read-only",
                f"{target!r} cannot be written",
                "keep the value in a custom field",
            )
        if not kind.one_of_plan:
            return kind
        plan = self.document.data["destination"]["plan"]
        fewer = kind.one_of_plan.get(plan)
        return msgspec.structs.replace(
            kind,
            one_of=fewer or kind.one_of,
            one_of_plan={plan: fewer} if fewer else {},
        )

    def _custom_kind(self, name: str, keys: Keys, resource: str) -> FieldType:
        if name in self.misplaced:  # which is reported where it stands
            return ANY
        names = [other for of, other in self.custom if of == resource]
        if self.known(
            name,
            names,
            keys,
            "unknown-field",
            f"custom field {name!r} is not declared for {resource}",
        ):
            return custom_kind(self.custom[resource, name])
        return ANY

    def _exports(self, data: Section) -> tuple[model.Export, ...]:
        """Exported tables; their columns are expressions over the object's records."""
        found = []
        for name, item in data.items():
            if not self.known(
                item["object"],
                self.builders,
                ("exports", name, "object"),
                "unknown-object",
                f"there is no object {item['object']!r}",
            ):
                continue
            builder, columns = self.builders[item["object"]], {}
            for heading, column in item["columns"].items():
                at = "exports", name, "columns", heading
                said = self.say(heading, at)
                if said in columns:
                    self.problem(
                        at,
                        "duplicate-value",
                        f"two columns of {name} are both called {said!r}",
                        "give each its own translation",
                    )
                columns[said] = builder.expression(column, at)
            found.append(model.Export(name, item["object"], columns))
        return tuple(found)


def _match(written: Any) -> tuple[Sequence[str], Keys, Sequence[str]]:
    """`[email]`, or `{fields: [email], ignoring: [case]}`: the fields, where they stand, and the
    differences in them that do not count.
    """
    if isinstance(written, dict):
        ignoring = written.get("ignoring", ())
        return written["fields"], ("match", "fields"), ignoring
    return written, ("match",), ()
