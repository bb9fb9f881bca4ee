"""The Pipedrive emulator over real HTTP: what it accepts, refuses and answers."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest

from sandbox.launch import Running
from tests import loopback


def made(api: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """Create a record and return it."""
    answer = api.post(f"/api/v2/{path}", json=body)
    assert answer.is_success, answer.text
    record: dict[str, Any] = answer.json()["data"]
    return record


def refusal(answer: httpx.Response, status: int = 400) -> str:
    """The error text of a refused request."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"] is False
    return str(body["error"])


def test_every_path_without_a_key_is_the_same_401(pipedrive: Running) -> None:
    """Auth comes before routing: unknown paths, verbs and wrong keys all get one body."""
    for verb, path, headers in (
        ("GET", "/api/v2/deals", {}),
        ("PUT", "/no/such/path", {}),
        ("GET", "/v1/users/me", {"x-api-token": "wrong"}),
    ):
        answer = loopback.request(verb, pipedrive.base_url + path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["x-401-by-gw"] == "true"
        assert answer.json() == {
            "success": False,
            "error": "unauthorized access",
            "errorCode": 401,
            "error_info": "Please check developers.pipedrive.com",
        }


def test_key_is_taken_from_header_query_and_bearer(pipedrive: Running) -> None:
    """All three ways of sending the token work, under both v1 prefixes and on v2."""
    key, base = pipedrive.key, pipedrive.base_url
    assert loopback.get(f"{base}/v1/users/me", headers={"x-api-token": key}).status_code == 200
    assert loopback.get(f"{base}/api/v2/deals?api_token={key}").status_code == 200
    bearer = {"authorization": f"Bearer {key}"}
    assert loopback.get(f"{base}/api/v1/users/me", headers=bearer).status_code == 200


def test_every_answer_carries_the_limit_headers(api: httpx.Client) -> None:
    """Clients find both budgets and a correlation id on successes and on refusals."""
    for path in ("/v1/users/me", "/api/v2/deals?nonsense=1", "/api/v2/nothing"):
        headers = api.get(path).headers
        assert int(headers["x-ratelimit-limit"]) == 120
        assert 0 <= int(headers["x-ratelimit-remaining"]) < 120
        assert int(headers["x-ratelimit-reset"]) in (1, 2)
        assert int(headers["x-daily-ratelimit-token-limit"]) == 30_000 * 7 * 100
        assert int(headers["x-daily-ratelimit-token-remaining"]) > 0
        assert headers["x-correlation-id"]


def test_account_is_not_empty(api: httpx.Client) -> None:
    """People have been here: users, one pipeline with five stages, a custom field, records."""
    users = api.get("/v1/users").json()["data"]
    emails = [user["email"] for user in users]
    assert emails[0] == "owner@example.com" and users[0]["is_you"]
    assert emails.count("tecnico@instalaciones-levante.example") == 2
    assert "Javier.Ortega@instalaciones-levante.example" in emails
    inactive = [user["email"] for user in users if not user["active_flag"]]
    assert inactive == ["marta.soler@instalaciones-levante.example"]
    assert any("admin" not in user["access"][0] for user in users)
    assert len(api.get("/api/v2/stages?pipeline_id=1").json()["data"]) == 5
    fields = api.get("/api/v2/dealFields?limit=500").json()["data"]
    custom = [field for field in fields if field["is_custom_field"]]
    assert [field["field_name"] for field in custom] == ["Origen"]
    assert len(custom[0]["field_code"]) == 40
    assert len(api.get("/v1/notes").json()["data"]) == 1


def test_organization_round_trip(api: httpx.Client) -> None:
    """What was sent is read back, the rest is null, and a PATCH changes only what it names."""
    sent = {
        "name": "Fontanería Ñ",
        "add_time": "2019-05-06T07:08:09Z",
        "address": {"value": "Calle Sol 1, Valencia", "locality": "Valencia"},
        "website": "https://n.example",
    }
    record = made(api, "organizations", **sent)
    assert record["add_time"] == sent["add_time"]
    assert record["address"]["locality"] == "Valencia" and record["address"]["country"] is None
    path = f"/api/v2/organizations/{record['id']}"
    assert api.patch(path, json={"address": {"value": "Otra"}}).json()["success"]
    again = api.get(path).json()["data"]
    assert again["address"]["locality"] is None  # the address is replaced whole
    assert again["name"] == sent["name"] and again["website"] == sent["website"]
    assert "add_time" in refusal(api.patch(path, json={"add_time": "2020-01-01T00:00:00Z"}))


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("organizations", {}, "name"),
        ("organizations", {"name": ""}, "name"),
        ("organizations", {"name": 5}, "name"),
        ("organizations", {"name": "x", "owner_id": "1"}, "owner_id"),
        ("organizations", {"name": "x", "owner_id": True}, "owner_id"),
        ("organizations", {"name": "x", "owner_id": 999}, "owner_id"),
        ("organizations", {"name": "x", "visible_to": 4}, "visible_to"),
        ("organizations", {"name": "x", "address": "Calle 1"}, "address"),
        (
            "organizations",
            {"name": "x", "label": 1},
            "Validation failed: label: Parameter 'label' is not allowed for this request",
        ),
        ("organizations", {"name": "x", "add_time": "2019-05-06 07:08:09"}, "add_time"),
        ("organizations", {"name": "x", "annual_revenue": 1.5}, "annual_revenue"),
        ("persons", {"emails": []}, "name"),
        ("persons", {"name": "x", "emails": ["a@b.example"]}, "emails"),
        ("persons", {"name": "x", "phones": [{"label": "work"}]}, "value"),
        ("persons", {"name": "x", "org_id": 999}, "org_id"),
        ("deals", {"title": "x", "value": "10"}, "value"),
        ("deals", {"title": "x", "currency": "XXX"}, "currency"),
        ("deals", {"title": "x", "status": "deleted"}, "status"),
        ("deals", {"title": "x", "add_time": "2020-01-01T00:00:00Z"}, "add_time"),
        ("deals", {"title": "x", "won_time": "2020-01-01T00:00:00Z"}, "won_time"),
        ("deals", {"title": "x", "lost_reason": "no", "status": "won"}, "lost_reason"),
        ("deals", {"title": "x", "expected_close_date": None}, "valid string|date"),
        ("deals", {"title": "x", "person_id": 999}, "person_id"),
        ("deals", {"title": "x", "stage_id": 99}, "stage_id"),
        ("activities", {"subject": "x", "type": "visita"}, "type"),
        ("activities", {"subject": "x", "due_time": "9:00"}, "due_time"),
        ("activities", {"subject": "x", "due_date": "2020-02-30"}, "due_date"),
        ("activities", {"subject": "x", "done": 1}, "done"),
        ("products", {"name": "x", "tax": "21"}, "tax"),
        ("products", {"name": "x", "category": 1}, "category"),
        (
            "products",
            {"name": "x", "prices": [{"currency": "EUR"}, {"currency": "EUR"}]},
            "prices",
        ),
    ],
)
def test_v2_refuses_what_does_not_fit(
    api: httpx.Client, path: str, body: dict[str, Any], said: str
) -> None:
    """Wrong types, unknown keys and dangling links are 400s that name the field."""
    answer = api.post(f"/api/v2/{path}", json=body)
    error = refusal(answer)
    assert error.startswith("Validation failed: ")
    assert any(word in error for word in said.split("|")), error
    assert answer.json()["code"] == "ERR_SCHEMA_VALIDATION_FAILED"


def test_unknown_query_parameter_is_refused(api: httpx.Client) -> None:
    """v2 does not overlook a parameter it does not know, on reads and on writes."""
    assert refusal(api.get("/api/v2/activities?type=call")) == "Parameter 'type' is not allowed"
    answer = api.post("/api/v2/deals?include_fields=notes_count", json={"title": "x"})
    assert refusal(answer) == "Parameter 'include_fields' is not allowed"
    assert "include_fields" in refusal(api.get("/api/v2/deals?include_fields=custom_fields"))


def test_broken_json_is_a_400(api: httpx.Client) -> None:
    """Neither half a document, NaN, nor a lone surrogate gets into the account."""
    headers = {"content-type": "application/json"}
    for body in (b'{"title": ', b'{"title":"x","value":NaN}', b'{"title":"\\ud800"}', b"[1]"):
        refusal(api.post("/api/v2/deals", content=body, headers=headers))


def test_person_contacts(api: httpx.Client) -> None:
    """The first entry becomes primary, the label is work by default, two primaries are refused."""
    record = made(
        api,
        "persons",
        first_name="Rosa",
        last_name="Gil Paz",
        emails=[{"value": "r@x.example"}, {"value": "r2@x.example", "label": "home"}],
    )
    assert record["name"] == "Rosa Gil Paz"
    assert record["emails"] == [
        {"value": "r@x.example", "primary": True, "label": "work"},
        {"value": "r2@x.example", "primary": False, "label": "home"},
    ]
    both = [{"value": "1", "primary": True}, {"value": "2", "primary": True}]
    path = f"/api/v2/persons/{record['id']}"
    assert "primary" in refusal(api.patch(path, json={"phones": both}))
    renamed = api.patch(path, json={"first_name": "Rosalía"}).json()["data"]
    assert renamed["name"] == "Rosalía Gil Paz"
    assert renamed["emails"] == record["emails"]
    assert api.patch(path, json={"emails": []}).json()["data"]["emails"] == []


def test_contact_sync_fields_need_contact_sync(api: httpx.Client) -> None:
    """Job title and its like are a 403 on an account without contact sync."""
    refusal(api.post("/api/v2/persons", json={"name": "x", "job_title": "Boss"}), 403)


def test_deal_defaults_and_stage(api: httpx.Client) -> None:
    """A deal starts open in the first stage; a stage decides the pipeline."""
    deal = made(api, "deals", title="Caldera")
    assert (deal["status"], deal["value"], deal["currency"]) == ("open", 0, "EUR")
    assert (deal["pipeline_id"], deal["stage_id"], deal["owner_id"]) == (1, 1, 1)
    assert deal["origin"] == "API" and deal["won_time"] is None
    pipeline = made(api, "pipelines", name="Mantenimiento")
    stage = made(api, "stages", name="Alta", pipeline_id=pipeline["id"])
    moved = api.patch(f"/api/v2/deals/{deal['id']}", json={"stage_id": stage["id"]}).json()["data"]
    assert moved["pipeline_id"] == pipeline["id"] and moved["stage_change_time"]
    wrong = {"title": "x", "pipeline_id": 1, "stage_id": stage["id"]}
    assert "stage_id" in refusal(api.post("/api/v2/deals", json=wrong))


def test_closed_deal_keeps_its_dates(api: httpx.Client) -> None:
    """Won and lost times can be set with their status; reopening takes them away."""
    won = made(api, "deals", title="W", status="won", won_time="2021-06-30T22:30:00Z")
    assert won["won_time"] == won["close_time"] == "2021-06-30T22:30:00Z"
    assert won["local_won_date"] == "2021-07-01"  # half past midnight in Madrid
    lost = made(api, "deals", title="L", status="lost", lost_reason="Precio")
    assert lost["lost_reason"] == "Precio" and lost["lost_time"] and not lost["won_time"]
    path = f"/api/v2/deals/{lost['id']}"
    opened = api.patch(path, json={"status": "open"}).json()["data"]
    assert opened["lost_reason"] is opened["lost_time"] is opened["close_time"] is None
    cleared = api.patch(path, json={"expected_close_date": ""}).json()["data"]
    assert cleared["expected_close_date"] == "0000-00-00"


def test_archived_deal_leaves_the_list_and_is_frozen(api: httpx.Client) -> None:
    """Archived deals are in their own list and cannot be edited."""
    body = {"title": "A", "is_archived": True, "archive_time": "2022-01-02 03:04:05"}
    deal = made(api, "deals", **body)
    assert deal["archive_time"] == "2022-01-02T03:04:05Z"
    query = {"ids": deal["id"]}
    assert api.get("/api/v2/deals", params=query).json()["data"] == []
    assert len(api.get("/api/v2/deals/archived", params=query).json()["data"]) == 1
    refusal(api.patch(f"/api/v2/deals/{deal['id']}", json={"title": "B"}))


def test_delete_is_soft_and_seen_only_through_the_status(api: httpx.Client) -> None:
    """A deleted deal is a 404 and not listed, except where deleted ones are asked for."""
    deal = made(api, "deals", title="Fuera")
    path = f"/api/v2/deals/{deal['id']}"
    assert api.delete(path).json() == {"success": True, "data": {"id": deal["id"]}}
    assert refusal(api.get(path), 404) == "Deal not found"
    refusal(api.delete(path), 404)
    query = {"ids": deal["id"]}
    assert api.get("/api/v2/deals", params=query).json()["data"] == []
    (seen,) = api.get("/api/v2/deals", params={**query, "status": "deleted"}).json()["data"]
    assert seen["is_deleted"] and seen["status"] == "deleted"


def test_deleting_an_organization_empties_the_links_to_it(api: httpx.Client) -> None:
    """No record is left pointing at something that cannot be read."""
    org = made(api, "organizations", name="Se va")
    person = made(api, "persons", name="Se queda", org_id=org["id"])
    assert api.delete(f"/api/v2/organizations/{org['id']}").is_success
    assert api.get(f"/api/v2/persons/{person['id']}").json()["data"]["org_id"] is None


def test_cursor_walks_every_record_once(api: httpx.Client) -> None:
    """Pages by keyset cover all records in order, whichever column is sorted by."""
    for at in range(7):
        made(api, "products", name=f"Tubo {9 - at}")
    for column, direction in (("id", "asc"), ("name", "asc"), ("update_time", "desc")):
        seen: list[dict[str, Any]] = []
        query = {"limit": "3", "sort_by": column, "sort_direction": direction}
        while True:
            page = api.get("/api/v2/products", params=query).json()
            assert len(page["data"]) <= 3
            seen += page["data"]
            if page["additional_data"]["next_cursor"] is None:
                break
            query["cursor"] = page["additional_data"]["next_cursor"]
        keys = [(one[column], one["id"]) for one in seen]
        assert keys == sorted(keys, reverse=direction == "desc")
        assert len(keys) == len(set(keys)) == api_rows(api, "products")
    marker = json.loads(base64.urlsafe_b64decode(query["cursor"] + "=="))
    assert set(marker) == {"field", "fieldValue", "sortDirection", "id"}
    assert "cursor" in refusal(api.get("/api/v2/products?cursor=nonsense"))


def api_rows(api: httpx.Client, resource: str) -> int:
    """How many live rows the emulator counts."""
    rows: dict[str, int] = api.get("/__sandbox__/stats").json()["rows"]
    return rows[resource]


def test_updated_window_is_half_open(api: httpx.Client) -> None:
    """updated_since includes its moment, updated_until does not, fractions are refused."""
    org = made(api, "organizations", name="Reloj")
    moment = org["update_time"]

    def found(**query: str) -> bool:
        params = {**query, "ids": str(org["id"])}
        return bool(api.get("/api/v2/organizations", params=params).json()["data"])

    assert found(updated_since=moment) and not found(updated_until=moment)
    assert "updated_since" in refusal(
        api.get("/api/v2/organizations?updated_since=2024-01-01T00:00:00.5Z")
    )


def test_lists_are_cut_by_links_and_ids(api: httpx.Client) -> None:
    """Filters by link, by up to a hundred ids, and the cap of the page size."""
    org = made(api, "organizations", name="Filtro")
    people = [made(api, "persons", name=f"F{at}", org_id=org["id"])["id"] for at in range(3)]
    answer = api.get("/api/v2/persons", params={"org_id": org["id"]}).json()["data"]
    assert [one["id"] for one in answer] == people
    listed = api.get("/api/v2/persons", params={"ids": f"{people[0]},99999"}).json()["data"]
    assert [one["id"] for one in listed] == [people[0]]
    assert "ids" in refusal(api.get("/api/v2/persons", params={"ids": "1," * 101}))
    assert api.get("/api/v2/persons?limit=10000").is_success
    assert refusal(api.get("/api/v2/deals?filter_id=1"), 404) == "Filter not found"
    counted = api.get(
        f"/api/v2/organizations/{org['id']}?include_fields=people_count,open_deals_count"
    ).json()["data"]
    assert (counted["people_count"], counted["open_deals_count"]) == (3, 0)


@pytest.fixture
def codes(api: httpx.Client) -> dict[str, Any]:
    """One custom organization field of every type: type -> definition."""
    from sandbox.pipedrive.fields import TYPES

    known = api.get("/api/v2/organizationFields?limit=500").json()["data"]
    found = {one["field_type"]: one for one in known if one["is_custom_field"]}
    for kind in TYPES:
        if kind not in found:
            body: dict[str, Any] = {"field_name": f"Campo {kind}", "field_type": kind}
            if kind in ("enum", "set"):
                body["options"] = [{"label": "Uno"}, {"label": "Dos"}]
            found[kind] = made(api, "organizationFields", **body)
    return found


def test_custom_values_come_back_as_sent(api: httpx.Client, codes: dict[str, Any]) -> None:
    """Every type has its own shape, unset ones are null, and null clears."""
    code = {kind: field["field_code"] for kind, field in codes.items()}
    first, second = (one["id"] for one in codes["set"]["options"])
    sent = {
        code["varchar"]: "a" * 255,
        code["text"]: "línea\notra",
        code["double"]: 12.5,
        code["monetary"]: {"value": 10, "currency": "EUR"},
        code["enum"]: codes["enum"]["options"][0]["id"],
        code["set"]: [second, first],
        code["user"]: 1,
        code["org"]: 1,
        code["people"]: 1,
        code["phone"]: "+34 600",
        code["date"]: "2024-02-29",
        code["daterange"]: {"value": "2024-01-01", "until": "2024-02-01"},
    }
    record = made(api, "organizations", name="Campos", custom_fields=sent)
    seen = record["custom_fields"]
    assert set(seen) == set(code.values())
    assert {key: seen[key] for key in sent} == sent
    assert seen[code["time"]] is None
    path = f"/api/v2/organizations/{record['id']}"
    body = {
        "custom_fields": {
            code["varchar"]: None,
            code["time"]: {"value": "10:00:00"},
            code["address"]: {"value": "Calle"},
        }
    }
    changed = api.patch(path, json=body).json()["data"]["custom_fields"]
    assert changed[code["varchar"]] is None and changed[code["double"]] == 12.5
    assert changed[code["time"]]["timezone_name"] == "Europe/Madrid"
    assert changed[code["address"]]["formatted_address"] is None
    only = api.get(path, params={"custom_fields": code["double"]}).json()["data"]
    assert only["custom_fields"] == {code["double"]: 12.5}
    labelled = api.get(path, params={"include_option_labels": "true"}).json()["data"]
    assert labelled["custom_fields"][code["enum"]]["label"] == "Uno"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("varchar", "", "null"),
        ("varchar", "a" * 256, "255"),
        ("varchar", {"value": "x"}, "Validation failed: custom_fields: Invalid collection"),
        ("varchar", 5, "Expected 'string' as value for organization custom field"),
        ("double", "5", "Expected 'number' as value for organization custom field"),
        ("double", True, "Expected 'number'"),
        ("monetary", 5, "expected 'object'"),
        ("monetary", {"value": 5, "currency": "ZZZ"}, "currency"),
        ("time", "10:00:00", "Time custom field value expected 'object'"),
        ("time", {"value": "10:00"}, "time"),
        ("date", "29/02/2024", "YYYY-MM-DD"),
        ("daterange", {"start": "2024-01-01", "end": "2024-01-02"}, "Unknown key 'start'"),
        ("enum", 99999, "option id"),
        ("enum", "Uno", "Expected 'number'"),
        ("set", [], "null"),
        ("set", "1,2", "expected 'array'"),
        ("org", 99999, "No org"),
        ("address", {"locality": "x"}, "value"),
    ],
)
def test_custom_values_that_do_not_fit(
    api: httpx.Client, codes: dict[str, Any], kind: str, value: Any, said: str
) -> None:
    """Each type refuses the shapes of the others, and the record is not created."""
    before = api_rows(api, "organizations")
    body = {"name": "x", "custom_fields": {codes[kind]["field_code"]: value}}
    assert said in refusal(api.post("/api/v2/organizations", json=body))
    assert api_rows(api, "organizations") == before


def test_unknown_custom_field_is_named(api: httpx.Client) -> None:
    """A key that is not of this account is refused with its name."""
    body = {"title": "x", "custom_fields": {"f" * 40: 1}}
    error = refusal(api.post("/api/v2/deals", json=body))
    assert error == f"Validation failed: custom_fields: Unknown key '{'f' * 40}'"


def test_field_options_change_as_a_whole(api: httpx.Client) -> None:
    """Options are added, renamed and removed by arrays, all or none."""
    body = {"field_name": "Color", "field_type": "enum", "options": [{"label": "Rojo"}]}
    field = made(api, "dealFields", **body)
    assert len(field["field_code"]) == 40 and field["is_custom_field"]
    path = f"/api/v2/dealFields/{field['field_code']}"
    red = field["options"][0]["id"]
    (blue,) = api.post(f"{path}/options", json=[{"label": "Azul"}]).json()["data"]
    assert blue == {"id": blue["id"], "label": "Azul"}
    wrong = [{"id": red, "label": "Granate"}, {"id": 99999, "label": "x"}]
    refusal(api.patch(f"{path}/options", json=wrong))
    labels = [one["label"] for one in api.get(path).json()["data"]["options"]]
    assert labels == ["Rojo", "Azul"]
    assert api.request("DELETE", f"{path}/options", json=[{"id": red}]).is_success
    assert api.delete(path).json()["data"]["field_code"] == field["field_code"]
    refusal(api.get(path), 404)
    refusal(api.post("/api/v2/dealFields", json={"field_name": "x", "field_type": "enum"}))
    refusal(api.post("/api/v2/dealFields", json={"field_name": "x", "field_type": "int"}))
    refusal(api.post("/api/v2/activityFields", json={}), 405)


def test_label_ids_are_options_of_the_built_in_field(api: httpx.Client) -> None:
    """A label added through the options endpoint can be used, an unknown one cannot."""
    options = "/api/v2/personFields/label_ids/options"
    (label,) = api.post(options, json=[{"label": "VIP"}]).json()["data"]
    person = made(api, "persons", name="Etiqueta", label_ids=[label["id"]])
    shown = api.get(f"/api/v2/persons/{person['id']}?include_labels=true").json()["data"]
    assert shown["labels"] == [label]
    bad = api.post("/api/v2/persons", json={"name": "x", "label_ids": [99999]})
    assert "label_ids" in refusal(bad)


def test_product_prices_and_category(api: httpx.Client) -> None:
    """Created with 201, one price per currency, the category is a number in and a string out."""
    options = "/api/v2/productFields/category/options"
    (category,) = api.post(options, json=[{"label": "Tubería"}]).json()["data"]
    answer = api.post(
        "/api/v2/products",
        json={
            "name": "Tubo",
            "code": "T-1",
            "tax": 10,
            "category": category["id"],
            "prices": [{"currency": "EUR", "price": 3.5, "cost": 2}],
        },
    )
    assert answer.status_code == 201
    product = answer.json()["data"]
    assert product["category"] == str(category["id"]) and product["tax"] == 10
    assert product["prices"] == [
        {
            "product_id": product["id"],
            "price": 3.5,
            "currency": "EUR",
            "cost": 2,
            "direct_cost": None,
            "notes": "",
        }
    ]
    bare = made(api, "products", name="Sin precio")
    assert [price["price"] for price in bare["prices"]] == [0]


def test_line_items(api: httpx.Client) -> None:
    """Lines follow their deal's currency, share one tax method and come in bulk, all or none."""
    deal = made(api, "deals", title="Líneas", currency="USD")
    product = made(api, "products", name="Cable")
    path = f"/api/v2/deals/{deal['id']}/products"
    line = {"product_id": product["id"], "item_price": 10, "quantity": 2.5}
    first = api.post(path, json={**line, "discount": 10, "tax_method": "exclusive"})
    assert first.status_code == 201
    kept = first.json()["data"]
    assert (kept["currency"], kept["sum"], kept["comments"]) == ("USD", 22.5, "")
    second = api.post(f"{path}/bulk", json={"data": [line, {**line, "tax_method": "inclusive"}]})
    assert second.status_code == 201 and len(second.json()["data"]) == 2
    refusal(api.post(f"{path}/bulk", json={"data": [line, {**line, "product_id": 99999}]}))
    refusal(api.post(f"{path}/bulk", json={"data": [line] * 101}))
    listed = api.get("/api/v2/deals/products", params={"deal_ids": deal["id"]}).json()["data"]
    assert [one["tax_method"] for one in listed] == ["inclusive"] * 3
    changed = api.patch(f"{path}/{kept['id']}", json={"quantity": 1}).json()["data"]
    assert changed["sum"] == 9
    assert api.delete(f"{path}/{kept['id']}").json()["data"] == {"id": kept["id"]}
    gone = api.delete(path).json()
    assert len(gone["data"]["ids"]) == 2
    assert gone["additional_data"] == {"more_items_in_collection": False}


def test_activity(api: httpx.Client) -> None:
    """The person comes from the primary participant, times from the clock, notes are cleaned."""
    activity = made(
        api,
        "activities",
        type="call",
        due_date="2020-01-02",
        due_time="09:30",
        duration="01:00",
        done=True,
        deal_id=1,
        participants=[{"person_id": 2}],
        note="<b onclick='x()'>hola</b><script>alert(1)</script>",
    )
    assert activity["person_id"] == 2 and activity["subject"] == "Call"
    assert activity["due_time"] == "09:30:00" and activity["duration"] == "01:00:00"
    assert activity["marked_as_done_time"] == activity["add_time"]
    assert activity["note"] == "<b>hola</b>"
    assert "attendees" not in activity
    path = f"/api/v2/activities/{activity['id']}"
    assert api.get(path, params={"include_fields": "attendees"}).json()["data"]["attendees"] == []
    undone = api.patch(path, json={"done": False}).json()["data"]
    assert undone["marked_as_done_time"] is None
    done = api.get("/api/v2/activities?done=true&person_id=2").json()["data"]
    assert activity["id"] not in [one["id"] for one in done]


def test_custom_activity_type_can_be_used(api: httpx.Client) -> None:
    """The key made from the name is what activities take; a removed type is refused."""
    body = {"name": "Visita técnica", "icon_key": "car"}
    kind = api.post("/v1/activityTypes", json=body).json()["data"]
    assert kind["key_string"] == "visita_tecnica" and kind["is_custom_flag"]
    made(api, "activities", subject="x", type="visita_tecnica")
    assert api.delete(f"/v1/activityTypes/{kind['id']}").json()["data"]["active_flag"] is False
    answer = api.post("/api/v2/activities", json={"subject": "x", "type": "visita_tecnica"})
    assert "type" in refusal(answer)


def test_note(api: httpx.Client) -> None:
    """Notes take their own creation time, need a parent, and lose whatever could run."""
    body = {
        "content": '<p style="x">Hola <a href="javascript:x()">a</a><script>no</script></p>',
        "deal_id": 1,
        "add_time": "2018-01-02 03:04:05",
        "pinned_to_deal_flag": 1,
        "user_id": 2,
    }
    answer = api.post("/v1/notes", json=body)
    note = answer.json()["data"]
    assert note["add_time"] == body["add_time"] and note["pinned_to_deal_flag"] is True
    assert note["content"] == "<p>Hola <a>a</a></p>"
    assert note["deal"] == {"title": "Reforma cuadro eléctrico"}
    assert note["user"]["name"] == "Lucía Ferrer" and note["user"]["is_you"] is False
    refusal(api.post("/v1/notes", json={"content": "x"}))
    refusal(api.post("/v1/notes", json={"deal_id": 1}))
    refusal(api.post("/v1/notes", json={"content": "x" * 102_401, "deal_id": 1}))
    refusal(api.post("/v1/notes", json={"content": "x", "deal_id": 99999}), 404)
    path = f"/v1/notes/{note['id']}"
    changed = api.put(path, json={"content": "nuevo"}).json()["data"]
    assert changed["content"] == "nuevo" and changed["add_time"] == body["add_time"]
    assert api.delete(path).json() == {"success": True, "data": True}
    refusal(api.get(path), 404)


def test_v1_lists_have_their_own_envelope(api: httpx.Client) -> None:
    """Start and limit under a pagination wrapper; an empty list is null."""
    for at in range(3):
        assert api.post("/v1/notes", json={"content": f"n{at}", "org_id": 2}).is_success
    page = api.get("/v1/notes?org_id=2&limit=2&sort=id DESC").json()
    assert [one["content"] for one in page["data"]] == ["n2", "n1"]
    assert page["additional_data"]["pagination"] == {
        "start": 0,
        "limit": 2,
        "more_items_in_collection": True,
        "next_start": 2,
    }
    empty = api.get("/v1/notes?person_id=2").json()
    assert empty["data"] is None
    assert empty["additional_data"]["pagination"]["more_items_in_collection"] is False


def test_file_bytes_come_back(api: httpx.Client) -> None:
    """An upload is linked, listed, renamed by form, downloaded unchanged and deleted."""
    content = bytes(range(256)) * 100
    answer = api.post(
        "/v1/files", files={"file": ("acta ñ.pdf", content)}, data={"deal_id": "1", "org_id": "1"}
    )
    file = answer.json()["data"]
    assert (file["name"], file["file_size"], file["file_type"]) == ("acta ñ.pdf", 25_600, "pdf")
    assert (file["deal_id"], file["org_name"]) == (1, "Talleres Aurora SL")
    path = f"/v1/files/{file['id']}"
    renamed = api.put(path, data={"name": "acta.pdf"}).json()["data"]
    assert renamed["name"] == "acta.pdf"
    refusal(api.put(path, json={"name": "x"}))
    got = api.get(file["url"])
    assert got.content == content
    assert got.headers["content-type"] == "application/octet-stream"
    dumped = [json.loads(line) for line in api.get("/__sandbox__/dump").text.splitlines()]
    (entry,) = [one for one in dumped if one["resource"] == "files"]
    assert entry["record"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert api.delete(path).json()["data"] == {"id": file["id"]}
    refusal(api.get(f"{path}/download"), 404)
    refusal(api.post("/v1/files", data={"deal_id": "1"}))


def test_search_finds_by_name_and_custom_field(api: httpx.Client) -> None:
    """Entity search ignores case, field search does not, both return summaries."""
    field = made(api, "personFields", field_name="Id origen", field_type="varchar")
    code = field["field_code"]
    person = made(
        api,
        "persons",
        name="Búsqueda Rara",
        emails=[{"value": "rara@x.example"}],
        custom_fields={code: "STEL-AbC1"},
    )
    params = {"term": "stel-abc1", "fields": "custom_fields", "exact_match": "true"}
    (hit,) = api.get("/api/v2/persons/search", params=params).json()["data"]["items"]
    assert hit["item"]["id"] == person["id"]
    assert hit["item"]["emails"] == ["rara@x.example"]
    assert hit["item"]["custom_fields"] == ["STEL-AbC1"]

    def by_field(term: str, match: str = "exact") -> list[Any]:
        query = {"term": term, "entity_type": "person", "field": code, "match": match}
        answer = api.get("/api/v2/itemSearch/field", params=query)
        return [one["id"] for one in answer.json()["data"]]

    assert by_field("STEL-AbC1") == [person["id"]] and by_field("stel-abc1") == []
    assert by_field("STEL", "beginning") == by_field("AbC", "middle") == [person["id"]]
    anywhere = api.get("/api/v2/itemSearch?term=queda rara").json()["data"]["items"]
    assert [one["item"]["type"] for one in anywhere] == ["person"]
    refusal(api.get("/api/v2/persons/search?term=a"))
    refusal(api.get("/api/v2/persons/search?term=abc&limit=101"))
    api.delete(f"/api/v2/persons/{person['id']}")
    assert by_field("STEL-AbC1") == []


def test_wrong_verb_and_unknown_path(api: httpx.Client) -> None:
    """A known path with another verb is 405, an unknown one 404, both in JSON."""
    refusal(api.put("/api/v2/deals/1", json={}), 405)
    refusal(api.get("/api/v2/unknown"), 404)
    refusal(api.get("/api/v2/deals/99999"), 404)
    refusal(api.get(f"/api/v2/deals/{10**30}"), 404)


def test_stats_count_operations_and_tokens(api: httpx.Client) -> None:
    """Each request is counted under its documented name at its documented price."""
    before = api.get("/__sandbox__/stats").json()
    made(api, "deals", title="x")
    api.get("/api/v2/deals")
    refusal(api.post("/api/v2/deals", json={}))
    after = api.get("/__sandbox__/stats").json()
    spent = after["tokens"]["spent_today"] - before["tokens"]["spent_today"]
    assert spent == 5 + 10 + 5
    assert after["requests"]["addDeal"] == before["requests"].get("addDeal", 0) + 2
    assert after["answers"]["400"] == before["answers"].get("400", 0) + 1
    assert after["rows"]["deals"] == before["rows"]["deals"] + 1
