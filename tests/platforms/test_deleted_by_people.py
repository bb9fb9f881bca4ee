"""People delete a row that we wrote, and the platform empties the links of those that referred to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Row
from tests.platforms.project import Project
from tests.platforms.test_rollback_keeps import company_of, names
from tests.platforms.trials import firms_and_people

FORMS: tuple[odd.Form, ...] = ("id", "object", "list")
SHOWN = pytest.mark.parametrize("form", FORMS)
FIRST = ["Person 2", "Person 4"]  # who works for the firm whose company people delete


def without_first(serve: Serve, folder: Path, form: odd.Form = "id") -> Project:
    """Two companies and four contacts, of which people delete the first company."""
    trial = firms_and_people(serve, folder, 4, {"type": "ref companies", "empty": "as_null"})
    if form != "id":
        trial.platform.after.append(odd.showing("contacts", "company", "companies", form))
    trial.platform.before.append(odd.knowing("contacts", "company", "companies"))
    trial.full(code=0)
    platform = trial.platform
    gone = platform.one("companies", name="Firm 1")
    odd.deleted(platform, "companies", gone, contacts="company")
    return trial


def nobody_is_left(trial: Project) -> bool:
    """Whether no row of ours is there."""
    return not trial.platform.tables["contacts"] and not trial.platform.tables["companies"]


@SHOWN
def test_an_emptied_link_is_no_edit(form: odd.Form, serve: Serve, tmp_path: Path) -> None:
    """A rollback removes the contacts that only lost their company, and a run makes all anew with their
    companies.
    """
    trial = without_first(serve, tmp_path, form)
    assert trial.rollback(code=0)["kept"] == []
    assert nobody_is_left(trial)
    trial.run(code=0)
    assert {name: company_of(trial.platform, name) for name in FIRST} == dict.fromkeys(FIRST, "Firm 1")
    trial.verify(code=0)


@SHOWN
def test_an_edited_row_stays_and_is_linked_again(
    form: odd.Form, serve: Serve, tmp_path: Path
) -> None:
    """A contact that people edited as well stays with their text, and a run links it to the company
    that is made anew.
    """
    trial = without_first(serve, tmp_path, form)
    row = trial.platform.one("contacts", name="Person 2")
    row["name"] = "Person 2 (spoke to her)"
    assert [key for _, key, _ in trial.rollback(code=1)["kept"]] == ["people/2"]
    assert names(trial.platform, "contacts") == ["Person 2 (spoke to her)"]
    report = trial.run()
    assert report["verdict"]["updated"] == 1
    assert company_of(trial.platform, "Person 2 (spoke to her)") == "Firm 1"
    assert len(trial.platform.tables["contacts"]) == 4
    writes = trial.platform.count_writes()
    trial.run()
    assert trial.platform.count_writes() == writes


def test_a_row_that_stays_for_another_goes_with_the_next_rollback(
    serve: Serve, tmp_path: Path
) -> None:
    """A contact that stays because people lean on it, and that nobody edited, is linked again, and the
    rollback after that removes it.
    """
    trial = without_first(serve, tmp_path)
    platform = trial.platform
    platform.tables["calls"] = []
    leaning = platform.one("contacts", name="Person 2")
    spec = trial.folder / "destination.yaml"
    text = spec.read_text()
    calls = '"resources": {"calls": {"fields": {"id": "integer", "of": "ref contacts"}, "list": {"get": "/calls", "pager": "rows"}, "create": {"post": "/calls"}},'
    spec.write_text(text.replace('"resources": {', calls, 1))
    platform.add("calls", {"of": leaning["id"]})
    assert [key for _, key, _ in trial.rollback(code=1)["kept"]] == ["people/2"]
    assert trial.run()["verdict"]["updated"] == 1
    assert company_of(platform, "Person 2") == "Firm 1"
    platform.tables["calls"].clear()
    assert trial.rollback(code=0)["kept"] == []
    assert nobody_is_left(trial)


def test_a_link_that_people_emptied_themselves_is_theirs(serve: Serve, tmp_path: Path) -> None:
    """Where the company is there, whoever took a contact out of it has edited the contact: it stays,
    and stays without a company.
    """
    trial = firms_and_people(serve, tmp_path, 4)
    trial.full(code=0)
    row: Row = trial.platform.one("contacts", name="Person 2")
    row["company"] = None
    assert [key for _, key, _ in trial.rollback(code=1)["kept"]] == ["people/2"]
    trial.run()
    assert trial.platform.find("contacts", row["id"]) == row
    assert row["company"] is None


def test_a_delta_in_between_changes_nothing_of_that(serve: Serve, tmp_path: Path) -> None:
    """A delta that writes another field of a contact that lost its company does not make it one that
    people edited.
    """
    trial = without_first(serve, tmp_path)
    trial.platform.tables["people"][1]["name"] = "Person 2 changed"
    trial.delta()
    assert trial.platform.one("contacts", name="Person 2 changed")["company"] is None
    assert trial.rollback(code=0)["kept"] == []
    assert nobody_is_left(trial)
