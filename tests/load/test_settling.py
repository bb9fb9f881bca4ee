"""Lists that lag: nothing is planned on what they showed before our last write."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.load.reconcile import reconcile
from engine.store.journal import Entry, Settled, intend, settle
from tests.load.desk import START, desk

LAG = 5.0


@pytest.mark.parametrize(
    ("ago", "state", "naps"),
    [
        (None, "", []),
        (0.0, "done", [5.0]),
        (2.0, "done", [3.0]),
        (2.0, "undone", [3.0]),
        (2.0, "void", [3.0]),
        (5.0, "done", []),
        (9.0, "done", []),
        (-3.0, "done", []),
    ],
    ids=["never", "now", "a moment ago", "taken back", "not happened", "just long enough", "long ago", "by another clock"],
)
def test_the_lists_are_looked_at_when_they_show_the_last_write(
    ago: float | None, state: str, naps: list[float], tmp_path: Path
) -> None:
    """A run that follows on a write, be it of a rollback, waits as long as lists may lag, and no longer."""
    with desk(tmp_path, connection={"reconcile_after": LAG}) as table:
        if ago is not None:
            with table.store() as connection:
                (number,) = intend(connection, [Entry(1, "contacts", "people/1", "contacts", "create", {}, {})])
                settle(connection, [Settled(number, state, START - ago, dest_id="5")])
        reconcile(table.run)
        assert table.time.naps == naps
