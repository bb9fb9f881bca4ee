"""What other people's clients read beside records: roles in detail, statistics, lists of deals by something, changelogs, tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.pipedrive import absent
from tests.sandbox.pipedrive_account import Account, account


@pytest.fixture
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


def deal(api: Account, pipeline: int, value: float, **more: Any) -> int:
    """A deal in a pipeline."""
    return api.make("deals", title=f"x {value}", value=value, pipeline_id=pipeline, **more)


def test_roles_and_permissions_in_detail(api: Account) -> None:
    """Each user is assigned to its role and its permission sets, sees every pipeline, and an administrator may more than others."""
    users = api.send("GET", "/v1/users")
    [role] = api.send("GET", "/v1/roles")
    assert api.send("GET", f"/v1/roles/{role['id']}")["name"] == role["name"]
    assert [one["user_id"] for one in api.send("GET", "/v1/roles/1/assignments")] == [one["id"] for one in users]
    assert [one["user_id"] for one in api.send("GET", "/v1/users/2/roleAssignments")] == [2]
    assert api.send("GET", "/v1/roles/1/settings") == api.send("GET", "/v1/users/1/roleSettings")
    made = api.make("pipelines", name="Otra")
    assert made in api.send("GET", "/v1/roles/1/pipelines")["pipeline_ids"]
    assert api.send("GET", "/v1/roles/1/pipelines?visible=false") == {"pipeline_ids": [], "visible": False}
    owner, other = (api.send("GET", f"/v1/users/{key}/permissions") for key in (1, 3))
    assert owner["can_delete_deals"] and not other["can_delete_deals"] and other["can_use_api"]
    for one in api.send("GET", "/v1/permissionSets"):
        assigned = api.send("GET", f"/v1/permissionSets/{one['id']}/assignments")
        assert len(assigned) == one["assignment_count"]
        assert api.send("GET", f"/v1/permissionSets/{one['id']}")[0]["contents"]
    for path in ("roles/2", "roles/2/settings", "users/99/permissions", "permissionSets/00000000-0000-4000-8000-000000000009"):
        api.send("GET", f"/v1/{path}", status=404)


def test_sums_of_deals(api: Account) -> None:
    """By currency and weighted, of the deals that are asked for; archived ones by themselves."""
    pipeline = api.make("pipelines", name="Otra")
    stage = api.make("stages", name="A", pipeline_id=pipeline)
    deal(api, pipeline, 100, probability=50)
    deal(api, pipeline, 20, currency="USD", stage_id=stage)
    deal(api, pipeline, 7, status="lost")
    deal(api, pipeline, 3, is_archived=True)
    found = api.send("GET", f"/v1/deals/summary?pipeline_id={pipeline}")
    values = found["values_total"]
    assert {name: (one["value"], one["count"]) for name, one in values.items()} == {"EUR": (107, 2), "USD": (20, 1)}
    assert (found["weighted_values_total"]["EUR"]["value"], found["total_count"]) == (57, 3)
    assert api.send("GET", f"/v1/deals/summary?pipeline_id={pipeline}&status=lost")["total_count"] == 1
    assert api.send("GET", f"/v1/deals/summary/archived?pipeline_id={pipeline}")["values_total"]["EUR"]["value"] == 3


def test_the_timeline_groups_deals_by_a_date(api: Account) -> None:
    """A group for each interval, month by month even from the last day of one; lost deals are in none, and a field that is no date is refused."""
    pipeline = api.make("pipelines", name="Otra")
    api.make("stages", name="A", pipeline_id=pipeline)
    keys = [deal(api, pipeline, at, expected_close_date=day) for at, day in enumerate(("2026-01-31", "2026-02-27", "2026-02-28", "2026-03-30", "2026-03-31"), 1)]
    deal(api, pipeline, 9, status="lost", expected_close_date="2026-02-10")
    asked = f"pipeline_id={pipeline}&start_date=2026-01-31&interval=month&amount=3"
    found = api.send("GET", f"/v1/deals/timeline?field_key=expected_close_date&{asked}")
    assert [[one["id"] for one in group["deals"]] for group in found] == [keys[:2], keys[2:4], keys[4:]]
    assert [group["totals"]["values"] for group in found] == [{"EUR": 3}, {"EUR": 7}, {"EUR": 5}]
    bare = api.send("GET", f"/v1/deals/timeline?field_key=expected_close_date&{asked}&exclude_deals=1")
    assert ["deals" in one for one in bare] == [False] * 3 and [one["totals"]["count"] for one in bare] == [2, 2, 1]
    for wrong in ("field_key=title", "field_key=add_time&interval=year", "field_key=add_time&amount=0"):
        api.send("GET", f"/v1/deals/timeline?{asked}&{wrong}", status=400)


def test_how_deals_move_through_a_pipeline(api: Account) -> None:
    """Moves between its stages, what is new, won and lost within the period, of the user's own deals."""
    pipeline = api.make("pipelines", name="Otra")
    first, second = (api.make("stages", name=name, pipeline_id=pipeline) for name in "AB")
    keys = [deal(api, pipeline, at, stage_id=first) for at in range(1, 5)]
    deal(api, pipeline, 9, stage_id=first, owner_id=2)
    api.send("PATCH", f"/api/v2/deals/{keys[0]}", {"stage_id": second})
    api.send("PATCH", f"/api/v2/deals/{keys[0]}", {"status": "won"})
    api.send("PATCH", f"/api/v2/deals/{keys[1]}", {"status": "lost"})
    path, days = f"/v1/pipelines/{pipeline}", "start_date=2000-01-01&end_date=2100-01-01"
    moved = api.send("GET", f"{path}/movement_statistics?{days}")
    assert moved["movements_between_stages"]["count"] == 1 and moved["new_deals"]["deals_ids"] == keys
    assert (moved["won_deals"]["deals_ids"], moved["lost_deals"]["deals_ids"]) == ([keys[0]], [keys[1]])
    assert moved["deals_left_open"]["values"] == {"EUR": 7}
    rates = api.send("GET", f"{path}/conversion_statistics?{days}")
    assert rates["stage_conversions"] == [{"from_stage_id": first, "to_stage_id": second, "conversion_rate": 25}]
    assert (rates["won_conversion"], rates["lost_conversion"]) == (25, 25)
    before = api.send("GET", f"{path}/movement_statistics?start_date=2000-01-01&end_date=2000-01-02")
    assert before["new_deals"]["count"] == before["movements_between_stages"]["count"] == 0
    api.send("GET", f"{path}/movement_statistics?start_date=2000-01-01", status=400)
    api.send("GET", f"/v1/pipelines/99/conversion_statistics?{days}", status=404)


def test_deals_by_product_pipeline_stage_and_person(api: Account) -> None:
    """Each deal once, whatever number of lines names it, archived ones apart and deleted ones on demand."""
    pipeline = api.make("pipelines", name="Otra")
    stage = api.make("stages", name="A", pipeline_id=pipeline)
    product, person = api.make("products", name="Cable"), api.make("persons", name="Ana")
    sold = deal(api, pipeline, 1, stage_id=stage, person_id=person)
    gone = deal(api, pipeline, 2, stage_id=stage)
    kept = deal(api, pipeline, 3, stage_id=stage, is_archived=True)
    for key in (sold, sold, gone):
        api.send("POST", f"/api/v2/deals/{key}/products", {"product_id": product, "item_price": 1, "quantity": 1}, 201)
    api.delete("deals", gone)

    def keys(path: str) -> list[int]:
        return [one["id"] for one in api.send("GET", f"/v1/{path}") or []]

    assert keys(f"products/{product}/deals") == [sold] and keys(f"products/{product}/deals?status=deleted") == [gone]
    assert keys(f"pipelines/{pipeline}/deals") == keys(f"stages/{stage}/deals") == [sold]
    assert keys(f"deals/archived?pipeline_id={pipeline}") == [kept]
    pairs = api.send("GET", f"/v1/persons/{person}/products")
    assert [(one["deal"]["id"], one["product"]["id"]) for pair in pairs for one in pair.values()] == [(sold, product)] * 2
    assert api.send("GET", f"/v1/products/{product}/deals")[0]["person_id"]["name"] == "Ana"
    api.send("GET", f"/v1/products/{product}/deals?status=new", status=400)
    api.send("GET", "/v1/stages/99/deals", status=404)


def test_who_came_and_went(api: Account) -> None:
    """Followers and participants that were added and taken away, the newest first and paged."""
    key, person = api.make("deals", title="x"), api.make("persons", name="Ana")
    api.send("POST", f"/api/v2/deals/{key}/followers", {"user_id": 3}, 201)
    api.send("DELETE", f"/api/v2/deals/{key}/followers/3")
    found = api.send("GET", f"/api/v2/deals/{key}/followers/changelog")
    assert [(one["action"], one["follower_user_id"]) for one in found] == [("deleted", 3), ("added", 3)]
    page = api.http.get(f"/api/v2/deals/{key}/followers/changelog?limit=1").json()
    rest = api.send("GET", f"/api/v2/deals/{key}/followers/changelog?cursor={page['additional_data']['next_cursor']}")
    assert [one["action"] for one in (*page["data"], *rest)] == ["deleted", "added"]
    made = api.send("POST", f"/v1/deals/{key}/participants", {"person_id": person})["id"]
    api.send("DELETE", f"/v1/deals/{key}/participants/{made}")
    found = api.send("GET", f"/v1/deals/{key}/participantsChangelog")
    assert [(one["action"], one["person_id"]) for one in found] == [("deleted", person), ("added", person)]
    assert "followers" not in {one["data"].get("field_key") for one in api.send("GET", f"/v1/deals/{key}/flow")}


def test_tools_and_definitions_of_projects(api: Account) -> None:
    """Every operator that the helpers name is one that a filter takes; definitions of projects can be read, one by one too."""
    helpers = api.send("GET", "/v1/filters/helpers")["operators"]
    field = next(one for one in api.send("GET", "/v1/dealFields?limit=500") if one["key"] == "title")
    for operator in helpers["varchar"]:
        one = {"object": "deal", "field_id": field["id"], "operator": operator, "value": "x"}
        groups = [{"glue": "and", "conditions": [one]}, {"glue": "or", "conditions": []}]
        api.send("POST", "/v1/filters", {"name": operator, "type": "deals", "conditions": {"glue": "and", "conditions": groups}})
    assert api.send("GET", "/v1/userSettings")["list_limit"] == 100 and api.send("GET", "/v1/userConnections") == {}
    found = api.send("GET", "/api/v2/projectFields")
    assert api.send("GET", "/api/v2/projectFields/title") in found and len(found) > 10
    api.send("POST", "/api/v2/projectFields", {"field_name": "x", "field_type": "text"}, status=405)


@pytest.mark.parametrize("one", absent.OPERATIONS, ids=lambda one: f"{one.version}{one.path}")
def test_one_row_of_what_nobody_has_is_not_there(api: Account, one: Any) -> None:
    """A 404 that says what is not there, and not that the method is unknown."""
    needed = {"/projects/phases": "board_id=1", "/phases": "board_id=1", "/goals/{uuid}/results": "period.start=2026-01-01&period.end=2026-01-31"}
    lead = api.make_lead(title="x", organization_id=1) if one.path.startswith("/leads") else "a"
    path = ("/api/v2" if one.version == "v2" else "/v1") + one.path.format(id=1, uuid=lead, conversion="b")
    query = needed.get(one.path)
    said = api.send("GET", path + (f"?{query}" if query else ""), status=404)
    assert said.endswith(" not found") and not said.startswith(("Lead", "Deal ", "Note", "Person", "Product "))
    if query:
        api.send("GET", path, status=400)
