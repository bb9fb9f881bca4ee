"""Ways of writing and reading that the two shipped connectors do not need: own ids, upserts, bulk calls, details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.errors import SpecError, UnsafePlan
from engine.extract.hydrate import detailed
from engine.language.model import CustomField, NativeOptions, UserMatch
from engine.pipeline import delta, migrate, preview
from engine.rollback.undo import rollback
from engine.store.links import all_findings
from tests.connector.desk import Desk

HEAD = """\
connector: {name}
connection:
  base_url: {{env: ACME_BASE_URL, production: https://api.acme.example}}
  auth: {{kind: none}}
  check: {{get: /ok}}
  reconcile_after: 0
plans: [any]
limits: {{day: {{unit: calls, per: 86400, window: calendar, amount: {{"*": 100000}}}}}}
message: [error]
errors:
  - {{when: {{status: 404}}, then: missing}}
pagers:
  all: {{kind: single}}
  pages: {{kind: page, page: page, limit: size, size: 10}}
"""
SOURCE = HEAD.format(name="source") + """\
resources:
  contacts:
    fields: {id: integer, name: text, code: text, city: text, history: list event}
    modified: changed
    list: {get: /source, pager: pages, detail: [history]}
    read: {get: "/source/{id}"}
shapes:
  event: {at: datetime, text: text}
"""
FIELDS = "fields: {id: %s, name: {type: text, required: true}, code: text, story: {type: text, empty: as_null}}"
REST = """
    list: {get: /destination, pager: all}
    read: {get: "/destination/{id}"}
    update: {patch: "/destination/{id}"}
    delete: {delete: "/destination/{id}"}
"""
CREATES = {
    "own ids": FIELDS % "text" + REST + """
    create: {put: "/destination/{id}", headers: {if-none-match: "*"}}
""",
    "upsert": FIELDS % "{type: integer, writable: false}" + REST + """
    create: {post: /destination/upsert, upsert: code}
""",
    "bulk": FIELDS % "{type: integer, writable: false}" + REST + """
    recognise: [code]
    create:
      post: /destination/batch
      bulk: {most: 25, rows: rows, answers: results, status: status, answer: row}
""",
    "whole": "fields: {_id: text, _rev: {type: text, writable: false}, name: {type: text, required: true}, code: text, city: text}" + """
    id: _id
    list: {get: /docs, pager: all}
    read: {get: "/docs/{_id}"}
    create: {put: "/docs/{_id}", only_new: true, id_at: id}
    update: {put: "/docs/{_id}", whole: true, lock: _rev}
    delete: {delete: "/docs/{_id}", lock: _rev, params: {rev: "{_rev}"}}
""",
    "bulk, all or none": FIELDS % "{type: integer, writable: false}" + REST + """
    recognise: [code]
    create: {post: /destination/insert, bulk: {most: 25, rows: rows}}
""",
}  # fmt: skip
SPEC = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
objects:
  contacts:
    from: contacts
    to: contacts
    fields: {name: name, code: code}
"""


class Platform:
    """Contacts that are read and written in every way; `lose` are calls that are executed and not answered."""

    def __init__(self, many: int) -> None:
        self.source = {n: {"id": n, "name": f"Contact {n}", "code": f"c-{n}", "changed": 1} for n in range(1, many + 1)}
        self.history = {n: [{"at": "2026-01-01T00:00:00Z", "text": f"Met {n}"}] for n in self.source}
        self.rows: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.lose: list[int] = []  # positions of writes that get no answer
        self.writes = 0

    def called(self, request: Request) -> None:
        self.calls.append(f"{request.method} {request.url.path}")

    def answer(self, body: Any, status: int = 200) -> Response:
        self.writes += 1
        return Response(status_code=502) if self.writes - 1 in self.lose else JSONResponse(body, status)

    def add(self, row: dict[str, Any], row_id: str = "") -> dict[str, Any]:
        row_id = row_id or str(max([100, *(int(key) for key in self.rows if key.isdigit())]) + 1)
        self.rows[row_id] = {**row, "id": int(row_id) if row_id.isdigit() else row_id}
        return self.rows[row_id]

    async def listed(self, request: Request) -> Response:
        self.called(request)
        if request.url.path in ("/destination", "/docs"):
            return JSONResponse(list(self.rows.values()))
        page = int(request.query_params["page"])
        return JSONResponse(list(self.source.values())[(page - 1) * 10 : page * 10])

    async def detail(self, request: Request) -> Response:
        self.called(request)
        number = int(request.path_params["id"])
        if number not in self.source:
            return Response(status_code=404)
        if self.history.get(number) is None:
            return JSONResponse({"error": "not for you"}, 403)
        return JSONResponse({**self.source[number], "history": self.history[number]})

    async def one(self, request: Request) -> Response:
        self.called(request)
        row_id = request.path_params["id"]
        if request.method == "PUT":
            if row_id in self.rows and request.headers.get("if-none-match") == "*":
                return self.answer({"error": "there is one"}, 412)
            return self.answer(self.add(await request.json(), row_id), 201)
        if row_id not in self.rows:
            return Response(status_code=404)
        if request.method == "DELETE":
            return self.answer(self.rows.pop(row_id))
        if request.method == "PATCH":
            self.rows[row_id] |= await request.json()
            return self.answer(self.rows[row_id])
        return JSONResponse(self.rows[row_id])

    async def upsert(self, request: Request) -> Response:
        self.called(request)
        sent = await request.json()
        found = next((row for row in self.rows.values() if row["code"] == sent["code"]), None)
        if found is not None:
            found |= sent
        return self.answer(found or self.add(sent))

    async def batch(self, request: Request) -> Response:
        self.called(request)
        results = [
            {"status": 422, "row": {"error": "bad name"}} if row["name"] == "bad" else {"status": 201, "row": self.add(row)}
            for row in (await request.json())["rows"]
        ]
        return self.answer({"results": results}, 207)

    async def insert(self, request: Request) -> Response:
        self.called(request)
        sent = (await request.json())["rows"]
        if any(row["name"] == "bad" for row in sent):
            return self.answer({"error": "a bad name among them"}, 400)
        return self.answer([self.add(row) for row in sent], 201)

    async def doc(self, request: Request) -> Response:
        """A row that is replaced whole, and only by who names its version; the answer does not show it."""
        self.called(request)
        row_id = request.path_params["id"]
        held = self.rows.get(row_id)
        if request.method == "GET":
            return JSONResponse(held, 200 if held else 404)
        sent = await request.json() if request.method == "PUT" else {"_rev": request.query_params["rev"]}
        if sent.pop("_rev", None) != (held or {}).get("_rev"):
            return JSONResponse({"error": "conflict"}, 409)
        version = str(int((held or {}).get("_rev", 0)) + 1)
        self.rows.pop(row_id, None)
        if request.method == "PUT":
            self.rows[row_id] = {**sent, "_id": row_id, "_rev": version}
        return self.answer({"ok": True, "id": row_id, "rev": version}, 201)

    @property
    def routes(self) -> list[Route]:
        async def fine(_: Request) -> Response:
            return JSONResponse({})

        return [
            Route("/ok", fine),
            Route("/source", self.listed),
            Route("/destination", self.listed),
            Route("/source/{id}", self.detail),
            Route("/destination/upsert", self.upsert, methods=["POST"]),
            Route("/destination/batch", self.batch, methods=["POST"]),
            Route("/destination/insert", self.insert, methods=["POST"]),
            Route("/docs", self.listed),
            Route("/docs/{id}", self.doc, methods=["GET", "PUT", "DELETE"]),
            Route("/destination/{id}", self.one, methods=["GET", "PUT", "PATCH", "DELETE"]),
        ]


def codes(desk: Desk) -> list[str]:
    """The codes of the rows there are, which tell lost and doubled ones."""
    return sorted((row["code"] for row in desk.platform.rows.values()), key=lambda code: (len(code), code))


def findings(desk: Desk) -> list[str]:
    """What people are told."""
    with desk.store.begin() as connection:
        return [finding.text for finding in all_findings(connection)]


def created_by(way: str) -> str:
    """The destination's connector with this way of creating."""
    return HEAD.format(name="destination") + f"resources:\n  contacts:\n    {CREATES[way]}"


@pytest.fixture
def desk_of(bench: Any, tmp_path: Path) -> Iterator[Any]:
    """A desk for a way of writing and a spec."""

    def make(way: str, spec: str = SPEC, many: int = 60) -> Desk:
        return Desk(bench, tmp_path, Platform(many), SOURCE, created_by(way), spec)

    yield make


EVERYTHING = [f"c-{n}" for n in range(1, 61)]


@pytest.mark.parametrize("way", ["bulk", "bulk, all or none"])
def test_rows_of_one_call_have_their_own_outcomes(desk_of: Any, way: str) -> None:
    """A refused row of a bulk call is told and the others arrive, each once; another run writes nothing more."""
    desk = desk_of(way)
    desk.platform.source[30]["name"] = "bad"
    loaded = migrate(desk.run(), None).loaded[0]
    assert (loaded.created, loaded.failed, len(loaded.reasons)) == (59, 1, 1)
    assert "bad name" in loaded.reasons[0]
    assert codes(desk) == [code for code in EVERYTHING if code != "c-30"]
    assert desk.platform.writes == (3 if way == "bulk" else 3 + 1 + 25)  # looked for, once more together, alone
    again = migrate(desk.run(), None).loaded[0]
    assert (again.created, again.updated, again.failed) == (0, 0, 1)
    rollback(desk.run())
    assert desk.platform.rows == {}


@pytest.mark.parametrize("way", ["bulk", "bulk, all or none", "own ids", "upsert"])
@pytest.mark.parametrize("lost", [[0], [1, 2], [0, 1, 2, 3]])
def test_lost_answers_lose_and_double_nothing(desk_of: Any, way: str, lost: list[int]) -> None:
    """Whatever answers never come, every record is there once, no doubt is left, and a rollback takes all of them back."""
    fields = "fields: {name: name, code: code}"
    own = SPEC.replace(fields, "fields: {id: code, name: name, code: code}") if way == "own ids" else SPEC
    desk = desk_of(way, own.replace("to: contacts", "to: contacts\n    match: [code]") if way == "upsert" else own)
    desk.platform.lose = lost
    loaded = migrate(desk.run(), None).loaded[0]
    assert (codes(desk), loaded.failed) == (EVERYTHING, 0)
    desk.platform.lose = []
    assert [(it.created, it.updated) for it in migrate(desk.run(), None).loaded] == [(0, 0)]
    rollback(desk.run())
    assert desk.platform.rows == {}


def test_a_row_of_others_at_our_id_is_not_written_over(desk_of: Any) -> None:
    """Where people have a row with an id we would give, the record is refused and named, and their row survives the rollback."""
    desk = desk_of("own ids", SPEC.replace("{name: name, code: code}", "{id: code, name: name, code: code}"))
    theirs = dict(desk.platform.add({"name": "Somebody else", "code": "theirs"}, "c-7"))
    desk.platform.lose = [6, 7]
    loaded = migrate(desk.run(), None).loaded[0]
    assert (loaded.failed, desk.platform.rows["c-7"]) == (1, theirs)
    rollback(desk.run(), force=True)
    assert desk.platform.rows == {"c-7": theirs}


@pytest.mark.parametrize("way", ["upsert", "own ids"])
def test_a_creation_that_may_write_over_a_row_has_to_look_first(desk_of: Any, tmp_path: Path, way: str) -> None:
    """A spec that could overwrite people's rows is refused with the line to add."""
    desk = desk_of("bulk")
    creates = CREATES[way].replace(', headers: {if-none-match: "*"}', "")
    (tmp_path / "destination.yaml").write_text(HEAD.format(name="destination") + f"resources:\n  contacts:\n    {creates}")
    spec = SPEC.replace("{name: name, code: code}", "{id: code, name: name, code: code}") if way == "own ids" else SPEC
    field = "code" if way == "upsert" else "id"
    with pytest.raises(SpecError) as told:
        desk.become(spec)
    (found,) = told.value.diagnostics
    assert (found.where and found.where.line, found.code, f"[{field}]" in found.advice) == (8, "overwrites-rows", True)
    desk.become(spec.replace("to: contacts", f"to: contacts\n    match: [{field}]"))


def test_rows_people_have_are_adopted_before_an_upsert(desk_of: Any) -> None:
    """A row with our key that people had keeps what they entered, and is still there, as it was, after a rollback."""
    desk = desk_of("upsert", SPEC.replace("to: contacts", "to: contacts\n    match: [code]"))
    theirs = dict(desk.platform.add({"name": "Their name", "code": "c-7", "phone": "1"}))
    loaded = migrate(desk.run(), None).loaded[0]
    assert (loaded.created, loaded.adopted) == (59, 1)
    assert codes(desk) == EVERYTHING
    rollback(desk.run())
    assert list(desk.platform.rows.values()) == [theirs]


# -- rows that are sent whole, by calls whose answers do not show them

WHOLE = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
objects:
  contacts:
    from: contacts
    to: contacts
    match: [_id]
    on_delete: delete
    fields: {_id: code, name: name, code: code}
"""


def without(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its version, which moves with every write."""
    return {name: value for name, value in row.items() if name != "_rev"}


def edited(desk: Desk, row_id: str, **values: Any) -> dict[str, Any]:
    """People change a row; what it then holds."""
    row = desk.platform.rows[row_id]
    row |= {**values, "_rev": str(int(row["_rev"]) + 1)}
    return without(row)


@pytest.mark.parametrize("lost", [[], [0, 3, 4, 9]])
def test_answers_without_the_row_make_no_row_look_edited(desk_of: Any, lost: list[int]) -> None:
    """A rollback takes back everything that nobody has edited, and a lost answer costs no row and no repetition without end."""
    desk = desk_of("whole", WHOLE, 20)
    desk.platform.lose = lost
    migrate(desk.run(), None)
    assert (sorted(desk.platform.rows), len([c for c in desk.platform.calls if c.startswith("PUT")])) == (
        sorted(f"c-{n}" for n in range(1, 21)), 20,
    )  # fmt: skip
    rollback(desk.run())
    assert desk.platform.rows == {}


def test_answers_without_the_row_lose_no_edit(desk_of: Any) -> None:
    """Rows in which people changed a mapped field, one that is not mapped or not even declared, stay in a rollback and a delta."""
    desk = desk_of("whole", WHOLE, 20)
    migrate(desk.run(), None)
    theirs = [edited(desk, "c-3", name="Ours"), edited(desk, "c-4", city="Vigo"), edited(desk, "c-5", name="")]
    theirs.append(edited(desk, "c-7", extra={"sales": "note"}))
    del desk.platform.source[4], desk.platform.source[6]
    delta(desk.run(), deletions=True)
    assert ("c-4" in desk.platform.rows, "c-6" in desk.platform.rows) == (True, False)
    rollback(desk.run())
    assert sorted((without(row) for row in desk.platform.rows.values()), key=lambda row: str(row["_id"])) == theirs


def test_a_row_that_is_sent_whole_keeps_what_nobody_declared(desk_of: Any) -> None:
    """An update brings what changed, leaves fields the connector does not know as they are, and empties by leaving out."""
    desk = desk_of("whole", WHOLE.replace("code: code}", "code: code, city: city}"), 12)
    for row in desk.platform.source.values():
        row["city"] = "Vigo"
    migrate(desk.run(), None)
    edited(desk, "c-3", extra={"sales": "note"})
    desk.platform.source[3] |= {"name": "New name", "city": None, "changed": 2}
    delta(desk.run())
    assert without(desk.platform.rows["c-3"]) == {"_id": "c-3", "name": "New name", "code": "c-3", "extra": {"sales": "note"}}


def test_an_adopted_row_that_is_sent_whole_is_given_back_as_it_was(desk_of: Any) -> None:
    """What people had in a row that was adopted is there after the run, and after the rollback the row is what it was."""
    desk = desk_of("whole", WHOLE, 12)
    theirs = {"_id": "c-3", "_rev": "1", "name": "Contact 3", "extra": {"keep": "me"}}
    desk.platform.rows["c-3"] = dict(theirs)
    migrate(desk.run(), None)
    assert without(desk.platform.rows["c-3"]) == {**without(theirs), "code": "c-3"}
    rollback(desk.run())
    assert [without(row) for row in desk.platform.rows.values()] == [without(theirs)]


# -- details

STORY = SPEC.replace("code: code}", 'code: code, story: {template: "{% for event in history %}{{ event.text }}{% endfor %}"}}')


def details(desk: Desk) -> list[str]:
    return [call for call in desk.platform.calls if call.startswith("GET /source/")]


def test_details_are_read_only_where_a_mapping_needs_them(desk_of: Any) -> None:
    """Without a field that reads one no record is read by itself; with it each is, once."""
    desk = desk_of("bulk")
    migrate(desk.run(), None)
    assert details(desk) == []
    desk.become(STORY)
    migrate(desk.run(), None, yes=True)
    assert sorted(details(desk)) == sorted(f"GET /source/{n}" for n in range(1, 61))
    assert {row["story"] for row in desk.platform.rows.values()} == {f"Met {n}" for n in range(1, 61)}
    migrate(desk.run(), None)
    assert len(details(desk)) == 60


@pytest.mark.parametrize(
    "text", ["{% for friend in friends %}{{ friend.history[0].text }}{% endfor %}", "{{ friends[0].history }}", "{{ best.history }}"]
)
def test_details_are_read_through_other_rows_too(desk_of: Any, text: str) -> None:
    """A mapping that reads a detail of related rows or of one among several needs it as well."""
    beside = "related: {best: {from: contacts, by: code}}\n    children: {friends: {from: contacts, on: code}}\n    fields:"
    desk = desk_of("bulk", SPEC.replace("fields:", beside).replace("code: code}", f'code: code, story: {{template: "{text}"}}}}'))
    assert detailed(desk.migration.spec, desk.migration.source) == {"contacts": ("history",)}


@pytest.mark.parametrize("reader", ["users", "custom_fields", "native_options"])
def test_details_are_read_for_people_and_options(desk_of: Any, reader: str) -> None:
    """What people are found by, and the labels of options, may stand in a detail as well."""
    migration = desk_of("bulk").migration
    origin = ("contacts", "history")
    read = {
        "users": UserMatch("contacts", "history", "owner@example.com"),
        "custom_fields": {("contacts", "tier"): CustomField("contacts", "tier", "Tier", "enum", options_from=origin)},
        "native_options": (NativeOptions("contacts", "tier", options_from=origin),),
    }
    spec = structs.replace(migration.spec, **{reader: read[reader]})
    assert detailed(spec, migration.source) == {"contacts": ("history",)}


def test_a_plan_counts_what_is_to_be_read_one_by_one(desk_of: Any) -> None:
    """A plan reads no details; it holds the calls against the source's quota and says so."""
    desk = desk_of("bulk", STORY)
    plan = preview(desk.run(), None, details=False).plan
    assert plan is not None and details(desk) == []
    assert [(use.account, use.needed) for use in plan.limits if use.account == "source"] == [("source", 60.0)]
    assert plan.warnings == ("60 contacts are still to be read one by one for history; what comes of that is not in this plan",)
    migrate(desk.run(), None)
    after = preview(desk.run(), None, details=False).plan
    assert after is not None and after.warnings == () and after.steps[0].unchanged == 60


def test_a_sample_reads_the_details_of_its_own_records(desk_of: Any) -> None:
    """Only the records of the sample are read by themselves, and they have their details."""
    desk = desk_of("bulk", STORY)
    result = migrate(desk.run(), 12)
    assert result.sample is not None
    assert len(details(desk)) == len(result.sample.chosen) == len(desk.platform.rows)
    assert all(row["story"].startswith("Met ") for row in desk.platform.rows.values())


def test_details_are_read_again_where_the_listed_row_moved(desk_of: Any) -> None:
    """A delta reads the details of changed and new records, and of no other."""
    desk = desk_of("bulk", STORY)
    migrate(desk.run(), None)
    desk.platform.calls.clear()
    desk.platform.history[5].append({"at": "2026-01-02T00:00:00Z", "text": ", again"})
    desk.platform.source[5]["changed"] = 2
    delta(desk.run())
    assert details(desk) == ["GET /source/5"]
    assert sorted(row["story"] for row in desk.platform.rows.values() if row["code"] in ("c-5", "c-6")) == ["Met 5, again", "Met 6"]


def test_details_that_no_row_has_stop_the_run(desk_of: Any) -> None:
    """Where a whole group of records lacks the field, it was renamed: nothing is blanked, the run stops."""
    desk = desk_of("bulk", STORY)
    spelled = desk.folder.joinpath("source.yaml")
    spelled.write_text(spelled.read_text().replace("history", "chronicle"))
    desk.become(STORY.replace("history", "chronicle"))
    with pytest.raises(UnsafePlan, match="20 contacts read one by one hold no chronicle"):
        migrate(desk.run(), None)
    assert desk.platform.rows == {}


def test_details_that_are_refused_are_told(desk_of: Any) -> None:
    """A record whose details may not be read is migrated without them, and that stands among its findings until it is mended."""
    desk = desk_of("bulk", STORY)
    kept = desk.platform.history[5]
    desk.platform.history[5] = None  # type: ignore[assignment]
    migrate(desk.run(), None)
    assert [text for text in findings(desk) if "history could not be read" in text and "not for you" in text]
    desk.platform.history[5] = kept
    migrate(desk.run(), None, yes=True)
    assert not [text for text in findings(desk) if "history could not be read" in text]
    assert json.dumps([row["story"] for row in desk.platform.rows.values() if row["code"] == "c-5"]) == '["Met 5"]'
