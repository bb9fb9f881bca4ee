"""What is staged, looked at without a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.connector.auth import Account
from engine.connector.rate_limit import Clock
from engine.errors import UsageError
from engine.language.compile import Migration
from engine.session import Run, connect
from engine.store.tables import Store, open_store


@contextmanager
def staged(
    migration: Migration, store: str, begun: bool = True
) -> Iterator[Store | None]:
    """The store of an environment or at a place; None where nothing has been staged yet.

    A place that is named has to be there, unless the migration may only be about to begin.
    """
    url = (
        f"var/{migration.spec.name}.{store}.sqlite"
        if store in ("sandbox", "live")
        else store
    )
    if "://" not in url and not Path(url).exists():
        if begun and store not in ("sandbox", "live"):
            raise UsageError(f"there is no store {url} – check the path")
        yield None
        return
    opened = open_store(url)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def runs(store: Store, *migrations: Migration) -> Iterator[list[Run]]:
    """Runs on one store that call nobody."""
    clock = Clock()
    made = []
    for migration in migrations:
        sides = (
            (migration.source, migration.spec.source),
            (migration.destination, migration.spec.destination),
        )
        source, destination = (
            connect(item, side, Account(item.connection.base_url, ""), store, clock)
            for item, side in sides
        )
        made.append(Run(0, migration, store, source, destination, clock))
    try:
        yield made
    finally:
        for run in made:
            run.source.close()
            run.destination.close()
