"""The destination's own fields: what each could be filled with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.connector.model import FieldType
from workbench.propose import composite, links
from workbench.propose.profile import Column
from workbench.propose.scene import (
    Proposal,
    Scene,
    label_of,
    number_of,
    part_of,
    underscored,
)
from workbench.propose.states import ended, kinds, onto, states_of
from workbench.propose.words import Meaning, has, likeness, meaning

Rule = Callable[[Scene, str, FieldType], Proposal | None]

_NAMES = (
    ("legal_name",),
    ("full_name",),
    ("name",),
    ("trade_name",),
    ("title",),
)
_QUIET = (
    "deleted",
    "private",
    "visible",
    "external",
    "latitude",
    "longitude",
    "exchange",
    "margin",
)
# for a text the destination needs; written so, it is not taken for the field of our key
STAND_IN = {"template": "{{ key }}"}
_UNIQUE = 0.9  # a label should tell nine records in ten apart


def native(scene: Scene) -> Iterator[Proposal]:
    """A proposal for every writable field of the destination that something speaks for."""
    people = scene.destination.users
    stages = scene.destination.pipelines
    for target, field_type in scene.fields.items():
        if not field_type.writable:
            continue
        rule = _rule(
            target,
            field_type,
            people.resource if people else "",
            stages.stages if stages else "",
        )
        found = rule(scene, target, field_type)
        if found is not None:
            yield found


def _rule(target: str, field_type: FieldType, people: str, stages: str) -> Rule:
    if field_type.kind == "reference":
        return _linking(field_type, people, stages)
    if field_type.shape:
        return _shaped(field_type)
    if field_type.one_of and field_type.kind != "file":
        return choice
    by_type: dict[str, Rule] = {
        "boolean": flag,
        "html": prose,
        "datetime": moment,
        "date": moment,
        "enum": option,
        "time": moment,
        "duration": composite.duration,
        "file": composite.file,
    }
    words = meaning(target)
    if field_type.kind == "time" and has(words, "duration"):
        return composite.duration
    return by_type.get(field_type.kind) or _named(field_type, words)


def _linking(field_type: FieldType, people: str, stages: str) -> Rule:
    if people in field_type.to:
        return links.owner
    return links.stage if stages in field_type.to else links.reference


def _named(field_type: FieldType, words: Meaning) -> Rule:
    """The rule for a plain field, by what it is called."""
    text = field_type.kind == "text"
    if has(words[-1:], "currency"):
        return currency
    if text and has(words, "name", "title") and not has(words, "currency"):
        return label
    return of_kind if text and has(words, "type") and len(words) == 1 else plain


def _shaped(field_type: FieldType) -> Rule:
    shape = field_type.shape or {}
    if composite.is_address(field_type):
        return composite.address
    if any(inner.kind == "reference" for inner in shape.values()):
        return links.participants
    if "price" in shape or "cost" in shape:
        return composite.prices
    return composite.entries


def label(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """What people call the record: a name, first and last name, or number and name where a name
    alone says too little.
    """
    first = next(
        (c for c in scene.columns if c.text and c.means("first_name")), None
    )
    last = next(
        (c for c in scene.columns if c.text and c.means("last_name")), None
    )
    names = _names(scene)
    if (
        first
        and last
        and not any(column.means("full_name", "legal_name") for column in names)
    ):
        parts = {"first": first.path, "last": last.path}
        return Proposal(
            target,
            {"from": parts, "using": {"text.join": " "}},
            0.93,
            ("first and last name",),
            tuple(parts.values()),
        )
    number = number_of(scene)
    steps: Any = (
        ["text.squash", {"text.truncate": field_type.max}]
        if field_type.max
        else "text.squash"
    )
    if (
        number
        and field_type.required
        and not _telling(names)
        and (found := _numbered(scene, target, number, steps))
    ):
        return found
    lacking = not names or (field_type.required and names[0].fill < 1)
    ordered = [
        *names,
        *([number] if number and number not in names and lacking else []),
    ]
    if not ordered:
        return _nameless(target, field_type)
    paths = [column.path for column in ordered[:3]]
    sure = 0.75 if names else 0.6
    if len(names) > 1 or (names and names[0].fill > 0.9):
        sure = 0.93
    reasons = (
        f"{paths[0]} is what the record is called; {ordered[0].described}",
    )
    return Proposal(
        target,
        {"from": paths[0] if len(paths) == 1 else paths, "using": steps},
        sure,
        reasons,
        tuple(paths),
    )


def _names(scene: Scene) -> list[Column]:
    found = []
    for concepts in _NAMES:
        found += [
            column
            for column in scene.columns
            if column.text
            and not column.links
            and "." not in column.path
            and column.shape not in ("email", "url")
            and column not in found
            and likeness(
                column.meaning, tuple(frozenset([c]) for c in concepts)
            )
            >= 0.99
        ]
    return sorted(found, key=lambda column: column.fill < 0.5)


def _telling(names: list[Column]) -> bool:
    """Whether the best name is there and tells records apart."""
    return (
        bool(names)
        and names[0].fill > 0.9
        and (
            not names[0].seen
            or len(names[0].values) >= _UNIQUE * names[0].filled
        )
    )


def _numbered(
    scene: Scene, target: str, number: Column, steps: Any
) -> Proposal | None:
    """The record's number with the name of whom it is about."""
    for column in scene.columns:
        if (
            any(
                has(meaning(name), "company", "lead", "person")
                for name in column.links
            )
            and column.fill > 0.5
        ):
            alias, related, around = scene.around(column)
            named = label_of(around)
            if named:
                first, second = (
                    underscored(number.path),
                    underscored(named.path),
                )
                text = f"{{{{ {first} }}}} {{{{ {alias}.{second} if {alias} else '' }}}}"
                reason = (
                    f"{number.path} tells records apart, no name does;"
                    f" {column.path} says whom it is about"
                )
                paths = (number.path, f"{alias}.{named.path}")
                return Proposal(
                    target,
                    {"template": text, "using": steps},
                    0.82,
                    (reason,),
                    paths,
                    related,
                )
    return None


def _nameless(target: str, field_type: FieldType) -> Proposal | None:
    if not field_type.required:
        return None
    return Proposal(
        target,
        STAND_IN,
        0.3,
        ("DECIDE: nothing like it was found, and the destination needs it",),
    )


def choice(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """A state, mapped word by word onto the destination's options."""
    found = states_of(scene, "status", "stage")
    if found is None:
        return None
    mapped, share = onto(found, field_type.one_of)
    if not mapped:
        return None
    otherwise = next(
        (option for option in field_type.one_of if option == "open"),
        field_type.one_of[0],
    )
    written = {
        "from": found.path,
        "using": "text.strip",
        "map": mapped,
        "else": otherwise,
    }
    left = [value for value in found.counts if value and value not in mapped]
    reasons = (
        f"{len(mapped)} of {len(mapped) + len(left)} values known by their word"
        + (f"; not known: {', '.join(left[:4])}" if left else ""),
    )
    return Proposal(
        target,
        written,
        round(0.9 * share * found.sure, 2),
        reasons,
        (found.path,),
        found.related,
    )


def flag(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """Yes or no: a field that says the same, or a state that means an end."""
    wanted = meaning(target)
    own = next(
        (
            c
            for c in scene.columns
            if c.boolean
            and not c.means(*_QUIET)
            and likeness(c.meaning, wanted) > 0.8
        ),
        None,
    )
    if own is None and has(wanted, "done"):
        own = next(
            (
                c
                for c in scene.columns
                if c.boolean and c.means("done", "paid") and "." not in c.path
            ),
            None,
        )
    if own is not None:
        return Proposal(
            target,
            {"from": own.path},
            0.86,
            (f"{own.path} is true or false",),
            (own.path,),
        )
    found = states_of(scene, "status", "stage") if has(wanted, "done") else None
    mapped, share = ended(found) if found else ({}, 0.0)
    if found is None or not mapped:
        return None
    written = {
        "from": found.path,
        "using": "text.strip",
        "map": mapped,
        "else": False,
    }
    return Proposal(
        target,
        written,
        round(0.88 * share * found.sure, 2),
        ("states that mean an end",),
        (found.path,),
        found.related,
    )


def of_kind(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """What kind of thing to do a record is."""
    found = states_of(scene, "type", "category")
    mapped, share = kinds(found) if found else ({}, 0.0)
    if found is None or not mapped:
        return None
    written = {
        "from": found.path,
        "using": "text.strip",
        "map": mapped,
        "else": "task",
    }
    return Proposal(
        target,
        written,
        round(0.9 * share * found.sure, 2),
        ("kinds known by their word",),
        (found.path,),
        found.related,
    )


def prose(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """Text for people."""
    found = [
        c
        for c in scene.columns
        if c.text
        and not c.links
        and c.means("comment", "description")
        and not c.means("private")
    ]
    found.sort(
        key=lambda c: (not c.means("comment"), c.path.count("."), -c.fill)
    )
    if not found:
        return _nameless(target, field_type)
    paths = [c.path for c in found]
    sure = 0.85 if len(found) == 1 and found[0].fill > 0.3 else 0.7
    return Proposal(
        target,
        paths[0],
        sure,
        (f"{paths[0]} is text; {found[0].described}",),
        (paths[0],),
    )


def option(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """A choice whose options are the rows of a collection the record names."""
    for column in scene.columns:
        if column.links and likeness(column.meaning, meaning(target)) >= 0.6:
            alias, related, around = scene.around(column)
            named = label_of(around)
            if named:
                path = f"{alias}.{named.path}"
                rows = (
                    {"from": column.links[0], "label": named.path}
                    if field_type.options
                    else {}
                )
                return Proposal(
                    target,
                    path,
                    0.88,
                    (f"{column.path} names a row of {column.links[0]}",),
                    (path,),
                    related,
                    options=rows,
                )
    return plain(scene, target, field_type)


def currency(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """The record's own currency, or the account's."""
    found = scene.currency
    if found is None:
        return Proposal(
            target,
            "$settings.currency",
            0.7,
            ("records name no currency",),
            ("$settings.currency",),
        )
    return Proposal(
        target,
        [found.path, "$settings.currency"],
        0.95,
        (f"{found.path} holds {found.described}",),
        (found.path, "$settings.currency"),
    )


# the destination's word -> what the source may call it, likeliest first, with how sure that is
_MOMENTS = {
    "due": (("due", 0.93), ("start", 0.9)),
    "created": (("created", 0.93),),
    "close": (("close", 0.9), ("end", 0.6)),
    "won": (("close", 0.85),),
    "lost": (("close", 0.85),),
    "expected": (("expected", 0.93), ("due", 0.6)),
}


def moment(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """A date, time or moment, in the form the destination takes."""
    words = meaning(target)
    wanted = next((key for key in _MOMENTS if has(words, key)), "")
    if wanted in ("won", "lost"):
        return _ending(scene, target, wanted)
    for concept, sure in _MOMENTS.get(wanted, ()):
        near = [
            c
            for c in scene.columns
            if c.moment and c.means(concept) and (c.fill > 0 or not c.seen)
        ]
        if near:
            return _moment(
                scene,
                target,
                min(
                    near,
                    key=lambda c: (c.path.count("."), len(c.meaning), -c.fill),
                ),
                sure,
            )
    if wanted == "created":
        changed = next(
            (
                c
                for c in scene.columns
                if c.moment and c.means("modified") and "." not in c.path
            ),
            None,
        )
        return _moment(scene, target, changed, 0.7) if changed else None
    pure = [
        c
        for c in scene.columns
        if c.moment
        and all(item <= {"date"} for item in c.meaning)
        and c.meaning
    ]
    pure += [
        c for c in scene.columns if c.moment and c.means("scheduled", "paid")
    ]
    if wanted != "due" or not pure:
        return None
    return _moment(scene, target, pure[0], 0.82 if pure[0].meaning else 0.6)


def _moment(
    scene: Scene, target: str, column: Column, sure: float
) -> Proposal | None:
    kind = scene.fields[target].kind
    if kind == "time" and column.shape == "midnight":
        return None
    timed = column.shape != "midnight" and any(
        other.kind == "time" and has(meaning(name), "due")
        for name, other in scene.fields.items()
    )
    written = {"from": column.path, "using": step_for(kind, column, timed)}
    return Proposal(
        target,
        written,
        sure,
        (f"{column.path}; {column.described}",),
        (column.path,),
    )


def step_for(kind: str, column: Column, timed: bool = False) -> Any:
    """The step that writes a moment as the destination wants it; a date that a time goes with is
    of the same clock.
    """
    wall = column.kind == "wall_time"
    zone = {"zone": "$settings.timezone", "wall": wall}
    match kind:
        case "date":
            return {"dates.utc_date": zone} if timed else "dates.date"
        case "time":
            return {"dates.time": zone}
    return (
        {"dates.to_utc": {"zone": "$settings.timezone", "wall": True}}
        if wall
        else "dates.to_utc"
    )


def _ending(scene: Scene, target: str, wanted: str) -> Proposal | None:
    """When a sale was won or lost: the day it closed, else its own date; only for records in
    such a state.
    """
    found = states_of(scene, "status", "stage")
    options = next(
        (
            field_type.one_of
            for field_type in scene.fields.values()
            if field_type.one_of and wanted in field_type.one_of
        ),
        (),
    )
    mapped = onto(found, options)[0] if found else {}
    values = [value for value, choice in mapped.items() if choice == wanted]
    dates = [c for c in scene.columns if c.moment and "." not in c.path]
    day = next((c for c in dates if c.means("close")), None) or next(
        (c for c in dates if all(i <= {"date"} for i in c.meaning)), None
    )
    if found is None or not values or day is None:
        return None
    test = values[0] if len(values) == 1 else {"in": values}
    written = {
        "from": day.path,
        "when": {found.path: test},
        "using": step_for("datetime", day),
    }
    sure = 0.85 if day.means("close") else 0.7
    return Proposal(
        target,
        written,
        sure,
        (f"the {day.path} of records in a state that means {wanted}",),
        (day.path,),
        found.related,
    )


def plain(scene: Scene, target: str, field_type: FieldType) -> Proposal | None:
    """Text or a number, by the likeness of the names."""
    if has(meaning(target), "visible", "label"):
        return None
    fits = [
        c
        for c in scene.columns
        if _fits(c, field_type) and not c.means(*_QUIET)
    ]
    scored = [(_score(scene, c, target), c) for c in fits]
    score, column = max(scored, key=lambda item: item[0], default=(0.0, None))
    if column is None or score < 0.45:
        return None
    written: Any = column.path
    if field_type.kind in ("number", "integer") and column.kind == "text":
        written = {"from": column.path, "using": "money.amount"}
    elif field_type.kind == "text" and column.shape in ("text", "html", "long"):
        written = {"from": column.path, "using": "text.strip"}
    return Proposal(
        target,
        written,
        round(0.95 * score, 2),
        (f"{column.path} and {target} mean the same; {column.described}",),
        (column.path,),
    )


def _score(scene: Scene, column: Column, target: str) -> float:
    near = likeness(column.meaning, meaning(target))
    inside = scene.outline.each and column.path.startswith(
        f"{scene.outline.each.name}."
    )
    if part_of(scene, column):
        near *= 0.6
    depth = (
        0.0
        if inside or (not scene.outline.each and "." not in column.path)
        else 0.15
    )
    return max(0.0, near - depth) * (0.9 + 0.1 * min(1.0, 2 * column.fill))


def _fits(column: Column, field_type: FieldType) -> bool:
    if field_type.kind in ("number", "integer"):
        return column.number and not column.links
    return (
        field_type.kind in ("text", "id", "url", "enum")
        and column.text
        and not column.number
    )
