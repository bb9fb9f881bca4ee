"""Rows that stand below another row and have ids of their own; and people whose id is not called
`id`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import (
    Answer,
    Before,
    Platform,
    Request,
    Row,
    page,
)
from tests.platforms.project import (
    Project,
    attention,
    counts,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

BELOW = re.compile(r"/companies/(\d+)/notes(?:/(\d+))?")


def nesting() -> Before:
    """Notes are listed, made, changed and deleted below their company, and never read by
    themselves.
    """

    def hook(platform: Platform, request: Request) -> Answer | None:
        found = BELOW.fullmatch(request.path)
        if not found:
            return None
        company, note = int(found[1]), found[2]
        rows = [row for row in platform.tables["notes"] if row["company"] == company]
        if note is None:
            return collection(platform, request, company, rows)
        row = next((row for row in rows if str(row["id"]) == note), None)
        return (
            Answer(404, {"error": "no such note"})
            if row is None
            else single(platform, request, row)
        )

    return hook


def collection(platform: Platform, request: Request, company: int, rows: list[Row]) -> Answer:
    """The notes of a company, or a new one."""
    if request.method == "GET":
        return Answer(200, page(rows, request.query))
    values = {name: value for name, value in request.body.items() if name != "company"}
    return Answer(201, platform.add("notes", {**values, "company": company}))


def single(platform: Platform, request: Request, row: Row) -> Answer:
    """One note, changed or deleted."""
    if request.method == "PATCH":
        row.update(text=request.body["text"])
        return Answer(200, dict(row))
    if request.method == "DELETE":
        platform.tables["notes"].remove(row)
        return Answer(204)
    return Answer(405, {"error": "a note is not read by itself"})


def notes(serve: Serve, folder: Path, **keys: Any) -> Project:
    """Firms become companies, remarks notes below them; `keys` are of the object `notes`."""
    firms = [{"id": n, "name": f"Firm {n}"} for n in (1, 2, 3)]
    remarks = [{"id": n, "text": f"Remark {n}", "firm": 1 + n % 2} for n in range(1, 13)]
    platform = serve(firms=firms, remarks=remarks, companies=[], notes=[])
    platform.before.append(nesting())
    source = {
        "firms": readable("firms", name="text"),
        "remarks": readable("remarks", text="text", firm="ref firms"),
    }
    below = "/companies/{company}/notes"
    note = {
        **writable(
            "notes",
            ["text", "company"],
            text={"type": "text", "required": True},
            company="ref companies",
        ),
        "list": {"get": below, "pager": "rows", "parent": "companies", "parent_id": "company"},
        "read": "none",
        "create": {"post": below},
        "update": {"patch": f"{below}/{{id}}"},
        "delete": {"delete": f"{below}/{{id}}"},
    }
    destination = {"companies": writable("companies", ["name"], name=NAME), "notes": note}
    company = {"lookup": "companies", "by": "firm", "on_miss": "fail"}
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "notes": mapped("remarks", "notes", {"company": company, "text": "text"}, **keys),
    }
    return project(folder, platform, source, destination, migration(objects))


def said(platform: Platform) -> list[str]:
    """What the notes say, in order."""
    return sorted(row["text"] for row in platform.tables["notes"])


REMARKS = sorted(f"Remark {number}" for number in range(1, 13))


def test_rows_below_a_parent_arrive(serve: Serve, tmp_path: Path) -> None:
    """Each note is made once below its company and found there again; a delta has nothing to do."""
    trial = notes(serve, tmp_path)
    trial.full(code=0)
    assert said(trial.platform) == REMARKS
    before = trial.platform.count_writes()
    trial.delta(code=0)
    assert counts(trial.verify(code=0), "notes")["states"] == {"arrived": 12}
    assert trial.platform.count_writes() == before


def test_a_row_below_a_parent_is_updated(serve: Serve, tmp_path: Path) -> None:
    """A remark that changed changes its note; one that people changed is kept and named."""
    trial = notes(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    platform.tables["remarks"][0]["text"] = "Remark 1, corrected"
    report = trial.delta(code=0)
    assert report["verdict"]["updated"] == 1
    assert "Remark 1, corrected" in said(platform)
    trial.verify(code=0)

    platform.one("notes", text="Remark 2")["text"] = "Remark 2, people added this"
    platform.tables["remarks"][1]["text"] = "Remark 2, corrected"
    assert ("notes", "remarks/2") in attention(trial.delta(code=1))
    assert "Remark 2, people added this" in said(platform)


def test_a_row_below_a_parent_is_deleted(serve: Serve, tmp_path: Path) -> None:
    """With `on_delete: delete` the note of a remark that was deleted goes."""
    trial = notes(serve, tmp_path, on_delete="delete")
    platform = trial.platform
    trial.full(code=0)
    del platform.tables["remarks"][0]
    trial.delta("--deletions", code=0)
    assert said(platform) == sorted(set(REMARKS) - {"Remark 1"})
    trial.verify(code=0)


def test_rows_below_a_parent_are_taken_back(serve: Serve, tmp_path: Path) -> None:
    """A rollback takes notes and companies; a note that people edited stays with its company."""
    trial = notes(serve, tmp_path)
    platform = trial.platform
    platform.before.append(odd.guarding("companies", "notes", "company"))
    trial.run("--sample", code=0)
    platform.one("notes", text="Remark 2")["text"] = "Remark 2, people added this"
    found = trial.rollback(code=1)
    assert {key for _, key, _ in found["kept"]} == {"remarks/2", "firms/1"}
    assert said(platform) == ["Remark 2, people added this"]
    assert [row["name"] for row in platform.tables["companies"]] == ["Firm 1"]


def test_a_changed_row_below_a_parent_is_taken_back(serve: Serve, tmp_path: Path) -> None:
    """A note that a delta changed is ours still: a rollback leaves nothing."""
    trial = notes(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    platform.tables["remarks"][0]["text"] = "Remark 1, corrected"
    trial.delta(code=0)
    trial.rollback(code=0)
    assert not platform.tables["notes"] and not platform.tables["companies"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_lost_answer_below_a_parent_is_settled(method: str, serve: Serve, tmp_path: Path) -> None:
    """The connection drops after a note was made, changed or deleted: the next run knows what
    happened.
    """
    trial = notes(serve, tmp_path, on_delete="delete")
    platform = trial.platform
    trial.full(code=0)
    remarks = platform.tables["remarks"]
    if method == "POST":
        remarks.append({"id": 13, "text": "Remark 13", "firm": 1})
    elif method == "PATCH":
        remarks[0]["text"] = "Remark 1, corrected"
    else:
        del remarks[0]
    platform.after.append(odd.dropping("companies", [1], method=method))
    trial.etl("run", "--delta", "--deletions")
    trial.delta("--deletions", code=0)
    assert said(platform) == sorted(row["text"] for row in remarks)
    trial.verify(code=0)


# -- people whose id is not called `id`


@pytest.mark.parametrize("side", ["source", "destination", "both"])
def test_people_may_have_another_id(side: str, serve: Serve, tmp_path: Path) -> None:
    """Where users are told apart by a `uuid`, owners are found by e-mail, and the fallback stands
    in.
    """
    here, there = "uuid" if side != "destination" else "id", "uuid" if side != "source" else "id"
    staff = [{here: "s-1", "email": "ana@example.com"}, {here: "s-2", "email": "left@example.com"}]
    users = [
        {there: "u-1", "email": "Ana@example.com", "active": True, "name": "Ana"},
        {there: "u-2", "email": "owner@example.com", "active": True, "name": "Owner"},
    ]
    people = [
        {"id": 1, "name": "Person 1", "owner": "s-1"},
        {"id": 2, "name": "Person 2", "owner": "s-2"},
    ]
    platform = serve(staff=staff, people=people, users=users, contacts=[])
    source = {
        "staff": listed("staff", here, email="text"),
        "people": readable("people", name="text", owner="ref staff"),
    }
    contacts = writable("contacts", ["name"], name=NAME, owner_id="ref users")
    active = {"email": "text", "active": "boolean", "name": "text"}
    destination = {
        "users": {"resource": "users", "email": "email", "active": "active", "name": "name"},
        "resources": {"users": listed("users", there, **active), "contacts": contacts},
    }
    owner = {"lookup": "users", "by": "owner"}
    fields = {"name": "name", "owner_id": owner}
    matching = {"from": "staff", "email": "email", "fallback": "owner@example.com"}
    spec = migration({"contacts": mapped("people", "contacts", fields)}, users=matching)
    trial = project(tmp_path, platform, source, destination, spec)

    trial.run("--sample", code=0)
    owners = {row["name"]: row["owner_id"] for row in platform.tables["contacts"]}
    assert owners == {"Person 1": "u-1", "Person 2": "u-2"}
    trial.run("--sample", code=0)
    trial.etl("verify", code=0)
    trial.rollback(code=0)
    assert platform.tables["contacts"] == []


def listed(table: str, row_id: str, **fields: Any) -> dict[str, Any]:
    """A resource that is only listed, and whose rows are told apart by another field than `id`."""
    return {
        "id": row_id,
        "fields": {row_id: "text", **fields},
        "list": {"get": f"/{table}", "pager": "rows"},
        "read": "none",
    }
