"""Intents survive a power cut: seen on the connections of a real migration, while it writes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.platforms.conftest import Serve, serve
from tests.platforms.platform import Platform, Request
from tests.platforms.project import STORE, Project
from tests.platforms.trials import addresses

__all__ = ["serve"]
FULL = 2  # `PRAGMA synchronous` of a connection whose commits wait for the disk
INTENT = re.compile(r'INSERT INTO "?journal\b', re.IGNORECASE)


@contextmanager
def watching() -> Iterator[list[int]]:
    """The level of every connection that enters an intent, at that moment."""
    levels: list[int] = []

    def look(connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if INTENT.match(statement):
            raw = connection.connection.dbapi_connection
            assert raw is not None
            levels.append(raw.cursor().execute("PRAGMA synchronous").fetchone()[0])

    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    try:
        yield levels
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", look)


def migrate(trial: Project) -> None:
    """Three creations, an update and the rollback of both."""
    trial.full(code=0)
    trial.platform.tables["people"][0]["email"] = "new1@example.com"
    trial.delta(code=0)
    trial.rollback(code=0)


def test_intents_wait_for_the_disk(serve: Serve, tmp_path: Path) -> None:
    """Every intent of a creation, an update and a deletion is committed at full synchronisation."""
    with watching() as levels:
        migrate(addresses(serve, tmp_path))
    assert len(levels) >= 3
    assert set(levels) == {FULL}


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_intent_stands_in_the_store_before_its_call(
    at_once: int, serve: Serve, tmp_path: Path
) -> None:
    """When a request that changes something arrives, another process can read its intent."""
    trial = addresses(serve, tmp_path, connection={"concurrency": at_once})
    waiting: list[int] = []

    def look(_: Platform, request: Request) -> None:
        if request.method == "GET":
            return
        store = sqlite3.connect(f"file:{tmp_path / STORE}?mode=ro", uri=True, isolation_level=None)
        found = store.execute("SELECT count(*) FROM journal WHERE state = 'intent'").fetchone()
        store.close()
        waiting.append(found[0])

    trial.platform.before.append(look)
    migrate(trial)
    assert len(waiting) == 3 + 1 + 3
    assert min(waiting) >= 1
