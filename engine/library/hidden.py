"""Rows that no list of the source shows: looked for by gaps in ids, and by rows that name them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import gcd
from typing import Any

import msgspec

from engine.connector.model import FieldType, Resource
from engine.connector.references import any_key
from engine.connector.times import is_marked
from engine.errors import OutcomeUnknown, RequestRejected, Unavailable
from engine.extract.records import cursors_of
from engine.language.dependencies import needed
from engine.session import Run
from engine.store.records import live_keys, stream
from engine.values import as_list, collection_of, id_in, is_empty, key_of, word

OWN_MOST = 20  # rows of a collection that are read, unless the command line says how many
FEW = 3  # keys that are named of each kind
# what became of a row that was read by its id
DELETED, PRESENT, GONE, REFUSED = "deleted", "present", "gone", "refused"


class Hidden(msgspec.Struct):
    """What speaks for rows of a collection that its list does not show, and what some of them are.

    `gaps` are ids between the first and the last that no row has, counted in steps of `step`;
    `named` are ids that other rows name, by `namers` of them.
    """

    collection: str
    step: int
    gaps: int
    named: int
    namers: int
    readable: bool
    # what the rows that were read are: deleted, a mark such as inactive, present, gone, refused
    found: dict[str, int] = msgspec.field(default_factory=dict)
    examples: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Search(msgspec.Struct, frozen=True):
    """What is to be looked for: the collections, and the keys to read, at most so many of each."""

    most: int
    collections: tuple[Hidden, ...]
    keys: Mapping[str, Sequence[str]]

    @property
    def calls(self) -> int:
        """How many calls the reading takes."""
        return sum(len(keys) for keys in self.keys.values())


class Gaps(msgspec.Struct, frozen=True):
    """The ids that are missing between the first and the last of a collection."""

    step: int = 1
    # the first missing id of each gap, and how many are missing up to its end
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many ids are missing."""
        return self.ends[-1] if self.ends else 0

    def some(self, most: int) -> list[int]:
        """At most so many of them, evenly spread."""
        wanted = min(most, self.count)
        return [
            self._at(place * self.count // wanted) for place in range(wanted)
        ]

    def _at(self, place: int) -> int:
        gap = bisect_right(self.ends, place)
        before = self.ends[gap - 1] if gap else 0
        return self.starts[gap] + (place - before) * self.step


def most_calls(run: Run, most: int = OWN_MOST) -> int:
    """How many calls a search takes at the most; nothing is looked at but what can be read."""
    return most * sum(
        _is_readable(run.migration.source.resources[name])
        for name in _complete(run)
    )


def prepare(run: Run, most: int = OWN_MOST) -> Search:
    """Find out, without a call, what speaks for hidden rows, and which of them to read."""
    names = _complete(run)
    known = {name: _keys(run, name) for name in names}
    namers = _named(run, known)
    collections, wanted = [], {}
    for name in names:
        resource = run.migration.source.resources[name]
        missing = {
            key: many
            for key, many in namers.items()
            if collection_of(key) == name
        }
        gaps = (
            gaps_of(map(id_in, known[name]))
            if len(resource.id_fields) == 1
            else Gaps()
        )
        readable = _is_readable(resource)
        collections.append(
            Hidden(
                name,
                gaps.step,
                gaps.count,
                len(missing),
                sum(missing.values()),
                readable,
            )
        )
        if readable:
            keys = [
                *sorted(missing),
                *(key_of(name, str(one)) for one in gaps.some(most)),
            ]
            wanted[name] = list(dict.fromkeys(keys))[:most]
    return Search(most, tuple(collections), wanted)


def look(run: Run, search: Search) -> None:
    """Read the rows of a search by their ids, and enter what they are."""
    done = 0
    for item in search.collections:
        for key in search.keys.get(item.collection, ()):
            run.progress("looking for hidden rows", done, search.calls)
            what = _what(run, item.collection, key)
            item.found[what] = item.found.get(what, 0) + 1
            examples = item.examples.setdefault(what, [])
            if len(examples) < FEW:
                examples.append(key)
            done += 1
    run.progress("looking for hidden rows", done, search.calls)


def gaps_of(ids: Iterable[str]) -> Gaps:
    """The gaps in ids that are whole numbers above zero; there are none where others are not.

    Platforms give out ids in steps: what all of them lie apart is taken for the step.
    """
    found = list(ids)
    if not all(one.lstrip("-").isdecimal() and one.isascii() for one in found):
        return Gaps()
    numbers = sorted(number for number in map(int, found) if number > 0)
    apart = [after - before for before, after in pairwise(numbers)]
    step = gcd(*apart) or 1
    holes = [
        (before + step, (after - before) // step - 1)
        for before, after in pairwise(numbers)
        if after - before > step
    ]
    return Gaps(
        step,
        tuple(start for start, _ in holes),
        tuple(accumulate(many for _, many in holes)),
    )


def named_in(
    row: Any,
    fields: Mapping[str, FieldType],
    key_from: Callable[[Any, FieldType], str | None],
) -> Iterator[str]:
    """The keys that the declared references of a row name, inside objects and lists too."""
    for name, kind in fields.items():
        value = row.get(name) if isinstance(row, dict) else None
        for item in as_list(value):
            if kind.shape:
                yield from named_in(item, kind.shape, key_from)
            elif kind.kind == "reference" and not is_empty(item):
                key = key_from(item, kind)
                if key:
                    yield key


def _complete(run: Run) -> list[str]:
    """The collections that were read to their end."""
    cursors = cursors_of(run)
    return [
        name
        for name in needed(run.spec)
        if name in cursors and cursors[name].complete
    ]


def _is_readable(resource: Resource) -> bool:
    return "read" in resource.operations


def _keys(run: Run, collection: str) -> set[str]:
    with run.store.begin() as connection:
        return set(connection.execute(live_keys(collection)).scalars())


def _named(run: Run, known: Mapping[str, set[str]]) -> Counter[str]:
    """The keys that rows name and no list shows, with the number of rows."""
    pattern = run.migration.source.reference.pattern

    def key_from(value: Any, kind: FieldType) -> str | None:
        key = any_key(value, pattern)
        return key or (
            key_of(kind.to[0], word(value)) if len(kind.to) == 1 else None
        )

    namers: Counter[str] = Counter()
    for name in known:
        fields = run.migration.source.resources[name].fields
        for batch in stream(run.store, name):
            for record in batch:
                keys = set(named_in(record.body, fields, key_from))
                namers.update(
                    key
                    for key in keys
                    if key not in known.get(collection_of(key), {key})
                )
    return namers


def _what(run: Run, collection: str, key: str) -> str:
    """What a row is that no list shows."""
    try:
        row = run.source.read(collection, id_in(key))
    except (RequestRejected, OutcomeUnknown, Unavailable) as error:
        run.notice(f"{key} cannot be read: {error}")
        return REFUSED
    if row is None:
        return GONE
    marks = run.migration.source.resources[collection].marks
    told = [mark for mark, field in marks.items() if is_marked(row.get(field))]
    return DELETED if DELETED in told else next(iter(told), PRESENT)
