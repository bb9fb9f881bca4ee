"""Which row is this? The one place that says which destination row a record or a write stands for.

A row with a key of ours is known by its key, one whose id we gave by its id. Any other is known by
what was sent: the rules below are tried in their order, each on what the rules before it left, and
a row stands for one record only. Who asks decides among which rows: reconciling among those that
no link stands for, adopting among those below parents that are adopted themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.model import FieldType
from engine.destination.rows import Row, RowCodec
from engine.values import Names, digest, folded, grouped, is_empty, word

# kinds whose values agree only where they are equal
EXACT = ("text", "integer", "id", "reference")

# kinds whose values many rows have in common
COMMON = (
    "reference",
    "enum",
    "boolean",
    "date",
    "datetime",
    "time",
    "duration",
)
# letters of a beginning that shows a text
FEWEST = 4


class Wanted(msgspec.Struct, frozen=True):
    """What a row must hold to stand for a record: plain values of its distinguishing fields."""

    key: str
    values: Row
    fields: Names

    @property
    def filled(self) -> Names:
        """The distinguishing fields that have a value."""
        return tuple(
            name for name in self.fields if not is_empty(self.values.get(name))
        )

    def parents(self, codec: RowCodec) -> Names:
        """The distinguishing fields with a value that refer to other rows."""
        return tuple(name for name in self.filled if codec.names_parent(name))


Fits = Callable[[Wanted, Row, RowCodec], bool]


class Rule(msgspec.Struct, frozen=True):
    """One way of recognising a row."""

    name: str
    fits: Fits


def exactly(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """Everything as it was sent, and nothing where nothing was sent."""
    return as_sent(wanted, row, codec) and _no_more(wanted, row, codec)


def tidied_alone(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """Everything as the platform may have tidied it, and nothing where nothing was sent: closer
    than a row that holds what was sent to the letter, and something else besides.
    """
    return as_tidied(wanted, row, codec) and _no_more(wanted, row, codec)


def _no_more(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    unsent = [name for name in wanted.fields if name not in wanted.filled]
    return all(is_empty(codec.get(row, name)) for name in unsent)


def as_sent(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """Everything as it was sent; platforms fill other fields by themselves."""
    return _all(wanted, row, codec, codec.equal)


def as_tidied(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """Everything as the platform may have tidied it."""
    return _all(wanted, row, codec, codec.alike)


def _all(
    wanted: Wanted,
    row: Row,
    codec: RowCodec,
    same: Callable[[str, Any, Any], bool],
) -> bool:
    if not wanted.filled:
        return False
    return all(
        same(name, wanted.values[name], codec.get(row, name))
        for name in wanted.filled
    )


def edited_since(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """One text differs, but the row carries the very moment in the past that we gave it."""
    other = [
        name
        for name in wanted.filled
        if not codec.alike(name, wanted.values[name], codec.get(row, name))
    ]
    dated = [
        name
        for name in wanted.filled
        if kind_of(codec, name).kind == "datetime"
    ]
    return bool(set(dated) - set(other)) and len(other) <= 1


def nearly(telling: Wanted, sent: Wanted, row: Row, codec: RowCodec) -> bool:
    """Whether a row may be one that the platform made of what was sent, and altered: it shows most
    of it, and in a field that tells rows apart a text, or the beginning of one.
    """

    def shows(name: str) -> bool:
        value, live = sent.values[name], codec.get(row, name)
        return codec.alike(name, value, live) or begins_with(value, live)

    own = [
        name
        for name in telling.filled or sent.filled
        if name in sent.values and kind_of(codec, name).kind not in COMMON
    ]
    most = 2 * sum(map(shows, sent.filled)) > len(sent.filled)
    return most and any(map(shows, own))


def may_be(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
    """Whether a row, of which a list does not show all that tells rows apart, agrees as far as it
    is shown.
    """
    shown = [name for name in wanted.filled if codec.shows(row, name)]

    def agrees(name: str) -> bool:
        value, live = wanted.values[name], codec.get(row, name)
        return codec.alike(name, value, live) or begins_with(value, live)

    return len(shown) < len(wanted.filled) and all(map(agrees, shown))


def begins_with(sent: Any, live: Any) -> bool:
    """Whether a row holds the beginning of a text that was sent, as after a cut."""
    if not (isinstance(sent, str) and isinstance(live, str)):
        return False
    part = live.strip()
    return len(part) >= FEWEST and sent.strip().startswith(part)


def kind_of(codec: RowCodec, name: str) -> FieldType:
    """The type of a field; one that the connector does not declare is text."""
    return codec.kind(name) or FieldType("text")


RECOGNISE = (
    Rule("exactly as sent", exactly),
    Rule("as the platform tidies it, and nothing else", tidied_alone),
    Rule("as sent, other fields filled by the platform", as_sent),
    Rule("as the platform tidies it", as_tidied),
    Rule("with its moment, one text edited since", edited_since),
)
BY_OWN_ID = (
    Rule("as sent, other fields filled by the platform", as_sent),
    Rule("as the platform tidies it", as_tidied),
)
AGREEING = (Rule("agrees in the fields of `match`", as_sent),)


def agreeing(ignoring: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of `match`: a row that agrees to the letter comes first."""
    if not ignoring:
        return AGREEING

    def fits(wanted: Wanted, row: Row, codec: RowCodec) -> bool:
        def same(name: str, value: Any, live: Any) -> bool:
            return codec.equal(
                name, folded(value, ignoring), folded(live, ignoring)
            )

        return _all(wanted, row, codec, same)

    return (*AGREEING, Rule(f"agrees but for {' and '.join(ignoring)}", fits))


def match(
    codec: RowCodec,
    wanted: Sequence[Wanted],
    rows: Iterable[Row],
    rules: Sequence[Rule],
) -> dict[str, Row]:
    """The row of each key, as far as one is found; no row stands for two keys.

    Only rows beside the same parents are compared, so the work grows with the children of one
    parent, not with the size of the collection.
    """
    waiting = grouped((item.parents(codec), item) for item in wanted)
    free = list(rows)
    found: dict[str, Row] = {}
    for rule in rules:
        for parents, items in waiting.items():
            _by_rule(
                codec,
                rule,
                parents,
                [i for i in items if i.key not in found],
                free,
                found,
            )
    return found


def all_sent(key: str, body: Row, draft: Row, codec: RowCodec) -> Wanted:
    """All that a creation sent."""
    return Wanted(key, field_values(codec, body, tuple(draft)), tuple(draft))


def fields_of(sent: Iterable[Wanted]) -> Names:
    """The fields in which at least one of them was sent."""
    return tuple(dict.fromkeys(name for one in sent for name in one.fields))


def told_apart(
    codec: RowCodec,
    sent: Sequence[Wanted],
    rows: Sequence[Row],
    fields: Names,
) -> dict[str, Row]:
    """The row of each key by these fields, as far as no other can be it and it stands for no
    other.

    What was sent alike in everything is alike: any of its rows stands for any of it.
    """
    waiting = grouped((digest(one.values), one) for one in sent)
    found: dict[str, Row] = {}
    for rule in RECOGNISE[:-1]:
        taken = set(map(id, found.values()))
        free = [row for row in rows if id(row) not in taken]
        fitting = {}
        for mark, (one, *_) in waiting.items():
            item = structs.replace(one, fields=fields)
            fitting[mark] = [row for row in free if rule.fits(item, row, codec)]

        for mark in _undisputed(fitting, waiting):
            keys = [one.key for one in waiting.pop(mark)]
            found |= zip(keys, fitting[mark], strict=True)
    return found


def _undisputed(
    fitting: Mapping[str, Sequence[Row]],
    waiting: Mapping[str, Sequence[Wanted]],
) -> list[str]:
    """Those that just as many rows fit as they wait for, and nobody else claims one of these."""
    claims = Counter(id(row) for rows in fitting.values() for row in rows)
    return [
        mark
        for mark, rows in fitting.items()
        if len(rows) == len(waiting[mark])
        and all(claims[id(row)] == 1 for row in rows)
    ]


def rows_beside(
    codec: RowCodec, wanted: Sequence[Wanted], rows: Sequence[Row]
) -> list[Row]:
    """The rows that name the same parents as one that is wanted: no other can be it."""
    places: dict[Names, set[tuple[str, ...]]] = {}
    for item in wanted:
        parents = item.parents(codec)
        places.setdefault(parents, set()).add(_place(item.values, parents))

    def beside(row: Row) -> bool:
        return any(
            _place(field_values(codec, row, parents), parents) in found
            for parents, found in places.items()
        )

    return [row for row in rows if beside(row)]


def _by_rule(
    codec: RowCodec,
    rule: Rule,
    parents: Names,
    items: Sequence[Wanted],
    free: list[Row],
    found: dict[str, Row],
) -> None:
    """Give each of these the first free row that fits; what is given is free no longer."""
    beside = grouped(
        (_place(field_values(codec, row, parents), parents), row)
        for row in (free if items else ())
    )
    taken = set()
    for item in items:
        rows = beside.get(_place(item.values, parents), [])
        hit = next(
            (
                row
                for row in rows
                if id(row) not in taken and rule.fits(item, row, codec)
            ),
            None,
        )
        if hit is not None:
            found[item.key] = hit
            taken.add(id(hit))

    free[:] = [row for row in free if id(row) not in taken]


def field_values(
    codec: RowCodec, row: Row, fields: Sequence[str]
) -> dict[str, Any]:
    """What a row holds in some fields."""
    return {name: codec.get(row, name) for name in fields}


def _place(values: Row, parents: Sequence[str]) -> tuple[str, ...]:
    return tuple(word(values.get(name)) for name in parents)


def by_key(codec: RowCodec, target: str, rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by the key of ours that they carry; of several with one key the first."""
    found: dict[str, Row] = {}
    for row in rows:
        key = codec.get(row, target)
        if not is_empty(key):
            found.setdefault(str(key), row)
    return found


def by_own_id(
    codec: RowCodec, wanted: Mapping[str, Wanted], live: Mapping[str, Row]
) -> dict[str, Row]:
    """The rows at the ids we gave, where they hold what was sent; people's own hold other values.

    `wanted` and `live` are by the id that was given.
    """
    found: dict[str, Row] = {}
    for row_id, item in wanted.items():
        row = live.get(row_id)
        if row and any(rule.fits(item, row, codec) for rule in BY_OWN_ID):
            found[item.key] = row
    return found


def tokens(codec: RowCodec, values: Row, fields: Sequence[str]) -> list[str]:
    """What a row of these values is looked up by: each parent it names, or its exact values."""
    named = [
        f"{name}={word(values.get(name))}"
        for name in fields
        if codec.names_parent(name) and values.get(name)
    ]
    return named or [exact_token(codec, values, fields)]


def exact_token(
    codec: RowCodec,
    values: Row,
    fields: Sequence[str],
    ignoring: Sequence[str] = (),
) -> str:
    """What two rows must have in common to agree in these fields at all."""
    exact = [name for name in fields if kind_of(codec, name).kind in EXACT]
    texts = {name: word(values.get(name)).strip() for name in exact}
    return "\n".join(
        f"{name}={folded(text, ignoring)}" for name, text in texts.items()
    )
