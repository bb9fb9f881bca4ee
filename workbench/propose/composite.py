"""Values of several parts: addresses, e-mail and phone lists, price lists, files, spans of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.connector.model import FieldType
from workbench.propose.profile import Column
from workbench.propose.scene import Proposal, Scene, part_of
from workbench.propose.words import has, likeness, meaning

_PARTS = ("street", "extra", "city", "region", "postal_code", "country")
_LABELS = ("mobile", "fax", "home")
_BEFORE = ("main", "primary", "default", "billing", "invoicing")


def is_address(field_type: FieldType) -> bool:
    """Whether a destination object has the parts of an address."""
    parts = [meaning(name) for name in field_type.shape or {}]
    return (
        sum(
            any(has(part, concept) for part in parts)
            for concept in ("postal_code", "country", "city", "region")
        )
        >= 2
    )


def address(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """An address put together from its parts, in the record or in a row it names; or one line of
    text.
    """
    return (
        _own_address(scene, target)
        or _related_address(scene, target)
        or _line(scene, target)
    )


def _own_address(scene: Scene, target: str) -> Proposal | None:
    groups: dict[str, list[Column]] = {}
    for column in scene.columns:
        groups.setdefault(_group(column), []).append(column)
    found = [
        (name, parts)
        for name, group in groups.items()
        if len(parts := address_parts(group)) >= 3
    ]
    if not found:
        return None
    name, parts = min(
        found,
        key=lambda item: (
            not any(word in item[0] for word in _BEFORE),
            -len(item[1]),
        ),
    )
    written = {"from": parts, "using": "address.components"}
    sure = 0.95 if {"city", "postal_code"} & set(parts) else 0.75
    return Proposal(
        target,
        written,
        sure,
        (f"{name or 'the record'} holds {', '.join(parts)}",),
        tuple(parts.values()),
    )


def _group(column: Column) -> str:
    """What the parts of one address have in common: the object they are in, or a word before
    them.
    """
    head, dot, name = column.path.rpartition(".")
    first = meaning(name)[0] if meaning(name) else frozenset()
    qualifier = next(
        (
            word
            for word in ("billing", "invoicing", "shipping", "delivery", "main")
            if word in first
        ),
        "",
    )
    return f"{head}{dot}{qualifier}"


def address_parts(group: Sequence[Column]) -> dict[str, str]:
    """Which of the fields is which part of an address."""
    found: dict[str, str] = {}
    for part in _PARTS:
        wanted = [
            column
            for column in group
            if column.text
            and has(meaning(column.path.rpartition(".")[2]), part)
        ]
        if part == "street" and not wanted:
            wanted = [
                c
                for c in group
                if c.text
                and c.means("address")
                and not c.means(
                    "formatted", "type", "key", "email", "extra", "city"
                )
            ]
        wanted = [
            column for column in wanted if column.path not in found.values()
        ]
        if wanted:
            found[part] = wanted[0].path
    return (
        found
        if len(found) >= 2 and ("city" in found or "postal_code" in found)
        else {}
    )


def _related_address(scene: Scene, target: str) -> Proposal | None:
    for column in scene.columns:
        if any(has(meaning(name), "address") for name in column.links):
            alias, related, around = scene.around(column)
            parts = {
                part: f"{alias}.{path}"
                for part, path in address_parts(around).items()
            }
            if parts:
                written = {"from": parts, "using": "address.components"}
                return Proposal(
                    target,
                    written,
                    0.85,
                    (f"{column.path} leads to an address",),
                    tuple(parts.values()),
                    related,
                )
    return None


def _line(scene: Scene, target: str) -> Proposal | None:
    for column in scene.columns:
        if (
            column.text
            and not column.links
            and column.means("location", "address", "formatted")
        ):
            written = {
                "from": {"street": column.path},
                "using": "address.components",
            }
            return Proposal(
                target,
                written,
                0.82,
                (f"{column.path} is a place in one line of text",),
                (column.path,),
            )
    return None


def entries(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """A labelled list of e-mail addresses or phone numbers."""
    wanted = meaning(target)
    if has(wanted, "email"):
        parts = _labelled([c for c in scene.columns if _is_email(c)])
        step: Any = "text.emails"
    elif has(wanted, "phone"):
        parts = _labelled([c for c in scene.columns if _is_phone(c)])
        step = {"phone.entries": {"region": "$settings.phone_region"}}
    else:
        return None
    if not parts:
        return None
    return Proposal(
        target,
        {"from": parts, "using": step},
        0.95,
        (f"{', '.join(parts.values())}: by name and shape",),
        tuple(parts.values()),
    )


def _is_email(column: Column) -> bool:
    return (
        (column.means("email") or column.shape == "email")
        and not column.boolean
        and not column.number
        and not column.links
    )


def _is_phone(column: Column) -> bool:
    named = column.means("phone", "mobile", "fax")
    return (
        named
        and column.text
        and column.shape not in ("email", "url", "html", "long")
    ) or (named and column.shape in ("phone", "number"))


def _labelled(found: Sequence[Column]) -> dict[str, str]:
    parts: dict[str, str] = {}
    for column in found:
        label = next((word for word in _LABELS if column.means(word)), "work")
        number = 2
        while label in parts:
            label = (
                "other"
                if number == 2 and label == "work"
                else f"{label.rstrip('0123456789')}{number}"
            )
            number += 1
        parts[label] = column.path
    return parts


def prices(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """A product's price list, of its price and its cost."""
    found: dict[str, Column] = {}
    for part in ("price", "cost"):
        if part not in (field_type.shape or {}):
            continue
        near = [
            (likeness(column.meaning, meaning(part)), column)
            for column in scene.columns
            if column.number and not column.links
        ]
        score, column = max(near, key=lambda item: item[0], default=(0.0, None))
        if column is not None and score > 0.7:
            found[part] = column
    if "price" not in found:
        return None
    parts = {name: column.path for name, column in found.items()}
    written = {
        "from": parts,
        "using": {"money.entries": {"currency": "$settings.currency"}},
    }
    return Proposal(
        target,
        written,
        0.93,
        (f"{', '.join(parts.values())}: names and numbers",),
        tuple(parts.values()),
    )


def file(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """A file behind a link in the record, under its own name or the record's."""
    found = [
        c
        for c in scene.columns
        if (c.shape == "url" or c.kind == "url") and not c.links
    ]
    inner = f"{scene.outline.each.name}." if scene.outline.each else ""
    found.sort(
        key=lambda c: (
            not (inner and c.path.startswith(inner)),
            not c.means("pdf", "file", "link", "image"),
            -c.fill,
        )
    )
    if not found:
        return None
    names = [
        c
        for c in scene.columns
        if c.text and c.shape != "url" and c.means("file", "name", "reference")
    ]
    names.sort(
        key=lambda c: (
            not c.means("file"),
            bool(part_of(scene, c)),
            not c.means("reference"),
            len(c.path),
        )
    )
    name: Any = names[0].path if names else "$key"
    reasons = (f"{found[0].path} holds addresses of files",)
    return Proposal(
        target,
        {"download": found[0].path, "name": name},
        0.88,
        reasons,
        (found[0].path, name),
    )


def duration(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """How long something takes: from its start to its end, or as a number of minutes."""
    start = next(
        (c for c in scene.columns if c.moment and c.means("start")), None
    )
    end = next((c for c in scene.columns if c.moment and c.means("end")), None)
    if start and end:
        parts: Mapping[str, str] = {"start": start.path, "end": end.path}
        return Proposal(
            target,
            {"from": dict(parts), "using": "dates.duration"},
            0.93,
            ("a start and an end",),
            tuple(parts.values()),
        )
    length = next(
        (c for c in scene.columns if c.number and c.means("duration")), None
    )
    if length:
        return Proposal(
            target,
            {"from": length.path, "using": "dates.minutes"},
            0.85,
            (f"{length.path} is a number",),
            (length.path,),
        )
    return None
