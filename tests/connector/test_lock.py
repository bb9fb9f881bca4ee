"""Updates of rows that carry a version: people who change one in between are never overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.pipeline import delta, migrate
from engine.rollback.undo import rollback
from tests.connector.desk import Desk

CONNECTOR = """\
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
resources:
  contacts:
    fields:
      id: {{type: integer, writable: false}}
      name: {{type: text, required: true}}
      phone: {{type: text, empty: as_null}}
      city: {{type: text, empty: as_null}}
    recognise: [name, phone]
    list: {{get: /{name}, pager: all}}
    read: {{get: "/{name}/{{id}}"{etag}}}
    create: {{post: /{name}}}
    update: {{patch: "/{name}/{{id}}"{lock}}}
    delete: {{delete: "/{name}/{{id}}"}}
"""
SPEC = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
objects:
  contacts:
    from: contacts
    to: contacts
    fields: {name: name, phone: phone, city: city}
"""


class Platform:
    """Two collections; a destination row has a version, and `edits` are what people do before the next update arrives."""

    def __init__(self, by_header: bool) -> None:
        self.by_header = by_header
        self.rows: dict[str, dict[int, dict[str, Any]]] = {
            "source": {1: {"id": 1, "name": "Ana", "phone": "1", "city": "Vigo"}},
            "destination": {},
        }
        self.edits: list[dict[str, Any]] = []
        self.refused = 0

    def shown(self, row: dict[str, Any]) -> Response:
        body = {key: value for key, value in row.items() if key != "version"} if self.by_header else row
        return JSONResponse(body, headers={"etag": f'"{row["version"]}"'} if self.by_header else {})

    async def many(self, request: Request) -> Response:
        rows = self.rows[request.path_params["name"]]
        if request.method == "POST":
            row_id = len(rows) + 1
            rows[row_id] = {**await request.json(), "id": row_id, "version": 1}
            return self.shown(rows[row_id])
        return JSONResponse(list(rows.values()))

    async def one(self, request: Request) -> Response:
        rows, row_id = self.rows[request.path_params["name"]], int(request.path_params["id"])
        if row_id not in rows:
            return Response(status_code=404)
        if request.method == "DELETE":
            del rows[row_id]
            return Response(status_code=204)
        if request.method == "PATCH":
            if self.edits:
                rows[row_id] |= {**self.edits.pop(0), "version": rows[row_id]["version"] + 1}
            body = await request.json()
            sent = request.headers.get("if-match", "").strip('"') if self.by_header else str(body.get("version"))
            if sent != str(rows[row_id]["version"]):
                self.refused += 1
                return Response(status_code=412 if self.by_header else 409)
            rows[row_id] |= {**body, "version": rows[row_id]["version"] + 1}
        return self.shown(rows[row_id])

    @property
    def routes(self) -> list[Route]:
        async def fine(_: Request) -> Response:
            return JSONResponse({})

        return [
            Route("/ok", fine),
            Route("/{name}", self.many, methods=["GET", "POST"]),
            Route("/{name}/{id}", self.one, methods=["GET", "PATCH", "DELETE"]),
        ]


@pytest.fixture(params=[False, True], ids=["version in the body", "ETag"])
def desk(request: pytest.FixtureRequest, bench: Any, tmp_path: Path) -> Desk:
    """One contact, written once."""
    lock = ", lock: _etag, lock_header: if-match" if request.param else ", lock: version"
    source = CONNECTOR.format(name="source", etag="", lock="")
    destination = CONNECTOR.format(name="destination", etag=", etag: _etag" if request.param else "", lock=lock)
    found = Desk(bench, tmp_path, Platform(request.param), source, destination, SPEC)
    migrate(found.run(), None)
    assert found.platform.rows["destination"][1]["name"] == "Ana"
    return found


def test_what_people_change_in_between_is_merged_again(desk: Desk) -> None:
    """The update is refused, the row read again: their city and our phone both stand, and nothing is written twice."""
    desk.platform.rows["source"][1] |= {"phone": "2"}
    desk.platform.edits = [{"city": "Lugo"}, {"note": "called"}]
    delta(desk.run())
    row = desk.platform.rows["destination"][1]
    assert (row["phone"], row["city"], row["note"], desk.platform.refused) == ("2", "Lugo", "called", 2)
    assert len(desk.platform.rows["destination"]) == 1


def test_the_same_field_changed_in_between_is_theirs(desk: Desk) -> None:
    """The second look finds the conflict that the first could not see."""
    desk.platform.rows["source"][1] |= {"phone": "2"}
    desk.platform.edits = [{"phone": "9"}]
    result = delta(desk.run())
    assert desk.platform.rows["destination"][1]["phone"] == "9"
    assert sum(item.failed for item in result.loaded) == 0


def test_a_row_that_never_rests_is_told(desk: Desk) -> None:
    """After some tries the record counts as failed, with its reason; the next run tries again."""
    desk.platform.rows["source"][1] |= {"phone": "2"}
    desk.platform.edits = [{"note": str(number)} for number in range(99)]
    result = delta(desk.run())
    assert [item.failed for item in result.loaded] == [1]
    assert "changed between reading and writing" in result.loaded[0].reasons[0]
    desk.platform.edits = []
    delta(desk.run())
    assert desk.platform.rows["destination"][1]["phone"] == "2"


def test_an_update_is_taken_back_with_the_version_of_now(desk: Desk) -> None:
    """Rollback of the run that updated restores the field, however often the row was changed meanwhile."""
    desk.platform.rows["source"][1] |= {"phone": "2"}
    run = desk.run()
    delta(run)
    desk.platform.edits = [{"note": "called"}]
    rollback(desk.run(), of_run=run.id, force=True)
    assert desk.platform.rows["destination"][1]["phone"] == "1"
    assert desk.platform.rows["destination"][1]["note"] == "called"
