"""What drafts were last made of, compared with what is there now."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from engine.store.changes import Change, save_changes
from engine.store.links import Draft, clear_drafts, save_drafts, stream_drafts
from engine.store.records import Cursor, Record, mark_gone, save_page
from engine.store.seen import (
    changed_since,
    compare_keys,
    compare_planned,
    compare_records,
    number,
    place_of,
    planned_place,
)
from engine.store.tables import Store

# what is made once only (statements, prepared ones) is made by the first comparison
FIRST, FEW, MANY = 2_000, 2_000, 8_000
SLACK = 100_000  # bytes: what a driver keeps of its statements; the keys alone would be ten times as much
Compare = Callable[[Store, str, int], None]


def key(place: int) -> str:
    return f"o/{place:06}"


def put(store: Store, low: int, high: int) -> None:
    """Records of a collection `o`, a draft of each in an object `o`, and a row that is planned for it."""
    with store.begin() as connection:
        for start in range(low, high, 500):
            keys = [key(place) for place in range(start, start + 500)]
            save_page(connection, [Record("o", one, {"id": one}) for one in keys], [], Cursor("o", None, True, 0, 1.0, 2.0))
            save_drafts(connection, [Draft("o", one, one, {}, "d") for one in keys])
            save_changes(connection, [Change("o", one, "create") for one in keys])


def remove(store: Store, high: int) -> None:
    """All of it is gone."""
    with store.begin() as connection:
        clear_drafts(connection, "o")
        connection.exec_driver_sql("DELETE FROM changes")
        mark_gone(connection, [key(place) for place in range(high)])


def peak(compare: Compare, store: Store, mark: int) -> int:
    """The most memory that a comparison holds at a time."""
    tracemalloc.start()
    compare(store, "o", mark)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


COMPARISONS = [(compare_records, "o"), (compare_keys, place_of("o")), (compare_planned, planned_place("o"))]


@pytest.mark.parametrize(("compare", "place"), COMPARISONS)
def test_a_comparison_takes_the_same_memory_whatever_the_size(store: Store, compare: Compare, place: str) -> None:
    """Four times the keys, new or gone, take no more memory at the peak; each is noted at the mark of its comparison."""
    put(store, 0, FIRST)
    compare(store, "o", 1)
    peaks, low = [], FIRST
    for mark, more in ((2, FEW), (3, MANY)):
        put(store, low, low + more)
        peaks.append(peak(compare, store, mark))
        with store.begin() as connection:
            assert sorted(changed_since(connection, place, mark - 1)) == [key(place) for place in range(low, low + more)]
        low += more
    assert peaks[1] < peaks[0] * 1.2 + SLACK

    remove(store, low)
    assert peak(compare, store, 4) < peaks[0] * 1.2 + SLACK
    with store.begin() as connection:
        assert len(changed_since(connection, place, 3)) == low


@pytest.mark.parametrize(("compare", "place"), COMPARISONS)
def test_a_comparison_notes_what_came_went_and_came_back(store: Store, compare: Compare, place: str) -> None:
    """Each key has the mark of the comparison that found it different, and one that stayed keeps its own."""
    put(store, 0, 500)
    compare(store, "o", 1)
    compare(store, "o", 2)
    with store.begin() as connection:
        assert len(changed_since(connection, place, 0)) == 500
        assert changed_since(connection, place, 1) == []
    remove(store, 500)
    compare(store, "o", 3)
    compare(store, "o", 4)
    with store.begin() as connection:
        assert len(changed_since(connection, place, 2)) == 500
        assert changed_since(connection, place, 3) == []
    put(store, 0, 500)
    compare(store, "o", 5)
    with store.begin() as connection:
        assert len(changed_since(connection, place, 4)) == 500


def test_numbering_drafts_anew_takes_the_same_memory_whatever_the_size(store: Store) -> None:
    """The draft in front has left, so each other one moves up by a place; four times the drafts take no more memory."""
    peaks, made = [], 0
    for more in (FIRST, FEW, MANY):
        put(store, made, made + more)
        made += more
        with store.begin() as connection:
            save_drafts(connection, [Draft("o", key(place), key(place), {}, "d", seq=place + 2) for place in range(made)])
        tracemalloc.start()
        with store.begin() as connection:
            number(connection, "o", ["o"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        found = [(draft.key, draft.seq) for some in stream_drafts(store, "o") for draft in some]
        assert found == [(key(place), place + 1) for place in range(made)]
    assert peaks[2] < peaks[1] * 1.2 + SLACK
