"""Fields that only a row's own read holds: read record by record, where the spec needs one of
them.

The digest of a record stays that of its listed row, so a later listing shows whether it changed; a
row that did is staged anew with its details as they were, which are then read anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import msgspec
from msgspec import structs

from engine.connector.model import Connector, Resource
from engine.errors import RequestRejected, UnsafePlan
from engine.extract.records import entries, other_id, usable_id
from engine.language.dependencies import fields_read, needed
from engine.language.model import Spec
from engine.session import Run
from engine.store.links import Finding, clear_findings, save_findings
from engine.store.records import Record, all_cursors, save_page, stream
from engine.values import Names, Row, batches, segments, well_formed

# records whose details are saved together: as many are read twice after a kill
AT_ONCE = 20
STAGE = "extract"


class PendingReads(msgspec.Struct, frozen=True):
    """Records of a collection that are still to be read by themselves, and what that costs."""

    collection: str
    fields: Names
    calls: int
    cost: float


def detailed(spec: Spec, source: Connector) -> dict[str, Names]:
    """Collections of which the spec reads a field that their list does not hold, with all such
    fields.
    """
    declared = {
        name: resource.listing.detail
        for name, resource in source.resources.items()
        if "list" in resource.operations
    }
    paths = [item.options_from for item in spec.custom_fields.values()]
    paths += [item.options_from for item in spec.native_options]
    for name, uses in fields_read(spec).items():
        paths += product([name], uses)
    read: set[tuple[str, str]] = set()
    for name, path in filter(all, paths):
        head = str(segments(path)[0])
        # templates write `_` for `-`
        read |= {(name, head), (name, head.replace("_", "-"))}
    return {
        name: fields
        for name, fields in declared.items()
        if any((name, field) in read for field in fields)
    }


def pending_reads(run: Run) -> list[PendingReads]:
    """What is still to be read record by record."""
    found = []
    for name, fields in detailed(run.spec, run.migration.source).items():
        calls = sum(1 for _ in _waiting(run, name, fields))
        cost = run.collection(name).operations["read"].cost
        if calls:
            found.append(PendingReads(name, fields, calls, float(calls * cost)))
    return found


def _waiting(
    run: Run,
    name: str,
    fields: Names,
    only: frozenset[str] | None = None,
) -> Iterator[Record]:
    for batch in stream(run.store, name, only):
        for record in batch:
            if record.unread or record.body.keys().isdisjoint(fields):
                yield record


def hydrate(run: Run, only: frozenset[str] | None = None) -> int:
    """Read pending records one by one, all or the given ones, as many at a time as the connector
    allows; how many were read.

    Raises UnsafePlan where a whole group of rows holds none of the fields.
    """
    done, room = 0, run.migration.source.connection.concurrency
    with run.store.begin() as connection:
        keys = None if only is None else sorted(only)
        clear_findings(connection, STAGE, keys=keys)
    for name, fields in detailed(run.spec, run.migration.source).items():
        with ThreadPoolExecutor(max_workers=room) as pool:
            for group in batches(_waiting(run, name, fields, only), AT_ONCE):
                rows = list(pool.map(partial(_read, run, fields), group))
                read = [
                    _joined(record, row, fields)
                    for record, row in zip(group, rows, strict=True)
                    if row is not None
                ]
                present = any(
                    not row.keys().isdisjoint(fields) for row in rows if row
                )
                if len(group) == AT_ONCE and not present:
                    raise UnsafePlan(
                        f"{AT_ONCE} {name} read one by one hold no"
                        f" {' nor '.join(fields)} – has the platform renamed a field?"
                        " Correct `detail` in the connector, then run again with"
                        " --refresh"
                    )
                _save(run, name, read)
                done += len(read)
                run.progress(f"reading {name} one by one", done, None)
    return done


def _read(run: Run, fields: Names, record: Record) -> Row | None:
    """The row itself; None where the answer is refused, or is not that row, which is reported."""
    row, why = own_row(run, record, fields)
    if why:
        _report(run, record, fields, why)
    return row


def own_row(run: Run, record: Record, fields: Names) -> tuple[Row | None, str]:
    """A row as it shows itself; or None, and why the answer is none, or not that row."""
    try:
        row = run.source.read(record.collection, record.id)
    except RequestRejected as error:
        return None, str(error)
    why = _fault(run.collection(record.collection), record, row, fields)
    return (None, why) if why else (row, "")


def _fault(
    kind: Resource,
    record: Record,
    row: Row | None,
    fields: Names,
) -> str:
    """Why what was read is not the record's own row; "" where it is."""
    if row is None:
        return "there is no such row by itself – was it deleted meanwhile?"
    if other := other_id(kind, row, record.id):
        return f"the answer is another row, {other}"
    shown = usable_id(kind, row)
    # a read adds the fields that an id is made of
    added = kind.id_fields if len(kind.id_fields) > 1 else ()
    proof = {*record.body, *fields}.difference(added) if shown else fields
    return "the answer holds no row" if row.keys().isdisjoint(proof) else ""


def _joined(record: Record, row: Row, fields: Names) -> Record:
    details = {name: row.get(name) for name in fields}
    whole = well_formed({**row, **record.body, **details})
    return structs.replace(record, body=whole, unread=False)


def _report(run: Run, record: Record, fields: Names, why: str) -> None:
    kept = "stays as it was read before" if record.unread else "is missing"
    text = f"{', '.join(fields)} could not be read and {kept}: {why}"
    name = record.collection
    objects = [item.name for item in run.spec.active() if name in item.sources]
    with run.store.begin() as connection:
        found = [
            Finding(place, record.key, STAGE, fields[0], "attention", text)
            for place in objects or [name]
        ]
        save_findings(connection, found)


def _save(run: Run, name: str, read: list[Record]) -> None:
    fields = needed(run.spec)[name]
    with run.store.begin() as connection:
        cursor = structs.replace(
            all_cursors(connection)[name], read_at=run.clock.now()
        )
        save_page(connection, read, entries(run, read, fields), cursor)
