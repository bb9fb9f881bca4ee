"""Records as the service makes them before the caller's fields go in."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.layout import (
    DOCUMENTS,
    HOST,
    INVOICES,
    PREFIXES,
    RECEIPTS,
)
from sandbox.stel_order.records import record
from sandbox.stel_order.settings import SERIES, STATES
from sandbox.stel_order.stamps import midnight, stamp, wall
from sandbox.stel_order.world import World, ident_of, put_link

Record = dict[str, Any]
ADMINISTRATOR = 8_100


def blank_record(world: World, collection: str, index: int, now: int) -> Record:
    """Every key of the collection, empty or at its default, with an id and a number."""
    fresh = {name: _empty(value) for name, value in record(world, collection, 0).items()}
    ident = ident_of(collection, index)
    fresh |= {"id": ident, "path": f"{HOST}/{collection}/{ident}", "deleted": False}
    if collection in PREFIXES:
        digits = f"{index + 1:05d}"
        numbered: Record = {"full-reference": PREFIXES[collection] + digits, "reference": digits}
        numbered["serial-number-id"] = SERIES[collection]
        fresh |= {name: value for name, value in numbered.items() if name in fresh}
    if "serial-number-path" in fresh:
        put_link(fresh, "serial-number", "serialNumbers", SERIES[collection])
    if "creation-date" in fresh:
        fresh["creation-date"] = stamp(wall(now) if world.wall_creation else now)
    if "creator-id" in fresh:
        put_link(fresh, "creator", "employees", ADMINISTRATOR)
    return fresh | _defaults(collection, fresh, now)


def _empty(value: Any) -> Any:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return 0
    return [] if isinstance(value, list) else None


def _defaults(collection: str, fresh: Record, now: int) -> Record:
    # A number in the sample may be a link that is set there: every link starts empty.
    links = {name: None for name in fresh if _is_link(name) and fresh[name] == 0}
    money = {"currency-code": "EUR", "currency-rate": 1, "primary-tax-enabled": True}
    common = links | {name: value for name, value in money.items() if name in fresh}
    if collection in DOCUMENTS:
        put_link(common, "document-state", "documentStates", STATES[collection][0])
        common |= {"date": midnight(wall(now))}
        if collection in INVOICES:
            common |= {"paid-total-amount": 0, "remaining-total-amount": 0}
    elif collection in RECEIPTS:
        common |= {"payment-term-date": midnight(wall(now))}
    elif collection == "incidents":
        put_link(common, "incident-state", "incidentStates", 63_001)
        common |= {"priority": "NORMAL", "date": stamp(wall(now)), "length": 60}
    elif collection == "events":
        common |= {
            "event-state": "PENDING",
            "start-date": stamp(wall(now)),
            "end-date": stamp(wall(now) + 3_600),
        }
    elif collection == "addresses":
        common |= {"address-type": "OTHER"}
    return common


def _is_link(name: str) -> bool:
    return name.endswith("-id") and name not in ("external-id", "serial-number-id", "creator-id")


def blank_line(ident: int, order: int) -> Record:
    """One document line before the caller's fields go in."""
    return {
        "id": ident,
        "order": order,
        "line-type": "ITEM",
        "deleted": False,
        "item-id": None,
        "item-path": None,
        "item-reference": None,
        "item-name": None,
        "item-description": None,
        "item-deleted": False,
        "units": 1,
        "item-base-price": 0,
        "discount-percentage": 0,
        "total-amount": None,
        "primary-tax-id": 37_201,
        "primary-tax-path": f"{HOST}/taxLines/37201",
        "primary-tax-percentage": 21,
        "secondary-tax-percentage": 0,
        "income-tax-enabled": False,
        "parent-document-id": None,
        "warehouse-id": None,
    }
