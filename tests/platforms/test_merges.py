"""People merge duplicates: a row that we wrote is gone, and another one stands for its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.fields import TABLE, TAX, checking, connector, defining
from tests.platforms.platform import Answer, Platform, Request, Row, page
from tests.platforms.project import (
    UNGATED,
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
from tests.platforms.trials import NAME

GONE = ("companies", "firms/1")
WHOSE = pytest.mark.parametrize("whose", ["people's", "ours"])
TOLD = "people merged its row"


def firms(serve: Serve, folder: Path, *, people: int = 6, key: str = "", **company: Any) -> Project:
    """Two firms become companies, people contacts that point at them: odd ones at the second.

    The platform refuses a contact whose company is not there. With `key`, companies carry our keys
    in that field.
    """
    persons = [{"id": n, "name": f"Person {n}", "firm": 1 + n % 2} for n in range(1, people + 1)]
    rows = [{"id": n, "name": f"Firm {n}", "phone": f"60000000{n}"} for n in (1, 2)]
    platform = serve(firms=rows, people=persons, companies=[], contacts=[])
    platform.before.append(odd.knowing("contacts", "company", "companies"))
    source = {
        "firms": readable("firms", name="text", phone="text"),
        "people": readable("people", name="text", firm="ref firms"),
    }
    kept = {"note": "text", **({key: "text"} if key else {})}
    reference = {"type": "ref companies", "empty": "as_null"}
    destination = {
        "companies": writable("companies", ["name"], name=NAME, phone="text", **kept),
        "contacts": writable("contacts", ["name", "company"], name=NAME, company=reference),
    }
    fields = {"name": "name", "phone": "phone", **({key: "$key"} if key else {})}
    link = {"lookup": "companies", "by": "firm"}
    objects = {
        "companies": mapped("firms", "companies", fields, **company),
        "contacts": mapped("people", "contacts", {"name": "name", "company": link}),
    }
    return project(folder, platform, source, destination, migration(objects))


def merge(platform: Platform, whose: str, **survivor: Any) -> Row:
    """People merge the company of the first firm into one of their own, or into that of the second;
    the survivor.
    """
    gone = platform.one("companies", name="Firm 1")
    if whose == "ours":
        kept = platform.one("companies", name="Firm 2")
    else:
        made = platform.add("companies", {"name": "Acme", "phone": "7", **survivor})
        kept = platform.one("companies", id=made["id"])
    odd.merged(platform, "companies", gone, kept, contacts="company")
    return kept


def names(platform: Platform, table: str) -> list[str]:
    """The names in a table, in order."""
    return sorted(row["name"] for row in platform.tables[table])


@WHOSE
def test_a_merge_is_followed_and_told_once(whose: str, serve: Serve, tmp_path: Path) -> None:
    """The record has arrived, in the row that survived; nothing that referred to it is lost, and the
    next commands have nothing to tell and nothing to write.
    """
    trial = firms(serve, tmp_path)
    trial.full()
    kept = merge(trial.platform, whose)
    report = trial.verify(code=1)
    assert attention(report) == {GONE}
    assert texts(report).count(TOLD) == 1
    row = next(row for row in report["records"] if (row["object"], row["key"]) == GONE)
    assert row["state"] == "arrived" and row["reason"].startswith(TOLD)
    assert trial.links("companies")["firms/1"] == str(kept["id"])

    before = trial.platform.count_writes()
    assert attention(trial.verify(code=0)) == set()
    trial.run(code=0)
    trial.delta(code=0)
    assert trial.platform.count_writes() == before


@WHOSE
@pytest.mark.parametrize("seen", [True, False], ids=["verified before", "met by the delta"])
def test_a_delta_follows_a_merge(whose: str, seen: bool, serve: Serve, tmp_path: Path) -> None:
    """What the source changes of the merged record is not written, what comes to refer to it refers
    to the survivor, and nothing fails or is made twice.
    """
    trial = firms(serve, tmp_path)
    trial.full()
    kept = merge(trial.platform, whose)
    if seen:
        trial.verify(code=1)
    trial.platform.tables["firms"][0]["phone"] = "611111111"
    trial.platform.tables["people"].append({"id": 7, "name": "Person 7", "firm": 1})
    before = [dict(row) for row in trial.platform.tables["companies"]]
    report = trial.delta(code=0 if seen else 1)
    assert attention(report) == (set() if seen else {GONE})
    assert report["verdict"]["failed"] == 0
    assert trial.platform.tables["companies"] == before
    assert trial.platform.one("contacts", name="Person 7")["company"] == kept["id"]
    assert len(trial.platform.tables["contacts"]) == 7


@WHOSE
def test_a_refused_reference_is_followed(whose: str, serve: Serve, tmp_path: Path) -> None:
    """Where the platform refuses rows because the row that they name was merged, they are written
    with the survivor in the same run, those that are changed as well as those that are new.
    """
    trial = firms(serve, tmp_path)
    trial.full()
    kept = merge(trial.platform, whose)
    people = trial.platform.tables["people"]
    people[0]["firm"] = 1
    people += [{"id": n, "name": f"Person {n}", "firm": 1} for n in (7, 8)]
    report = trial.delta(code=1)
    assert attention(report) == {GONE}
    line = counts(report, "contacts")
    assert (line["created"], line["failed"]) == (2, 0)
    found = {
        name: trial.platform.one("contacts", name=name)["company"]
        for name in ("Person 1", "Person 7", "Person 8")
    }
    assert set(found.values()) == {kept["id"]}
    trial.delta(code=0)


@pytest.mark.parametrize("command", ["verify", "delta"])
def test_a_rollback_leaves_the_row_of_people(
    command: str, serve: Serve, tmp_path: Path
) -> None:
    """After a rollback the survivor is as people merged it, and all that is surely ours is gone,
    rows among it that a delta has changed after the merge.
    """
    trial = firms(serve, tmp_path)
    trial.full()
    kept = dict(merge(trial.platform, "people's", phone=""))
    assert kept["phone"] == "600000001"
    if command == "verify":
        trial.verify(code=1)
    else:
        trial.platform.tables["people"][1]["name"] = "Renamed"
        trial.platform.tables["firms"][0]["phone"] = "611111111"
        trial.delta(code=1)
        assert trial.platform.one("contacts", name="Renamed")["company"] == kept["id"]
    done = trial.rollback(code=0)
    assert done["kept"] == [] and done["failed"] == []
    assert trial.platform.tables["companies"] == [kept]
    assert trial.platform.tables["contacts"] == []


@pytest.mark.parametrize("took", [False, True], ids=["as it was", "with values of the other"])
def test_a_rollback_takes_a_row_of_ours_for_its_own_record(
    took: bool, serve: Serve, tmp_path: Path
) -> None:
    """A survivor of ours goes with its record, unless people's merge has put values into it."""
    trial = firms(serve, tmp_path)
    if took:
        trial.platform.tables["firms"][1]["phone"] = ""
    trial.full()
    merge(trial.platform, "ours")
    trial.verify(code=1)
    trial.rollback()
    assert names(trial.platform, "companies") == (["Firm 2"] if took else [])
    assert trial.platform.tables["contacts"] == []


def listing_ids(platform: Platform, request: Request) -> Answer | None:
    """A list of companies shows the rows whose ids it is asked for."""
    if request.parts != ["companies"] or "ids" not in request.query:
        return None
    wanted = request.query["ids"].split(",")
    rows = [row for row in platform.tables["companies"] if str(row["id"]) in wanted]
    return Answer(200, page(rows, request.query))


@WHOSE
@pytest.mark.parametrize("ids", [False, True], ids=["by itself", "by a list of ids"])
def test_a_rollback_by_the_old_id_spares_the_survivor(
    ids: bool, whose: str, serve: Serve, tmp_path: Path
) -> None:
    """On a platform where the id of the row that went leads to the survivor, for a deletion as well,
    a survivor that is people's, or that they have edited, is there after a rollback; the merge is
    reported before.
    """
    trial = firms(serve, tmp_path)
    if ids:
        path = tmp_path / "destination.yaml"
        known = json.loads(path.read_text(encoding="utf-8"))
        known["resources"]["companies"]["list"]["ids"] = "ids"
        path.write_text(json.dumps(known), encoding="utf-8")
        trial.platform.before.append(listing_ids)
    for row in trial.platform.tables["firms"]:
        row["phone"] = "600000000"
    trial.full()
    gone = trial.platform.one("companies", name="Firm 1")["id"]
    kept = merge(trial.platform, whose)
    trial.platform.before.append(odd.redirecting("companies", gone, kept["id"]))
    assert TOLD in texts(trial.verify(code=1))
    kept["note"] = "ours is theirs"
    reasons = [reason for _, key, reason in trial.rollback()["kept"] if key == "firms/1"]
    assert reasons == [f"its id leads to row {kept['id']}, as after a merge"]
    assert kept in trial.platform.tables["companies"]


def test_an_edit_of_two_in_one_keeps_the_row(serve: Serve, tmp_path: Path) -> None:
    """A row of ours that people edited stays, though it holds all that was written of the record
    whose row they merged into it.
    """
    trial = firms(serve, tmp_path)
    for row in trial.platform.tables["firms"]:
        row["phone"] = "600000000"
    trial.full()
    gone, kept = trial.platform.tables["companies"]
    odd.merged(trial.platform, "companies", gone, kept, contacts="company")
    trial.verify(code=1)
    kept["name"], kept["note"] = "Firm 1", "edited"
    trial.rollback()
    assert trial.platform.tables["companies"] == [kept]


def test_a_rollback_of_one_run_keeps_what_another_wrote(serve: Serve, tmp_path: Path) -> None:
    """A row of the run that is taken back stays where people merged a row of another run into it."""
    trial = firms(serve, tmp_path)
    second = trial.platform.tables["firms"].pop()
    people = trial.platform.tables["people"]
    people[:], later = people[1::2], people[0::2]
    trial.full()
    trial.platform.tables["firms"].append(second)
    people += later
    report = trial.delta(code=0)
    merge(trial.platform, "ours")
    trial.verify(code=1)
    trial.platform.tables["contacts"].clear()
    trial.etl("rollback", "--yes", "--run", str(report["run"]))
    assert names(trial.platform, "companies") == ["Firm 2"]


def test_a_key_shows_a_merge_without_anything_that_refers(serve: Serve, tmp_path: Path) -> None:
    """A row that has taken our key from the one that is gone is the survivor."""
    trial = firms(serve, tmp_path, people=0, key="code")
    trial.full()
    kept = merge(trial.platform, "people's")
    assert kept["code"] == "firms/1"
    assert attention(trial.verify(code=1)) == {GONE}
    assert trial.links("companies")["firms/1"] == str(kept["id"])
    trial.verify(code=0)


@pytest.mark.parametrize(
    ("people", "moved"), [(6, 2), (2, 1), (0, 0)], ids=["not all", "one, and other names", "none"]
)
def test_a_row_that_was_deleted_is_missing(
    people: int, moved: int, serve: Serve, tmp_path: Path
) -> None:
    """Where what referred to it does not agree, or is a single row and the names of the two are
    unlike, the row was not merged as far as anybody can tell: it is missing, and nothing is linked.
    """
    trial = firms(serve, tmp_path, people=people)
    trial.full()
    gone = trial.platform.one("companies", name="Firm 1")
    other = trial.platform.add("companies", {"name": "Acme", "phone": "7"})
    rows = [row for row in trial.platform.tables["contacts"] if row["company"] == gone["id"]]
    for row in rows[:moved]:
        row["company"] = other["id"]
    for row in rows[moved:]:
        row["company"] = None
    trial.platform.tables["companies"].remove(gone)
    report = trial.verify(code=1)
    missing = {(r["object"], r["key"]) for r in report["records"] if r["state"] == "missing"}
    assert missing == {GONE}
    assert TOLD not in texts(report)
    assert trial.links("companies")["firms/1"] == str(gone["id"])


def test_one_row_shows_a_merge_of_rows_with_alike_names(serve: Serve, tmp_path: Path) -> None:
    """A single row that refers to another one now is enough where both have a word in common."""
    trial = firms(serve, tmp_path, people=2)
    trial.full()
    kept = merge(trial.platform, "people's", name="The firm")
    assert attention(trial.verify(code=1)) == {GONE}
    assert trial.links("companies")["firms/1"] == str(kept["id"])


def test_a_survivor_that_is_merged_is_followed_too(serve: Serve, tmp_path: Path) -> None:
    """Each merge is told, and the record's row is the last that survived."""
    trial = firms(serve, tmp_path)
    trial.full()
    first = merge(trial.platform, "people's")
    trial.verify(code=1)
    last = trial.platform.one("companies", name="Firm 2")
    odd.merged(trial.platform, "companies", first, last, contacts="company")
    assert attention(trial.verify(code=1)) == {GONE}
    assert trial.links("companies") == {"firms/1": str(last["id"]), "firms/2": str(last["id"])}
    trial.verify(code=0)


@WHOSE
@pytest.mark.parametrize("left", [0, 1], ids=["the merged record", "the survivor's"])
def test_a_survivor_is_not_deleted_with_a_record(
    left: int, whose: str, serve: Serve, tmp_path: Path
) -> None:
    """A survivor is people's, or stands for another record as well: it stays when a record that it
    stands for is deleted in the source.
    """
    trial = firms(serve, tmp_path, on_delete="delete")
    trial.full()
    kept = merge(trial.platform, whose, name="Firm 1", phone="600000001")
    trial.verify(code=1)
    tables = trial.platform.tables
    tables["contacts"].clear()
    tables["people"].clear()
    del tables["firms"][left]
    trial.delta("--deletions", "--yes")
    there = [row["id"] for row in tables["companies"]]
    assert kept["id"] in there


def test_a_row_that_living_records_came_to_refer_to_is_not_deleted(serve: Serve, tmp_path: Path) -> None:
    """People merge one firm's row into the other's, whose record then goes in the source: before anybody has verified, the
    deletion leaves the row that the first firm's contacts refer to.
    """
    trial = firms(serve, tmp_path, on_delete="delete")
    spec = json.loads((tmp_path / "spec.yaml").read_text())
    spec["objects"]["contacts"]["on_delete"] = "delete"
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    trial.full()
    kept = merge(trial.platform, "ours")
    tables = trial.platform.tables
    gone = tables["firms"].pop(1)
    tables["people"][:] = [row for row in tables["people"] if row["firm"] != gone["id"]]
    trial.delta("--deletions", "--yes")
    assert [row["id"] for row in tables["companies"]] == [kept["id"]]


def test_what_people_moved_before_is_no_merge(serve: Serve, tmp_path: Path) -> None:
    """Contacts that people had moved to another company, as a delta saw, do not make of its deletion a merge."""
    trial = firms(serve, tmp_path)
    trial.full()
    platform = trial.platform
    first = platform.one("companies", name="Firm 1")
    zeta = platform.add("companies", {"name": "Zeta", "phone": "9"})
    for row in platform.tables["contacts"]:
        if row["company"] == first["id"]:
            row["company"] = zeta["id"]
    for person in platform.tables["people"]:
        person["name"] += " X"
    trial.delta("--yes")
    platform.tables["companies"].remove(first)
    report = trial.verify(code=1)
    assert TOLD not in texts(report)


def test_of_two_rows_that_carry_one_key_none_is_the_survivor(serve: Serve, tmp_path: Path) -> None:
    """A key that stands in two rows says nothing about which of them a row was merged into."""
    trial = firms(serve, tmp_path, people=0, key="note")
    trial.full()
    platform = trial.platform
    first = platform.one("companies", name="Firm 1")
    platform.tables["companies"].remove(first)
    for name in ("Acme", "Zeta"):
        platform.add("companies", {"name": name, "phone": "7", "note": first["note"]})
    assert TOLD not in texts(trial.verify(code=1))


# -- what a rollback leaves


def keyed(serve: Serve, folder: Path, **more: Any) -> Project:
    """Five people become contacts with our key in a custom field, and tasks without one."""
    people = [{"id": n, "name": f"P{n}", "memo": f"call {n}"} for n in range(1, 6)]
    platform = serve(people=people, contacts=[], notes=[], tasks=[], **{TABLE: []})
    platform.before += [defining(), checking("")]
    destination = dict(connector(""))
    tasks = writable("tasks", ["text"], text={"type": "text", "required": True})
    destination["resources"] = {**destination["resources"], "tasks": tasks}
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name", "custom.tax": "$key"}),
        "tasks": mapped("people", "tasks", {"text": "memo"}),
    }
    custom = {"contacts": {"tax": {**TAX, "key": True}}}
    source = {"people": readable("people", name="text", memo="text")}
    trial = project(folder, platform, source, destination, migration(objects, custom_fields=custom, **more))
    file = folder / "destination.yaml"
    known = json.loads(file.read_text())
    known["errors"].append({"when": {"status": 401}, "then": "refuse"})
    file.write_text(json.dumps(known))
    return trial


@pytest.mark.parametrize("stopped", [False, True], ids=["whole", "stopped"])
def test_a_run_after_a_rollback_finds_rows_by_the_keys_that_they_kept(
    stopped: bool, serve: Serve, tmp_path: Path
) -> None:
    """A row of people's that ours were merged into carries our key: nothing is made for it again, also
    where the first run did not come to its end.
    """
    trial = keyed(serve, tmp_path)
    table, made = trial.platform.tables["contacts"], [0]

    def stop(_: Platform, request: Request) -> Answer | None:
        if stopped and request.method == "POST" and request.path == "/contacts":
            made[0] += 1
            if made[0] in (4, 5):
                return Answer(401, {"error": "key"})
        return None

    trial.platform.before.insert(0, stop)
    (tmp_path / UNGATED).touch()
    trial.etl("run", code=3 if stopped else 0)
    made[0] = len(table) + 10  # the key is good from now on
    table[0]["name"] = "Edited"
    gone = table.pop(1)
    trial.platform.add("contacts", {**without_id(gone), "name": "Theirs"})
    trial.rollback()
    assert names(trial.platform, "contacts") == ["Edited", "Theirs"]
    trial.run("--yes")
    assert names(trial.platform, "contacts") == ["Edited", "P3", "P4", "P5", "Theirs"]


def without_id(row: Row) -> Row:
    """What a row holds, for another one."""
    return {name: value for name, value in row.items() if name != "id"}


def test_a_full_run_after_a_sample_takes_no_row_of_people_for_ours(serve: Serve, tmp_path: Path) -> None:
    """The sample's own rows are no earlier migration: a task of people's that reads like ours stays theirs."""
    trial = keyed(serve, tmp_path, sample={"records": 2, "pages": 1})
    theirs = trial.platform.add("tasks", {"text": "call 5"})["id"]
    trial.run("--sample", "2")
    (tmp_path / UNGATED).touch()
    trial.run(code=0)
    assert str(theirs) not in trial.links("tasks").values()
    assert len(trial.platform.tables["tasks"]) == 6
