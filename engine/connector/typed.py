"""A row as its connector declares it: every value in the type of its field, or named a misfit.

Platforms answer one field in several forms: `"0"` for no, `"5.00"` for a number, `false` for
nothing. Whatever a spec says of a field (conditions, value maps, emptiness) is said of its declared
type. A value that does not fit it is left out and named, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from operator import is_
from typing import Any

import msgspec

from engine.connector.model import Connector, FieldType
from engine.values import Row, as_list, flag, is_empty

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST = 400  # characters; a longer text is no amount
_WHOLE = 30  # digits of the largest whole number that is made of a text
_TEXTS = ("text", "html", "url", "enum", "id", "reference")
_MOMENTS = ("date", "time", "duration", "datetime", "wall_time")
# Values of these very types are of the field's type as they are: most values by far.
_FITTING: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
    **dict.fromkeys((*_TEXTS, *_MOMENTS), (str, int, float)),
}
_CALLED = {
    "boolean": "neither yes nor no",
    "integer": "no whole number",
    "number": "no number",
}
_SHOWN = 60  # characters of a value in a message


class Misfit(ValueError):
    """A value that is not of its field's type; the text says in what way."""


class Typed(msgspec.Struct, frozen=True):
    """A row with its values in their types, and what is wrong with those that are left out."""

    row: Row
    misfits: Mapping[str, list[str]] = {}  # field -> "place: what it holds"


Reader = Callable[[str, Row], Typed]  # a collection and a row of it


def typed(
    row: Row,
    fields: Mapping[str, FieldType],
    nothing: Sequence[Any] = (),
) -> Typed:
    """A row as declared; `nothing` lists the values by which the platform says "empty"."""
    changed: dict[str, Any] = {}
    misfits: dict[str, list[str]] = {}
    telling = {type(one) for one in nothing}
    for name, field_type in fields.items():
        value = row.get(name)
        if value is None:
            continue
        fitting = _FITTING.get(field_type.kind, ())
        if type(value) in fitting and type(value) not in telling:
            continue
        if is_empty(value):
            continue

        wrong: list[str] = []
        found = _read(value, field_type, nothing, name, wrong)
        if found is not value:
            changed[name] = found
        if wrong:
            misfits[name] = wrong
    return Typed({**row, **changed} if changed else row, misfits)


def _read(
    value: Any,
    field_type: FieldType,
    nothing: Sequence[Any],
    place: str,
    wrong: list[str],
) -> Any:
    """A value in its type; None, with a line in `wrong`, where it does not fit."""
    if says_nothing(value, field_type, nothing):
        return None
    if field_type.shape and isinstance(value, list | dict):
        return _nested(value, field_type.shape, nothing, place, wrong)
    if isinstance(value, list) and any(
        says_nothing(item, field_type, nothing) for item in value
    ):
        value = [
            item
            for item in value
            if not says_nothing(item, field_type, nothing)
        ]
    try:
        return as_declared(value, field_type.kind)
    except Misfit as error:
        wrong.append(f"{place}: {error}")
        return None


def as_declared(value: Any, type_name: str) -> Any:
    """A value that is not empty, in the type of its field. Raises Misfit."""
    if type_name == "boolean":
        return _flag(value)
    if type_name in ("integer", "number"):
        return _number(value, type_name)
    if type_name in _TEXTS or type_name in _MOMENTS:
        return _scalar(value, type_name)
    if type_name == "object" and not isinstance(value, dict | list):
        raise Misfit(f"{as_text(value)} is no object")
    return value


def says_nothing(
    value: Any, field_type: FieldType, nothing: Sequence[Any]
) -> bool:
    """Whether a value is one by which the platform says that a field of this type is empty."""
    if isinstance(value, bool) and field_type.kind == "boolean":
        return False  # there it is a value
    return any(type(one) is type(value) and one == value for one in nothing)


def _flag(value: Any) -> bool:
    found = flag(value)
    if found is None:
        raise Misfit(f"{as_text(value)} is {_CALLED['boolean']}")
    return found


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any, type_name: str) -> Any:
    """A number; as text where a float would lose digits."""
    if is_number(value):
        return value
    exact = _exact_number(value) if isinstance(value, str) else None
    if exact is None:
        raise Misfit(f"{as_text(value)} is {_CALLED[type_name]}")

    written = value.strip()
    if exact.adjusted() < _WHOLE and exact == exact.to_integral_value():
        return int(exact)
    return written if beyond_float(written) else float(written)


def beyond_float(text: str) -> Decimal | None:
    """The number in a text that is kept as one since a float would lose digits; None for any
    other text.
    """
    exact = _exact_number(text)
    return (
        exact
        if exact is not None and Decimal(repr(float(text))) != exact
        else None
    )


def _exact_number(text: str) -> Decimal | None:
    written = text.strip() if len(text) <= _LONGEST else ""
    return Decimal(written) if _NUMBER.fullmatch(written) else None


def _scalar(value: Any, type_name: str) -> Any:
    """A text or moment as it is, or several of them; `true` or an object is none."""
    if type_name in ("id", "reference") and not isinstance(value, bool):
        return value  # a row may be named by an object, or by several
    for item in as_list(value):
        if isinstance(item, bool | list | dict):
            raise Misfit(f"{as_text(value)} is no {type_name}")
    return value


def _nested(
    value: Any,
    shape: Mapping[str, FieldType],
    nothing: Sequence[Any],
    place: str,
    wrong: list[str],
) -> Any:
    """An object, or the objects of a list, with their values in their types."""
    if isinstance(value, list):
        found = [
            _nested(item, shape, nothing, f"{place}[{position}]", wrong)
            for position, item in enumerate(value)
        ]
        return value if all(map(is_, found, value)) else found
    if not isinstance(value, Mapping):
        return value

    inner = typed(value, shape, nothing)
    wrong += [
        f"{place}.{text}" for texts in inner.misfits.values() for text in texts
    ]
    return inner.row


def as_text(value: Any) -> str:
    """A value as messages show it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def reader_of(
    connector: Connector, heads: Collection[str] | None = None
) -> Reader:
    """How the rows of a connector's collections are read, of their fields only these where there
    are `heads`; rows of no collection as they are.
    """
    fields = {
        name: {
            head: kind
            for head, kind in resource.fields.items()
            if heads is None or head in heads
        }
        for name, resource in connector.resources.items()
    }

    def read(collection: str, row: Row) -> Typed:
        return typed(row, fields.get(collection, {}), connector.empty_values)

    return read
