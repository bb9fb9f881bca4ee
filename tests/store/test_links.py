"""Drafts, links and findings."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from engine.store.links import (
    FEW,
    Draft,
    Finding,
    Link,
    all_findings,
    clear_drafts,
    clear_findings,
    count_drafts,
    count_links,
    draft_states,
    drop_link,
    links_of,
    links_to_rows,
    save_drafts,
    save_findings,
    save_link,
    stream_drafts,
    stream_links,
)
from engine.store.tables import Store

LINK = Link("o", "c/1", "r", "77", "d", {"a": {"$link": ["p", "p/1"]}, "t": "ñ \ud83d"}, "created", 1, 2.5, {"size": 3}, {"t": "N"}, {"a": {"why": "lost"}})
MANY = [f"k{number}" for number in range(40_000)]


def draft(number: int, seq: int = 0, **rest: Any) -> Draft:
    return Draft("o", f"c/{number}", f"c/{number}", {"n": number}, "d", seq=seq or number, **rest)


def test_drafts_come_in_the_order_of_their_records(store: Store) -> None:
    """By the record's place in the reading, then by key; several drafts of one record stay together."""
    found = [draft(9, 1), draft(2, 3), structs.replace(draft(2, 3), key="c/2#b"), structs.replace(draft(2, 3), key="c/2#a"), draft(1, 7)]
    with store.begin() as connection:
        save_drafts(connection, found)
        save_drafts(connection, [structs.replace(draft(5, 2), object="other")])
    for batch in (1, 2, 3, 100):
        keys = [item.key for part in stream_drafts(store, "o", batch) for item in part]
        assert keys == ["c/9", "c/2", "c/2#a", "c/2#b", "c/1"]
    (whole,) = stream_drafts(store, "o")
    assert whole[0] == found[0]


@pytest.mark.parametrize("more", [0, 3, 40])
def test_links_that_name_a_record_are_all_found(more: int, store: Store) -> None:
    """Whatever signs its key has and however deep it stands; with a few records asked for, no other link comes."""
    keys = ["p/1", "p/ñ", "p/1%", "p/_", 'p/"']
    naming = [("p", key) for key in keys] + [("p", f"none/{number}") for number in range(more)]
    with store.begin() as connection:
        for position, key in enumerate(keys):
            save_link(connection, structs.replace(LINK, key=f"c/{position}", written={"a": [{"b": {"$link": ["p", key]}}]}))
        save_link(connection, structs.replace(LINK, key="x/1", written={"a": {"$link": ["p", "p/10"]}}))
        save_link(connection, structs.replace(LINK, key="x/2", written={"a": {"$link": ["q", "p/1"]}}))
    found = [link.key for part in stream_links(store, "o", naming=naming) for link in part]
    assert [key for key in found if key.startswith("c/")] == [f"c/{position}" for position in range(len(keys))]
    assert any(key.startswith("x/") for key in found) is (len(naming) > FEW)


def test_drafts_are_replaced_counted_and_forgotten(store: Store) -> None:
    """One draft for each object and key; their states can be asked for by any number of keys."""
    with store.begin() as connection:
        save_drafts(connection, [draft(1), draft(2)])
        save_drafts(connection, [draft(2, state="failed", reason="why"), draft(3, state="skipped")])
        assert count_drafts(connection, "o") == {"ready": 1, "failed": 1, "skipped": 1}
        assert draft_states(connection, "o", [*MANY, "c/1", "c/2"]) == {"c/1": "ready", "c/2": "failed"}
        clear_drafts(connection, "o")
        assert count_drafts(connection, "o") == {}


def test_links_come_back_as_they_were(store: Store) -> None:
    """With symbols, odd text and everything else in them; by key, by destination id or one by one."""
    with store.begin() as connection:
        save_link(connection, LINK)
        save_link(connection, structs.replace(LINK, object="p", dest_id="78"))
        assert links_of(connection, "o") == {"c/1": LINK}
        assert links_of(connection, "o", [*MANY, "c/1"]) == {"c/1": LINK}
        assert links_of(connection, "o", []) == {}
        assert links_to_rows(connection, "r", [*MANY, "77"]) == {"77": [LINK]}
        assert count_links(connection) == {"o": 1, "p": 1}
        drop_link(connection, "o", "c/1")
        assert links_of(connection, "o") == {}


@pytest.mark.parametrize(("second", "kept"), [("adopted", "adopted"), ("created", "created")])
def test_a_link_is_as_it_was_saved_last(store: Store, second: str, kept: str) -> None:
    """Saving a link replaces all of it, its origin too."""
    with store.begin() as connection:
        save_link(connection, LINK)
        save_link(connection, structs.replace(LINK, origin=second, digest="new"))
        found = links_of(connection, "o")["c/1"]
    assert (found.origin, found.digest) == (kept, "new")


def test_links_stream_in_batches(store: Store) -> None:
    """Each once, whatever the size of the batch."""
    with store.begin() as connection:
        for number in range(25):
            save_link(connection, structs.replace(LINK, key=f"c/{number:02}", dest_id=str(number)))
    for batch in (1, 7, 25, 100):
        assert [item.dest_id for part in stream_links(store, "o", batch) for item in part] == [str(n) for n in range(25)]


def test_findings_keep_their_order_and_are_cleared_narrowly(store: Store) -> None:
    """By stage, by object and by key; everything else stays."""
    found = [
        Finding("o", f"c/{number}", stage, "f", severity, "t \ud83d"[: 1 + number % 3])
        for number, (stage, severity) in enumerate(
            [("load", "attention"), ("load", "note"), ("transform", "note"), ("load", "note")]
        )
    ]
    with store.begin() as connection:
        save_findings(connection, found)
        save_findings(connection, [])
        assert [item.key for item in all_findings(connection)] == ["c/0", "c/1", "c/2", "c/3"]
        assert [item.key for item in all_findings(connection, "attention")] == ["c/0"]
        clear_findings(connection, "load", "other")
        clear_findings(connection, "load", "o", [])
        assert len(all_findings(connection)) == 4
        clear_findings(connection, "load", "o", [*MANY, "c/1"])
        assert [item.key for item in all_findings(connection)] == ["c/0", "c/2", "c/3"]
        clear_findings(connection, "load")
        assert [item.key for item in all_findings(connection)] == ["c/2"]


def test_streaming_drafts_takes_the_same_memory_whatever_the_size(store: Store) -> None:
    """Four times the drafts take no more memory at the peak."""
    peaks = []
    for low, high in ((0, 2_000), (2_000, 8_000)):
        with store.begin() as connection:
            save_drafts(connection, [structs.replace(draft(n), body={"t": "x" * 500}) for n in range(low, high)])
        tracemalloc.start()
        assert sum(len(batch) for batch in stream_drafts(store, "o")) == high
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def of_the_values(plan: str) -> bool:
    """Whether a line of a plan is about the values that are asked for, not about a table of ours."""
    return plan.startswith("LIST SUBQUERY") or "VIRTUAL TABLE" in plan


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_streams_and_lookups_go_through_an_index(store: Store) -> None:
    """No scan and no sort; a batch starts where the last one ended, not at the first draft."""
    asked: list[tuple[str, Any]] = []
    with store.begin() as connection:
        save_drafts(connection, [draft(number) for number in range(20)])
        save_link(connection, LINK)

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    list(stream_drafts(store, "o", 5))
    list(stream_links(store, "o", 5))
    with store.begin() as connection:
        links_of(connection, "o", ["c/1"])
        links_to_rows(connection, "r", ["77"])
        draft_states(connection, "o", ["c/1"])
        clear_findings(connection, "load", "o", ["c/1"])
    sa.event.remove(store.engine, "before_cursor_execute", note)
    with store.begin() as connection:
        plans = [
            str(row[3]) for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]  # fmt: skip
    assert len(plans) >= 10
    first = [plan for plan in plans if plan.endswith("(object=?)")]
    assert len(first) == 2, plans  # the first batch of each stream, which begins with the object
    for plan in plans:
        if not of_the_values(plan) and plan not in first:
            assert plan.startswith("SEARCH") and ("=? AND" in plan), plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans
