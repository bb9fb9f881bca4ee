"""A spec, compiled and frozen: what one migration means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from engine.config.document import Keys, Section
from engine.values import Names, Row, Segments
from transforms.found import SHIPPED, Steps

Step = Callable[[Any], Any]


class Path(msgspec.Struct, frozen=True):
    """A value of the source record: `main-address.city-town`, `assets[*].serial-number`."""

    text: str
    segments: Segments


class Const(msgspec.Struct, frozen=True):
    """A value written in the spec."""

    value: Any


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja text; `html` says whether record text is escaped.

    `uses` are the source paths it reads, `heads` the names they begin with in the template, `known`
    the names that are fields of some record: where a record lacks one, it is empty.
    """

    source: str
    name: str
    html: bool
    uses: Names = ()
    heads: Names = ()
    known: frozenset[str] = field(
        default=frozenset(), repr=False
    )  # follows from the connector
    steps: Steps = field(default=SHIPPED, compare=False, repr=False)
    # the steps in it that are not shipped, with digests of their code
    code: tuple[tuple[str, str], ...] = ()


class Lookup(msgspec.Struct, frozen=True):
    """The destination row that another object's record became."""

    objects: Names
    by: Expr
    # field of the target's records that must equal `by`; "" = their key
    on: str = ""
    on_miss: str = "report"  # report, omit, skip, fail, fallback
    on_many: str = "first"  # first, report, fail
    fallback: str = ""  # key within the object, for on_miss fallback


class First(msgspec.Struct, frozen=True):
    """The first of several that is not empty."""

    options: tuple[Expr, ...]


class Parts(msgspec.Struct, frozen=True):
    """A named set of values handed to a step together, or written as an object."""

    values: Mapping[str, Expr]


class Items(msgspec.Struct, frozen=True):
    """A list of objects; an item without any value from the record is left out."""

    items: tuple[Parts, ...]


class Cases(msgspec.Struct, frozen=True):
    """The value of the first condition that holds."""

    cases: tuple[tuple[Condition, Expr], ...]
    otherwise: Expr


class Download(msgspec.Struct, frozen=True):
    """A file to fetch from a link in the record, under a name."""

    url: Expr
    name: Expr


@dataclass(frozen=True, slots=True)
class NamedStep:
    """A transform with its arguments bound."""

    name: str
    args: Section
    run: Step = field(repr=False)  # told by its name and its arguments ...
    code: str = ""  # ... and, where it is not shipped, by a digest of its code


class ValueMap(msgspec.Struct, frozen=True):
    """Exact values and what they become; `otherwise` is for the rest (None = leave out)."""

    entries: Section
    otherwise: Any
    report: bool = False  # `else: report`: the value is left out and listed
    fail: bool = False  # `else: fail`: the record is not written


class Pipe(msgspec.Struct, frozen=True):
    """Head, then steps, then the value map, then the default; `when` decides whether any of it
    applies.
    """

    head: Expr
    when: Condition | None = None
    steps: tuple[NamedStep, ...] = ()
    mapping: ValueMap | None = None
    default: Any = None


Expr = (
    Path
    | Const
    | Template
    | Lookup
    | First
    | Parts
    | Items
    | Cases
    | Download
    | Pipe
)


class Test(msgspec.Struct, frozen=True):
    """One comparison of a condition."""

    path: Path
    op: str
    value: Any


class Condition(msgspec.Struct, frozen=True):
    """Any of several lists of tests must hold; a list holds if all of its tests do."""

    any_of: tuple[tuple[Test, ...], ...]


def custom_name(target: str) -> str:
    """The name that a spec gives the custom field that is written, or ""."""
    return (
        target.removeprefix("custom.") if target.startswith("custom.") else ""
    )


class Field(msgspec.Struct, frozen=True):
    """One destination field and its whole story."""

    target: str
    expr: Expr
    keys: Keys
    # keep the people's edit, or overwrite
    on_conflict: Literal["keep", "overwrite"] = "keep"

    @property
    def custom(self) -> str:
        """The custom field's name in the spec, or ""."""
        return custom_name(self.target)


class Related(msgspec.Struct, frozen=True):
    """One row reached through a link in the record; where `by` goes over a list, one row for
    each link.
    """

    sources: Names
    by: Path

    @property
    def many(self) -> bool:
        """Whether it is a list of rows."""
        return "*" in self.by.segments


class Children(msgspec.Struct, frozen=True):
    """The rows of another collection that point at this record, or (`by`) at what this record
    points at.
    """

    source: str
    on: str
    by: Path | None = None
    where: Condition | None = None


class Each(msgspec.Struct, frozen=True):
    """One draft for each element of a list inside the record."""

    name: str
    path: Path
    key: str
    where: Condition | None = None


class ObjectMapping(msgspec.Struct, frozen=True):
    """One or more source collections -> one destination resource."""

    name: str
    sources: Names
    resource: str
    fields: Mapping[str, Field]
    when: Condition | None = None
    # collection -> the marks whose rows are left out, such as inactive, with their fields
    marks: Mapping[str, Mapping[str, str]] = {}
    related: Mapping[str, Related] = {}
    children: Mapping[str, Children] = {}
    each: Each | None = None
    match: Names = ()  # adopt a destination row that agrees in these fields
    # what does not count when they are compared: case, accents
    ignoring: Names = ()
    enabled: bool = True
    # source field -> why it stays behind
    ignore: Mapping[str, str] = {}
    rows: tuple[Row, ...] = ()  # records written in the spec itself
    label: str = ""
    keys: Keys = ()
    # source field the records are taken in the order of; "" = as read
    order: str = ""
    # what a deletion in the source means: report, or delete
    on_delete: str = "report"
    was: str = ""  # the name that earlier runs knew it by
    # there is no draft where all of these are empty
    unless_empty: Names = ()

    @property
    def scaffold(self) -> bool:
        """Whether its rows are not the customer's: rows of the spec, pipelines and stages."""
        return bool(self.rows) or self.name.startswith("pipelines.")

    @property
    def beside(self) -> frozenset[str]:
        """Names that stand beside the record's own fields: related rows, children, the element
        of a list.
        """
        return frozenset(
            {
                *self.related,
                *self.children,
                *([self.each.name] if self.each else []),
            }
        )

    @property
    def key_field(self) -> str:
        """The target that carries our source key, or ""."""
        return next(
            (
                f.target
                for f in self.fields.values()
                if isinstance(f.expr, Path) and f.expr.text == "$key"
            ),
            "",
        )


class CustomField(msgspec.Struct, frozen=True):
    """A custom field that the migration creates in the destination, or finds there."""

    resource: str
    name: str
    label: str
    type: str
    options: Names = ()
    options_from: tuple[str, str] = ("", "")  # collection and its label field
    key: bool = False
    was: str = ""  # the name that earlier runs knew it by
    # an option and the label that earlier runs knew it by
    options_were: tuple[tuple[str, str], ...] = ()

    @property
    def definition(self) -> str:
        """What the store knows its definition by."""
        return f"{self.resource}.custom.{self.name}"


class NativeOptions(msgspec.Struct, frozen=True):
    """Options that a built-in enum field of the destination must have."""

    resource: str
    field: str
    options: Names = ()
    options_from: tuple[str, str] = ("", "")
    options_were: tuple[tuple[str, str], ...] = ()  # as in a custom field

    @property
    def definition(self) -> str:
        """What the store knows its definition by."""
        return f"{self.resource}.{self.field}"


class Export(msgspec.Struct, frozen=True):
    """A table that people export: columns of one object's records."""

    name: str
    object: str
    columns: Mapping[str, Expr]


class UserMatch(msgspec.Struct, frozen=True):
    """How people of the source are found in the destination."""

    source: str
    source_email: str
    fallback: str
    # whose e-mail no user has, or several, is found by name
    by_name: bool = False


class Side(msgspec.Struct, frozen=True):
    """One account of the pair."""

    connector: str
    plan: str
    seats: int = 1
    reserve: float = 0.0


class SamplePolicy(msgspec.Struct, frozen=True):
    """How large the sample is, and how many list pages it may read of each collection."""

    records: int = 200
    pages: int = 4


class Spec(msgspec.Struct, frozen=True):
    """One migration."""

    name: str
    source: Side
    destination: Side
    settings: Section
    users: UserMatch | None
    custom_fields: Mapping[tuple[str, str], CustomField]
    native_options: tuple[NativeOptions, ...]
    objects: Mapping[str, ObjectMapping]
    left_behind: Mapping[str, str]
    # the marks of rows that are migrated all the same
    take: frozenset[str] = frozenset()
    sample: SamplePolicy = SamplePolicy()
    guards: Mapping[str, float] = {}
    exports: tuple[Export, ...] = ()
    digest: str = ""

    def label(self, resource: str, target: str) -> str:
        """A destination field as people know it."""
        field = self.custom_fields.get((resource, custom_name(target)))
        return field.label if field else target

    def active(self) -> tuple[ObjectMapping, ...]:
        """The objects that are switched on, in order."""
        return tuple(item for item in self.objects.values() if item.enabled)
