"""Unit tests of mappings: given these source records, expect these drafts. All in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct, structs

from engine.cli.environment import variables
from engine.config.document import Document, Keys, read
from engine.config.suggestions import suggest
from engine.config.validation import check_shape
from engine.connector.references import named
from engine.connector.typed import reader_of
from engine.errors import Code, Diagnostic, Place, SpecError
from engine.extract.records import usable_id
from engine.language.compile import Migration, load_migration, shown
from engine.language.model import ObjectMapping, ValueMap
from engine.mapping.draft import judged, kinds_of
from engine.mapping.evaluate import (
    FALLBACK,
    Evaluation,
    LookupContext,
    Source,
    evaluate,
)
from engine.values import (
    as_file,
    as_link,
    canonical,
    dig,
    id_in,
    key_of,
    segments,
)
from workbench.cases import CASES

ROWS = "$rows."


@dataclass(frozen=True, slots=True)
class Case:
    """One test: the records that exist, the rows that others left, and what is expected."""

    name: str
    records: Mapping[str, Mapping[str, Any]]  # by key
    users: frozenset[str]
    # objects whose rows the case names; others' rows follow from its records
    links: Mapping[str, frozenset[str]]
    expect: Mapping[str, Mapping[str, Any]]  # object -> key -> expectation
    keys: Keys
    migration: Migration  # with the settings of the case
    today: str = ""  # the day it is told on


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that is not met."""

    case: str
    object: str
    key: str
    field: str
    expected: Any
    found: Any
    where: Place
    story: str = ""


@dataclass(slots=True)
class Seen:
    """What the cases have exercised."""

    fields: set[tuple[str, str]] = field(default_factory=set)
    # object, field, value or "else"
    entries: set[tuple[str, str, str]] = field(default_factory=set)
    templates: set[str] = field(default_factory=set)
    misses: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class CaseRun:
    """The outcome of running the cases."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    failures: tuple[Failure, ...]
    seen: Seen


def cases_path(spec: FilePath) -> FilePath:
    """`specs/name.yaml` is tested in `specs/name.test.yaml`."""
    return spec.with_name(spec.stem + CASES)


# -- reading the file


def load_cases(
    path: FilePath, migration: Migration
) -> tuple[Document, list[Case]]:
    """Read and check a file of cases; raises SpecError with every problem found."""
    document = read(path)
    problems = check_shape(document, "cases")
    if not problems:
        problems = list(_problems(document, migration))
    if problems:
        raise SpecError(problems)
    own = dict(migration.spec.settings)
    compiled = {canonical(own): migration}
    shared = document.data.get("settings", {})
    cases = []
    for position, item in enumerate(document.data["cases"]):
        settings = {**own, **shared, **item.get("settings", {})}
        at = canonical(settings)
        if at not in compiled:
            compiled[at] = _of_case(document, position, path, settings)
        cases.append(_case(document, position, compiled[at]))
    return document, cases


def _of_case(
    document: Document,
    position: int,
    path: FilePath,
    settings: Mapping[str, Any],
) -> Migration:
    """The migration with the settings of a case; a mistake in them is told where they stand."""
    try:
        return _with_settings(path, settings)
    except SpecError as error:
        own = document.data["cases"][position].get("settings")
        keys = ("cases", position, "settings") if own else ("settings",)
        raise SpecError(
            [
                document.problem(
                    keys,
                    item.code,
                    f"with these settings, {item.path}: {item.problem}",
                    item.advice,
                )
                for item in error.diagnostics
            ]
        ) from None


def _with_settings(path: FilePath, settings: Mapping[str, Any]) -> Migration:
    """The migration that a file of cases tests, with some settings changed; raises SpecError."""
    spec = path.with_name(path.name.removesuffix(CASES) + ".yaml")
    document = read(spec, shown(spec))
    changed = {**document.data.get("settings", {}), **settings}
    data = {**document.data, "settings": changed}
    return load_migration(
        spec, variables(), structs.replace(document, data=data)
    )


def _problems(document: Document, migration: Migration) -> Iterator[Diagnostic]:
    """Names that neither the spec nor its source knows."""
    data, objects = document.data, migration.spec.objects
    for keys, holder in [
        ((), data),
        *((("cases", at), case) for at, case in enumerate(data["cases"])),
    ]:
        for name, rows in holder.get("records", {}).items():
            yield from _unknown(
                document,
                (*keys, "records", name),
                "unknown-collection",
                "collection",
                name,
                list(migration.source.resources),
            )
            for at, row in enumerate(rows):
                resource = migration.source.resources.get(name)
                if resource and not usable_id(resource, row):
                    yield document.problem(
                        (*keys, "records", name, at),
                        "missing-key",
                        f"the record has no {resource.id}",
                        "add it",
                    )
        for name in holder.get("settings", {}):
            yield from _unknown(
                document,
                (*keys, "settings", name),
                "unknown-name",
                "setting",
                name,
                list(migration.spec.settings),
            )
        for name in holder.get("links", {}):
            yield from _unknown(
                document,
                (*keys, "links", name),
                "unknown-object",
                "object",
                name,
                list(objects),
            )
        for name, wanted in holder.get("expect", {}).items():
            yield from _unknown(
                document,
                (*keys, "expect", name),
                "unknown-object",
                "object",
                name,
                list(objects),
            )
            mapping = objects.get(name)
            for key, item in wanted.items() if mapping else ():
                for target in item.get("fields", {}):
                    place: Keys = (*keys, "expect", name, key, "fields", target)
                    yield from _unknown(
                        document,
                        place,
                        "unknown-field",
                        f"field of {name}",
                        target,
                        list(mapping.fields if mapping else ()),
                    )


def _unknown(
    document: Document,
    keys: Keys,
    code: Code,
    what: str,
    name: str,
    known: list[str],
) -> Iterator[Diagnostic]:
    if name not in known:
        yield document.problem(
            keys, code, f"there is no {what} {name!r}", suggest(name, known)
        )


def _case(document: Document, position: int, migration: Migration) -> Case:
    shared, own = document.data, document.data["cases"][position]
    resources = migration.source.resources
    records: dict[str, Mapping[str, Any]] = {}
    for holder in (shared, own):
        for name, rows in holder.get("records", {}).items():
            records |= {
                key_of(name, usable_id(resources[name], row)): row
                for row in rows
            }
    links = {**shared.get("links", {}), **own.get("links", {})}
    users = {key for holder in (shared, own) for key in holder.get("users", ())}
    named = {name: frozenset(keys) for name, keys in links.items()}
    return Case(
        own["case"],
        records,
        frozenset(users),
        named,
        own["expect"],
        ("cases", position),
        migration,
        own.get("today", shared.get("today", "")),
    )


# -- running


def run_cases(document: Document, cases: Sequence[Case]) -> CaseRun:
    """Map every case's records and compare the drafts with what is expected."""
    seen = Seen()
    results = {case.keys: list(_run(document, case, seen)) for case in cases}
    passed = tuple(case.name for case in cases if not results[case.keys])
    failed = tuple(case.name for case in cases if results[case.keys])
    return CaseRun(
        passed,
        failed,
        tuple(failure for found in results.values() for failure in found),
        seen,
    )


def _run(document: Document, case: Case, seen: Seen) -> Iterator[Failure]:
    migration = case.migration
    around = World(migration, case.records, case.users, case.links, case.today)
    watched = {
        item.name: _watched(item, seen)
        for item in migration.spec.active()
        if item.name in case.expect
    }
    for name, wanted in case.expect.items():
        for key, item in wanted.items():
            at = (*case.keys, "expect", name, key)
            mapping = watched.get(name)
            made = (
                None
                if mapping is None
                else next(
                    (
                        p
                        for p in _projections(mapping, key, around)
                        if p.key == key
                    ),
                    None,
                )
            )
            for target, expected, found, story in _compared(
                migration, mapping, made, item, seen
            ):
                place = document.place((*at, *target))
                yield Failure(
                    case.name,
                    name,
                    key,
                    str(target[-1]) if target else "",
                    expected,
                    found,
                    place,
                    story,
                )


def _projections(
    mapping: ObjectMapping, key: str, around: World
) -> list[Evaluation]:
    record = key.partition("#")[0]
    body = around.record(record)
    collection = record.partition("/")[0]
    if body is None or collection not in mapping.sources:
        return []
    return list(
        evaluate(mapping, Source(collection, record, body), around.sight())
    )


# place below the expectation, expected, found, how it came about
Compared = tuple[Keys, Any, Any, str]


def _compared(
    migration: Migration,
    mapping: ObjectMapping | None,
    made: Evaluation | None,
    item: Mapping[str, Any],
    seen: Seen,
) -> Iterator[Compared]:
    """Where a draft is not as expected."""
    state = item.get("state", "ready")
    if made is None or mapping is None:
        if state != "absent":
            yield (), state, "absent: no draft is made", ""
        return
    made = judged(kinds_of(migration, mapping), made)
    if made.state != state:
        yield (
            ("state",),
            state,
            f"{made.state}: {made.reason}" if made.reason else made.state,
            "",
        )
    if item.get("reason", "") not in made.reason:
        yield ("reason",), item["reason"], made.reason, ""
    yield from _fields(made, item, seen, mapping)
    yield from _findings(made, item)


def _fields(
    made: Evaluation,
    item: Mapping[str, Any],
    seen: Seen,
    mapping: ObjectMapping,
) -> Iterator[Compared]:
    traces = {trace.target: trace for trace in made.traces}
    checked = {
        *item.get("fields", {}),
        *item.get("findings", {}),
        *_blamed(made, item),
    }
    for target in checked & set(traces):
        trace = traces[target]
        seen.fields.add((mapping.name, target))
        seen.templates |= {
            step.removeprefix("template ")
            for step in trace.steps
            if step.startswith("template ")
        }
        if trace.reason.startswith("no ") or any(
            note.text.startswith("no ")
            for note in made.notes
            if note.field == target
        ):
            seen.misses.add((mapping.name, target))
        if made.state != "ready" and made.reason.startswith(f"{target}: no "):
            seen.misses.add((mapping.name, target))
    for target, expected in item.get("fields", {}).items():
        found = readable(made.body.get(target))
        if not _agrees(expected, found):
            trace = traces[target]
            story = ", ".join(
                f"{path} = {value!r}" for path, value in trace.sources
            )
            steps = " > ".join(trace.steps)
            yield (
                ("fields", target),
                expected,
                found,
                " > ".join(filter(None, (story, steps, trace.reason))),
            )


def _blamed(made: Evaluation, item: Mapping[str, Any]) -> set[str]:
    """The field that an expected skip or failure is about."""
    return (
        {made.reason.partition(": ")[0]}
        if item.get("reason") and made.state != "ready"
        else set()
    )


def _findings(made: Evaluation, item: Mapping[str, Any]) -> Iterator[Compared]:
    for target, text in item.get("findings", {}).items():
        notes = [note.text for note in made.notes if note.field == target]
        if not any(text in found for found in notes):
            yield ("findings", target), text, "; ".join(notes) or None, ""


def _agrees(expected: Any, found: Any) -> bool:
    """Whether a draft's value is the expected one; `{contains: ...}` asks for parts of a text."""
    if isinstance(expected, dict) and expected.keys() == {"contains"}:
        parts = (
            expected["contains"]
            if isinstance(expected["contains"], list)
            else [expected["contains"]]
        )
        return isinstance(found, str) and all(
            str(part) in found for part in parts
        )
    return canonical(expected) == canonical(found)


def readable(value: Any) -> Any:
    """A draft's value as cases write it: a link is `{organizations: clients/12}`, a file
    `{download: .., name: ..}`.
    """
    link, file = as_link(value), as_file(value)
    if link:
        return {
            link[0]: (
                link[1].removeprefix(f"{ROWS}{link[0]}/")
                if link[1] != FALLBACK
                else "fallback"
            )
        }
    if file:
        return {"download": file["url"], "name": file["name"]}
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    return (
        [readable(item) for item in value] if isinstance(value, list) else value
    )


# -- the world of one case


@dataclass(slots=True)
class World:
    """Records, people and rows of one case, as projections see them."""

    migration: Migration
    records: Mapping[str, Mapping[str, Any]]
    users: frozenset[str]
    links: Mapping[str, frozenset[str]]
    today: str = ""
    made: dict[tuple[str, str], bool] = field(default_factory=dict)

    def sight(self) -> LookupContext:
        """What a projection may look at."""
        spec = self.migration.spec
        return LookupContext(
            settings=spec.settings,
            pattern=self.migration.source.reference.pattern,
            objects=spec.objects,
            record=self.record,
            pointing_at=self.pointing_at,
            drafted=self.drafted,
            user=lambda key: key in self.users,
            typed=reader_of(self.migration.source),
            user_source=spec.users.source if spec.users else "",
            today=self.today,
        )

    def record(self, key: str) -> Mapping[str, Any] | None:
        """A record of the case, or a row written in the spec."""
        if key.startswith(ROWS):
            mapping = self.migration.spec.objects.get(
                key.removeprefix(ROWS).partition("/")[0]
            )
            return (
                next(
                    (
                        row
                        for row in mapping.rows
                        if str(row["id"]) == id_in(key)
                    ),
                    None,
                )
                if mapping
                else None
            )
        return self.records.get(key)

    def pointing_at(
        self, collection: str, name: str, targets: Sequence[str]
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Records of a collection whose field names any of the targets."""
        pattern = self.migration.source.reference.pattern
        found = []
        for key, body in self.records.items():
            if key.partition("/")[0] != collection:
                continue
            if set(named(dig(body, segments(name)), pattern)) & set(targets):
                found.append((key, body))
        return found

    def drafted(self, name: str, key: str) -> bool:
        """Whether an object has a row for a key: as the case says, or as its records make the
        draft.
        """
        if name in self.links:
            return key in self.links[name]
        if (name, key) not in self.made:
            # objects only look upwards; this stops whatever does not
            self.made[name, key] = False
            self.made[name, key] = self._makes(name, key)
        return self.made[name, key]

    def _makes(self, name: str, key: str) -> bool:
        mapping = self.migration.spec.objects.get(name)
        if mapping is None or not mapping.enabled:
            return False
        return any(
            item.key == key and item.state == "ready"
            for item in _projections(mapping, key, self)
        )


# -- watching which entries of value maps are used


class _Entries(dict[str, Any]):
    """A value map's entries that note which of them is asked for."""

    def __init__(
        self, entries: Mapping[str, Any], at: tuple[str, str], seen: Seen
    ) -> None:
        super().__init__(entries)
        self.at = at
        self.seen = seen

    def __contains__(self, key: object) -> bool:
        known = super().__contains__(key)
        self.seen.entries.add((*self.at, str(key) if known else "else"))
        return known


def _watched(mapping: ObjectMapping, seen: Seen) -> ObjectMapping:
    """The mapping with value maps that are watched."""
    exprs = {
        name: _rebuilt(item.expr, (mapping.name, name), seen)
        for name, item in mapping.fields.items()
    }
    fields = {
        name: structs.replace(item, expr=exprs[name])
        for name, item in mapping.fields.items()
    }
    return structs.replace(mapping, fields=fields)


def _rebuilt(value: Any, at: tuple[str, str], seen: Seen) -> Any:
    if isinstance(value, ValueMap):
        return structs.replace(value, entries=_Entries(value.entries, at, seen))
    if isinstance(value, Struct):
        parts = {name: getattr(value, name) for name in value.__struct_fields__}
        inner = {name: _rebuilt(part, at, seen) for name, part in parts.items()}
        return (
            value
            if all(inner[name] is parts[name] for name in parts)
            else structs.replace(value, **inner)
        )
    if isinstance(value, tuple):
        found = tuple(_rebuilt(item, at, seen) for item in value)
        return (
            value
            if all(
                one is other for one, other in zip(found, value, strict=True)
            )
            else found
        )
    if isinstance(value, Mapping) and any(
        isinstance(item, Struct) for item in value.values()
    ):
        return {name: _rebuilt(item, at, seen) for name, item in value.items()}
    return value
