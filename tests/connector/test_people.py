"""People of the source among the destination's users, wherever the connectors say that ids, names and addresses are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from engine.errors import UnsafePlan
from engine.pipeline import migrate
from engine.store.links import all_findings, links_of
from tests.connector.desk import Desk

HEAD = """\
connector: {name}
connection:
  base_url: {{env: ACME_BASE_URL, production: https://api.acme.example}}
  auth: {{kind: none}}
  check: {{get: /ok}}
  reconcile_after: 0
plans: [any]
limits: {{}}
errors:
  - {{when: {{status: 404}}, then: missing}}
pagers: {{all: {{kind: single}}}}
"""
SOURCE = HEAD.format(name="source") + """\
USERS
resources:
  staff:
    fields: {number: integer, contact: object contact, profile: object profile}
    id: number
    list: {get: /staff, pager: all}
shapes:
  contact: {mail: text}
  profile: {full: text}
"""
DESTINATION = HEAD.format(name="destination") + """\
users: {resource: members, email: contact.mail, active: state.on, name: profile.full}
resources:
  members:
    fields: {uid: text}
    id: ID
    list: {get: /members, pager: all}
  things:
    fields: {id: {type: integer, writable: false}, name: text, owner: ref members}
    list: {get: /things, pager: all}
    read: {get: "/things/{id}"}
    create: {post: /things}
    update: {patch: "/things/{id}"}
    delete: {delete: "/things/{id}"}
    recognise: [name]
"""
SPEC = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
users: {from: staff, email: contact.mail, fallback: boss@acme.example}
objects:
  things:
    from: staff
    to: things
    fields: {name: profile.full, owner: {lookup: users, by: number}}
"""
NAMED = "users: {resource: staff, email: contact.mail, name: profile.full}"


def person(number: int, mail: str) -> dict[str, Any]:
    return {
        "number": number, "name": f"First {number}", "surname": "Last",
        "contact": {"mail": mail}, "profile": {"full": f"Person {number}"},
    }  # fmt: skip


def member(uid: str, mail: str, on: bool = True) -> dict[str, Any]:
    return {"uid": uid, "team": uid[:1], "contact": {"mail": mail}, "state": {"on": on}, "profile": {"full": f"Member {uid}"}}


class Platform:
    """Staff, members and things; an id is called neither `id` nor the same on both sides."""

    def __init__(self) -> None:
        self.staff = [person(n, f"{word}@acme.example") for n, word in enumerate(("ana", "eva", "left", "nobody"), 1)]
        self.members = [
            member("u-1", "boss@acme.example"),
            member("u-2", " Ana@acme.example"),
            member("u-3", "eva@acme.example"),
            member("u-4", "left@acme.example", on=False),
        ]
        self.things: list[dict[str, Any]] = []

    async def many(self, request: Request) -> JSONResponse:
        rows = getattr(self, request.url.path.strip("/"))
        if request.method == "POST":
            rows.append({**await request.json(), "id": len(rows) + 1})
            return JSONResponse(rows[-1], 201)
        return JSONResponse(rows)

    @property
    def routes(self) -> list[Route]:
        async def fine(_: Request) -> JSONResponse:
            return JSONResponse({})

        names = ("staff", "members", "things")
        return [Route("/ok", fine), *(Route(f"/{name}", self.many, methods=["GET", "POST"]) for name in names)]


def desk_of(bench: Any, folder: Path, users: str = "", member_id: str = "uid") -> Desk:
    return Desk(bench, folder, Platform(), SOURCE.replace("USERS", users), DESTINATION.replace("ID", member_id), SPEC)


def test_ids_and_places_of_users_are_what_the_connector_says(bench: Any, tmp_path: Path) -> None:
    """An id is an id whatever its field is called; e-mail, name and life sign may stand inside an object."""
    desk = desk_of(bench, tmp_path)
    result = migrate(desk.run(), None)
    assert result.audit is not None
    assert [one.state for one in result.audit.people] == ["matched", "matched", "inactive", "unmatched"]
    assert result.audit.fallback == "Member u-1 <boss@acme.example>"
    owners = {row["name"]: row["owner"] for row in desk.platform.things}  # written side by side
    assert [owners[f"Person {n}"] for n in range(1, 5)] == ["u-2", "u-3", "u-1", "u-1"]
    with desk.store.begin() as connection:
        assert links_of(connection, "users", ["$fallback"])["$fallback"].dest_id == "u-1"


@pytest.mark.parametrize(
    ("by_name", "states"),
    [
        ("", ["matched", "matched", "inactive", "unmatched", "unmatched", "unmatched", "unmatched", "ambiguous"]),
        ("by_name: true, ", ["matched", "matched", "inactive", "matched", "unmatched", "unmatched", "unmatched", "matched"]),
    ],
)
def test_whoever_has_no_users_email_is_found_by_name(bench: Any, tmp_path: Path, by_name: str, states: list[str]) -> None:
    """Where the spec says so, by a name that nobody else has: neither the other people nor the other users. So is whose e-mail several users share."""
    desk = desk_of(bench, tmp_path, NAMED)
    desk.become(SPEC.replace("users: {from: staff, ", f"users: {{from: staff, {by_name}"))
    desk.platform.staff.append(person(8, "desk@acme.example"))
    desk.platform.members += [member("u-10", "desk@acme.example"), member("u-11", "desk@acme.example")]
    named = {8: "Member u-11", 3: "Ana Gil", 4: " JOSÉ  Pérez ", 5: "Eva Sol", 6: "Lu Roy", 7: "lu roy"}
    desk.platform.staff[4:4] = [person(number, "") for number in (5, 6, 7)]
    for row in desk.platform.staff:
        row["profile"]["full"] = named.get(row["number"], row["profile"]["full"])
    for uid, name in (("u-5", "Jose Perez"), ("u-6", "Eva Sol"), ("u-7", "Eva Sol"), ("u-8", "Lu Roy"), ("u-9", "Ana Gil")):
        desk.platform.members.append(member(uid, f"{uid}@else.example") | {"profile": {"full": name}})
    result = migrate(desk.run(), None)
    assert result.audit is not None
    assert [one.state for one in result.audit.people] == states
    owners = {row["name"]: row["owner"] for row in desk.platform.things}
    assert owners["Ana Gil"] == "u-1"  # an e-mail that is known, but not in use, is no reason to look for the name
    assert owners[" JOSÉ  Pérez "] == ("u-5" if by_name else "u-1")


def test_an_id_of_two_fields_is_joined(bench: Any, tmp_path: Path) -> None:
    """The same id as everywhere else."""
    desk = desk_of(bench, tmp_path, member_id="team+uid")
    migrate(desk.run(), None)
    with desk.store.begin() as connection:
        assert links_of(connection, "users", ["staff/1"])["staff/1"].dest_id == "u+u-2"


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ("", "First 4"),
        (NAMED, "Person 4"),
        (NAMED.replace("profile.full", "[name, surname]"), "First 4 Last"),
        (NAMED.replace("profile.full", "[profile.none, surname, profile.full]"), "Last Person 4"),
        (NAMED.replace("profile.full", "profile.short"), "First 4"),
    ],
)
def test_a_person_is_named_as_the_source_says(bench: Any, tmp_path: Path, users: str, expected: str) -> None:
    """By the place the connector declares; by what its rows are called where it declares none or it holds nothing."""
    desk = desk_of(bench, tmp_path, users)
    migrate(desk.run(), None)
    with desk.store.begin() as connection:
        told = [found.text for found in all_findings(connection) if found.object == "users"]
    assert f"unmatched: {expected} <nobody@acme.example>; the fallback owner stands in" in told


def test_a_user_without_an_id_stops_before_anything_is_written(bench: Any, tmp_path: Path) -> None:
    """The connector names a field that is not there: every owner would be lost."""
    desk = desk_of(bench, tmp_path, member_id="number")
    with pytest.raises(UnsafePlan, match="a user of destination has no number – check `id` of members in the connector"):
        migrate(desk.run(), None)
    assert desk.platform.things == []


def test_a_field_with_a_dot_in_its_name_is_found(bench: Any, tmp_path: Path) -> None:
    """A flat row may be keyed by the whole place."""
    desk = desk_of(bench, tmp_path)
    desk.platform.members[0] = {"uid": "u-1", "contact.mail": "boss@acme.example", "state.on": True}
    migrate(desk.run(), None)
    assert {row["name"]: row["owner"] for row in desk.platform.things}["Person 4"] == "u-1"
