"""Whether a value can be written to a field of the destination."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from engine.config.document import scalar
from engine.config.suggestions import did_you_mean
from engine.connector.model import FieldType
from engine.connector.typed import Misfit, as_declared, as_text, is_number
from engine.errors import Code
from engine.language.model import CustomField
from engine.language.problems import Fault
from engine.language.scope import NUMBERS, TEXTS
from engine.values import as_list, flag, word

_NO_FILE: Fault = (
    "wrong-type",
    "this field takes a file",
    "write {download: path, name: ...}",
)
# What goes through steps or a value map may be anything but a link or a file.
MOVING = FieldType("moving")
# the same on its way into an HTML field
MOVING_HTML = FieldType("moving", options="html")
_CUSTOM = {
    "text": "text",
    "long_text": "text",
    "phone": "text",
    "number": "number",
    "date": "date",
    "time": "time",
    "enum": "enum",
    "set": "set",
    "money": "money",
    "address": "any",
}
_FORMS = {
    "date": (re.compile(r"\d{4}-\d\d-\d\d"), "a date such as 2024-12-31"),
    "time": (re.compile(r"\d\d:\d\d(:\d\d)?"), "a time such as 08:30"),
    "duration": (re.compile(r"\d+:\d\d(:\d\d)?"), "a duration such as 01:30"),
    "datetime": (
        re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?.*"),
        "an instant such as 2024-12-31T08:30:00Z",
    ),
}
_FORMLESS = ("boolean", "html", "url")  # no number or moment is written so
_SCALARS = (*TEXTS, *NUMBERS, "boolean")
# what a record holds that a field of a type never takes
_NEVER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NUMBERS, (*_FORMLESS, "wall_time", *_FORMS)),
    "boolean": ("html", "url", "wall_time", *_FORMS),
    **dict.fromkeys(_FORMS, (*_FORMLESS, *NUMBERS)),
    **dict.fromkeys(("list", "object", "money"), _SCALARS),
}


_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "number": (is_number, "a number"),
    "integer": (
        lambda value: is_number(value) and float(value).is_integer(),
        "a whole number",
    ),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "list": (lambda value: isinstance(value, list), "a list"),
    "set": (lambda value: isinstance(value, list | str), "a list of options"),
    "object": (lambda value: isinstance(value, dict), "an object"),
    "money": (
        lambda value: isinstance(value, dict),
        "an amount with its currency (see the step money.of)",
    ),
}


def moving(kind: FieldType) -> FieldType:
    """What a step or value map on the way into this field takes."""
    return MOVING_HTML if "html" in (kind.kind, kind.options) else MOVING


def custom_kind(item: CustomField) -> FieldType:
    """The type of a custom field, as one of the native types."""
    return FieldType(_CUSTOM[item.type], one_of=item.options)


def check_constant(value: Any, kind: FieldType) -> Fault | None:  # noqa: PLR0911
    """What is wrong with a fixed value in a field of this type."""
    if value is None or kind.kind in ("any", "moving"):
        return None
    if kind.kind in ("reference", "file"):
        return _no_constant(kind)
    if kind.kind in _TYPES:
        fits, words = _TYPES[kind.kind]
        if not fits(value):
            return "wrong-type", f"expected {words}, found {_shown(value)}", ""
    elif kind.kind in TEXTS and not isinstance(value, str):
        return (
            "wrong-type",
            f"expected text, found {_shown(value)}",
            "put it in quotes",
        )
    if kind.kind in _FORMS and not _FORMS[kind.kind][0].fullmatch(value):
        return (
            "bad-format",
            f"expected {_FORMS[kind.kind][1]}, found {_shown(value)}",
            "",
        )
    if kind.max and isinstance(value, str) and len(value) > kind.max:
        return (
            "out-of-range",
            f"{len(value):,} characters; the field takes at most {kind.max:,}",
            "shorten it",
        )
    return _not_listed(value, kind.one_of, plan=", ".join(kind.one_of_plan))


def _no_constant(kind: FieldType) -> Fault:
    if kind.kind == "file":
        return _NO_FILE
    return (
        "needs-lookup",
        f"a fixed value cannot name a row of {' or '.join(kind.to)}",
        "a spec holds no ids of the destination: use {lookup: ...}",
    )


def _not_listed(
    value: Any,
    options: Sequence[str],
    code: Code = "not-an-option",
    plan: str = "",
) -> Fault | None:
    where = f" on the plan {plan}" if plan else ""
    known = [option.strip() for option in options]
    for item in as_list(value):
        if known and str(item).strip() not in known:
            return (
                code,
                f"{_shown(item)} is not one of {', '.join(known)}{where}",
                did_you_mean(str(item), known),
            )
    return None


def check_link(kind: FieldType, to: Sequence[str]) -> Fault | None:
    """What is wrong with a link to rows of these resources in a field of this type."""
    if kind.kind == "any":
        return None
    if kind.kind == "moving":
        return (
            "misplaced-lookup",
            "a link cannot go through steps or a value map",
            "look up last, with the steps inside `by`",
        )
    if kind.kind != "reference":
        return (
            "misplaced-lookup",
            "a lookup gives a row of the destination, but this field links to none",
            "take the value from the record instead",
        )
    wrong = [name for name in to if name not in kind.to]
    if wrong:
        targets = " or ".join(kind.to)
        return (
            "wrong-link",
            f"the field points to {targets}, not to {' or '.join(wrong)}",
            f"look up an object that becomes {targets}",
        )
    return None


def check_path(found: FieldType, kind: FieldType) -> Fault | None:  # noqa: PLR0911
    """What is wrong with a source value, as it is, in a field of this type."""
    if kind.kind in ("any", "moving"):
        return None
    if kind.kind == "reference":
        return (
            "needs-lookup",
            f"an id of the source does not name a row of {' or '.join(kind.to)}",
            "use {lookup: ..., by: ...}",
        )
    if kind.kind == "file":
        return _NO_FILE
    if found.kind == "wall_time" and kind.kind == "datetime":
        return (
            "wrong-type",
            "the record holds local time here, but the field needs an instant",
            "using: {dates.to_utc: {zone: ...}}",
        )
    if found.kind == "object" and kind.kind in _SCALARS:
        return (
            "wrong-type",
            "the record holds an object here",
            "name one of its fields, or convert it: using: ...",
        )
    if found.kind == "list" and kind.kind in _SCALARS and not kind.one_of:
        return (
            "wrong-type",
            "the record holds a list here",
            "join it: using: text.join",
        )
    if found.kind in _NEVER.get(kind.kind, ()):
        return _misplaced(found, kind, "nothing else can be written to it")
    return None


def check_form(found: FieldType, kind: FieldType) -> Fault | None:
    """What only some texts are, where a field of this type takes nothing else."""
    if found.kind in ("text", "enum") and kind.kind in _NEVER:
        return _misplaced(found, kind, "records that hold anything else fail")
    return None


def _misplaced(found: FieldType, kind: FieldType, why: str) -> Fault:
    return (
        "wrong-type",
        f"the field takes {_taken(kind)}, and the record holds {found.kind} here;"
        f" {why}",
        "convert it with a step (using: ...), or map it to a field that fits",
    )


def _taken(kind: FieldType) -> str:
    return (_FORMS if kind.kind in _FORMS else _TYPES)[kind.kind][1]


def refusal(value: Any, kind: FieldType) -> str:
    """Why no destination takes a value in a field of this type; "" where one may."""
    if kind.max and isinstance(value, str) and len(value) > kind.max:
        return f"{len(value):,} characters, the destination takes {kind.max:,}"
    if kind.one_of and word(value) not in kind.one_of:
        return f"{value!r} is not one of {', '.join(kind.one_of)}"
    if kind.kind in _NEVER and not _may_be(value, kind.kind):
        return f"the destination takes {_taken(kind)}, not {as_text(value)}"
    return ""


def is_picky(kind: FieldType) -> bool:
    """Whether a destination may refuse a field of this type for its value, or for having none."""
    asks = kind.required or kind.requires or kind.only_with
    return bool(asks or kind.max or kind.one_of) or kind.kind in _NEVER


def _may_be(value: Any, type_name: str) -> bool:
    """Whether a value is of a type, or may be read as of it."""
    if type_name in ("list", "money"):
        return _TYPES[type_name][0](value)
    if type_name not in _FORMS:
        try:
            as_declared(value, type_name)
        except Misfit:
            return False
        return True
    form = _FORMS["date" if type_name == "datetime" else type_name][0]
    return isinstance(value, str) and bool(form.match(value))


def check_text(kind: FieldType) -> Fault | None:
    """What is wrong with a template's text in a field of this type."""
    if kind.kind in ("reference", "file"):
        return check_path(FieldType("text"), kind)
    if kind.kind in _NEVER and kind.kind not in _FORMS:
        return (
            "wrong-type",
            f"a template gives text, expected {_taken(kind)}",
            "convert it: using: ...",
        )
    return None


def check_comparison(found: FieldType, op: str, value: Any) -> Fault | None:
    """Why a comparison of a source value with a fixed one cannot hold."""
    if op in ("filled", "empty") or value is None:
        return None
    wrong = [
        item
        for item in as_list(value)
        if item is not None and not _comparable(found, item)
    ]
    if wrong:
        words = _TYPES[found.kind][1] if found.kind in _TYPES else "text"
        return (
            "wrong-type",
            f"the record holds {words} here, never {_shown(wrong[0])}",
            _other_form(found, op),
        )
    if op in ("equals", "in", "not"):
        return _not_listed(value, found.one_of, "never-matches")
    return None


def _comparable(found: FieldType, value: Any) -> bool:
    """Whether a comparison may ever hold; numbers and flags may be written as text."""
    if found.kind in NUMBERS:
        return is_number(
            value if isinstance(value, bool) else scalar(str(value))
        )
    if found.kind == "boolean":
        return isinstance(value, bool) or (
            isinstance(value, str) and flag(value) is not None
        )
    if found.kind in TEXTS:
        return isinstance(value, str)
    return found.kind not in ("list", "object")


def _other_form(found: FieldType, op: str) -> str:
    if found.kind in ("list", "object"):
        return "compare with filled or empty, or name a field of it"
    if found.kind == "text" and op not in ("equals", "in", "not"):
        return "text has no numeric order: declare the field as a number in the connector"
    if found.kind in TEXTS:
        return "put it in quotes"
    return (
        "compare with a number"
        if found.kind in NUMBERS
        else "write true or false"
    )


def check_map_key(found: FieldType, word: str) -> Fault | None:
    """Why a source value is never this key of a value map."""
    if found.kind == "boolean" and word not in ("true", "false", ""):
        return (
            "never-matches",
            f"the record holds true or false here, never {word!r}",
            did_you_mean(word, ["true", "false"]),
        )
    if (
        found.kind in NUMBERS
        and word
        and not re.fullmatch(r"-?\d+(\.\d+)?", word)
    ):
        return (
            "never-matches",
            f"the record holds a number here, never {word!r}",
            "",
        )
    return _not_listed(word, found.one_of, "never-matches") if word else None


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
