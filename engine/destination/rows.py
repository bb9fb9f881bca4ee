"""One codec of destination rows: where each field stands, and what of it counts as its value.

Custom fields stand under codes that every account has of its own, in a container or beside the
other fields; a reference may be answered as an id, as text, as an object with the id in it, or
as a list of one. Whoever reads, writes or compares a row asks the codec.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.connector.model import Connector, FieldType, Resource
from engine.connector.typed import says_nothing
from engine.destination.definitions import DELETED
from engine.destination.equality import alike, are_same, equivalent, is_same
from engine.session import Run
from engine.store.links import DEFINITIONS, links_of
from engine.values import as_list, digest, is_empty

Row = Mapping[str, Any]
Reference = tuple[str, str, str]  # field or code, resource, id

# how a fingerprint is made; those of stores of version 1 have no mark
_FORM, _SECOND = "3:", "2:"
# where a reference holds its id
_ID_NAMES = ("id", "value", "_id", "uuid", "key", "data")
# ... or the address that ends with it
_ADDRESSES = ("href", "url", "self", "link", "uri")


class Definition(msgspec.Struct, frozen=True):
    """A custom or built-in field as this account has it: its code and its options' ids."""

    code: str
    options: Mapping[str, Any] = {}


# (resource, target) -> definition
Definitions = Mapping[tuple[str, str], Definition]


def load_definitions(
    connection: sa.Connection, deleted: bool = False
) -> dict[tuple[str, str], Definition]:
    """The account's field codes and option ids that the store knows; those that people have
    deleted only if these are wanted, too.
    """
    found = {}
    for key, link in links_of(connection, DEFINITIONS).items():
        if deleted or not link.extra.get(DELETED):
            resource, _, target = key.partition(".")
            options = link.extra.get("options", {})
            found[resource, target] = Definition(link.dest_id, options)
    return found


@dataclass(frozen=True, slots=True)
class RowCodec:
    """How the rows of one resource are read, written and compared in one account."""

    resource: Resource
    definitions: Definitions
    # resource -> the field its rows have their id in
    id_names: Mapping[str, str]
    # how the platform says that a field is empty
    empty_values: Sequence[Any] = ()
    _bare: dict[str, bool] = field(
        default_factory=dict, compare=False, repr=False
    )
    _theirs: dict[str, bool] = field(
        default_factory=dict, compare=False, repr=False
    )
    _takes: dict[tuple[str, type], bool] = field(
        default_factory=dict, compare=False, repr=False
    )

    def kind(self, target: str) -> FieldType | None:
        """The declared type of a field; None for custom fields and those not declared."""
        return self.resource.fields.get(target)

    def code(self, target: str) -> str | None:
        """The account's name of a custom field, or None; of another field its own name."""
        if not self.is_custom(target):
            return target
        definition = self.definitions.get((self.resource.name, target))
        return definition.code if definition else None

    def named(self, text: str) -> str:
        """A text of the platform, with the spec's name beside each code of a custom field."""
        for target, code in self._customs():
            # a number, or a word that both sides use, would be found in any text
            told = code in ("", target.removeprefix("custom."))
            if not told and not code.isdigit():
                found = rf"(?<!\w){re.escape(code)}(?!\w)"
                text = re.sub(found, rf"\g<0> ({target})", text)
        return text

    def _customs(self) -> Iterator[tuple[str, str]]:
        """The resource's custom fields as targets, and what the account calls them."""
        for (resource, target), item in self.definitions.items():
            if resource == self.resource.name and self.is_custom(target):
                yield target, item.code

    def is_custom(self, target: str) -> bool:
        """Whether a target is a custom field of this resource."""
        return target.startswith("custom.") and self.resource.custom is not None

    def get(self, row: Row, target: str) -> Any:
        """What a row holds in a field; references as ids, None where there is nothing."""
        if self._bare.get(target) or self._is_bare(target):
            return row.get(target)
        if not self.is_custom(target):
            return self._plain(row.get(target), self.kind(target))

        code = self.code(target)
        return self.custom_values(row).get(code) if code else None

    def _is_bare(self, target: str) -> bool:
        """Whether a field holds its value as it is: one that is not custom, without a reference
        or a shape.
        """
        bare = self._bare.get(target)
        if bare is None:
            field_type = self.kind(target)
            bare = field_type is None or not (
                self.empty_values
                or field_type.kind == "reference"
                or field_type.shape
            )
            bare = self._bare[target] = bare and not self.is_custom(target)
        return bare

    def plain(self, target: str, value: Any) -> Any:
        """A value of a field with every reference in it as an id."""
        return self._plain(value, self.kind(target))

    def holds(self, row: Row, sent: Row, targets: Collection[str]) -> bool:
        """Whether a row holds in these fields what was sent, to the last letter."""
        return are_same(self._values(sent, targets), self._values(row, targets))

    def _values(self, row: Row, targets: Collection[str]) -> list[Any]:
        if all(map(self._bare.get, targets)):  # as nearly always
            return list(map(row.get, targets))
        return [self.get(row, name) for name in targets]

    def takes(self, target: str, kind: type) -> bool:
        """Whether a field takes any scalar of a Python type as it is."""
        known = self._takes.get((target, kind))
        if known is None:
            declared = self.kind(target) or FieldType("")
            as_text = declared.kind in ("text", "html") and kind is not str
            known = self._is_bare(target) and not (declared.options or as_text)
            self._takes[target, kind] = known
        return known

    def put(self, body: dict[str, Any], target: str, value: Any) -> None:
        """Put a value where the platform wants it. Raises ValueError for a field not made yet."""
        if self._bare.get(target) or self._is_bare(target):
            body[target] = value
            return
        code = self.code(target)
        if code is None:
            raise ValueError("the account does not have the custom field")

        holder = self._holder(body) if self.is_custom(target) else body
        holder[code] = value

    def _holder(self, body: dict[str, Any]) -> dict[str, Any]:
        """The object in a body that takes custom fields, made where it is not there."""
        for name in self._path():
            body = body.setdefault(name, {})
        return body

    def _path(self) -> list[str]:
        container = (
            self.resource.custom.container if self.resource.custom else ""
        )
        return container.split(".") if container else []

    def custom_values(self, row: Row) -> dict[str, Any]:
        """The custom fields a row shows, by code; of a flat row only those that are known."""
        if self.resource.custom is None:
            return {}

        held: Any = row
        for name in self._path():
            held = held.get(name) if isinstance(held, Mapping) else None
        if not isinstance(held, Mapping):
            return {}
        if self._path():
            return dict(held)
        return {code: held[code] for _, code in self._customs() if code in held}

    def shows(self, row: Row, target: str) -> bool:
        """Whether a row says anything about a field, be it that the field is empty."""
        if self._bare.get(target) or not self.is_custom(target):
            return target in row
        code = self.code(target)
        return bool(code) and code in self.custom_values(row)

    def _plain(self, value: Any, field_type: FieldType | None) -> Any:
        """A value with every reference in it as an id; None where the platform says "empty"."""
        if field_type is None:
            return value
        if self.empty_values and says_nothing(
            value, field_type, self.empty_values
        ):
            return None
        if field_type.kind == "reference":
            return self._id_in(value, field_type)
        if not field_type.shape:
            return value
        if isinstance(value, list):
            return [self._inner(item, field_type.shape) for item in value]
        return self._inner(value, field_type.shape)

    def _inner(self, value: Any, shape: Mapping[str, FieldType]) -> Any:
        if not isinstance(value, Mapping):
            return value
        found = {
            name: self._plain(item, shape.get(name))
            for name, item in value.items()
        }
        for name, kind in shape.items():
            if kind.also in value and name not in value:
                found[name] = self._plain(value[kind.also], kind)
        return found

    def _id_in(self, value: Any, field_type: FieldType) -> Any:
        """The id a reference is answered with: bare, in an object, or alone in a list."""
        if isinstance(value, list):
            ids = [self._id_in(item, field_type) for item in value]
            return ids[0] if len(ids) == 1 else ids or None
        if not isinstance(value, Mapping):
            return _bare_id(value, field_type)

        names = dict.fromkeys(
            [*(self.id_names.get(to, "id") for to in field_type.to), *_ID_NAMES]
        )
        for name in names:
            if not is_empty(value.get(name)):
                return self._id_in(value[name], field_type)
        return self._id_beside(value, field_type)

    def _id_beside(self, value: Row, field_type: FieldType) -> Any:
        """The id in an object that does not call it so: `company_id`, an address."""
        for name, item in value.items():
            if name.lower().endswith("id") or name in _ADDRESSES:
                return self._id_in(item, field_type)
        return value or None

    def equal(self, target: str, wanted: Any, live: Any) -> bool:
        """Whether a field holds the wanted value, as the platform may write it."""
        return is_same(wanted, live) or equivalent(
            wanted, live, self._compared_as(target, wanted)
        )

    def alike(self, target: str, wanted: Any, live: Any) -> bool:
        """Whether a field holds what the platform may have made of the wanted value."""
        return is_same(wanted, live) or alike(
            wanted, live, self._compared_as(target, wanted)
        )

    def _compared_as(self, target: str, wanted: Any) -> FieldType | None:
        """The type two values are compared as: a custom field may answer numbers as text."""
        field_type = self.kind(target)
        if field_type is not None or not self.is_custom(target):
            return field_type
        items = as_list(wanted)
        numbers = [item for item in items if isinstance(item, int | float)]
        if len(numbers) < len(items) or any(
            isinstance(one, bool) for one in items
        ):
            return None
        whole = all(isinstance(one, int) for one in numbers)
        return FieldType("enum" if whole else "number")

    def names_parent(self, name: str) -> bool:
        """Whether a field refers to another row."""
        field_type = self.kind(name)
        return field_type is not None and field_type.kind == "reference"

    def fingerprint(self, row: Row) -> str:
        """A digest of everything people can change in a row; shows later whether they did."""
        return _FORM + digest(self._held(row))

    def _held(self, row: Row) -> dict[str, Any]:
        held = {
            name: value
            if self._bare.get(name) or self._is_bare(name)
            else self._plain(value, self.kind(name))
            for name, value in row.items()
            if not is_empty(value) and self._is_theirs(name)
        }
        if self.resource.custom:
            values = self.custom_values(row)
            held["custom"] = {
                code: value
                for code, value in values.items()
                if not is_empty(value)
            }
        return held

    def _is_theirs(self, name: str) -> bool:
        if name not in self._theirs:
            self._theirs[name] = self.resource.is_theirs(name)
        return self._theirs[name]

    def is_unchanged(self, seen: str, row: Row) -> bool:
        """Whether a row still has the fingerprint that was taken of it."""
        if seen.startswith(_FORM):
            return seen == self.fingerprint(row)
        if seen.startswith(_SECOND):
            return seen == _SECOND + digest(
                self._without_namesakes()._held(row)
            )
        return seen == self._first_fingerprint(row)

    def _without_namesakes(self) -> RowCodec:
        """The codec without the custom fields that are named like built-in ones, as fingerprints
        were once made.
        """
        builtin = {f"custom.{name}" for name in self.resource.fields}
        kept = {
            place: item
            for place, item in self.definitions.items()
            if place[1] not in builtin
        }
        return replace(self, definitions=kept)

    def _first_fingerprint(self, row: Row) -> str:
        """As stores of version 1 made it: custom fields in a plain container only."""
        custom = self.resource.custom
        theirs = self.resource.is_theirs
        held = {
            name: item
            for name, item in row.items()
            if theirs(name) and not is_empty(item)
        }
        if custom:
            values = row.get(custom.container) or {}
            held["custom"] = {
                code: item
                for code, item in values.items()
                if not is_empty(item)
            }
        return digest(held)

    def cleared(self, target: str) -> Any:
        """What an update sends to empty a field. Raises LookupError where the platform cannot."""
        how = self.resource.emptied(target)
        if how == "never":
            raise LookupError(target)
        return [] if how == "as_list" else None

    def references(self, row: Row) -> Iterator[Reference]:
        """The rows that a row refers to, with the field that does."""
        for name, field_type in self.resource.fields.items():
            for to, row_id in _referred(self.get(row, name), field_type):
                yield name, to, row_id


def _bare_id(value: Any, field_type: FieldType) -> Any:
    """The id in a scalar: the last part of an address, a whole number as one.

    An id may hold `/` itself: an address leads to a host or a root, or names the resource.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str) or "/" not in value:
        return value

    above, _, last = value.partition("?")[0].rstrip("/").rpartition("/")
    is_address = (
        value.startswith("/")
        or "://" in value
        or above.rpartition("/")[2] in field_type.to
    )
    return last if is_address else value


def _referred(value: Any, field_type: FieldType) -> Iterator[tuple[str, str]]:
    """The resource and id of every row a value refers to."""
    if field_type.kind == "reference":
        for row_id in as_list(value):
            if not is_empty(row_id):
                yield from ((to, str(row_id)) for to in field_type.to)
    elif field_type.shape:
        for item in as_list(value):
            for name, inner in field_type.shape.items():
                held = item.get(name) if isinstance(item, Mapping) else None
                yield from _referred(held, inner)


def codec_of(
    connector: Connector, name: str, definitions: Definitions
) -> RowCodec:
    """The codec of a resource of one account."""
    ids = {
        other: resource.id.rpartition("+")[2]
        for other, resource in connector.resources.items()
    }
    return RowCodec(
        connector.resources[name], definitions, ids, connector.empty_values
    )


def codec_now(run: Run, name: str) -> RowCodec:
    """The codec of a resource with the definitions that the store knows now."""
    connector = run.migration.destination
    with run.store.begin() as connection:
        known = load_definitions(connection)
    return codec_of(connector, name, known)
