"""How many of everything a Pipedrive account may have, and how many writes a day."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.launch import launch
from tests import loopback
from tests.sandbox.pipedrive_account import Account, account

LEFT = "x-daily-requests-left"
DEALS_FULL = "Couldn't add the deal. Open deals limit reached."


def refusal(api: Account, path: str, body: Any, status: int = 403) -> dict[str, Any]:
    """The whole body of a refused POST."""
    answer = api.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def statuses(api: Account, path: str, bodies: list[Any]) -> list[int]:
    """What a POST of each of these is answered."""
    return [api.http.post(path, json=body).status_code for body in bodies]


# -- custom fields


@pytest.mark.parametrize(("plan", "most"), [("lite", 30), ("growth", 100), ("premium", 300), ("ultimate", 500)])
def test_custom_fields_of_each_plan(plan: str, most: int) -> None:
    """The plan's number counts those of all entities; the next one is a 403 with its code."""
    with (
        launch("pipedrive", plan=plan, seats=20, extra_args=["--speed", "1000"]) as running,
        loopback.client(base_url=running.base_url, headers={"x-api-token": running.key}, timeout=10) as http,
    ):
        api = Account(http)
        entities = ("deal", "person", "organization", "product")
        for number in range(1, most):  # one is there from the start
            api.send("POST", f"/api/v2/{entities[number % 4]}Fields", {"field_name": "x", "field_type": "varchar"})
        said = refusal(api, "/api/v2/dealFields", {"field_name": "x", "field_type": "varchar"})
        assert said["code"] == "feature_capping_custom_fields_limit"
        assert said["error"] == "Couldn't add the field. Custom fields limit reached."


def test_a_small_number_of_custom_fields() -> None:
    """The switch stands in for the plan's number; a deleted field makes room."""
    with account("most_custom_fields=2") as api:
        code = api.field("deal", "varchar")["field_code"]
        body = {"field_name": "x", "field_type": "varchar"}
        refusal(api, "/api/v2/personFields", body)
        api.send("DELETE", f"/api/v2/dealFields/{code}")
        api.send("POST", "/api/v2/personFields", body)


# -- deals and leads


def test_deals_over_the_number_are_refused() -> None:
    """The seeded account has two deals; one more fits, the next is a 403 until one is deleted."""
    with account("most_deals=3") as api:
        key = api.make("deals", title="x")
        said = refusal(api, "/api/v2/deals", {"title": "y"})
        assert (said["error"], said["code"]) == (DEALS_FULL, "feature_capping_deals_limit")
        api.send("PATCH", f"/api/v2/deals/{key}", {"title": "changed"})
        api.delete("deals", key)
        api.make("deals", title="z")


def test_deals_over_the_number_wait_out_of_sight() -> None:
    """With the other word the create is answered, and no list and no read knows the deal."""
    with account("most_deals=2", "deals_over_cap=waitlist") as api:
        key = api.make("deals", title="wartet")
        api.read("deals", key, 404)
        assert key not in [one["id"] for one in api.send("GET", "/api/v2/deals")]
        assert api.send("GET", f"/api/v2/deals?ids={key}&status=deleted") == []
        assert api.send("GET", "/api/v2/deals/search?term=wartet")["items"] == []
        assert key not in api.dump()["deals"]


# -- fair use


def test_writes_are_counted_in_a_header() -> None:
    """POST and PUT answers say how many are left of 10,000; GET, PATCH and DELETE ones do not."""
    with account() as api:
        made = api.http.post("/api/v2/organizations", json={"name": "x"})
        assert made.headers[LEFT] == "9999"
        path = f"/api/v2/organizations/{made.json()['data']['id']}"
        for answer in (
            api.http.get(path),
            api.http.patch(path, json={"name": "y"}),
            api.http.delete(path),
        ):
            assert answer.is_success and LEFT not in answer.headers
        assert api.http.post("/v1/notes", json={"content": "x", "deal_id": 1}).headers[LEFT] == "9998"
        assert api.http.put("/v1/notes/1", json={"content": "y"}).headers[LEFT] == "9997"
        assert api.http.post("/api/v2/deals", json={}).headers[LEFT] == "9996"  # refused, and sent
        app = {"authorization": f"Bearer {api.http.headers['x-api-token']}"}
        with loopback.client(base_url=str(api.http.base_url), headers=app, timeout=10) as other:
            answer = other.post("/api/v2/deals", json={"title": "x"})
        assert answer.is_success and LEFT not in answer.headers


def test_counted_writes_are_not_refused() -> None:
    """By default a spent day only shows in the header: blocking is announced as possible, no more."""
    with account("fair_use_limit=1") as api:
        answers = [api.http.post("/api/v2/organizations", json={"name": "x"}) for _ in range(3)]
        assert [one.headers[LEFT] for one in answers] == ["0", "0", "0"]
        assert {one.status_code for one in answers} == {200}


def test_writes_over_fair_use_are_refused_until_midnight() -> None:
    """The next write is a 429 that says none are left; reads go on; midnight UTC starts anew."""
    with account("fair_use=refuse", "fair_use_limit=2") as api:
        noon_to_midnight(api)
        assert statuses(api, "/api/v2/organizations", [{"name": "x"}] * 3) == [200, 200, 429]
        refused = api.http.put("/v1/notes/1", json={"content": "x"})
        assert refused.status_code == 429
        assert refused.json()["success"] is False
        assert refused.headers[LEFT] == "0" and int(refused.headers["retry-after"]) > 0
        assert refused.headers["x-daily-ratelimit-token-remaining"] != "0"
        assert api.http.get("/api/v2/deals/1").status_code == 200
        assert api.http.patch("/api/v2/deals/1", json={"title": "y"}).status_code == 200
        api.http.post("/__sandbox__/clock", json={"advance": 86_400})
        answer = api.http.post("/api/v2/organizations", json={"name": "x"})
        assert answer.status_code == 200 and answer.headers[LEFT] == "1"


def noon_to_midnight(api: Account) -> None:
    """Move the clock far from any midnight, whenever this runs."""
    now = api.http.post("/__sandbox__/clock", json={"advance": 0}).json()["now"]
    api.http.post("/__sandbox__/clock", json={"advance": (now // 86_400 + 1.25) * 86_400 - now})


def test_patches_count_where_the_switch_says_so() -> None:
    """v2 changes rows with PATCH where v1 had PUT, and nobody says which of them is counted."""
    with account("fair_use=refuse", "fair_use_limit=1", "fair_use_patch=on") as api:
        first = api.http.patch("/api/v2/deals/1", json={"title": "y"})
        assert first.status_code == 200 and first.headers[LEFT] == "0"
        assert api.http.patch("/api/v2/deals/1", json={"title": "z"}).status_code == 429
    with account("fair_use=off") as api:
        assert LEFT not in api.http.post("/api/v2/deals", json={"title": "y"}).headers


# -- numbers nobody has published


def test_labels_of_a_record() -> None:
    """A hundred by the changelog; the switch makes it fewer."""
    with account("most_labels=2") as api:
        path = "/api/v2/dealFields/label_ids/options"
        ids = [one["id"] for one in api.send("POST", path, [{"label": str(at)} for at in range(3)])]
        assert statuses(api, "/api/v2/deals", [{"title": "x", "label_ids": ids[:2]}]) == [200]
        said = refusal(api, "/api/v2/deals", {"title": "x", "label_ids": ids}, 400)
        assert said["error"].startswith("Validation failed: label_ids")
    with account() as api:
        options = [{"label": str(at)} for at in range(101)]
        ids = [one["id"] for one in api.send("POST", "/api/v2/personFields/label_ids/options", options)]
        bodies = [{"name": "x", "label_ids": ids[:100]}, {"name": "x", "label_ids": ids}]
        assert statuses(api, "/api/v2/persons", bodies) == [200, 400]


def test_notes_and_lines_of_a_deal() -> None:
    """As many as the switch says; the next is a 403 in the words of the changelog, without a code."""
    with account("most_notes_per_deal=2", "most_lines_per_deal=1") as api:
        deal, product = api.make("deals", title="x"), api.make("products", name="x")
        note = {"content": "x", "deal_id": deal}
        assert statuses(api, "/v1/notes", [note, note]) == [200, 200]
        said = refusal(api, "/v1/notes", note)
        assert said["error"] == "Couldn't add note. You've reached the note per deal limit."
        assert "code" not in said
        line = {"product_id": product, "item_price": 1, "quantity": 1}
        lines = f"/api/v2/deals/{deal}/products"
        assert statuses(api, lines, [line]) == [201]
        said = refusal(api, lines, line)
        assert said["error"] == "Couldn't add product. You've reached the product per deal limit."
        assert refusal(api, f"{lines}/bulk", {"data": [line]})["error"] == said["error"]
        assert statuses(api, "/v1/notes", [{"content": "x", "person_id": 1}] * 3) == [200] * 3


def test_contacts_values_and_sizes() -> None:
    """E-mails and phones of a person, negative values, the size of a note: each by its switch."""
    mails = [{"value": f"{at}@x.example"} for at in range(3)]
    person, deal = {"name": "x", "emails": mails, "phones": mails}, {"title": "x", "value": -5}
    note = {"content": "a" * 100_000, "deal_id": 1}
    with account() as api:
        assert statuses(api, "/api/v2/persons", [person]) == [200]
        assert statuses(api, "/api/v2/deals", [deal]) == [200]
        bodies = [note, {**note, "content": "a" * (100 * 1024 + 1)}]
        assert statuses(api, "/v1/notes", bodies) == [200, 400]
    with account("most_contacts=2", "negative_value=refuse", "note_bytes=2048") as api:
        said = refusal(api, "/api/v2/persons", person, 400)["error"]
        assert said.startswith("Validation failed: emails")
        said = refusal(api, "/api/v2/persons", {"name": "x", "phones": mails}, 400)["error"]
        assert said.startswith("Validation failed: phones")
        assert refusal(api, "/api/v2/deals", deal, 400)["error"].startswith("Validation failed: value")
        assert "2 KB" in refusal(api, "/v1/notes", note, 400)["error"]


# -- line items in bulk


def test_a_bulk_of_lines_is_made_whole_or_not_at_all() -> None:
    """One line that does not fit takes the others along; 25 tokens for at most a hundred."""
    with account() as api:
        deal, product = api.make("deals", title="x"), api.make("products", name="x")
        path = f"/api/v2/deals/{deal}/products/bulk"
        good = {"product_id": product, "item_price": 2, "quantity": 3}
        said = refusal(api, path, {"data": [good, {**good, "product_id": 999}, good]}, 400)["error"]
        assert "product_id" in said
        assert api.send("GET", f"/api/v2/deals/{deal}/products") == []
        refusal(api, path, {"data": [good] * 101}, 400)
        made = api.send("POST", path, {"data": [good] * 100}, 201)
        assert [one["order_nr"] for one in made] == list(range(1, 101))
        spent = api.http.get("/__sandbox__/stats").json()["tokens"]["by_operation"]
        assert spent["addManyDealProducts"] == 75


def test_a_bulk_of_lines_can_leave_some_out() -> None:
    """With the other word those that fit are made, and nothing of the others is left behind."""
    with account("bulk_lines=each") as api:
        deal, product = api.make("deals", title="x"), api.make("products", name="x")
        good = {"product_id": product, "item_price": 2, "quantity": 3, "tax_method": "exclusive"}
        monthly = {**good, "billing_frequency": "monthly", "tax_method": "none"}
        data = [good, {**good, "quantity": "3"}, {**good, "product_id": 999}, *([monthly] * 20)]
        made = api.send("POST", f"/api/v2/deals/{deal}/products/bulk", {"data": data}, 201)
        assert len(made) == 21
        late = [{**monthly, "tax_method": "inclusive"}]  # a recurring line too many
        assert api.send("POST", f"/api/v2/deals/{deal}/products/bulk", {"data": late}, 201) == []
        lines = api.send("GET", f"/api/v2/deals/{deal}/products")
        assert {one["tax_method"] for one in lines} == {"none"} and len(lines) == 21


def test_a_bulk_of_lines_can_end_at_the_first_that_does_not_fit() -> None:
    """With the third word those before it are made, those behind it are not, and the answer is the refusal."""
    with account("bulk_lines=before", "line_value=sum") as api:
        deal, product = api.make("deals", title="x"), api.make("products", name="x")
        good = {"product_id": product, "item_price": 2, "quantity": 3}
        path = f"/api/v2/deals/{deal}/products/bulk"
        said = refusal(api, path, {"data": [good, {**good, "quantity": 4}, {**good, "product_id": 999}, good]}, 400)["error"]
        assert "product_id" in said
        assert [one["quantity"] for one in api.send("GET", f"/api/v2/deals/{deal}/products")] == [3, 4]
        assert api.send("GET", f"/api/v2/deals/{deal}")["value"] == 14


def test_a_bulk_of_lines_can_answer_in_another_order() -> None:
    """The lines stand in the order of the body, whatever the order of the answer."""
    with account("bulk_order=reversed") as api:
        deal, product = api.make("deals", title="x"), api.make("products", name="x")
        lines = [{"product_id": product, "item_price": 2, "quantity": many} for many in (1, 2, 3)]
        made = api.send("POST", f"/api/v2/deals/{deal}/products/bulk", {"data": lines}, 201)
        assert [(one["order_nr"], one["quantity"]) for one in made] == [(3, 3), (2, 2), (1, 1)]


# -- the switches themselves


@pytest.mark.parametrize("switch", ["most_deals=-1", "most_labels=few", "index_delay=inf", "stamps=ms"])
def test_a_switch_takes_what_it_knows(switch: str) -> None:
    """A number below zero, no number and an unknown word are refused before anything is served."""
    with pytest.raises(Exception, match=r"switch .* takes"), account(switch):
        pass
