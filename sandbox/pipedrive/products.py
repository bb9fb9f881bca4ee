"""Products (v2)."""

from __future__ import annotations

from typing import Any

from sandbox.pipedrive.billing import FREQUENCIES, MOST_CYCLES, check_billing
from sandbox.pipedrive.call import Call
from sandbox.pipedrive.checks import (
    array,
    boolean,
    fields,
    integer,
    nullable,
    number,
    one_of,
    text,
)
from sandbox.pipedrive.currencies import CODES
from sandbox.pipedrive.desk import CURRENCY
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.shared_parts import (
    check_visibility,
    default_visibility,
    owner_id,
    visible_to,
)
from sandbox.pipedrive.store import Record

_NO_PRICE = {"price": 0, "currency": CURRENCY, "cost": 0, "direct_cost": None, "notes": ""}
_price = fields(
    {
        "currency": one_of(sorted(CODES)),
        "price": number(),
        "cost": number(),
        "direct_cost": nullable(number()),
        "notes": text(),
    },
    ("currency",),
    _NO_PRICE,
)


def _prices(value: Any, where: str) -> list[Record]:
    prices: list[Record] = array(_price)(value, where)
    if len({price["currency"] for price in prices}) != len(prices):
        raise invalid(where, "Only one price per currency is allowed")
    return prices


def _fresh(call: Call) -> Record:
    return {
        "name": "",
        "code": None,
        "description": None,
        "unit": None,
        "tax": 0,
        "category": None,
        "is_linkable": True,
        "is_deleted": False,
        "visible_to": default_visibility(call),
        "owner_id": call.user_id,
        "add_time": call.now,
        "update_time": call.now,
        "billing_frequency": "one-time",
        "billing_frequency_cycles": None,
        "prices": [dict(_NO_PRICE)],
        "custom_fields": {},
    }


def _settle(call: Call, record: Record, checked: Record, _: Record | None) -> None:
    check_visibility(call, checked)
    check_billing(call, record, checked)
    if checked.get("category") is not None:
        chosen = checked["category"]
        if chosen not in call.desk.label_options("product", "category"):
            raise invalid("category", f"Invalid option id '{chosen}'")
        record["category"] = str(int(chosen))  # sent as a number, read back as a string
    if "prices" in checked and not checked["prices"]:
        record["prices"] = [dict(_NO_PRICE)]


def _show(_: Call, record: Record) -> None:
    record["prices"] = [{"product_id": record["id"], **price} for price in record["prices"]]


PRODUCTS = Entity(
    kind="products",
    entity="product",
    operation="Product",
    parts={
        "name": text(255, filled=True),
        "code": text(255),
        "description": text(),
        "unit": text(255),
        "tax": number(0),
        "category": nullable(number()),
        "owner_id": owner_id,
        "is_linkable": boolean,
        "visible_to": visible_to,
        "prices": _prices,
        "custom_fields": lambda value, _: value,
        "billing_frequency": one_of(FREQUENCIES),
        "billing_frequency_cycles": nullable(integer(1, MOST_CYCLES)),
    },
    create_only={},
    required=("name",),
    links={"owner_id": "users"},
    filters=("owner_id",),
    fresh=_fresh,
    settle=_settle,
    show=_show,
    status=201,
    labels=False,
    single_query=False,
    until=False,
)
OPERATIONS = PRODUCTS.operations()
