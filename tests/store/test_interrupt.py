"""What an interrupt leaves of a transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.store.tables import open_store, recall, remember, remember_in


class Interrupting:
    """A value whose reading is cut off by Ctrl-C."""

    def __conform__(self, _: object) -> str:
        raise KeyboardInterrupt


def test_an_interrupt_within_a_statement_lets_the_store_be_written(tmp_path: Path) -> None:
    """The transaction is rolled back at once, though the traceback is still looked at: nobody waits for the file."""
    store = open_store(str(tmp_path / "store.sqlite"))
    with pytest.raises(KeyboardInterrupt) as seen, store.begin() as connection:
        remember_in(connection, "before", "lost")
        connection.exec_driver_sql("INSERT INTO meta (name, value) VALUES (?, ?)", [("a", "1"), ("b", Interrupting())])
    remember(store, "after", "kept")
    assert seen.tb and (recall(store, "before"), recall(store, "after")) == (None, "kept")
    store.close()
