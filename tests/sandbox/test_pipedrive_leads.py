"""Leads and their labels in the Pipedrive emulator, and what hangs on a lead."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.pipedrive_account import Account, Record, account

NOWHERE = str(uuid.UUID(int=7))
LINK = {"title": "x", "organization_id": 1}


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


def lead(api: Account, **body: Any) -> Record:
    """Make a lead and return it."""
    return dict(api.send("POST", "/v1/leads", {**LINK, **body}, 201))


def test_a_lead_is_kept_as_sent(api: Account) -> None:
    """What was sent comes back, the rest is as published: UUID, source, text for the visibility."""
    hot = api.send("GET", "/v1/leadLabels")[0]["id"]
    body = {
        "title": "Reforma integral",
        "owner_id": 2,
        "person_id": 1,
        "organization_id": 1,
        "label_ids": [hot],
        "value": {"amount": 1500.5, "currency": "EUR"},
        "expected_close_date": "2027-02-28",
        "visible_to": "3",
        "was_seen": True,
        "origin_id": "form-1",
    }
    made = lead(api, **body)
    assert {key: made[key] for key in body} == body
    assert str(uuid.UUID(made["id"])) == made["id"]
    assert (made["source_name"], made["origin"], made["is_archived"]) == ("API", "API", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["add_time"])
    assert api.send("GET", f"/v1/leads/{made['id']}") == made
    assert api.send("GET", f"/v1/leads/{made['id'].upper()}") == made


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"title": "x"}, 400, 'One of the "person_id" or "organization_id" must be set.'),
        ({"organization_id": 1}, 400, '"title" is required'),
        ({**LINK, "title": " "}, 400, '"title" is not allowed to be empty'),
        ({**LINK, "title": "x" * 256}, 400, "255 characters long"),
        ({**LINK, "organization_id": "1"}, 400, '"organization_id" must be a number'),
        ({**LINK, "organization_id": 999}, 404, "Organization not found"),
        ({**LINK, "owner_id": 999}, 404, "Owner not found"),
        ({**LINK, "org_id": 1}, 400, '"org_id" is not allowed'),
        ({**LINK, "add_time": "2020-01-01T00:00:00Z"}, 400, '"add_time" is not allowed'),
        ({**LINK, "value": {"amount": 5}}, 400, "currency"),
        ({**LINK, "value": {"amount": "5", "currency": "EUR"}}, 400, "amount"),
        ({**LINK, "visible_to": 3}, 400, "visible_to"),
        ({**LINK, "label_ids": [NOWHERE]}, 404, "Lead label not found"),
        ({**LINK, "expected_close_date": "2020-02-30"}, 400, "expected_close_date"),
        ({**LINK, "is_archived": True}, 400, '"is_archived" is not allowed'),
    ],
)
def test_what_a_lead_does_not_take(api: Account, body: Record, status: int, said: str) -> None:
    """Every refusal names what does not fit, and no lead is made."""
    before = api.dump().get("leads")
    assert said in api.send("POST", "/v1/leads", body, status)
    assert api.dump().get("leads") == before


def test_a_lead_is_changed_in_part(api: Account) -> None:
    """What is sent changes, null clears, and a lead is never left without person and organization."""
    key = lead(api, person_id=1, value={"amount": 1, "currency": "EUR"})["id"]
    api.http.post("/__sandbox__/clock", json={"advance": 60})
    path = f"/v1/leads/{key}"
    changed = api.send("PATCH", path, {"title": "Nuevo", "value": None, "organization_id": None})
    assert (changed["title"], changed["value"], changed["organization_id"]) == ("Nuevo", None, None)
    assert changed["person_id"] == 1 and changed["update_time"] > changed["add_time"]
    api.send("PATCH", path, {"person_id": None}, 400)
    api.send("PUT", path, {"title": "y"}, 405)
    assert api.send("DELETE", path) == {"id": key}
    for verb in ("GET", "PATCH", "DELETE"):
        assert api.send(verb, path, {"title": "z"} if verb == "PATCH" else None, 404) == "Lead not found"


def test_archived_leads_have_a_list_of_their_own() -> None:
    """An archived lead leaves the first list; lists are cut by link, moment and page."""
    with account() as api:
        assert api.send("GET", "/v1/leads") is None  # an empty v1 list
        keys = [lead(api, title=f"L{at}")["id"] for at in range(3)]
        other = lead(api, organization_id=2, person_id=2)["id"]
        api.send("PATCH", f"/v1/leads/{keys[0]}", {"is_archived": True})
        ids = [one["id"] for one in api.send("GET", "/v1/leads")]
        assert ids == [*keys[1:], other]
        assert [one["id"] for one in api.send("GET", "/v1/leads/archived")] == [keys[0]]
        assert [one["id"] for one in api.send("GET", "/v1/leads?organization_id=2")] == [other]
        assert [one["id"] for one in api.send("GET", "/v1/leads?person_id=2")] == [other]
        page = api.http.get("/v1/leads?limit=2&start=1&sort=title DESC").json()
        assert [one["title"] for one in page["data"]] == ["L2", "L1"]
        assert page["additional_data"]["pagination"]["more_items_in_collection"] is False
        api.http.post("/__sandbox__/clock", json={"advance": 60})
        api.send("PATCH", f"/v1/leads/{other}", {"was_seen": True})
        moment = api.send("GET", f"/v1/leads/{other}")["update_time"]
        found = api.send("GET", f"/v1/leads?updated_since={moment}")
        assert [one["id"] for one in found] == [other]


def test_leads_hold_the_custom_fields_of_deals(api: Account) -> None:
    """Flat keys in the forms of v1; one that was never set does not appear, null clears."""
    kinds = ("varchar", "double", "monetary", "date", "daterange", "address", "time")
    code = {kind: api.field("deal", kind)["field_code"] for kind in kinds}
    options: dict[str, list[int]] = {}
    for kind in ("enum", "set"):
        field = api.field("deal", kind, "Uno", "Dos")
        code[kind], options[kind] = field["field_code"], [one["id"] for one in field["options"]]
    body = {
        code["varchar"]: "texto",
        code["double"]: 1.5,
        code["monetary"]: 2300,
        f"{code['monetary']}_currency": "USD",
        code["daterange"]: "2027-01-01",
        f"{code['daterange']}_until": "2027-01-31",
        code["address"]: "Calle Mayor 1",
        f"{code['address']}_locality": "Madrid",
        code["time"]: "10:00:00",
        code["enum"]: str(options["enum"][1]),
        code["set"]: ",".join(map(str, options["set"])),
    }
    made = lead(api, **body)
    assert {key: made[key] for key in body} == body
    numbers = {code["enum"]: options["enum"][1], code["set"]: options["set"]}
    again = lead(api, **{**body, **numbers})  # v1 takes numbers for them as well
    assert {key: again[key] for key in body} == body
    assert code["date"] not in made
    cleared = api.send("PATCH", f"/v1/leads/{made['id']}", {code["varchar"]: None})
    assert code["varchar"] not in cleared and cleared[code["double"]] == 1.5
    api.send("PATCH", f"/v1/leads/{made['id']}", {code["enum"]: "999999"}, 400)
    api.send("PATCH", f"/v1/leads/{made['id']}", {"f" * 40: "x"}, 400)


def test_labels_of_leads(api: Account) -> None:
    """Three are there from the start; a removed one leaves no trace in a lead."""
    assert [one["name"] for one in api.send("GET", "/v1/leadLabels")] == ["Hot", "Cold", "Warm"]
    label = api.send("POST", "/v1/leadLabels", {"name": "Obra", "color": "green"})
    assert label["color"] == "green"
    for wrong in ({"name": "x"}, {"color": "red"}, {"name": "x", "color": "teal"}, {"name": "x", "color": "red", "y": 1}):
        api.send("POST", "/v1/leadLabels", wrong, 400)
    path = f"/v1/leadLabels/{label['id']}"
    assert api.send("PATCH", path, {"name": "Reforma"})["name"] == "Reforma"
    key = lead(api, label_ids=[label["id"]])["id"]
    assert api.send("DELETE", path) == {"id": label["id"]}
    assert api.send("GET", f"/v1/leads/{key}")["label_ids"] == []
    api.send("DELETE", path, status=404)
    assert {"name": "API"} in api.send("GET", "/v1/leadSources")


def test_notes_activities_and_files_of_a_lead(api: Account) -> None:
    """They are linked by the lead's UUID; a lead that is not there is refused, a deal goes before it."""
    key = lead(api, title="Con todo")["id"]
    note = api.make("notes", content="x", lead_id=key)
    assert [one["id"] for one in api.send("GET", f"/v1/notes?lead_id={key}")] == [note]
    activity = api.make("activities", subject="x", lead_id=key)
    assert api.read("activities", activity)["lead_id"] == key
    assert [one["id"] for one in api.send("GET", f"/api/v2/activities?lead_id={key}")] == [activity]
    both = api.read("activities", api.make("activities", subject="x", lead_id=key, deal_id=1))
    assert (both["deal_id"], both["lead_id"]) == (1, None)
    answer = api.http.post("/v1/files", files={"file": ("a.txt", b"x")}, data={"lead_id": key})
    assert (answer.json()["data"]["lead_id"], answer.json()["data"]["lead_name"]) == (key, "Con todo")
    api.send("POST", "/v1/notes", {"content": "x", "lead_id": NOWHERE}, 404)
    api.send("POST", "/api/v2/activities", {"subject": "x", "lead_id": NOWHERE}, 400)
    lost = api.http.post("/v1/files", files={"file": ("a.txt", b"x")}, data={"lead_id": NOWHERE})
    assert lost.status_code == 404


def test_leads_count_as_deals_do() -> None:
    """The company's number is one for both: a lead takes a deal's place and the other way round."""
    with account("most_deals=3") as api:
        key = lead(api)["id"]
        refused = api.http.post("/v1/leads", json=LINK)
        assert refused.status_code == 403
        assert refused.json()["code"] == "feature_capping_deals_limit"
        api.send("POST", "/api/v2/deals", {"title": "x"}, 403)
        api.send("DELETE", f"/v1/leads/{key}")
        api.make("deals", title="x")


@pytest.mark.parametrize("word", ["off", "unlink", "delete"])
def test_what_a_deleted_lead_leaves(word: str) -> None:
    """Its note and activity keep their link, lose it, or go along."""
    with account(f"cascade={word}") as api:
        key = lead(api)["id"]
        note, activity = api.make("notes", content="x", lead_id=key), api.make("activities", subject="x", lead_id=key)
        api.send("DELETE", f"/v1/leads/{key}")
        rows = api.dump()
        if word == "delete":
            assert note not in rows["notes"] and activity not in rows["activities"]
        else:
            left = key if word == "off" else None
            assert rows["notes"][note]["lead_id"] == rows["activities"][activity]["lead_id"] == left


def test_a_lead_that_is_referred_to_is_not_deleted() -> None:
    """With the switch a note of the lead stands in the way, and is named."""
    with account("refuse_deletes=referred") as api:
        key = lead(api)["id"]
        note = api.make("notes", content="x", lead_id=key)
        said = api.send("DELETE", f"/v1/leads/{key}", status=400)
        assert f"in use by notes {note}" in said
        api.delete("notes", note)
        api.send("DELETE", f"/v1/leads/{key}")
