"""Rows below a parent that have ids of their own: written, changed, deleted and taken back at their address."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.connector.addressing import addressed
from engine.connector.load import load_connector
from engine.connector.model import (
    Connector,
    Operation,
    Pager,
    Resource,
    join_id,
    split_id,
)
from engine.errors import ApiError, RequestRejected
from engine.pipeline import delta, migrate
from engine.rollback.undo import rollback
from engine.store.journal import made_rows
from engine.store.links import all_findings, links_of
from tests.connector.desk import Desk
from tests.replacing import replace

CONNECTORS = Path(__file__).parents[2] / "connectors"
ALL = Pager("single")
LISTED = Operation("GET", "/companies/{company}/notes", pager=ALL, parent="companies", parent_id="company")
PLAIN = Operation("GET", "/notes", pager=ALL)
DEEP, FLAT = "/companies/{company}/notes/{id}", "/notes/{id}"


def calls(**operations: Operation) -> dict[Any, Operation]:
    return dict(operations)


# -- which ids lead to their rows


@pytest.mark.parametrize(
    ("kind_id", "operations", "expected"),
    [
        ("id", calls(list=LISTED, delete=Operation("DELETE", DEEP)), ("company+id", "id")),
        ("id", calls(list=LISTED, update=Operation("PATCH", DEEP)), ("company+id", "id")),
        ("id", calls(list=LISTED, read=Operation("GET", DEEP)), ("company+id", "id")),
        ("id", calls(list=LISTED), ("company+id", "id")),
        ("code", calls(list=LISTED, read=Operation("GET", "/companies/{company}/notes/{code}")), ("company+code", "code")),
        ("id", calls(list=LISTED, read=Operation("GET", FLAT, params={"of": "{company}"})), ("company+id", "id")),
        ("id", calls(list=PLAIN, read=Operation("GET", DEEP)), ("company+id", "id")),
        ("id", calls(list=LISTED, read=Operation("GET", FLAT), delete=Operation("DELETE", FLAT)), ("id", "")),
        ("id", calls(list=LISTED, read=Operation("GET", FLAT), create=Operation("POST", "/companies/{company}/notes")), ("id", "")),
        ("company+id", calls(list=LISTED, read=Operation("GET", DEEP)), ("company+id", "")),
        ("id", calls(list=replace(PLAIN, ids="ids", ids_of="company"), update=Operation("PATCH", DEEP)), ("id", "")),
        ("_id", calls(list=PLAIN, delete=Operation("DELETE", "/docs/{_id}", lock="_rev", params={"rev": "{_rev}"})), ("_id", "")),
    ],
)
def test_an_id_is_joined_only_where_it_does_not_lead_to_its_row(
    bench: Any, kind_id: str, operations: dict[Any, Operation], expected: tuple[str, str]
) -> None:
    """Where every call on one row finds it by its own id, or takes the rest out of the body, nothing changes."""
    connector: Connector = bench.client("http://127.0.0.1:9").connector
    notes = Resource("notes", operations, {}, id=kind_id)
    found = addressed(replace(connector, resources={**connector.resources, "notes": notes})).resources
    assert (found["notes"].id, found["notes"].own) == expected
    assert found["rows"] == connector.resources["rows"]


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (["3", "7"], "3+7"),
        ([3, 7], "3+7"),
        (["7"], "7"),
        (["a+b"], "a+b"),
        (["3", "ana+crm@acme.example"], "3+ana+crm@acme.example"),
        (["a+b/=", "c+d/="], "a%2Bb/=+c+d/="),
        (["50%", "7"], "50%+7"),
        (["5%2B+", "7"], "5%252B%2B+7"),
        (["1", "2", "3+4"], "1+2+3+4"),
    ],
)
def test_a_joined_id_comes_apart_again(parts: list[Any], joined: str) -> None:
    """A plus inside a part is no joint; ids without one look as they always did."""
    assert join_id(parts) == joined
    assert split_id(joined, len(parts)) == [str(part) for part in parts]


def test_a_row_is_referred_to_by_its_own_id() -> None:
    """What leads to a row is no part of what other rows say of it."""
    pair = Resource("notes", {}, {}, id="company+id", own="id")
    assert (pair.reference_to("3+7"), pair.reference_id_of({"company": 3, "id": 7})) == ("7", "7")
    assert (pair.reference_to("7"), pair.reference_id_of({"company": 3})) == ("7", "")
    declared = Resource("notes", {}, {}, id="company+id")
    assert (declared.reference_to("3+7"), declared.reference_id_of({"company": 3, "id": 7})) == ("3+7", "3+7")


# -- several parents at a time


class Crowd:
    """Companies with notes; a list answers when as many are asked for at once as `together` says."""

    def __init__(self, together: int = 1) -> None:
        self.gate = threading.Barrier(together)
        self.asked: list[int] = []
        self.gone: set[int] = set()

    def notes(self, request: Request) -> Response:  # no coroutine: Starlette gives each call a thread
        company = int(request.path_params["company"])
        self.asked.append(company)
        self.gate.wait(5)
        if company in self.gone:
            return Response(status_code=404)
        return JSONResponse([{"id": company * 10 + n} for n in range(2)])

    async def companies(self, _: Request) -> Response:
        return JSONResponse([{"id": company} for company in range(1, 5)])

    @property
    def routes(self) -> list[Route]:
        return [Route("/companies", self.companies), Route("/companies/{company}/notes", self.notes)]


def crowd_client(bench: Any, crowd: Crowd, kind_id: str = "company+id", own: str = "id", **connection: Any) -> Any:
    client = bench.client(bench.serve(crowd.routes), **connection)
    companies = Resource("companies", {"list": Operation("GET", "/companies", pager=ALL)}, {})
    notes = Resource("notes", {"list": LISTED}, {}, id=kind_id, own=own)
    client.connector = replace(client.connector, resources={"companies": companies, "notes": notes})
    return client


def test_lists_below_several_parents_are_read_at_once_and_come_in_order(bench: Any) -> None:
    """As many calls as the connector allows are under way together; a parent that is gone is passed over."""
    crowd = Crowd(together=4)
    crowd.gone = {3}
    lists = list(crowd_client(bench, crowd, concurrency=4).below("notes", ["4", "3", "2", "1"]))
    assert [[row["id"] for row in rows] for rows in lists] == [[40, 41], [20, 21], [10, 11]]
    assert lists[0][0] == {"company": "4", "id": 40}


def test_rows_by_ids_ask_only_the_parents_that_the_ids_name(bench: Any) -> None:
    """Two ids below one parent are one call; several parents are asked at once."""
    crowd = Crowd(together=2)
    found = crowd_client(bench, crowd, concurrency=2).by_ids("notes", ["4+41", "2+20", "4+40", "2+99"])
    assert [(row["company"], row["id"]) for row in found] == [("2", 20), ("4", 40), ("4", 41)]
    assert sorted(crowd.asked) == [2, 4]


def test_an_id_that_names_no_parent_is_looked_for_below_all(bench: Any) -> None:
    """Slow, but right: a connector whose rows keep their own ids has no other way."""
    crowd = Crowd()
    found = crowd_client(bench, crowd, kind_id="id", own="").by_ids("notes", ["20", "41"])
    assert [(row["company"], row["id"]) for row in found] == [("2", 20), ("4", 41)]


def test_a_parent_that_cannot_be_read_stops_the_reading(bench: Any) -> None:
    """Passing over it would make its rows look deleted."""
    crowd = Crowd()

    async def refused(request: Request) -> Response:
        return JSONResponse({"error": "no"}, 400 if request.path_params["company"] == "2" else 200)

    crowd_routes = [crowd.routes[0], Route("/companies/{company}/notes", refused)]
    client = crowd_client(bench, crowd)
    other = bench.client(bench.serve(crowd_routes))
    other.connector = client.connector
    with pytest.raises(ApiError):
        list(other.below("notes", ["1", "2", "3"]))


def test_a_list_without_parents_has_nothing_below(bench: Any) -> None:
    """The connector is named, and what it does not declare."""
    with pytest.raises(ApiError, match="acme lists companies below no parent"):
        list(crowd_client(bench, Crowd()).below("companies", ["1"]))


def test_a_row_read_by_itself_says_below_which_parent_it_is(bench: Any) -> None:
    """Else its id could not be told from the row; an object in the parent's place does not count as its id."""

    async def note(request: Request) -> Response:
        return JSONResponse({"id": 7, "company": {"id": 3, "name": "Acme"}} if request.path_params["id"] == "7" else {"id": 8})

    client = crowd_client(bench, Crowd())
    operations = {"list": LISTED, "read": Operation("GET", DEEP)}
    pair = replace(client.connector.resources["notes"], operations=operations)
    other = bench.client(bench.serve([Route("/companies/{company}/notes/{id}", note)]))
    other.connector = replace(client.connector, resources={"notes": pair})
    rows = list(other.by_ids("notes", ["3+7", "3+8"]))
    assert [pair.id_of(row) for row in rows] == ["3+7", "3+8"]


# -- a whole migration

HEAD = """\
connector: {name}
connection:
  base_url: {{env: ACME_BASE_URL, production: https://api.acme.example}}
  auth: {{kind: none}}
  check: {{get: /ok}}
  reconcile_after: 0
plans: [any]
limits: {{}}
message: [error]
errors:
  - {{when: {{status: 404}}, then: missing}}
pagers: {{all: {{kind: single}}}}
resources:
"""
SOURCE = HEAD.format(name="source") + """\
  firms:
    fields: {id: integer, name: text}
    list: {get: /firms, pager: all}
  remarks:
    fields: {id: integer, text: text, firm: integer}
    list: {get: /remarks, pager: all}
"""
DESTINATION = HEAD.format(name="destination") + """\
  companies:
    fields: {id: {type: integer, writable: false}, name: {type: text, required: true}}
    recognise: [name]
    list: {get: /companies, pager: all}
    read: {get: "/companies/{id}"}
    create: {post: /companies}
    update: {patch: "/companies/{id}"}
    delete: {delete: "/companies/{id}"}
  notes:
    fields:
      id: {type: integer, writable: false}
      text: {type: text, required: true}
      company: ref companies
    recognise: [text, company]
    list: {get: "/companies/{company}/notes", parent: companies, parent_id: company, pager: all}
    read: READ
    create: {post: "/companies/{company}/notes"CREATE}
    update: {patch: "/companies/{company}/notes/{id}"}
    delete: {delete: "/companies/{company}/notes/{id}"}
"""
SPEC = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
objects:
  companies:
    from: firms
    to: companies
    fields: {name: name}
  notes:
    from: remarks
    to: notes
    on_delete: delete
    fields: {text: text, company: {lookup: companies, by: firm, on_miss: fail}}
"""
READ = '{get: "/companies/{company}/notes/{id}"}'
WAYS = {  # how a creation answers -> what the connector says of it, and whether rows show their company
    "the row": ("", True),
    "the row without its company": ("", False),
    "an id": (", id_at: result.id", False),
    "a header": (", id_header: location", False),
}


class Platform:
    """Firms and their remarks; companies, and notes that exist only below their company."""

    def __init__(self, way: str, shows: bool) -> None:
        self.way, self.shows = way, shows
        self.firms = {n: {"id": n, "name": f"Firm {n}"} for n in (1, 2)}
        self.remarks = {n: {"id": n, "text": f"Remark {n}", "firm": 1 + n % 2} for n in range(1, 7)}
        self.companies: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, dict[str, Any]] = {}
        self.lose: set[str] = set()  # texts of notes whose creation gets no answer
        self.last = 100

    def add(self, table: dict[int, dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
        self.last += 1
        table[self.last] = {**row, "id": self.last}
        return table[self.last]

    def shown(self, note: dict[str, Any]) -> dict[str, Any]:
        return note if self.shows else {name: value for name, value in note.items() if name != "company"}

    async def table(self, request: Request) -> Response:
        table = getattr(self, request.url.path.strip("/"))
        return JSONResponse(self.add(table, await request.json()) if request.method == "POST" else list(table.values()))

    async def company(self, request: Request) -> Response:
        found = self.companies.get(int(request.path_params["id"]))
        if found and request.method == "DELETE":
            del self.companies[found["id"]]
        return JSONResponse(found, 200 if found else 404)

    async def below(self, request: Request) -> Response:
        company = int(request.path_params["company"])
        if company not in self.companies:
            return Response(status_code=404)
        if request.method == "GET":
            return JSONResponse([self.shown(note) for note in self.notes.values() if note["company"] == company])
        note = self.add(self.notes, {**await request.json(), "company": company})
        if note["text"] in self.lose:
            self.lose.discard(note["text"])
            return Response(status_code=502)
        place = {"location": f"/companies/{company}/notes/{note['id']}"}
        answers = {"an id": {"result": {"id": note["id"]}}, "a header": None}
        return JSONResponse(answers.get(self.way, self.shown(note)), 201, headers=place)

    async def note(self, request: Request) -> Response:
        note = self.notes.get(int(request.path_params["id"]))
        if note is None or note["company"] != int(request.path_params["company"]):
            return Response(status_code=404)
        if request.method == "DELETE":
            del self.notes[note["id"]]
        elif request.method == "PATCH":
            note |= await request.json()
        return JSONResponse(self.shown(note))

    @property
    def routes(self) -> list[Route]:
        async def fine(_: Request) -> Response:
            return JSONResponse({})

        tables = [Route(f"/{name}", self.table, methods=["GET", "POST"]) for name in ("firms", "remarks", "companies")]
        return [
            Route("/ok", fine),
            *tables,
            Route("/companies/{id}", self.company, methods=["GET", "PATCH", "DELETE"]),
            Route("/companies/{company}/notes", self.below, methods=["GET", "POST"]),
            Route("/companies/{company}/notes/{id}", self.note, methods=["GET", "PATCH", "DELETE"]),
        ]

    @property
    def texts(self) -> list[str]:
        return sorted(note["text"] for note in self.notes.values())


@pytest.fixture
def desk(request: pytest.FixtureRequest, bench: Any, tmp_path: Path) -> Desk:
    """Six notes below two companies, before anything is written; rows show no company unless a test wants them to."""
    way, read = getattr(request, "param", ("the row without its company", "none"))
    create, shows = WAYS[way]
    destination = DESTINATION.replace("READ", read).replace("CREATE", create)
    return Desk(bench, tmp_path, Platform(way, shows), SOURCE, destination, SPEC)


@pytest.mark.parametrize("desk", [(way, "none") for way in WAYS] + [("an id", READ), ("the row", READ)], indirect=True)
def test_a_row_below_a_parent_is_written_changed_deleted_and_taken_back(desk: Desk) -> None:
    """However a creation answers: what changes in the source changes there, and a rollback leaves nothing behind."""
    platform = desk.platform
    migrate(desk.run(), None)
    with desk.store.begin() as connection:
        ids = {key: link.dest_id for key, link in links_of(connection, "notes").items()}
    by_text = {note["text"]: f"{note['company']}+{note['id']}" for note in platform.notes.values()}
    assert ids == {f"remarks/{n}": by_text[f"Remark {n}"] for n in range(1, 7)}

    platform.remarks[1]["text"] = "Remark 1, corrected"
    del platform.remarks[6]
    result = delta(desk.run(), yes=True, deletions=True)
    assert sum(item.failed for item in result.loaded) == 0
    assert platform.texts == ["Remark 1, corrected", *(f"Remark {n}" for n in range(2, 6))]

    undone = rollback(desk.run())
    assert (undone.kept, undone.failed) == ([], [])
    assert (platform.notes, platform.companies) == ({}, {})


def test_a_creation_without_an_answer_is_found_below_its_parent(desk: Desk) -> None:
    """It is not made twice, and its link leads to it."""
    desk.platform.lose = {"Remark 2", "Remark 3"}
    migrate(desk.run(), None)
    assert desk.platform.texts == [f"Remark {n}" for n in range(1, 7)]
    desk.platform.remarks[2]["text"] = "Remark 2, corrected"
    delta(desk.run(), yes=True)
    assert "Remark 2, corrected" in desk.platform.texts and "Remark 2" not in desk.platform.texts


@pytest.mark.parametrize("desk", [("the row without its company", "none"), ("the row", READ)], indirect=True)
def test_what_people_changed_below_a_parent_stays(desk: Desk) -> None:
    """A rollback keeps the note they edited, and the company it is below."""
    migrate(desk.run(), None)
    edited = next(note for note in desk.platform.notes.values() if note["text"] == "Remark 4")
    edited["text"] = "Ours now"
    rollback(desk.run())
    assert desk.platform.texts == ["Ours now"]
    assert list(desk.platform.companies) == [edited["company"]]


def test_a_row_is_not_sent_to_another_parent_in_silence(desk: Desk) -> None:
    """No call moves a note; that its record has moved is reported, and the note stays as it is."""
    migrate(desk.run(), None)
    before = {row_id: dict(note) for row_id, note in desk.platform.notes.items()}
    desk.platform.remarks[4]["firm"] = 2
    result = delta(desk.run(), yes=True)
    assert sum(item.failed for item in result.loaded) == 1
    assert desk.platform.notes == before
    with desk.store.begin() as connection:
        told = [found.text for found in all_findings(connection) if found.key == "remarks/4"]
    assert any("no call that moves it" in text for text in told)


def test_rows_made_are_known_by_their_own_ids_too(desk: Desk) -> None:
    """A row of others names our note by the note's own id: the rollback finds it by that."""
    migrate(desk.run(), None)
    company, own = next((note["company"], note["id"]) for note in desk.platform.notes.values())
    with desk.store.begin() as connection:
        assert made_rows(connection, "notes", [str(own)], None, own=True) == {f"{company}+{own}"}
        assert made_rows(connection, "notes", [str(own)[1:], "%"], None, own=True) == set()
        assert made_rows(connection, "notes", [str(own)], None) == set()


def test_an_update_to_another_address_is_refused(bench: Any) -> None:
    """Before anything is sent."""
    client = crowd_client(bench, Crowd())
    pair = replace(client.connector.resources["notes"], operations={"list": LISTED, "update": Operation("PATCH", DEEP)})
    client.connector = replace(client.connector, resources={"notes": pair})
    with pytest.raises(RequestRejected, match=r"row 3\+7 of notes below company 3"):
        client.write("notes", "update", {"company": 4, "text": "x"}, "3+7")


@pytest.mark.parametrize("path", sorted(CONNECTORS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_ids_of_the_shipped_connectors_stay_as_they_are(path: Path) -> None:
    """Stores hold them: a line of a deal is still its own id, though its address names the deal."""
    connector = load_connector(path)
    assert addressed(connector) == connector
