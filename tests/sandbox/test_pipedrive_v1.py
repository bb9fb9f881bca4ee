"""The v1 parts of the Pipedrive emulator: definitions, participants, followers, filters, files, recents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.launch import Running, launch
from tests import loopback
from tests.sandbox.pipedrive_account import Account, Record, account

NONE: Record = {"glue": "or", "conditions": []}
KINDS = {
    "deals": ("title", "deal"),
    "persons": ("name", "person"),
    "organizations": ("name", "organization"),
    "products": ("name", "product"),
}


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


# -- definitions


def v1_fields(api: Account, entity: str) -> dict[str, Record]:
    """The v1 list of an entity's fields, by key."""
    return {one["key"]: one for one in api.send("GET", f"/v1/{entity}Fields?limit=500")}


@pytest.mark.parametrize(("entity", "status"), [("deal", 200), ("person", 200), ("organization", 200), ("product", 201)])
def test_both_versions_know_the_same_fields(api: Account, entity: str, status: int) -> None:
    """A field made in one version is in the other, with the same code, options and name."""
    body = {"name": "Clase", "field_type": "enum", "options": [{"label": "A"}, {"label": "B"}]}
    made = api.send("POST", f"/v1/{entity}Fields", body, status)
    assert made["edit_flag"] is True and [one["label"] for one in made["options"]] == ["A", "B"]
    other = api.send("GET", f"/api/v2/{entity}Fields/{made['key']}")
    assert [one["id"] for one in other["options"]] == [one["id"] for one in made["options"]]
    mine = api.field(entity, "varchar")["field_code"]
    listed = v1_fields(api, entity)
    assert listed[mine]["field_type"] == "varchar" and listed[made["key"]]["id"] == made["id"]
    read = api.send("GET", f"/v1/{entity}Fields/{made['id']}")
    assert read == listed[made["key"]]
    assert api.send("DELETE", f"/v1/{entity}Fields/{made['id']}") == {"id": made["id"]}
    api.send("GET", f"/api/v2/{entity}Fields/{made['key']}", status=404)
    api.send("GET", f"/v1/{entity}Fields/{made['id']}", status=410)
    api.send("GET", f"/v1/{entity}Fields/99999", status=404)


def test_options_that_are_not_sent_are_removed(api: Account) -> None:
    """PUT takes all that stay with their ids; the others are listed apart, and gone from v2."""
    made = api.send("POST", "/v1/dealFields", {"name": "x", "field_type": "set", "options": '[{"label":"A"},{"label":"B"}]'})
    first, second = (one["id"] for one in made["options"])
    path = f"/v1/dealFields/{made['id']}"
    body = {"name": "y", "options": [{"id": second, "label": "B2"}, {"label": "C"}]}
    changed = api.send("PUT", path, body)
    assert changed["name"] == "y"
    assert [one["label"] for one in changed["options"]] == ["B2", "C"]
    assert changed["options"][0]["id"] == second
    assert [one["id"] for one in changed["options_deleted"]] == [first]
    shown = api.send("GET", f"/api/v2/dealFields/{made['key']}")
    assert [one["label"] for one in shown["options"]] == ["B2", "C"] and "options_deleted" not in shown
    api.send("PUT", path, {"options": [{"id": 99999, "label": "x"}]}, 400)
    api.send("DELETE", f"/api/v2/dealFields/{made['key']}/options", [{"id": second}])
    after = api.send("GET", path)["options_deleted"]
    assert [one["id"] for one in after] == [first, second]


def test_parts_of_a_field_are_entries_of_their_own(api: Account) -> None:
    """A monetary field brings its currency, without a number and marked as a part."""
    code = api.field("person", "monetary")["field_code"]
    listed = v1_fields(api, "person")
    part = listed[f"{code}_currency"]
    assert part["id"] is None and part["is_subfield"] is True
    assert listed[code]["subfields"] == [part]
    assert {"phone", "email"} <= listed.keys() and "phones" not in listed
    assert {"user_id", "label"} <= v1_fields(api, "deal").keys()


def test_wrong_definitions_are_refused(api: Account) -> None:
    """No name, no type, no options; built-in fields stay; the plan's number counts."""
    for body in ({"field_type": "varchar"}, {"name": "x"}, {"name": "x", "field_type": "url"}, {"name": "x", "field_type": "enum"}):
        api.send("POST", "/v1/dealFields", body, 400)
    title = v1_fields(api, "deal")["title"]
    assert title["edit_flag"] is False and title["mandatory_flag"] is True
    for verb, sent in (("PUT", {"name": "x"}), ("DELETE", None)):
        api.send(verb, f"/v1/dealFields/{title['id']}", sent, 403)
    with account("most_custom_fields=1") as full:
        answer = full.http.post("/v1/personFields", json={"name": "x", "field_type": "text"})
        assert (answer.status_code, answer.json()["code"]) == (403, "feature_capping_custom_fields_limit")


def test_several_definitions_are_deleted_at_once(api: Account) -> None:
    """All of them or, where one is not there, none."""
    ids = [api.send("POST", "/v1/dealFields", {"name": "x", "field_type": "date"})["id"] for _ in range(2)]
    api.send("DELETE", f"/v1/dealFields?ids={ids[0]},99999", status=404)
    assert api.send("GET", f"/v1/dealFields/{ids[0]}")["id"] == ids[0]
    assert api.send("DELETE", f"/v1/dealFields?ids={ids[0]},{ids[1]}") == {"id": ids}
    api.send("DELETE", "/v1/dealFields", status=400)


def test_definitions_that_can_only_be_read(api: Account) -> None:
    """Leads show the custom fields of deals beside their own; notes and activities have no custom ones."""
    code = api.field("deal", "varchar")["field_code"]
    leads = v1_fields(api, "lead")
    assert leads[code]["id"] == v1_fields(api, "deal")[code]["id"]
    assert {"title", "organization_id", "label_ids"} <= leads.keys()
    notes = v1_fields(api, "note")
    assert notes["pinned_to_deal_flag"]["options"] == [{"id": 1, "label": "Yes"}, {"id": 0, "label": "No"}]
    assert {"subject", "due_date"} <= v1_fields(api, "activity").keys()
    for name in ("leadFields", "noteFields", "activityFields"):
        api.send("POST", f"/v1/{name}", {"name": "x", "field_type": "varchar"}, 405)


def test_lists_of_definitions_have_pages(api: Account) -> None:
    """start and limit, in the wrapper clients look for."""
    page = api.http.get("/v1/dealFields?start=2&limit=3").json()
    assert page["additional_data"]["pagination"] == {
        "start": 2,
        "limit": 3,
        "more_items_in_collection": True,
        "next_start": 5,
    }
    every = api.send("GET", "/v1/dealFields?limit=500")
    assert page["data"] == every[2:5]


# -- participants


def participants(api: Account, deal: int) -> dict[int, int]:
    """person -> id of its taking part."""
    return {one["person"]["id"]: one["id"] for one in api.send("GET", f"/v1/deals/{deal}/participants") or ()}


def test_persons_take_part_in_a_deal(api: Account) -> None:
    """The person the deal is linked to is one of them; each stands there once."""
    ana, rosa = (api.make("persons", name=name) for name in ("Ana", "Rosa"))
    deal = api.make("deals", title="Obra", person_id=ana)
    path = f"/v1/deals/{deal}/participants"
    made = api.send("POST", path, {"person_id": str(rosa)})  # v1 takes digits as text
    assert made["person_id"]["value"] == rosa and made["related_item_data"]["title"] == "Obra"
    assert participants(api, deal).keys() == {ana, rosa}
    assert api.send("GET", f"/api/v2/deals/{deal}?include_fields=participants_count")["participants_count"] == 2
    for body, status in (({"person_id": rosa}, 400), ({"person_id": ana}, 400), ({}, 400), ({"person_id": 999}, 404)):
        api.send("POST", path, body, status)
    api.send("DELETE", f"{path}/{participants(api, deal)[ana]}", status=400)
    assert api.send("DELETE", f"{path}/{made['id']}") == {"id": made["id"]}
    assert participants(api, deal).keys() == {ana}
    api.send("DELETE", f"{path}/{made['id']}", status=404)
    assert api.send("GET", f"/v1/deals/{api.make('deals', title='x')}/participants") is None
    api.delete("persons", ana)
    assert participants(api, deal) == {}


def test_taking_part_and_following_keep_no_row_alive() -> None:
    """Where rows in use are not deleted, a deal goes all the same that only has participants and followers."""
    with account("refuse_deletes=referred") as api:
        person = api.make("persons", name="Ana")
        deal = api.make("deals", title="x", person_id=person)
        assert participants(api, deal).keys() == {person}
        api.send("POST", f"/api/v2/deals/{deal}/followers", {"user_id": 2}, 201)
        api.delete("persons", person, 400)
        api.delete("deals", deal)
        api.delete("persons", person)


# -- followers


@pytest.mark.parametrize("kind", KINDS)
def test_users_follow_a_record(api: Account, kind: str) -> None:
    """Once each; v2 names the user in the path of a delete, v1 the following."""
    key = api.make(kind, **{KINDS[kind][0]: "x"})
    path = f"{kind}/{key}/followers"
    assert api.send("POST", f"/api/v2/{path}", {"user_id": 2}, 201)["user_id"] == 2
    api.send("POST", f"/api/v2/{path}", {"user_id": 2}, 400)
    api.send("POST", f"/api/v2/{path}", {"user_id": "3"}, 400)
    api.send("POST", f"/api/v2/{path}", {"user_id": 999}, 400)
    third = api.send("POST", f"/v1/{path}", {"user_id": 3}, 201 if kind == "products" else 200)
    assert [one["user_id"] for one in api.send("GET", f"/api/v2/{path}")] == [2, 3]
    assert {one["user_id"] for one in api.send("GET", f"/v1/{path}")} == {2, 3}
    if kind != "products":
        counted = api.send("GET", f"/api/v2/{kind}/{key}?include_fields=followers_count")
        assert counted["followers_count"] == 2
    first = api.http.get(f"/api/v2/{path}?limit=1").json()
    cursor = first["additional_data"]["next_cursor"]
    assert [one["user_id"] for one in api.send("GET", f"/api/v2/{path}?limit=1&cursor={cursor}")] == [3]
    assert api.send("DELETE", f"/api/v2/{path}/2") == {"user_id": 2}
    api.send("DELETE", f"/api/v2/{path}/2", status=404)
    assert api.send("DELETE", f"/v1/{path}/{third['id']}") == {"id": third["id"]}
    assert api.send("GET", f"/v1/{path}") is None


# -- filters


def saved(api: Account, kind: str, *both: Record, either: tuple[Record, ...] = (), status: int = 200) -> Any:
    """Save a filter of these conditions; its id, or the refusal."""
    groups = [{"glue": "and", "conditions": list(both)}, {"glue": "or", "conditions": list(either)}]
    body = {"name": "f", "type": kind, "conditions": {"glue": "and", "conditions": groups}}
    made = api.send("POST", "/v1/filters", body, status)
    return made["id"] if status == 200 else made


def condition(api: Account, entity: str, code: str, operator: str, value: Any = None) -> Record:
    """One condition on a field, named by its number."""
    number = v1_fields(api, entity)[code]["id"]
    return {"object": entity, "field_id": str(number), "operator": operator, "value": value}


def test_a_filter_cuts_lists() -> None:
    """Text, numbers, nulls, options and links; other parameters do not count beside a filter."""
    with account() as api:
        code = api.field("deal", "varchar")["field_code"]
        choice = api.field("deal", "set", "Uno", "Dos")
        one, two = (each["id"] for each in choice["options"])
        rows = {
            "Tubo": {"value": 10, "custom_fields": {code: "rojo", choice["field_code"]: [one, two]}},
            "Tubería": {"value": 200, "status": "won", "custom_fields": {choice["field_code"]: [two]}},
            "Cable": {"value": 30, "org_id": 1},
        }
        made = {title: api.make("deals", title=title, **rest) for title, rest in rows.items()}

        def found(*both: Record, either: tuple[Record, ...] = ()) -> set[str]:
            key = saved(api, "deals", *both, either=either)
            listed = api.send("GET", f"/api/v2/deals?filter_id={key}&owner_id=7&ids=999")
            return {each["title"] for each in listed} & made.keys()

        def cond(name: str, operator: str, value: Any = None) -> Record:
            return condition(api, "deal", name, operator, value)

        assert found(cond("title", "LIKE '$%'", "Tub")) == {"Tubo", "Tubería"}
        assert found(cond("title", "NOT LIKE '$%'", "Tub")) == {"Cable"}
        assert found(cond("title", "LIKE '%$%'", "abl")) == {"Cable"}
        assert found(cond("title", "=", "Cable")) == {"Cable"}
        assert found(cond("value", ">", "25")) == {"Tubería", "Cable"}
        assert found(cond("status", "!=", "open")) == {"Tubería"}
        assert found(cond("org_id", "=", "1")) == {"Cable"}
        assert found(cond(code, "IS NULL")) == {"Tubería", "Cable"}
        assert found(cond(code, "IS NOT NULL")) == {"Tubo"}
        assert found(cond(choice["field_code"], "=", str(two))) == {"Tubo", "Tubería"}
        assert found(cond("value", ">", "25"), cond("status", "=", "won")) == {"Tubería"}
        either = (cond("title", "=", "Cable"), cond("value", "=", "10"))
        assert found(either=either) == {"Tubo", "Cable"}
        key = saved(api, "deals", cond("title", "=", "Cable"))
        api.send("GET", f"/api/v2/persons?filter_id={key}", status=404)
        api.send("GET", "/api/v2/deals?filter_id=999", status=404)
        api.send("GET", "/v1/leads?filter_id=999", status=404)


def test_filters_are_read_changed_and_deleted(api: Account) -> None:
    """Lists leave the conditions out; codes are shown where they are asked for."""
    key = saved(api, "org", condition(api, "organization", "name", "=", "x"))
    shown = api.send("GET", f"/v1/filters/{key}?include_field_code=true")
    assert shown["conditions"]["conditions"][0]["conditions"][0]["field_code"] == "name"
    plain = api.send("GET", f"/v1/filters/{key}")
    assert "field_code" not in plain["conditions"]["conditions"][0]["conditions"][0]
    assert all("conditions" not in one for one in api.send("GET", "/v1/filters?type=org"))
    assert api.send("GET", "/v1/filters?type=people") is None
    body = {"name": "g", "conditions": plain["conditions"]}
    assert api.send("PUT", f"/v1/filters/{key}", body)["name"] == "g"
    api.send("PUT", f"/v1/filters/{key}", {"name": "h"}, 400)
    assert api.send("DELETE", f"/v1/filters/{key}") == {"id": key}
    api.send("GET", f"/v1/filters/{key}", status=404)
    keys = [saved(api, "org"), saved(api, "org")]
    assert api.send("DELETE", f"/v1/filters?ids={keys[0]},{keys[1]},999") == {"id": keys}


def test_filters_that_are_refused(api: Account) -> None:
    """Another shape, an unknown operator or field, another kind of record, more than 16 conditions."""
    good = condition(api, "deal", "title", "=", "x")
    assert "16" in saved(api, "deals", *([good] * 17), status=400)
    for wrong in ({"operator": "~"}, {"field_id": "99999"}, {"object": "person"}):
        saved(api, "deals", {**good, **wrong}, status=400)
    saved(api, "colours", good, status=400)
    for conditions in ({}, {"glue": "or", "conditions": [NONE, NONE]}, {"glue": "and", "conditions": [NONE]}):
        api.send("POST", "/v1/filters", {"name": "x", "type": "deals", "conditions": conditions}, 400)


# -- files of a record, recents


def test_files_of_a_record(api: Account) -> None:
    """Those of this record only, a hundred at most; a record that is not there is a 404."""
    deal = api.make("deals", title="x")
    keys = [api.upload(deal_id=deal), api.upload(deal_id=deal)]
    api.upload(deal_id=1)
    listed = api.send("GET", f"/v1/deals/{deal}/files?sort=id DESC")
    assert [one["id"] for one in listed] == keys[::-1]
    assert api.send("GET", f"/v1/persons/{api.make('persons', name='x')}/files") is None
    api.send("GET", "/v1/deals/99999/files", status=404)
    assert api.http.get(f"/v1/deals/{deal}/files?limit=500").json()["additional_data"]["pagination"]["limit"] == 100


def test_recents_show_what_changed() -> None:
    """Rows of the kinds asked for since a moment, oldest first, in pages; of a moment long ago, those of the last month."""
    with account() as api:
        now = api.http.post("/__sandbox__/clock", json={"advance": 5}).json()["now"]
        moment = sql(now)
        org = api.make("organizations", name="Nueva")
        api.http.post("/__sandbox__/clock", json={"advance": 60})
        codes = [api.field("deal", kind)["field_code"] for kind in ("monetary", "varchar")]
        price = {"value": 5, "currency": "EUR"}
        deal = api.make("deals", title="Nuevo", org_id=org, custom_fields={codes[0]: price})
        note = api.make("notes", content="x", deal_id=deal)
        gone = api.make("deals", title="weg")
        api.delete("deals", gone)
        answer = api.http.get("/v1/recents", params={"since_timestamp": moment}).json()
        seen = [(one["item"], one["id"]) for one in answer["data"]]
        assert seen[0] == ("organization", org)
        assert {("deal", deal), ("note", note)} <= set(seen) and ("deal", gone) not in seen
        assert answer["additional_data"]["since_timestamp"] == moment
        shown = next(one["data"] for one in answer["data"] if one["item"] == "deal")
        assert shown["user_id"] == 1 and " " in shown["add_time"]
        assert [shown[key] for key in (codes[0], f"{codes[0]}_currency", codes[1])] == [5, "EUR", None]
        query = {"since_timestamp": moment, "items": "deal,note", "limit": 1}
        page = api.http.get("/v1/recents", params=query).json()
        assert len(page["data"]) == 1
        assert page["additional_data"]["pagination"]["more_items_in_collection"] is True
        for wrong in ({}, {"since_timestamp": "2024-01-01T00:00:00Z"}):
            assert api.http.get("/v1/recents", params=wrong).status_code == 400
        long_ago = api.http.get("/v1/recents", params={"since_timestamp": "1970-01-01 00:00:00", "items": "deal,organization"}).json()
        assert [one["id"] for one in long_ago["data"]] == [org, deal], "the rows the account began with are older than a month"
        later = api.http.get("/v1/recents", params={"since_timestamp": sql(now + 3_600)}).json()
        assert later["data"] is None


def sql(seconds: float) -> str:
    """Epoch seconds as v1 writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


# -- what is not there


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/v1/colours", 404),
        ("GET", "/api/v2/notes", 404),
        ("POST", "/v1/recents", 405),
        ("PATCH", "/v1/filters/1", 405),
        ("GET", "/v1/deals", 404),
    ],
)
def test_unknown_operations(api: Account, verb: str, path: str, status: int) -> None:
    """A path nobody published is a 404, a verb it does not have a 405; both as an error of the API."""
    answer = api.http.request(verb, path, json={} if verb != "GET" else None)
    assert answer.status_code == status
    assert answer.json()["success"] is False and answer.json()["error"]


# -- merges


def test_merges_take_leads_participants_and_followers_along(api: Account) -> None:
    """All of them belong to the row that stays, each pair once."""
    gone, kept = (api.make("persons", name=name) for name in ("R. Gil", "Rosa Gil"))
    deals = [api.make("deals", title=str(at)) for at in range(2)]
    for deal, people in ((deals[0], (gone,)), (deals[1], (gone, kept))):
        for person in people:
            api.send("POST", f"/v1/deals/{deal}/participants", {"person_id": person})
    for person, users in ((gone, (2, 3)), (kept, (3,))):
        for user in users:
            api.send("POST", f"/api/v2/persons/{person}/followers", {"user_id": user}, 201)
    key = api.send("POST", "/v1/leads", {"title": "x", "person_id": gone}, 201)["id"]
    api.merge("persons", gone, kept)
    assert [participants(api, deal).keys() for deal in deals] == [{kept}, {kept}]
    users = [one["user_id"] for one in api.send("GET", f"/api/v2/persons/{kept}/followers")]
    assert sorted(users) == [2, 3]
    assert api.send("GET", f"/v1/leads/{key}")["person_id"] == kept
    first, second = (api.make("organizations", name="x") for _ in range(2))
    key = api.send("POST", "/v1/leads", {"title": "x", "organization_id": first}, 201)["id"]
    api.merge("organizations", first, second)
    assert api.send("GET", f"/v1/leads/{key}")["organization_id"] == second
    api.merge("deals", *deals)
    assert participants(api, deals[1]).keys() == {kept}


# -- account files from before


def test_an_account_file_from_before_is_read(tmp_path: Path) -> None:
    """Tables and columns that a file does not have yet are added; its rows stay."""
    data = tmp_path / "account.db"
    with launch("pipedrive", data=data) as running, client(running) as http:
        key = http.post("/v1/notes", json={"content": "alt", "deal_id": 1}).json()["data"]["id"]
    with closing(sqlite3.connect(data)) as old:
        for table in ("notes", "files"):
            old.execute(f"DROP INDEX {table}_lead_id")
            old.execute(f"ALTER TABLE {table} DROP COLUMN lead_id")
        for table in ("leads", "lead_labels", "participants", "followers", "filters"):
            old.execute(f"DROP TABLE {table}")
        old.commit()
    with launch("pipedrive", data=data) as running, client(running) as http:
        assert http.get(f"/v1/notes/{key}").json()["data"]["content"] == "alt"
        made = http.post("/v1/leads", json={"title": "x", "organization_id": 1})
        body = {"content": "neu", "lead_id": made.json()["data"]["id"]}
        assert http.post("/v1/notes", json=body).status_code == 200
        assert len(http.get(f"/v1/notes?lead_id={body['lead_id']}").json()["data"]) == 1


def client(running: Running) -> httpx.Client:
    """A client with the account's key."""
    return loopback.client(base_url=running.base_url, headers={"x-api-token": running.key}, timeout=10)
