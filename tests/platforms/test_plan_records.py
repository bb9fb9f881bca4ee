"""`etl plan --records`: what the plan does to each record, in words and as data, and nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.report import plan as planned
from engine.report.words import apart
from tests.platforms.conftest import Serve
from tests.platforms.platform import Platform, Row
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/report.schema.json").read_text("utf-8"))
LATER = (4, 5)  # people that come after the first run; of 5 the destination has a contact


def person(number: int, **more: Any) -> Row:
    """A person of the source."""
    return {"id": number, "name": f"Person {number}", "email": f"p{number}@example.com", **more}


@pytest.fixture
def moved_on(tmp_path: Path, serve: Serve) -> Project:
    """Three people are contacts already; then one of each kind of thing happens."""
    theirs = {"id": 77, "name": "Five, VIP", "email": "p5@example.com"}
    platform = serve(people=[person(1), person(2), person(3)], contacts=[theirs])
    found = contacts(tmp_path, platform)
    found.full()

    rows = {row["email"]: row for row in platform.tables["contacts"]}
    platform.tables["people"][0]["name"] = "Person 1 https://files.example.com/a?token=hidden"
    platform.tables["people"][1]["name"] = "Person 2, changed"
    rows["p2@example.com"]["name"] = "Two, by hand"
    platform.tables["people"] += [person(number) for number in LATER]
    platform.tables["people"].append({"id": 6, "name": "", "email": "p6@example.com"})
    return found


def contacts(folder: Path, platform: Platform) -> Project:
    """People become contacts; those with an address are looked for by it."""
    there = writable(
        "contacts", ["name", "email"], name={"type": "text", "required": True}, email="text"
    )
    one = mapped("people", "contacts", {"name": "name", "email": "email"}, match=["email"])
    source = {"people": readable("people", name="text", email="text")}
    return project(folder, platform, source, {"contacts": there}, migration({"contacts": one}))


def test_every_change_is_listed_with_its_fields_and_reason(moved_on: Project) -> None:
    """The document has one change for each record that does not stay as it is, and writes nothing."""
    before = moved_on.platform.count_writes()
    report = moved_on.etl("plan", "--refresh", "--records", "--json", code=0).data()
    assert moved_on.platform.count_writes() == before
    assert list(Draft202012Validator(SCHEMA).iter_errors(report)) == []

    found = {change["key"]: change for change in report["plan"]["changes"]}
    kinds = {key: change["kind"] for key, change in found.items()}
    assert kinds == {
        "people/1": "update",
        "people/2": "conflict",
        "people/4": "create",
        "people/5": "adopt",
        "people/6": "fail",
    }
    hidden = "Person 1 https://files.example.com/a?***"
    assert found["people/1"]["send"] == [{"target": "name", "before": "Person 1", "value": hidden}]
    assert found["people/2"]["send"] == []
    assert found["people/2"]["conflicts"] == [
        {"target": "name", "live": "Two, by hand", "wanted": "Person 2, changed"}
    ]
    assert [item["value"] for item in found["people/4"]["send"]] == ["Person 4", "p4@example.com"]
    assert (found["people/5"]["dest_id"], found["people/5"]["reason"]) == (
        "77",
        "it matches this record; a rollback keeps it",
    )
    assert "name" in found["people/6"]["reason"]


def test_a_terminal_shows_the_first_and_counts_the_rest(
    moved_on: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is one line, each of its fields another; beyond the first ones only the number is said."""
    monkeypatch.setattr(planned, "LISTED", 3)
    done = moved_on.etl("plan", "--refresh", "--records", code=0)
    told = done.out[done.out.index("Records: 5") :].splitlines()
    assert told[1].startswith("  contacts people/1: update ")
    assert told[2].startswith("      name: Person 1 -> Person 1 https://files.example.com/a?")
    assert "hidden" not in done.out
    assert told[3].startswith("  contacts people/2: conflict ")
    assert told[4] == (
        "      name: people changed it to Two, by hand; kept (the source says Person 2, changed)"
    )
    assert told[5] == "  contacts people/4: create (cost 1)"
    assert told[6:9] == [
        "      name: Person 4",
        "      email: p4@example.com",
        "  and 2 more; --json lists them all",
    ]


def test_long_values_are_shown_where_they_differ(moved_on: Project) -> None:
    """A change after the first eighty characters is seen, on both sides."""
    long = "A note that begins alike. " * 10
    moved_on.platform.tables["people"][0]["name"] = f"{long}Then this. {long}"
    moved_on.delta()
    moved_on.platform.tables["people"][0]["name"] = f"{long}Then that. {long}"
    done = moved_on.etl("plan", "--refresh", "--records", code=0)
    told = next(line for line in done.out.splitlines() if "Then this" in line)
    before, after = told.split(" -> ")
    assert before.startswith("      name: …") and "Then this. A note" in before and before.endswith("…")
    assert after.startswith("…") and "Then that. A note" in after and after.endswith("…")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a", "b", ("a", "b")),
        ("", "x" * 13, ("", "x" * 11 + "…")),
        ("x" * 20, "x" * 20 + "y", ("…xx", "…xxy")),
        ("x" * 20 + "b" + "z" * 20, "x" * 20 + "c" + "z" * 20, ("…xxbzzzzzzz…", "…xxczzzzzzz…")),
        ("y" + "x" * 20, "x" * 20, ("y" + "x" * 10 + "…", "x" * 11 + "…")),
    ],
    ids=["short", "from nothing", "longer", "in the middle", "at once"],
)
def test_texts_are_cut_around_their_difference(before: str, after: str, shown: tuple[str, str]) -> None:
    """To a width, and what is left out is marked."""
    assert apart(before, after, 12) == shown


def test_without_the_option_nothing_is_listed(moved_on: Project) -> None:
    """A plan is short unless somebody asks for its records."""
    assert "changes" not in moved_on.etl("plan", "--refresh", "--json", code=0).data()["plan"]
    assert "Records:" not in moved_on.etl("plan", code=0).out


def test_the_plan_says_what_a_run_would_be_refused_for(moved_on: Project) -> None:
    """A value map that fails every record is told before anybody starts a run."""
    spec = moved_on.spec()
    name = {"from": "name", "map": {"Nobody": "nobody"}, "else": "fail"}
    spec["objects"]["contacts"]["fields"]["name"] = name
    moved_on.write_spec(spec)
    warnings = moved_on.etl("plan", "--refresh", "--json", code=0).data()["plan"]["warnings"]
    assert ["all 6 contacts fail" in text for text in warnings] == [True]
    assert "all 6 contacts fail" in moved_on.etl("run", code=4).err


def test_a_diff_of_records_that_are_not_written_yet_says_what_differs(serve: Serve, tmp_path: Path) -> None:
    """Before the first run nothing is rewritten, and yet one record becomes something else."""
    trial = contacts(tmp_path, serve(people=[person(1), person(2)], contacts=[]))
    trial.etl("plan", code=0)
    spec = trial.spec()
    name = {"from": "name", "map": {"Person 1": "One", "Person 2": "Person 2"}, "else": "omit"}
    spec["objects"]["contacts"]["fields"]["name"] = name
    (tmp_path / "new.yaml").write_text(json.dumps(spec), encoding="utf-8")
    told = trial.etl("diff", "new.yaml", code=0).out
    assert "contacts: name  (maps 1 record differently, rewrites none)" in told
    assert "by the next delta: 1 mapped differently, none rewritten" in told
    assert "rewrites 0" not in told
    found = trial.etl("diff", "new.yaml", "--json", code=0).data()
    assert found["effects"][0]["differing"] == {"name": 1}
