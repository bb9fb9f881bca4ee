"""Links between records: owners, parents, stages, and people taking part, as lookups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.connector.model import FieldType
from workbench.propose.profile import Column, business, columns, stem
from workbench.propose.scene import Outline, Proposal, Scene
from workbench.propose.states import states_of, telling_apart
from workbench.propose.words import has, likeness, meaning, slug, spoken

_PARTS = (
    "owner",
    "assignee",
    "creator",
)  # who stands for a record, likeliest first


def owner(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """The person a record belongs to, as a lookup among the users."""
    if not scene.people:
        return None
    found = _by_part(scene.linking([scene.people]))
    if found:
        paths = [column.path for column in found]
        reason = f"{', '.join(paths)} name{'s' if len(paths) == 1 else ''} a row of {scene.people}"
        sure = 0.93 if found[0].means("owner", "assignee") else 0.82
        if not has(
            meaning(target), "owner", "assignee"
        ) and _led_by_its_own_record(scene):
            sure = 0.6  # a note on a record need not be by the record's people
        return Proposal(
            target,
            {"lookup": "users", "by": paths[0] if len(paths) == 1 else paths},
            sure,
            (reason,),
            tuple(paths),
        )
    for link in _to_companies(scene):
        alias, related, around = scene.around(link)
        theirs = _by_part(
            [column for column in around if scene.people in column.links]
        )
        if theirs:
            path = f"{alias}.{theirs[0].path}"
            reason = (
                f"names nobody itself; {link.path} leads to a row that does"
            )
            return Proposal(
                target,
                {"lookup": "users", "by": path},
                0.7,
                (reason,),
                (path,),
                related,
            )
    return Proposal(
        target,
        {"lookup": "users", "by": "$none"},
        0.6,
        ("no field names a person: the fallback owner",),
        ("$none",),
    )


def _by_part(found: Sequence[Column]) -> list[Column]:
    def rank(column: Column) -> tuple[int, float]:
        part = next(
            (
                place
                for place, concept in enumerate(_PARTS)
                if column.means(concept)
            ),
            len(_PARTS) - 1,
        )
        return part, -column.fill

    return sorted(found, key=rank)[:3]


def _to_companies(scene: Scene) -> list[Column]:
    found = [
        column
        for column in scene.columns
        if any(has(meaning(name), "company", "lead") for name in column.links)
    ]
    return sorted(found, key=lambda column: -column.fill)


def reference(
    scene: Scene, target: str, field_type: FieldType
) -> Proposal | None:
    """A row that an object further up made: of this very record, of one it names, or of one that
    shares a link with it.
    """
    above = [item for item in scene.above if item.resource in field_type.to]
    own = [
        item
        for item in above
        if set(item.sources) & set(scene.outline.sources) and not item.each
    ]
    if own:
        sure = (
            0.92
            if all(
                any(set(item.sources) & {source} for item in own)
                for source in scene.outline.sources
            )
            else 0.85
        )
        written = {"lookup": _names(own), "by": scene.key, "on_miss": "fail"}
        return Proposal(
            target,
            written,
            sure,
            (f"the same record became {_listed(own)}",),
            (scene.key,),
        )
    direct, shared = (
        _direct(scene, target, above),
        _shared(scene, target, above),
    )
    if direct and shared and direct.paths == shared.paths:
        both = [shared.written, {**direct.written, "on_miss": "omit"}]
        paths = tuple(dict.fromkeys((*shared.paths, *direct.paths)))
        return Proposal(
            target, both, 0.75, (*shared.reasons, *direct.reasons), paths
        )
    found = direct or shared
    if found and direct and _led_by_its_own_record(scene):
        return Proposal(
            found.target,
            found.written,
            0.45,
            (*found.reasons, "but this hangs on another record already"),
            found.paths,
        )
    return found


def _led_by_its_own_record(scene: Scene) -> bool:
    """Whether some field of the resource already ties the row to what the same record became."""
    wanted = {
        name for field_type in scene.fields.values() for name in field_type.to
    }
    return any(
        item.resource in wanted
        and set(item.sources) & set(scene.outline.sources)
        for item in scene.above
    )


def _direct(
    scene: Scene, target: str, above: Sequence[Outline]
) -> Proposal | None:
    best: tuple[float, Column, list[Outline]] | None = None
    for column in scene.columns:
        hits = [item for item in above if set(item.sources) & set(column.links)]
        if hits:
            score = (
                likeness(meaning(stem(column.path)), meaning(stem(target)))
                + column.fill / 2
            )
            best = (
                max([best, (score, column, hits)], key=lambda item: item[0])
                if best
                else (score, column, hits)
            )
    if best is None:
        return None
    _, column, hits = best
    miss = "fail" if scene.fields[target].required else "report"
    written = {"lookup": _names(hits), "by": column.path, "on_miss": miss}
    sure = 0.93 if column.fill > 0 else 0.6
    return Proposal(
        target,
        written,
        sure,
        (
            (
                f"{column.path} names a row of {', '.join(column.links[:3])}; {column.described}"
            ),
        ),
        (column.path,),
    )


def _shared(
    scene: Scene, target: str, above: Sequence[Outline]
) -> Proposal | None:
    """The first person of the company that the record names."""
    for item in above:
        if set(item.sources) & set(scene.outline.sources) or not has(
            meaning(item.resource), "person"
        ):
            continue
        theirs = business(
            None, item.sources, columns(scene.source, item.sources, scene.rows)
        )
        for column in _to_companies(scene):
            same = [
                other
                for other in theirs
                if other.links
                and set(other.links) == set(column.links)
                and "." not in other.path
            ]
            if same:
                written = {
                    "lookup": item.name,
                    "by": column.path,
                    "on": same[0].path,
                    "on_many": "first",
                    "on_miss": "omit",
                }
                return Proposal(
                    target,
                    written,
                    0.72,
                    (f"the first of {item.name} with the same {column.path}",),
                    (column.path,),
                )
    return None


def stage(scene: Scene, target: str, _: FieldType) -> Proposal | None:
    """The stage of a pipeline, made of the states of the source."""
    found = states_of(scene, "stage") or states_of(scene, "status")
    if found is None or not found.counts:
        return None
    name = slug(scene.outline.name)
    if found.link is None:
        stages: Any = list(found.counts)
        path, reason = (
            found.path,
            f"{found.path} has {len(found.counts)} different values",
        )
    else:
        field, value = telling_apart(scene, found)
        stages = {
            "from": found.link.links[0],
            **({"where": {field: value}} if field else {}),
            "label": found.label,
        }
        order = next(
            (
                c.path
                for c in scene.around(found.link)[2]
                if c.means("order_of", "order") and c.number
            ),
            "",
        )
        stages |= {"order": order} if order else {}
        path, reason = (
            found.link.path,
            f"{found.link.path} names a row of {found.link.links[0]}",
        )
    pipeline = {name: {"name": spoken(scene.outline.name), "stages": stages}}
    written = {"lookup": f"pipelines.{name}", "by": path, "on_miss": "report"}
    sure = 0.88 * found.sure if len(found.counts) > 1 else 0.4
    return Proposal(
        target, written, round(sure, 2), (reason,), (path,), pipeline=pipeline
    )


def participants(
    scene: Scene, target: str, field_type: FieldType
) -> Proposal | None:
    """A list of people taking part, of the one person the record names."""
    for name, inner in (field_type.shape or {}).items():
        if inner.kind != "reference":
            continue
        found = _inner(scene, name, inner)
        if found is None:
            return None
        flag = {
            part: {"value": True}
            for part, shape in (field_type.shape or {}).items()
            if shape.kind == "boolean"
        }
        written = {"list": [{name: found.written, **flag}]}
        return Proposal(
            target, written, found.confidence, found.reasons, found.paths
        )
    return None


def _inner(scene: Scene, name: str, field_type: FieldType) -> Proposal | None:
    above = [item for item in scene.above if item.resource in field_type.to]
    linking = scene.linking(
        [source for item in above for source in item.sources]
    )
    direct = next(
        (column for column in linking if column.means("person", "user")), None
    )
    if direct:
        hits = [item for item in above if set(item.sources) & set(direct.links)]
        written = {"lookup": _names(hits), "by": direct.path, "on_miss": "omit"}
        return Proposal(
            name,
            written,
            0.9,
            (f"{direct.path} names a row of {', '.join(direct.links)}",),
            (direct.path,),
        )
    return _shared(scene, name, above)


def _names(found: Sequence[Outline]) -> str | list[str]:
    names = list(dict.fromkeys(item.name for item in found))
    return names[0] if len(names) == 1 else names


def _listed(found: Sequence[Outline]) -> str:
    return " or ".join(dict.fromkeys(item.name for item in found))
