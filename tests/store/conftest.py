"""A store to test with: SQLite always, PostgreSQL too where ETL_TEST_POSTGRES_URL names a database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.schema import Store, metadata, open_store

POSTGRES = os.environ.get("ETL_TEST_POSTGRES_URL", "")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    if request.param == "sqlite":
        opened = open_store(str(tmp_path / "store.sqlite"))
    else:
        opened = open_store(POSTGRES)
        with opened.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete() if table.name != "meta" else table.delete().where(table.c.name == "-"))
    yield opened
    opened.close()
