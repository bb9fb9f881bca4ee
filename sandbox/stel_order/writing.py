"""POST, PUT and DELETE: how people (and tests that play them) change the account meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sandbox.stel_order import stamps
from sandbox.stel_order.blank import blank_line, blank_record
from sandbox.stel_order.errors import BAD_BODY, NO_PERMISSION, Refusal
from sandbox.stel_order.layout import DOCUMENTS, HOST, INVOICES, RECEIPTS
from sandbox.stel_order.mentions import Mention, emptied, listed, mentions
from sandbox.stel_order.money import close_header, close_invoice, close_lines
from sandbox.stel_order.query import MODIFIED, is_date
from sandbox.stel_order.rows import Rows
from sandbox.stel_order.switches import REFERRED
from sandbox.stel_order.world import index_of

Record = dict[str, Any]
ACCOUNTS = ("clients", "potentialClients", "suppliers")
WRITABLE = (
    *ACCOUNTS, "contacts", "addresses", "products", "services", "incidents", "events", "assets",
    "expenses", "entityAttachments", *DOCUMENTS, *RECEIPTS,
)  # fmt: skip
_PATH = re.compile(rf"{re.escape(HOST)}/(\w+)/(-?\d{{1,15}})")
_READ_ONLY = ("id", "path", "deleted", MODIFIED, "receipts", "main-address")
_SUMS = (
    "subtotal-amount",
    "tax-total-amount",
    "total-amount",
    "tax-breakdown",
    "discount-total-amount",
)
_TARGETS: Mapping[str, tuple[str, ...]] = (
    MappingProxyType(  # where an id given without its path may lead
        {
            "account": ACCOUNTS,
            "document": DOCUMENTS,
            "parent-document": DOCUMENTS,
            "item": ("products", "services"),
            "incident": ("incidents",),
            "parent-incident": ("incidents",),
            "asset": ("assets",),
            "primary-tax": ("taxLines",),
            "document-state": ("documentStates",),
            "payment-terms": ("paymentTerms",),
            "product-category": ("productCategories",),
            "account-category": ("accountCategories",),
        }
        | dict.fromkeys(("agent", "creator", "assignee", "paid-employee", "owner"), ("employees",))
        | dict.fromkeys(("address", "invoicing-address"), ("addresses",))
        | {
            f"{name}-{part}": (f"{name}{part.title()}s",)
            for name in ("incident", "event")
            for part in ("type", "state")
        }
        | {
            name: (f"{name.replace('-o', 'O').replace('-a', 'A')}s",)
            for name in ("payment-option", "bank-account", "calendar")
        }
    )
)


class Writer:
    """Changes to one account; `now` tells UTC seconds."""

    def __init__(self, rows: Rows, now: Callable[[], float], switches: Mapping[str, str]) -> None:
        self._rows = rows
        self._now = now
        self._switches = switches

    def create(self, collection: str, body: Any) -> Record:
        """A new record at the end of its collection."""
        given = _object(body)
        if collection in RECEIPTS and "original-element-id" not in given:
            raise Refusal(400, detail="a receipt needs the original-element-id of its invoice")
        index = self._rows.end(collection)
        fresh = blank_record(self._rows.world, collection, index, int(self._now()))
        return self._save(collection, index, self._filled(collection, fresh, given))

    def update(self, collection: str, index: int, body: Any) -> Record:
        """The fields in the body, the others as they were."""
        found = self._changeable(collection, index)
        return self._save(collection, index, self._filled(collection, found, _object(body)))

    def delete(self, collection: str, index: int) -> Record:
        """Gone from lists, still there by id; rows that name it follow as the switches say."""
        found = self._changeable(collection, index)
        self._check_deletable(collection, found["path"])
        gone = self._save(collection, index, found | {"deleted": True})
        if self._switches["cascade"] != "off":
            self._part_from(found["path"], mentions(self._rows, WRITABLE))
        return gone

    def _check_deletable(self, collection: str, path: str) -> None:
        refused = self._switches["refuse_deletes"].split(",")
        if collection in refused:
            raise Refusal(403, NO_PERMISSION)
        if REFERRED in refused:
            named = mentions(self._rows, WRITABLE).get(path, ())
            if named:
                raise Refusal(400, detail=f"it is in use by {listed(self._rows, named)}")

    def _part_from(self, path: str, known: Mapping[str, list[Mention]]) -> None:
        """Delete the rows that are part of a deleted one, and empty what else points at it."""
        for one in known.get(path, ()):
            row = self._rows.get(one.collection, one.index)
            if row["deleted"] or one.link == "lines":
                continue
            if one.goes_along(self._switches["cascade"]):
                self._save(one.collection, one.index, row | {"deleted": True})
                self._part_from(row["path"], known)
            else:
                self._save(one.collection, one.index, emptied(row, one.link, path))

    def _changeable(self, collection: str, index: int) -> Record:
        found = self._rows.get(collection, index)
        if found["deleted"]:
            raise Refusal(400, detail="a deleted record cannot be changed")
        return found

    def _save(self, collection: str, index: int, changed: Record) -> Record:
        changed[MODIFIED] = stamps.stamp(int(self._now()))
        self._rows.put(collection, index, changed)
        if collection in RECEIPTS:
            self._carry_to_invoice(collection, changed)
        if collection == "addresses" and changed["address-type"] == "DEFAULT":
            self._carry_to_account(changed)
        return changed

    def _filled(self, collection: str, found: Record, body: Record) -> Record:
        for name, value in body.items():
            if name not in found:
                raise Refusal(400, detail=f"unknown field {name!r}")
            if name == "main-address" and value is not None:
                found[name] = self._main_address(found, _object(value))
            elif name not in _READ_ONLY and name != "lines":
                found[name] = _checked(name, value, found[name])
        self._complete_links(found, body)
        if collection in RECEIPTS and "original-element-id" in body:
            self._fit_to_invoice(RECEIPTS[collection], found, body)
        if collection in DOCUMENTS:
            self._close(collection, found, body)
        return found

    def _complete_links(self, found: Record, given: Record) -> None:
        """An id and its path say the same: work out the one that was not given."""
        for name in [
            key[:-3] for key in given if key.endswith("-id") and f"{key[:-3]}-path" in found
        ]:
            if f"{name}-path" not in given and name in _TARGETS:
                ident = given[f"{name}-id"]
                found[f"{name}-path"] = None if ident is None else self._path(_TARGETS[name], ident)
        for name in [
            key[:-5] for key in given if key.endswith("-path") and f"{key[:-5]}-id" in found
        ]:
            if f"{name}-id" not in given:
                found[f"{name}-id"] = _id_in(given[f"{name}-path"])

    def _path(self, targets: tuple[str, ...], ident: Any) -> str:
        """The first collection that holds the id: clients before potential ones."""
        number = _number(ident)
        for collection in targets:
            if self._rows.find(collection, number) is not None:
                return f"{HOST}/{collection}/{number}"
        raise Refusal(400, detail=f"nothing has the id {number}")

    def _close(self, collection: str, found: Record, body: Record) -> None:
        if isinstance(body.get("lines"), list):
            found["lines"] = [
                self._line(found, order, _object(line)) for order, line in enumerate(body["lines"])
            ]
            close_lines(found["lines"])
        if ("lines" in body or "discount-percentage" in body) and not any(
            name in body for name in _SUMS
        ):
            close_header(found)
        if collection in INVOICES:
            close_invoice(found)

    def _line(self, document: Record, order: int, given: Record) -> Record:
        line = blank_line(90_000_000_000 + document["id"] * 1_000 + order, order)
        unknown = set(given) - set(line)
        if unknown:
            raise Refusal(400, detail=f"unknown field {min(unknown)!r} in a line")
        line |= {name: _checked(name, value, line[name]) for name, value in given.items()}
        self._complete_links(line, given)
        return line

    def _main_address(self, account: Record, body: Record) -> Record:
        """The DEFAULT address is one record, written through its account or by itself."""
        known = account["main-address"]
        index = index_of("addresses", known["id"]) if known else None
        if index is None:
            index = self._rows.end("addresses")
            known = blank_record(self._rows.world, "addresses", index, int(self._now()))
        known |= {
            "account-id": account["id"],
            "account-path": account["path"],
            "address-type": "DEFAULT",
        }
        known |= {
            name: value for name, value in body.items() if name in known and name not in _READ_ONLY
        }
        known[MODIFIED] = stamps.stamp(int(self._now()))
        self._rows.put("addresses", index, known)
        return dict(known)

    def _carry_to_account(self, address: Record) -> None:
        found = _PATH.fullmatch(str(address["account-path"]))
        if not found or found[1] not in ACCOUNTS:
            return  # of nobody
        owner, index = found[1], self._rows.find(found[1], int(found[2]))
        if index is not None:
            shown = None if address["deleted"] else address
            self._rows.put(owner, index, self._rows.get(owner, index) | {"main-address": shown})

    def _fit_to_invoice(self, invoices: str, receipt: Record, given: Record) -> None:
        """A receipt shows its invoice's number and account."""
        ident = _number(receipt["original-element-id"])
        index = self._rows.find(invoices, ident)
        if index is None:
            raise Refusal(400, detail=f"nothing has the id {ident}")
        invoice = self._rows.get(invoices, index)
        receipt["original-element-path"] = invoice["path"]
        for name in ("full-reference", "account-id", "account-path"):
            receipt[name] = given.get(name, invoice[name])

    def _carry_to_invoice(self, collection: str, receipt: Record) -> None:
        """An invoice shows its receipts and what they leave to pay."""
        invoices = RECEIPTS[collection]
        index = self._rows.find(invoices, _number(receipt["original-element-id"] or 0))
        if index is None:
            return
        invoice = self._rows.get(invoices, index)
        others = [row for row in invoice["receipts"] if row["id"] != receipt["id"]]
        invoice["receipts"] = sorted(
            others + [receipt] * (not receipt["deleted"]), key=lambda row: row["id"]
        )
        close_invoice(invoice)
        if self._switches["header_stamp"] == "moves":
            invoice[MODIFIED] = receipt[MODIFIED]
        self._rows.put(invoices, index, invoice)


def _object(body: Any) -> Record:
    """The object of a body; of an array only the first element is worked on."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        raise Refusal(400, BAD_BODY)
    return first


def _checked(name: str, value: Any, known: Any) -> Any:
    """Numbers stay numbers; stamps come out with +0000 whatever offset they came with."""
    if (
        _is_number(known)
        and value is not None
        and not _is_number(value)
        and not name.endswith("-id")
    ):
        raise Refusal(400, detail=f"{name} must be a number")
    if name == "creation-date" and value is None:
        raise Refusal(400, detail=f"{name} cannot be empty")
    if value is None or not is_date(name):
        return value
    try:
        return stamps.stamp(stamps.parse(value))
    except (OverflowError, TypeError, ValueError):
        raise Refusal(400, detail=f"{name} must be written yyyy-MM-dd'T'HH:mm:ssZ") from None


def _number(value: Any) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", str(value)):
        raise Refusal(400, detail=f"{value!r} is not an id")
    return int(value)


def _id_in(path: Any) -> int | None:
    if path is None:
        return None
    found = _PATH.fullmatch(str(path))
    if not found:
        raise Refusal(400, detail=f"{path!r} is not a path")
    return int(found[2])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
