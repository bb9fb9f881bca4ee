"""Kill -9 at any moment of a full run, a delta and a rollback, with every kind of fault on: nothing twice, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.canonical import doubled
from tests.chaos.harness import dump, worlds, written
from tests.chaos.story import Told, tell


def holds(told: Told) -> None:
    """The bar: no duplicate, no loss, no doubt left, and a rollback that gives the account back."""
    print(f"\n{told.table()}")
    assert told.doubled == []
    assert told.missing == []
    assert told.extra == []
    assert told.doubt == 0
    assert told.left == []


@pytest.mark.chaos  # the next test kills more often, with all of these objects and the line items
def test_some_kills(tmp_path: Path) -> None:
    """Four kills over a small account leave no trace."""
    told = tell(tmp_path, size=60, kills=(2, 1, 1), calls=(60, 8, 60), seed=1)
    assert told.kills >= 3
    holds(told)


@pytest.mark.journeys
def test_some_kills_among_line_items(tmp_path: Path) -> None:
    """Documents of many lines, which travel a hundred at a time: no line twice, none lost, whatever is killed."""
    told = tell(tmp_path, size=40, kills=(4, 1, 2), calls=(60, 8, 60), seed=3, lines=(130, 100, 20, 12, 6, 5, 60, 9))
    assert told.kills >= 4
    holds(told)


@pytest.mark.chaos
def test_fifty_kills_among_line_items(tmp_path: Path) -> None:
    """The same with fifty kills, most of them close to each other."""
    sizes = [6 + n * 7 % 40 for n in range(40)] + [130, 240]
    told = tell(tmp_path, size=200, kills=(50, 4, 20), calls=(12, 3, 20), seed=11, lines=sizes)
    holds(told)
    assert told.kills >= 50


@pytest.mark.chaos
def test_two_hundred_kills(tmp_path: Path) -> None:
    """Two hundred kills over 2,000 records leave no trace."""
    told = tell(tmp_path, size=2000, kills=(130, 40, 120), calls=(7, 2, 12), seed=7)
    holds(told)
    assert told.kills >= 200


def test_two_runs_at_once(tmp_path: Path) -> None:
    """A second command on the same store is refused while the first is at work, and may go on after a kill."""
    with worlds(tmp_path, ("one",), 120) as (world,):
        first = world.start("run", "--yes")
        while not written(world.destination):
            assert first.poll() is None
        refused = world.etl("run", "--yes", good=(5,))
        assert "etl status specs/" in refused.err
        world.etl("status")
        first.kill()
        first.wait()
        world.etl("run", "--yes")
        assert doubled(dump(world.destination)) == []
