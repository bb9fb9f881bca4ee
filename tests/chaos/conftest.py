"""An account after a full run, which is made once in a test session and copied."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import Row, World, dump, worlds
from tests.e2e.driving import once

SIZE = 60


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Where the accounts and the project of a full run are, and what the destination held before."""

    def tell(folder: Path) -> dict[str, Any]:
        with worlds(folder, ("one",), SIZE) as (world,):
            before = dump(world.destination)
            world.etl("run", "--yes")
            with closing(sqlite3.connect(world.store)) as db, db:  # the copies are served at other addresses
                db.execute("DELETE FROM meta WHERE name IN ('source account', 'destination account')")
        return {"folder": str(folder), "before": before}

    found: dict[str, Any] = once(tmp_path_factory, "chaos-migrated", tell)
    return found


@pytest.fixture
def untouched(story: dict[str, Any]) -> list[Row]:
    """What the destination held before the run."""
    rows: list[Row] = story["before"]
    return rows


@pytest.fixture
def migrated(story: dict[str, Any], tmp_path: Path) -> Iterator[World]:
    """Both accounts and the project after a full run, for one test alone."""
    shutil.copytree(story["folder"], tmp_path, dirs_exist_ok=True)
    with worlds(tmp_path, ("one",), SIZE) as (world,):
        yield world
