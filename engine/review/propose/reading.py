"""What propose looks at: staged records, and the custom fields the destination is known to have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from engine.connector.model import Connector, Resource
from engine.review.propose.profile import Rows
from engine.store.records import stream
from engine.store.schema import Store

LOOKED_AT = 400  # records of a collection
DESTINATION = "$destination."  # before the name of a destination resource whose rows are staged


def staged(store: Store, collections: Iterable[str]) -> Rows:
    """Some staged records of each collection that has any."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name in collections:
        rows = [record.body for batch in islice(stream(store, name, batch=LOOKED_AT), 1) for record in batch]
        if rows:
            found[name] = rows
    return found


def custom_fields(store: Store, destination: Connector) -> dict[str, dict[str, str]]:
    """The destination's own custom fields as staged: resource -> name people see -> type of a spec."""
    return {
        name: known
        for name, resource in destination.resources.items()
        if resource.custom and (known := _definitions(store, resource))
    }


def _definitions(store: Store, resource: Resource) -> dict[str, str]:
    rules = resource.custom
    assert rules is not None
    types = {theirs: ours for ours, theirs in rules.types.items()}
    rows = staged(store, [DESTINATION + rules.resource]).get(DESTINATION + rules.resource, ())
    return {
        str(row[rules.name]): types[str(row.get(rules.type))]
        for row in rows
        if row.get(rules.name) and str(row.get(rules.type)) in types and str(row.get(rules.code)) not in resource.fields
    }
