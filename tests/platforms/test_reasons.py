"""Every record that did not arrive says why, wherever a person may look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Before, Platform, Request
from tests.platforms.project import (
    UNGATED,
    Project,
    counts,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import addresses, firms_and_people


@dataclass(frozen=True, slots=True)
class Case:
    """Why one record of three does not arrive, and how often it is sent."""

    name: str
    person: dict[str, Any]
    reason: str
    sent: int
    before: Before | None = None


def always(status: int, text: str) -> Before:
    """Whatever the second person is sent in gets this answer, and nothing is done."""

    def hook(_: Platform, request: Request) -> Answer | None:
        if request.method == "POST" and request.body.get("email") == "p2@example.com":
            return Answer(status, {"error": text})
        return None

    return hook


def saying(raw: bytes, status: int = 400) -> Before:
    """The second person is refused with this body."""

    def hook(_: Platform, request: Request) -> Answer | None:
        second = request.method == "POST" and request.body.get("email") == "p2@example.com"
        return Answer(status, raw=raw) if second else None

    return hook


CASES = (
    Case("required", {"name": ""}, "the destination needs it and the record has nothing for it", 0),
    Case("too-long", {"name": "x" * 300}, "300 characters, the destination takes 255", 0),
    Case("no-option", {"kind": "vip"}, "'vip' is not one of a, b", 0),
    Case("no-date", {"born": "p2@example.com"}, "a date such as 2024-12-31, not 'p2@example.com'", 0),
    Case("no-number", {"size": "12 people"}, "takes a number, not '12 people'", 0),
    Case("only-with", {"won": "x"}, "takes it only with kind b, and here it is a", 0),
    Case("requires", {"unit": "x"}, "takes it only together with won", 0),
    Case(
        "refused",
        {},
        "this account may not do that",
        1,
        odd.refusing("POST", "contacts", name="Person 2"),
    ),
    Case("always-500", {}, "bad value in email", 3, always(500, "bad value in email")),
    Case("as-text", {}, "the name is bad", 1, saying(b"the name is bad")),
    Case("as-html", {}, "bad name !", 1, saying(b"<p>bad <b>name</b>!</p><script>x()</script>", 413)),
    Case("in-another-place", {}, "the name is bad", 1, saying(b'{"errors": {"name": ["the name is bad"]}}')),
    Case("elsewhere", {}, "from another place: 308", 1, always(308, "")),
)


def three(serve: Serve, folder: Path, case: Case) -> Project:
    """Three people become contacts; the second one is the case."""
    people = [
        {
            "id": n,
            "name": f"Person {n}",
            "email": f"p{n}@example.com",
            "kind": "a",
            "won": "",
            "unit": "",
            "born": "2024-12-31",
            "size": "12",
        }
        for n in range(1, 4)
    ]
    people[1] |= case.person
    platform = serve(people=people, contacts=[])
    words = ("name", "email", "kind", "won", "unit", "born", "size")
    source = {"people": readable("people", **dict.fromkeys(words, "text"))}
    declared = {
        "name": {"type": "text", "required": True, "max": 255},
        "email": "text",
        "kind": {"type": "text", "one_of": ["a", "b"]},
        "won": {"type": "text", "only_with": {"kind": ["b"]}},
        "unit": {"type": "text", "requires": ["won"]},
        "born": "date",
        "size": "number",
    }
    there = writable("contacts", ["name", "email"], **declared)
    fields = {word: word for word in words}
    if case.before:
        platform.before.append(case.before)
    spec = migration({"contacts": mapped("people", "contacts", fields)})
    return project(folder, platform, source, {"contacts": there}, spec)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_record_that_did_not_arrive_says_why(case: Case, serve: Serve, tmp_path: Path) -> None:
    """In the terminal, the page, CSV, JSON, `status` and the export; it is sent no oftener than it makes sense."""
    trial = three(serve, tmp_path, case)
    done = trial.etl("run", "--sample", code=1)
    assert case.reason in done.out
    posts = trial.platform.calls("POST", "contacts")
    assert len([call for call in posts if call.body.get("email") == "p2@example.com"]) == case.sent
    assert len(trial.platform.tables["contacts"]) == 2

    folder = tmp_path / "var" / "trial.live.report"
    report = json.loads((folder / "report.json").read_text("utf-8"))
    record = next(row for row in report["records"] if row["key"] == "people/2")
    assert record["state"] == "failed" and case.reason in record["reason"]
    assert case.reason in (folder / "report.csv").read_text("utf-8-sig")
    assert case.reason.replace("'", "&#39;") in (folder / "report.html").read_text("utf-8").replace(
        "'", "&#39;"
    )
    assert case.reason in trial.etl("status").out
    trial.etl("export", "--out", str(tmp_path / "out"), code=0)
    assert case.reason in (tmp_path / "out" / "failed_and_skipped.csv").read_text("utf-8-sig")
    assert case.reason in trial.etl("verify", code=1).out


def test_a_field_that_fails_in_every_record_stops_the_run(serve: Serve, tmp_path: Path) -> None:
    """It is a fault of the mapping: nothing is written until somebody says yes."""
    people = [{"id": n, "name": f"Person {n}", "email": "31.12.24 or so"} for n in range(1, 6)]
    platform = serve(people=people, contacts=[])
    source = {"people": readable("people", name="text", email="text")}
    name = {"type": "text", "required": True}
    there = writable("contacts", ["name"], name=name, email="text")
    fields = {"name": "name", "email": {"from": "email", "using": "dates.iso_text"}}
    spec = migration({"contacts": mapped("people", "contacts", fields)})
    trial = project(tmp_path, platform, source, {"contacts": there}, spec)
    done = trial.etl("run", "--sample", code=4)
    assert "objects.contacts.fields.email fails in all 5 records: dates.iso_text: " in done.err
    assert platform.count_writes() == 0

    platform.tables["people"][0]["email"] = "2024-12-31"
    trial.etl("run", "--sample", "--refresh", code=1)
    assert len(platform.tables["contacts"]) == 5


def test_a_reason_common_to_all_records_is_said_once(serve: Serve, tmp_path: Path) -> None:
    """One line with the count and the first records, not one for each."""
    people = [{"id": n, "name": f"Person {n}", "email": f"p{n}@example.com"} for n in range(1, 8)]
    platform = serve(people=people, contacts=[])
    platform.before.append(odd.refusing("POST", "contacts"))
    source = {"people": readable("people", name="text", email="text")}
    there = writable("contacts", ["name"], name="text", email="text")
    spec = migration({"contacts": mapped("people", "contacts", {"name": "name"})})
    trial = project(tmp_path, platform, source, {"contacts": there}, spec)
    done = trial.etl("run", "--sample", "--yes", code=1)
    told = [line for line in done.out.splitlines() if "this account may not do that" in line]
    assert len(told) == 1 and "(7 records, first " in told[0], done.out


def test_what_goes_wrong_in_skipped_records_refuses_no_run(serve: Serve, tmp_path: Path) -> None:
    """A value without an entry in 20 records that are skipped anyway: the 4 that are written have one."""
    people = [
        {"id": n, "name": f"Person {n}", "kind": "ok" if n < 5 else "odd"} for n in range(1, 25)
    ]
    platform = serve(people=people, contacts=[], others=[])
    there = writable("others", ["name"], name="text", kind="text", who="ref contacts")
    destination = {"contacts": writable("contacts", ["name"], name="text"), "others": there}
    kind = {"from": "kind", "map": {"ok": "fine"}, "else": "report"}
    who = {"lookup": "contacts", "by": "id", "on_miss": "skip"}
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}, when={"kind": "ok"}),
        "others": mapped("people", "others", {"name": "name", "kind": kind, "who": who}),
    }
    source = {"people": readable("people", name="text", kind="text")}
    trial = project(tmp_path, platform, source, destination, migration(objects))
    trial.run("--sample", "100", code=1)
    assert [row["kind"] for row in platform.tables["others"]] == ["fine"] * 4


@pytest.mark.parametrize(("firms", "first"), [(3, 3), (300, 20)])
def test_an_object_that_is_refused_as_a_whole_stops_the_run(firms: int, first: int, serve: Serve, tmp_path: Path) -> None:
    """Where every record so far is refused for one reason, nothing is written after them, however often a schedule tries,
    until somebody says yes.
    """
    trial = firms_and_people(serve, tmp_path)
    trial.platform.tables["firms"] += [{"id": n, "name": f"Firm {n}"} for n in range(3, firms + 1)]
    trial.platform.before.append(
        lambda _, request: (
            Answer(422, {"error": f"{request.body['name']!r} is no good name"})
            if request.method == "POST" and request.path == "/companies"
            else None
        )
    )
    (trial.folder / UNGATED).touch()
    done = trial.etl("run", code=4)
    assert f"each of the first {first} companies" in done.err
    assert "is no good name" in done.err
    assert first <= len(trial.platform.calls("POST", "companies")) < 150
    assert not trial.platform.calls("POST", "contacts")
    trial.etl("run", code=4)
    assert not trial.platform.calls("POST", "contacts")
    again = trial.run("--yes", code=1)
    assert len(trial.platform.tables["contacts"]) == 3
    assert counts(again, "companies")["failed"] == firms


def test_a_sample_goes_on_where_an_object_is_refused_as_a_whole(serve: Serve, tmp_path: Path) -> None:
    """It is taken to find out: each refused record is told with the platform's words, and what comes after them is written."""
    trial = firms_and_people(serve, tmp_path)
    trial.platform.tables["firms"] += [{"id": n, "name": f"Firm {n}"} for n in range(3, 31)]
    trial.platform.before.append(
        lambda _, request: Answer(422, {"error": "no good name"}) if request.path == "/companies" and request.method == "POST" else None
    )
    report = trial.run("--sample", "200", code=1)
    refused = [item for item in report["findings"] if item["object"] == "companies" and "no good name" in item["text"]]
    assert len(refused) == counts(report, "companies")["failed"] == 30
    assert len(trial.platform.tables["contacts"]) == 3


def test_values_of_a_type_that_does_not_fit_stop_before_anything_is_written(serve: Serve, tmp_path: Path) -> None:
    """An address in a date of the platform's own making: the plan names each record and counts them, the run is refused."""
    trial = addresses(serve, tmp_path, email="date")
    plan = trial.etl("plan", "--json", code=0).data()
    (step,) = plan["plan"]["steps"]
    assert (step["create"], step["fail"]) == (0, 3)
    assert sum("a date such as" in item["text"] for item in plan["findings"]) == 3
    trial.etl("run", "--sample", code=4)
    assert not trial.platform.count_writes()


@pytest.mark.parametrize(("firms", "stops"), [(2, False), (3, True)])
def test_a_refusal_or_two_stop_no_run(firms: int, stops: bool, serve: Serve, tmp_path: Path) -> None:
    """All records of a small object may be bad ones by themselves; from three on it is the mapping."""
    trial = firms_and_people(serve, tmp_path)
    trial.platform.tables["firms"] = [{"id": n, "name": f"Firm {n}"} for n in range(1, firms + 1)]
    trial.platform.before.append(
        lambda _, request: Answer(422, {"error": "no"}) if request.path == "/companies" and request.method == "POST" else None
    )
    (trial.folder / UNGATED).touch()
    trial.etl("run", code=4 if stops else 1)
    assert bool(trial.platform.calls("POST", "contacts")) is not stops


def test_dead_links_stop_no_run(serve: Serve, tmp_path: Path) -> None:
    """Files that are not to be had are no refusals of the destination: what comes after them is written."""
    people = [{"id": n, "name": f"Person {n}"} for n in range(1, 5)]
    platform = serve(people=people, contacts=[], pics=[])
    for row in platform.tables["people"]:
        row["photo"] = f"{platform.base_url}/dead/{row['id']}.png"
    pics = writable("pics", ["name"], file="file", name="text", size="integer")
    pics["create"] = {"post": "/pics", "body": "multipart"}
    pics["file"] = {"field": "file", "name": "name", "size": "size"}
    destination = {"pics": pics, "contacts": writable("contacts", ["name"], name="text")}
    objects = {
        "pics": mapped("people", "pics", {"file": {"download": "photo", "name": "$key"}}),
        "contacts": mapped("people", "contacts", {"name": "name"}),
    }
    source = {"people": readable("people", name="text", photo="url")}
    hosts = [platform.base_url.removeprefix("http://")]
    trial = project(tmp_path, platform, source, destination, migration(objects), files={"hosts": hosts})
    done = trial.etl("run", "--sample", code=1)
    assert done.out.count("the link is dead") >= 1
    assert len(platform.tables["contacts"]) == 4
