"""Which records make a telling sample: every object, state and shape, and all they lean on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import sqlalchemy as sa

from engine.mapping.project import Sight, Source, project, takes_part, value_at
from engine.run import Run
from engine.spec.model import Condition, ObjectMapping, Path, Pipe
from engine.spec.uses import conditions, paths_read, walk
from engine.stages.transform import sight_on
from engine.store.records import Record, many, pointing_at, save_sample, stream
from engine.values import dig, is_empty, links_in, segments

VALUES = 25  # a field with more different values than this is not an enumeration
LOOKED_AT = 20_000  # records of a collection considered for the choice
A_FEW = 3  # records of each object that a sample shows where there are so many
_GOLDEN = 0.6180339887498949  # multiples of it, without their whole part, are spread evenly

Rows = list[tuple[str, frozenset[str]]]  # keys of records, and what each shows


@dataclass(frozen=True, slots=True)
class Sample:
    """The chosen records with the reason for each, in order."""

    chosen: Mapping[str, str]
    wanted: int
    features: int
    covered: int
    shown: Mapping[str, int] = field(default_factory=dict)  # object -> its records in the sample


def choose(run: Run, size: int, kept: Mapping[str, str] = MappingProxyType({})) -> Sample:
    """Choose deterministically from what is staged: cover every feature, close over links, fill up.

    The size counts records that objects are made of, not the rows that are read for them. Records
    that were `kept` from an earlier choice stay.
    """
    by_source = _by_source(run.spec.active())
    found = {name: _features(run, name, mappings) for name, mappings in by_source.items()}
    chosen = dict(kept)
    for rows in found.values():
        for key, reason in _cover(rows, chosen):
            chosen.setdefault(key, reason)
    _close(run, by_source, chosen)

    pools = _pools(found)
    for name, pool in pools.items():
        _fill(run, by_source, chosen, pool, min(A_FEW, len(pool)), f"one more of {name}")
    _fill(run, by_source, chosen, _in_turn(pools), size, "fills the sample up", by_source)

    with run.store.begin() as connection:
        save_sample(connection, list(chosen.items()))
    shown = {
        (name, what)
        for name, rows in found.items()
        for key, has in rows
        for what in has
        if key in chosen
    }
    features = {(name, what) for name, rows in found.items() for _, has in rows for what in has}
    counts = {name: sum(key in chosen for key in pool) for name, pool in pools.items()}
    return Sample(chosen, size, len(features), len(shown), counts)


def _by_source(objects: Sequence[ObjectMapping]) -> dict[str, list[ObjectMapping]]:
    found: dict[str, list[ObjectMapping]] = {}
    for mapping in objects:
        for name in mapping.sources:
            if not mapping.scaffold:
                found.setdefault(name, []).append(mapping)
    return found


# -- what records show


def _features(run: Run, name: str, mappings: Sequence[ObjectMapping]) -> Rows:
    """Each record with what it shows: its objects, fields filled or empty, values that decide.

    What no object is made of shows nothing.
    """
    own = sorted({path for m in mappings for path in paths_read(m) if not _outside(m, path)})
    sorting = sorted({path for m in mappings for path in _sorting_paths(m)})
    unread = _unread(run, name)
    looks: list[_Look] = []
    for batch in stream(run.store, name):
        with run.store.begin() as connection:
            sight = sight_on(run, connection)
            for record in batch:
                source = Source(record.collection, record.key, record.body)
                objects = [m.name for m in mappings if takes_part(m, source, sight)]
                if objects:
                    shape = _shape(record, own, unread)
                    values = {path: _value(mappings, source, path, sight) for path in sorting}
                    looks.append(_Look(record.key, objects, shape, values))
        if len(looks) >= LOOKED_AT:
            break

    few = {path for path in sorting if len({look.values[path] for look in looks}) <= VALUES}
    return [(look.key, frozenset(look.features(few))) for look in looks]


@dataclass(frozen=True, slots=True)
class _Look:
    """What one record shows."""

    key: str
    objects: Sequence[str]
    shape: Mapping[str, bool]  # path -> filled?
    values: Mapping[str, str]  # deciding path -> value

    def features(self, few: Collection[str]) -> Iterator[str]:
        """In words; a path with many values decides nothing that a sample could show."""
        yield from (
            f"{path} {'filled' if filled else 'empty'}" for path, filled in self.shape.items()
        )
        yield from (f"{path} = {self.values[path]}" for path in few if self.values[path] != "")
        yield from map(_any, self.objects)


def _unread(run: Run, name: str) -> Sequence[str]:
    """Fields that only a record's own read holds."""
    resource = run.migration.source.resources.get(name)
    return resource.operations["list"].detail if resource else ()


def _shape(record: Record, paths: Sequence[str], unread: Sequence[str]) -> dict[str, bool]:
    heads = {path: segments(path)[0] for path in paths}
    known = [path for path in paths if heads[path] in record.body or heads[path] not in unread]
    return {path: not is_empty(dig(record.body, segments(path))) for path in known}


def _value(mappings: Sequence[ObjectMapping], source: Source, path: str, sight: Sight) -> str:
    """The value of a deciding path; through a related record where it leads there."""
    if path.startswith("$"):
        return ""
    values = (value_at(mapping, source, Path(path, segments(path)), sight) for mapping in mappings)
    found = next((value for value in values if value is not None), "")
    return "" if isinstance(found, dict | list) else str(found)


def _any(name: str) -> str:
    return f"any {name}"


def _outside(mapping: ObjectMapping, path: str) -> bool:
    return path.startswith("$") or segments(path)[0] in mapping.beside


def _sorting_paths(mapping: ObjectMapping) -> set[str]:
    """Paths whose values decide something: in value maps, and where conditions name values."""
    found: set[str] = set()
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            if isinstance(expr, Pipe) and expr.mapping and isinstance(expr.head, Path):
                found.add(expr.head.text)
        for condition in conditions(item):
            found.update(_named_values(condition))
    return found


def _named_values(condition: Condition) -> Iterator[str]:
    tests = (test for some in condition.any_of for test in some)
    return (test.path.text for test in tests if test.op in ("equals", "not", "in"))


# -- the choice


def _cover(rows: Rows, chosen: Collection[str]) -> Iterator[tuple[str, str]]:
    """Greedy set cover: the record that shows most of what is still unseen, the earliest of equals."""
    seen = {feature for key, has in rows if key in chosen for feature in has}
    missing = {feature for _, has in rows for feature in has} - seen
    candidates = list(rows)
    while missing:
        best = max(candidates, key=lambda row: len(row[1] & missing))
        new = sorted(best[1] & missing)
        if not new:
            return
        missing -= best[1]
        shown = ", ".join(new[:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
        yield best[0], f"shows {shown}"
        candidates = [row for row in candidates if row[1] & missing]


def _pools(found: Mapping[str, Rows]) -> dict[str, list[str]]:
    """The records of each object, so that any first few of them are spread over all."""
    pools: dict[str, list[str]] = {}
    for rows in found.values():
        for key, has in rows:
            for what in has:
                if what.startswith("any "):
                    pools.setdefault(what.removeprefix("any "), []).append(key)
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


def _fill(
    run: Run,
    by_source: Mapping[str, list[ObjectMapping]],
    chosen: dict[str, str],
    keys: Sequence[str],
    size: int,
    reason: str,
    counted: Iterable[str] | None = None,
) -> None:
    """Add keys with what they lean on until so many are chosen: of these, or of these collections."""
    mine, sources = set(keys), set(counted or ())

    def many_chosen() -> int:
        if counted is None:
            return len(mine & chosen.keys())
        return sum(key.partition("/")[0] in sources for key in chosen)

    left = size - many_chosen()
    for key in keys:
        if left <= 0:
            return
        if key not in chosen:
            chosen[key] = reason
            _close(run, by_source, chosen, [key])
            left = size - many_chosen()


def _close(
    run: Run,
    by_source: Mapping[str, list[ObjectMapping]],
    chosen: dict[str, str],
    start: Iterable[str] | None = None,
) -> None:
    """Add what chosen records lean on, and their declared children, until nothing is missing."""
    waiting = list(start if start is not None else chosen)
    while waiting:
        found: dict[str, str] = {}
        with run.store.begin() as connection:
            staged = many(connection, waiting)
            sight = sight_on(run, connection, drafted=lambda _, key: bool(many(connection, [key])))
            for record in staged.values():
                for mapping in by_source.get(record.collection, ()):
                    for other, reason in _leans_on(run, mapping, record, sight, connection):
                        found.setdefault(other, reason)
        waiting = [key for key in found if key not in chosen]
        for key in waiting:
            chosen[key] = found[key]


def _leans_on(
    run: Run, mapping: ObjectMapping, record: Record, sight: Sight, connection: sa.Connection
) -> Iterator[tuple[str, str]]:
    for projection in project(mapping, Source(record.collection, record.key, record.body), sight):
        for name, key in links_in(projection.body):
            target = run.spec.objects.get(name)
            if target and not target.scaffold:
                yield key.partition("#")[0], f"{record.key} needs it ({mapping.name})"
    for name, children in mapping.children.items():
        if children.by is not None:
            continue  # not its own: rows beside it, read for their values only
        for child in pointing_at(connection, children.source, children.on, [record.key, record.id]):
            yield child.key, f"one of the {name} of {record.key}"
