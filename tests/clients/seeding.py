"""What is in the account before a client comes: rows of every kind, more than a page of persons and deals, every type of custom field."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

Row = dict[str, Any]
Dump = dict[str, dict[Any, Row]]

PERSONS = 130  # over a page of 100 with every client but those that ask for 500
FIELD_TYPES = (
    "varchar", "varchar_auto", "text", "double", "monetary", "date", "daterange", "time", "timerange", "enum", "set", "user", "org",
    "people", "phone", "address",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """The emulator, called as people do, and read from its own store past its API."""

    url: str
    key: str
    http: httpx.Client

    def send(self, verb: str, path: str, body: Any = None, **more: Any) -> Any:
        """The data of an answer that is no refusal; waits while a burst window is full."""
        for _ in range(60):
            answer = self.http.request(verb, f"{self.url}{path}", headers={"x-api-token": self.key}, json=body, **more)
            if answer.status_code != 429:
                break
            time.sleep(0.1)
        assert answer.is_success, f"{verb} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()["data"]

    def make(self, path: str, **body: Any) -> Any:
        """Make a row and return its id."""
        return self.send("POST", path, body)["id"]

    def dump(self) -> Dump:
        """Every live row, by table and id."""
        found: Dump = {}
        for line in self.http.get(f"{self.url}/__sandbox__/dump").text.splitlines():
            entry = json.loads(line)
            found.setdefault(entry["resource"], {})[entry["id"]] = entry["record"]
        return found


def seed(account: Account) -> None:
    """Fill the account."""
    make = account.make
    fields = {entity: _fields(account, entity) for entity in ("deal", "person", "organization", "product")}
    sales = make("/api/v2/pipelines", name="Ventas nuevas")
    stages = [make("/api/v2/stages", name=name, pipeline_id=sales) for name in ("Uno", "Dos & tres", "Cuatro")]
    orgs = [make("/api/v2/organizations", name=f"Cliente {at} SL", address={"value": f"Calle Mayor {at}"}) for at in range(12)]
    persons = [_person(make, at, orgs) for at in range(PERSONS)]
    account.send("PATCH", f"/api/v2/persons/{persons[0]}", {"custom_fields": _values(fields["person"], orgs[0], persons[1])})
    account.send("PATCH", f"/api/v2/organizations/{orgs[0]}", {"custom_fields": _values(fields["organization"], orgs[1], persons[0])})
    products = [
        make("/api/v2/products", name=f"Artículo {at}", code=f"A-{at}", tax=21, prices=[{"currency": "EUR", "price": at + 0.5}])
        for at in range(7)
    ]
    account.send("PATCH", f"/api/v2/products/{products[0]}", {"custom_fields": _values(fields["product"], orgs[0], persons[0])})
    deals = [_deal(make, at, stages, orgs, persons) for at in range(24)]
    account.send("PATCH", f"/api/v2/deals/{deals[0]}", {"custom_fields": _values(fields["deal"], orgs[0], persons[0])})
    account.send("PATCH", f"/api/v2/deals/{deals[3]}", {"stage_id": stages[2]})
    for at, deal in enumerate(deals[:5]):
        make(f"/api/v2/deals/{deal}/products", product_id=products[at], item_price=10.25, quantity=at + 1)
        account.send("POST", f"/v1/deals/{deal}/participants", {"person_id": persons[40 + at]})
    account.send("DELETE", f"/api/v2/deals/{deals[22]}")
    account.send("PATCH", f"/api/v2/deals/{deals[23]}", {"is_archived": True})
    _small(account, deals, orgs, persons)


def _fields(account: Account, entity: str) -> dict[str, Row]:
    found = {}
    for kind in FIELD_TYPES:
        options = {"options": [{"label": "Rojo"}, {"label": "Azul, claro"}]} if kind in ("enum", "set") else {}
        found[kind] = account.send("POST", f"/api/v2/{entity}Fields", {"field_name": f"Campo {kind}", "field_type": kind, **options})
    return found


def _values(fields: dict[str, Row], org: int, person: int) -> Row:
    first, second = (option["id"] for option in fields["set"]["options"])
    values: Row = {
        "varchar": "Ñandú", "varchar_auto": "auto", "text": "one\ntwo", "double": 1.25, "monetary": {"value": 9.5, "currency": "EUR"},
        "date": "2026-02-28", "daterange": {"value": "2026-01-01", "until": "2026-01-31"}, "time": {"value": "09:30:00"},
        "timerange": {"value": "09:30:00", "until": "10:00:00"}, "enum": fields["enum"]["options"][1]["id"], "set": [first, second],
        "user": 1, "org": org, "people": person, "phone": "+34 600", "address": {"value": "Calle Menor 2, Madrid"},
    }  # fmt: skip
    return {fields[kind]["field_code"]: value for kind, value in values.items()}


def _person(make: Callable[..., int], at: int, orgs: list[int]) -> int:
    emails = [{"value": f"p{at}@cliente.example", "primary": True, "label": "work"}]
    phones = [{"value": f"+34 6000{at:05}", "primary": True, "label": "mobile"}]
    return make("/api/v2/persons", name=f"Persona {at}", org_id=orgs[at % len(orgs)], emails=emails, phones=phones)


def _deal(make: Callable[..., int], at: int, stages: list[int], orgs: list[int], persons: list[int]) -> int:
    how: Row = {0: {}, 1: {"status": "won"}, 2: {"status": "lost", "lost_reason": "Caro"}}[at % 3]
    links = {"stage_id": stages[at % len(stages)], "org_id": orgs[at % len(orgs)], "person_id": persons[at]}
    return make("/api/v2/deals", title=f"Obra {at}", value=100.5 * at, currency="EUR", **links, **how)


def _small(account: Account, deals: list[int], orgs: list[int], persons: list[int]) -> None:
    make = account.make
    for at in range(14):
        make("/v1/notes", content=f"<b>Nota {at}</b>", **({"deal_id": deals[at]} if at % 2 else {"org_id": orgs[at % 12]}))
        participants = [{"person_id": persons[at], "primary": True}]
        due = {"due_date": "2026-11-20", "due_time": "10:00", "duration": "01:00"}
        make("/api/v2/activities", subject=f"Visita {at}", type="call", deal_id=deals[at], participants=participants, done=at % 2 == 0, **due)
    for at in range(3):
        file = {"file": (f"plano {at}.txt", b"contents " * (at + 1), "text/plain")}
        account.send("POST", "/v1/files", files=file, data={"deal_id": str(deals[at])})
    label = account.send("GET", "/v1/leadLabels")[0]["id"]
    for at in range(3):
        make("/v1/leads", title=f"Oportunidad {at}", organization_id=orgs[at], label_ids=[label], value={"amount": 10, "currency": "EUR"})
    make("/v1/activityTypes", name="Revisión", icon_key="task")
    conditions = {"glue": "and", "conditions": [
        {"glue": "and", "conditions": [{"object": "deal", "field_id": _status(account), "operator": "=", "value": "open", "extra_value": None}]},
        {"glue": "or", "conditions": []},
    ]}  # fmt: skip
    make("/v1/filters", name="Abiertos", type="deals", conditions=conditions)
    account.send("POST", f"/api/v2/deals/{deals[0]}/followers", {"user_id": 2})
    account.send("POST", f"/api/v2/persons/{persons[0]}/followers", {"user_id": 2})


def _status(account: Account) -> str:
    found = [one["id"] for one in account.send("GET", "/v1/dealFields?limit=500") if one["key"] == "status"]
    return str(found[0])
