"""What no field of the destination takes: custom fields of the right type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.doubts import folded
from workbench.propose.profile import Column, stem
from workbench.propose.scene import Proposal, Scene, label_of, part_of
from workbench.propose.words import has, likeness, meaning, slug, spoken

_TECHNICAL = (
    "deleted",
    "private",
    "visible",
    "external",
    "latitude",
    "longitude",
    "exchange",
    "image",
    "pdf",
    "size",
    "order_of",
    "bank",
    "key",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of custom field, the expression that fills it, and how sure it is that people want
    it.
    """

    type: str
    written: Any
    sure: float
    reason: str
    paths: tuple[str, ...] = ()
    related: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Any = None


def custom(
    scene: Scene, own: Sequence[Proposal], carried: Collection[str]
) -> Iterator[Proposal]:
    """A custom field for the source's key, and one for every field that says something and goes
    nowhere else.

    `carried` are the collections that an object further up already migrates in full.
    """
    rules = scene.destination.resources[scene.outline.resource].custom
    if rules is None or scene.outline.each:
        return
    key = {"name": f"{scene.source.title} key", "type": "text", "key": True}
    yield Proposal(
        "custom.source_key",
        "$key",
        0.99,
        ("by it a record is found again",),
        ("$key",),
        custom=key,
    )
    taken = _taken(own)
    names: set[str] = {"source_key"}
    elsewhere = any(source in carried for source in scene.outline.sources)
    for column in scene.columns:
        if column.path in taken or not _worth(column):
            continue
        found = next(
            (
                kind
                for rule in _RULES
                if (kind := rule(scene, column)) is not None
            ),
            None,
        )
        if (
            found is None
            or found.type not in rules.types
            or (elsewhere and not column.means("modified"))
        ):
            continue
        name = _name(column, names)
        names.add(name)
        yield _proposal(scene, column, name, found, own)


def _taken(own: Sequence[Proposal]) -> set[str]:
    """Paths of which the destination's own fields lose nothing."""
    found: set[str] = set()
    for item in own:
        lossy = isinstance(item.written, dict) and (
            "map" in item.written
            or "when" in item.written
            or "template" in item.written
        )
        if item.confidence >= 0.5 and not lossy:
            found.update(
                item.paths[:1] if _only_first(item.written) else item.paths
            )
            found.update(
                str(row["by"])
                for row in item.related.values()
                if isinstance(item.written, str)
            )
    return found


def _only_first(written: Any) -> bool:
    """Whether all but the first of the paths only stand in for it."""
    inner = (
        (written.get("from") or written.get("by"))
        if isinstance(written, dict)
        else written
    )
    return isinstance(inner, list)


def _worth(column: Column) -> bool:
    return (
        column.shape != "list"
        and column.kind not in ("list", "object")
        and "." not in column.path
    )


def _name(column: Column, taken: set[str]) -> str:
    name = slug(stem(column.path) if column.links else column.path)
    return name if name not in taken else f"{name}_2"


def _proposal(
    scene: Scene, column: Column, name: str, kind: Kind, own: Sequence[Proposal]
) -> Proposal:
    doubts = [(most, doubt) for most, doubt in _doubts(scene, column) if doubt]
    sure = min([kind.sure, *(most for most, _ in doubts)])
    seen = (
        [f"filled in {column.fill:.0%} of {column.seen}"]
        if column.filled
        else []
    )
    reasons = [kind.reason, *seen, *(doubt for _, doubt in doubts)]
    if any(column.path in item.paths for item in own) and not column.links:
        reasons.append("the destination's own field keeps less of it")
    own_fields = {known: of for known, of in scene.named.items() if of}
    label = next(
        (known for known in own_fields if slug(known) == name), spoken(name)
    )
    if folded(label) in scene.occupied:
        label = f"{label} ({scene.source.title})"
    declared = {"name": label, "type": own_fields.get(label, kind.type)} | (
        {"options": kind.options} if kind.options else {}
    )
    return Proposal(
        f"custom.{name}",
        kind.written,
        round(sure, 2),
        tuple(reasons),
        kind.paths or (column.path,),
        kind.related,
        declared,
    )


def _doubts(scene: Scene, column: Column) -> Iterator[tuple[float, str]]:
    """What speaks against a field of its own, with the most that it can be sure of then."""
    yield 0.4, "never filled" if column.seen and not column.filled else ""
    yield (
        0.55,
        (
            "always the same"
            if column.filled > 2
            and len(column.values) == 1
            and not column.boolean
            else ""
        ),
    )
    part = part_of(scene, column)
    yield 0.35, f"part of {part}" if part else ""


# -- one rule for each sort of field, the first that knows it decides


def _technical(_: Scene, column: Column) -> Kind | None:
    if (
        column.means(*_TECHNICAL)
        and not column.links
        and not column.means("tax_id", "barcode", "serial", "email")
    ):
        return Kind("text", column.path, 0.3, "looks technical")
    return None


def _linked(scene: Scene, column: Column) -> Kind | None:
    if not column.links:
        return None
    if set(column.links) & {
        source
        for item in (*scene.above, scene.outline)
        for source in item.sources
    }:
        return _to_migrated(scene, column)
    alias, related, around = scene.around(column)
    named = label_of(around)
    if named is None:
        return Kind(
            "text",
            column.path,
            0.3,
            f"names a row of {column.links[0]}, whose rows have no name",
        )
    path = f"{alias}.{named.path}"
    reason = f"names a row of {column.links[0]}"
    if scene.people in column.links:
        last = next((c for c in around if c.means("last_name")), None)
        parts = (
            {"first": path, "last": f"{alias}.{last.path}"}
            if last
            else {"first": path}
        )
        return Kind(
            "text",
            {"from": parts, "using": {"text.join": " "}},
            0.6,
            reason,
            tuple(parts.values()),
            related,
        )
    if column.means("category", "type"):
        return Kind(
            "enum",
            path,
            0.82,
            reason,
            (path,),
            related,
            {"from": column.links[0], "label": named.path},
        )
    sure = 0.82 if column.means("status", "stage") else 0.72
    if column.means("bank", "serial", "tax", "external"):
        sure = 0.3
    return Kind("text", path, sure, reason, (path,), related)


def _to_migrated(scene: Scene, column: Column) -> Kind | None:
    """A link to a record that is migrated too, where no lookup of the destination takes it: its
    number, to read.
    """
    if not column.means("parent", "document"):
        return None
    alias, related, around = scene.around(column)
    number = next(
        (c for c in around if c.means("reference") and c.unique), None
    ) or label_of(around)
    if number is None:
        return None
    path = f"{alias}.{number.path}"
    return Kind(
        "text", path, 0.7, f"names a row of {column.links[0]}", (path,), related
    )


@dataclass(frozen=True, slots=True)
class _Contact:
    """A way to reach somebody, by the concepts of its name or by the shape of its values."""

    concepts: tuple[str, ...]
    shape: str
    type: str
    using: Any
    sure: float
    reason: str


_E164 = {"phone.e164": {"region": "$settings.phone_region"}}
_CONTACTS = (
    _Contact(("tax_id",), "", "text", "ids.tax_id", 0.92, "a tax number"),
    _Contact(("fax",), "", "text", "text.squash", 0.85, "a fax number"),
    _Contact(("phone", "mobile"), "", "phone", _E164, 0.86, "a phone number"),
    _Contact(
        ("email",), "email", "text", "text.strip", 0.86, "an e-mail address"
    ),
    _Contact(("website",), "", "text", "text.strip", 0.85, "a web address"),
    _Contact((), "url", "text", "text.strip", 0.5, "a web address"),
)


def _contact(_: Scene, column: Column) -> Kind | None:
    if column.number and not column.means("phone", "mobile", "fax", "tax_id"):
        return None
    for contact in _CONTACTS:
        shaped = contact.shape and column.shape == contact.shape
        if shaped or column.means(*contact.concepts):
            written = {"from": column.path, "using": contact.using}
            return Kind(contact.type, written, contact.sure, contact.reason)
    return None


def _moment(scene: Scene, column: Column) -> Kind | None:
    if not column.moment:
        return None
    kept = any(
        field_type.writable and has(meaning(name), "created")
        for name, field_type in scene.fields.items()
    )
    if column.means("created", "modified"):
        sure = 0.6 if kept and column.means("created") else 0.7
        return Kind(
            "text",
            {"from": column.path, "using": "dates.iso_text"},
            sure,
            "a moment, kept as it was",
        )
    sure = (
        0.85
        if column.means("due", "valid", "birthday", "expected")
        or column.shape == "midnight"
        else 0.7
    )
    return Kind(
        "date", {"from": column.path, "using": "dates.date"}, sure, "a date"
    )


def _amount(scene: Scene, column: Column) -> Kind | None:
    if not column.number or column.boolean:
        return None
    if column.means("percent", "discount") and not column.means("amount"):
        sure = 0.4 if column.means("margin") else 0.55
        if column.means("discount"):
            sure = 0.78
        return Kind("number", column.path, sure, "a percentage")
    if column.means(
        "amount", "net", "price", "cost", "remaining", "paid"
    ) and not column.means("margin"):
        return _money(scene, column)
    if column.means("stock", "quantity", "count", "weight"):
        return Kind("number", column.path, 0.65, "a quantity")
    return (
        Kind("number", column.path, 0.55, "a number")
        if column.kind != "text"
        else None
    )


def _money(scene: Scene, column: Column) -> Kind:
    own = scene.currency
    if own is None:
        return Kind(
            "number", column.path, 0.6, "an amount; records name no currency"
        )
    parts = {"value": column.path, "currency": [own.path, "$settings.currency"]}
    paths = (column.path, own.path, "$settings.currency")
    sure = 0.6 if column.means("discount", "price", "cost") else 0.85
    return Kind(
        "money",
        {"from": parts, "using": "money.with_currency"},
        sure,
        "an amount of money",
        paths,
    )


def _boolean(_: Scene, column: Column) -> Kind | None:
    if not column.boolean:
        return None
    written = {
        "from": column.path,
        "map": {"true": "Yes", "false": "No"},
        "else": "omit",
    }
    return Kind(
        "enum",
        written,
        0.6 if likeness(column.meaning, meaning("active")) > 0.6 else 0.4,
        "true or false",
        options=["Yes", "No"],
    )


def _prose(scene: Scene, column: Column) -> Kind | None:
    if column.means("comment", "description") or column.shape in (
        "html",
        "long",
    ):
        sure, reason = (
            (0.55, f"text for people; {scene.noted} may say it")
            if scene.noted
            else (0.82, "text for people")
        )
        return Kind(
            "long_text",
            {"from": column.path, "using": "text.strip"},
            sure,
            reason,
        )
    return None


def _text(scene: Scene, column: Column) -> Kind | None:
    if column.means("currency"):
        return Kind("text", column.path, 0.35, "a currency; amounts carry it")
    if column.choice:
        options = list(
            dict.fromkeys(
                value.strip() for value in column.values if value.strip()
            )
        )
        return Kind(
            "enum",
            {"from": column.path, "using": "text.strip"},
            0.75,
            f"{len(options)} different values",
            options=options,
        )
    named = (
        column.means(
            "name", "legal_name", "trade_name", "first_name", "last_name"
        )
        and likeness(column.meaning, meaning("name")) > 0.6
    )
    if named and any(has(meaning(name), "name") for name in scene.fields):
        return Kind("text", column.path, 0.4, "another name")
    if column.means(
        "reference", "barcode", "serial", "position", "code", "title"
    ):
        return Kind(
            "text",
            {"from": column.path, "using": "text.strip"},
            0.85,
            "what people know the record by",
        )
    if column.means("status", "stage"):
        return Kind("text", column.path, 0.8, "a state")
    return Kind(
        "text", {"from": column.path, "using": "text.strip"}, 0.6, "text"
    )


_RULES: tuple[Callable[[Scene, Column], Kind | None], ...] = (
    _technical,
    _linked,
    _contact,
    _moment,
    _amount,
    _boolean,
    _prose,
    _text,
)
