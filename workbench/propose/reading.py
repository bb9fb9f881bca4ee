"""What propose looks at: staged records, and the custom fields the destination is known to have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from engine.connector.model import Connector, Resource, join_id
from engine.destination.definitions import is_own, name_of
from engine.errors import RequestRejected
from engine.extract.full import save
from engine.session import Run
from engine.store.records import (
    Cursor,
    Record,
    Tally,
    all_cursors,
    save_page,
    stream,
)
from engine.store.tables import Store
from engine.values import digest, key_of, word
from workbench.propose.profile import Rows

LOOKED_AT = 400  # records of a collection
# before the name of a destination resource whose rows are staged
DESTINATION = "$destination."


def staged(store: Store, collections: Iterable[str]) -> Rows:
    """Some staged records of each collection that has any."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name in collections:
        rows: list[Mapping[str, Any]] = [
            record.body
            for batch in islice(stream(store, name, batch=LOOKED_AT), 1)
            for record in batch
        ]
        if rows:
            found[name] = rows
    return found


def custom_fields(
    store: Store, destination: Connector
) -> dict[str, dict[str, str]]:
    """The destination's fields as staged: resource -> name people see -> type of a spec, "" for
    one that the platform has of itself.
    """
    return {
        name: known
        for name, resource in destination.resources.items()
        if resource.custom and (known := _definitions(store, resource))
    }


def _definitions(store: Store, resource: Resource) -> dict[str, str]:
    rules = resource.custom
    assert rules is not None
    types = {theirs: ours for ours, theirs in rules.types.items()}
    rows = staged(store, [DESTINATION + rules.resource]).get(
        DESTINATION + rules.resource, ()
    )
    theirs = {name_of(rules, row): "" for row in rows if not is_own(rules, row)}
    return theirs | {
        str(row[rules.name]): types[str(row.get(rules.type))]
        for row in rows
        if row.get(rules.name)
        and str(row.get(rules.type)) in types
        and str(row.get(rules.code)) not in resource.fields
        and is_own(rules, row)
    }


def read(run: Run) -> Iterator[str]:
    """Stage the first page of every collection that was not begun, and the destination's custom
    fields; says what was refused.
    """
    with run.store.begin() as connection:
        known = set(all_cursors(connection))
    for name, resource in run.migration.source.resources.items():
        if name not in known and "list" in resource.operations:
            yield from _read(name, partial(_records, run, name))
    for resource in run.migration.destination.resources.values():
        if (
            resource.custom
            and DESTINATION + resource.custom.resource not in known
        ):
            yield from _read(
                resource.custom.resource,
                partial(_fields, run, resource.custom.resource),
            )


def _read(name: str, page: Callable[[], None]) -> Iterator[str]:
    try:
        page()
    except RequestRejected as error:
        yield f"{name} cannot be read: {error}"


def _records(run: Run, name: str) -> None:
    """The first page of a collection, kept as a run keeps it: a run goes on from here."""
    now = run.clock.now()
    save(
        run,
        name,
        (),
        next(run.source.pages(name, doubts=True)),
        Cursor(name, None, False, 0, now, now),
        Tally(),
    )


def _fields(run: Run, resource: str) -> None:
    """The first page of a destination's definitions."""
    now, name = run.clock.now(), DESTINATION + resource
    page = next(run.destination.pages(resource))
    ids = run.migration.destination.resources[resource].id_fields
    found = [
        Record(
            name,
            key_of(name, join_id([word(row.get(part)) for part in ids])),
            dict(row),
            0,
            digest(row),
        )
        for row in page.rows
    ]
    cursor = Cursor(name, page.next, page.last, len(found), now, now)
    with run.store.begin() as connection:
        save_page(
            connection,
            list({record.key: record for record in found}.values()),
            [],
            cursor,
        )
