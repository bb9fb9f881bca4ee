"""What a rollback keeps: rows that people still need, in whatever form the platform shows a
reference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import After, Answer, Platform, Request, Row
from tests.platforms.project import (
    Project,
    attention,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME, addresses, firms_and_people
from tests.replacing import replace

FORMS: tuple[odd.Form, ...] = ("id", "object", "list", "text")
SHOWN = pytest.mark.parametrize("form", FORMS)


def shown(form: odd.Form, serve: Serve, folder: Path, people: int = 3) -> Project:
    """Firms and people where contacts show their company in some form, and go with it when it is
    deleted.
    """
    trial = firms_and_people(serve, folder, people)
    if form != "id":
        trial.platform.after.append(odd.showing("contacts", "company", "companies", form))
    trial.platform.after.append(odd.cascading("companies", "contacts", "company"))
    return trial


def names(platform: Platform, table: str) -> list[str]:
    """The names in a table, in order."""
    return sorted(row["name"] for row in platform.tables[table])


def company_of(platform: Platform, contact: str) -> str:
    """The name of a contact's company."""
    row = platform.one("contacts", name=contact)
    company = platform.find("companies", row["company"])
    assert company, row
    return str(company["name"])


# -- a reference in any form is that id


@SHOWN
def test_a_reference_in_any_form_is_that_id(form: odd.Form, serve: Serve, tmp_path: Path) -> None:
    """Nothing is lost, and a delta with nothing changed writes nothing."""
    trial = shown(form, serve, tmp_path)
    assert trial.full(code=0)["verdict"]["lost_in_arrived"] == 0
    before = trial.platform.count_writes()
    trial.delta(code=0)
    trial.verify(code=0)
    assert trial.platform.count_writes() == before


@SHOWN
def test_a_delta_moves_a_link_in_any_form(form: odd.Form, serve: Serve, tmp_path: Path) -> None:
    """A person who changes the firm in the source is moved to the other company, and only this
    person.
    """
    trial = shown(form, serve, tmp_path)
    trial.full(code=None)
    assert company_of(trial.platform, "Person 1") == "Firm 2"
    trial.platform.tables["people"][0]["firm"] = 1
    report = trial.delta(code=0)
    assert report["verdict"]["updated"] == 1
    assert company_of(trial.platform, "Person 1") == "Firm 1"
    trial.verify(code=0)


@SHOWN
def test_a_link_that_people_moved_is_theirs(form: odd.Form, serve: Serve, tmp_path: Path) -> None:
    """Where people moved a contact to another company, a change of its name in the source leaves
    it there.
    """
    trial = shown(form, serve, tmp_path)
    trial.full(code=None)
    row = trial.platform.one("contacts", name="Person 1")
    row["company"] = trial.platform.one("companies", name="Firm 1")["id"]
    trial.platform.tables["people"][0]["name"] = "Person 1 changed"
    trial.delta()
    assert company_of(trial.platform, "Person 1 changed") == "Firm 1"


@SHOWN
def test_a_lost_answer_does_not_double_a_row_with_a_reference(
    form: odd.Form, serve: Serve, tmp_path: Path
) -> None:
    """A contact whose creation got no answer is found by its name and company."""
    trial = shown(form, serve, tmp_path)
    trial.platform.after.append(odd.dropping("contacts", [2]))
    trial.run("--sample")
    trial.run("--sample", code=0)
    assert names(trial.platform, "contacts") == ["Person 1", "Person 2", "Person 3"]


# -- what a kept row leans on is kept


@SHOWN
def test_a_kept_contact_keeps_its_company(form: odd.Form, serve: Serve, tmp_path: Path) -> None:
    """People edited one contact: it stays with its company, and nothing else of ours does."""
    trial = shown(form, serve, tmp_path, people=6)
    trial.run("--sample")
    trial.platform.one("contacts", name="Person 2")["name"] = "Person 2 (spoke to her)"
    found = trial.rollback(code=1)
    assert names(trial.platform, "contacts") == ["Person 2 (spoke to her)"]
    assert names(trial.platform, "companies") == ["Firm 1"]
    assert {key for _, key, _ in found["kept"]} == {"people/2", "firms/1"}


def showing_less(form: Callable[[Row], Row]) -> After:
    """Contacts are shown in a poorer form than they have, listed and read."""

    def shown(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.method != "GET" or request.parts[0] != "contacts" or answer.status != 200:
            return answer
        rows = answer.body
        return replace(answer, body=[form(row) for row in rows] if isinstance(rows, list) else form(rows))

    return shown


POORER: dict[str, Callable[[Row], Row]] = {
    "left out": lambda row: {"id": row["id"], "name": row["name"]},
    "empty": lambda row: {**row, "company": None},
    "typed": lambda row: {**row, "company": f"company-{row['company']}"},
    "padded": lambda row: {**row, "company": f"{row['company']:08d}"},
    "ids alone": lambda row: {"id": row["id"]},
}


@pytest.mark.parametrize("form", POORER)
def test_a_kept_contact_keeps_the_company_that_it_does_not_show(form: str, serve: Serve, tmp_path: Path) -> None:
    """Where a kept row shows nothing of a link, or something that leads nowhere, the company that was written
    there last stays too.
    """
    trial = shown("id", serve, tmp_path, people=4)
    trial.full(code=0)
    trial.platform.tables["people"][1]["firm"] = 2
    trial.delta(code=0)
    trial.platform.one("contacts", name="Person 2")["name"] = "Person 2 (spoke to her)"
    trial.platform.after.append(showing_less(POORER[form]))
    found = trial.rollback(code=1)
    assert ("contacts", "people/2") in {(name, key) for name, key, _ in found["kept"]}
    assert "Person 2 (spoke to her)" in names(trial.platform, "contacts")
    assert "Firm 2" in names(trial.platform, "companies")
    assert company_of(trial.platform, "Person 2 (spoke to her)") == "Firm 2"


def test_a_company_that_people_moved_a_contact_away_from_goes(serve: Serve, tmp_path: Path) -> None:
    """What a kept row leaned on when it was made, and no longer leans on, is not kept for it."""
    trial = firms_and_people(serve, tmp_path)
    trial.full(code=None)
    platform = trial.platform
    other = platform.one("companies", name="Firm 1")
    platform.one("contacts", name="Person 1")["company"] = other["id"]
    assert trial.rollback(code=None)["kept"]
    assert names(platform, "contacts") == ["Person 1"]
    assert names(platform, "companies") == ["Firm 1"]


@SHOWN
def test_a_contact_of_people_keeps_our_company(
    form: odd.Form, serve: Serve, tmp_path: Path
) -> None:
    """A contact that people made for a company of ours needs it: both stay."""
    trial = shown(form, serve, tmp_path)
    trial.run("--sample")
    company = trial.platform.one("companies", name="Firm 2")["id"]
    trial.platform.add("contacts", {"name": "A person of theirs", "company": company})
    trial.rollback(code=1)
    assert names(trial.platform, "contacts") == ["A person of theirs"]
    assert names(trial.platform, "companies") == ["Firm 2"]


def test_what_was_kept_is_not_made_twice(serve: Serve, tmp_path: Path) -> None:
    """A sample after a rollback that kept rows makes the others anew, and those not."""
    trial = shown("id", serve, tmp_path)
    trial.run("--sample")
    trial.platform.one("contacts", name="Person 2")["name"] = "Person 2 (spoke to her)"
    trial.rollback(code=1)
    trial.run("--sample")
    assert names(trial.platform, "contacts") == ["Person 1", "Person 2 (spoke to her)", "Person 3"]
    assert names(trial.platform, "companies") == ["Firm 1", "Firm 2"]


# -- rows that could not be looked at

NOTHING = pytest.mark.parametrize("status", [200, 204])


@NOTHING
def test_rows_that_could_not_be_looked_at_are_kept(
    status: int, serve: Serve, tmp_path: Path
) -> None:
    """Lists and reads that answer nothing show no row: all stay, with the reason, and what they
    may lean on.
    """
    trial = shown("id", serve, tmp_path)
    platform = trial.platform
    trial.run("--sample")
    platform.one("contacts", name="Person 2")["name"] = "Person 2 (spoke to her)"
    quiet = odd.answering_nothing("contacts", status)
    platform.before.append(quiet)
    done = trial.etl("rollback", "--yes", "--json")
    assert done.code in (1, 3), str(done)
    assert len(platform.tables["contacts"]) == 3
    assert len(platform.tables["companies"]) == 2
    if done.code == 1:
        kept = {key: reason for name, key, reason in done.data()["kept"] if name == "contacts"}
        assert set(kept) == {"people/1", "people/2", "people/3"}
        assert all(kept.values())

    platform.before.remove(quiet)
    trial.rollback(code=1)
    assert names(platform, "contacts") == ["Person 2 (spoke to her)"]
    assert names(platform, "companies") == ["Firm 1"]


@NOTHING
def test_rows_that_could_not_be_looked_at_are_not_doubled(
    status: int, serve: Serve, tmp_path: Path
) -> None:
    """A creation without an answer is not settled by a list that answers nothing: the row is not
    made twice.
    """
    trial = addresses(serve, tmp_path)
    platform = trial.platform
    quiet = odd.answering_nothing("contacts", status)
    platform.before.append(quiet)
    platform.after.append(odd.dropping("contacts", [1, 3]))
    for _ in range(2):
        assert trial.etl("run", "--sample", "--json").code != 0
        found = names(platform, "contacts")
        assert len(found) == len(set(found)), found

    platform.before.remove(quiet)
    trial.run("--sample")
    trial.run("--sample", code=0)
    assert names(platform, "contacts") == ["Person 1", "Person 2", "Person 3"]


@NOTHING
def test_a_delta_changes_no_row_that_it_cannot_look_at(
    status: int, serve: Serve, tmp_path: Path
) -> None:
    """What people wrote is not written over because a read answered nothing; the record is
    reported.
    """
    trial = addresses(serve, tmp_path)
    platform = trial.platform
    trial.full()
    row = platform.one("contacts", name="Person 1")
    row["phone"] = "people wrote this"
    platform.tables["people"][0]["phone"] = "600000099"
    platform.before.append(odd.answering_nothing("contacts", status))
    assert trial.etl("run", "--delta", "--json").code != 0
    assert row["phone"] == "people wrote this"
    assert len(platform.tables["contacts"]) == 3


# -- in which order


def test_children_are_taken_first_every_time(serve: Serve, tmp_path: Path) -> None:
    """Sample, rollback, sample, rollback: no company goes before the contacts that point at it."""
    trial = firms_and_people(serve, tmp_path)
    platform = trial.platform
    platform.before.append(odd.guarding("companies", "contacts", "company"))
    for _ in range(2):
        trial.run("--sample", code=0)
        platform.log.clear()
        trial.rollback(code=0)
        gone = [request.parts[0] for request in platform.log if request.method == "DELETE"]
        assert gone == ["contacts"] * 3 + ["companies"] * 2
        assert not platform.tables["contacts"] and not platform.tables["companies"]


def test_a_refused_deletion_is_reported_and_done_later(serve: Serve, tmp_path: Path) -> None:
    """A row that the platform does not delete is named with its reason; the next rollback takes
    it.
    """
    trial = firms_and_people(serve, tmp_path)
    platform = trial.platform
    trial.run("--sample", code=0)
    refusal = odd.refusing("DELETE", "contacts")
    platform.before += [refusal, odd.guarding("companies", "contacts", "company")]
    found = trial.rollback(code=1)
    reasons = {key: reason for name, key, reason in found["failed"] if name == "contacts"}
    assert set(reasons) == {"people/1", "people/2", "people/3"}
    assert all("may not do that" in reason for reason in reasons.values())
    assert len(platform.tables["contacts"]) == 3

    platform.before.remove(refusal)
    trial.rollback(code=0)
    assert not platform.tables["contacts"] and not platform.tables["companies"]


def circle(serve: Serve, folder: Path) -> Project:
    """A person belongs to a company whose main contact the person is: a third object closes the
    circle.
    """
    people = [{"id": n, "name": f"Person {n}", "company": n} for n in (1, 2)]
    companies: list[Row] = [{"id": n, "name": f"Company {n}", "main": n} for n in (1, 2)]
    platform = serve(people=people, companies=companies, contacts=[], firms=[])
    source = {
        "people": readable("people", name="text", company="ref companies"),
        "companies": readable("companies", name="text", main="ref people"),
    }
    main: Any = {"type": "ref contacts", "empty": "as_null"}
    destination = {
        "contacts": writable("contacts", ["name"], name=NAME, firm="ref firms"),
        "firms": writable("firms", ["name"], name=NAME, main=main),
    }
    firm, contact = {"lookup": "firms", "by": "company"}, {"lookup": "contacts", "by": "main"}
    objects = {
        "firms": mapped("companies", "firms", {"name": "name"}),
        "contacts": mapped("people", "contacts", {"name": "name", "firm": firm}),
        "mains": mapped("companies", "firms", {"name": "name", "main": contact}, match=["name"]),
    }
    return project(folder, platform, source, destination, migration(objects))


def test_two_objects_that_name_each_other_are_taken_back(serve: Serve, tmp_path: Path) -> None:
    """Both links stand after a run that reports nothing missing, a second run is quiet, a rollback
    takes it all.
    """
    trial = circle(serve, tmp_path)
    platform = trial.platform
    report = trial.run("--sample")
    mains = [platform.find("contacts", row["main"]) for row in platform.tables["firms"]]
    assert [row["name"] for row in mains if row] == ["Person 1", "Person 2"]
    assert report["verdict"]["missing"] == 0
    assert attention(report) == set()
    before = platform.count_writes()
    assert attention(trial.run("--sample", code=0)) == set()
    assert platform.count_writes() == before

    trial.rollback(code=0)
    assert not platform.tables["contacts"] and not platform.tables["firms"]
