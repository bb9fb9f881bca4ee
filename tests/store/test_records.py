"""Source records, their cursors, and who points at whom."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from engine.store.records import (
    BATCH,
    Cursor,
    Record,
    all_cursors,
    count,
    forget,
    gone_of,
    many,
    mark_gone,
    one,
    pointing_at,
    sample,
    save_page,
    save_refs,
    save_sample,
    stream,
)
from engine.store.tables import Store, records, refs
from tests.store.test_links import of_the_values

CURSOR = Cursor("c", None, False, 0, 1.0, 2.0)


def made(number: int, collection: str = "c", **body: Any) -> Record:
    return Record(collection, f"{collection}/{number}", {"id": number, **body}, digest=str(number))


def put(store: Store, found: list[Record], entries: list[tuple[str, str, str, str]] | None = None, cursor: Cursor = CURSOR) -> None:
    with store.begin() as connection:
        save_page(connection, found, entries or [], cursor)


def pointed(store: Store, field: str, *targets: str) -> list[str]:
    with store.begin() as connection:
        return [record.key for record in pointing_at(connection, "c", field, targets)]


def test_records_come_back_as_they_were_read(store: Store) -> None:
    """Body, digest and key survive; order is the order of reading, not of keys."""
    bodies = [{"t": "ñ 株 🚀"}, {"t": "half \ud83d"}, {"t": "nul \0"}, {"n": 1.5, "z": None, "l": [1, {"a": True}]}]
    found = [made(number, **body) for number, body in zip((9, 1, 5, 3), bodies, strict=True)]
    put(store, found)
    (batch,) = stream(store, "c")
    assert [(r.key, r.body, r.digest, r.id) for r in batch] == [(r.key, r.body, r.digest, str(r.body["id"])) for r in found]
    with store.begin() as connection:
        assert one(connection, "c/5") == batch[2]
        assert one(connection, "c/77") is None


def test_a_record_read_again_keeps_its_place(store: Store) -> None:
    """What was read anew is replaced where it stood: later records are not overtaken."""
    put(store, [made(1), made(2), made(3)])
    with store.begin() as connection:
        before = {key: record.seq for key, record in many(connection, ["c/1", "c/2", "c/3"]).items()}
    put(store, [made(3, name="new"), made(1, name="new"), made(4)])
    (batch,) = stream(store, "c")
    assert [(r.key, r.body.get("name")) for r in batch] == [("c/1", "new"), ("c/2", None), ("c/3", "new"), ("c/4", None)]
    assert {r.key: r.seq for r in batch if r.key != "c/4"} == before


def test_a_page_and_its_cursor_are_saved_together(store: Store) -> None:
    """When anything fails, neither is there: the page is read again, not lost."""
    put(store, [made(1)], cursor=structs.replace(CURSOR, position={"start": 500}, rows=1, indexed=("a", "b")))
    with pytest.raises(KeyError), store.begin() as connection:
        save_page(connection, [made(2)], [], structs.replace(CURSOR, position={"start": 1000}))
        raise KeyError
    with store.begin() as connection:
        assert all_cursors(connection) == {"c": structs.replace(CURSOR, position={"start": 500}, rows=1, indexed=("a", "b"))}
        assert count(connection, "c") == 1


@pytest.mark.parametrize("fields", [1, 2, 3, 7])
def test_no_entry_is_lost_where_a_page_fills_several_batches(store: Store, fields: int) -> None:
    """A page of 500 records with several indexed fields: every record is found through every one of them."""
    found = [made(number) for number in range(500)]
    names = [f"f{number}" for number in range(fields)]
    entries = [("c", name, f"{name}/{record.key}", record.key) for record in found for name in names]
    put(store, found, entries, structs.replace(CURSOR, indexed=tuple(names)))
    for name in names:
        assert pointed(store, name, *[f"{name}/{record.key}" for record in found]) == [record.key for record in found]
    with store.begin() as connection:
        save_refs(connection, entries)
        assert connection.execute(sa.select(sa.func.count()).select_from(refs)).scalar_one() == 500 * fields


def test_a_record_that_points_elsewhere_now_is_found_only_there(store: Store) -> None:
    """Entries of an earlier reading go, also where the field is empty now and no record of the page has it."""
    cursor = structs.replace(CURSOR, indexed=("owner", "parent"))
    entries = [("c", "owner", "u/1", "c/1"), ("c", "parent", "c/2", "c/1"), ("c", "owner", "u/1", "c/2")]
    put(store, [made(1), made(2)], entries, cursor)
    put(store, [made(1)], [("c", "owner", "u/2", "c/1")], cursor)
    assert pointed(store, "owner", "u/1") == ["c/2"]
    assert pointed(store, "owner", "u/2") == ["c/1"]
    assert pointed(store, "parent", "c/2") == []


def test_entries_of_other_collections_stay(store: Store) -> None:
    """Keys are told apart by collection, also in one call."""
    put(store, [made(1), made(1, "d")])
    with store.begin() as connection:
        save_refs(connection, [("c", "f", "t", "c/1"), ("d", "f", "t", "d/1")])
        save_refs(connection, [("d", "f", "t2", "d/1")])
        assert [r.key for r in pointing_at(connection, "c", "f", ["t"])] == ["c/1"]
        assert [r.key for r in pointing_at(connection, "d", "f", ["t", "t2"])] == ["d/1"]


def test_who_points_at_whom_is_told_once_and_in_order(store: Store) -> None:
    """Records come in the order they were read, each once, whatever the order of the targets and however many."""
    put(store, [made(number) for number in (5, 3, 9)])
    with store.begin() as connection:
        save_refs(connection, [("c", "f", target, f"c/{number}") for number in (3, 5, 9) for target in ("a", "b")])
    targets = ["b", *(f"x{number}" for number in range(3 * BATCH)), "a"]
    assert pointed(store, "f", *targets) == ["c/5", "c/3", "c/9"]


def test_more_keys_than_a_statement_takes_variables(store: Store) -> None:
    """Forty thousand keys are asked for in parts."""
    put(store, [made(1)])
    keys = ["c/1", *(f"c/{number}" for number in range(10, 40_000))]
    with store.begin() as connection:
        assert list(many(connection, keys)) == ["c/1"]
        mark_gone(connection, keys)
        assert gone_of(connection, ["c/1", "c/2"]) == {"c/1"}


def test_what_is_gone_is_kept_but_not_migrated(store: Store) -> None:
    """A deleted record is out of every reading, and what names it finds it as it was; read again, it is back in its place."""
    put(store, [made(1), made(2)], [("c", "f", "t", "c/1")], structs.replace(CURSOR, indexed=("f",)))
    with store.begin() as connection:
        mark_gone(connection, ["c/1"])
        assert count(connection, "c") == 1 and list(many(connection, ["c/1"])) == []
        found = one(connection, "c/1")
        assert found and many(connection, ["c/1"], gone=True) == {"c/1": found}
    assert [r.key for batch in stream(store, "c") for r in batch] == ["c/2"]
    assert pointed(store, "f", "t") == []
    put(store, [made(1)], [("c", "f", "t", "c/1")])
    assert [r.key for batch in stream(store, "c") for r in batch] == ["c/1", "c/2"]
    assert pointed(store, "f", "t") == ["c/1"]


def test_a_stream_may_be_narrowed_and_written_under(store: Store) -> None:
    """Only the chosen keys come; records written while it runs neither stop it nor come twice."""
    put(store, [made(number) for number in range(25)])
    seen = []
    for batch in stream(store, "c", frozenset(f"c/{number}" for number in (3, 4, 20)), batch=10):
        seen += [record.key for record in batch]
        put(store, [made(3, again=True)])
    assert seen == ["c/3", "c/4", "c/20"]


def test_a_sample_keeps_its_order_and_reasons(store: Store) -> None:
    """A new choice replaces the old one."""
    with store.begin() as connection:
        save_sample(connection, [("c/9", "old")])
        save_sample(connection, [("c/2", "b"), ("c/1", "a")])
        assert list(sample(connection).items()) == [("c/2", "b"), ("c/1", "a")]
        forget(connection)
        assert sample(connection) == {}


def test_streaming_takes_the_same_memory_whatever_the_size(store: Store) -> None:
    """Four times the records take no more memory at the peak."""
    peaks = []
    for wanted in (2_000, 8_000):
        with store.begin() as connection:
            row = {"collection": "c", "digest": "", "body": '{"t": "' + "x" * 500 + '"}', "read_at": 1.0, "gone": False}
            rows = [
                {**row, "key": f"c/{n}"}
                for n in range(count(connection, "c"), wanted)
            ]
            connection.execute(records.insert(), rows)
        del rows
        tracemalloc.start()
        assert sum(len(batch) for batch in stream(store, "c")) == wanted
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def plans(store: Store, act: Any) -> list[str]:
    """How SQLite looks up what the function asks for."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if not statement.startswith(("BEGIN", "EXPLAIN", "INSERT")):
            asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    act()
    sa.event.remove(store.engine, "before_cursor_execute", note)
    with store.begin() as connection:
        return [
            str(row[3])
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_every_lookup_goes_through_an_index(store: Store) -> None:
    """No scan and no sort, however large the tables."""
    put(store, [made(number, "d") for number in range(10)])
    put(store, [made(number) for number in range(10)], [("c", "f", "t", f"c/{number}") for number in range(10)])

    def act() -> None:
        list(stream(store, "c", batch=5))
        with store.begin() as connection:
            save_page(connection, [made(1)], [("c", "f", "t", "c/1")], CURSOR)
            many(connection, ["c/1", "d/1"])
            one(connection, "c/1")
            pointing_at(connection, "c", "f", ["t", "u"])
            mark_gone(connection, ["c/1", "d/2"])

    found = plans(store, act)
    assert len(found) >= 8
    first = "SEARCH records USING INDEX records_in_order (collection=?)"
    assert found.count(first) == 1, found  # the first batch of the stream
    for plan in found:
        if of_the_values(plan) or plan == first:
            continue
        assert plan.startswith("SEARCH") and "TEMP B-TREE" not in plan, found
        whole = ("key=?", "target=?", "seq>?", "rowid>?")  # the last column of the lookup, not only its first ones
        assert any(part in plan for part in whole), found


def test_lookups_of_one_and_of_many_are_the_same_statements(store: Store) -> None:
    """Drivers keep a statement for each text of SQL that they were asked: there must not be one for each number of values."""
    put(store, [made(number) for number in range(10)], [("c", "f", str(number), f"c/{number}") for number in range(10)])
    asked: set[str] = set()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.add(statement)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    for many_of_them in (1, 2, 7, 10):
        wanted = [str(number) for number in range(many_of_them)]
        assert pointed(store, "f", *wanted) == [f"c/{number}" for number in wanted]
    sa.event.remove(store.engine, "before_cursor_execute", note)
    assert len([text for text in asked if text.startswith("SELECT")]) == 2
