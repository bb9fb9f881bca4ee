"""What a delta brings over and takes away, and what `verify` judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, Row, page
from tests.platforms.project import (
    Project,
    attention,
    counts,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
)
from tests.platforms.trials import NAME, addresses, firms_and_people
from tests.replacing import replace

Spec = dict[str, Any]


def person(number: int, **values: Any) -> Row:
    """A person of the source."""
    who = {"id": number, "name": f"Person {number}", "email": f"p{number}@example.com"}
    return {**who, "kind": "customer", "deleted": False, **values}


@dataclass(frozen=True, slots=True)
class Shape:
    """How the two platforms are declared, where that differs from the usual."""

    name: str
    people: Spec  # keys of the source's resource
    contacts: Spec  # keys of the destination's resource


PAGES = {"list": {"get": "/people", "pager": "pages"}}
THERE = {"list": {"get": "/contacts", "pager": "pages"}}
SHAPES = (
    Shape("offset", {}, {}),
    Shape("pages", PAGES, THERE),
    Shape("no-reads", {"read": "none"}, {"read": "none"}),
    Shape("no-updates", {}, {"update": "none"}),
    Shape("deleted-rows-stay-listed", {"deleted": "deleted"}, {}),
)


def contacts(
    serve: Serve,
    folder: Path,
    shape: Shape = SHAPES[0],
    many: int = 12,
    settle: float = 0,
    **keys: Any,
) -> Project:
    """People become contacts, and one firm a company; `keys` are of the object `contacts`."""
    people = [person(number) for number in range(1, many + 1)]
    firms = [{"id": 1, "name": "Firm 1"}]
    platform = serve(people=people, firms=firms, contacts=[], companies=[])
    fields = {"name": "text", "email": "text", "kind": "text", "deleted": "boolean"}
    source = {
        "firms": readable("firms", name="text"),
        "people": readable("people", **fields) | shape.people,
    }
    there = writable("contacts", ["name", "email"], name=NAME, email="text") | shape.contacts
    companies = writable("companies", ["name"], name=NAME)
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "contacts": mapped("people", "contacts", {"name": "name", "email": "email"}, **keys),
    }
    destination = {"companies": companies, "contacts": there}
    return project(folder, platform, source, destination, migration(objects), reconcile_after=settle)


def names(platform: Platform, table: str = "contacts") -> set[str]:
    """The names in a table; none stands there twice."""
    found = [row["name"] for row in platform.tables[table]]
    assert len(found) == len(set(found)), found
    return set(found)


def everybody(many: int = 12) -> set[str]:
    """The names of all people."""
    return {f"Person {number}" for number in range(1, many + 1)}


# -- nothing changed


@pytest.mark.parametrize("words", [(), ("--deletions",)], ids=["delta", "with-deletions"])
@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_delta_with_nothing_changed_writes_nothing(
    shape: Shape, words: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    """No write, nothing missing, nothing to look at; `verify` finds every record in place."""
    trial = contacts(serve, tmp_path, shape, many=25)
    trial.full(code=0)
    before = trial.platform.count_writes()
    report = trial.delta(*words, code=0)
    assert trial.platform.count_writes() == before
    verdict = report["verdict"]
    assert (verdict["created"], verdict["updated"], verdict["missing"], verdict["changed"]) == (0, 0, 0, 0)
    assert attention(report) == set()
    assert counts(trial.verify(code=0), "contacts")["states"] == {"arrived": 25}


def test_a_row_that_a_list_shows_twice_is_counted_once(serve: Serve, tmp_path: Path) -> None:
    """Rows move while a list is read: one that stands on two pages is one record in every count."""
    trial = contacts(serve, tmp_path, many=25)
    trial.full(code=0)

    def overlap(platform: Platform, request: Request, answer: Answer) -> Answer:
        further = request.parts == ["contacts"] and request.query.get("offset", "0") != "0"
        if request.method != "GET" or not further or not answer.body:
            return answer
        return replace(answer, body=[dict(platform.tables["contacts"][0]), *answer.body])

    trial.platform.after.append(overlap)
    report = trial.verify()
    assert counts(report, "contacts")["states"] == {"arrived": 25}


def test_a_rollback_keeps_what_was_edited_before_it_was_found(serve: Serve, tmp_path: Path) -> None:
    """A row whose creation had no answer, and which people edit before it is found, stays theirs."""
    people = [person(number) for number in range(1, 4)]
    platform = serve(people=people, contacts=[])
    source = {"people": readable("people", name="text", email="text")}
    there = {"contacts": writable("contacts", ["name"], name=NAME, email="text")}
    objects = {"contacts": mapped("people", "contacts", {"name": "name", "email": "email"})}
    trial = project(tmp_path, platform, source, there, migration(objects))

    def edited(found: Platform, request: Request, answer: Answer) -> Answer:
        if not request.creates("contacts") or len(found.tables["contacts"]) != 2:
            return answer
        found.tables["contacts"][1]["email"] = "people@example.com"
        return replace(answer, cut=True)

    platform.after.append(edited)
    trial.full(code=None)
    platform.after.clear()
    assert len(names(platform)) == 3
    kept = trial.rollback()["kept"]
    assert [row["email"] for row in platform.tables["contacts"]] == ["people@example.com"], kept
    assert len(kept) == 1


# -- a list that lags

LISTED_ONLY = Shape("list-only", {}, {"read": "none"})


@pytest.mark.parametrize("first", ["--sample", "--delta"])
def test_a_list_that_lags_raises_no_alarm(first: str, serve: Serve, tmp_path: Path) -> None:
    """Rows that the list shows only seconds later are read by their ids before a run calls them
    missing.
    """
    trial = contacts(serve, tmp_path, many=4)
    if first == "--delta":
        trial.full(code=0)
        trial.platform.tables["people"].append(person(5))
    trial.platform.after.append(odd.lagging("contacts", 3))
    report = trial.run(first, code=0)
    assert report["verdict"]["missing"] == 0
    assert trial.verify(code=0)["verdict"]["missing"] == 0


def test_a_list_that_lags_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    """Where rows cannot be read by their ids, a run waits as long as the connector says before it
    alarms.
    """
    trial = contacts(serve, tmp_path, LISTED_ONLY, many=3, settle=1)
    trial.platform.after.append(odd.lagging("contacts", 0.6))
    assert trial.run("--sample", code=0)["verdict"]["missing"] == 0


def test_a_list_that_lags_doubles_nothing(serve: Serve, tmp_path: Path) -> None:
    """A creation without an answer is looked for only when the list must show it."""
    trial = contacts(serve, tmp_path, many=3, settle=1)
    trial.platform.after += [odd.lagging("contacts", 0.6), odd.dropping("contacts", [3])]
    trial.run("--sample")
    assert names(trial.platform) == everybody(3)


def test_what_is_missing_is_reported(serve: Serve, tmp_path: Path) -> None:
    """A row that people deleted is missing, in the delta that should have changed it and in
    `verify`.
    """
    trial = contacts(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    platform.tables["contacts"].remove(platform.one("contacts", name="Person 2"))
    assert ("contacts", "people/2") in attention(trial.verify(code=1))
    platform.tables["people"][1]["email"] = "new2@example.com"
    assert ("contacts", "people/2") in attention(trial.delta(code=1))
    assert names(platform) == everybody() - {"Person 2"}


# -- what `verify` judges


def fewer(spec: Spec) -> None:
    """Only some records."""
    spec["objects"]["contacts"]["when"] = {"name": "Person 1"}


def shorter(spec: Spec) -> None:
    """A field less."""
    del spec["objects"]["contacts"]["fields"]["email"]


def fixed(spec: Spec) -> None:
    """Another value."""
    spec["objects"]["contacts"]["fields"]["email"] = {"value": "office@example.com"}


@pytest.mark.parametrize("edit", [fixed, fewer, shorter], ids=["value", "condition", "field"])
def test_verify_judges_what_was_written(
    edit: Callable[[Spec], None], serve: Serve, tmp_path: Path
) -> None:
    """A mapping that was edited since is not what the destination was given: it is no fault of the
    rows.
    """
    trial = contacts(serve, tmp_path)
    trial.full(code=0)
    edited = trial.spec()
    edit(edited)
    trial.write_spec(edited)
    report = trial.verify(code=0)
    assert counts(report, "contacts")["states"] == {"arrived": 12}
    assert report["verdict"]["lost_in_arrived"] == 0


def test_verify_judges_what_was_written_though_the_source_was_read_since(
    serve: Serve, tmp_path: Path
) -> None:
    """A plan reads the source anew: what changed there was not written yet, and is no fault of the
    rows.
    """
    trial = contacts(serve, tmp_path)
    trial.full(code=0)
    trial.platform.tables["people"][0]["email"] = "new1@example.com"
    trial.platform.tables["people"].append(person(13))
    trial.etl("plan", "--refresh", code=0)
    report = trial.verify(code=0)
    assert counts(report, "contacts")["states"] == {"arrived": 12}
    assert report["verdict"]["lost_in_arrived"] == 0


def test_verify_sees_what_people_changed(serve: Serve, tmp_path: Path) -> None:
    """A value that is neither what was sent nor what the platform made of it is named."""
    trial = contacts(serve, tmp_path)
    trial.full(code=0)
    trial.platform.one("contacts", name="Person 3")["email"] = "theirs@example.com"
    report = trial.verify(code=1)
    assert attention(report) == {("contacts", "people/3")}


@pytest.mark.parametrize("theirs", ["theirs@example.com", ""], ids=["changed", "emptied"])
def test_what_people_changed_is_not_lost(theirs: str, serve: Serve, tmp_path: Path) -> None:
    """A value that people changed or emptied is counted as changed by people in every form of the
    report, and one that the platform dropped from the same row as lost.
    """
    trial = addresses(serve, tmp_path)
    drop = odd.ignoring("contacts", "phone")
    trial.platform.before.append(drop)
    trial.full(code=1)
    trial.platform.one("contacts", name="Person 3")["email"] = theirs
    report = trial.verify(code=1)
    fields = report["verdict"]["fields"]
    assert (fields["changed_by_people"], fields["lost"], report["verdict"]["lost_in_arrived"]) == (1, 3, 3)
    row = next(row for row in report["records"] if row["key"] == "people/3")
    assert {one["target"]: one["state"] for one in row["fields"] if one["target"] != "name"} == {
        "email": "changed_by_people",
        "phone": "lost",
    }
    assert "3 lost, 1 changed by people" in trial.etl("verify", code=1).out


def test_what_is_changed_by_people_stays_so(serve: Serve, tmp_path: Path) -> None:
    """A value that people changed stays changed by people when a delta finds that the source has
    changed it, too, and nothing is lost.
    """
    trial = addresses(serve, tmp_path)
    trial.full(code=0)
    trial.platform.one("contacts", name="Person 3")["email"] = "theirs@example.com"
    trial.platform.tables["people"][2] |= {"email": "new@example.com", "phone": "611111111"}
    for report in (trial.delta(code=1), trial.verify(code=1)):
        fields = report["verdict"]["fields"]
        assert (fields["changed_by_people"], fields["lost"]) == (1, 0)
    assert trial.platform.one("contacts", name="Person 3")["phone"] == "611111111"


# -- records that leave


WHEN = {"kind": "customer"}


def test_a_record_that_leaves_its_condition_is_reported(serve: Serve, tmp_path: Path) -> None:
    """Its row stays, the delta names it, and `verify` and `status` do as long as it stays."""
    trial = contacts(serve, tmp_path, when=WHEN)
    platform = trial.platform
    trial.full(code=0)
    platform.tables["people"][1].update(kind="supplier", name="Person 2, now a supplier")
    left = ("contacts", "people/2")
    assert left in attention(trial.delta(code=1))
    assert left in trial.waiting()
    assert left in attention(trial.verify(code=1))
    assert left in attention(trial.delta(code=1))
    assert names(platform) == everybody()

    platform.tables["people"][1].update(kind="customer", name="Person 2, a customer again")
    assert attention(trial.delta(code=0)) == set()
    assert trial.waiting() == set()
    assert "Person 2, a customer again" in names(platform)
    assert len(platform.tables["contacts"]) == 12


def test_a_record_that_leaves_its_condition_is_deleted_where_the_spec_says_so(
    serve: Serve, tmp_path: Path
) -> None:
    """With `on_delete: delete` its row goes, once, and a record that comes back is made again."""
    trial = contacts(serve, tmp_path, when=WHEN, on_delete="delete")
    platform = trial.platform
    trial.full(code=0)
    platform.tables["people"][1]["kind"] = "supplier"
    report = trial.delta(code=0)
    assert names(platform) == everybody() - {"Person 2"}
    assert (report["verdict"]["deleted"], report["verdict"]["changed"]) == (1, 1)
    assert trial.delta(code=0)["verdict"]["deleted"] == 0
    trial.verify(code=0)

    platform.tables["people"][1]["kind"] = "customer"
    assert trial.delta(code=0)["verdict"]["created"] == 1
    assert names(platform) == everybody()


def orders(serve: Serve, folder: Path, **keys: Any) -> Project:
    """Orders with lines become orders and a row for each line."""
    rows: list[Row] = [
        {
            "id": n,
            "name": f"Order {n}",
            "lines": [{"id": k, "name": f"Line {n}.{k}"} for k in (1, 2, 3, 4)],
        }
        for n in (1, 2, 3)
    ]
    platform = serve(orders=rows, deals=[], items=[])
    lines = {"type": "list line"}
    source = {
        "shapes": {"line": {"id": "integer", "name": "text"}},
        "resources": {"orders": readable("orders", name="text", lines=lines)},
    }
    destination = {
        "deals": writable("deals", ["name"], name=NAME),
        "items": writable("items", ["name"], name=NAME, deal="ref deals"),
    }
    deal = {"lookup": "deals", "by": "$record", "on_miss": "fail"}
    each = {"name": "line", "path": "lines", "key": "id"}
    objects = {
        "deals": mapped("orders", "deals", {"name": "name"}),
        "items": mapped("orders", "items", {"name": "line.name", "deal": deal}, each=each, **keys),
    }
    return project(folder, platform, source, destination, migration(objects))


def test_an_element_that_left_its_list_is_reported(serve: Serve, tmp_path: Path) -> None:
    """A line that was taken off its order is named, and its row stays."""
    trial = orders(serve, tmp_path)
    trial.full(code=0)
    del trial.platform.tables["orders"][1]["lines"][2]
    report = trial.delta(code=1)
    assert attention(report) == {("items", "orders/2#line/3")}
    assert attention(trial.verify(code=1)) == {("items", "orders/2#line/3")}
    assert len(names(trial.platform, "items")) == 12


def test_an_element_that_left_its_list_is_deleted_where_the_spec_says_so(
    serve: Serve, tmp_path: Path
) -> None:
    """With `on_delete: delete` the row of a line that was taken off goes, and no other."""
    trial = orders(serve, tmp_path, on_delete="delete")
    trial.full(code=0)
    del trial.platform.tables["orders"][1]["lines"][2]
    report = trial.delta(code=0)
    assert counts(report, "items")["deleted"] == 1
    found = names(trial.platform, "items")
    assert len(found) == 11
    assert "Line 2.3" not in found
    trial.verify(code=0)


# -- records that move


@dataclass(frozen=True, slots=True)
class Moved:
    """What happens to lead 7 of two collections that become one object."""

    name: str
    words: tuple[str, ...]
    stays: bool  # whether the lead is still there, so that the client is somebody else
    rows: int


MOVED = (
    Moved("becomes-a-client", (), stays=False, rows=3),
    Moved("becomes-a-client-with-deletions", ("--deletions",), stays=False, rows=3),
    Moved("shares-its-number", (), stays=True, rows=4),
    Moved("shares-its-number-with-deletions", ("--deletions",), stays=True, rows=4),
)


@pytest.mark.parametrize("case", MOVED, ids=[case.name for case in MOVED])
def test_a_record_that_moves_between_collections_stays_one_row(
    case: Moved, serve: Serve, tmp_path: Path
) -> None:
    """A lead that becomes a client under its number keeps its row; a client who only shares the
    number gets one.
    """
    platform = serve(
        clients=[{"id": 1, "name": "One"}],
        leads=[{"id": 7, "name": "Seven"}, {"id": 8, "name": "Eight"}],
        contacts=[],
    )
    source = {name: readable(name, name="text") for name in ("clients", "leads")}
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    spec = migration({"contacts": mapped(["clients", "leads"], "contacts", {"name": "name"})})
    trial = project(tmp_path, platform, source, there, spec)
    trial.full(code=0)
    row = platform.one("contacts", name="Seven")["id"]

    lead = platform.tables["leads"][0]
    if not case.stays:
        platform.tables["leads"].remove(lead)
    platform.tables["clients"].append(
        {"id": 7, "name": "Another" if case.stays else "Seven, a client"}
    )
    report = trial.delta(*case.words)
    assert len(platform.tables["contacts"]) == case.rows
    assert ("contacts", "clients/7") not in attention(report)
    if not case.stays:
        assert platform.one("contacts", name="Seven, a client")["id"] == row
    before = platform.count_writes()
    trial.delta("--deletions", code=0)
    trial.verify(code=0)
    assert platform.count_writes() == before


def test_what_many_records_have_in_common_makes_no_two_of_them_one(
    serve: Serve, tmp_path: Path
) -> None:
    """A client under the number of a deleted lead gets a row of its own, though its kind, its country and its agent are those of the lead."""
    platform = serve(
        clients=[{"id": 1, "name": "One", "country": "PT", "agent": 3}],
        leads=[{"id": 7, "name": "Seven", "country": "ES", "agent": 3}],
        agents=[{"id": 3, "name": "Agent"}],
        contacts=[],
        helpers=[],
    )
    kinds = {"name": "text", "country": "text", "agent": "ref agents"}
    source = {name: readable(name, **kinds) for name in ("clients", "leads")}
    source["agents"] = readable("agents", name="text")
    wanted = {"country": "text", "kind": "text", "agent": "ref helpers"}
    there = {
        "helpers": writable("helpers", ["name"], name=NAME),
        "contacts": writable("contacts", ["name"], name=NAME, **wanted),
    }
    fields = {
        "name": "name",
        "country": "country",
        "kind": {"value": "customer"},
        "agent": {"lookup": "helpers", "by": "agent"},
    }
    objects = {
        "helpers": mapped("agents", "helpers", {"name": "name"}),
        "contacts": mapped(["clients", "leads"], "contacts", fields),
    }
    trial = project(tmp_path, platform, source, there, migration(objects))
    trial.full(code=0)
    platform.tables["leads"].clear()
    platform.tables["clients"].append({"id": 7, "name": "Zoe", "country": "ES", "agent": 3})
    trial.delta()
    assert platform.one("contacts", name="Seven") and platform.one("contacts", name="Zoe")


@pytest.mark.parametrize(
    ("name", "city", "phone", "is_one"),
    [
        ("Hotel Playa", "Madrid", "+34 600 000 002", False),
        ("Hotel Sol, S.L.", "Sevilla", "+34 600 000 002", True),
        ("Sol Hoteles", "Madrid", "+34 600 000 001", True),
        ("Bodega Luna", "Madrid", "", False),
        ("Gran Hotel Sol Playa", "Madrid", "+34 600 000 002", True),
        ("Hotel Sol", "Sevilla", "+34 600 000 002", True),
    ],
)
def test_a_record_has_moved_where_its_name_or_number_says_so(
    name: str, city: str, phone: str, is_one: bool, serve: Serve, tmp_path: Path
) -> None:
    """A word or a town in common makes no client of a lead, most of its name or its phone does: else another's row is written over."""
    lead = {"id": 7, "name": "Hotel Sol", "city": "Madrid", "phone": "+34 600 000 001"}
    platform = serve(clients=[], leads=[lead], contacts=[])
    kinds = {"name": "text", "city": "text", "phone": "text"}
    source = {one: readable(one, **kinds) for one in ("clients", "leads")}
    there = {"contacts": writable("contacts", ["name"], **{**kinds, "name": NAME})}
    spec = migration({"contacts": mapped(["clients", "leads"], "contacts", {one: one for one in kinds})})
    trial = project(tmp_path, platform, source, there, spec)
    trial.full(code=0)
    platform.tables["leads"].clear()
    platform.tables["clients"].append({"id": 7, "name": name, "city": city, "phone": phone})
    trial.delta()
    assert len(platform.tables["contacts"]) == (1 if is_one else 2)


@pytest.mark.parametrize(("phone", "is_one"), [("+34 600 000 002", False), ("", True), ("+34 600 000 001", True)])
def test_another_of_like_name_has_another_number(phone: str, is_one: bool, serve: Serve, tmp_path: Path) -> None:
    """Two words of three in common make one record, unless a number or an address tells them apart."""
    lead = {"id": 7, "name": "Construcciones García SL", "phone": "+34 600 000 001"}
    platform = serve(clients=[], leads=[lead], contacts=[])
    kinds = {"name": "text", "phone": "text"}
    source = {one: readable(one, **kinds) for one in ("clients", "leads")}
    there = {"contacts": writable("contacts", ["name"], **{**kinds, "name": NAME})}
    spec = migration({"contacts": mapped(["clients", "leads"], "contacts", {one: one for one in kinds})})
    trial = project(tmp_path, platform, source, there, spec)
    trial.full(code=0)
    platform.tables["leads"].clear()
    platform.tables["clients"].append({"id": 7, "name": "Construcciones Pérez SL", "phone": phone})
    trial.delta()
    assert len(platform.tables["contacts"]) == (1 if is_one else 2)


@pytest.mark.parametrize("kept", ["old@example.com", "n/a"], ids=["ignored", "a default"])
def test_a_value_that_the_destination_does_not_empty_is_told_until_it_is(kept: str, serve: Serve, tmp_path: Path) -> None:
    """An update that empties a field and is answered with a row that holds something there needs attention in every
    command; a new value in the source is written over it, and a rollback takes all away.
    """
    trial = addresses(serve, tmp_path, email={"type": "text", "empty": "as_null"})
    table, people = trial.platform.tables["contacts"], trial.platform.tables["people"]

    def ignoring(_: Platform, request: Request) -> Answer | None:
        if request.method == "PATCH" and request.body.get("email", 1) is None:
            request.body["email"] = table[0]["email"] if kept != "n/a" else kept
        return None

    trial.platform.before.append(ignoring)
    people[0]["email"] = "old@example.com"
    trial.full(code=0)
    people[0]["email"] = None
    for words in (("run", "--delta", "--yes"), ("run", "--delta", "--yes"), ("verify",)):
        report = trial.etl(*words, "--json", code=1).data()
        assert attention(report) == {("contacts", "people/1")} and table[0]["email"] == kept
    people[0]["email"] = "new@example.com"
    trial.run("--delta", "--yes", code=0)
    assert table[0]["email"] == "new@example.com"
    trial.rollback()
    assert table == []


def test_a_record_that_may_have_moved_is_asked_for_once(serve: Serve, tmp_path: Path) -> None:
    """However many objects are made of a lead whose number a client has: one call says that it is there."""
    platform = serve(
        clients=[], leads=[{"id": 7, "name": "Seven"}], contacts=[], prospects=[]
    )
    source = {name: readable(name, name="text") for name in ("clients", "leads")}
    there = {name: writable(name, ["name"], name=NAME) for name in ("contacts", "prospects")}
    spec = migration({name: mapped(["clients", "leads"], name, {"name": "name"}) for name in there})
    trial = project(tmp_path, platform, source, there, spec)
    trial.full(code=0)

    platform.tables["clients"].append({"id": 7, "name": "Seven"})
    platform.log.clear()
    trial.delta(code=0)
    assert [one.parts for one in platform.calls("GET", "leads")].count(["leads", "7"]) == 1
    assert len(platform.tables["contacts"]) == len(platform.tables["prospects"]) == 2


# -- deletions


def test_deletions_stand_in_the_summary(serve: Serve, tmp_path: Path) -> None:
    """What a delta deleted is counted in the report and on the terminal."""
    trial = contacts(serve, tmp_path, on_delete="delete")
    people = trial.platform.tables["people"]
    trial.full(code=0)
    del people[1]
    report = trial.delta("--deletions", code=0)
    assert report["verdict"]["deleted"] == 1
    assert counts(report, "contacts")["deleted"] == 1
    assert names(trial.platform) == everybody() - {"Person 2"}

    del people[1]
    done = trial.etl("run", "--delta", "--deletions", code=0)
    assert "1 deleted" in done.out
    assert names(trial.platform) == everybody() - {"Person 2", "Person 3"}


def test_a_record_that_was_merged_in_the_source_is_gone(serve: Serve, tmp_path: Path) -> None:
    """Its id leads to the one that survived, and no list shows it: that is a deletion like any other."""
    trial = contacts(serve, tmp_path, on_delete="delete")
    trial.full(code=0)
    del trial.platform.tables["people"][1]
    trial.platform.before.append(odd.redirecting("people", 2, 1))
    assert trial.delta("--deletions", code=0)["verdict"]["deleted"] == 1
    assert names(trial.platform) == everybody() - {"Person 2"}


def test_a_row_that_people_edited_is_not_deleted(serve: Serve, tmp_path: Path) -> None:
    """A row whose record was deleted stays where people have touched it, and is named."""
    trial = contacts(serve, tmp_path, on_delete="delete")
    trial.full(code=0)
    trial.platform.one("contacts", name="Person 2")["email"] = "theirs@example.com"
    del trial.platform.tables["people"][1]
    report = trial.delta("--deletions", code=1)
    assert ("contacts", "people/2") in attention(report)
    assert report["verdict"]["deleted"] == 0
    assert names(trial.platform) == everybody()


def test_a_deletion_that_is_not_there_to_be_called_is_told(serve: Serve, tmp_path: Path) -> None:
    """A 404 to a deletion whose row can still be read is no deletion: it is told, and done when it can be."""
    trial = contacts(serve, tmp_path, when=WHEN, on_delete="delete")
    platform = trial.platform
    trial.full(code=0)
    platform.before.append(lambda _, request: Answer(404, {"error": "not on your plan"}) if request.method == "DELETE" else None)
    platform.tables["people"][1]["kind"] = "supplier"
    report = trial.delta(code=1)
    assert report["verdict"]["deleted"] == 0
    assert ("contacts", "people/2") in attention(report)
    assert names(platform) == everybody()
    assert "people/2" in trial.links("contacts")
    platform.before.clear()
    trial.rollback(code=0)
    assert names(platform) == set()


@dataclass(frozen=True, slots=True)
class Leave:
    """A way in which all records leave at once."""

    name: str
    change: Callable[[list[Row]], None]
    words: tuple[str, ...] = ()
    shape: Shape = SHAPES[0]


def flagged(rows: list[Row]) -> None:
    """All of them are marked as deleted."""
    for row in rows:
        row["deleted"] = True


def unlisted(rows: list[Row]) -> None:
    """All but one, which nobody migrates, are gone from the list."""
    rows[:] = [person(99, kind="supplier")]


def left(rows: list[Row]) -> None:
    """None is a customer any more."""
    for row in rows:
        row["kind"] = "supplier"


LEAVE = (
    Leave("marked-as-deleted", flagged, shape=SHAPES[4]),
    Leave("gone-from-the-list", unlisted, ("--deletions",)),
    Leave("left-their-condition", left),
)


@pytest.mark.parametrize("case", LEAVE, ids=[case.name for case in LEAVE])
def test_the_deletion_of_everything_is_a_question(
    case: Leave, serve: Serve, tmp_path: Path
) -> None:
    """8 of 8 rows are deleted only when somebody says yes, few as they are."""
    trial = contacts(serve, tmp_path, case.shape, many=8, when=WHEN, on_delete="delete")
    platform = trial.platform
    trial.full(code=0)
    case.change(platform.tables["people"])
    done = trial.etl("run", "--delta", *case.words, code=4)
    assert "--yes" in done.err
    assert names(platform) == everybody(8)

    report = trial.delta(*case.words, "--yes", code=0)
    assert report["verdict"]["deleted"] == 8
    assert platform.tables["contacts"] == []


@pytest.mark.parametrize("flag", ["0", "false", "no", 0, "", None], ids=repr)
def test_a_flag_that_becomes_text_deletes_nobody(flag: Any, serve: Serve, tmp_path: Path) -> None:
    """`deleted: "0"` is no: people are not taken for deleted because their flag is written
    otherwise now.
    """
    trial = contacts(serve, tmp_path, SHAPES[4], many=8, on_delete="delete")
    trial.full(code=0)
    for row in trial.platform.tables["people"]:
        row["deleted"] = flag
    trial.delta(code=0)
    assert names(trial.platform) == everybody(8)


@pytest.mark.parametrize(
    ("empty", "companies", "named"),
    [
        ("as_null", {"Firm 1"}, {"people/1", "people/3"}),
        ("never", {"Firm 1", "Firm 2"}, {"firms/2"}),
    ],
)
def test_a_link_lets_go_of_a_row_that_is_deleted(
    empty: str, companies: set[str], named: set[str], serve: Serve, tmp_path: Path
) -> None:
    """People whose firm was deleted with its company stay, and are named; where their link cannot be
    emptied, the company stays and is named instead, for a platform may delete them with it.
    """
    reference = {"type": "ref companies", **({"empty": empty} if empty != "never" else {})}
    trial = firms_and_people(serve, tmp_path, reference=reference)
    spec = trial.spec()
    spec["objects"]["companies"]["on_delete"] = "delete"
    trial.write_spec(spec)
    trial.full(code=0)
    del trial.platform.tables["firms"][1]
    report = trial.delta("--deletions", "--yes")
    assert names(trial.platform, "companies") == companies
    assert names(trial.platform) == {"Person 1", "Person 2", "Person 3"}
    assert {key for _, key in attention(report)} == named
    assert texts(report)


def test_what_people_add_while_a_run_writes_keeps_its_row(serve: Serve, tmp_path: Path) -> None:
    """After the plan somebody adds a contact to a company that is to go, on a platform that deletes
    contacts with their company: the company stays, and is named.
    """
    reference = {"type": "ref companies", "empty": "as_null"}
    trial = firms_and_people(serve, tmp_path, reference=reference)
    spec = trial.spec()
    spec["objects"]["companies"]["on_delete"] = "delete"
    trial.write_spec(spec)
    trial.full(code=0)
    tables = trial.platform.tables
    tables["people"][0]["firm"] = tables["people"][2]["firm"] = 1
    del tables["firms"][1]
    company = trial.platform.one("companies", name="Firm 2")["id"]

    def adds(platform: Platform, request: Request) -> Answer | None:
        there = any(row["name"] == "Theirs" for row in platform.tables["contacts"])
        if request.writes("contacts") and not there:
            platform.add("contacts", {"name": "Theirs", "company": company})
        if request.method == "DELETE":
            rows = platform.tables["contacts"]
            rows[:] = [row for row in rows if str(row["company"]) != request.parts[1]]
        return None

    trial.platform.before.append(adds)
    report = trial.delta("--deletions", "--yes", code=1)
    assert names(trial.platform) == {"Person 1", "Person 2", "Person 3", "Theirs"}
    assert names(trial.platform, "companies") == {"Firm 1", "Firm 2"}
    assert attention(report) == {("companies", "firms/2")}


def test_a_row_that_is_gone_is_missed_though_another_object_has_one_for_the_record(serve: Serve, tmp_path: Path) -> None:
    """Two objects are made of the same records: the row of one of them does not stand for that of the other."""
    platform = serve(people=[person(n) for n in range(1, 4)], contacts=[], leads=[])
    source = {"people": readable("people", name="text")}
    destination = {name: writable(name, ["name"], name=NAME) for name in ("contacts", "leads")}
    objects = {name: mapped("people", name, {"name": "name"}) for name in ("contacts", "leads")}
    trial = project(tmp_path, platform, source, destination, migration(objects))
    trial.full()
    for name, number in (("leads", 1), ("contacts", 0)):
        platform.tables[name].pop(number)
    report = trial.verify(code=1)
    missing = [(row["object"], row["key"]) for row in report["records"] if row["state"] == "missing"]
    assert sorted(missing) == [("contacts", "people/1"), ("leads", "people/2")]


def shows_only_the_id(_: Platform, request: Request, answer: Answer) -> Answer:
    """What some platforms answer to a change."""
    changed = request.method in ("PATCH", "PUT") and answer.status == 200
    return replace(answer, body={"id": answer.body["id"]}) if changed else answer


@pytest.mark.parametrize("answer", ["shows the row", "shows only the id"])
def test_an_edit_stays_theirs_after_another_field_was_written(answer: str, serve: Serve, tmp_path: Path) -> None:
    """What people changed is theirs still after a delta has written another field of the row and read it
    back: verified as changed by people, and not written over when the source changes it.
    """
    trial = addresses(serve, tmp_path)
    if answer == "shows only the id":
        trial.platform.after.append(shows_only_the_id)
    trial.full(code=0)
    row = trial.platform.one("contacts", name="Person 3")
    row["email"] = "theirs@example.com"
    person = trial.platform.tables["people"][2]
    person["phone"] = "611111111"
    trial.delta()
    assert row["phone"] == "611111111"
    assert trial.verify(code=1)["verdict"]["fields"]["changed_by_people"] == 1
    person["email"] = "new@example.com"
    trial.delta(code=1)
    assert row["email"] == "theirs@example.com"


def test_what_changes_right_after_a_write_is_lost_beside_peoples_edit(serve: Serve, tmp_path: Path) -> None:
    """A value that the platform makes something else of after its answer is not told as people's work, though they have edited the row."""
    trial = addresses(serve, tmp_path)
    trial.full(code=0)
    row = trial.platform.one("contacts", name="Person 3")
    row["email"] = "theirs@example.com"
    trial.platform.tables["people"][2]["phone"] = "611111111"

    def garbled(platform: Platform, request: Request, answer: Answer) -> Answer:
        if request.method in ("PATCH", "PUT") and answer.status == 200:
            platform.one("contacts", name="Person 3")["phone"] = "0"
        return answer

    trial.platform.after.append(garbled)
    found = next(one for one in trial.delta(code=1)["records"] if one["key"] == "people/3")
    assert {one["target"]: one["state"] for one in found["fields"]}["phone"] == "lost"


@pytest.mark.parametrize("people", [{}, {"name": "Changed by people"}], ids=["nobody", "beside"])
def test_what_cannot_be_emptied_is_not_called_peoples(people: Row, serve: Serve, tmp_path: Path) -> None:
    """The value of a field that was emptied in the source stays ours, and lost, when people change its row elsewhere."""
    trial = contacts(serve, tmp_path, many=1)
    trial.full()
    trial.platform.tables["people"][0]["email"] = None
    trial.delta()
    trial.platform.tables["contacts"][0].update(people)
    (row,) = (one for one in trial.verify(code=1)["records"] if one["object"] == "contacts")
    (email,) = (one for one in row["fields"] if one["target"] == "email")
    assert (email["state"], email["reason"]) == ("lost", "emptied in the source; the destination cannot empty this field")


def test_what_cannot_be_emptied_and_people_changed_is_peoples(serve: Serve, tmp_path: Path) -> None:
    """The value that people give to such a field afterwards is theirs: a verification calls it no loss."""
    trial = contacts(serve, tmp_path, many=1)
    trial.full()
    trial.platform.tables["people"][0]["email"] = None
    trial.delta()
    trial.platform.tables["contacts"][0]["email"] = "theirs@example.com"
    (row,) = (one for one in trial.verify(code=1)["records"] if one["object"] == "contacts")
    (email,) = (one for one in row["fields"] if one["target"] == "email")
    assert (email["state"], email["reason"], email["live"]) == ("changed_by_people", "people changed it since", "theirs@example.com")


@pytest.mark.parametrize("named", [5, 1003, 91002], ids=["people's", "another record's", "an event's"])
def test_an_update_that_answers_with_another_row_keeps_its_own(named: int, serve: Serve, tmp_path: Path) -> None:
    """The link stays with the row that was written, each later change arrives there, and it is told once."""
    trial = addresses(serve, tmp_path)
    trial.full(code=0)
    platform, before = trial.platform, trial.links("contacts")
    theirs = {"id": 5, "name": "People's own", "email": "own@example.com"}
    platform.tables["contacts"].append(dict(theirs))
    platform.after.append(lambda _, request, answer: replace(answer, body={"id": named}) if request.method == "PATCH" else answer)
    for name in ("Person Two", "Person Two again"):
        platform.tables["people"][1]["name"] = name
        report = trial.delta(code=1)
        assert attention(report) == {("contacts", "people/2")}
        assert texts(report).count(f"names row {named}") == 1
        assert platform.one("contacts", id=1002)["name"] == name
    assert trial.links("contacts") == before
    trial.rollback(code=0)
    assert platform.tables["contacts"] == [theirs]


@pytest.mark.parametrize("order", ["-id", "-updated"], ids=["of creation", "of changes"])
def test_a_row_that_came_to_need_another_since_the_plan_keeps_it(order: str, serve: Serve, tmp_path: Path) -> None:
    """An old contact of people's, which a page of newer ones stands before in a list by creation, moves to a company that is
    about to be deleted: the company stays.
    """
    trial = firms_and_people(serve, tmp_path)
    spec = trial.spec()
    spec["objects"]["companies"]["on_delete"] = "delete"
    spec["objects"]["contacts"]["fields"].pop("company")
    trial.write_spec(spec)
    path = tmp_path / "destination.yaml"
    destination = json.loads(path.read_text(encoding="utf-8"))
    resource = destination["resources"]["contacts"]
    resource["fields"] |= {key: {"type": "datetime", "writable": False} for key in ("made", "updated")}
    resource |= {"created": "made", "modified": "updated"}
    resource["list"]["newest_first"] = {"sort": order}
    path.write_text(json.dumps(destination), encoding="utf-8")
    old = dict.fromkeys(("made", "updated"), "2020-02-02T10:00:00Z")
    theirs = [{"id": number, "name": f"Theirs {number}", **old} for number in range(500, 530)]
    tables = trial.platform.tables

    def sorted_(platform: Platform, request: Request) -> Answer | None:
        if request.method != "GET" or request.parts != ["contacts"] or "sort" not in request.query:
            return None
        rows = sorted(tables["contacts"], key=lambda row: (str(row.get(order[1:], "")), row["id"]), reverse=True)
        return Answer(200, page(rows, request.query))

    trial.platform.before.append(sorted_)
    trial.full(code=0)
    tables["contacts"] += theirs
    company = trial.links("companies")["firms/1"]
    tables["firms"][1]["name"] = "Firm 2, changed"
    del tables["firms"][0]

    def moving(_: Platform, request: Request) -> None:
        if request.writes("companies"):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            theirs[0] |= {"company": int(company), "updated": now}

    trial.platform.before.append(moving)
    trial.delta("--deletions", "--yes")
    assert theirs[0]["company"] == int(company)
    assert trial.platform.find("companies", company)
