"""A name that a connector only guesses is told before anything is written, not lost in silence."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from engine.language.compile import load_migration
from engine.language.dependencies import fields_read
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, Row
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

SHIPPED = Path(__file__).parents[2] / "specs" / "stel_order_to_pipedrive.yaml"
PERSON: Row = {
    "company": 1, "code": "c1", "boss": 1, "details": {"city": "Elx"}, "tags": [{"owner": 1}], "off": False,
}  # fmt: skip
SHAPES = {"details": {"city": "text"}, "tag": {"owner": "ref staff"}}
PEOPLE = {
    "name": "text", "company": "ref companies", "code": "text", "boss": "ref staff", "details": "object details",
    "tags": "list tag", "off": "boolean", "gone": "boolean",
}  # fmt: skip
THERE = {"company": "ref orgs", "also": "ref orgs", "owner": "ref users", "city": "text", "memo": "text", "org_city": "text"}
FIELDS = {
    "name": "name",
    "company": {"lookup": "orgs", "by": "company"},
    "also": {"lookup": "orgs", "by": "code", "on": "code"},
    "owner": {"lookup": "users", "by": "boss"},
    "city": "details.city",
    "memo": {"from": "notes[*].text", "using": {"text.join": ", "}},
    "org_city": "row.city",
}


def trial(serve: Serve, folder: Path, many: int = 12, connector: dict[str, Any] | None = None, **changes: Any) -> Project:
    """People of a company become contacts; `changes` are tables by their names."""
    numbers = range(1, many + 1)
    tables: dict[str, list[Row]] = {
        "people": [{"id": n, "name": f"Person {n}", **deepcopy(PERSON)} for n in numbers],
        "companies": [{"id": n, "name": f"Company {n}", "code": f"c{n}", "city": "Elx"} for n in numbers],
        "notes": [{"id": n, "person": n, "text": f"Note {n}"} for n in numbers],
        "staff": [{"id": n, "email": f"s{n}@example.com", "name": "S"} for n in numbers],
        **changes,
    }
    platform = serve(**tables, contacts=[], orgs=[], users=[{"id": 1, "email": "s1@example.com"}])
    people = {**readable("people", **PEOPLE), "deleted": "gone", "flags": {"inactive": "off"}}
    people |= {"evidence": "seen", "published": ["name"], "inferred": ["boss", "details.city"]}
    source = {
        "shapes": SHAPES,
        "resources": {
            "people": people,
            "companies": readable("companies", name="text", code="text", city="text"),
            "notes": readable("notes", person="ref people", text="text"),
            "staff": readable("staff", email="text", name="text"),
        },
        **(connector or {}),
    }
    there = {
        "users": {"resource": "users", "email": "email"},
        "resources": {
            "users": readable("users", email="text"),
            "orgs": writable("orgs", ["name"], name=NAME),
            "contacts": writable("contacts", ["name"], name=NAME, **THERE),
        },
    }
    objects = {
        "orgs": mapped("companies", "orgs", {"name": "name"}),
        "contacts": mapped(
            "people", "contacts", FIELDS,
            related={"row": {"from": "companies", "by": "company"}},
            children={"notes": {"from": "notes", "on": "person"}},
        ),
    }  # fmt: skip
    users = {"from": "staff", "email": "email", "fallback": "s1@example.com"}
    return project(folder, platform, source, there, migration(objects, users=users))


def without(rows: list[Row], *place: str) -> None:
    """Take a field from every row, at its place."""
    for row in rows:
        inside: Any = row
        for part in place[:-1]:
            inside = inside[part]
        del inside[place[-1]]


GONE = [
    ("people", ("company",), "links depend"),
    ("people", ("code",), "links depend"),
    ("companies", ("code",), "links depend"),
    ("notes", ("person",), "links depend"),
    ("people", ("boss",), "owners depend"),
    ("staff", ("email",), "owners depend"),
    ("people", ("name",), "values depend"),
    ("companies", ("city",), "values depend"),
]


@pytest.mark.parametrize(("table", "place", "why"), GONE, ids=lambda part: ".".join(part) if isinstance(part, tuple) else part)
def test_a_field_that_no_row_has_stops_a_run(
    table: str, place: tuple[str, ...], why: str, serve: Serve, tmp_path: Path
) -> None:
    """A run is refused with code 4 and the field's place before it writes anything; an audit only tells."""
    trial_ = trial(serve, tmp_path)
    without(trial_.platform.tables[table], *place)
    audit = trial_.etl("audit", code=0)
    assert "IN NO ROW" in audit.out
    done = trial_.etl("run", "--sample")
    assert (done.code, trial_.platform.count_writes()) == (4, 0), str(done)
    assert f"{table}.{'.'.join(place)}: none of the 12 rows read has this field" in done.err
    assert why in done.err


def test_a_person_may_say_yes(serve: Serve, tmp_path: Path) -> None:
    """With --yes the run goes on, and its report says that the field needs attention."""
    trial_ = trial(serve, tmp_path)
    without(trial_.platform.tables["people"], "boss")
    report = trial_.run("--sample", "--yes")
    assert len(trial_.platform.tables["contacts"]) == 12
    found = [item for item in report["findings"] if item["stage"] == "fields"]
    assert [(item["object"], item["field"], item["severity"]) for item in found] == [("people", "boss", "attention")]


@pytest.mark.parametrize(
    ("many", "place"), [(9, ("company",)), (12, ("details", "city"))], ids=["few rows", "a value inside another"]
)
def test_what_proves_nothing_is_only_noted(many: int, place: tuple[str, ...], serve: Serve, tmp_path: Path) -> None:
    """Fewer than ten rows, and a value that may be left out where it is empty, do not stop a run."""
    trial_ = trial(serve, tmp_path, many)
    without(trial_.platform.tables["people"], *place)
    report = trial_.run("--sample")
    assert len(trial_.platform.tables["contacts"]) == many
    found = [item for item in report["findings"] if item["stage"] == "fields"]
    assert [(item["field"], item["severity"]) for item in found] == [(".".join(place), "note")]


def test_a_field_of_one_row_is_enough(serve: Serve, tmp_path: Path) -> None:
    """A field that stands in the last of many rows is no guess, though all before it leave it out."""
    trial_ = trial(serve, tmp_path, 250)
    without(trial_.platform.tables["people"][:-1], "boss")
    report = trial_.etl("plan", "--json", code=0).data()
    assert [item for item in report["findings"] if item["stage"] == "fields"] == []


def test_an_audit_counts_fields(serve: Serve, tmp_path: Path) -> None:
    """Each field is told with its rows, of those that could have it, and how the connector knows it."""
    trial_ = trial(serve, tmp_path, notes=[])
    people = trial_.platform.tables["people"]
    without(people[:5], "boss")
    for row in people[:7]:
        row["details"] = None
        row["company"] = None
    found = trial_.etl("audit", "--json", code=0).data()["fields"]
    told = {(one["collection"], one["field"]): (one["found"], one["rows"], one["evidence"], one["use"]) for one in found}
    assert told["people", "boss"] == (7, 12, "inferred", "owner")
    assert told["people", "details.city"] == (5, 5, "inferred", "value")
    assert told["people", "company"] == (12, 12, "seen", "link")  # empty, but there
    assert told["people", "name"] == (12, 12, "published", "value")
    assert told["companies", "code"] == (12, 12, "published", "link")
    assert told["notes", "person"] == (0, 0, "published", "link")


def test_an_audit_prints_only_fields_that_tell_something(serve: Serve, tmp_path: Path) -> None:
    """Those that rows lack, or nobody declared, have a line each; the rest is one line, and stands in the JSON."""
    trial_ = trial(serve, tmp_path, notes=[])
    without(trial_.platform.tables["people"][:5], "boss")
    without(trial_.platform.tables["companies"], "city")
    words = trial_.etl("audit", code=0).out.splitlines()
    fields = trial_.etl("audit", "--json", code=0).data()["fields"]
    lines = [text.split() for text in words if text.startswith(("people.", "companies.", "notes.", "staff."))]
    assert {one[0]: one[1:4] for one in lines} == {"people.boss": ["7", "/", "12"], "companies.city": ["0", "/", "12"]}
    unseen = sum(not one["rows"] for one in fields)
    assert unseen == 2
    rest = f"{len(fields) - 4} fields that the spec reads: in every row that could have it; 2 where there is no such row"
    assert f"{rest}; --json lists them all" in words


def test_an_audit_counts_what_nobody_declared(serve: Serve, tmp_path: Path) -> None:
    """Fields that the connector does not declare are told with how many rows have and fill them, marked rows are counted."""
    trial_ = trial(serve, tmp_path)
    for number, row in enumerate(trial_.platform.tables["people"]):
        row |= {"shoe_size": 40 if number < 3 else "", "off": number < 4, "gone": number > 9}
    found = trial_.etl("audit", "--json", code=0).data()
    assert found["undeclared"] == [{"collection": "people", "field": "shoe_size", "rows": 10, "filled": 3}]
    assert found["marked"] == [
        {"collection": "people", "kind": "deleted", "rows": 2, "left_out": True},
        {"collection": "people", "kind": "inactive", "rows": 4, "left_out": True},
    ]
    text = trial_.etl("audit", code=0).out
    for words in ("people.shoe_size", "Rows that are marked", "left out"):
        assert words in text


LIMIT = {"unit": "calls", "per": 10, "window": "rolling", "headers": {"limit": "x-limit"}}
PLANS = [
    ("", {"any": 100, "more": 200}, "not confirmed: no answer named a limit of the account"),
    ("100", {"any": 100, "more": 200}, "confirmed by x-limit: 100"),
    ("100", {"any": 100, "more": 100}, "not confirmed: x-limit: 100 fits any, more alike"),
    ("200", {"any": 100, "more": 200}, "contradicted: x-limit: 200 does not fit any with 1 seat, but more"),
    ("300", {"any": 100, "more": 200}, "contradicted: x-limit: 300 does not fit any with 1 seat, nor any other plan"),
]


@pytest.mark.parametrize(("told", "amounts", "said"), PLANS)
def test_the_plan_is_taken_from_what_the_account_shows(
    told: str, amounts: dict[str, int], said: str, serve: Serve, tmp_path: Path
) -> None:
    """An audit says whether the headers of the account confirm its plan; the spec's word is no proof."""

    def heading(_: Platform, __: Request, answer: Answer) -> Answer:
        return Answer(answer.status, answer.body, headers={**answer.headers, "x-limit": told} if told else answer.headers)

    limits = {"burst": {**LIMIT, "amount": amounts}}
    trial_ = trial(serve, tmp_path, 2, {"plans": ["any", "more"], "limits": limits})
    trial_.platform.after.append(heading)
    found = trial_.etl("audit", "--json", code=0).data()
    assert found["accounts"]["source"]["plan_shown"] == said
    assert f"plan any {said}" in trial_.etl("audit", code=0).out


def test_what_people_should_know_is_told(serve: Serve, tmp_path: Path) -> None:
    """The connector's list stands in the audit, in reports and in the mapping document, with what the source shows of each."""
    known = [{"text": "Logos are not in the API.", "rows": ["companies", "notes.text"]}, {"text": "Let telephones synchronise."}]
    trial_ = trial(serve, tmp_path, connector={"to_know": known})
    trial_.etl("docs", "--out", "before.md", code=0)
    trial_.platform.tables["notes"][0]["text"] = " "
    audit = trial_.etl("audit", code=0).out
    counts = "companies: 12 rows, notes.text: 11 filled"
    assert f"Logos are not in the API. ({counts})" in audit
    assert "Let telephones synchronise.\n" in audit
    found = trial_.run("--sample")["to_know"]
    assert found[0] == {"platform": "source", "text": known[0]["text"], "rows": [["companies", 12], ["notes.text", 11]]}
    for name in ("mapping.md", "mapping.html"):
        trial_.etl("docs", "--out", name, code=0)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "Logos are not in the API" in text and "11 filled" in text
        assert "Let telephones synchronise" in text
    assert "filled" not in (tmp_path / "before.md").read_text(encoding="utf-8")


def test_what_the_shipped_spec_reads_fields_for() -> None:
    """Paths are told where they lead: through related rows, children, elements of lists and conditions of a stage."""
    found = fields_read(load_migration(SHIPPED, {}).spec)
    wanted = {
        ("clients", "agent-path"): "owner",  # also through the account of a contact
        ("contacts", "account-path"): "link",
        ("assets", "account-path"): "link",
        ("salesEstimates", "document-state-path"): "stage",
        ("ordinaryInvoices", "settled"): "stage",
        ("ordinaryInvoices", "lines[*].units"): "value",
        ("documentStates", "name"): "stage",
        ("accountCategories", "name"): "value",
        ("employees", "email"): "owner",
        ("products", "product-warehouses[*].warehouse-path"): "link",
        ("warehouses", "name"): "value",
    }
    assert {key: found[key[0]].get(key[1]) for key in wanted} == wanted
