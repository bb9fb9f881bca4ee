"""The engine, the connector and the emulator against Pipedrive's published OpenAPI documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.connector.model import Connector, Operation
from sandbox.pipedrive import absent
from sandbox.pipedrive.app import OPERATIONS
from tests.contract import declared, known
from tests.contract.checking import Checker, Mismatch, mismatches
from tests.contract.driving import ROWS, Recorded
from tests.contract.further import drive
from tests.contract.published import Documents, as_json_schema
from tests.contract.recorder import Exchange
from tests.replacing import replace

pytestmark = pytest.mark.contract
NUMBER = r"(?<=/)\d+"
IN_PATH = r"\{[^}]*\}"
KEY = {"x-api-token": "x", "content-type": "application/json"}


def listed(problems: list[Any]) -> str:
    """One problem a line."""
    return "\n".join(map(str, problems))


# -- the connector


def test_declared_operations_are_published_at_their_cost(connector: Connector, documents: Documents) -> None:
    """Every declared verb and path is published and costs what the connector says."""
    problems = declared.unpublished(connector, documents)
    assert not problems, listed(problems)


def test_parameters_are_published(connector: Connector, documents: Documents) -> None:
    """Every parameter the connector can send is published, and no page is larger than allowed."""
    problems = declared.parameters(connector, documents)
    assert not problems, listed(problems)


def test_fields_are_published(connector: Connector, documents: Documents) -> None:
    """Every writable field stands in the published bodies, every field in a published answer."""
    problems = declared.fields(connector, documents)
    assert not problems, listed(problems)


def test_every_declared_operation_is_recorded(connector: Connector, documents: Documents, recorded: Recorded) -> None:
    """No declared call is missing from the recording."""
    called = set()
    for one in recorded.exchanges:
        found = documents.requested(one.method, one.path)
        if found and one.status < 300:
            called.add(found[0].key)
    assert not declared.unused(connector, called)


def test_every_writable_field_is_sent(connector: Connector) -> None:
    """The rows of the round fill every field that a create or an update of the connector can carry."""
    rows = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    problems = []
    for name, row in rows.items():
        resource = connector.resources[name]
        sent = set(row["create"]) | set(row.get("update", ()))
        for verb in declared.WRITES:
            if verb in resource.operations:
                left = declared.writable(resource, resource.operations[verb]) - sent
                problems += [f"{name}.{verb}: {field}" for field in sorted(left)]
    assert not problems, listed(problems)


# -- the recording


def test_the_migration_arrives(recorded: Recorded) -> None:
    """The recorded migration wrote records of every object; nothing failed but what has no file at its link."""
    reasons = [reason for one in recorded.result.loaded for reason in one.reasons]
    assert [reason for reason in reasons if "the link is dead" not in reason] == []
    assert [one.object for one in recorded.result.loaded if not one.created + one.adopted] == []


@pytest.mark.parametrize("where", ["request", "status", "response"])
def test_exchanges_agree_with_the_documents(found: dict[Mismatch, int], where: str) -> None:
    """What the engine sends and the emulator answers is published, but for the listed contradictions."""
    problems = known.unlisted((one for one in found if one.where == where), known.load())
    assert not problems, listed(problems)


def test_emptied_fields_travel_as_published(documents: Documents, recorded: Recorded) -> None:
    """Where the source holds nothing any more, the update that says so is one the platform publishes."""
    found = mismatches(Checker(documents), recorded.emptying)
    problems = known.unlisted(found, known.load())
    assert not problems, listed(problems)


def test_emptying_changes_rows(recorded: Recorded) -> None:
    """The second migration sends updates at all, and the platform refuses none of them."""
    updates = [one for one in recorded.emptying if one.method in ("PATCH", "PUT")]
    refused = {
        f"{one.method} {re.sub(NUMBER, '{id}', one.path)}: {json.loads(one.answer).get('error')}"
        for one in updates
        if one.status >= 300
    }
    assert updates
    assert not refused, listed(sorted(refused))


def test_no_contradiction_is_stale(found: dict[Mismatch, int]) -> None:
    """Every listed contradiction, and every path of it, is still needed."""
    left = known.stale(found, known.load())
    assert not left, listed(left)


def test_the_page_shows_the_list() -> None:
    """docs/connectors/pipedrive_contract.md holds the list as a table, in step with the data file."""
    wanted = known.table(known.load())
    page = known.PAGE.read_text(encoding="utf-8")
    assert page.endswith(f"\n\n{wanted}\n"), f"the page must end with:\n\n{wanted}"


# -- the emulator's routes


def test_the_emulator_offers_published_operations(documents: Documents) -> None:
    """Every route of the emulator is published, at its cost, and takes published parameters only."""
    problems = []
    for one in OPERATIONS:
        published = documents.declared(one.verb, f"/api/{one.version}{one.path}")
        if published is None:
            problems.append(f"{one.verb} {one.version} {one.path} is not published")
        elif published.cost != one.tokens or one.query - set(published.query):
            extra = sorted(one.query - set(published.query))
            problems.append(f"{published.key}: {one.tokens} tokens, published {published.cost}; unpublished {extra}")
    assert not problems, listed(problems)


def test_every_route_is_recorded(documents: Documents, recorded: Recorded, further: list[Exchange]) -> None:
    """No route of the emulator has an answer that was not held against the documents; where nobody has a row, it is a refusal."""
    nowhere = {f"{one.verb} /api/{one.version}{re.sub(IN_PATH, '*', one.path)}" for one in absent.OPERATIONS}
    called = set()
    for one in (*recorded.exchanges, *further):
        found = documents.requested(one.method, one.path)
        if found and (one.status < 300 or re.sub(IN_PATH, "*", found[0].key) in nowhere):
            called.add(found[0].key)
    routes = [documents.declared(one.verb, f"/api/{one.version}{one.path}") for one in OPERATIONS]
    left = sorted({route.key for route in routes if route is not None} - called)
    assert not left, listed(left)


def test_the_other_published_shapes(documents: Documents, tmp_path: Path) -> None:
    """Text for the ids of built-in options and moments with milliseconds are published just as well."""
    exchanges = drive(tmp_path, "stamps=milliseconds")
    answers = [one.answer.decode() for one in exchanges if "Fields/" in one.path or "/leads" in one.path]
    assert any('"id":"' in one for one in answers) and any(".000Z" in one for one in answers)
    problems = known.unlisted(mismatches(Checker(documents), exchanges), known.load())
    assert not problems, listed(problems)


# -- that all this can fail


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cost": 7}, "deals.update: costs 7, published is 5"),
        ({"method": "PUT"}, "deals.update: PUT /api/v2/deals/{id} is not published"),
        ({"path": "/api/v2/deal/{id}"}, "deals.update: PATCH /api/v2/deal/{id} is not published"),
    ],
)
def test_a_wrong_operation_is_noticed(
    connector: Connector, documents: Documents, change: dict[str, Any], told: str
) -> None:
    """A connector with a wrong cost, verb or path is told apart from the published one."""
    assert told in declared.unpublished(_changed(connector, "update", change), documents)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"filters": ("colour",)}, "deals.list: colour is not a published parameter"),
        ({"since": "changed_since"}, "deals.list: changed_since is not a published parameter"),
        ({"pager": 501}, "deals.list: pages of 501, published are at most 500"),
    ],
)
def test_a_wrong_parameter_is_noticed(
    connector: Connector, documents: Documents, change: dict[str, Any], told: str
) -> None:
    """A connector with an unpublished parameter or too large a page is told apart."""
    if "pager" in change:
        pager = connector.resources["deals"].operations["list"].pager
        assert pager is not None
        change = {"pager": replace(pager, size=change["pager"])}
    assert told in declared.parameters(_changed(connector, "list", change), documents)


def _changed(connector: Connector, verb: str, change: dict[str, Any]) -> Connector:
    deals = connector.resources["deals"]
    operation: Operation = replace(deals.operations[verb], **change)  # type: ignore[index]
    changed = replace(deals, operations={**deals.operations, verb: operation})  # type: ignore[dict-item]
    return replace(connector, resources={**connector.resources, "deals": changed})


DEAL: dict[str, Any] = {"success": True, "data": {"id": 1, "title": "A"}}


@pytest.mark.parametrize(
    ("asked", "answered", "told"),
    [
        ({"body": {"title": "A", "colour": 1}}, {}, "request body.colour unpublished"),
        ({"body": {"value": 1}}, {}, "request body.title missing"),
        ({"body": {"title": 5}}, {}, "request body.title type"),
        ({"body": {"title": None}}, {}, "request body.title null_value"),
        ({"headers": {"content-type": "application/json"}}, {}, "request header missing"),
        ({"headers": KEY | {"content-type": "text/plain"}}, {}, "request body media"),
        ({"query": "limit=1"}, {}, "request query.limit unpublished"),
        ({"method": "GET", "query": "limit=x", "body": None}, {}, "request query.limit type"),
        ({"method": "GET", "query": "status=new", "body": None}, {}, "request query.status value"),
        ({"path": "/api/v2/colours"}, {}, "request  unpublished"),
        ({}, {"status": 418}, "status 418 status"),
        ({}, {"headers": {"content-type": "text/html"}}, "response  media"),
        ({}, {"body": DEAL | {"colour": 1}}, "response colour unpublished"),
        ({}, {"body": {"success": True, "data": {"id": "1"}}}, "response data.id type"),
        ({}, {"body": {"success": True, "data": {"label_ids": [1, None]}}}, "response data.label_ids.* null_value"),
    ],
)
def test_a_wrong_exchange_is_noticed(
    documents: Documents, asked: dict[str, Any], answered: dict[str, Any], told: str
) -> None:
    """One wrong thing in a request or an answer is found, and where."""
    body = asked.get("body", {"title": "A"})
    exchange = Exchange(
        method=asked.get("method", "POST"),
        path=asked.get("path", "/api/v2/deals"),
        query=asked.get("query", ""),
        headers=asked.get("headers", KEY),
        body=b"" if body is None else json.dumps(body).encode(),
        status=answered.get("status", 200),
        answer_headers=answered.get("headers", {"content-type": "application/json; charset=utf-8"}),
        answer=json.dumps(
            answered.get("body", DEAL | ({"error": "e", "error_info": "i"} if answered else {}))
        ).encode(),
    )
    found = [f"{one.where} {one.path} {one.kind}" for one in Checker(documents).check(exchange)]
    assert told in found


def test_a_stale_or_loose_entry_is_noticed() -> None:
    """An entry covers its own kind at its own paths only, and one that covers nothing is stale."""
    entry = known.Contradiction(
        "* /api/v2/deals*", "response", ("data.**.won_time", "data.*"), "null_value", "", "", ""
    )
    fits = Mismatch("GET /api/v2/deals", "response", "data.*.won_time", "null_value", "")
    others = [
        replace(fits, kind="type"),
        replace(fits, path="data.*.id"),
        replace(fits, operation="GET /api/v2/persons"),
    ]
    assert known.unlisted([fits, *others], [entry]) == sorted(others)
    assert known.stale([fits], [entry]) == ["* /api/v2/deals* response data.* null_value"]


def test_schemas_become_strict() -> None:
    """`nullable`, `allOf` and `$ref` are understood, and unpublished properties refused."""
    document = {"components": {"schemas": {"Row": {"type": "object", "properties": {"id": {"type": "integer"}}}}}}
    named = {"type": "object", "properties": {"name": {"type": "string", "nullable": True}}, "required": ["name"]}
    schema = as_json_schema({"allOf": [{"$ref": "#/components/schemas/Row"}, named]}, document)
    assert schema == {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}},
        "required": ["name"],
        "additionalProperties": False,
    }
