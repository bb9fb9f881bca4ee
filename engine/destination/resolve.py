"""From a draft to what travels: symbols become ids, names the platform's, labels its options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.destination.rows import Definition, RowCodec
from engine.language.dependencies import lookups
from engine.language.model import CustomField, ObjectMapping, Spec
from engine.values import as_file, as_link, as_list, is_empty, links_in, word

Ids = Callable[[str, str], str | None]  # object and key -> the id of its row
Symbol = tuple[str, str]
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
UNDECLARED = "the spec no longer declares the field"
_STRICTEST = ("fail", "skip", "report")


class Resolved(msgspec.Struct, frozen=True):
    """A draft ready to travel, the draft it stands for, and what had to be left out."""

    body: dict[str, Any]
    effective: dict[str, Any]
    missing: tuple[tuple[str, str], ...]  # (field, why)
    refused: str = ""  # why the record must not be written at all
    skipped: str = ""


class Unlinked(msgspec.Struct, frozen=True):
    """What becomes of a record some of whose links lead to no row."""

    missing: tuple[tuple[str, str], ...] = ()
    refused: str = ""
    skipped: str = ""


def resolve(
    draft: Mapping[str, Any],
    mapping: ObjectMapping,
    spec: Spec,
    codec: RowCodec,
    ids: Ids,
) -> Resolved:
    """A draft with ids for symbols; a link without a row follows the policy of its lookup."""
    body: dict[str, Any] = {}
    effective: dict[str, Any] = {}
    found = unlinked(draft, mapping, ids)
    missing = list(found.missing)

    for target, value in draft.items():
        kept, is_scalar = value, not isinstance(value, (dict, list))
        if not is_scalar:
            kept = _without(value, frozenset(_lost(value, ids)))
        if is_empty(kept):
            continue
        if is_scalar and codec.takes(target, type(kept)):  # as nearly always
            body[target] = effective[target] = kept
            continue
        try:
            codec.put(
                body, target, encode(target, _with_ids(kept, ids), codec, spec)
            )
        except ValueError as error:
            missing.append((target, str(error)))
        else:
            effective[target] = kept

    return Resolved(
        body, effective, tuple(missing), found.refused, found.skipped
    )


def unlinked(
    draft: Mapping[str, Any], mapping: ObjectMapping, ids: Ids
) -> Unlinked:
    """The links of a draft that lead to no row, and what the policies of their lookups say."""
    missing = []
    verdicts = {"fail": "", "skip": ""}
    for target, value in draft.items():
        if not isinstance(value, (dict, list)):
            continue
        for name, key in _lost(value, ids):
            why = f"{name} {key} is not in the destination"
            policy = miss_policy(mapping, target)
            if policy not in verdicts:
                missing.append((target, why))
            elif not verdicts[policy]:
                verdicts[policy] = f"{target}: {why}"

    return Unlinked(tuple(missing), verdicts["fail"], verdicts["skip"])


def _lost(value: Any, ids: Ids) -> list[Symbol]:
    return [
        found for found in dict.fromkeys(links_in(value)) if ids(*found) is None
    ]


def miss_policy(mapping: ObjectMapping, target: str) -> str:
    """What a field's lookup says about a miss; the strictest where there are several."""
    # none where the spec no longer maps what was written once
    item = mapping.fields.get(target)
    policies = {lookup.on_miss for lookup in lookups(item)} if item else set()
    return next((policy for policy in _STRICTEST if policy in policies), "omit")


def _without(value: Any, lost: frozenset[Symbol]) -> Any:
    """The value without its lost links; an object of a list that loses one of its own goes too."""
    if not lost:
        return value
    if as_link(value) in lost:
        return None
    if isinstance(value, dict) and not as_link(value):
        kept = {
            name: item
            for name, item in value.items()
            if as_link(item) not in lost
        }
        return {name: _without(item, lost) for name, item in kept.items()}
    if isinstance(value, list):
        return [
            _without(item, lost) for item in value if not _names(item, lost)
        ]
    return value


def _names(item: Any, lost: frozenset[Symbol]) -> bool:
    parts = item.values() if isinstance(item, dict) else ()
    return as_link(item) in lost or any(as_link(part) in lost for part in parts)


def _with_ids(value: Any, ids: Ids) -> Any:
    """The value with ids for links; a whole number travels as a number."""
    if not isinstance(value, (dict, list)):
        return value
    found = as_link(value)
    if found:
        row_id = str(ids(*found))
        return int(row_id) if _WHOLE.fullmatch(row_id) else row_id
    if as_file(value):
        return value
    if isinstance(value, dict):
        return {key: _with_ids(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ids(item, ids) for item in value]
    return value


# -- values as the platform takes them


def encode(target: str, value: Any, codec: RowCodec, spec: Spec) -> Any:
    """A value as its field takes it. Raises ValueError for an option that does not exist."""
    if codec.is_custom(target):
        return _custom_value(target, value, codec, spec)

    field_type = codec.kind(target)
    if field_type and field_type.options:
        definition = codec.definitions.get((codec.resource.name, target))
        return sent_as(field_type.option_id, _option(value, definition))
    if (
        field_type
        and field_type.kind in ("text", "html")
        and not isinstance(value, str)
    ):
        return _text(value)
    return value


def is_undeclared(spec: Spec, resource: str, target: str) -> bool:
    """Whether a target is a custom field that the spec does not have, or has no more."""
    _, custom, name = target.rpartition("custom.")
    return bool(custom) and (resource, name) not in spec.custom_fields


def _custom_value(target: str, value: Any, codec: RowCodec, spec: Spec) -> Any:
    resource, name = codec.resource.name, target.removeprefix("custom.")
    declared = spec.custom_fields.get((resource, name))
    if declared is None:
        raise ValueError(UNDECLARED)

    definition = codec.definitions.get((resource, target))
    if definition is None:
        raise ValueError("the account does not have the custom field")
    return _typed(value, declared, definition)


def _typed(value: Any, declared: CustomField, definition: Definition) -> Any:
    match declared.type:
        case "enum":
            return _option(value, definition)
        case "set":
            return [_option(item, definition) for item in as_list(value)]
        case "text" | "long_text" | "phone":
            return value if isinstance(value, str) else _text(value)
    return value


def _text(value: Any) -> str:
    """A scalar or a list of such as text; an object has no text form of its own."""
    parts = as_list(value)
    if any(isinstance(part, dict | list) for part in parts):
        raise ValueError(
            "the value is an object and the field holds text: a step must turn it into"
            " text"
        )
    return ", ".join(word(part) for part in parts if not is_empty(part))


def sent_as(kind: str, option_id: Any) -> Any:
    """An option's id in the type that is taken, whatever the list of options wrote."""
    if kind == "integer" and _WHOLE.fullmatch(str(option_id)):
        return int(option_id)
    return str(option_id) if kind == "text" else option_id


def _option(value: Any, definition: Definition | None) -> Any:
    label = word(value).strip()
    found = definition.options.get(label) if definition else None
    if found is None:
        raise ValueError(f"the destination has no option {label!r}")
    return found
