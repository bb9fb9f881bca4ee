"""The mapping as a document a customer signs: what becomes what, field by field, and what does
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from engine.language.compile import Migration
from engine.language.dependencies import lookups
from engine.language.model import ObjectMapping, Spec
from engine.mapping.draft import sight_on
from engine.mapping.evaluate import Evaluation, Source, evaluate
from engine.report.counts import to_know
from engine.report.words import row_counts
from engine.session import Run
from engine.store.records import count, stream
from engine.values import as_file, as_link, is_empty, word
from workbench.diff.wording import in_words, otherwise, when
from workbench.manual.graph import Node
from workbench.meaning import digest_of, parts

LOOKED_AT = 60  # records of an object looked at for an example of each field
LONG = 120  # characters of an example
_STAMP = re.compile(r"0000-00-00X")  # a masked moment is still known as one


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One destination field."""

    target: str
    sources: tuple[str, ...]
    steps: tuple[str, ...]
    # source and destination value; "" where there is none
    example: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A value map, or another small table."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One object."""

    name: str
    label: str
    sources: tuple[str, ...]
    becomes: str
    remarks: tuple[str, ...]
    rows: tuple[FieldRow, ...]
    maps: tuple[Table, ...]
    # source fields that stay behind, with the reason
    left: tuple[tuple[str, str], ...]
    read: int  # rows of its collections


@dataclass(frozen=True, slots=True)
class Manual:
    """Everything the document says."""

    title: str
    source: str
    destination: str
    digest: str
    chapters: tuple[Chapter, ...]
    nodes: tuple[Node, ...]
    edges: Mapping[str, frozenset[str]]
    people: tuple[str, ...]
    customs: Table
    pipelines: Table
    left: tuple[tuple[str, str], ...]
    masked: bool
    examples: bool = field(default=False)
    # platform, text, counts: what the APIs do not hold, what to check, what the source shows of it
    to_know: tuple[tuple[str, str, str], ...] = ()


def manual(migration: Migration, run: Run | None, masked: bool) -> Manual:
    """Describe a migration from its spec and, where records are staged, with examples from them."""
    spec = migration.spec
    objects = [
        item
        for item in spec.active()
        if not item.name.startswith(("$", "pipelines."))
    ]
    fixed = frozenset(_literals(migration.document.data))
    chapters = tuple(
        _chapter(item, migration, run, fixed, masked) for item in objects
    )
    return Manual(
        title=f"{migration.source.title} to {migration.destination.title}",
        source=migration.source.title,
        destination=migration.destination.title,
        digest=digest_of(parts(migration)),
        chapters=chapters,
        nodes=tuple(
            Node(item.name, item.label, item.resource) for item in objects
        ),
        edges=_edges(objects),
        people=_people(spec, migration.destination.title),
        customs=_customs(spec),
        pipelines=_pipelines(migration.document.data.get("pipelines", {})),
        left=tuple(spec.left_behind.items()),
        to_know=_to_know(migration, run),
        masked=masked,
        examples=run is not None,
    )


def _to_know(
    migration: Migration, run: Run | None
) -> tuple[tuple[str, str, str], ...]:
    """What the connectors say, with the counts of what is staged."""
    if run is None:
        return tuple(
            (side.title, item.text, "")
            for side in (migration.source, migration.destination)
            for item in side.to_know
        )
    return tuple(
        (item.platform, item.text, row_counts(item.rows))
        for item in to_know(run)
    )


def _chapter(
    item: ObjectMapping,
    migration: Migration,
    run: Run | None,
    fixed: frozenset[str],
    masked: bool,
) -> Chapter:
    spec = migration.spec
    examples = _examples(item, run, fixed, masked) if run else {}
    rows, maps = [], []
    for target, entry in item.fields.items():
        said = in_words(entry.expr, spec)
        title = _target(item, target, spec)
        rows.append(
            FieldRow(
                title,
                tuple(said.sources),
                tuple(said.steps),
                examples.get(target, ("", "")),
            )
        )
        for rules in said.maps:
            lines = tuple(
                (value, word(made)) for value, made in rules.entries.items()
            )
            maps.append(
                Table(
                    title,
                    ("In the source", "Becomes"),
                    (*lines, ("anything else", otherwise(rules))),
                )
            )
    return Chapter(
        item.name,
        item.label,
        item.sources,
        item.resource,
        tuple(_remarks(item, spec)),
        tuple(rows),
        tuple(maps),
        tuple(item.ignore.items()),
        _read(item, run),
    )


def _target(item: ObjectMapping, target: str, spec: Spec) -> str:
    custom = spec.custom_fields.get(
        (item.resource, target.removeprefix("custom."))
    )
    return (
        f"{custom.label} (custom field)"
        if custom and target.startswith("custom.")
        else target
    )


def _remarks(item: ObjectMapping, spec: Spec) -> Iterator[str]:
    if item.when:
        yield f"Only records for which this holds: {when(item.when, spec)}."
    marked = dict.fromkeys(
        mark for marks in item.marks.values() for mark in marks
    )
    if marked:
        yield f"Rows that are marked as {' or '.join(marked)} are left out."
    if item.each:
        rest = f", if {when(item.each.where, spec)}" if item.each.where else ""
        yield (
            f"One for each element of {item.each.path.text}{rest}; it is called"
            f" {item.each.name} below."
        )
    for name, related in item.related.items():
        yield (
            f"{name} is the row of {' or '.join(related.sources)} that {related.by.text} names."
        )
    for name, children in item.children.items():
        yield (
            f"{name} are the rows of {children.source} whose {children.on} names the record."
        )
    if item.match:
        but = f" but for {' and '.join(item.ignoring)}" if item.ignoring else ""
        yield (
            f"A record of the destination that agrees in {', '.join(item.match)}{but}"
            " is adopted instead of creating a new one."
        )
    if item.on_delete == "delete":
        yield "What is deleted in the source later is deleted in the destination too."


def _read(item: ObjectMapping, run: Run | None) -> int:
    if run is None:
        return 0
    with run.store.begin() as connection:
        return sum(count(connection, name) for name in item.sources)


def _edges(objects: Iterable[ObjectMapping]) -> dict[str, frozenset[str]]:
    names = {item.name for item in objects}
    return {
        item.name: frozenset(
            n
            for found in lookups(item)
            for n in found.objects
            if n in names and n != item.name
        )
        for item in objects
    }


def _people(spec: Spec, title: str) -> tuple[str, ...]:
    if spec.users is None:
        return ()
    email = spec.users.source_email
    return (
        f"Every row of {spec.users.source} is matched with the active user of {title} who has the"
        f" same e-mail address ({email}).",
        f"Where there is none, the records belong to {spec.users.fallback}.",
    )


def _customs(spec: Spec) -> Table:
    rows = []
    for (resource, _), item in spec.custom_fields.items():
        options = ", ".join(item.options) or (
            f"the {item.options_from[1]} of {item.options_from[0]}"
            if item.options_from[0]
            else ""
        )
        rows.append(
            (
                resource,
                item.label,
                item.type.replace("_", " "),
                "carries the key of the source" if item.key else options,
            )
        )
    return Table(
        "Custom fields", ("Of", "Name", "Type", "Options"), tuple(rows)
    )


def _pipelines(data: Mapping[str, Any]) -> Table:
    rows = []
    for item in data.values():
        stages = item["stages"]
        listed = (
            ", ".join(map(str, stages))
            if isinstance(stages, list)
            else f"the {stages['label']} of {stages['from']}"
        )
        if isinstance(stages, dict) and "where" in stages:
            listed += " where " + " and ".join(
                f"{name} is {value}" for name, value in stages["where"].items()
            )
        rows.append((str(item["name"]), listed))
    return Table("Pipelines", ("Pipeline", "Stages, in order"), tuple(rows))


# -- examples


def _examples(
    item: ObjectMapping, run: Run, fixed: frozenset[str], masked: bool
) -> dict[str, tuple[str, str]]:
    """For each field the first record that fills it, of those looked at."""
    found: dict[str, tuple[str, str]] = {}
    for projection in islice(_projections(item, run), LOOKED_AT):
        for trace in projection.traces:
            if trace.target not in found and not is_empty(trace.value):
                link = as_link(trace.value) is not None
                before = (
                    ""
                    if link
                    else "; ".join(
                        _text(value, fixed, masked)
                        for _, value in trace.sources
                    )
                )
                found[trace.target] = (
                    before,
                    _text(trace.value, fixed, masked),
                )
    return found


def _projections(item: ObjectMapping, run: Run) -> Iterator[Evaluation]:
    for name in item.sources:
        for batch in islice(stream(run.store, name, batch=LOOKED_AT), 1):
            with run.store.begin() as connection:
                sight = sight_on(run, connection)
                for record in batch:
                    yield from evaluate(
                        item,
                        Source(record.collection, record.key, record.body),
                        sight,
                    )


def _text(value: Any, fixed: frozenset[str], masked: bool) -> str:
    """A value as an example shows it; texts of records as their shape only, unless they may be
    shown.
    """
    if link := as_link(value):
        return "the user" if link[0] == "users" else f"the record of {link[0]}"
    if file := as_file(value):
        return f"file {_text(file['name'], fixed, masked)}"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name}: {_text(item, fixed, masked)}"
            for name, item in value.items()
        )
    if isinstance(value, list):
        return "; ".join(_text(item, fixed, masked) for item in value[:3])
    text = " ".join(word(value).split())
    long_number = isinstance(value, int) and len(text) > 6
    telling = isinstance(value, str) or (
        long_number and not isinstance(value, bool)
    )
    if masked and telling and text not in fixed:
        text = mask(text)
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def mask(text: str) -> str:
    """The shape of a text: capitals as X, letters as x, digits as 0; tags of HTML are dropped."""
    plain = re.sub(r"<[^>]*>", " ", text)
    return _STAMP.sub("0000-00-00T", "".join(map(_masked, plain)).strip())


def _masked(letter: str) -> str:
    if letter.isdigit():
        return "0"
    if letter.isupper():
        return "X"
    if letter.isalpha():
        return "x"
    return letter if letter.isascii() else "·"


def _literals(data: Any) -> Iterator[str]:
    """Texts that stand in the spec itself, which an example may show: options, value maps, fixed
    values.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield str(key)
            yield from _literals(value)
    elif isinstance(data, list):
        for value in data:
            yield from _literals(value)
    elif isinstance(data, str):
        yield data
