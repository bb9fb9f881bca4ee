"""Updates of one row, who sees it, what nobody has, and the search of leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.pipedrive import bare
from tests.sandbox.pipedrive_account import Account, account


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


def changes(api: Account, path: str) -> list[tuple[str, Any, Any]]:
    """Key, old and new value of every change a flow shows."""
    found = api.send("GET", path) or []
    return [
        (one["data"]["field_key"], one["data"]["old_value"], one["data"]["new_value"])
        for one in found
        if one["object"].endswith("Change")
    ]


def test_the_flow_of_a_deal_shows_its_values_and_what_was_added(api: Account) -> None:
    """Each changed value with the old one, as text; a note, a file and an activity; the newest first; custom fields on demand."""
    code = api.field("deal", "varchar")["field_code"]
    deal = api.make("deals", title="Obra", value=5)
    api.send("PATCH", f"/api/v2/deals/{deal}", {"stage_id": 3, "custom_fields": {code: "Ñ"}})
    api.http.post("/__sandbox__/clock", json={"advance": 60})
    note = api.make("notes", content="x", deal_id=deal)
    api.upload(deal_id=deal)
    api.make("activities", subject="x", deal_id=deal)
    api.send("PATCH", f"/api/v2/deals/{deal}", {"value": 7.5})
    api.send("PATCH", f"/api/v2/deals/{deal}", {"value": 7.5})
    path = f"/v1/deals/{deal}/flow"
    plain = changes(api, path)
    assert plain[0] == ("value", "5", "7.5") and ("stage_id", "1", "3") in plain and plain[-1][:2] == ("add_time", None)
    assert code not in {key for key, _, _ in plain}
    assert (code, None, "Ñ") in changes(api, f"{path}?all_changes=1")
    seen = api.send("GET", path)
    assert {"note", "file", "activity", "dealChange"} == {one["object"] for one in seen}
    assert [one["timestamp"] for one in seen] == sorted((one["timestamp"] for one in seen), reverse=True)
    assert [one["data"]["id"] for one in api.send("GET", f"{path}?items=note")] == [note]
    page = api.http.get(f"{path}?limit=2").json()
    assert len(page["data"]) == 2 and page["additional_data"]["pagination"]["next_start"] == 2
    api.send("GET", "/v1/deals/99999/flow", status=404)


def test_the_changelog_is_paged_by_cursor(api: Account) -> None:
    """All changes once, the newest first, whatever the page; a cursor that is none is refused."""
    person = api.make("persons", name="Ana")
    for name in ("Eva", "Ida"):
        api.send("PATCH", f"/api/v2/persons/{person}", {"name": name})
    path, found, cursor = f"/v1/persons/{person}/changelog", [], ""
    whole = [(one["field_key"], one["new_value"]) for one in api.send("GET", path)]
    while cursor is not None:
        answer = api.http.get(f"{path}?limit=2{cursor and f'&cursor={cursor}'}").json()
        found += [(one["field_key"], one["new_value"]) for one in answer["data"]]
        cursor = answer["additional_data"]["next_cursor"]
    assert [value for key, value in found if key == "name"] == ["Ida", "Eva"] and found[-1][0] == "add_time"
    assert found == whole and len(whole) > 2
    api.send("GET", f"{path}?cursor=%C3%B1", status=400)


def test_a_merge_and_a_refusal_are_told_rightly(api: Account) -> None:
    """What a merge brought is a change of the row that stays; what was refused is none."""
    gone, kept = api.make("organizations", name="A", address={"value": "Calle 1"}), api.make("organizations", name="B")
    api.send("PATCH", f"/api/v2/organizations/{kept}", {"name": 7}, status=400)
    before = changes(api, f"/v1/organizations/{kept}/flow")
    assert [key for key, _, _ in before] == ["add_time"]
    api.merge("organizations", gone, kept)
    assert "address" in {key for key, _, _ in changes(api, f"/v1/organizations/{kept}/flow")}


def test_leads_are_searched_in_both_versions(api: Account) -> None:
    """By title and custom field, once they are there, not any more once deleted, and through the search of everything."""
    code = api.field("deal", "varchar")["field_code"]
    lead = api.make_lead(title="Fachada norte", organization_id=1, **{code: "Xilófono"})
    for path in ("/v1/leads/search", "/api/v2/leads/search", "/api/v2/itemSearch"):
        for term in ("achada no", "xilófono"):
            [hit] = api.send("GET", f"{path}?term={term}")["items"]
            assert hit["item"]["id"] == lead and hit["item"]["organization"]["id"] == 1, path
    assert api.send("GET", "/v1/leads/search?term=fachada&organization_id=2")["items"] == []
    [found] = api.send("GET", f"/api/v2/itemSearch/field?entity_type=lead&field={code}&term=Xilófono")
    assert found == {"id": lead, "title": "Fachada norte"}
    api.send("DELETE", f"/v1/leads/{lead}")
    assert api.send("GET", "/v1/leads/search?term=fachada")["items"] == []


def test_who_sees_a_row(api: Account) -> None:
    """Active users see what is open to the company, the owner alone what is not; permission sets are those that users have."""
    active = [one["id"] for one in api.send("GET", "/v1/users") if one["active_flag"]]
    deal = api.make("deals", title="x")
    assert api.send("GET", f"/v1/deals/{deal}/permittedUsers") == active
    api.send("PATCH", f"/api/v2/deals/{deal}", {"visible_to": 1})
    assert api.send("GET", f"/v1/deals/{deal}/permittedUsers") == [1]
    api.send("GET", "/v1/products/99999/permittedUsers", status=404)
    sets = {one["id"]: one for one in api.send("GET", "/v1/permissionSets")}
    held = [one["permission_set_id"] for user in api.send("GET", "/v1/users") for one in user["access"]]
    assert {key: one["assignment_count"] for key, one in sets.items()} == {key: held.count(key) for key in held}
    assert {one["app"] for one in api.send("GET", "/v1/permissionSets?app=global")} == {"global"}
    assert api.send("GET", "/v1/roles")[0]["assignment_count"] == str(len(api.send("GET", "/v1/users")))


@pytest.mark.parametrize("one", bare.OPERATIONS, ids=lambda one: f"{one.version}{one.path}")
def test_what_nobody_has_is_an_empty_list(api: Account, one: Any) -> None:
    """The list is there and empty; the list of a row that is not there is a 404, a parameter that must be given a 400."""
    needed = {
        "/mailbox/mailThreads": "folder=inbox", "/organizationRelationships": "org_id=1", "/projects/search": "term=ab",
        "/deals/installments": "deal_ids=1",
    }  # fmt: skip
    path = ("/api/v2" if one.version == "v2" else "/v1") + one.path
    query = needed.get(one.path)
    found = api.send("GET", path.format(id=1) + (f"?{query}" if query else ""))
    assert found in ([], {"goals": []}, {"items": []})
    if query:
        api.send("GET", path, status=400)
    if "{id}" in path:
        api.send("GET", path.format(id=99999), status=404)


def test_fields_without_options_and_parts_of_fields() -> None:
    """`options` is null or left out, as the switch says; a part of a field names the field it belongs to."""
    for switch, there in (("null", True), ("left_out", False)):
        with account(f"v1_empty_options={switch}") as api:
            field = api.field("deal", "monetary")["field_code"]
            listed = {one["key"]: one for one in api.send("GET", "/v1/dealFields?limit=500")}
            assert ("options" in listed[field]) is there and any(one.get("options") for one in listed.values())
            assert listed[f"{field}_currency"]["parent_id"] == listed[field]["id"]
            assert "parent_id" not in listed[field]
