"""What the staged records say about each field: type, shape of the values, how often filled, how
many different, links.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.connector.model import Connector, FieldType, Resource
from engine.connector.references import any_key
from engine.values import is_empty, word
from workbench.propose.words import Meaning, has, likeness, meaning, without

# collection -> some of its records
Rows = Mapping[str, Sequence[Mapping[str, Any]]]

_LINK = re.compile(
    r"[-_](?i:id|path|ref|uuid|key|link|url)$|(?<=[a-z0-9])(ID|Id|Path|Ref|Uuid|Key|Link|Url)$"
)
_SELF = ("path", "self", "link", "href", "uri", "self_link")
FEW = 15  # a field with no more different values than this may be a choice
# What most values of a field look like; "" where none were seen.
Shape = Literal[
    "",
    "email",
    "url",
    "midnight",
    "stamp",
    "number",
    "phone",
    "html",
    "long",
    "text",
    "boolean",
    "list",
]
_SHAPES: tuple[tuple[Shape, re.Pattern[str]], ...] = (
    ("email", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")),
    (
        "url",
        re.compile(
            r"https?://\S+|www\.\S+|[a-z0-9-]+(\.[a-z0-9-]+)+/\S*",
            re.IGNORECASE,
        ),
    ),
    (
        "midnight",
        re.compile(r"\d{4}-\d\d-\d\d([T ]00:00(:00)?(\.0+)?(Z|[+-]00:?00)?)?"),
    ),
    ("stamp", re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")),
    ("number", re.compile(r"[+-]?(0|[1-9]\d*)([.,]\d+)?")),
    (
        "phone",
        re.compile(
            r"\+?[\d\s().\-/]{7,24}(\s*(ext|x)\.?\s*\d+)?", re.IGNORECASE
        ),
    ),
    (
        "html",
        re.compile(
            r".*<(p|br|div|ul|ol|li|b|i|span|table)\b.*",
            re.IGNORECASE | re.DOTALL,
        ),
    ),
    ("long", re.compile(r".{120,}|.*\n.*", re.DOTALL)),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a source collection as its records show it."""

    path: str
    kind: str  # as the connector declares it, or as seen; "" = not known
    shape: Shape
    seen: int
    filled: int
    values: Mapping[str, int]  # value -> how often, of those looked at
    links: tuple[str, ...]  # collections the values name
    meaning: Meaning = field(default=())

    @property
    def fill(self) -> float:
        """Share of records that hold a value; 0.5 where no record was seen."""
        return self.filled / self.seen if self.seen else 0.5

    @property
    def described(self) -> str:
        """How many records hold a value, in words."""
        if not self.seen:
            return "no records seen"
        return f"filled in {self.fill:.0%} of {self.seen}"

    @property
    def unique(self) -> bool:
        """Whether no two records hold the same value."""
        return self.filled > 1 and len(self.values) == self.filled

    @property
    def choice(self) -> bool:
        """Whether the values look like those of an enumeration."""
        few = 1 < len(self.values) <= FEW and self.filled >= 2.5 * len(
            self.values
        )
        return (
            few
            and self.kind != "boolean"
            and self.shape in ("text", "number")
            and not self.links
        )

    @property
    def boolean(self) -> bool:
        """Whether it holds true or false."""
        return self.kind == "boolean" or self.shape == "boolean"

    @property
    def moment(self) -> bool:
        """Whether it holds a date or a time."""
        return self.kind in ("date", "datetime", "wall_time") or self.shape in (
            "midnight",
            "stamp",
        )

    @property
    def number(self) -> bool:
        """Whether it holds a number, perhaps as text."""
        return self.kind in ("number", "integer") or (
            self.shape == "number" and not self.links
        )

    @property
    def text(self) -> bool:
        """Whether it holds text for people."""
        return not (
            self.boolean
            or self.moment
            or self.links
            or self.kind in ("number", "integer", "list", "object")
        )

    def means(self, *concepts: str) -> bool:
        """Whether its name speaks of any of the concepts."""
        return has(self.meaning, *concepts)


def columns(
    connector: Connector, sources: Sequence[str], rows: Rows
) -> tuple[Column, ...]:
    """Every field of the collections that a mapping may name, objects opened up."""
    own = meaning(sources[0]) if sources else ()
    declared: dict[str, FieldType] = {}
    for name in sources:
        resource = connector.resources.get(name)
        declared |= dict(_opened(resource.fields if resource else {}))
    bodies = [body for name in sources for body in rows.get(name, ())]
    return _profiled(connector, declared, bodies, own)


def elements(
    connector: Connector, sources: Sequence[str], path: str, rows: Rows
) -> tuple[Column, ...]:
    """The fields of the elements of a list inside the records."""
    declared: dict[str, FieldType] = {}
    for name in sources:
        resource = connector.resources.get(name)
        found = resource.fields.get(path) if resource else None
        declared |= dict(_opened(found.shape or {} if found else {}))
    bodies = [
        item
        for name in sources
        for body in rows.get(name, ())
        for item in body.get(path) or ()
        if isinstance(item, Mapping)
    ]
    return _profiled(connector, declared, bodies, meaning(path))


def _opened(
    fields: Mapping[str, FieldType], prefix: str = ""
) -> Iterator[tuple[str, FieldType]]:
    for name, field_type in fields.items():
        if field_type.kind == "object" and field_type.shape:
            yield from _opened(field_type.shape, f"{prefix}{name}.")
        else:
            yield prefix + name, field_type


def _nameable(path: str, declared: Mapping[str, FieldType]) -> bool:
    """Whether a mapping may name a path: it, or an object around it whose inside is not
    described, is declared.
    """
    parts = path.split(".")
    return not declared or any(
        ".".join(parts[:count]) in declared
        for count in range(1, len(parts) + 1)
    )


def _profiled(
    connector: Connector,
    declared: Mapping[str, FieldType],
    bodies: Sequence[Mapping[str, Any]],
    own: Meaning,
) -> tuple[Column, ...]:
    held: dict[str, list[Any]] = {path: [] for path in declared}
    for body in bodies:
        for path, value in _leaves(body):
            if not _nameable(path, declared):
                continue
            held.setdefault(path, [])
            if not is_empty(value):
                held[path].append(value)
    opened = {path.rpartition(".")[0] for path in held if "." in path}
    return tuple(
        _column(
            connector,
            path,
            declared.get(path),
            values,
            seen=len(bodies),
            own=own,
        )
        for path, values in held.items()
        if path not in opened
    )


def _leaves(
    body: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in body.items():
        if any(mark in name for mark in ".[]{}$ ") or not name:
            continue  # no path can name it
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _column(
    connector: Connector,
    path: str,
    declared: FieldType | None,
    values: Sequence[Any],
    *,
    seen: int,
    own: Meaning,
) -> Column:
    plain = [value for value in values if not isinstance(value, list)]
    counted = Counter(word(value) for value in plain)
    kind = declared.kind if declared else ""
    links = _links(connector, declared, plain) or _named_link(
        connector, path, kind
    )
    name = path.rpartition(".")[2] if not path.startswith("$") else path
    return Column(
        path,
        kind,
        _shape(kind, values, counted),
        seen,
        len(values),
        counted,
        links,
        without(meaning(name), own),
    )


def _shape(
    kind: str, values: Sequence[Any], counted: Mapping[str, int]
) -> Shape:
    """The shape that at least four in five of the values have."""
    if any(isinstance(value, list) for value in values) or kind == "list":
        return "list"
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    if values and all(isinstance(value, int | float) for value in values):
        return "number"
    for shape, pattern in _SHAPES:
        share = 0.2 if shape in ("html", "long") else 0.8
        if counted and sum(
            pattern.fullmatch(value.strip()) is not None for value in counted
        ) >= share * len(counted):
            return shape
    return "text" if counted else ""


def _links(
    connector: Connector, declared: FieldType | None, values: Sequence[Any]
) -> tuple[str, ...]:
    """The collections a field names: as declared, or as the values say by the connector's
    pattern.
    """
    if declared and declared.to:
        return declared.to
    found = {
        key.partition("/")[0]
        for value in values
        if (key := any_key(value, connector.reference.pattern))
    }
    return (
        tuple(sorted(found & set(connector.resources)))
        if len(found) * 2 <= max(len(values), 2)
        else ()
    )


def _evidence(column: Column) -> tuple[bool, bool]:
    """How sure it is that a field is a link: declared as one, or its values say where to, or
    only its name does.
    """
    return column.kind == "reference", column.shape != "number"


def _named_link(connector: Connector, path: str, kind: str) -> tuple[str, ...]:
    """The collection an id is of, inferred from its name alone: `payment-option-id` is of
    paymentOptions.
    """
    if (
        kind not in ("", "integer", "text", "id")
        or stem(path) == path
        or not path.lower().endswith("id")
    ):
        return ()
    wanted = meaning(stem(path).rpartition(".")[2])
    return tuple(
        name
        for name in connector.resources
        if likeness(meaning(name), wanted) == 1
    )[:1]


def stem(path: str) -> str:
    """A link's name without what says that it is one: `account-path`, `account_id` and
    `accountId` are account.
    """
    head, dot, name = path.rpartition(".")
    parts = _LINK.sub("", name)
    return f"{head}{dot}{parts or name}"


def business(
    resource: Resource | None, sources: Sequence[str], found: Sequence[Column]
) -> tuple[Column, ...]:
    """The fields that say something of the world: no ids, deletion marks, self links, or twins
    of a link.
    """
    fixed = {
        *(resource.id.split("+") if resource else ()),
        resource.deleted if resource else "",
        "",
    }
    best: dict[str, Column] = {}
    for column in found:
        if column.links:
            best[stem(column.path)] = max(
                best.get(stem(column.path), column), column, key=_evidence
            )

    def says_something(column: Column) -> bool:
        itself = not column.filled or (
            column.links and set(column.links) <= set(sources)
        )
        if column.path in fixed or (itself and column.path in _SELF):
            return False
        twin = best.get(stem(column.path), column)
        return twin is column or stem(column.path) == column.path

    return tuple(filter(says_something, found))
