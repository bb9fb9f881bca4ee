"""People keep working in the emulated STEL Order account: writes, and what follows from them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stel_order_account import Account, account


@pytest.fixture
def busy(_busy: Account) -> Account:
    """An account that a test may change; reset before each."""
    _busy.control("reset", {})
    return _busy


@pytest.fixture(scope="module")
def _busy() -> Iterator[Account]:
    with account() as opened:
        yield opened


def test_people_add_change_and_delete(busy: Account) -> None:
    """A write is seen at once in lists, by id and in the stamp."""
    before = busy.everything("clients")
    made = busy.send("POST", "clients", {"name": "Nuevo & Cía", "agent-id": 8101})
    assert set(made) >= set(before[0])
    assert made["agent-path"] == "app.stelorder.com/app/employees/8101"
    assert [row["id"] for row in busy.everything("clients")] == [r["id"] for r in before] + [
        made["id"]
    ]
    newest = busy.get("clients", sort="utc-last-modification-date:desc", limit=1)[0]
    assert newest["id"] == made["id"]
    changed = busy.send(
        "PUT", f"clients/{before[0]['id']}", {"phone": "600111222", "legal-name": None}
    )
    assert (changed["phone"], changed["legal-name"], changed["name"]) == (
        "600111222",
        None,
        before[0]["name"],
    )
    since = {"utc-last-modification-date": changed["utc-last-modification-date"]}
    assert {row["id"] for row in busy.get("clients", **since)} >= {changed["id"]}
    busy.send("DELETE", f"clients/{made['id']}")
    assert len(busy.everything("clients")) == len(before)
    assert busy.get(f"clients/{made['id']}")[0]["deleted"] is True


NO_OBJECTS = [b"[]", b"7"]  # they are JSON: an action that looks at no field of its body takes them


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"name=Cl%C3%ADnica", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"name=x&%zz&=", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
        (b"\xff\xfe", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"\xff\xfe", {"Content-Type": "application/json"}),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
        (b"[" * 100_000, {"Content-Type": "application/json"}),
        *((content, {}) for content in NO_OBJECTS),
    ],
)
def test_a_body_that_is_no_json_object(
    content: bytes, headers: dict[str, str], busy: Account
) -> None:
    """A form, an empty body and any other that is no JSON are E000005, on every route that takes a body, and never a 500."""
    client, invoice = (busy.get(name, limit=1)[0]["id"] for name in ("clients", "ordinaryInvoices"))
    routes = [("POST", "clients"), ("PUT", f"clients/{client}")]
    routes += [("PUT", f"sendDocument/{invoice}")] if content not in NO_OBJECTS else []
    for method, path in routes:
        answer = busy.http.request(method, path, content=content, headers=headers)
        assert (answer.status_code, answer.json()[0]["error-code"]) == (400, "E000005"), path


def test_the_key_and_the_fields_in_one_form(busy: Account) -> None:
    """A form that brings the key is let in, and its fields are refused as no JSON."""
    answer = busy.http.post("clients", data={"APIKEY": busy.key, "name": "x"}, headers={"APIKEY": ""})
    assert (answer.status_code, answer.json()[0]["error-code"]) == (400, "E000005")


def test_bad_bodies_are_refused(busy: Account) -> None:
    """No JSON is E000005; unknown fields, ids and stamps are E000003."""
    answer = busy.http.post("clients", content=b"{")
    assert (answer.status_code, answer.json()[0]["error-code"]) == (400, "E000005")
    for body in (
        {"nombre": "x"},
        {"agent-id": 5},
        {"creation-date": "2025-01-01"},
        {"creation-date": None},
        {"discount-percentage": "diez"},
    ):
        assert busy.send("POST", "clients", body, status=400)["error-code"] == "E000003"
    busy.send("POST", "documentStates", {"name": "x"}, status=405)
    busy.send("PATCH", "clients", {"name": "x"}, status=405)
    busy.send("GET", "clients/1/2", status=404)


def test_no_body_breaks_the_service(busy: Account) -> None:
    """Whatever is sent is either taken or refused with an error array, and lists still work."""
    odd: list[Any] = [
        None,
        "",
        "x",
        -1,
        10**30,
        1.5,
        [],
        [1],
        {"a": 1},
        True,
        "0001-01-01T00:00:00+1400",
    ]
    for collection in ("clients", "addresses", "salesOrders", "ordinaryInvoiceReceipts", "events"):
        sample = busy.get(collection, limit=1)[0]
        for field in sample:
            for value in odd:
                body = {"address-type": "DEFAULT"} if collection == "addresses" else {}
                answer = busy.http.post(collection, json=body | {field: value})
                assert answer.status_code in (200, 400), (collection, field, value)
        busy.everything(collection)
        for field in ("creation-date", "utc-last-modification-date", "original-element-id"):
            if field in sample:
                busy.everything(collection, sort=f"{field}:desc")
        busy.everything(collection, **{"utc-last-modification-date": "2020-01-01T00:00:00+0000"})


def test_written_times_lose_their_offset(busy: Account) -> None:
    """A true offset is applied and the UTC clock is what is kept."""
    times = {"start-date": "2025-05-06T07:00:00+0200", "end-date": "2025-05-06T08:00:00+02:00"}
    event = busy.send("POST", "events", times | {"subject": "Prueba"})
    assert (event["start-date"], event["event-state"]) == ("2025-05-06T05:00:00+0000", "PENDING")
    assert event["end-date"] == "2025-05-06T06:00:00+0000"


def test_written_documents_add_up(busy: Account) -> None:
    """Lines get their net and the header its sums; an array body counts only its first element."""
    lines = [
        {"item-id": 5_800_058, "units": 3, "item-base-price": 10.5, "discount-percentage": 10},
        {"line-type": "SECTION", "item-name": "Nota"},
    ]
    body = [{"account-id": 1_200_101, "lines": lines, "discount-percentage": 50}, {"title": "no"}]
    order = busy.send("POST", "salesOrders", body)
    assert order["lines"][0]["total-amount"] == 28.35
    assert order["lines"][0]["item-path"].endswith("/products/5800058")
    sums = [order[f"{name}-amount"] for name in ("subtotal", "tax-total", "total")]
    assert sums == [14.18, 2.98, 17.16] and order["title"] is None


def test_paying_a_receipt_settles_its_invoice(busy: Account) -> None:
    """What is left to pay on the invoice follows its receipts, and its stamp moves."""
    invoice = busy.everything("ordinaryInvoices")[2]
    (receipt,) = invoice["receipts"]
    assert (
        invoice["settled"] is False and invoice["remaining-total-amount"] == invoice["total-amount"]
    )
    busy.send("PUT", f"ordinaryInvoiceReceipts/{receipt['id']}", {"paid": True})
    (after,) = busy.get(f"ordinaryInvoices/{invoice['id']}")
    assert (after["settled"], after["remaining-total-amount"]) == (True, 0)
    assert after["utc-last-modification-date"] > invoice["utc-last-modification-date"]


def test_a_new_receipt_joins_its_invoice(busy: Account) -> None:
    """A receipt written against an invoice takes its number and account, and shows inside it."""
    invoice = busy.everything("ordinaryInvoices")[5]
    assert invoice["receipts"] == []
    body = {"original-element-id": str(invoice["id"]), "amount": 10, "paid": True}
    receipt = busy.send("POST", "ordinaryInvoiceReceipts", body)
    for field in ("full-reference", "account-path"):
        assert receipt[field] == invoice[field]
    (after,) = busy.get(f"ordinaryInvoices/{invoice['id']}")
    assert after["receipts"] == [receipt] and after["paid-total-amount"] == 10
    found = busy.get("ordinaryInvoiceReceipts", original_element_id=invoice["id"])
    assert found == [receipt]


def test_main_address_is_one_record_seen_twice(busy: Account) -> None:
    """The address inside an account and the one in the list change together."""
    client = busy.everything("clients")[0]
    ident = client["main-address"]["id"]
    busy.send("PUT", f"clients/{client['id']}", {"main-address": {"city-town": "Xàtiva"}})
    assert busy.get(f"addresses/{ident}")[0]["city-town"] == "Xàtiva"
    busy.send("PUT", f"addresses/{ident}", {"city-town": "Dénia"})
    assert busy.get("clients", limit=1)[0]["main-address"]["city-town"] == "Dénia"


def test_changes_outlive_the_process(tmp_path: Path) -> None:
    """With a file the account is the same after a restart, and only its owner may read it."""
    data = tmp_path / "account.sqlite"
    with account(data=data) as first:
        made = first.send("POST", "contacts", {"name": "Persona"})
        first.send("DELETE", "contacts/1500111")
        listed = first.everything("contacts")
    assert stat.S_IMODE(data.stat().st_mode) == 0o600
    with account(data=data) as second:
        assert second.everything("contacts") == listed
        assert second.get(f"contacts/{made['id']}") == [made]
    with pytest.raises(RuntimeError, match="use another file"), account("--seed", "2", data=data):
        pass


def test_reset_forgets_changes_and_counts(busy: Account) -> None:
    """After a reset nothing is left of what people did."""
    before = busy.everything("events")
    busy.send("DELETE", f"events/{before[0]['id']}")
    stats = busy.control("stats").json()
    assert (
        stats["requests"]["DELETE events/{id}"] == 1 and stats["rows"]["events"] == len(before) - 1
    )
    busy.control("reset", {})
    assert busy.everything("events") == before
    assert busy.control("stats").json()["requests"] == {"GET events": 1}
