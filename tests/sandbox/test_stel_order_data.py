"""The invented account holds together, and holds every oddity of real ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sandbox.stel_order.layout import DOCUMENTS, INVOICES, RECEIPTS, SPREADS
from sandbox.stel_order.links import account_of, main_address, parent_of
from sandbox.stel_order.overlay import Overlay
from sandbox.stel_order.records import COLLECTIONS, all_records, record
from sandbox.stel_order.rows import Rows
from sandbox.stel_order.settings import SETTINGS
from sandbox.stel_order.world import World, ident_of

Record = dict[str, Any]
PATH = re.compile(r"app\.stelorder\.com/app/(\w+)/(-?\d+)")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")
ODD_SUMS = {("salesEstimates", 6), ("ordinaryInvoices", 15), ("salesOrders", 3)}
ACCOUNTS = ("clients", "potentialClients", "suppliers")


@cache
def account(size: int = 800, seed: int = 1) -> dict[str, list[Record]]:
    """Every record of an account, deleted ones included."""
    world = World(seed, size)
    return {name: list(all_records(world, name)) for name in COLLECTIONS}


def inside(value: Any) -> Iterator[Record]:
    """A record and everything nested in it."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from inside(part)
    elif isinstance(value, list):
        for part in value:
            yield from inside(part)


@pytest.mark.parametrize("size", [800, 4_000, 60_000, 1_000_000])
def test_size_is_the_number_of_records(size: int) -> None:
    """All collections together come to the size asked for, within two per cent."""
    assert abs(sum(World(1, size).counts.values()) - size) <= size * 0.02


def test_no_collection_needs_a_second_page_at_the_default_size() -> None:
    """At 800 records a page of 500 holds any collection."""
    assert max(World(1, 800).counts.values()) <= 500


@pytest.mark.parametrize(("size", "seed"), [(300, 1), (800, 1), (800, 7), (5_000, 3)])
def test_every_link_leads_somewhere(size: int, seed: int) -> None:
    """Each path names a record that exists, and its id beside it is the same."""
    world = account(size, seed)
    paths = {row["path"] for rows in world.values() for row in rows if "path" in row}
    for collection, rows in world.items():
        for part in inside(rows):
            for key, value in part.items():
                if isinstance(value, str) and (found := PATH.fullmatch(value)):
                    assert value in paths, (collection, part.get("id"), key, value)
                    beside = "id" if key == "path" else key.replace("-path", "-id")
                    assert str(part[beside]) == found[2]
                elif key.endswith("-path") and value is None:
                    assert part.get(key.replace("-path", "-id")) is None


@pytest.mark.parametrize("size", [300, 800, 5_000, 43_210])
def test_accounts_and_addresses_agree_from_both_ends(size: int) -> None:
    """The main address of an account belongs to it, and no two accounts share one."""
    world = World(1, size)
    mains = [
        (owner, found)
        for kind in ACCOUNTS
        for owner in ((kind, index) for index in range(world.counts[kind]))
        if (found := main_address(world, owner)) is not None
    ]
    assert all(account_of(world, "addresses", found) == owner for owner, found in mains)
    kinds = Counter(
        record(world, "addresses", i)["address-type"] for i in range(world.counts["addresses"])
    )
    assert kinds["DEFAULT"] == len(mains)


def test_a_document_is_younger_than_the_one_it_came_from() -> None:
    """Parents come first, and parent and child are of the same account."""
    world = World(1, 5_000)
    for collection in DOCUMENTS:
        for index in range(world.counts[collection]):
            parent = parent_of(world, collection, index)
            if parent:
                assert world.created(*parent) <= world.created(collection, index)
    for row in account()["ordinaryInvoices"]:
        if row["parent-document-path"]:
            collection = row["parent-document-path"].split("/")[-2]
            (parent_row,) = [
                p for p in account()[collection] if p["id"] == row["parent-document-id"]
            ]
            assert parent_row["account-path"] == row["account-path"]


def test_creation_never_goes_back_and_modification_never_precedes_it() -> None:
    """Rows are in the order of creation, between 2019 and the end of 2026."""
    world = World(1, 20_000)
    for collection in ("clients", "ordinaryInvoices", "ordinaryInvoiceReceipts", "events"):
        created = [world.created(collection, index) for index in range(world.counts[collection])]
        assert created == sorted(created)
        assert created[0] >= 1_546_300_800 and created[-1] < 1_798_761_600
        if collection not in RECEIPTS:
            changed = [world.modified(collection, index) for index in range(len(created))]
            assert all(late >= early for late, early in zip(changed, created, strict=True))


@pytest.mark.parametrize("size", [800, 5_000])
def test_lines_taxes_and_headers_add_up(size: int) -> None:
    """Within a cent, except the lines of the documents listed as odd."""
    for collection in DOCUMENTS:
        for index, row in enumerate(account(size)[collection]):
            items = [x for x in row["lines"] if x["line-type"] == "ITEM" and not x["deleted"]]
            for line in items:
                net = (
                    line["units"]
                    * line["item-base-price"]
                    * (1 - line["discount-percentage"] / 100)
                )
                assert abs(net - line["total-amount"]) <= 0.0101
            share = 1 - row["discount-percentage"] / 100
            gap = abs(sum(line["total-amount"] for line in items) * share - row["subtotal-amount"])
            assert (gap <= 0.0101) is ((collection, index) not in ODD_SUMS)
            taxes = sum(tax["total-amount"] for tax in row["tax-breakdown"])
            assert abs(taxes - row["tax-total-amount"]) < 0.001
            total = row["subtotal-amount"] + row["tax-total-amount"]
            assert abs(total - row["total-amount"]) < 0.001


def test_receipts_add_up_and_stand_in_their_invoice() -> None:
    """Receipts come to the total but for the odd invoices; the invoice shows the same records."""
    world = account(5_000)
    for invoices, receipts in INVOICES.items():
        by_invoice: dict[int, list[Record]] = {}
        for receipt in world[receipts]:
            by_invoice.setdefault(int(receipt["original-element-id"]), []).append(receipt)
        for index, invoice in enumerate(world[invoices]):
            mine = by_invoice.get(invoice["id"], [])
            assert invoice["receipts"] == mine
            paid = sum(receipt["amount"] for receipt in mine if receipt["paid"])
            assert abs(paid - invoice["paid-total-amount"]) < 0.001
            left = invoice["total-amount"] - paid
            assert abs(left - invoice["remaining-total-amount"]) < 0.001
            odd = index == 4 and invoices == "ordinaryInvoices"
            gap = abs(sum(receipt["amount"] for receipt in mine) - invoice["total-amount"])
            assert (gap < 0.001) is (not odd) or not mine


def test_spread_places_are_the_inverse_of_its_children() -> None:
    """Every child has one parent, whatever the pattern."""
    for spread in SPREADS.values():
        places = [
            (parent, rank) for parent in range(40) for rank in range(len(spread.children(parent)))
        ]
        assert [spread.place(child) for child in range(len(places))] == places


def test_every_state_and_word_occurs() -> None:
    """No state, type, priority or kind is missing at the default size."""
    world = account()
    used = {row["document-state-id"] for kind in DOCUMENTS for row in world[kind]}
    assert used == {row["id"] for row in SETTINGS["documentStates"]}
    for collection, field, wanted in (
        ("incidents", "incident-state-id", {row["id"] for row in SETTINGS["incidentStates"]}),
        (
            "incidents",
            "incident-type-id",
            {row["id"] for row in SETTINGS["incidentTypes"]} | {None},
        ),
        ("incidents", "priority", {"VERYLOW", "LOW", "NORMAL", "HIGH", "VERYHIGH"}),
        ("events", "event-state", {"PENDING", "COMPLETED", "REFUSED"}),
        ("events", "event-type-id", {row["id"] for row in SETTINGS["eventTypes"]} | {None}),
        ("addresses", "address-type", {"DEFAULT", "INVOICING", "DELIVERY", "OTHER"}),
        ("addresses", "country-code", {"ES", "FR", "PT", None}),
    ):
        live = {row[field] for row in world[collection] if not row["deleted"]}
        assert live == wanted, (collection, field)


def test_ids_overlap_between_collections() -> None:
    """Clients share ids with potential clients, invoices with estimates: only the path tells."""
    world = World(1, 800)
    assert ident_of("clients", 3) == ident_of("potentialClients", 3)
    assert len({ident_of(name, 0) for name in DOCUMENTS}) == 1
    assert {-2} <= {row["id"] for row in account()["rates"]} & {
        row["id"] for row in account()["warehouses"]
    }
    assert world.counts["suppliers"] >= 3


def test_stamps_are_written_without_a_colon() -> None:
    """Every date in every record is in the one form the API writes."""
    for part in inside(list(account().values())):
        for key, value in part.items():
            if key == "date" or key.endswith("-date"):
                assert value is None or STAMP.fullmatch(value), (key, value)


def test_creation_is_wall_time_and_modification_is_utc() -> None:
    """Where a row was never touched, the two stamps differ by Madrid's offset that day."""
    world = World(1, 800)
    hours = set()
    for collection in ("products", "clients", "salesOrders"):
        row = record(world, collection, 2)
        made = datetime.fromisoformat(row["creation-date"])
        changed = datetime.fromisoformat(row["utc-last-modification-date"])
        offset = changed.astimezone(ZoneInfo("Europe/Madrid")).utcoffset()
        assert made - changed == offset
        hours.add(offset)
    assert hours


def test_base_rows_without_changes_need_no_memory() -> None:
    """An account of a million records is only arithmetic until somebody changes it."""
    rows = Rows(World(1, 1_000_000), Overlay(None, 1, 1_000_000))
    last = rows.end("ordinaryInvoices") - 1
    assert rows.get("ordinaryInvoices", last)["id"] == ident_of("ordinaryInvoices", last)
    assert not rows.overlay.records["ordinaryInvoices"]


def _expected_fields() -> Iterator[tuple[str, list[str]]]:
    text = Path(__file__).with_name("stel_order_fields.txt").read_text()
    for line in text.splitlines()[1:]:
        collection, _, fields = line.partition(": ")
        yield collection, fields.split()


@pytest.mark.parametrize(("collection", "fields"), list(_expected_fields()))
def test_every_known_field_is_present(collection: str, fields: list[str]) -> None:
    """All rows of a collection have the same keys, the known ones among them; few may be null."""
    rows = account()[collection] if collection != "lines" else _lines()
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    for field in fields:
        name = field.removesuffix("?")
        assert name in rows[0]
        assert field.endswith("?") or all(row[name] is not None for row in rows), name


def _lines() -> list[Record]:
    return [line for kind in DOCUMENTS for row in account()[kind] for line in row["lines"]]


def test_line_ids_are_unique_over_all_documents() -> None:
    """Line ids tell lines apart wherever they stand."""
    idents = [line["id"] for line in _lines()]
    assert len(set(idents)) == len(idents)
