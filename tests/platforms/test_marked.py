"""Rows that the source marks as inactive, archived or deleted are left out and counted, unless the spec takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

KINDS = ("inactive", "archived", "deleted")
FIELDS = {"inactive": "off", "archived": "archived_at", "deleted": "gone"}
# what each mark looks like in a row: a flag, a moment, a word
MARKS = {"inactive": True, "archived": "2024-05-06T07:08:09Z", "deleted": "Y"}


def trial(serve: Serve, folder: Path, take: Mapping[str, Any] | None = None, **settings: Any) -> Project:
    """Three people of each kind and three others become contacts; groups are only linked to, one of them is inactive."""
    people: list[dict[str, Any]] = [{"id": n, "name": f"Person {n}", "group": 1 + n % 2} for n in range(1, 13)]
    for place, kind in enumerate(KINDS):
        for row in people[3 * place : 3 * place + 3]:
            row[FIELDS[kind]] = MARKS[kind]
    groups = [{"id": 1, "name": "Group 1", "off": True}, {"id": 2, "name": "Group 2", "off": False}]
    platform = serve(people=people, groups=groups, contacts=[])
    flags = {"inactive": "off", "archived": "archived_at"}
    source = {
        "people": {
            **readable("people", name="text", group="ref groups", off="boolean", archived_at="datetime", gone="boolean"),
            "deleted": "gone", "flags": flags,
        },
        "groups": {**readable("groups", name="text", off="boolean"), "flags": {"inactive": "off"}},
    }  # fmt: skip
    there = {"contacts": writable("contacts", ["name"], name=NAME, memo="text")}
    contacts = mapped("people", "contacts", {"name": "name", "memo": "team.name"}, related={"team": {"from": "groups", "by": "group"}})
    more = {"take": take} if take else {}
    spec = migration({"contacts": contacts}, **more, **({"settings": settings} if settings else {}))
    return project(folder, platform, source, there, spec)


def arrived(found: Project) -> set[int]:
    """The numbers of the people that are there."""
    return {int(row["name"].split()[1]) for row in found.platform.tables["contacts"]}


def marked(report: Any) -> dict[tuple[str, str], tuple[int, bool]]:
    """How many rows have each mark, and whether they are left out."""
    return {(one["collection"], one["kind"]): (one["rows"], one["left_out"]) for one in report["marked"]}


def test_marked_rows_are_left_out_and_counted(serve: Serve, tmp_path: Path) -> None:
    """Only unmarked rows arrive; audit, plan, run and page count the others; a row that is only linked to is read all the same."""
    found = trial(serve, tmp_path)
    counted = {("people", kind): (3, True) for kind in KINDS} | {("groups", "inactive"): (1, False)}
    assert marked(found.etl("audit", "--json", code=0).data()) == counted
    plan = found.etl("plan", "--json", code=0).data()
    assert marked(plan) == counted
    report = found.full()
    assert arrived(found) == {10, 11, 12}
    assert {row["memo"] for row in found.platform.tables["contacts"]} == {"Group 1", "Group 2"}
    assert marked(report) == counted
    assert report["verdict"]["not_taken"] == 6  # the deleted ones were not kept
    # what is marked is said once
    assert [one["collection"] for one in report["collections_left_behind"]] == ["groups"]
    assert "not_taken" not in found.verify(code=0)["verdict"]
    text = found.etl("run", code=0).out
    assert "Rows that are marked" in text and "people      archived      3  left out" in text
    assert '"kind":"archived","rows":3' in (tmp_path / "var/trial.live.report/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("place", "kind"), list(enumerate(KINDS)), ids=KINDS)
def test_a_setting_takes_a_kind_of_marked_rows(place: int, kind: str, serve: Serve, tmp_path: Path) -> None:
    """With the kind in `take` its rows arrive like others, the other kinds stay out; switched off, nothing more is made of them once the source is read anew."""
    found = trial(serve, tmp_path, {kind: "$settings.with_them"}, with_them=True)
    report = found.full()
    theirs = {3 * place + n for n in (1, 2, 3)}
    assert arrived(found) == {10, 11, 12} | theirs
    assert {one for one, (_, left_out) in marked(report).items() if not left_out} == {("people", kind), ("groups", "inactive")}
    found.write_spec(found.spec() | {"settings": {"with_them": False}})
    again = found.run("--yes", "--refresh")
    states = {row["key"]: row["state"] for row in again["records"]}
    assert again["verdict"]["arrived"] == 3, states
    assert marked(again)["people", kind][1]
    # what is there already and no longer taken stays, and is told each time
    for report in (again, found.run("--yes"), found.delta("--yes")):
        told = {one["key"]: one["text"] for one in report["findings"] if one["severity"] == "attention"}
        assert set(told) == {f"people/{number}" for number in theirs}
        assert all("kept in the destination" in text for text in told.values())
    assert arrived(found) == {10, 11, 12} | theirs


def test_a_refresh_deletes_nothing_by_itself(serve: Serve, tmp_path: Path) -> None:
    """What a source that was read anew no longer lists is told and stays, though the object deletes: nobody has looked whether it is gone."""
    found = trial(serve, tmp_path)
    spec = found.spec()
    spec["objects"]["contacts"]["on_delete"] = "delete"
    found.write_spec(spec)
    found.full()
    found.platform.tables["people"].pop()
    report = found.run("--yes", "--refresh", code=1)
    told = [one for one in report["findings"] if one["severity"] == "attention"]
    assert [one["key"] for one in told] == ["people/12"]
    assert "no longer lists the record" in told[0]["text"]
    assert arrived(found) == {10, 11, 12}


def test_a_row_that_becomes_inactive_is_told(serve: Serve, tmp_path: Path) -> None:
    """Its row in the destination stays, and people are told that its record is no longer taken."""
    found = trial(serve, tmp_path)
    found.full()
    found.platform.tables["people"][9]["off"] = True
    report = found.delta()
    assert len(found.platform.tables["contacts"]) == 3
    told = [one for one in report["findings"] if one["key"] == "people/10"]
    assert told, report["findings"]
    assert marked(report)["people", "inactive"] == (4, True)


@pytest.mark.parametrize("value", ["0000-00-00 00:00:00", "N", 0, "", None, "maybe", [], {}])
def test_what_does_not_say_so_marks_no_row(value: Any, serve: Serve, tmp_path: Path) -> None:
    """A row is left out for a yes or a moment only: anything else in the field of a mark loses nobody."""
    found = trial(serve, tmp_path)
    for row in found.platform.tables["people"]:
        row |= {"off": value, "archived_at": value, "gone": False}
    report = found.full(code=None)
    assert arrived(found) == set(range(1, 13))
    assert bool(report["findings"]) == (value == "maybe")


def test_rows_that_no_object_takes_are_told_beside_those_that_are_marked(serve: Serve, tmp_path: Path) -> None:
    """Of a collection of which some rows are not taken for another reason, it is said how many of them are marked."""
    found = trial(serve, tmp_path)
    spec = found.spec()
    spec["objects"]["contacts"]["when"] = {"name": {"not": "Person 12"}}
    found.write_spec(spec)
    (told,) = [one for one in found.full()["collections_left_behind"] if one["not_taken"]]
    assert told["rows"] == 7 and told["reason"].endswith("; 6 of them are marked, and counted as such")


@pytest.mark.parametrize("value", ["archived", "maybe", 4711, {"by": 3}])
def test_a_mark_that_nobody_understands_is_told(value: Any, serve: Serve, tmp_path: Path) -> None:
    """Its rows are taken like others, but not in silence: how many there are, and one of them."""
    found = trial(serve, tmp_path)
    for row in found.platform.tables["people"][4:6]:
        row["archived_at"] = value
    report = found.full(code=1)
    assert arrived(found) == {5, 6, 10, 11, 12}
    told = [one for one in report["findings"] if one["field"] == "archived_at"]
    assert [(one["object"], one["severity"]) for one in told] == [("people", "attention")]
    assert "in 2 rows" in told[0]["text"] and f"{value!r} in people/5" in told[0]["text"]
    for row in found.platform.tables["people"][4:6]:
        row["archived_at"] = "2024-05-06T07:08:09Z"
    again = found.run("--yes", "--refresh")
    assert not [one for one in again["findings"] if one["field"] == "archived_at"]
