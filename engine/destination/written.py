"""What was last written to rows, as it travels now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from engine.destination.resolve import Ids, resolve
from engine.destination.rows import RowCodec
from engine.session import Run
from engine.store.links import (
    Link,
    link_of,
)


def linked_ids(run: Run, connection: sa.Connection) -> Ids:
    """What rows of other resources name linked rows by, looked up one by one."""
    resources = run.migration.destination.resources

    def look(name: str, key: str) -> str | None:
        found = link_of(connection, name, key)
        return (
            resources[found.resource].reference_to(found.dest_id)
            if found
            else None
        )

    return look


def bodies_written(
    run: Run, connection: sa.Connection, codec: RowCodec, links: Sequence[Link]
) -> dict[str, dict[str, Any]]:
    """The bodies last written to rows, by their ids; without those no object of the spec makes."""
    ids = linked_ids(run, connection)
    found = {}
    for link in links:
        mapping = run.spec.objects.get(link.object)
        if mapping is not None:
            found[link.dest_id] = resolve(
                link.written, mapping, run.spec, codec, ids
            ).body
    return found
