"""What is staged, read without a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from engine.errors import UsageError
from engine.language.compile import Migration
from engine.library.opening import nobody, place_of
from engine.session import Run, wire
from engine.store.tables import Store, open_store


@contextmanager
def staged(
    migration: Migration, store: str, begun: bool = True
) -> Iterator[Store | None]:
    """The store of an environment or at a place; None where nothing has been staged yet.

    A place that is named has to be there, unless the migration may only be about to begin.
    """
    url = (
        place_of(migration.spec.name, store)
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
    """Runs on one store that make no calls."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                closing(wire(migration, nobody(migration), store))
            )
            for migration in migrations
        ]
