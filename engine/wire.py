"""Between drafts and what travels: symbols to ids, our names to the platform's, and back to compare."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.connector.model import Connector, FieldType, Resource
from engine.spec.model import CustomField, ObjectMapping, Spec
from engine.spec.uses import lookups
from engine.values import as_file, as_link, is_empty, links_in, word

Resolve = Callable[[str, str], str | None]
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom or built-in field as this account has it: its code and its options' ids."""

    code: str
    options: Mapping[str, Any] = field(default_factory=dict)


Definitions = Mapping[tuple[str, str], Definition]  # (resource, field) -> definition


@dataclass(frozen=True, slots=True)
class Resolved:
    """A draft ready to travel, the draft it stands for, and what had to be left out."""

    body: dict[str, Any]
    effective: dict[str, Any]
    missing: tuple[tuple[str, str], ...]  # (field, why)
    refused: str = ""  # why the record must not be written at all
    skipped: str = ""


def resolve(
    draft: Mapping[str, Any], mapping: ObjectMapping, spec: Spec, connector: Connector, ids: Resolve, definitions: Definitions
) -> Resolved:
    """Symbols to ids. A link whose row was never written follows the lookup's miss policy."""
    resource = connector.resources[mapping.resource]
    body: dict[str, Any] = {}
    effective: dict[str, Any] = {}
    missing: list[tuple[str, str]] = []
    refused = skipped = ""
    for target, value in draft.items():
        lost = [found for found in dict.fromkeys(links_in(value)) if ids(*found) is None]
        for name, key in lost:
            policy = miss_policy(mapping, target)
            why = f"{name} {key} is not in the destination"
            if policy == "fail":
                refused = refused or f"{target}: {why}"
            elif policy == "skip":
                skipped = skipped or f"{target}: {why}"
            else:
                missing.append((target, why))
        kept = _without(value, frozenset(lost)) if lost else value
        if is_empty(kept):
            continue
        try:
            place(body, target, _ids(kept, ids), resource, spec, definitions)
        except ValueError as error:
            missing.append((target, str(error)))
            continue
        effective[target] = kept
    return Resolved(body, effective, tuple(missing), refused, skipped)


def miss_policy(mapping: ObjectMapping, target: str) -> str:
    """What a field's lookup says about a miss; the strictest where there are several."""
    item = mapping.fields.get(target)  # none where the spec no longer maps what was written once
    policies = {lookup.on_miss for lookup in lookups(item)} if item else set()
    return next((policy for policy in ("fail", "skip", "report") if policy in policies), "omit")


def _without(value: Any, lost: frozenset[tuple[str, str]]) -> Any:
    """The value without its lost links; an object of a list that loses one of its own goes with it."""
    if as_link(value) in lost:
        return None
    if isinstance(value, dict) and not as_link(value):
        return {name: _without(item, lost) for name, item in value.items() if as_link(item) not in lost}
    if isinstance(value, list):
        return [_without(item, lost) for item in value if not _names(item, lost)]
    return value


def _names(item: Any, lost: frozenset[tuple[str, str]]) -> bool:
    parts = item.values() if isinstance(item, dict) else ()
    return as_link(item) in lost or any(as_link(part) in lost for part in parts)


def _ids(value: Any, ids: Resolve) -> Any:
    """The value with ids for links; a whole number travels as a number."""
    found = as_link(value)
    if found:
        row_id = str(ids(*found))
        return int(row_id) if _WHOLE.fullmatch(row_id) else row_id
    if as_file(value):
        return value
    if isinstance(value, dict):
        return {key: _ids(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_ids(item, ids) for item in value]
    return value


def place(body: dict[str, Any], target: str, value: Any, resource: Resource, spec: Spec, definitions: Definitions) -> None:
    """Put one value where the platform wants it; raises ValueError for an option it does not have."""
    if target.startswith("custom.") and resource.custom:
        field_name = target.removeprefix("custom.")
        definition = definitions.get((resource.name, field_name))
        declared = spec.custom_fields.get((resource.name, field_name))
        if definition is None or declared is None:
            raise ValueError("the custom field has not been made yet" if declared else "the spec no longer declares the field")
        travelling = _value(value, declared, definition)
        holder = body.setdefault(resource.custom.container, {}) if resource.custom.container else body
        holder[definition.code] = travelling
        return
    kind = resource.fields.get(target)
    if kind and kind.options:
        value = _option(value, definitions.get((resource.name, target)))
    elif kind and kind.kind in ("text", "html") and not isinstance(value, str):
        value = _text(value)
    body[target] = value


def _value(value: Any, declared: CustomField, definition: Definition) -> Any:
    match declared.type:
        case "enum":
            return _option(value, definition)
        case "set":
            return [_option(item, definition) for item in (value if isinstance(value, list) else [value])]
        case "text" | "long_text" | "phone":
            return value if isinstance(value, str) else _text(value)
    return value


def _text(value: Any) -> str:
    """A number, true or false, or a list of such as text; an object has no text form of its own."""
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, dict | list) for part in parts):
        raise ValueError("the value is an object and the field holds text: a step must turn it into text")
    return ", ".join(word(part) for part in parts if not is_empty(part))


def _option(value: Any, definition: Definition | None) -> Any:
    label = word(value).strip()
    found = definition.options.get(label) if definition else None
    if found is None:
        raise ValueError(f"the destination has no option {label!r}")
    return found


def dig_target(row: Mapping[str, Any], target: str, resource: Resource, definitions: Definitions) -> Any:
    """What a destination row holds in a target field."""
    if target.startswith("custom.") and resource.custom:
        definition = definitions.get((resource.name, target.removeprefix("custom.")))
        if definition is None:
            return None
        holder = row.get(resource.custom.container) if resource.custom.container else row
        return (holder or {}).get(definition.code)
    return row.get(target)


def agrees(wanted: Any, live: Any, kind: FieldType | None) -> bool:
    """Whether a destination's value is the wanted one, as the platform may write it.

    No difference is: null for something empty; keys of an object that were not sent; blanks around a
    text; true as 1; in a field of that kind, a number or option as text, an instant with a space for the T and
    another zone, a time with seconds :00, HTML with other white space where a browser shows none,
    other forms of `<br>` and of quotes. Anything else is.
    """
    if is_empty(wanted):
        return is_empty(live)
    if isinstance(wanted, dict):
        shape = kind.shape if kind else None
        return isinstance(live, dict) and all(
            agrees(item, live.get(key), shape.get(key) if shape else None) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return False
        inner = FieldType("object", kind.shape) if kind and kind.shape else None
        return all(agrees(item, other, inner) for item, other in zip(wanted, live, strict=True))
    return _same(wanted, live, kind.kind if kind else "")


def _same(wanted: Any, live: Any, kind: str) -> bool:
    """Whether two scalars are one value in a field of this kind."""
    if isinstance(wanted, bool):
        return _truth(live) is wanted
    if isinstance(live, bool):
        return kind == "boolean" and _truth(wanted) is live
    numbers = [_number(item, kind) for item in (wanted, live)]
    if None not in numbers:
        return _equal(*numbers)
    return isinstance(wanted, str) and isinstance(live, str) and _plain(wanted, kind) == _plain(live, kind)


def _truth(value: Any) -> bool | None:
    return {"True": True, "1": True, "False": False, "0": False}.get(str(value))


def _number(value: Any, kind: str) -> int | float | None:
    """The number in a value; in a text only where the field holds numbers."""
    if isinstance(value, int | float):
        return value
    numeric = kind in ("number", "integer", "id", "reference", "enum")
    if not numeric or not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return None
    return float(value) if "." in value else int(value)


def _equal(wanted: Any, live: Any) -> bool:
    """Ids are equal to the last digit; amounts up to the rounding of a float."""
    if isinstance(wanted, int) and isinstance(live, int):
        return wanted == live
    return math.isclose(wanted, live, rel_tol=1e-12, abs_tol=1e-9)


def _plain(text: str, kind: str) -> str:
    text = text.strip()
    match kind:
        case "datetime":
            return _instant(text)
        case "time" | "duration":
            return text.removesuffix(":00") if text.count(":") == 2 else text
        case "html":
            return _html(text)
    return text


def _instant(text: str) -> str:
    """A moment in UTC; a text that is none stays as it is."""
    try:
        moment = datetime.fromisoformat(text) if len(text) > len("2024-01-01") else None
    except ValueError:
        return text
    if moment is None:
        return text
    return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


_BLOCKS = "address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|tbody|td|tfoot|th|thead|tr|ul"
_BLOCK_TAG = re.compile(rf"[ \t\r\n\f]*(</?(?:{_BLOCKS})(?:[ \t\r\n\f][^<>]*)?>)[ \t\r\n\f]*", re.IGNORECASE)
_BREAK = re.compile(r"<br[ \t]*/>", re.IGNORECASE)
_CHARACTERS = {"&#39;": "'", "&#x27;": "'", "&apos;": "'", "&#34;": '"', "&quot;": '"', "&#160;": "\xa0", "&nbsp;": "\xa0"}


def _html(text: str) -> str:
    """HTML as a browser reads it: runs of white space are one blank, none counts beside a block."""
    for entity, character in _CHARACTERS.items():
        text = text.replace(entity, character)
    text = re.sub(r"[ \t\r\n\f]+", " ", _BREAK.sub("<br>", text))
    return _BLOCK_TAG.sub(r"\1", text).strip()
