"""The awkward things real STEL Order accounts hold are in the invented one, at every size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from sandbox.stel_order.records import COLLECTIONS, all_records
from sandbox.stel_order.world import World

Record = dict[str, Any]
Rows = Mapping[str, list[Record]]


@cache
def account(size: int = 800) -> Rows:
    """Every record of an account, deleted ones included."""
    world = World(1, size)
    return {name: list(all_records(world, name)) for name in COLLECTIONS}


ODDITIES: Mapping[str, Callable[[Rows], bool]] = {
    "two delivery notes with one number": lambda w: _repeats(
        w["salesDeliveryNotes"], "full-reference"
    ),
    "two invoices with one number": lambda w: _repeats(w["ordinaryInvoices"], "full-reference"),
    "product code twice": lambda w: _repeats(w["products"], "full-reference"),
    "device serial twice": lambda w: _repeats(w["assets"], "serial-number"),
    "warranty ends before it starts": lambda w: any(
        a["warranty-end-date"] and a["warranty-end-date"] < a["warranty-start-date"]
        for a in w["assets"]
    ),
    "deleted line": lambda w: any(x["deleted"] for d in w["salesEstimates"] for x in d["lines"]),
    "heading": lambda w: any(
        x["line-type"] == "SECTION" for d in w["workOrders"] for x in d["lines"]
    ),
    "free line": lambda w: any(
        x["item-id"] is None and x["line-type"] == "ITEM"
        for d in w["salesEstimates"]
        for x in d["lines"]
    ),
    "lines out of order": lambda w: any(
        [x["order"] for x in d["lines"]] != sorted(x["order"] for x in d["lines"])
        for d in w["salesEstimates"]
    ),
    "document of a potential client": lambda w: any(
        "/potentialClients/" in d["account-path"] for d in w["salesEstimates"]
    ),
    "document without lines": lambda w: any(not d["lines"] for d in w["salesEstimates"]),
    "document over nothing": lambda w: any(
        d["lines"] and d["total-amount"] == 0 for d in w["salesEstimates"]
    ),
    "negative credit note": lambda w: all(d["total-amount"] < 0 for d in w["refundInvoices"]),
    "dollars": lambda w: any(
        d["currency-code"] == "USD" and d["currency-rate"] != 1 for d in w["ordinaryInvoices"]
    ),
    "global discount": lambda w: any(d["discount-total-amount"] > 0 for d in w["ordinaryInvoices"]),
    "surcharge": lambda w: any(d["secondary-tax-enabled"] for d in w["salesEstimates"]),
    "no agent": lambda w: any(d["agent-id"] is None for d in w["salesEstimates"]),
    "agent gone": lambda w: any(d["agent-id"] == 8_109 for d in w["salesEstimates"]),
    "part payment": lambda w: any(
        {r["paid"] for r in d["receipts"]} == {True, False} for d in w["ordinaryInvoices"]
    ),
    "no receipts": lambda w: any(not d["receipts"] for d in w["ordinaryInvoices"]),
    "settled": lambda w: any(d["settled"] for d in w["ordinaryInvoices"]),
    "negative receipt": lambda w: any(r["amount"] < 0 for r in w["ordinaryInvoiceReceipts"]),
    "text id": lambda w: isinstance(w["ordinaryInvoiceReceipts"][0]["original-element-id"], str),
    "overdue": lambda w: any(
        not r["paid"] and r["payment-term-date"] < "2022" for r in w["ordinaryInvoiceReceipts"]
    ),
    "due far ahead": lambda w: any(
        r["payment-term-date"] > "2030" for r in w["ordinaryInvoiceReceipts"]
    ),
    "pdf missing": lambda w: any(d["pdf-path"] is None for d in w["salesOrders"]),
    "loose contact": lambda w: any(c["account-id"] is None for c in w["contacts"]),
    "several contacts": lambda w: (
        max(Counter(c["account-path"] for c in w["contacts"]).values()) >= 3
    ),
    "leading zero": lambda w: any((a["postal-code"] or "").startswith("0") for a in w["addresses"]),
    "asset of nobody": lambda w: any(a["account-id"] is None for a in w["assets"]),
    "negative stock": lambda w: any(p["real-stock"] < 0 for p in w["products"]),
    "three warehouses": lambda w: any(len(p["product-warehouses"]) == 3 for p in w["products"]),
    "inactive product": lambda w: any(p["inactive"] and not p["deleted"] for p in w["products"]),
    "all day": lambda w: any(e["all-day"] for e in w["events"]),
    "event in the missing hour": lambda w: any(
        "2025-03-30T02" in e["start-date"] for e in w["events"]
    ),
    "event in the doubled hour": lambda w: any(
        "2025-10-26T02" in e["start-date"] for e in w["events"]
    ),
    "event over midnight": lambda w: any(
        not e["all-day"] and e["start-date"][:10] < e["end-date"][:10] for e in w["events"]
    ),
    "event about nothing": lambda w: any(
        all(e[f"{x}-id"] is None for x in ("account", "incident", "asset", "document"))
        for e in w["events"]
    ),
    "event about a document": lambda w: any(e["document-id"] for e in w["events"]),
    "shared login": lambda w: _repeats(w["employees"], "email"),
    "employee without e-mail": lambda w: {None, ""} <= {e["email"] for e in w["employees"]},
    "foreign file": lambda w: any(
        "files.example.net" in a["file-path"] for a in w["entityAttachments"]
    ),
    "long comment": lambda w: any(len(c["comments"] or "") == 5_000 for c in w["clients"]),
}


def _repeats(rows: list[Record], field: str) -> bool:
    shown = [row[field] for row in rows if not row["deleted"] and row[field]]
    return len(set(shown)) < len(shown)


@pytest.mark.parametrize("size", [300, 800, 30_000])
@pytest.mark.parametrize("name", ODDITIES)
def test_oddity_occurs_at_every_size(name: str, size: int) -> None:
    """Real accounts hold this, so the emulator must, at any size."""
    assert ODDITIES[name](account(size)), name


def test_accounts_without_contacts_keep_their_own_email_or_nothing() -> None:
    """Client 2 is reached only through itself; client 3 not at all."""
    world = account()
    owners = {row["account-path"] for row in world["contacts"]}
    second, third = world["clients"][2], world["clients"][3]
    assert second["path"] not in owners and second["email"] and second["phone"]
    assert third["path"] not in owners and third["email"] is None and third["phone"] is None
