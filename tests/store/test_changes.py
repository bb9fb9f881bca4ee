"""What is to be done about each record, page by page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from engine.store.changes import (
    Change,
    save_changes,
    stream_all,
    stream_changes,
)
from engine.store.tables import open_store

MANY = 1203  # more than two pages, which are read one after the other


def test_no_change_is_lost_between_two_pages(tmp_path: Path) -> None:
    """Where many have one place in the order, too: what parts of one record become, and the same keys of two objects."""
    made = [Change(name, f"{at:05}", "create", seq=at // 700) for at in range(MANY) for name in ("people", "pets")]
    with closing(open_store(str(tmp_path / "store.sqlite"))) as store:
        with store.begin() as connection:
            save_changes(connection, made)
        for name in ("people", "pets"):
            found = [change.key for batch in stream_changes(store, name, "create") for change in batch]
            assert found == [f"{at:05}" for at in range(MANY)]
        both = [(change.object, change.key) for batch in stream_all(store) for change in batch]
    assert both == sorted((change.object, change.key) for change in made)
