"""What one object's proposal is made from, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.connector.model import Connector, FieldType
from engine.language.model import Each
from workbench.doubts import folded, names_of_its_own
from workbench.propose.profile import (
    Column,
    Rows,
    business,
    columns,
    elements,
    stem,
)
from workbench.propose.words import has, meaning, slug

HIGH = 0.8  # from here on a proposal should be right nine times in ten
LOW = 0.5  # below this a proposal is written commented out


@dataclass(frozen=True, slots=True)
class Proposal:
    """One destination field of one object: where it could come from, how sure that is, and why."""

    target: str
    written: Any  # the expression, as a spec writes it
    confidence: float
    reasons: tuple[str, ...]
    paths: tuple[str, ...] = ()
    related: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    # rows that a built-in choice takes its options from
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outline:
    """One object of a spec before its fields are known."""

    name: str
    sources: tuple[str, ...]
    resource: str
    each: Each | None = None
    # names a person gave to related rows -> the link to them
    related: Mapping[str, str] = field(default_factory=dict)
    # source paths that a person has mapped or ignored
    used: frozenset[str] = frozenset()
    begun: bool = False  # whether a person has mapped fields of it


@dataclass(frozen=True, slots=True)
class Accounts:
    """Both connectors, and the records of the source that were read."""

    source: Connector
    destination: Connector
    rows: Rows


@dataclass(frozen=True, slots=True)
class Scene:
    """One object with everything its fields are inferred from."""

    outline: Outline
    source: Connector
    destination: Connector
    rows: Rows
    above: tuple[Outline, ...]
    people: str  # the collection of people who own records; "" = none
    columns: tuple[Column, ...]
    # fields the destination is known to have: name people see -> type; "" where nobody made it
    named: Mapping[str, str] = field(default_factory=dict)
    noted: str = ""  # an object that makes texts for people of the same records

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """What the destination resource takes."""
        return self.destination.resources[self.outline.resource].fields

    @property
    def occupied(self) -> frozenset[str]:
        """What people see as the names of fields that the destination has of itself, folded."""
        resource = self.destination.resources[self.outline.resource]
        staged = (name for name, kind in self.named.items() if not kind)
        return names_of_its_own(resource) | {folded(name) for name in staged}

    @property
    def key(self) -> str:
        """The path of the record's own key, whatever list inside it is walked."""
        return "$record" if self.outline.each else "$key"

    @property
    def currency(self) -> Column | None:
        """The field that names the currency of the record's amounts."""
        return next(
            (
                c
                for c in self.columns
                if c.means("currency") and c.text and not c.means("exchange")
            ),
            None,
        )

    def linking(self, collections: Sequence[str]) -> list[Column]:
        """Fields that name a row of any of the collections."""
        return [
            column
            for column in self.columns
            if set(column.links) & set(collections)
        ]

    def around(
        self, column: Column
    ) -> tuple[str, dict[str, dict[str, Any]], tuple[Column, ...]]:
        """The row a link leads to: its name in paths, its declaration, its fields."""
        alias = next(
            (
                name
                for name, by in self.outline.related.items()
                if by == column.path
            ),
            "",
        )
        if not alias:
            alias = slug(stem(column.path))
            taken = {
                *self.outline.related,
                *(underscored(item.path) for item in self.columns),
            }
            alias += "_row" if alias in taken else ""
        sources = list(column.links)
        declared = {
            alias: {
                "from": sources[0] if len(sources) == 1 else sources,
                "by": column.path,
            }
        }
        found = columns(self.source, column.links, self.rows)
        return (
            alias,
            declared,
            business(self.source.resources.get(sources[0]), sources, found),
        )


def underscored(path: str) -> str:
    """A path as a template or the name of a related row may write it."""
    return path.replace("-", "_")


def scene(
    outline: Outline,
    accounts: Accounts,
    *,
    outlines: Sequence[Outline],
    people: str,
    named: Mapping[str, str],
) -> Scene:
    """Look at the records of one of the objects."""
    source, rows = accounts.source, accounts.rows
    above = outlines[: outlines.index(outline)]
    noted = next(
        (
            item.name
            for item in outlines
            if set(item.sources) & set(outline.sources)
            and _is_note(accounts.destination, item)
        ),
        "",
    )
    found = business(
        source.resources.get(outline.sources[0]),
        outline.sources,
        columns(source, outline.sources, rows),
    )
    if outline.each:
        inner = business(
            None,
            (),
            elements(source, outline.sources, outline.each.path.text, rows),
        )
        found = (
            *(
                _within(outline.each.name, column)
                for column in inner
                if column.path != outline.each.key
            ),
            *found,
        )
    return Scene(
        outline,
        source,
        accounts.destination,
        rows,
        tuple(above),
        people,
        found,
        named,
        noted,
    )


def _is_note(destination: Connector, outline: Outline) -> bool:
    return any(
        field_type.kind == "html" and field_type.required
        for field_type in destination.resources[
            outline.resource
        ].fields.values()
    )


def _within(name: str, column: Column) -> Column:
    return replace(column, path=f"{name}.{column.path}")


def people_of(source: Connector, rows: Rows) -> tuple[str, str]:
    """The collection of people who own records and the field of their e-mail address; "" where
    there is none.
    """
    if source.users:
        return source.users.resource, source.users.email
    for name in source.resources:
        if has(meaning(name)[-1:], "user"):
            for column in columns(source, (name,), rows):
                if column.means("email"):
                    return name, column.path
    return "", ""


def label_of(found: Sequence[Column]) -> Column | None:
    """The field that names a row to people."""
    for concepts in (
        ("name",),
        ("full_name",),
        ("legal_name",),
        ("title",),
        ("reference",),
        ("description",),
    ):
        for column in found:
            if column.text and any(
                (column.meaning and item <= {*concepts, "label"})
                or item & set(concepts)
                for item in column.meaning[:1]
            ):
                return column
    return None


def part_of(scene: Scene, column: Column) -> str:
    """The field whose every value ends with this one's, such as a number with its series before
    it.
    """
    if len(column.values) < 2 or column.number or not column.text:
        return ""
    for other in scene.columns:
        if (
            other is not column
            and other.text
            and other.filled >= column.filled
            and _ends(column, other)
        ):
            return other.path
    return ""


def _tells_apart(column: Column) -> bool:
    return (
        column.fill > 0.9
        and column.filled > 1
        and len(column.values) >= 0.95 * column.filled
    )


def _ends(short: Column, long: Column) -> bool:
    """Whether every value of one stands at the end of some longer value of the other."""
    return all(
        any(text != part and text.endswith(part) for text in long.values)
        for part in list(short.values)[:20]
    )


def number_of(scene: Scene) -> Column | None:
    """The reference or number that tells the records apart and that people know them by."""
    found = [
        c
        for c in scene.columns
        if c.text
        and not c.number
        and c.means("reference", "code")
        and _tells_apart(c)
    ]
    return next(
        (column for column in found if not part_of(scene, column)), None
    )
