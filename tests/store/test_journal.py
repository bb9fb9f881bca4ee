"""Intents and outcomes: what was meant, what became of it, and what is still open."""

from __future__ import annotations

import pytest
from msgspec import structs

from engine.store.journal import (
    OPEN,
    Entry,
    Settled,
    all_runs,
    close_killed,
    counts,
    end_run,
    entries,
    failures,
    intend,
    settle,
    start_run,
    stream_entries,
)
from engine.store.tables import Store

ENTRY = Entry(1, "o", "c/1", "r", "create", {"name": "ñ \ud83d"}, {"p": {"$link": ["p", "p/1"]}}, {"old": None}, at=5.0)


def test_an_intent_is_open_until_its_outcome(store: Store) -> None:
    """It comes back as it was meant; a doubt stays open, an outcome closes it."""
    with store.begin() as connection:
        (number,) = intend(connection, [ENTRY])
        assert entries(connection, OPEN) == [structs.replace(ENTRY, id=number)]
        settle(connection, [Settled(number, "doubt", 6.0, reason="cut", calls=1, cost=5)])
        settle(connection, [Settled(number, "doubt", 7.0, calls=1, cost=5)])
        assert [(e.state, e.calls, e.cost) for e in entries(connection, OPEN)] == [("doubt", 2, 10.0)]
        settle(connection, [Settled(number, "done", 8.0, dest_id="77")])
        assert entries(connection, OPEN) == []
        (done,) = entries(connection, ("done",))
        assert (done.dest_id, done.calls, done.reason) == ("77", 2, "")


def test_a_destination_id_once_known_stays(store: Store) -> None:
    """An outcome that does not tell the id does not erase it: rollback needs it."""
    with store.begin() as connection:
        (number,) = intend(connection, [structs.replace(ENTRY, action="update", dest_id="77")])
        settle(connection, [Settled(number, "done", 6.0)])
        assert entries(connection)[0].dest_id == "77"


def test_numbers_come_in_the_order_of_the_intents(store: Store) -> None:
    """A group of intents gets one number each, in order; nothing in it is left out."""
    with store.begin(durable=True) as connection:
        numbers = intend(connection, [structs.replace(ENTRY, key=f"c/{n}") for n in range(50)])
        assert numbers == sorted(set(numbers)) and len(numbers) == 50
        assert [e.key for e in entries(connection)] == [f"c/{n}" for n in range(50)]
    for batch in (1, 7, 50, 500):
        assert [e.id for part in stream_entries(store, batch) for e in part] == numbers


def test_the_last_word_on_a_record_counts(store: Store) -> None:
    """A record that failed and then succeeded is no failure; one that failed last is."""
    with store.begin() as connection:
        numbers = intend(connection, [structs.replace(ENTRY, key=key) for key in ("a", "a", "b", "b", "c")])
        for number, state in zip(numbers, ("failed", "done", "done", "failed", "done"), strict=True):
            settle(connection, [Settled(number, state, 6.0, reason=state)])
        intend(connection, [structs.replace(ENTRY, object="other", key="b")])
        assert {key: entry.id for key, entry in failures(connection, "o").items()} == {"b": numbers[3]}


def test_counts_add_up_by_object_action_and_state(store: Store) -> None:
    """For one run or for all."""
    with store.begin() as connection:
        numbers = intend(connection, [ENTRY, ENTRY, structs.replace(ENTRY, run=2, action="update")])
        for number in numbers:
            settle(connection, [Settled(number, "done", 6.0, calls=1, cost=2.5)])
        assert counts(connection) == {("o", "create", "done"): (2, 5.0), ("o", "update", "done"): (1, 2.5)}
        assert counts(connection, 2) == {("o", "update", "done"): (1, 2.5)}


def test_runs_are_numbered_and_ended(store: Store) -> None:
    """A run that never ended is told from one that did."""
    with store.begin() as connection:
        first, second = (start_run(connection, word, 1.5, "digest") for word in ("run", "verify"))
        end_run(connection, first, 2.5, "done")
        assert first < second
        found = [(r["command"], r["ended"], r["outcome"]) for r in all_runs(connection)]
        assert found == [("run", 2.5, "done"), ("verify", None, "running")]
        close_killed(connection)
        assert [run["outcome"] for run in all_runs(connection)] == ["done", "killed"]


@pytest.mark.parametrize("states", [(), OPEN])
def test_an_object_can_be_asked_for_alone(store: Store, states: tuple[str, ...]) -> None:
    """With or without a state."""
    with store.begin() as connection:
        intend(connection, [ENTRY, structs.replace(ENTRY, object="other")])
        assert [e.object for e in entries(connection, states, "other")] == ["other"]
