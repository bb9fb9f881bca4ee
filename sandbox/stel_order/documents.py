"""Sales, work and purchase documents: one model for all, with what each kind adds."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.accounts import address_id
from sandbox.stel_order.amounts import (
    FOREIGN,
    WITH_SURCHARGE,
    Line,
    global_discount,
    lines_of,
    sums_of,
)
from sandbox.stel_order.files import PublicFile, link_to
from sandbox.stel_order.layout import INVOICES, WORK_DOCUMENTS
from sandbox.stel_order.lines import written_lines
from sandbox.stel_order.links import (
    account_of,
    asset_of,
    incident_of,
    parent_of,
)
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.receipts import receipts_of
from sandbox.stel_order.settings import STATES
from sandbox.stel_order.staff import AGENTS, GONE, TECHNICIANS
from sandbox.stel_order.stamps import DAY, midnight, stamp, wall
from sandbox.stel_order.words import JOB
from sandbox.stel_order.world import World, ident_of, put_link, put_row

Record = dict[str, Any]
Row = tuple[str, int]
NO_AGENT, AGENT_GONE = 13, 14  # in every kind of document


def document(world: World, collection: str, index: int) -> Record:
    """One document with its lines and, for an invoice, its receipts."""
    account = account_of(world, collection, index)
    assert account is not None
    drawn = world.draw(collection, index)
    record = world.numbered(collection, index)
    record |= {
        "date": midnight(world.created(collection, index)),
        "creation-date": world.creation_stamp(collection, index),
        "title": JOB[(drawn >> 4) % 8] if drawn % 5 else None,
    }
    put_row(record, "account", account)
    _put_people(world, record, (collection, index), drawn)
    put_link(record, "document-state", "documentStates", _state(collection, index, drawn))
    put_link(record, "invoicing-address", "addresses", address_id(world, account))
    lines = lines_of(world, collection, index)
    total = _put_amounts(world, record, (collection, index), lines)
    _put_payment(record, drawn)
    parent = parent_of(world, collection, index)
    put_row(record, "parent-document", parent)
    _put_rest(world, record, (collection, index), drawn)
    record["lines"] = written_lines(world, (collection, index), lines, parent)
    if collection in INVOICES:
        _put_receipts(world, record, (collection, index), total)
    elif collection in WORK_DOCUMENTS:
        _put_work(world, record, (collection, index), account)
    elif collection == "salesEstimates":
        record["validity-date"] = (
            midnight(world.created(collection, index) + 30 * DAY) if drawn % 4 else None
        )
        record["settled"] = False
    record |= odd_values(collection, index)
    return record


def _put_people(world: World, record: Record, row: Row, drawn: int) -> None:
    collection, index = row
    old = index * 10 < world.counts[collection] and drawn % 9 == 0
    agent: int | None = AGENTS[(drawn >> 12) % 6]
    if index == AGENT_GONE or old:
        agent = GONE
    elif index == NO_AGENT or drawn % 11 == 0:
        agent = None
    put_link(record, "agent", "employees", agent)
    put_link(record, "creator", "employees", GONE if old else AGENTS[(drawn >> 16) % 6])


def _state(collection: str, index: int, drawn: int) -> int:
    """Each state occurs among the first rows; later on, old documents are mostly closed."""
    states = STATES[collection]
    return states[index % len(states)] if index < 12 else states[(drawn >> 20) % len(states)]


def _put_amounts(world: World, record: Record, row: Row, lines: list[Line]) -> int:
    sums = sums_of(world, *row, lines)
    foreign = FOREIGN.get(row)
    record |= {
        "currency-code": "USD" if foreign else "EUR",
        "currency-rate": foreign or 1,
        "discount-percentage": global_discount(world, *row),
        "discount-total-amount": sums.discounted / 100,
        "subtotal-amount": sums.subtotal / 100,
        "tax-total-amount": sum(sums.taxes) / 100,
        "total-amount": sums.total / 100,
        "tax-breakdown": [{"total-amount": tax / 100} for tax in sums.taxes],
        "primary-tax-enabled": True,
        "secondary-tax-enabled": row == WITH_SURCHARGE,
        "income-tax-enabled": False,
        "income-tax-percentage": 0,
    }
    return sums.total


def _put_payment(record: Record, drawn: int) -> None:
    option = (drawn >> 24) % 6
    put_link(record, "payment-option", "paymentOptions", 106_700 + option if option < 5 else None)
    terms = (drawn >> 28) % 5
    put_link(record, "payment-terms", "paymentTerms", 3_001 + terms if terms < 4 else None)
    put_link(record, "bank-account", "bankAccounts", 562_100 if option in (0, 1) else None)


def _put_rest(world: World, record: Record, row: Row, drawn: int) -> None:
    collection, index = row
    incident = incident_of(world, collection, index) if collection in WORK_DOCUMENTS else None
    asset = asset_of(world, incident) if incident is not None else None
    pdf = link_to(PublicFile("pdf", collection, record["id"]), world.seed, world.token_round)
    record |= {
        "comments": "Entregar en horario de mañana." if drawn % 6 == 0 else None,
        "private-comments": None,
        "addendum": None,
        "external-id": None,
        "assets": [],
        "signed": (drawn >> 32) % 4 == 0,
        "email-read-count": (drawn >> 36) % 3,
        "pdf-path": None if index % 10 == 6 else pdf,
    }
    if asset is not None:
        device: Record = {}
        put_row(device, "asset", ("assets", asset))
        record["assets"] = [{"id": device["asset-id"], "path": device["asset-path"]}]


def _put_receipts(world: World, record: Record, row: Row, total: int) -> None:
    receipts = receipts_of(world, *row, total)
    paid = sum(round(receipt["amount"] * 100) for receipt in receipts if receipt["paid"])
    record |= {
        "paid-total-amount": paid / 100,
        "remaining-total-amount": (total - paid) / 100,
        "settled": bool(receipts) and all(receipt["paid"] for receipt in receipts),
        "receipts": receipts,
        "verifactu-state": None,
    }


def _put_work(world: World, record: Record, row: Row, account: Row) -> None:
    collection, index = row
    drawn, created = world.draw(collection, index, 5), world.created(collection, index)
    technician = TECHNICIANS[drawn % 4] if drawn % 7 else None
    put_link(record, "assignee", "employees", technician)
    record["assigned-date"] = stamp(wall(created) + 1_800) if technician else None
    incident = incident_of(world, collection, index)
    put_link(
        record,
        "parent-incident",
        "incidents",
        None if incident is None else ident_of("incidents", incident),
    )
    record["address-id"] = address_id(world, account)
    record["due-date"] = midnight(created + drawn % 9 * DAY) if drawn % 3 else None
