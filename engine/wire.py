"""Between drafts and what travels: symbols to ids, our names to the platform's, and back to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.connector.model import Connector, FieldType, Resource
from engine.spec.model import CustomField, Lookup, ObjectMapping, Spec
from engine.spec.uses import walk
from engine.values import as_file, as_link, is_empty

Resolve = Callable[[str, str], str | None]


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
        lost: list[tuple[str, str]] = []
        plain = _ids(value, ids, lost)
        for name, key in lost:
            policy = miss_policy(mapping, target)
            why = f"{name} {key} is not in the destination"
            if policy == "fail":
                refused = refused or f"{target}: {why}"
            elif policy == "skip":
                skipped = skipped or f"{target}: {why}"
            else:
                missing.append((target, why))
        if is_empty(plain):
            continue
        try:
            place(body, target, plain, mapping.resource, resource, spec, definitions)
        except ValueError as error:
            missing.append((target, str(error)))
            continue
        effective[target] = value if not lost else _without(value, set(lost))
    return Resolved(body, effective, tuple(missing), refused, skipped)


def miss_policy(mapping: ObjectMapping, target: str) -> str:
    """What a field's lookup says about a miss; the strictest where there are several."""
    policies = {expr.on_miss for expr in walk(mapping.fields[target].expr) if isinstance(expr, Lookup)}
    return next((policy for policy in ("fail", "skip", "report") if policy in policies), "omit")


def _ids(value: Any, ids: Resolve, lost: list[tuple[str, str]]) -> Any:
    found = as_link(value)
    if found:
        row_id = ids(*found)
        if row_id is None:
            lost.append(found)
            return None
        return int(row_id) if row_id.lstrip("-").isdigit() else row_id
    if as_file(value):
        return value
    if isinstance(value, dict):
        return {key: _ids(item, ids, lost) for key, item in value.items()}
    if isinstance(value, list):
        return [item for item in (_ids(item, ids, lost) for item in value) if not _hollow(item)]
    return value


def _hollow(item: Any) -> bool:
    """An object of a list that lost its only link."""
    return item is None or (isinstance(item, dict) and any(value is None for value in item.values()))


def _without(value: Any, lost: set[tuple[str, str]]) -> Any:
    if isinstance(value, list):
        return [item for item in value if not any(as_link(part) in lost for part in (item.values() if isinstance(item, dict) else [item]))]
    return value


def place(
    body: dict[str, Any], target: str, value: Any, name: str, resource: Resource, spec: Spec, definitions: Definitions
) -> None:
    """Put one value where the platform wants it; raises ValueError for an option it does not have."""
    if target.startswith("custom.") and resource.custom:
        field_name = target.removeprefix("custom.")
        definition = definitions.get((name, field_name))
        if definition is None:
            raise ValueError("the custom field has not been made yet")
        holder = body.setdefault(resource.custom.container, {}) if resource.custom.container else body
        holder[definition.code] = _value(value, spec.custom_fields[name, field_name], definition)
        return
    kind = resource.fields.get(target)
    if kind and kind.options:
        value = _option(value, definitions.get((name, target)))
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
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(value: Any, definition: Definition | None) -> Any:
    found = definition.options.get(str(value).strip()) if definition else None
    if found is None:
        raise ValueError(f"the destination has no option {str(value)!r}")
    return found


def dig_target(row: Mapping[str, Any], target: str, name: str, resource: Resource, definitions: Definitions) -> Any:
    """What a destination row holds in a target field."""
    if target.startswith("custom.") and resource.custom:
        definition = definitions.get((name, target.removeprefix("custom.")))
        if definition is None:
            return None
        holder = row.get(resource.custom.container) if resource.custom.container else row
        return (holder or {}).get(definition.code)
    return row.get(target)


def body_value(body: Mapping[str, Any], target: str, name: str, resource: Resource, definitions: Definitions) -> Any:
    """What a body about to travel holds in a target field."""
    return dig_target(body, target, name, resource, definitions)


def agrees(wanted: Any, live: Any, kind: FieldType | None) -> bool:
    """Whether a destination's value is the wanted one, as the platform may write it.

    Platforms fill objects up with nulls, write times with seconds, dates with zones, and tidy
    HTML; none of this is a difference. Anything else is.
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
    if isinstance(wanted, bool) or isinstance(live, bool):
        return _truth(wanted) == _truth(live)
    if isinstance(wanted, int | float):
        return _number(live) is not None and abs(wanted - (_number(live) or 0)) < 1e-9 + 1e-9 * abs(wanted)
    if not isinstance(wanted, str) or live is None:
        return bool(wanted == live)
    return _plain(wanted, kind) == _plain(str(live), kind)


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {1: True, 0: False, "1": True, "0": False}.get(value)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _plain(text: str, kind: FieldType | None) -> str:
    text = text.strip()
    match kind.kind if kind else "":
        case "datetime":
            return text.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
        case "time" | "duration":
            return text.removesuffix(":00") if text.count(":") == 2 else text
        case "html":
            return "".join(text.replace("<br />", "<br>").replace("<br/>", "<br>").split())
        case "id" | "reference":
            return text
    return text
