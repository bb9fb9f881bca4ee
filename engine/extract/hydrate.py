"""Fields that only a row's own read holds: read record by record, where the spec needs one of
them.

The digest of a record stays that of its listed row, so a later listing tells whether it moved; a
row that did is staged anew without its details, and they are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from engine.connector.model import Connector
from engine.errors import RequestRejected, UnsafePlan
from engine.extract.records import as_record, entries
from engine.language.dependencies import needed, paths_read
from engine.language.model import ObjectMapping, Spec
from engine.session import Run
from engine.store.links import Finding, clear_findings, save_findings
from engine.store.records import Record, all_cursors, save_page, stream
from engine.values import batches, segments

# records whose details are saved together: what a kill makes the next run read again
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class PendingReads:
    """Records of a collection that are still to be read by themselves, and what that costs."""

    collection: str
    fields: tuple[str, ...]
    calls: int
    cost: float


def detailed(spec: Spec, source: Connector) -> dict[str, tuple[str, ...]]:
    """Collections of which the spec reads a field that their list does not hold, with all such
    fields.
    """
    declared = {
        name: kind.operations["list"].detail
        for name, kind in source.resources.items()
        if "list" in kind.operations
    }
    read = {
        (name, field)
        for mapping in spec.active()
        for name, field in _fields_read(mapping)
    }
    read |= {
        (name, str(segments(path)[0]))
        for name, paths in needed(spec).items()
        for path in paths
    }
    return {
        name: fields
        for name, fields in declared.items()
        if any((name, field) in read for field in fields)
    }


def _fields_read(mapping: ObjectMapping) -> Iterator[tuple[str, str]]:
    """Collections and their fields that an object reads, its own and those beside it; templates
    write `_` for `-`.
    """
    beside: dict[str, tuple[str, ...]] = {
        name: related.sources for name, related in mapping.related.items()
    }
    beside |= {name: (children.source,) for name, children in mapping.children.items()}
    for path in paths_read(mapping):
        # names only
        head, *rest = (
            part
            for part in segments(path)
            if isinstance(part, str) and part[0] not in "*["
        )
        field = rest[0] if head in beside and rest else head
        yield from (
            (name, word)
            for name in beside.get(head, mapping.sources)
            for word in (field, field.replace("_", "-"))
        )


def pending_reads(run: Run) -> list[PendingReads]:
    """What is still to be read record by record."""
    found = []
    for name, fields in detailed(run.spec, run.migration.source).items():
        many = sum(
            1
            for batch in stream(run.store, name)
            for record in batch
            if _lacks(record, fields)
        )
        found.append(
            PendingReads(
                name,
                fields,
                many,
                float(
                    many * run.migration.source.resources[name].operations["read"].cost
                ),
            )
        )
    return [one for one in found if one.calls]


def hydrate(run: Run, only: frozenset[str] | None = None) -> int:
    """Read what is left, of all records or of the given ones, as many at a time as the connector
    allows; how many were read.
    """
    done, room = 0, run.migration.source.connection.concurrency
    for name, fields in detailed(run.spec, run.migration.source).items():
        waiting = (
            record
            for batch in stream(run.store, name, only)
            for record in batch
            if _lacks(record, fields)
        )
        with ThreadPoolExecutor(max_workers=room) as pool:
            for group in batches(waiting, AT_ONCE):
                rows = list(pool.map(partial(_read, run, fields), group))
                if len(group) == AT_ONCE and not any(
                    field in row for row in rows if row for field in fields
                ):
                    raise UnsafePlan(
                        f"{AT_ONCE} {name} read one by one hold no"
                        f" {' nor '.join(fields)} – has the platform renamed a field?"
                        " Correct `detail` in the connector, then run again with"
                        " --refresh"
                    )
                _save(
                    run,
                    name,
                    [
                        _joined(run, *pair, fields)
                        for pair in zip(group, rows, strict=True)
                        if pair[1] is not None
                    ],
                )
                done += sum(row is not None for row in rows)
                run.progress(f"reading {name} one by one", done, None)
    return done


def _lacks(record: Record, fields: Iterable[str]) -> bool:
    return not any(name in record.body for name in fields)


def _read(run: Run, fields: tuple[str, ...], record: Record) -> dict[str, Any] | None:
    """The row itself; None where it is gone, or where it is refused: that is told."""
    try:
        return run.source.read(record.collection, record.id)
    except RequestRejected as error:
        _tell(run, record, fields, str(error))
        return None


def _joined(
    run: Run, record: Record, row: Mapping[str, Any] | None, fields: tuple[str, ...]
) -> Record:
    row = row or {}
    whole = as_record(
        run,
        record.collection,
        {**row, **record.body, **{name: row.get(name) for name in fields}},
    )
    return replace(whole, key=record.key, digest=record.digest)


def _tell(run: Run, record: Record, fields: tuple[str, ...], why: str) -> None:
    text = f"{', '.join(fields)} could not be read and is missing: {why}"
    made = [
        mapping.name
        for mapping in run.spec.active()
        if record.collection in mapping.sources
    ]
    with run.store.begin() as connection:
        for name in made:
            clear_findings(connection, "extract", name, [record.key])
        save_findings(
            connection,
            [
                Finding(name, record.key, "extract", fields[0], "attention", text)
                for name in made
            ],
        )


def _save(run: Run, name: str, read: list[Record]) -> None:
    with run.store.begin() as connection:
        cursor = all_cursors(connection)[name]
        fields: Mapping[str, tuple[str, ...]] = needed(run.spec)
        save_page(
            connection,
            read,
            entries(run, read, fields[name]),
            replace(cursor, read_at=run.clock.now()),
        )
        for mapping in run.spec.active():
            clear_findings(
                connection, "extract", mapping.name, [record.key for record in read]
            )
