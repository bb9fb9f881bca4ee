"""Clients, potential clients and suppliers (one model), their contacts and their addresses."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.links import account_of, address_type, main_address
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.settings import SETTINGS
from sandbox.stel_order.staff import AGENTS, GONE
from sandbox.stel_order.words import (
    FIRST,
    FORM,
    LAST,
    POSITION,
    STREET,
    TOWN,
    TRADE,
    slug,
)
from sandbox.stel_order.world import World, ident_of, put_link, put_row

Record = dict[str, Any]
_CONTROL = "TRWAGMYFPDXBNJZSQVHLCKE"
_CATEGORIES = [row["id"] for row in SETTINGS["accountCategories"]]


def person_name(drawn: int) -> str:
    """First name and two surnames."""
    first, rest = FIRST[drawn % 30], drawn // 30
    return f"{first} {LAST[rest % 30]} {LAST[rest // 30 % 30]}"


def phone(drawn: int) -> str | None:
    """A number in one of the ways people type it; None for a few."""
    digits = f"{600_000_100 + drawn % 99_000_000}"
    style = drawn // 99_000_000 % 6
    if style == 0:
        return None
    if style == 1:
        return f"+34{digits}"
    if style == 2:
        return f"{digits[:3]} {digits[3:5]} {digits[5:7]} {digits[7:]}"
    return digits


def _person_tax_id(drawn: int) -> str:
    number = drawn % 90_000_000 + 10_000_000
    return f"{number}{_CONTROL[number % 23]}"


def _company_tax_id(drawn: int) -> str:
    digits = f"{drawn % 9_000_000 + 1_000_000}"
    odd = sum(divmod(int(digit) * 2, 10)[0] + int(digit) * 2 % 10 for digit in digits[::2])
    even = sum(int(digit) for digit in digits[1::2])
    return f"B{digits}{-(odd + even) % 10}"


def _names(drawn: int) -> tuple[str, str | None, str]:
    """Trade name, legal name and tax id; one account in five is a person."""
    rest = drawn // 5
    if drawn % 5 == 0:
        name = person_name(rest)
        return name, name if rest & 1 else None, _person_tax_id(drawn >> 20)
    trade = f"{TRADE[rest % 20]} {LAST[rest // 20 % 30]}"
    return trade, f"{trade} {FORM[rest // 600 % 7]}", _company_tax_id(drawn >> 20)


def account(world: World, collection: str, index: int) -> Record:
    """One client, potential client or supplier."""
    drawn, more = world.draw(collection, index), world.draw(collection, index, 5)
    name, legal_name, tax_id = _names(drawn)
    record = world.numbered(collection, index)
    record |= {
        "name": name,
        "legal-name": legal_name,
        "tax-identification-number": tax_id if more % 10 else None,
        "identification-number": None,
        "email": f"info@{slug(name)}{index}.example" if more % 8 else None,
        "phone": phone(more >> 8),
        "phone2": None,
        "fax": None,
        "website": f"https://www.{slug(name)}{index}.example" if more % 5 == 0 else None,
        "comments": "Paga siempre tarde." if more % 12 == 0 else None,
        "main-address": _main_address(world, collection, index),
    }
    _put_terms(record, index, more)
    record["creation-date"] = world.creation_stamp(collection, index)
    record |= odd_values(collection, index)
    return record


def _put_terms(record: Record, index: int, drawn: int) -> None:
    """How business is done with an account."""
    category = _CATEGORIES[(drawn >> 4) % 5] if drawn % 6 else None
    put_link(record, "account-category", "accountCategories", category)
    put_link(record, "agent", "employees", _agent(index, drawn))
    record |= {
        "currency-code": "EUR",
        "discount-percentage": 5 if drawn % 9 == 0 else 0,
        "payment-adjustment": None,
        "payment-option-id": 106_700 + (drawn >> 12) % 5,
        "payment-terms-id": 3_001 + (drawn >> 16) % 4,
        "rate-id": (2_807, -2, None)[(drawn >> 20) % 3],
        "special-prices": [],
        "bank-account": None,
        "primary-tax-enabled": True,
        "secondary-tax-enabled": index == 5,
        "income-tax-enabled": False,
        "external-id": None,
    }


def _agent(index: int, drawn: int) -> int | None:
    if index == 4:
        return GONE
    return None if drawn % 7 == 0 else AGENTS[(drawn >> 24) % 6]


def _main_address(world: World, collection: str, index: int) -> Record | None:
    found = main_address(world, (collection, index))
    return None if found is None else address(world, "addresses", found)


def contact(world: World, collection: str, index: int) -> Record:
    """One person, of an account or of nobody."""
    drawn = world.draw(collection, index)
    name = person_name(drawn)
    record = world.common(collection, index)
    put_row(record, "account", account_of(world, collection, index))
    record |= {
        "name": name,
        "position": POSITION[(drawn >> 40) % 7] if drawn % 3 else None,
        "email": f"{slug(name)}.{index}@example.com" if drawn % 6 else None,
        "phone": phone(drawn >> 16),
        "fax": None,
        "comments": None,
    }
    record |= odd_values(collection, index)
    return record


def address(world: World, collection: str, index: int) -> Record:
    """One address; the DEFAULT ones also stand inside their account."""
    drawn = world.draw(collection, index)
    town, province, postal_code, latitude, longitude = TOWN[drawn % 10]
    record = world.common(collection, index)
    put_row(record, "account", account_of(world, collection, index))
    record |= {
        "address-type": address_type(index),
        "name": f"Sede {drawn % 4}" if drawn % 3 == 0 else None,
        "address-data": f"{STREET[(drawn >> 8) % 12]} {(drawn >> 16) % 120 + 1}",
        "extra-data": f"{(drawn >> 24) % 9 + 1}º {'ABCD'[(drawn >> 28) % 4]}"
        if drawn % 4 == 0
        else None,
        "formatted-address": None,
        "city-town": town,
        "province": province,
        "postal-code": postal_code,
        "country-code": "ES",
        "latitude": latitude if drawn % 2 else None,
        "longitude": longitude if drawn % 2 else None,
        "external-id": None,
    }
    record |= odd_values(collection, index)
    return record


def address_id(world: World, owner: tuple[str, int] | None) -> int | None:
    """The id of an account's main address."""
    found = main_address(world, owner) if owner else None
    return None if found is None else ident_of("addresses", found)
