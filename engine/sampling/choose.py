"""Which records make a representative sample: objects, states and shapes, and all they need."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from types import MappingProxyType

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.language.dependencies import by_source, conditions, paths_read, walk
from engine.language.model import Condition, ObjectMapping, Path, Pipe
from engine.mapping.draft import sight_on
from engine.mapping.evaluate import (
    LookupContext,
    Source,
    evaluate,
    takes_part,
    value_at,
)
from engine.session import Run
from engine.store.records import Record, many, pointing_at, save_sample, stream
from engine.values import (
    collection_of,
    dig,
    grouped,
    is_empty,
    links_in,
    segments,
)

# a field with more different values than this is not an enumeration
VALUES = 25
LOOKED_AT = 20_000  # records of a collection considered for the choice
A_FEW = 3  # records of each object that a sample shows where there are so many
# multiples of it, without their whole part, are spread evenly
_GOLDEN = 0.6180339887498949


class _Look(msgspec.Struct):
    """What one record shows."""

    key: str
    objects: Sequence[str]  # that are made of it
    features: set[str]  # in words
    values: Mapping[str, str]  # of paths that may decide something


class Sample(msgspec.Struct, frozen=True):
    """The chosen records with the reason for each, in order."""

    chosen: Mapping[str, str]
    wanted: int
    features: int
    covered: int
    # object -> its records in the sample
    shown: Mapping[str, int] = {}


def choose(
    run: Run, size: int, kept: Mapping[str, str] = MappingProxyType({})
) -> Sample:
    """Choose deterministically from what is staged: cover every feature, close over links, fill up.

    The size counts records that objects are made of, not the rows that are read for them. Records
    that were `kept` from an earlier choice stay.
    """
    makers = by_source(
        mapping for mapping in run.spec.active() if not mapping.scaffold
    )
    found = {
        name: _looks(run, name, mappings) for name, mappings in makers.items()
    }
    choice = _Choice(run, makers, dict(kept))
    chosen = choice.chosen
    for looks in found.values():
        for key, reason in _cover(looks, chosen):
            chosen.setdefault(key, reason)
    choice.close(list(chosen))

    pools = _pools(look for looks in found.values() for look in looks)
    for name, pool in pools.items():
        few = min(A_FEW, len(pool))
        choice.fill(pool, few, f"one more of {name}", set(pool).__contains__)
    choice.fill(_in_turn(pools), size, "fills the sample up", choice.makes_rows)

    with run.store.begin() as connection:
        save_sample(connection, list(chosen.items()))
    shown = {
        name: sum(key in chosen for key in pool) for name, pool in pools.items()
    }
    features, covered = _counted(found, chosen)
    return Sample(chosen, size, features, covered, shown)


def _counted(
    found: Mapping[str, Sequence[_Look]], chosen: Collection[str]
) -> tuple[int, int]:
    """How many features there are in all collections, and how many of them chosen records show."""
    features, covered = 0, 0
    for looks in found.values():
        features += len(_shown(looks))
        covered += len(_shown(look for look in looks if look.key in chosen))
    return features, covered


def _shown(looks: Iterable[_Look]) -> frozenset[str]:
    """All that records show together."""
    return frozenset[str]().union(*(look.features for look in looks))


# -- what records show


def _looks(
    run: Run, name: str, mappings: Sequence[ObjectMapping]
) -> list[_Look]:
    """What each record shows: its objects, fields filled or empty, values that decide.

    A record that no object is made of shows nothing. A path with many values decides nothing that
    a sample could show.
    """
    own = sorted(
        {
            path
            for m in mappings
            for path in paths_read(m)
            if not _outside(m, path)
        }
    )
    sorting = sorted({path for m in mappings for path in _sorting_paths(m)})
    unread = _unread(run, name)
    seen: list[_Look] = []
    for batch in stream(run.store, name):
        with run.store.begin() as connection:
            sight = sight_on(run, connection)
            for record in batch:
                source = sight.read(record)
                objects = [
                    m.name for m in mappings if takes_part(m, source, sight)
                ]
                if objects:
                    features = _shape(record, own, unread)
                    features.update(map("any {}".format, objects))
                    values = {
                        path: _value(mappings, source, path, sight)
                        for path in sorting
                    }
                    seen.append(_Look(record.key, objects, features, values))
        if len(seen) >= LOOKED_AT:
            break

    for path in sorting:
        if len({look.values[path] for look in seen}) <= VALUES:
            for look in seen:
                if value := look.values[path]:
                    look.features.add(f"{path} = {value}")
    return seen


def _unread(run: Run, name: str) -> Sequence[str]:
    """Fields that only a record's own read holds."""
    resource = run.migration.source.resources.get(name)
    return resource.listing.detail if resource else ()


def _shape(
    record: Record, paths: Sequence[str], unread: Sequence[str]
) -> set[str]:
    """Which fields are filled and which are empty, of those that were read."""
    shown = set()
    for path in paths:
        place = segments(path)
        if place[0] in record.body or place[0] not in unread:
            shown.add(
                f"{path} {'empty' if is_empty(dig(record.body, place)) else 'filled'}"
            )
    return shown


def _value(
    mappings: Sequence[ObjectMapping],
    source: Source,
    path: str,
    sight: LookupContext,
) -> str:
    """The value of a deciding path; through a related record where it leads there."""
    if path.startswith("$"):
        return ""
    values = (
        value_at(mapping, source, Path(path, segments(path)), sight)
        for mapping in mappings
    )
    found = next((value for value in values if value is not None), "")
    return "" if isinstance(found, dict | list) else str(found)


def _outside(mapping: ObjectMapping, path: str) -> bool:
    return path.startswith("$") or segments(path)[0] in mapping.beside


def _sorting_paths(mapping: ObjectMapping) -> set[str]:
    """Paths whose values decide something: in value maps, and where conditions name values."""
    found: set[str] = set()
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            if (
                isinstance(expr, Pipe)
                and expr.mapping
                and isinstance(expr.head, Path)
            ):
                found.add(expr.head.text)
        for condition in conditions(item):
            found.update(_named_values(condition))
    return found


def _named_values(condition: Condition) -> Iterator[str]:
    tests = (test for some in condition.any_of for test in some)
    return (
        test.path.text for test in tests if test.op in ("equals", "not", "in")
    )


# -- the choice


def _cover(
    looks: Sequence[_Look], chosen: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Greedy set cover: the record that shows most of what is still unseen, the earliest of
    equals.
    """
    missing = _shown(looks)
    missing -= _shown(look for look in looks if look.key in chosen)
    candidates = list(looks)
    while missing:
        best = max(candidates, key=lambda look: len(look.features & missing))
        new = sorted(best.features & missing)
        missing -= best.features
        shown = ", ".join(new[:3]) + (
            f" and {len(new) - 3} more" if len(new) > 3 else ""
        )
        yield best.key, f"shows {shown}"
        candidates = [look for look in candidates if look.features & missing]


def _pools(looks: Iterable[_Look]) -> dict[str, list[str]]:
    """The records of each object, so that any first few of them are spread over all."""
    pools = grouped((name, look.key) for look in looks for name in look.objects)
    return {name: _spread(pool) for name, pool in pools.items()}


def _spread(keys: list[str]) -> list[str]:
    order = sorted(range(len(keys)), key=lambda at: (at + 1) * _GOLDEN % 1)
    return [keys[at] for at in order]


def _in_turn(pools: Mapping[str, list[str]]) -> list[str]:
    """The keys of all pools, so that any first few hold each pool's share."""
    placed = [
        ((at + 0.5) / len(pool), position, key)
        for position, pool in enumerate(pools.values())
        for at, key in enumerate(pool)
    ]
    return [key for _, _, key in sorted(placed)]


class _Choice(msgspec.Struct, frozen=True):
    """The records that are chosen so far; `chosen` grows."""

    run: Run
    makers: Mapping[str, list[ObjectMapping]]  # by collection
    chosen: dict[str, str]  # key -> reason

    def makes_rows(self, key: str) -> bool:
        """Whether objects are made of the record."""
        return collection_of(key) in self.makers

    def fill(
        self,
        keys: Sequence[str],
        size: int,
        reason: str,
        counts: Callable[[str], bool],
    ) -> None:
        """Add keys with what they lean on until so many are chosen of those that count."""
        left = size - sum(map(counts, self.chosen))
        for key in keys:
            if left <= 0:
                return
            if key not in self.chosen:
                self.chosen[key] = reason
                left -= sum(map(counts, self.close([key])))

    def close(self, start: list[str]) -> list[str]:
        """Add what records lean on, and their declared children, until nothing is missing.

        Returns the records it began with and all that were added.
        """
        waiting, closed = start, list(start)
        while waiting:
            needed = self._needed(waiting)
            waiting = [key for key in needed if key not in self.chosen]
            closed += waiting
            self.chosen.update((key, needed[key]) for key in waiting)
        return closed

    def _needed(self, keys: Sequence[str]) -> dict[str, str]:
        """What records lean on, with the reason."""
        needed: dict[str, str] = {}
        with self.run.store.begin() as connection:
            sight = sight_ahead(self.run, connection)
            for record in many(connection, keys).values():
                for mapping in self.makers.get(record.collection, ()):
                    leans = _leans_on(
                        self.run, mapping, record, sight, connection
                    )
                    for other, reason in leans:
                        needed.setdefault(other, reason)
        return needed


def sight_ahead(run: Run, connection: sa.Connection) -> LookupContext:
    """What projections may look at before there are drafts: an object will have one of each
    record that it takes.
    """
    sight = sight_on(run, connection)

    def drafted(name: str, key: str) -> bool:
        record = key.partition("#")[0]  # the key may be that of an element
        body = sight.record(record)
        if body is None:
            return False
        return takes_part(
            run.spec.objects[name],
            Source(collection_of(record), record, body),
            sight,
        )

    return structs.replace(sight, drafted=drafted)


def _leans_on(
    run: Run,
    mapping: ObjectMapping,
    record: Record,
    sight: LookupContext,
    connection: sa.Connection,
) -> Iterator[tuple[str, str]]:
    for projection in evaluate(mapping, sight.read(record), sight):
        for name, key in links_in(projection.body):
            target = run.spec.objects.get(name)
            if target and not target.scaffold:
                yield (
                    key.partition("#")[0],
                    f"{record.key} needs it ({mapping.name})",
                )
    for name, children in mapping.children.items():
        if children.by is not None:
            continue  # not its own: rows beside it, read for their values only
        for child in pointing_at(
            connection, children.source, children.on, [record.key, record.id]
        ):
            yield child.key, f"one of the {name} of {record.key}"
