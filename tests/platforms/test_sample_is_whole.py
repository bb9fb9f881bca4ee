"""A sample shows every object, each record as the full run will write it, as many as were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.platforms.conftest import Serve
from tests.platforms.platform import Platform, Row, served
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME


@dataclass(frozen=True, slots=True)
class Account:
    """A source account and what is declared about it."""

    people: int = 400
    firms: int = 40
    lines: int = 2  # notes of each person
    first_of_second: int = 0  # people before the first one that belongs to the second object
    every: int = 2  # every so many people belong to the second object
    page: int = 10
    pages: int = 2  # that the sample reads of each list
    size: int = 30
    filters: bool = False  # whether notes can be asked for by person
    read: bool = True  # whether firms can be read by id
    declared: bool = True  # whether the firm of a person is declared as a reference
    backwards: bool = False  # whether people point at the last firms first


def rows_of(account: Account) -> dict[str, list[Row]]:
    """The tables of the source."""
    firms = [{"id": n, "name": f"Firm {n}"} for n in range(1, account.firms + 1)]
    people, notes = [], []
    for n in range(1, account.people + 1):
        second = n > account.first_of_second and not n % account.every
        firm = account.firms - n % account.firms if account.backwards else 1 + n % account.firms
        people.append(
            {"id": n, "name": f"Person {n}", "kind": "lead" if second else "client", "firm": firm}
        )
        notes += [
            {"id": n * 10 + k, "person": n, "text": f"note {k} of {n}"}
            for k in range(account.lines)
        ]
    notes.sort(
        key=lambda row: (row["id"] % 10, row["id"])
    )  # the children of one parent stand far apart
    return {"firms": firms, "people": people, "notes": notes}


def trial(platform: Platform, folder: Path, account: Account) -> Project:
    """Clients become contacts, leads become prospects, each with its notes as one text."""
    firm = "ref firms" if account.declared else "integer"
    source = {
        "firms": readable("firms", name="text"),
        "people": readable("people", name="text", kind="text", firm=firm),
        "notes": readable("notes", person="integer", text="text"),
    }
    if account.filters:
        source["notes"]["list"]["filters"] = ["person"]
    if not account.read:
        source["firms"]["read"] = "none"
    person = {"name": NAME, "text": "text", "company": "ref companies", "firm": "text"}
    destination = {
        "companies": writable("companies", ["name"], name=NAME),
        "contacts": writable("contacts", ["name"], **person),
        "prospects": writable("prospects", ["name"], **person),
    }
    fields = {
        "name": "name",
        "text": {"template": "{% for note in notes %}{{ note.text }};{% endfor %}"},
        "company": {"lookup": "companies", "by": "firm"},
        "firm": "theirs.name",
    }
    beside = {
        "children": {"notes": {"from": "notes", "on": "person"}},
        "related": {"theirs": {"from": "firms", "by": "firm"}},
    }
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "contacts": mapped("people", "contacts", fields, when={"kind": "client"}, **beside),
        "prospects": mapped("people", "prospects", fields, when={"kind": "lead"}, **beside),
    }
    sample = {"records": account.size, "pages": account.pages}
    made = project(folder, platform, source, destination, migration(objects, sample=sample))
    for side in ("source", "destination"):
        path = folder / f"{side}.yaml"
        path.write_text(
            path.read_text("utf-8").replace('"size": 10', f'"size": {account.page}'), "utf-8"
        )
    return made


def tables(account: Account) -> dict[str, list[Row]]:
    """All tables at the start."""
    return {**rows_of(account), "companies": [], "contacts": [], "prospects": []}


def check(found: Project, account: Account) -> None:
    """The sample shows every object or says why not; the full run changes none of its rows."""
    found.platform.tables["people"].sort(key=lambda row: row["id"])
    report = found.run("--sample")
    shown = {row["object"]: row["created"] for row in report["objects"]}
    hidden = {item["object"] for item in report["findings"] if item["stage"] == "sample"}
    there = {row["kind"] for row in found.platform.tables["people"]}
    for name, kind in (("contacts", "client"), ("prospects", "lead")):
        assert shown[name] >= 1 or kind not in there or name in hidden, (name, shown, hidden)
    read = min(account.people, account.page * account.pages)  # that many the sample may choose from
    assert report["verdict"]["created"] >= min(account.size, read) or hidden

    notes = found.platform.tables["notes"]
    for table in ("contacts", "prospects"):
        for row in found.platform.tables[table]:
            number = int(row["name"].split()[1])
            wanted = sorted(note["text"] for note in notes if note["person"] == number)
            assert sorted(filter(None, (row.get("text") or "").split(";"))) == wanted, row
            assert row["company"] is not None and row["firm"], row

    found.etl("approve", "--by", "tester")
    after = found.run()
    assert after["verdict"]["updated"] == 0, after["objects"]
    assert after["verdict"]["missing"] == 0


CASES = {
    "told-apart": Account(first_of_second=1, every=2),
    "rare": Account(every=97, pages=8, page=50),
    "late-and-not-read": Account(first_of_second=350, pages=1),
    "all-read": Account(people=60, firms=6, pages=50),
    "by-filter": Account(filters=True),
    "firms-not-readable": Account(read=False, backwards=True),
    "not-declared": Account(declared=False, backwards=True),
    "no-children": Account(lines=0),
    "odd-pages": Account(page=7, pages=3, size=45, backwards=True),
}


@pytest.mark.parametrize("account", CASES.values(), ids=CASES.keys())
def test_a_sample_is_whole(account: Account, serve: Serve, tmp_path: Path) -> None:
    """Every object is shown or named, children and named rows are there, and the full run rewrites nothing."""
    check(trial(serve(**tables(account)), tmp_path, account), account)


ACCOUNTS = st.builds(
    Account,
    people=st.integers(1, 120),
    firms=st.integers(1, 30),
    lines=st.integers(0, 3),
    first_of_second=st.integers(0, 90),
    every=st.integers(1, 40),
    page=st.integers(1, 40),
    pages=st.integers(1, 6),
    size=st.integers(1, 60),
    filters=st.booleans(),
    read=st.booleans(),
    declared=st.booleans(),
    backwards=st.booleans(),
)


def _any_account(account: Account) -> None:
    with TemporaryDirectory() as folder, served(Platform(tables(account))) as platform:
        check(trial(platform, Path(folder), account), account)


QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=4, derandomize=True, suppress_health_check=QUIET)
@given(ACCOUNTS)
def test_a_sample_of_any_account_is_whole(account: Account) -> None:
    """The same for accounts of any shape."""
    _any_account(account)


@pytest.mark.chaos
@settings(max_examples=200, suppress_health_check=QUIET)
@given(ACCOUNTS)
def test_samples_of_two_hundred_accounts_are_whole(account: Account) -> None:
    """The same for two hundred of them."""
    _any_account(account)


def test_a_lookup_in_objects_of_one_collection_is_closed(serve: Serve, tmp_path: Path) -> None:
    """`on_many: fail` over two objects that share a collection: each record has a row in one of them only."""
    people = [
        {"id": n, "name": f"Person {n}", "kind": "lead" if n % 2 else "client"}
        for n in range(1, 300)
    ]
    calls = [{"id": n, "name": f"Call {n}", "person": 300 - n} for n in range(1, 200)]
    platform = serve(people=people, calls=calls, contacts=[], prospects=[], cards=[])
    source = {
        "people": readable("people", name="text", kind="text"),
        "calls": readable("calls", name="text", person="ref people"),
    }
    destination = {
        "contacts": writable("contacts", ["name"], name=NAME),
        "prospects": writable("prospects", ["name"], name=NAME),
        "cards": writable("cards", ["name"], name=NAME, who="ref contacts|prospects"),
    }
    who = {"lookup": ["contacts", "prospects"], "by": "person", "on_many": "fail"}
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}, when={"kind": "client"}),
        "prospects": mapped("people", "prospects", {"name": "name"}, when={"kind": "lead"}),
        "cards": mapped("calls", "cards", {"name": "name", "who": who}),
    }
    spec = migration(objects, sample={"records": 20, "pages": 50})
    made = project(tmp_path, platform, source, destination, spec)
    assert made.run("--sample", code=0)["findings"] == []
    assert platform.tables["cards"] and all(row["who"] for row in platform.tables["cards"])
    made.etl("approve", "--by", "tester", code=0)
    assert made.run(code=0)["verdict"]["updated"] == 0
