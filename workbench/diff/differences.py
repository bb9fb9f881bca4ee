"""Two specs compared by what they mean: what a reviewer of a mapping change has to look at."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.values import canonical
from workbench.meaning import Part, Weight

Kind = Literal["added", "removed", "changed", "renamed"]
CATEGORIES: Mapping[Weight, str] = {
    "none": "no effect on data",
    "data": "rewrites records",
    "schema": "creates or drops a custom field",
    "identity": "changes identity or order: take a fresh sample",
}
RENAMES = "only another name"
_ORDER: Sequence[Weight] = ("identity", "schema", "data", "none")
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that has changed."""

    area: str
    name: str
    kind: Kind
    weight: Weight
    # what inside the part, before, after
    details: tuple[tuple[str, str, str], ...]

    @property
    def category(self) -> str:
        """What the change does, in words."""
        return RENAMES if self.kind == "renamed" else CATEGORIES[self.weight]

    @property
    def title(self) -> str:
        """The part as people name it: `quotes: status`."""
        return (
            f"{self.area}: {self.name.removeprefix('fields.')}"
            if self.name
            else self.area
        )


def differences(old: Sequence[Part], new: Sequence[Part]) -> list[Difference]:
    """What differs in meaning, the most important first; a part written differently is the same
    part.
    """
    before, after = (
        {part.at: part for part in old},
        {part.at: part for part in new},
    )
    found = [
        _difference(before.get(at), after.get(at))
        for at in dict.fromkeys([*after, *before])
    ]
    whole = _whole_areas(
        [item for item in found if item],
        {part.area for part in old},
        {part.area for part in new},
    )
    return sorted(whole, key=lambda item: _ORDER.index(item.weight))


def _difference(old: Part | None, new: Part | None) -> Difference | None:
    if old is not None and new is not None:
        # that a connector's line bears on data now is what the change of the spec says
        weighed = "none" in (old.weight, new.weight) and not new.area.endswith(
            " connector"
        )
        if canonical(old.value) == canonical(new.value) and (
            old.weight == new.weight or not weighed
        ):
            return None
        weight = min(old.weight, new.weight, key=_ORDER.index)
        if _are_other_words(old, new):
            weight = "data"
        kind: Kind = "renamed" if _only_a_label(old, new) else "changed"
        return Difference(
            new.area, new.name, kind, weight, tuple(_details(old, new))
        )
    part = new or old
    assert part is not None
    kind = "added" if new else "removed"
    text = shown(part.shown)
    return Difference(
        part.area,
        part.name,
        kind,
        part.weight,
        (("", "" if new else text, text if new else ""),),
    )


def _are_other_words(old: Part, new: Part) -> bool:
    """Whether rows that the spec itself holds are the same, in the same order, and say something
    else, as in another language.
    """
    if new.name != "rows":
        return False
    before, after = (
        [row.get("id") for row in part.value] for part in (old, new)
    )
    return before == after and None not in after


def _only_a_label(old: Part, new: Part) -> bool:
    """Whether a custom field is the same but for the name that people see."""
    if new.area != "custom_fields" or old.value["label"] == new.value["label"]:
        return False
    before, after = ({**part.value, "label": ""} for part in (old, new))
    return canonical(before) == canonical(after)


def _whole_areas(
    found: Sequence[Difference], before: set[str], after: set[str]
) -> Iterator[Difference]:
    """An object that was added or removed is reported once, not field by field."""
    reported: set[str] = set()
    for item in found:
        if item.area in before and item.area in after:
            yield item
        elif item.area not in reported:
            reported.add(item.area)
            inside = [other for other in found if other.area == item.area]
            weight = min((other.weight for other in inside), key=_ORDER.index)
            many = sum(other.name.startswith("fields.") for other in inside)
            words = f"{many} fields" if many else f"{len(inside)} parts"
            yield Difference(
                item.area,
                "",
                item.kind,
                weight,
                (
                    (
                        "",
                        *(("", words) if item.kind == "added" else (words, "")),
                    ),
                ),
            )


def _details(old: Part, new: Part) -> Iterator[tuple[str, str, str]]:
    """Where inside a part the two differ: as written, or else in what the written stands for."""
    found = list(_leaves(old.shown, new.shown, "")) or list(
        _leaves(old.value, new.value, "")
    )
    texts = dict(_templates(old.value, "")), dict(_templates(new.value, ""))
    for at in texts[0].keys() & texts[1].keys():
        if texts[0][at] != texts[1][at]:
            found = [
                item
                for item in found
                if item[1:] != (shown(texts[0][at]), shown(texts[1][at]))
            ]
            found = [item for item in found if not item[0].endswith("template")]
            yield from _lines(texts[0][at], texts[1][at])
    yield from found


def _leaves(old: Any, new: Any, at: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _leaves(
                old.get(key), new.get(key), f"{at}.{key}" if at else str(key)
            )
        if old == new and list(old) != list(new):
            yield at, shown(list(old)), shown(list(new))
    elif canonical(old) != canonical(new):
        yield at, shown(old), shown(new)


def _templates(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Template texts inside a normal form, by their place."""
    if isinstance(value, dict):
        if isinstance(value.get("template"), str):
            yield at, value["template"]
        for key, item in value.items():
            yield from _templates(item, f"{at}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _templates(item, f"{at}[{position}]")


def _lines(old: str, new: str) -> Iterator[tuple[str, str, str]]:
    """The lines of a template that differ."""
    before, after = old.splitlines(), new.splitlines()
    for tag, a, b, c, d in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            yield (
                f"template line {c + 1}",
                "\n".join(before[a:b]),
                "\n".join(after[c:d]),
            )


def shown(value: Any) -> str:
    """A written value in one line: texts bare, the rest as JSON; nothing is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 2 * _SHOWN else text[: 2 * _SHOWN - 1] + "…"
