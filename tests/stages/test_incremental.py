"""Whatever was edited in the source, drafts and plan that are brought up to date equal those made anew, row for row."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.connector.auth import Account, Accounts
from engine.connector.rate_limit import Clock
from engine.extract.records import entries
from engine.language.compile import Migration, load_migration
from engine.language.dependencies import needed
from engine.language.model import Const, Expr, First, Lookup
from engine.mapping.draft import transform
from engine.mapping.evaluate import FALLBACK
from engine.plan.doubt import TAKEN
from engine.plan.make import make_plan
from engine.session import Run, wire
from engine.store.changes import changes_of
from engine.store.links import (
    Draft,
    Link,
    drafts_of,
    drop_link,
    save_drafts,
    save_link,
)
from engine.store.records import Cursor, Record, forget, mark_gone, save_page
from engine.store.tables import journal, open_store
from engine.values import digest
from tests.load.desk import NOWHERE, START, desk, empty_store, link_to, scratch
from tests.platforms.platform import Platform, served
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.replacing import replace

FIRM = {"lookup": "companies", "by": "firm"}
PEERS = "{% for p in peers %}{{ p.name }} {% endfor %}"
FORGET = "DELETE FROM meta WHERE name LIKE 'mapped.%' OR name LIKE 'planned.%'"
MADE = {
    "drafts": "SELECT object, key, seq, record, digest, body, state, reason FROM drafts",
    "findings": "SELECT object, key, stage, field, severity, text FROM findings",
    "changes": "SELECT object, key, seq, kind, dest_id, send, before, conflicts, stuck, version, draft, reason, cost FROM changes",
}
SOURCE = {
    "firms": readable("firms", name="text", parent="ref firms"),
    "prospects": readable("prospects", name="text", parent="ref firms"),
    "people": readable("people", name="text", firm="ref firms", owner="ref staff"),
    "orders": readable(
        "orders",
        name="text",
        firm="ref firms",
        state="ref states",
        lines="list line",
    ),
    "states": readable("states", name="text"),
    "staff": readable("staff", name="text", email="text"),
}
DESTINATION = {
    "companies": writable(
        "companies", ["name"], name={"type": "text", "required": True}, note="text"
    ),
    "contacts": writable(
        "contacts",
        ["name"],
        name="text",
        note="text",
        company="ref companies",
        owner="ref users",
    ),
    "deals": writable(
        "deals",
        ["name"],
        name="text",
        note="text",
        company="ref companies",
        contact="ref contacts",
    ),
    "lines": writable(
        "lines", ["name"], name="text", contact="ref contacts", deal="ref deals"
    ),
    "users": readable("users", name="text", email="text"),
}
OBJECTS = {
    "companies": mapped(
        ["firms", "prospects"],
        "companies",
        {
            "name": "name",
            "note": {"template": "{{ above.name if above else '' }} " + PEERS},
        },
        related={"above": {"from": "firms", "by": "parent"}},
        children={"peers": {"from": "people", "on": "firm"}},
    ),
    "contacts": mapped(
        "people",
        "contacts",
        {
            "name": "name",
            "note": "firm_row.name",
            "company": FIRM | {"on_miss": "skip"},
            "owner": {"lookup": "users", "by": "owner"},
        },
        related={"firm_row": {"from": "firms", "by": "firm"}},
    ),
    "deals": mapped(
        "orders",
        "deals",
        {
            "name": "name",
            "note": {"template": PEERS},
            "company": FIRM | {"on_miss": "report"},
            "contact": {
                "lookup": "contacts",
                "by": "firm",
                "on": "firm",
                "on_many": "report",
                "on_miss": "omit",
            },
        },
        when={"state_row.name": {"not": "Lost"}},
        related={"state_row": {"from": "states", "by": "state"}},
        children={
            "peers": {
                "from": "people",
                "on": "firm",
                "by": "firm",
                "where": {"name": {"not": "Bob"}},
            }
        },
    ),
    "lines": mapped(
        "orders",
        "lines",
        {
            "name": "line.text",
            "contact": {"lookup": "contacts", "by": "line.who", "on_miss": "report"},
            "deal": {"lookup": "deals", "by": "$record", "on_miss": "skip"},
        },
        each={"name": "line", "path": "lines", "key": "id"},
    ),
}


@cache
def compiled() -> Migration:
    """The migration, read once."""
    folder = scratch() / "incremental"
    folder.mkdir(exist_ok=True)
    people = {"resource": "users", "email": "email", "name": "name"}
    shapes = {"line": {"id": "integer", "text": "text", "who": "ref people"}}
    source = {
        "shapes": shapes,
        "resources": SOURCE,
        "users": {"resource": "staff", "email": "email", "name": "name"},
    }
    spec = migration(
        OBJECTS, users={"from": "staff", "email": "email", "fallback": "x@example.com"}
    )
    # rows are never updated, so that planning an update needs no look at its row
    resources = {
        name: {key: item[key] for key in item if key != "update"}
        for name, item in DESTINATION.items()
    }
    made = project(
        folder, Platform({}), source, {"resources": resources, "users": people}, spec
    )
    return load_migration(made.folder / "spec.yaml", {})


@dataclass(frozen=True)
class Table:
    """A run on a store of its own, and how many records of each object were evaluated."""

    run: Run
    evaluated: Counter[str] = field(default_factory=Counter)

    def bring_up(self) -> Counter[str]:
        """Draft and plan; how many records of each object were evaluated."""
        self.evaluated.clear()
        objects = self.run.spec.active()
        transform(self.run, objects)
        make_plan(self.run, objects, whole=True)
        return +self.evaluated

    def hear(self, label: str, done: int, total: int | None) -> None:
        """The run tells how far it has come."""
        what, _, name = label.partition(" ")
        if what == "mapping":
            self.evaluated[name.lower()] = done

    def rows(self) -> dict[str, list[Any]]:
        """All that drafting and planning have left in the store."""
        with self.run.store.begin() as connection:
            return {
                name: sorted(connection.exec_driver_sql(query).all(), key=repr)
                for name, query in MADE.items()
            }

    def anew(self) -> dict[str, list[Any]]:
        """The same after everything was drafted and planned anew."""
        with self.run.store.begin() as connection:
            connection.exec_driver_sql(FORGET)
            connection.exec_driver_sql("DELETE FROM changes")
        self.bring_up()
        return self.rows()

    def do(self, what: str, about: Any) -> None:
        """Something that happens between two plans."""
        with self.run.store.begin() as connection:
            match what:
                case "save":
                    self.save(connection, *about)
                case "gone":
                    mark_gone(connection, [about])
                case "linked":
                    name, key = about
                    draft = drafts_of(connection, name, [key]).get(key)
                    written = draft.digest if draft else ""
                    save_link(
                        connection,
                        Link(name, key, name, f"7{key[-1]}", written, {}, "created"),
                    )
                case "unlinked":
                    drop_link(connection, *about)
                case "refresh":
                    rows = connection.exec_driver_sql(
                        "SELECT collection, key, body FROM records WHERE gone = 0 ORDER BY key"
                    ).all()
                    forget(connection)
                    for collection, key, body in rows[:: -1 if about else 1]:
                        self.save(
                            connection, collection, int(key.rpartition("/")[2]), body
                        )
        if what == "plan":
            self.bring_up()

    def save(self, connection: Any, collection: str, number: int, body: Any) -> None:
        """A row is read, for the first time or once more."""
        fields = needed(self.run.spec).get(collection, ())
        body = json.loads(body) if isinstance(body, str) else {"id": number, **body}
        record = Record(collection, f"{collection}/{number}", body, digest=digest(body))
        cursor = Cursor(collection, None, True, 1, 0.0, 0.0, fields)
        save_page(connection, [record], entries(self.run, [record], fields), cursor)


@contextmanager
def table_in(folder: Path) -> Iterator[Table]:
    """A table with some rows of every collection, drafted and planned once."""
    shutil.copy(empty_store(), folder / "store.sqlite")
    account = Account(NOWHERE, "", "trial")
    clock = Clock(lambda: START, lambda _: None)
    with (
        closing(open_store(str(folder / "store.sqlite"))) as store,
        closing(
            wire(compiled(), Accounts(account, account), store, clock, command="test")
        ) as run,
    ):
        heard = Table(run)
        table = replace(heard, run=replace(run, progress=heard.hear))
        for step in BEGINNING:
            table.do(*step)
        yield table


def row(collection: str, number: int, **body: Any) -> tuple[str, Any]:
    """A row that is read."""
    return ("save", (collection, number, body))


def order(number: int, **body: Any) -> tuple[str, Any]:
    """An order with two lines."""
    lines = [{"id": 1, "text": "a", "who": number}, {"id": 2, "text": "b", "who": 3}]
    return row(
        "orders",
        number,
        **{"name": "Order", "firm": f"firms/{number}", "state": 1, "lines": lines}
        | body,
    )


BEGINNING = [
    *(row("firms", number, name="Acme", parent=number - 1) for number in (1, 2, 3)),
    *(row("prospects", number, name="Coyote", parent=1) for number in (8, 9)),
    *(
        row("people", number, name="Ann", firm=f"firms/{number}", owner=number)
        for number in (1, 2, 3)
    ),
    *(row("states", number, name="Open") for number in (1, 2)),
    row("staff", 1, name="Eve", email="eve@example.com"),
    *(order(number) for number in (1, 2, 3)),
    ("plan", None),
]

numbers, names = st.integers(1, 4), st.sampled_from(["Ann", "Bob", "", "Lost"])
some = st.one_of(st.none(), numbers)
firms = st.sampled_from(
    [None, "firms/1", "firms/2", "firms/4", "prospects/2", "prospects/8"]
)
line = st.fixed_dictionaries({"id": st.integers(1, 3), "text": names, "who": some})
saved = st.one_of(
    st.tuples(
        st.sampled_from(["firms", "prospects"]),
        numbers,
        st.fixed_dictionaries({"name": names, "parent": some}),
    ),
    st.tuples(
        st.just("people"),
        numbers,
        st.fixed_dictionaries({"name": names, "firm": firms, "owner": some}),
    ),
    st.tuples(
        st.just("states"), st.integers(1, 2), st.fixed_dictionaries({"name": names})
    ),
    st.tuples(
        st.just("orders"),
        numbers,
        st.fixed_dictionaries(
            {
                "name": names,
                "firm": firms,
                "state": some,
                "lines": st.lists(line, max_size=3),
            }
        ),
    ),
)
keys = st.tuples(st.sampled_from(["firms", "people", "orders", "states"]), numbers).map(
    lambda it: f"{it[0]}/{it[1]}"
)
linked = st.sampled_from(
    [
        ("companies", "firms/1"),
        ("companies", "firms/4"),
        ("contacts", "people/2"),
        ("deals", "orders/1"),
        ("users", "staff/1"),
    ]
)
steps = st.lists(
    st.tuples(st.just("save"), saved)
    | st.tuples(st.just("gone"), keys)
    | st.tuples(st.just("linked"), linked)
    | st.tuples(st.just("unlinked"), linked)
    | st.tuples(st.just("refresh"), st.booleans())
    | st.tuples(st.just("plan"), st.none()),
    max_size=12,
)


@given(steps)
@settings(max_examples=15)
def test_what_is_brought_up_equals_what_is_made_anew(
    story: Sequence[tuple[str, Any]],
) -> None:
    """Changed, added, deleted and moved records, rows that come and go, readings in another order: the same rows."""
    live(story)


@pytest.mark.chaos
@given(steps)
@settings(max_examples=300)
def test_whatever_is_brought_up_equals_what_is_made_anew(
    story: Sequence[tuple[str, Any]],
) -> None:
    """The same for three hundred stories."""
    live(story)


def live(story: Sequence[tuple[str, Any]]) -> None:
    """Take the steps, and compare what was brought up on the way with what is made anew."""
    with TemporaryDirectory() as folder, table_in(Path(folder)) as table:
        for step in [*story, ("plan", None)]:
            table.do(*step)
        assert table.rows() == table.anew()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """A table of which everything is up to date."""
    with table_in(tmp_path) as found:
        yield found


STORIES: Mapping[str, tuple[list[tuple[str, Any]], dict[str, int]]] = {
    "nothing": ([], {}),
    "a row as it was": ([row("firms", 1, name="Acme", parent=0)], {}),
    "a reading of everything": ([("refresh", False)], {}),
    "a leaf": ([row("prospects", 8, name="Other", parent=1)], {"companies": 1}),
    "a parent": (
        [row("firms", 1, name="Other", parent=0)],
        {"companies": 4, "contacts": 1},
    ),
    "a new child": (
        [row("people", 4, name="Joe", firm="firms/1")],
        {"companies": 1, "contacts": 1, "deals": 1},
    ),
    "a state": ([row("states", 2, name="Lost")], {}),
    "a state that rows have": (
        [row("states", 1, name="Lost")],
        {"deals": 3, "lines": 3},
    ),
    "somebody": ([("linked", ("users", "staff/1"))], {"contacts": 1}),
    "a moved child": (
        [row("people", 1, name="Ann", firm="firms/2", owner=1)],
        {"companies": 2, "contacts": 1, "deals": 2},
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_only_what_leans_on_a_change_is_evaluated(table: Table, name: str) -> None:
    """Records that changed and those that looked at one that did; no others, and nothing the second time."""
    story, expected = STORIES[name]
    for step in story:
        table.do(*step)
    assert table.bring_up() == Counter(expected)
    assert table.bring_up() == Counter()
    assert table.rows() == table.anew()


def test_a_row_that_is_not_to_be_made_takes_others_with_it(table: Table) -> None:
    """A draft that is as it was is decided anew where a row that it names is no longer planned, or is again."""
    refuse(table, "firms/1")
    assert table.bring_up() == Counter()
    assert kind_of(table, "contacts", "people/1") == "skip"
    assert table.rows() == table.anew()

    with table.run.store.begin() as connection:
        connection.execute(journal.delete())
    assert table.bring_up() == Counter()
    assert kind_of(table, "contacts", "people/1") == "create"
    assert table.rows() == table.anew()


def test_an_edited_mapping_decides_anew_what_was_kept(table: Table) -> None:
    """A draft that is as it was is decided by the mapping as it is now, not as it was for the last plan."""
    refuse(table, "firms/1")
    table.bring_up()
    assert kind_of(table, "deals", "orders/1") == "create"

    company = table.run.spec.objects["deals"].fields["company"].expr
    assert isinstance(company, Lookup)
    table = edited(table, "deals", company=replace(company, on_miss="skip"))
    table.bring_up()
    assert kind_of(table, "deals", "orders/1") == "skip"
    assert table.rows() == table.anew()


def test_who_stands_in_for_people_is_looked_at_again(table: Table) -> None:
    """What was kept is decided anew where the fallback owner's row comes or goes, though no record names them."""
    owner = table.run.spec.objects["contacts"].fields["owner"].expr
    firm = Lookup(("companies",), Const("none"), on_miss="skip")
    table = edited(table, "contacts", owner=First((owner, firm)))
    for step, kind in (("linked", "create"), ("unlinked", "skip"), ("linked", "create")):
        table.do(step, ("users", FALLBACK))
        table.bring_up()
        assert kind_of(table, "contacts", "people/1") == kind
        assert table.rows() == table.anew()


def test_a_lost_value_is_planned_until_it_is_kept(tmp_path: Path) -> None:
    """A record whose draft is what was written last is planned anew each time while its row lacks a value of it."""
    body = {"name": "Ann", "email": "a@x.es"}
    lost = {"email": {"why": "lost", "tries": 1}}
    row = {"id": 7, "name": "Ann", "email": None}
    platform = Platform({"contacts": [row], "companies": []})
    with served(platform), desk(tmp_path, platform) as at:
        with at.store() as connection:
            draft = Draft("contacts", "people/1", "people/1", body, digest(body))
            save_drafts(connection, [draft])

        def planned() -> tuple[str, Mapping[str, Any]]:
            make_plan(at.run, [at.mapping()], whole=True)
            with at.store() as connection:
                change = changes_of(connection, "contacts", ["people/1"])["people/1"]
            return change.kind, change.send

        at.save(link_to("7", written=body, stored={"email": None}, held=lost))
        assert planned() == ("update", {"email": "a@x.es"})
        assert planned() == ("update", {"email": "a@x.es"})
        at.save(link_to("7", written=body))
        assert planned() == ("unchanged", {})


def refuse(table: Table, key: str) -> None:
    """The creation of a company was answered with another record's row."""
    with table.run.store.begin() as connection:
        body = drafts_of(connection, "companies", [key])[key].body
        row = {
            "run": 1,
            "object": "companies",
            "key": key,
            "resource": "companies",
            "action": "create",
            "state": "failed",
        }
        told = {
            "body": "{}",
            "draft": json.dumps(body),
            "reason": f"answered with another row; {TAKEN}",
            "at": START,
        }
        connection.execute(journal.insert().values(row | told))


def edited(table: Table, name: str, **fields: Expr) -> Table:
    """The table after fields of an object were edited in the spec."""
    migration = table.run.migration
    mapping = migration.spec.objects[name]
    changed = {
        target: replace(mapping.fields[target], expr=expr)
        for target, expr in fields.items()
    }
    mapping = replace(mapping, fields={**mapping.fields, **changed})
    spec = replace(migration.spec, objects={**migration.spec.objects, name: mapping})
    return replace(table, run=replace(table.run, migration=replace(migration, spec=spec)))


def kind_of(table: Table, name: str, key: str) -> str:
    """What is planned for a record."""
    with table.run.store.begin() as connection:
        return changes_of(connection, name, [key])[key].kind
