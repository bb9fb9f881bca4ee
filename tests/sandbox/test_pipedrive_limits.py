"""Budgets, bursts, plan limits and unknown behaviours of the Pipedrive emulator."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from sandbox.launch import Running, launch
from tests import loopback
from tests.emulator import emulator


def client(running: Running) -> httpx.Client:
    """A client with the account's key."""
    return loopback.client(base_url=running.base_url, headers={"x-api-token": running.key}, timeout=10)


def move_to(api: httpx.Client, moment: float) -> None:
    """Set the emulator's clock forward to this moment."""
    now = api.post("/__sandbox__/clock", json={"advance": 0}).json()["now"]
    assert api.post("/__sandbox__/clock", json={"advance": moment - now}).is_success


def test_burst_then_block_page() -> None:
    """The 41st request in two seconds is a 429; going on regardless ends in an HTML 403."""
    # A slow clock: the whole test happens inside one window.
    with emulator("pipedrive", extra_args=["--speed", "0.01"]) as running, client(running) as api:
        answers = [api.get("/v1/users/me") for _ in range(62)]
        codes = [answer.status_code for answer in answers]
        assert codes == [200] * 40 + [429] * 20 + [403] * 2
        refused = answers[40]
        assert refused.json()["success"] is False
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.headers["retry-after"] == "2"
        assert refused.headers["x-daily-ratelimit-token-remaining"] != "0"
        assert answers[-1].headers["content-type"].startswith("text/html")
        assert api.post("/__sandbox__/clock", json={"advance": 11}).is_success
        assert api.get("/v1/users/me").status_code == 200
        stats = api.get("/__sandbox__/stats").json()
        assert stats["answers_429"] == 20 and stats["peak_burst"] == 40
        assert stats["tokens"]["spent_today"] == 41 * 2


def test_searches_have_a_window_of_their_own() -> None:
    """Ten searches in two seconds, whatever the plan; other requests go on."""
    extra = ["--speed", "0.01"]
    started = emulator("pipedrive", plan="ultimate", extra_args=extra)
    with started as running, client(running) as api:
        path = "/api/v2/itemSearch?term=Talleres"
        codes = [api.get(path).status_code for _ in range(11)]
        assert codes == [200] * 10 + [429]
        assert api.get("/v1/users/me").status_code == 200


def test_daily_budget_survives_a_restart_and_ends_at_midnight(tmp_path: Path) -> None:
    """A spent budget is still spent after a restart and full again after midnight UTC."""
    data = tmp_path / "account.db"
    with launch("pipedrive", data=data, plan="lite", seats=1) as running, client(running) as api:
        noon = (time.time() // 86_400 + 1.5) * 86_400
        move_to(api, noon)  # far from any midnight, whenever this runs
        spent = 0
        while True:
            answer = api.get("/v1/users/find?term=a")
            if answer.status_code == 429:
                break
            spent += 40
            if not spent % 800:
                api.post("/__sandbox__/clock", json={"advance": 2.1})
        assert spent == 30_000
        assert answer.headers["x-daily-ratelimit-token-remaining"] == "0"
        assert int(answer.headers["retry-after"]) < 60
    with launch("pipedrive", data=data, plan="lite", seats=1) as running, client(running) as api:
        move_to(api, noon + 3600)
        assert api.get("/v1/users/me").status_code == 429
        api.post("/__sandbox__/clock", json={"advance": 86_400})
        answer = api.get("/v1/users/me")
        assert answer.status_code == 200
        assert answer.headers["x-daily-ratelimit-token-remaining"] == "29998"


def test_custom_field_limit_of_the_plan() -> None:
    """The 31st custom field of a Lite account is a 403 with the limit's code."""
    started = emulator("pipedrive", plan="lite", extra_args=["--speed", "1000"])
    with started as running, client(running) as api:
        body = {"field_name": "x", "field_type": "varchar"}
        codes = [api.post("/api/v2/productFields", json=body).status_code for _ in range(29)]
        assert set(codes) == {200}
        refused = api.post("/api/v2/productFields", json=body)
        assert refused.status_code == 403
        assert refused.json()["code"] == "feature_capping_custom_fields_limit"


def test_records_survive_a_restart_and_a_reset_forgets_them(tmp_path: Path) -> None:
    """What one process wrote the next one reads; the file is ours alone; field codes repeat."""
    data = tmp_path / "account.db"
    field = {"field_name": "Id", "field_type": "varchar"}
    with launch("pipedrive", data=data) as running, client(running) as api:
        code = api.post("/api/v2/dealFields", json=field).json()["data"]["field_code"]
        deal = {"title": "Sigue", "custom_fields": {code: "S-1"}}
        key = api.post("/api/v2/deals", json=deal).json()["data"]["id"]
        upload = api.post("/v1/files", files={"file": ("a.txt", b"hola")}, data={"deal_id": key})
        dump = api.get("/__sandbox__/dump").text
    assert data.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "account.db.files").stat().st_mode & 0o777 == 0o700
    with launch("pipedrive", data=data) as running, client(running) as api:
        kept = api.get(f"/api/v2/deals/{key}").json()["data"]
        assert kept["custom_fields"][code] == "S-1"
        assert api.get(f"/v1/files/{upload.json()['data']['id']}/download").content == b"hola"
        assert api.get("/__sandbox__/dump").text == dump
        assert api.post("/__sandbox__/reset").is_success
        assert api.get(f"/api/v2/deals/{key}").status_code == 404
        rows = api.get("/__sandbox__/stats").json()["rows"]
        assert rows["deals"] == 2 and rows["files"] == 0
        again = api.post("/api/v2/dealFields", json=field).json()["data"]["field_code"]
        assert again == code


def test_index_lags_behind_and_lists_do_not() -> None:
    """A new record is in the lists at once and in searches three seconds later."""
    with emulator("pipedrive") as running, client(running) as api:
        api.post("/api/v2/organizations", json={"name": "Tardía SL"})
        names = [one["name"] for one in api.get("/api/v2/organizations").json()["data"]]
        assert "Tardía SL" in names
        path = "/api/v2/organizations/search?term=tardía sl&exact_match=true"
        assert api.get(path).json()["data"]["items"] == []
        api.post("/__sandbox__/clock", json={"advance": 3.1})
        assert len(api.get(path).json()["data"]["items"]) == 1


def test_switches_turn_unknown_behaviours_around() -> None:
    """Each switch chooses the other answer to something nobody has published."""
    extra: list[str] = []
    for switch in (
        "deal_add_time=ignore",
        "charge_failed=off",
        "over_max=refuse",
        "search_over_max=cap",
        "create_status=201",
        "contact_sync=on",
        "label_options=refuse",
        "due_seconds=accept",
        "line_value=sum",
    ):
        extra += ["--set", switch]
    with emulator("pipedrive", extra_args=extra) as running, client(running) as api:
        old = {"title": "x", "add_time": "2020-01-01T00:00:00Z"}
        deal = api.post("/api/v2/deals", json=old)
        assert deal.status_code == 201
        assert deal.json()["data"]["add_time"] > "2025"
        assert api.get("/api/v2/deals?limit=501").status_code == 400
        assert api.get("/api/v2/deals/search?term=abc&limit=101").status_code == 200
        person = {"name": "x", "job_title": "Jefa"}
        assert api.post("/api/v2/persons", json=person).json()["data"]["job_title"] == "Jefa"
        label = [{"label": "x"}]
        path = "/api/v2/dealFields/label_ids/options"
        assert api.post(path, json=label).status_code == 403
        due = {"due_time": "09:30:00", "subject": "x"}
        assert api.post("/api/v2/activities", json=due).status_code == 201
        line = {"product_id": 1, "item_price": 5, "quantity": 3}
        lines = f"/api/v2/deals/{deal.json()['data']['id']}/products"
        assert api.post(lines, json=line).is_success
        assert api.get(lines.removesuffix("/products")).json()["data"]["value"] == 15
        before = api.get("/__sandbox__/stats").json()["tokens"]["spent_today"]
        assert api.post("/api/v2/deals", json={}).status_code == 400
        assert api.get("/__sandbox__/stats").json()["tokens"]["spent_today"] == before


@pytest.mark.parametrize("plan", ["lite", "growth"])
def test_recurring_billing_is_a_matter_of_the_plan(plan: str) -> None:
    """Lite refuses a monthly product with a 403, Growth takes it."""
    with emulator("pipedrive", plan=plan) as running, client(running) as api:
        body = {"name": "Cuota", "billing_frequency": "monthly", "billing_frequency_cycles": 12}
        wanted = 403 if plan == "lite" else 201
        assert api.post("/api/v2/products", json=body).status_code == wanted
