"""What the connector does not call: v1 definitions, leads, participants, followers, filters, merges, recents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from sandbox.launch import launch
from sandbox.pipedrive import (
    absent,
    access,
    bare,
    histories,
    statistics,
    tools,
    v1_deals,
)
from tests import loopback
from tests.contract.recorder import Exchange, record

NOWHERE = 99_999
ENTITIES = ("deal", "person", "organization", "product")
FOLLOWED = {"deals": "title", "persons": "name", "organizations": "name", "products": "name"}
FIRST = dict.fromkeys(("deals", "persons", "organizations", "products", "pipelines", "stages"), "v2") | {"notes": "v1"}
EMPTY: dict[str, Any] = {"glue": "or", "conditions": []}


class Caller:
    """Sends requests that must succeed, or be refused where that is asked for."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def __call__(self, verb: str, path: str, body: Any = None, status: int = 2) -> Any:
        """The data of the answer, whose status must begin with this digit."""
        answer = self.http.request(verb, f"/api/{path}", json=body)
        assert answer.status_code // 100 == status, f"{verb} {path}: {answer.text}"
        return answer.json().get("data")


def drive(folder: Path, *switches: str) -> list[Exchange]:
    """One call at least of every operation, on a new account with these switches; what went by."""
    extra = ["--speed", "20"]
    for switch in ("index_delay=0", *switches):
        extra += ["--set", switch]
    with (
        launch("pipedrive", plan="ultimate", seats=20, extra_args=extra, data=folder / "further.db") as running,
        record(running.base_url) as recording,
        loopback.client(base_url=recording.base_url, headers={"x-api-token": running.key}, timeout=10) as http,
    ):
        call = Caller(http)
        for entity in ENTITIES:
            _definitions(call, entity)
        for name in ("activityFields", "leadFields", "noteFields"):
            call("GET", f"v1/{name}")
        lead = _leads(call)
        _participants(call)
        for kind, name in FOLLOWED.items():
            _followers(call, kind, name)
        _filters(call)
        _files(call, http, lead)
        now = datetime.now(UTC).strftime("%Y-%m-01 00:00:00")
        call("GET", f"v1/recents?since_timestamp={now.replace(' ', '%20')}")
        _merges(call)
        _lines(call)
        _options(call)
        _searches(call)
        _sundry(call, http)
        _what_happened(call)
        _everything_else(call, lead)
    return recording.exchanges


def _definitions(call: Caller, entity: str) -> None:
    path = f"v1/{entity}Fields"
    made = call("POST", path, {"name": "Clase", "field_type": "enum", "options": [{"label": "A"}, {"label": "B"}]})
    kept = [{"id": made["options"][0]["id"], "label": "A"}, {"label": "C"}]
    call("PUT", f"{path}/{made['id']}", {"name": "Tipo", "options": kept})
    call("GET", f"{path}/{made['id']}")
    more = [call("POST", path, {"name": kind, "field_type": kind})["id"] for kind in ("monetary", "address", "date")]
    call("GET", path)
    call("DELETE", f"{path}/{made['id']}")
    call("GET", f"{path}/{NOWHERE}", status=4)
    call("DELETE", f"{path}?ids={more[0]},{more[1]}")


def _leads(call: Caller) -> str:
    label = call("POST", "v1/leadLabels", {"name": "Nueva", "color": "green"})["id"]
    call("PATCH", f"v1/leadLabels/{label}", {"color": "pink"})
    call("GET", "v1/leadLabels")
    call("GET", "v1/leadSources")
    body = {
        "title": "Prospecto",
        "owner_id": 1,
        "person_id": 1,
        "organization_id": 1,
        "label_ids": [label],
        "value": {"amount": 12.5, "currency": "EUR"},
        "expected_close_date": "2027-01-31",
        "visible_to": "3",
        "was_seen": True,
        "origin_id": "web",
        "channel_id": "otoño",
    }
    lead: str = call("POST", "v1/leads", body)["id"]
    bare = call("POST", "v1/leads", {"title": "Solo", "organization_id": 1})["id"]
    call("PATCH", f"v1/leads/{lead}", {"title": "Otro", "value": None})
    call("PATCH", f"v1/leads/{bare}", {"is_archived": True})
    call("GET", f"v1/leads/{lead}")
    call("GET", "v1/leads?organization_id=1&sort=title")
    call("GET", "v1/leads/archived")
    call("POST", "v1/notes", {"content": "x", "lead_id": lead})
    call("GET", f"v1/notes?lead_id={lead}")
    call("POST", "v2/activities", {"subject": "x", "lead_id": lead})
    call("DELETE", f"v1/leads/{bare}")
    call("GET", f"v1/leads/{bare}", status=4)
    call("DELETE", f"v1/leadLabels/{label}")
    return lead


def _participants(call: Caller) -> None:
    path = "v1/deals/1/participants"
    made = call("POST", path, {"person_id": 2})["id"]
    call("POST", path, {"person_id": 2}, status=4)
    call("GET", path)
    call("DELETE", f"{path}/{made}")
    call("GET", f"v1/deals/{NOWHERE}/participants", status=4)


def _followers(call: Caller, kind: str, name: str) -> None:
    path = f"{kind}/{call('POST', f'v2/{kind}', {name: 'x'})['id']}/followers"
    call("POST", f"v2/{path}", {"user_id": 2})
    call("POST", f"v2/{path}", {"user_id": 2}, status=4)
    call("GET", f"v2/{path}")
    made = call("POST", f"v1/{path}", {"user_id": 3})["id"]
    call("GET", f"v1/{path}")
    call("DELETE", f"v2/{path}/2")
    call("DELETE", f"v1/{path}/{made}")


def _filters(call: Caller) -> None:
    fields = {one["key"]: one["id"] for one in call("GET", "v1/dealFields")}
    title = {"object": "deal", "field_id": str(fields["title"]), "operator": "LIKE '$%'", "value": "Clima"}
    body = {"glue": "and", "conditions": [{"glue": "and", "conditions": [title]}, EMPTY]}
    made = call("POST", "v1/filters", {"name": "Clima", "type": "deals", "conditions": body})["id"]
    call("GET", f"v1/filters/{made}?include_field_code=true")
    call("PUT", f"v1/filters/{made}", {"name": "Todo", "conditions": body})
    call("GET", "v1/filters?type=deals")
    (found,) = call("GET", f"v2/deals?filter_id={made}")
    assert found["title"] == "Climatización"
    call("DELETE", f"v1/filters/{made}")
    other = call("POST", "v1/filters", {"name": "x", "type": "deals", "conditions": body})["id"]
    call("DELETE", f"v1/filters?ids={other}")


def _files(call: Caller, http: httpx.Client, lead: str) -> None:
    links = {"deal_id": "1", "person_id": "1", "org_id": "1", "product_id": "1", "lead_id": lead}
    answer = http.post("/api/v1/files", files={"file": ("a.txt", b"x")}, data=links)
    assert answer.is_success, answer.text
    for kind in FOLLOWED:
        call("GET", f"v1/{kind}/1/files?sort=id")


def _merges(call: Caller) -> None:
    for kind, name in (("deals", "title"), ("persons", "name"), ("organizations", "name")):
        gone, kept = (call("POST", f"v2/{kind}", {name: "x"})["id"] for _ in range(2))
        call("PUT", f"v1/{kind}/{gone}/merge", {"merge_with_id": kept})
        call("GET", f"v2/{kind}/{gone}", status=4)


def _lines(call: Caller) -> None:
    deal = call("POST", "v2/deals", {"title": "x"})["id"]
    path = f"v2/deals/{deal}/products"
    line = {"product_id": 1, "item_price": 5, "quantity": 2}
    call("POST", f"{path}/bulk", {"data": [line, {**line, "comments": "x"}]})
    call("GET", path)
    call("DELETE", path)


def _options(call: Caller) -> None:
    for entity in ENTITIES:
        body = {"field_name": "x", "field_type": "set", "options": [{"label": "A"}]}
        field = call("POST", f"v2/{entity}Fields", body)
        renamed = [{"id": field["options"][0]["id"], "label": "B"}]
        call("PATCH", f"v2/{entity}Fields/{field['field_code']}/options", renamed)
    call("GET", "v2/activityFields?include_fields=ui_visibility")
    call("GET", "v2/activityFields/priority")


def _searches(call: Caller) -> None:
    for kind in ("deals", "persons", "organizations"):
        call("GET", f"v2/{kind}/search?term=al")
    call("GET", "v2/products/search?term=oficial")
    call("GET", "v2/itemSearch?term=al&limit=50")
    call("GET", "v2/itemSearch/field?term=Clim&entity_type=deal&match=beginning&field=title")
    call("POST", "v2/deals", {"title": "archiviert", "is_archived": True})
    call("GET", "v2/deals/archived")


def _sundry(call: Caller, http: httpx.Client) -> None:
    made = call("POST", "v1/activityTypes", {"name": "Obra", "icon_key": "truck", "color": "FF0000"})["id"]
    call("PUT", f"v1/activityTypes/{made}", {"name": "Obra mayor"})
    call("DELETE", f"v1/activityTypes/{made}")
    call("GET", "v1/currencies?term=eur")
    call("GET", "v1/users/find?term=olga")
    file = call("GET", "v1/files")[0]["id"]
    assert http.get(f"/api/v1/files/{file}/download").content == b"x"
    assert http.put(f"/api/v1/files/{file}", data={"name": "b.txt"}).is_success


def _what_happened(call: Caller) -> None:
    code = call("GET", "v2/dealFields?limit=500")[-1]["field_code"]
    for kind, change in (("deals", {"stage_id": 3}), ("persons", {"name": "Ana B."}), ("organizations", {"name": "Aurora SA"})):
        [key] = [one["id"] for one in call("GET", f"v2/{kind}?limit=1")]
        call("PATCH", f"v2/{kind}/{key}", change)
        if kind == "deals":
            call("PATCH", f"v2/deals/{key}", {"custom_fields": {code: None}})
        call("GET", f"v1/{kind}/{key}/flow?all_changes=1")
        call("GET", f"v1/{kind}/{key}/changelog?limit=1")
        call("GET", f"v1/{kind}/{NOWHERE}/flow", status=4)


def _everything_else(call: Caller, lead: str) -> None:
    """What is read only here; `{id}` is the first row of its kind."""
    days = "start_date=2020-01-01&end_date=2030-12-31"
    given = {
        "/mailbox/mailThreads": "?folder=inbox", "/organizationRelationships": "?org_id={organizations}", "/projects/search": "?term=ab",
        "/deals/installments": "?deal_ids={deals}",
        "/deals/timeline": "?field_key=add_time&start_date=2025-01-01&interval=quarter&amount=9",
        "/pipelines/{id}/conversion_statistics": f"?{days}", "/pipelines/{id}/movement_statistics": f"?{days}",
        "/projects/phases": "?board_id=1", "/phases": "?board_id=1",
        "/goals/{uuid}/results": "?period.start=2026-01-01&period.end=2026-01-31",
    }  # fmt: skip
    given["/deals/timeline/archived"] = given["/deals/timeline"]
    first = {kind: call("GET", f"{version}/{kind}?limit=1")[0]["id"] for kind, version in FIRST.items()}
    first |= dict.fromkeys(("users", "legacyTeams"), call("GET", "v1/users")[0]["id"]) | {"roles": 1}
    named = {"leads": lead, "permissionSets": call("GET", "v1/permissionSets")[0]["id"]}
    call("POST", f"v2/deals/{first['deals']}/products", {"product_id": first["products"], "item_price": 5, "quantity": 2})
    for kind in FOLLOWED:
        call("POST", f"v2/{kind}/{first[kind]}/followers", {"user_id": 2})
        call("DELETE", f"v2/{kind}/{first[kind]}/followers/2")
    nobody = "00000000-0000-4000-8000-00000000ffff"
    for module, status in {bare: 2, access: 2, histories: 2, statistics: 2, v1_deals: 2, tools: 2, absent: 4}.items():
        for one in module.OPERATIONS:
            kind = one.path.split("/")[1]
            path = one.path.replace("{id}", str(first.get(kind, NOWHERE)))
            path = path.replace("{uuid}", named.get(kind, nobody)).replace("{conversion}", nobody)
            call("GET", one.version + path + given.get(one.path, "").format(**first), status=status)
    call("GET", "v2/projectFields")
    call("GET", "v2/projectFields/title")
    for version in ("v1", "v2"):
        call("GET", f"{version}/leads/search?term=otr")
    call("GET", "v2/itemSearch?term=otr&item_types=lead")
    call("GET", "v2/itemSearch/field?term=otr&entity_type=lead&field=title&match=beginning", status=2)
