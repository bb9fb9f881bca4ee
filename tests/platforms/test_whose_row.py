"""Whose row a create answers with: one it made, one we hold already, or one that people made."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine.load import deliver
from engine.session import Run
from tests.e2e.driving import ETL
from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, Row, page
from tests.platforms.project import (
    Project,
    attention,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
)
from tests.replacing import replace

THEIRS = {
    "id": 77,
    "name": "Person Three, VIP",
    "email": "p3@example.com",
    "phone": "600000001",
    "created": "2020-02-02T10:00:00Z",
}


def person(number: int, email: str = "") -> Row:
    """A person of the source."""
    return {"id": number, "name": f"Person {number}", "email": email or f"p{number}@example.com"}


def contacts(folder: Path, platform: Platform, **object_keys: Any) -> Project:
    """People become contacts; a contact has a phone that the migration does not fill in."""
    fields = {
        "name": {"type": "text", "required": True},
        "email": "text",
        "phone": "text",
        "created": {"type": "datetime", "writable": False},
    }
    there = writable("contacts", ["name", "email"], **fields) | {"created": "created"}
    one = mapped("people", "contacts", {"name": "name", "email": "email"}, **object_keys)
    source = {"people": readable("people", name="text", email="text")}
    return project(folder, platform, source, {"contacts": there}, migration({"contacts": one}))


def once_each(links: dict[str, str]) -> bool:
    """Whether no row stands for two records."""
    return max(Counter(links.values()).values(), default=0) <= 1


# -- a create that answers with a row that was there


@dataclass(frozen=True, slots=True)
class Known:
    """A way to answer a create with a row that was there, and what must come of it."""

    name: str
    duplicate: odd.Duplicate
    status: int  # of the answer with a row that was there
    people: tuple[Row, ...]  # in the order they are written
    theirs: tuple[Row, ...]  # rows of the destination that people made
    told: frozenset[str]  # records that the run has to name
    made: int  # rows that are ours
    stamps: bool = False  # whether rows carry the moment they were made


USUAL = (person(1), person(2), person(3))
SAME = (person(1), person(2), person(4, email="P2@example.com"))
FIRST = (person(3), person(1), person(2))
THIRD = frozenset({"people/3"})

KNOWN = (
    Known("200-and-written-over", "written over", 200, USUAL, (THEIRS,), THIRD, made=2),
    Known("200-and-left-as-it-was", "left as it was", 200, USUAL, (THEIRS,), THIRD, made=2),
    Known("200-for-the-first-of-all", "left as it was", 200, FIRST, (THEIRS,), THIRD, made=2),
    Known("201-and-an-old-stamp", "left as it was", 201, USUAL, (THEIRS,), THIRD, 2, stamps=True),
    Known("201-an-old-stamp-written-over", "written over", 201, USUAL, (THEIRS,), THIRD, 2, True),
    Known(
        "201-and-an-id-we-hold", "left as it was", 201, SAME, (), frozenset({"people/4"}), made=2
    ),
    Known(
        "201-an-id-we-hold-written-over", "written over", 201, SAME, (), frozenset({"people/4"}), 2
    ),
    Known("200-and-an-id-we-hold", "written over", 200, SAME, (), frozenset({"people/4"}), made=2),
)


def answering_known(case: Known, serve: Serve) -> Platform:
    """A platform that has one contact for an address, whatever its capitals."""
    platform = serve(people=list(case.people), contacts=list(case.theirs))
    if case.stamps:
        platform.before.append(odd.stamping("contacts"))
    platform.before.append(odd.one_for_each("contacts", "email", case.duplicate, case.status))
    return platform


@pytest.mark.parametrize("case", KNOWN, ids=[case.name for case in KNOWN])
def test_a_row_that_was_there_is_never_counted_as_made(
    case: Known, serve: Serve, tmp_path: Path
) -> None:
    """A create that answers with a known row makes nothing: the run names the record and counts
    what it made.
    """
    platform = answering_known(case, serve)
    trial = contacts(tmp_path, platform)
    report = trial.run("--sample", code=1)
    assert report["verdict"]["created"] == case.made
    assert {key for _, key in attention(report)} >= case.told
    assert once_each(trial.links("contacts"))


@pytest.mark.parametrize("case", KNOWN, ids=[case.name for case in KNOWN])
def test_a_rollback_leaves_the_rows_that_were_there(
    case: Known, serve: Serve, tmp_path: Path
) -> None:
    """After a rollback people's rows are still there, even after a second run, and none of ours is.

    A row of ours that a later create of ours wrote over may stay: who changed it cannot be seen.
    """
    platform = answering_known(case, serve)
    trial = contacts(tmp_path, platform)
    trial.run("--sample")
    before = len(platform.tables["contacts"])
    assert trial.run("--sample")["verdict"]["created"] == 0
    assert len(platform.tables["contacts"]) == before

    trial.rollback()
    left = platform.tables["contacts"]
    assert {row["id"] for row in left} >= {row["id"] for row in case.theirs}
    if case.theirs or case.duplicate == "left as it was":
        assert len(left) == len(case.theirs)
    if case.duplicate == "left as it was":
        assert left == list(case.theirs)


def test_a_later_run_knows_what_fresh_rows_get(serve: Serve, tmp_path: Path) -> None:
    """A delta whose only create answers 200, where the rows of earlier runs got 201, has found
    people's row.
    """
    platform = serve(people=[person(1), person(2)], contacts=[THEIRS])
    platform.before.append(odd.one_for_each("contacts", "email", "left as it was", 200))
    trial = contacts(tmp_path, platform)
    trial.full()
    platform.tables["people"].append(person(3))
    report = trial.delta(code=1)
    assert report["verdict"]["created"] == 0
    assert {key for _, key in attention(report)} == {"people/3"}
    trial.rollback()
    assert platform.tables["contacts"] == [THEIRS]


@pytest.mark.parametrize("stamps", [False, True], ids=["without-stamps", "with-stamps"])
def test_a_platform_that_answers_every_create_with_200_is_believed(
    stamps: bool, serve: Serve, tmp_path: Path
) -> None:
    """Where fresh rows get 200, they are ours: none is in doubt, a rollback takes them all."""
    platform = serve(people=list(USUAL), contacts=[{**THEIRS, "email": "other@example.com"}])
    if stamps:
        platform.before.append(odd.stamping("contacts"))
    platform.after.append(odd.created_with("contacts", 200))
    trial = contacts(tmp_path, platform)
    report = trial.run("--sample", code=0)
    assert report["verdict"]["created"] == 3
    trial.rollback(code=0)
    assert [row["id"] for row in platform.tables["contacts"]] == [77]


def test_a_clock_that_is_slow_makes_no_row_old(serve: Serve, tmp_path: Path) -> None:
    """Fresh rows whose stamps are hours behind, like those of every other fresh row, are ours."""
    platform = serve(people=list(USUAL), contacts=[])

    def slow(_: Platform, request: Any) -> None:
        if request.creates("contacts"):
            request.body["created"] = "2024-01-01T00:00:00Z"

    platform.before.append(slow)
    trial = contacts(tmp_path, platform)
    report = trial.run("--sample", code=0)
    assert report["verdict"]["created"] == 3
    trial.rollback(code=0)
    assert platform.tables["contacts"] == []


def test_two_records_that_match_one_row_share_it_with_nobody(serve: Serve, tmp_path: Path) -> None:
    """Of two records that agree with people's row the first adopts it and the second is made."""
    reception = {"id": 77, "name": "Reception", "email": "info@example.com"}
    two = [person(1, "info@example.com"), person(2, "info@example.com")]
    platform = serve(people=two, contacts=[reception])
    trial = contacts(tmp_path, platform, match=["email"])
    report = trial.run("--sample")
    assert report["verdict"]["created"] == 1
    links = trial.links("contacts")
    assert len(links) == 2
    assert once_each(links)
    trial.rollback()
    assert platform.tables["contacts"] == [reception]


# -- one id that is answered for several rows

REMARKS = tuple({"id": number, "text": f"Remark {number}"} for number in range(1, 7))
TWICE = (*REMARKS[:5], {"id": 6, "text": "Remark 1"})
OLDER = {"id": 7, "text": "A comment that people made"}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A way to answer every create with one id."""

    name: str
    answer: Any  # the id of every answer; None for that of the oldest row
    remarks: tuple[Row, ...] = REMARKS
    theirs: tuple[Row, ...] = ()


def repeating(table: str, row_id: Any) -> Any:
    """The hook for an id that no row has, or for the oldest row's."""
    return odd.answering_id(table, row_id) if row_id else odd.answering_oldest(table)


REPEATED = (
    Repeated("the-first-of-ours", None),
    Repeated("a-row-that-people-made", None, theirs=(OLDER,)),
    Repeated("an-id-that-no-row-has", 99_999),
    Repeated("zero", "0"),
    Repeated("two-remarks-alike", None, remarks=TWICE),
)


@pytest.mark.parametrize("at_once", [1, 4], ids=["one-by-one", "at-once"])
@pytest.mark.parametrize("case", REPEATED, ids=[case.name for case in REPEATED])
def test_one_id_for_every_create_is_not_believed(
    case: Repeated, at_once: int, serve: Serve, tmp_path: Path
) -> None:
    """Each record ends with its own row, found by content, and a rollback takes back all of them
    and no other.
    """
    platform = serve(remarks=list(case.remarks), comments=list(case.theirs))
    platform.after.append(repeating("comments", case.answer))
    there = writable("comments", ["text"], text={"type": "text", "required": True})
    spec = migration({"comments": mapped("remarks", "comments", {"text": "text"})})
    source = {"remarks": readable("remarks", text="text")}
    trial = project(tmp_path, platform, source, {"comments": there}, spec, concurrency=at_once)

    report = trial.run("--sample")
    rows = {str(row["id"]): row["text"] for row in platform.tables["comments"]}
    links = trial.links("comments")
    assert len(rows) == 6 + len(case.theirs)
    assert once_each(links)
    assert {key: rows.get(row_id) for key, row_id in links.items()} == {
        f"remarks/{row['id']}": row["text"] for row in case.remarks
    }
    assert report["verdict"]["missing"] == 0

    trial.rollback()
    assert platform.tables["comments"] == list(case.theirs)


@pytest.mark.parametrize("zone", [-12, -6, 0, 9])
def test_a_creation_in_doubt_is_found_by_any_zone(zone: int, serve: Serve, tmp_path: Path) -> None:
    """Rows carry wall time of the account's zone: the row of a lost answer, pages further down in a
    list of the newest first, is found and not made twice.
    """
    platform = serve(people=[person(number) for number in range(1, 31)], contacts=[])
    made = contacts(tmp_path, platform)
    path = tmp_path / "destination.yaml"
    listed = '"get": "/contacts", "newest_first": {"sort": "-created"}'
    path.write_text(path.read_text("utf-8").replace('"get": "/contacts"', listed, 1), "utf-8")

    def newest_first(there: Platform, request: Request) -> Answer | None:
        if request.method != "GET" or "sort" not in request.query:
            return None
        return Answer(200, page(there.tables["contacts"][::-1], request.query))

    def stamped(there: Platform, request: Request, answer: Answer) -> Answer:
        if not request.creates("contacts"):
            return answer
        row = there.tables["contacts"][-1]
        now = datetime.now(UTC) + timedelta(hours=zone)
        row["created"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return replace(answer, body=dict(row), cut=len(there.tables["contacts"]) == 2)

    platform.before.append(newest_first)
    platform.after.append(stamped)
    made.etl("run", "--sample", "100")
    assert len(platform.tables["contacts"]) == 30


def test_a_creation_in_doubt_is_found_behind_rows_that_people_change(serve: Serve, tmp_path: Path) -> None:
    """A list that shows first what was changed last begins with old rows that people are at: the row of a lost answer, a page
    further down, is found and not made twice.
    """
    old = {"created": "2020-02-02T10:00:00Z", "updated": "2020-02-02T10:00:00Z"}
    theirs = [{"id": number, "name": f"Client {number}", "email": f"c{number}@example.com", **old} for number in range(200, 215)]
    platform = serve(people=[person(1)], contacts=theirs)
    made = contacts(tmp_path, platform)
    path = tmp_path / "destination.yaml"
    destination = json.loads(path.read_text(encoding="utf-8"))
    resource = destination["resources"]["contacts"]
    resource["fields"]["updated"] = {"type": "datetime", "writable": False}
    resource["modified"] = "updated"
    resource["list"]["newest_first"] = {"sort": "-updated"}
    path.write_text(json.dumps(destination), encoding="utf-8")

    def changed_last_first(there: Platform, request: Request) -> Answer | None:
        if request.method != "GET" or "sort" not in request.query:
            return None
        rows = sorted(there.tables["contacts"], key=lambda row: str(row["updated"]), reverse=True)
        return Answer(200, page(rows, request.query))

    def at_work(there: Platform, request: Request, answer: Answer) -> Answer:
        if not request.creates("contacts"):
            return answer
        now = datetime.now(UTC)
        there.tables["contacts"][-1] |= dict.fromkeys(("created", "updated"), now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for row in there.tables["contacts"][:-1]:
            row["updated"] = (now + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return replace(answer, cut=len(there.tables["contacts"]) == 16)

    platform.before.append(changed_last_first)
    platform.after.append(at_work)
    made.full(code=None)
    assert len(platform.tables["contacts"]) == 16


def test_a_creation_in_doubt_is_found_in_a_list_that_lags(serve: Serve, tmp_path: Path) -> None:
    """The list is further behind than the connector says, as it does not show other rows of ours that can be read: it is
    looked at until it does, and nothing is made twice.
    """
    platform = serve(people=[person(number) for number in range(1, 6)], contacts=[])
    made = contacts(tmp_path, platform)
    path = tmp_path / "destination.yaml"
    destination = json.loads(path.read_text(encoding="utf-8"))
    destination["connection"]["reconcile_after"] = 0.2
    path.write_text(json.dumps(destination), encoding="utf-8")
    born: dict[int, float] = {}

    def late(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.parts != ["contacts"]:
            return answer
        if request.method == "POST":
            born[answer.body["id"]] = time.monotonic()
            return replace(answer, cut=len(born) == 3)
        shown = [row for row in answer.body if time.monotonic() - born[row["id"]] > 0.9]
        return replace(answer, body=shown)

    platform.after.append(late)
    made.full(code=None)
    assert len(platform.tables["contacts"]) == 5


@pytest.mark.parametrize("shown", [("id",), ("id", "name"), ("id", "phone")], ids=["ids", "names", "other fields"])
@pytest.mark.parametrize("reads", [True, False], ids=["with a read", "without"])
def test_a_creation_in_doubt_is_found_in_a_list_of_summaries(
    reads: bool, shown: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    """The list shows too little of a row to tell whose it is: it is read by itself, or the creation is held and its record
    fails; nothing is made twice.
    """
    theirs = [{"id": 200 + number, "name": f"Client {number}", "email": f"c{number}@example.com"} for number in range(3)]
    platform = serve(people=[person(number) for number in range(1, 6)], contacts=theirs)
    made = contacts(tmp_path, platform)
    if not reads:
        path = tmp_path / "destination.yaml"
        destination = json.loads(path.read_text(encoding="utf-8"))
        del destination["resources"]["contacts"]["read"]
        path.write_text(json.dumps(destination), encoding="utf-8")
    tries: list[int] = []

    def brief(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.parts != ["contacts"]:
            return answer
        if request.method == "POST":
            tries.append(1)
            return replace(answer, cut=len(tries) == 3)
        return replace(answer, body=[{name: row[name] for name in shown if name in row} for row in answer.body])

    platform.after.append(brief)
    report = made.full(code=None)
    assert len(platform.tables["contacts"]) == 8 and len(tries) == 5
    assert report["verdict"]["failed"] == (0 if reads else 1)
    made.run(code=None)
    assert len(platform.tables["contacts"]) == 8


@pytest.mark.parametrize("asked", [{"since": "since"}, {"newest_first": {"sort": "-updated"}}], ids=["filter", "order"])
def test_a_creation_in_doubt_is_found_where_fresh_rows_have_no_stamp(asked: Any, serve: Serve, tmp_path: Path) -> None:
    """A platform stamps a row once it is changed: no filter and no order of changes shows a fresh one, as other rows of this
    run prove, and all are looked through.
    """
    old = {"created": "2020-02-02T10:00:00Z", "updated": "2020-02-02T10:00:00Z"}
    theirs = [{"id": number, "name": f"Client {number}", "email": f"c{number}@example.com", **old} for number in range(200, 215)]
    platform = serve(people=[person(number) for number in range(1, 6)], contacts=theirs)
    made = contacts(tmp_path, platform)
    path = tmp_path / "destination.yaml"
    destination = json.loads(path.read_text(encoding="utf-8"))
    resource = destination["resources"]["contacts"]
    resource["fields"]["updated"] = {"type": "datetime", "writable": False}
    resource["modified"] = "updated"
    resource["list"] |= asked
    path.write_text(json.dumps(destination), encoding="utf-8")

    def stamped_alone(there: Platform, request: Request) -> Answer | None:
        if request.method != "GET" or not {"since", "sort"} & request.query.keys():
            return None
        rows = sorted(there.tables["contacts"], key=lambda row: row.get("updated", ""), reverse=True)
        shown = [row for row in rows if row.get("updated", "") >= request.query.get("since", "")]
        return Answer(200, page(shown, request.query))

    platform.before.append(stamped_alone)
    platform.after.append(lambda there, request, answer: replace(answer, cut=request.creates("contacts") and len(there.tables["contacts"]) == 18))
    made.full(code=None)
    assert len(platform.tables["contacts"]) == 20


# -- what is learned of a platform, where it is cut off


def slow_to_tell(serve: Serve, folder: Path) -> Project:
    """The first create is answered with a row that was there, by 200; the second is slow, and the first to say 201.

    The row that was there looks like the record, and no list shows it before.
    """
    mine = {"id": 77, "name": "Person 3", "email": "p3@example.com", "phone": "600"}
    people = [person(3), person(1), person(2), *map(person, range(5, 140))]
    platform = serve(people=people, contacts=[mine])

    def slow(_: Platform, asked: Request) -> None:
        if asked.method == "POST" and asked.body.get("name") == "Person 1":
            time.sleep(0.5)

    def unseen(there: Platform, asked: Request, answer: Answer) -> Answer:
        listed = asked.method == "GET" and asked.parts == ["contacts"]
        return Answer(200, []) if listed and not there.count_writes() else answer

    platform.before += [slow, odd.one_for_each("contacts", "email", "left as it was", 200)]
    platform.after.append(unseen)
    return contacts(folder, platform)


def keeps_what_was_there(trial: Project) -> bool:
    """Whether a rollback leaves the row that was there, and no other."""
    assert trial.etl("rollback", "--yes").code in (0, 1)
    return [row["id"] for row in trial.platform.tables["contacts"]] == [77]


def test_a_kill_between_200_and_201_takes_no_row_away(serve: Serve, tmp_path: Path) -> None:
    """A row answered with 200 is theirs once a later run sees the first 201, whoever recorded it."""
    trial = slow_to_tell(serve, tmp_path)
    command = [ETL, "run", "spec.yaml", "--sample", "--env", "live"]
    store = tmp_path / "var" / "trial.live.sqlite"
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **trial.env}, stdout=subprocess.DEVNULL) as running:
        while not links_in(store):
            time.sleep(0.01)
        running.kill()
    time.sleep(0.5)
    assert trial.etl("run", "--sample").code in (0, 1)
    assert keeps_what_was_there(trial)


def test_what_a_failed_transaction_has_learned_is_not_known(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that holds the first 201 fails once: its outcomes are recorded again, with all that follows."""
    trial = slow_to_tell(serve, tmp_path)
    (tmp_path / "ungated").touch()
    record, failed = deliver.record_all, list[int]()

    def interrupted(run: Run, connection: sa.Connection, outcomes: Any, recalled: Any) -> Any:
        found = record(run, connection, outcomes, recalled)
        if any(outcome.answer.status == 201 for outcome, _ in outcomes) and not failed:
            failed.append(1)
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(deliver, "record_all", interrupted)
    assert trial.etl("run").code == 130
    assert failed == [1]
    assert trial.etl("run").code in (0, 1)
    assert keeps_what_was_there(trial)


def links_in(store: Path) -> list[Any]:
    """The links that are committed."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT * FROM links WHERE object = 'contacts'").fetchall()
        except sqlite3.OperationalError:
            return []


# -- rows that were made, and altered at once


@pytest.mark.parametrize("stamped", [True, False], ids=["stamped", "unstamped"])
def test_rows_that_the_platform_cuts_are_ours(stamped: bool, serve: Serve, tmp_path: Path) -> None:
    """A row answered with 201 whose texts are cut was made: what was lost is told, and a rollback takes it away."""
    people = [person(1, "comunidad.de.propietarios@example.com") | {"name": "Comunidad de Propietarios"}]
    trial = contacts(tmp_path, serve(people=people, contacts=[]))

    def cutting(platform: Platform, request: Request) -> Answer | None:
        if not request.creates("contacts"):
            return None
        made = {"created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"} if stamped else {}
        cut = {name: str(value)[:12] for name, value in request.body.items()}
        return Answer(201, platform.add("contacts", {**cut, **made}))

    trial.platform.before.append(cutting)
    report = trial.run("--sample", code=1)
    assert "made something else of the value" in texts(report) and "was there before" not in texts(report)
    trial.rollback()
    assert trial.platform.tables["contacts"] == []
