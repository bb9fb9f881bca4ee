"""A store to test with, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.tables import Store, metadata, open_store
from tests import postgres


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A PostgreSQL database for one test after the other."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    if request.param == "sqlite":
        opened = open_store(str(tmp_path / "store.sqlite"))
    else:
        opened = open_store(request.getfixturevalue("database"))
        with opened.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete() if table.name != "meta" else table.delete().where(table.c.name != "version"))
    yield opened
    opened.close()
