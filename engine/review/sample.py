"""Which records make a telling sample: every object, state, enum value and shape, and all they lean on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.mapping.project import Sight, Source, any_key, project, value_at
from engine.run import Run
from engine.spec.model import ObjectMapping, Path, Pipe
from engine.spec.uses import conditions, paths_read, tested, walk
from engine.stages.transform import sight_on
from engine.store.records import Record, all_cursors, many, pointing_at, save_sample, stream
from engine.values import dig, is_empty, links_in, segments

VALUES = 25  # a field with more different values than this is not an enumeration
LOOKED_AT = 20_000  # records of a collection considered for the choice


@dataclass(frozen=True, slots=True)
class Sample:
    """The chosen records with the reason for each, in order."""

    chosen: Mapping[str, str]
    wanted: int
    features: int
    covered: int


def choose(run: Run, size: int) -> Sample:
    """Choose deterministically from what is staged: cover every feature, close over links, fill up."""
    chosen: dict[str, str] = {}
    shown: dict[str, frozenset[tuple[str, str]]] = {}
    by_source = _by_source(run.spec.active())
    pools: dict[str, list[str]] = {}
    for name, mappings in by_source.items():
        found = _features(run, name, mappings)
        pools[name] = [key for key, _ in found]
        shown |= {key: frozenset((name, feature) for feature in has) for key, has in found}
        for key, reason in _cover(found):
            chosen.setdefault(key, reason)
    _close(run, chosen)
    for key in _fill(pools, size):
        if len(chosen) >= size:
            break
        if key not in chosen:
            chosen[key] = "fills the sample up"
            _close(run, chosen, [key])
    with run.store.begin() as connection:
        save_sample(connection, list(chosen.items()))
    covered = frozenset().union(*(shown[key] for key in chosen if key in shown))
    return Sample(chosen, size, len(frozenset().union(*shown.values())), len(covered))


def _by_source(objects: Sequence[ObjectMapping]) -> dict[str, list[ObjectMapping]]:
    found: dict[str, list[ObjectMapping]] = {}
    for mapping in objects:
        for name in mapping.sources:
            if not mapping.scaffold:
                found.setdefault(name, []).append(mapping)
    return found


def _features(run: Run, name: str, mappings: Sequence[ObjectMapping]) -> list[tuple[str, frozenset[str]]]:
    """Each record with what it shows: fields filled or empty, values of enumerations."""
    own = sorted({path for m in mappings for path in paths_read(m) if not _outside(m, path)})
    sorting = sorted({path for m in mappings for path in _sorting_paths(m)})
    unread = run.migration.source.resources[name].operations["list"].detail if name in run.migration.source.resources else ()
    rows: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for batch in stream(run.store, name):
        with run.store.begin() as connection:
            sight = sight_on(run, connection)
            for record in batch:
                known = (path for path in own if segments(path)[0] in record.body or segments(path)[0] not in unread)
                shape = {path: not is_empty(dig(record.body, segments(path))) for path in known}
                values = {path: _value(mappings, record, path, sight) for path in sorting}
                rows.append((record.key, shape, values))
        if len(rows) >= LOOKED_AT:
            break
    few = {path for path in sorting if len({values[path] for _, _, values in rows}) <= VALUES}
    return [
        (
            key,
            frozenset(
                [f"{path} {'filled' if is_filled else 'empty'}" for path, is_filled in shape.items()]
                + [f"{path} = {values[path]}" for path in few if values[path] != ""]
                + [f"any {name}"]
            ),
        )
        for key, shape, values in rows
    ]


def _outside(mapping: ObjectMapping, path: str) -> bool:
    return path.startswith("$") or segments(path)[0] in mapping.beside


def _sorting_paths(mapping: ObjectMapping) -> Iterator[str]:
    """Paths whose values decide something: value maps, cases, conditions, stages."""
    for item in mapping.fields.values():
        for expr in walk(item.expr):
            if isinstance(expr, Pipe) and expr.mapping and isinstance(expr.head, Path):
                yield expr.head.text
        for condition in conditions(item):
            yield from tested(condition)


def _value(mappings: Sequence[ObjectMapping], record: Record, path: str, sight: Sight) -> str:
    """The value of a deciding path; through a related record where it leads there."""
    if path.startswith("$"):
        return ""
    source = Source(record.collection, record.key, record.body)
    values = (value_at(mapping, source, Path(path, segments(path)), sight) for mapping in mappings)
    found = next((value for value in values if value is not None), "")
    return "" if isinstance(found, dict | list) else str(found)


def _cover(rows: list[tuple[str, frozenset[str]]]) -> Iterator[tuple[str, str]]:
    """Greedy set cover: the record that shows most of what is still unseen, the earliest of equals."""
    missing = {feature for _, has in rows for feature in has}
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


def _fill(pools: Mapping[str, list[str]], size: int) -> Iterator[str]:
    """Keys in turn from every collection, spread evenly over each."""
    total = sum(len(pool) for pool in pools.values()) or 1
    spread = []
    for pool in pools.values():
        share = max(1, round(size * len(pool) / total))
        step = max(1, len(pool) // share)
        spread.append(pool[step // 2 :: step])
    for position in range(max((len(keys) for keys in spread), default=0)):
        for keys in spread:
            if position < len(keys):
                yield keys[position]


def _close(run: Run, chosen: dict[str, str], start: Iterable[str] | None = None) -> None:
    """Add what chosen records lean on, and their declared children, until nothing is missing."""
    waiting = list(start if start is not None else chosen)
    by_source = _by_source(run.spec.active())
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


def _leans_on(run: Run, mapping: ObjectMapping, record: Record, sight: Sight, connection: Any) -> Iterator[tuple[str, str]]:
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


def missing_links(run: Run, keys: Iterable[str]) -> list[str]:
    """Rows that sampled records name but that were not read, because only part of a collection was."""
    pattern = run.migration.source.reference.pattern
    wanted: dict[str, None] = {}
    with run.store.begin() as connection:
        # What is missing from a collection that was read to its end was deleted: no use asking for it.
        whole = {name for name, cursor in all_cursors(connection).items() if cursor.complete}
        mapped = {name for mapping in run.spec.active() for name in mapping.sources} - whole
        for record in many(connection, list(keys)).values():
            for value in record.body.values():
                key = any_key(value, pattern) if isinstance(value, str) else None
                if key and key != record.key and key.partition("/")[0] in mapped:
                    wanted[key] = None
        staged = many(connection, list(wanted))
    return [key for key in wanted if key not in staged]
