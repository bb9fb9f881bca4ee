"""A staged record as a case: it and everything it refers to, disguised, with the drafts it gives
now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from engine.errors import UsageError
from engine.language.dependencies import paths_read, walk
from engine.language.model import Lookup, ObjectMapping
from engine.mapping.draft import sight_on
from engine.mapping.evaluate import Evaluation, LookupContext, Source, evaluate
from engine.session import Run
from engine.store.records import one
from engine.values import segments
from workbench.cases.disguise import Disguise, words_of
from workbench.cases.run import World, readable


@dataclass(slots=True)
class _Touched:
    """What a projection looked at."""

    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    links: dict[str, set[str]] = field(default_factory=dict)


def captured(run: Run, name: str, record_id: str) -> dict[str, Any]:
    """A case from a staged record; its own data replaced, what it is mapped to as it is now."""
    mapping = run.spec.objects.get(name)
    if mapping is None:
        raise UsageError(
            f"there is no object {name!r} – known: {', '.join(run.spec.objects)}"
        )
    touched = _Touched()
    with run.store.begin() as connection:
        found = next(
            filter(
                None,
                (one(connection, key) for key in _keys(mapping, record_id)),
            ),
            None,
        )
        if found is None:
            raise UsageError(
                f"no staged record {record_id!r} of {' or '.join(mapping.sources)} –"
                " etl audit SPEC reads the source"
            )
        touched.records[found.key] = found.body
        list(
            evaluate(
                mapping,
                Source(found.collection, found.key, found.body),
                _watching(sight_on(run, connection), touched),
            )
        )
    disguise = Disguise(
        words_of(run.migration.document.data),
        run.migration.source.reference.pattern,
    )
    records = {
        key: disguise.record(_slim(body, mapping, key))
        for key, body in touched.records.items()
    }
    users, links = frozenset(touched.users), _links(touched)
    day = run.today if "$today" in paths_read(mapping) else ""
    world = World(run.migration, records, users, links, day)
    made = list(
        evaluate(
            mapping,
            Source(found.collection, found.key, records[found.key]),
            world.sight(),
        )
    )
    case = _case(
        f"{name} {found.key}, captured",
        records,
        touched,
        {name: dict(_expected(made, found.key, mapping))},
    )
    return case | ({"today": day} if day else {})


def _links(touched: _Touched) -> dict[str, frozenset[str]]:
    return {name: frozenset(keys) for name, keys in touched.links.items()}


def _keys(mapping: ObjectMapping, record_id: str) -> list[str]:
    return (
        [record_id]
        if "/" in record_id
        else [f"{source}/{record_id}" for source in mapping.sources]
    )


def _watching(sight: LookupContext, touched: _Touched) -> LookupContext:
    """The same lookups, recording what they are asked for and what they find."""

    def record(key: str) -> Mapping[str, Any] | None:
        body = sight.record(key)
        if body is not None and not key.startswith("$"):
            touched.records[key] = body
        return body

    def pointing_at(
        collection: str, name: str, targets: Sequence[str]
    ) -> Sequence[tuple[str, Mapping[str, Any]]]:
        found = sight.pointing_at(collection, name, targets)
        touched.records.update(dict(found))
        return found

    def drafted(name: str, key: str) -> bool:
        known = sight.drafted(name, key)
        if not key.startswith("$"):
            touched.links.setdefault(name, set()).update({key} if known else ())
        return known

    def user(key: str) -> bool:
        known = sight.user(key)
        if known:
            touched.users.add(key)
        return known

    return structs.replace(
        sight,
        record=record,
        pointing_at=pointing_at,
        drafted=drafted,
        user=user,
    )


def _slim(
    body: Mapping[str, Any], mapping: ObjectMapping, key: str
) -> dict[str, Any]:
    """What of a record the object reads; a template may call `full-reference` `full_reference`."""
    heads = {
        part.replace("_", "-")
        for part in _heads(mapping, key.partition("/")[0])
    }
    return {
        name: value
        for name, value in body.items()
        if name == "id" or name.replace("_", "-") in heads
    }


def _heads(mapping: ObjectMapping, collection: str) -> Iterator[str]:
    """Top-level fields the object reads in records of a collection: its own, or those beside."""
    beside = {
        name
        for name, item in mapping.related.items()
        if collection in item.sources
    }
    beside |= {
        name
        for name, item in mapping.children.items()
        if item.source == collection
    }
    yield from (
        item.on
        for item in mapping.children.values()
        if item.source == collection
    )
    for path in paths_read(mapping):
        parts = (
            [str(part) for part in segments(path) if part != "*"]
            if not path.startswith("$")
            else []
        )
        if parts and parts[0] in beside:
            yield from parts[1:2]
        elif parts and collection in mapping.sources:
            yield parts[0]
    for item in mapping.fields.values():
        yield from _pointing(item.expr)


def _pointing(expr: Any) -> Iterator[str]:
    """Fields that records are looked up by, other than their key."""
    yield from (
        item.on for item in walk(expr) if isinstance(item, Lookup) and item.on
    )


def _expected(
    made: Sequence[Evaluation], key: str, mapping: ObjectMapping
) -> Iterator[tuple[str, Any]]:
    if not made:
        yield key, {"state": "absent"}
    for item in made:
        expected: dict[str, Any] = (
            {}
            if item.state == "ready"
            else {"state": item.state, "reason": item.reason}
        )
        expected["fields"] = {
            name: readable(item.body.get(name)) for name in mapping.fields
        }
        findings = {note.field: note.text for note in item.notes}
        yield item.key, expected | ({"findings": findings} if findings else {})


def _case(
    name: str,
    records: Mapping[str, Any],
    touched: _Touched,
    expect: Mapping[str, Any],
) -> dict[str, Any]:
    by_collection: dict[str, list[Any]] = {}
    for key, body in records.items():
        by_collection.setdefault(key.partition("/")[0], []).append(body)
    links = {name: sorted(keys) for name, keys in touched.links.items()}
    case: dict[str, Any] = {"case": name, "records": by_collection}
    case |= {"users": sorted(touched.users)} if touched.users else {}
    return case | ({"links": links} if links else {}) | {"expect": dict(expect)}
