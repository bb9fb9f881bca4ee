"""Whether rows are as their fields are declared: ids, stamps, kinds, options, lengths. No call
is made here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from engine.connector.model import FieldType, Resource
from engine.connector.typed import Misfit, as_declared, says_nothing
from engine.values import dig, is_empty, segments
from workbench.probe.filters import instant
from workbench.probe.found import (
    Declared,
    Finding,
    confirmed,
    contradicted,
    noted,
    untried,
)
from workbench.probe.scene import Row, id_of
from workbench.probe.tape import kind_of

NAMED = 12  # fields that a note names
_ADVICE = {
    "type": "correct the type",
    "one_of": "add the value",
    "max": "correct the length",
}
NO_DATE = ("0000-00-00", "0000-00-00 00:00:00")
_DURATION = re.compile(r"\d+:[0-5]\d(:[0-5]\d)?")
_TIME = re.compile(r"[0-2]?\d:[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,23}")


@dataclass(frozen=True, slots=True)
class _Misfit:
    """One way in which values of one field differ from what is declared."""

    path: tuple[str, ...]
    # the key of the declaration that is contradicted; "" = it can be read as declared
    said: Literal["", "type", "one_of", "max"]
    text: str


def try_rows(
    declared: Declared,
    resource: Resource,
    rows: Sequence[Row],
    nothing: Sequence[Any] = (),
) -> Iterator[Finding]:
    """Everything that rows contradict, and what they neither show nor have declared.

    `nothing` lists the values by which the platform says "empty".
    """
    subject = f"rows of {resource.name}"
    yield from _ids(declared, resource, rows)
    for name in ("modified", "created"):
        yield from _stamps(declared, resource, rows, name)
    misfits = Counter(
        misfit
        for row in rows
        for misfit in set(_misfits(row, resource.fields, (), nothing))
    )
    for misfit, many in misfits.items():
        if not misfit.said:
            yield noted(
                subject,
                "form",
                f"{'.'.join(misfit.path)}: {misfit.text} in {many} of {len(rows)} rows",
            )
            continue
        at = declared.field(resource.name, misfit.path, misfit.said)
        text = f"{'.'.join(misfit.path)}: {misfit.text} in {many} of {len(rows)} rows"
        yield contradicted(subject, misfit.said, text, at, _ADVICE[misfit.said])
    if not any(misfit.said for misfit in misfits) and resource.fields:
        yield confirmed(
            subject,
            "types",
            f"{len(resource.fields)} fields fit in {len(rows)} rows",
        )
    yield from _strangers(resource, rows)


def _ids(
    declared: Declared, resource: Resource, rows: Sequence[Row]
) -> Iterator[Finding]:
    subject, at = f"rows of {resource.name}", declared.said(resource.name, "id")
    ids = [id_of(row, resource) for row in rows]
    if None in ids:
        guesses = [name for name in rows[0] if _tells_apart(name, rows)]
        likely = sorted(
            guesses,
            key=lambda name: (
                not re.search(r"id$|key$|code$", name, re.IGNORECASE),
                len(name),
            ),
        )
        advice = (
            f"id: {likely[0]}, which is different in every row"
            if likely
            else "name the field that tells rows apart"
        )
        inner = next(
            (
                name
                for name, value in rows[0].items()
                if len(rows[0]) == 1 and isinstance(value, Mapping)
            ),
            "",
        )
        if inner:
            at, advice = (
                declared.call(resource.name, "list", "each", "get"),
                f"each: {inner}, where the row stands in the item",
            )
        yield contradicted(
            subject,
            "id",
            f"{resource.id} is missing in {ids.count(None)} of {len(rows)} rows",
            at,
            advice,
        )
        return
    twice = len(ids) - len(set(ids))
    if twice:
        yield contradicted(
            subject,
            "id",
            f"{resource.id} is the same in {twice} of {len(rows)} rows",
            at,
            "join it with another field: a+b",
        )
    else:
        yield confirmed(
            subject,
            "id",
            f"{resource.id} is there, and different in {len(rows)} rows",
        )


def _tells_apart(name: str, rows: Sequence[Row]) -> bool:
    values = [row.get(name) for row in rows]
    return all(
        isinstance(value, str | int) and value != "" for value in values
    ) and len(set(values)) == len(values)


def _stamps(
    declared: Declared, resource: Resource, rows: Sequence[Row], name: str
) -> Iterator[Finding]:
    """The field that says when a row was made or changed; a default that a resource does not
    have is no contradiction.
    """
    field: str = getattr(resource, name)
    subject, at = f"rows of {resource.name}", declared.said(resource.name, name)
    if not field:
        return
    values = [dig(row, segments(field)) for row in rows]
    there = [value for value in values if not is_empty(value)]
    if there:
        bad = [
            value
            for value in there
            if instant(value) is None and value not in NO_DATE
        ]
        if bad and field in resource.fields:
            return  # its type tells
        if bad:
            many = f"{len(bad)} of {len(rows)} rows"
            text = (
                f"{field} is {kind_of(bad[0])} that is not a moment in {many}"
            )
            yield contradicted(
                subject, name, text, at, "name the field with the moment"
            )
        else:
            yield confirmed(
                subject, name, f"{field} is a moment in {len(there)} rows"
            )
    elif any(segments(field)[0] in row for row in rows):
        yield untried(
            subject, name, f"{field} is empty in all {len(rows)} rows"
        )
    elif at[0] == "resources" or segments(field)[0] in resource.fields:
        likely = [
            one
            for one, value in rows[0].items()
            if isinstance(value, str)
            and len(value) > 9
            and instant(value) is not None
        ]
        advice = (
            f"the rows have {', '.join(likely[:4])}"
            if likely
            else "name the field that rows have"
        )
        yield contradicted(subject, name, f"no row has {field}", at, advice)
    else:
        yield noted(
            subject,
            name,
            f"no row has {field}, the field that the defaults name",
        )


def _strangers(resource: Resource, rows: Sequence[Row]) -> Iterator[Finding]:
    """Fields on one side only: noted, for an empty account shows less than it has."""
    subject, seen = (
        f"rows of {resource.name}",
        {name for row in rows for name in row},
    )
    unseen = [
        name
        for name in resource.fields
        if name not in seen and resource.fields[name].kind != "file"
    ]
    if unseen:
        yield noted(
            subject,
            "fields",
            f"declared and in none of {len(rows)} rows: {_named(unseen)}",
        )
    known = {
        *resource.fields,
        *resource.id.split("+"),
        *([resource.custom.container] if resource.custom else []),
    }
    unknown = [name for name in seen if name not in known]
    if unknown and resource.fields:
        yield noted(
            subject,
            "fields",
            f"in rows and not declared: {_named(sorted(unknown))}",
        )


def _named(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


# -- values against the kinds of fields


def _misfits(
    row: Row,
    fields: Mapping[str, FieldType],
    above: tuple[str, ...],
    nothing: Sequence[Any],
) -> Iterator[_Misfit]:
    """Each value of a row that is not as its field is declared; nothing and empty texts are
    always taken.
    """
    for name, field_type in fields.items():
        value, path = row.get(name), (*above, name)
        if is_empty(value) or says_nothing(value, field_type, nothing):
            continue
        if _reads(value, field_type):
            sent = f"declared {field_type.kind}, sent as {kind_of(value)}"
            yield _Misfit(path, "", f"{sent}, which a run reads as declared")
            continue
        expected = _expected(value, field_type)
        if expected:
            yield _Misfit(
                path, "type", f"declared {field_type.kind}, got {expected}"
            )
        elif (
            field_type.kind in ("object", "list")
            and field_type.shape
            and len(path) < 5
        ):
            yield from _inside(value, field_type.shape, path, nothing)
        elif field_type.one_of and str(value) not in field_type.one_of:
            shown = (
                f"{value!r}"
                if isinstance(value, str) and _WORD.fullmatch(value)
                else f"{kind_of(value)} that is none of them"
            )
            yield _Misfit(
                path,
                "one_of",
                f"declared one of {', '.join(field_type.one_of)}, got {shown}",
            )
        elif (
            field_type.max
            and isinstance(value, str)
            and len(value) > field_type.max
        ):
            yield _Misfit(
                path,
                "max",
                f"declared at most {field_type.max} characters, got more",
            )


def _inside(
    value: Any,
    shape: Mapping[str, FieldType],
    path: tuple[str, ...],
    nothing: Sequence[Any],
) -> Iterator[_Misfit]:
    """The misfits of an object, or of the objects in a list."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping):
            yield from _misfits(item, shape, path, nothing)
        elif not is_empty(item):
            yield _Misfit(
                path,
                "type",
                f"declared a list of objects, got {kind_of(item)} in it",
            )


def _reads(value: Any, field_type: FieldType) -> bool:
    """Whether a run reads a value in the type of its field, though the platform sends it in
    another form.
    """
    if field_type.kind == "reference":
        return isinstance(value, Mapping) and "id" in value
    if field_type.kind not in (
        "boolean",
        "integer",
        "number",
    ) or not isinstance(value, str):
        return False
    try:
        as_declared(value, field_type.kind)
    except Misfit:
        return False
    return True


def _expected(value: Any, field_type: FieldType) -> str:
    """What a value is, where that is not what the kind takes; "" where it fits."""
    fits = _KINDS.get(field_type.kind)
    if fits is None or fits(value):
        return ""
    shown = kind_of(value)
    stamps = ("date", "time", "datetime", "wall_time")
    return (
        f"text that is not of type {field_type.kind}"
        if field_type.kind in stamps and isinstance(value, str)
        else shown
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_key(value: Any) -> bool:
    return isinstance(value, str) or _is_whole(value)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and (
            value in NO_DATE or bool(date.fromisoformat(value))
        )
    except ValueError:
        return False


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and (
        value in NO_DATE or instant(value) is not None
    )


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "text": _is_text,
    "html": _is_text,
    "url": _is_text,
    "integer": _is_whole,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool) or value in (0, 1),
    "date": _is_date,
    "time": lambda value: (
        isinstance(value, str) and bool(_TIME.fullmatch(value))
    ),
    "datetime": _is_moment,
    "wall_time": _is_moment,
    "duration": lambda value: (
        isinstance(value, str) and bool(_DURATION.fullmatch(value))
    ),
    "id": _is_key,
    "enum": _is_key,
    "reference": lambda value: (
        all(map(_is_key, value)) if isinstance(value, list) else _is_key(value)
    ),
    "object": lambda value: isinstance(value, Mapping),
    "list": lambda value: isinstance(value, list),
}
