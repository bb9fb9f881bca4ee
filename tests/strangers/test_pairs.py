"""Migrations from and to servers by other people, through the whole journey."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.strangers import (
    kinto_to_datasette,
    redmine_to_pipedrive,
    stel_order_to_kinto,
)
from tests.strangers.journey import Pair, travel
from tests.strangers.odd import journey as odd
from tests.strangers.odd.crm import STRANGE
from tests.strangers.servers import Absent

PAIRS = [stel_order_to_kinto.PAIR, kinto_to_datasette.PAIR, redmine_to_pipedrive.PAIR]


@pytest.mark.strangers
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_pair_goes_the_whole_way(pair: Pair, tmp_path: Path) -> None:
    """From validate to rollback, with kills on the way, nothing is lost, doubled or garbled, and everything is given back."""
    try:
        told = travel(pair, tmp_path)
    except Absent as reason:
        pytest.skip(str(reason))
    print(f"\n{told.table()}")


@pytest.mark.strangers
def test_a_platform_that_is_odd_in_every_way_is_migrated_to(tmp_path: Path) -> None:
    """Whatever a platform does to values, lists, references and connections, nothing is wrong that is not reported."""
    at = odd.travel(odd.Settings(lag=float(os.environ.get("ODD_LAG", "1"))), tmp_path)
    print(f"\n{odd.table(at)}")
    assert odd.faults(at) == []


@pytest.mark.strangers
def test_two_platforms_that_are_stranger_still_are_migrated_between(tmp_path: Path) -> None:
    """Nor whatever both do to pages, flags, zones, clocks, waits and ids; with few kills, for the other journey has many."""
    settings = odd.Settings(lag=0.5, switches=tuple(STRANGE["crm"]), kills=(2, 1, 1, 0, 0), desk=tuple(STRANGE["desk"]))
    at = odd.travel(settings, tmp_path)
    print(f"\n{odd.table(at)}")
    assert odd.faults(at) == []
