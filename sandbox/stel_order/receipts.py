"""Receipts: the instalments of an invoice, paid or not, and what they leave to pay."""

from __future__ import annotations

from typing import Any, NamedTuple

from sandbox.stel_order.amounts import FOREIGN, divide, total_of
from sandbox.stel_order.layout import (
    HOST,
    INVOICES,
    PREFIXES,
    RECEIPTS,
    SPREADS,
)
from sandbox.stel_order.links import account_of
from sandbox.stel_order.stamps import DAY, at, midnight
from sandbox.stel_order.world import (
    LAST_STAMP,
    World,
    ident_of,
    put_link,
    put_row,
)

Record = dict[str, Any]
FAR_DUE = at("2031-06-30")
PAID, PART_PAID, OVERDUE, DUE_LATER, NOT_ADDING_UP, NO_RECEIPTS, HALVES = range(
    7
)  # ordinary invoices, by index
CORRECTED = 12  # an instalment too high and a negative one that corrects it


class Instalment(NamedTuple):
    """One receipt before it is written out; amount in cents."""

    amount: int
    due: int
    paid: bool


def _terms(world: World, invoices: str, index: int) -> tuple[int, bool]:
    due = world.created(invoices, index) // DAY * DAY + (30, 60, 0, 15)[index % 4] * DAY
    drawn = world.draw(invoices, index, 7)
    return due, due < LAST_STAMP - 60 * DAY and drawn % 8 != 0


def instalments(world: World, invoices: str, index: int, total: int) -> list[Instalment]:
    """How an invoice is paid; as many rows as the receipts' spread says."""
    due, paid = _terms(world, invoices, index)
    rows = len(SPREADS[INVOICES[invoices]].children(index))
    odd = index if invoices == "ordinaryInvoices" else -1
    if rows == 0:
        return []
    if rows == 1:
        if odd in (OVERDUE, DUE_LATER):
            return [Instalment(total, FAR_DUE if odd == DUE_LATER else due, False)]
        return [Instalment(total, due, paid or index == PAID)]
    if odd == CORRECTED:
        return [Instalment(total + 5_000, due, True), Instalment(-5_000, due, True)]
    if odd == PART_PAID or (odd > HALVES and world.draw(invoices, index, 7) % 3 == 0):
        part = divide(
            total * 2, 5
        )  # a part payment splits one instalment: same due date, one half paid
        return [Instalment(part, due, True), Instalment(total - part, due, False)]
    half = divide(total, 2)
    rest = total - half - (500 if odd == NOT_ADDING_UP else 0)
    paid = paid and odd != HALVES
    return [Instalment(half, due, paid), Instalment(rest, due + 30 * DAY, paid)]


def receipt(world: World, collection: str, index: int) -> Record:
    """One receipt as its own list shows it."""
    invoices = RECEIPTS[collection]
    parent, rank = SPREADS[collection].place(index)
    plan = instalments(world, invoices, parent, total_of(world, invoices, parent))
    return _written(world, collection, index, plan[rank])


def receipts_of(world: World, invoices: str, index: int, total: int) -> list[Record]:
    """All receipts of one invoice, as they stand inside it."""
    collection = INVOICES[invoices]
    plan = instalments(world, invoices, index, total)
    rows = SPREADS[collection].children(index)
    return [_written(world, collection, row, part) for row, part in zip(rows, plan, strict=True)]


def _written(world: World, collection: str, index: int, part: Instalment) -> Record:
    invoices = RECEIPTS[collection]
    parent, rank = SPREADS[collection].place(index)
    ident = ident_of(invoices, parent)
    drawn = world.draw(collection, index)
    record = world.common(collection, index)
    record |= {
        "full-reference": f"{PREFIXES[invoices]}{world.number(invoices, parent):05d}",
        # The id of the invoice comes as text on sales and as a number on purchases.
        "original-element-id": ident if invoices == "purchaseInvoices" else str(ident),
        "original-element-path": f"{HOST}/{invoices}/{ident}",
    }
    put_row(record, "account", account_of(world, invoices, parent))
    record |= {
        "amount": part.amount / 100,
        "paid": part.paid,
        "payment-term-date": midnight(part.due),
        "payment-date": midnight(part.due - drawn % 5 * DAY) if part.paid else None,
    }
    put_link(record, "payment-option", "paymentOptions", 106_700 + drawn % 5)
    put_link(record, "bank-account", "bankAccounts", 562_100 if drawn % 5 < 2 else None)
    foreign = FOREIGN.get((invoices, parent))
    record |= {
        "concept": f"Plazo {rank + 1}" if drawn % 3 else None,
        "currency-code": "USD" if foreign else "EUR",
        "currency-rate": foreign or 1,
    }
    put_link(record, "creator", "employees", 8_102)
    put_link(record, "paid-employee", "employees", 8_102 if part.paid else None)
    record["settled"] = part.paid
    if collection != "refundInvoiceReceipts":
        record["sepa-generated"] = part.paid and drawn % 5 == 1
    return record
