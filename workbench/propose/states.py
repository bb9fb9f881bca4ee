"""States and choices: which of the destination's words a source's word stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.connector.model import join_id
from engine.mapping.evaluate import record_key
from engine.values import dig, key_of, segments, word
from workbench.propose.profile import Column, business, columns
from workbench.propose.scene import Scene, label_of
from workbench.propose.words import kind, state

ENDED = ("won", "lost", "done")


@dataclass(frozen=True, slots=True)
class States:
    """The field with a record's state, the states seen there with how many records each has, and
    the link to them.
    """

    path: str  # how the spec reads the state's name
    counts: Mapping[str, int]
    related: Mapping[str, Mapping[str, Any]]
    # the field that names a row of the states, if they are rows
    link: Column | None = None
    label: str = ""
    sure: float = 1.0


def states_of(scene: Scene, *concepts: str) -> States | None:
    """The state (or stage, or type: as the concepts say) of the object's records."""
    for column in sorted(scene.columns, key=lambda item: -item.fill):
        last = column.meaning[-1:] or column.meaning
        if column.links and any(
            set(concepts) & item
            for name in column.links
            for item in _last(name)
        ):
            return _rows_of_states(scene, column)
        if (
            not column.links
            and not column.boolean
            and column.text
            and any(set(concepts) & item for item in last)
            and column.filled
        ):
            sure = 1.0 if column.choice else 0.8
            return States(column.path, column.values, {}, sure=sure)
    return None


def _last(name: str) -> tuple[frozenset[str], ...]:
    from workbench.propose.words import meaning

    return meaning(name)[-1:]


def _rows_of_states(scene: Scene, column: Column) -> States | None:
    alias, related, found = scene.around(column)
    label = label_of(found)
    if label is None:
        return None
    counts: Counter[str] = Counter()
    for row, many in linked_rows(scene, column):
        counts[word(dig(row, segments(label.path))).strip()] += many
    return States(f"{alias}.{label.path}", counts, related, column, label.path)


def linked_rows(
    scene: Scene, column: Column
) -> list[tuple[Mapping[str, Any], int]]:
    """The staged rows that a link's values name, with how many records name each."""
    resource = scene.source.resources
    by_key = {
        key_of(
            name,
            join_id(
                [word(body.get(part)) for part in resource[name].id_fields]
            ),
        ): body
        for name in column.links
        for body in scene.rows.get(name, ())
    }
    keys = (
        (record_key(value, column.links, scene.source.reference.pattern), many)
        for value, many in column.values.items()
    )
    return [(by_key[key], many) for key, many in keys if key in by_key]


def onto(found: States, options: Sequence[str]) -> tuple[dict[str, str], float]:
    """Each state's option, and the share of records whose state has one."""
    by_state = {state(option) or option: option for option in options}
    mapped: dict[str, str] = {}
    for value in _in_order(found):
        said = state(value)
        choice = by_state.get(said) or (
            by_state.get("won") if said == "done" else None
        )
        choice = choice or next(
            (
                option
                for option in options
                if option.casefold() == value.casefold()
            ),
            None,
        )
        if choice is not None:
            mapped[value] = choice
    return mapped, _share(found, mapped)


def ended(found: States) -> tuple[dict[str, bool], float]:
    """Whether each state means that nothing is left to do."""
    mapped = {
        value: state(value) in ENDED
        for value in _in_order(found)
        if state(value)
    }
    return mapped, _share(found, mapped)


def kinds(found: States) -> tuple[dict[str, str], float]:
    """What kind of thing to do each name stands for."""
    mapped = {value: kind(value) for value in _in_order(found) if kind(value)}
    return mapped, _share(found, mapped)


def _in_order(found: States) -> list[str]:
    return sorted(
        (value for value in found.counts if value),
        key=lambda value: (-found.counts[value], value),
    )


def _share(found: States, mapped: Iterable[str]) -> float:
    total = sum(many for value, many in found.counts.items() if value)
    return (
        sum(found.counts[value] for value in mapped) / total if total else 0.0
    )


def telling_apart(scene: Scene, found: States) -> tuple[str, str]:
    """The field, with its value, that picks this object's states out of a collection that holds
    other objects' too.
    """
    if found.link is None:
        return "", ""
    own = [row for row, _ in linked_rows(scene, found.link)]
    every = [
        row for name in found.link.links for row in scene.rows.get(name, ())
    ]
    for column in business(
        None, (), columns(scene.source, found.link.links, scene.rows)
    ):
        values = {word(dig(row, segments(column.path))) for row in own}
        others = {word(dig(row, segments(column.path))) for row in every}
        if (
            len(values) == 1
            and len(others) > 1
            and column.text
            and column.path != found.label
            and len(others) < len(every)
        ):
            return column.path, values.pop()
    return "", ""
