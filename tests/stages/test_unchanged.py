"""Drafts that are kept are those that would have been made: whatever happened in between, and only where nothing did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.model import Path as SourcePath
from engine.mapping.draft import transform
from engine.session import Run
from engine.store.links import Link, drop_drafts, save_link
from engine.store.records import Cursor, Record, mark_gone, save_page
from engine.values import digest
from tests.load.desk import Desk, desk
from tests.replacing import replace

people = st.tuples(
    st.just("people"),
    st.integers(1, 4),
    st.sampled_from(["Ann", "Bob", ""]),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 3),
)
firms = st.tuples(
    st.just("firms"),
    st.integers(1, 2),
    st.sampled_from(["Acme", ""]),
    st.none(),
    st.none(),
)
saved = st.tuples(st.just("save"), people | firms)
steps = st.lists(
    saved
    | st.tuples(st.just("gone"), st.sampled_from(["people/1", "people/2", "firms/1"]))
    | st.tuples(
        st.just("linked"),
        st.sampled_from(["people/1", "people/3", "firms/1", "firms/2"]),
    )
    | st.tuples(st.just("user"), st.sampled_from(["people/1", "people/2"]))
    | st.tuples(st.just("sample"), st.sampled_from(["people/1", "firms/1"]))
    | st.tuples(st.just("dropped"), st.sampled_from(["people/1", "firms/1"]))
    | st.tuples(st.just("transform"), st.none()),
    max_size=14,
)


BEGINNING: list[tuple[str, Any]] = [
    *(("save", ("firms", number, "Acme", None, None)) for number in (1, 2)),
    *(("save", ("people", number, "Ann", number, 5)) for number in (1, 2)),
    ("transform", None),
]


def do(table: Desk, step: tuple[str, Any]) -> None:
    """Something that happens to a store between two plans."""
    what, about = step
    if what == "transform":
        transform(table.run, objects(table.run))
    elif what == "sample":
        transform(table.run, objects(table.run), frozenset([about]))
    with table.store() as connection:
        if what == "save":
            save(connection, *about)
        elif what == "gone":
            mark_gone(connection, [about])
        elif what == "dropped":
            drop_drafts(connection, about)
        elif what in ("linked", "user"):
            name = {"user": "users"}.get(
                what, {"p": "contacts", "f": "companies"}[about[0]]
            )
            save_link(connection, Link(name, about, "contacts", "1", "", {}, "created"))


def save(
    connection: sa.Connection,
    collection: str,
    number: int,
    name: str,
    firm: int | None,
    score: int | None,
) -> None:
    """A row that was read, anew or for the first time."""
    body: dict[str, Any] = {"id": number, "name": name}
    if collection == "people":
        body |= {"firm": firm, "score": score}
    key = f"{collection}/{number}"
    entries = [("people", "firm", str(firm), key)] if firm else []
    record = Record(collection, key, body, digest=digest(body))
    save_page(
        connection,
        [record],
        entries,
        Cursor(collection, None, True, 1, 0.0, 0.0, ("firm",)),
    )


def objects(run: Run) -> tuple[Any, ...]:
    return run.spec.active()


def made(table: Desk) -> dict[str, list[Any]]:
    """All that a transformation leaves in the store."""
    with table.store() as connection:
        return {
            "drafts": connection.exec_driver_sql("SELECT object, key, seq, record, digest, body, state, reason FROM drafts ORDER BY 1, 2").all(),
            "findings": connection.exec_driver_sql("SELECT object, key, field, severity, text FROM findings ORDER BY 1, 2, 3, 5").all(),
        }  # fmt: skip


def forget(table: Desk) -> None:
    """Nothing is known of what drafts were made of."""
    with table.store() as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE name LIKE 'mapped.%'")


@given(steps)
@settings(max_examples=30)
def test_what_is_kept_equals_what_would_be_made(story: list[tuple[str, Any]]) -> None:
    """Records, links, people, samples, deletions in any order: the drafts and findings are those of a full transformation."""
    compare(story)


@pytest.mark.chaos
@given(steps)
@settings(max_examples=500)
def test_whatever_is_kept_equals_what_would_be_made(story: list[tuple[str, Any]]) -> None:
    """The same for five hundred stories."""
    compare(story)


def compare(story: list[tuple[str, Any]]) -> None:
    """Take the steps, and compare what was kept with a transformation that knows nothing."""
    with TemporaryDirectory() as folder, desk(Path(folder)) as table:
        for step in [*BEGINNING, *story, ("transform", None)]:
            do(table, step)
        found = made(table)
        forget(table)
        transform(table.run, objects(table.run))
        assert found == made(table)


@pytest.fixture
def table(tmp_path: Path) -> Any:
    with desk(tmp_path) as it:
        for step in BEGINNING:
            do(it, step)
        yield it


def written(table: Desk, act: Callable[[], object]) -> set[str]:
    """The objects whose drafts are made anew meanwhile."""
    found: set[str] = set()

    def hear(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if statement.startswith("DELETE FROM drafts"):
            found.add(parameters[0])

    sa.event.listen(table.run.store.engine, "before_cursor_execute", hear)
    try:
        act()
    finally:
        sa.event.remove(table.run.store.engine, "before_cursor_execute", hear)
    return found


def again(table: Desk, run: Run | None = None) -> set[str]:
    """Transform once more; the objects whose drafts were made anew."""
    run = run or table.run
    return written(table, lambda: transform(run, objects(run)))


def test_nothing_is_made_twice(table: Desk) -> None:
    """Nothing has changed: nothing is made."""
    assert again(table) == set()


@pytest.mark.parametrize(
    ("step", "anew"),
    [
        (("save", ("people", 1, "Bob", 1, 5)), {"contacts"}),
        (("save", ("people", 3, "Bob", 1, 5)), {"contacts"}),
        (("save", ("people", 1, "Ann", 1, 5)), set()),
        (("save", ("firms", 1, "Other", None, None)), {"companies"}),
        (("gone", "firms/1"), {"companies", "contacts"}),
        (("user", "people/1"), set()),
        (("linked", "firms/1"), set()),
        (("dropped", "people/1"), {"contacts"}),
    ],
)
def test_what_leans_on_a_change_is_made_anew(
    table: Desk, step: tuple[str, Any], anew: set[str]
) -> None:
    """The objects of a record that changed, and those that looked at what is not the same any more; no others."""
    do(table, step)
    assert again(table) == anew
    assert again(table) == set()


def test_a_changed_mapping_makes_its_object_anew(table: Desk) -> None:
    """That object, and no other."""
    spec = table.run.spec
    contacts = spec.objects["contacts"]
    fields = {name: item for name, item in contacts.fields.items() if name != "phone"}
    changed = replace(
        spec, objects={**spec.objects, "contacts": replace(contacts, fields=fields)}
    )
    run = replace(table.run, migration=replace(table.run.migration, spec=changed))
    assert again(table, run) == {"contacts"}
    assert again(table, run) == set()


def test_other_code_makes_everything_anew(
    table: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version of a step may make something else of a value."""
    monkeypatch.setattr(
        "engine.mapping.draft.digest_of_code", lambda: "another version"
    )
    assert again(table) == {"companies", "contacts"}


def test_another_day_makes_anew_what_asks_for_the_day(table: Desk) -> None:
    """On one day the same record gives the same draft, and nothing is made; on the next, only what reads `$today` is."""
    spec = table.run.spec
    contacts = spec.objects["contacts"]
    today = replace(contacts.fields["note"], expr=SourcePath("$today", ("$today",)))
    changed = replace(spec, objects={**spec.objects, "contacts": replace(contacts, fields={**contacts.fields, "note": today})})
    migration = replace(table.run.migration, spec=changed)
    one, next_one = (replace(table.run, migration=migration, today=day) for day in ("2026-01-01", "2026-01-02"))
    assert again(table, one) == {"contacts"}
    assert again(table, one) == set()
    assert again(table, next_one) == {"contacts"}
    bodies = [row.body for row in made(table)["drafts"] if row.object == "contacts"]
    assert bodies and all("2026-01-02" in body for body in bodies)


def test_a_run_has_the_day_of_its_clock(table: Desk) -> None:
    """The clock that a run is given says what `$today` is, in UTC."""
    assert table.run.today == "2026-01-01"
