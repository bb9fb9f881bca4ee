"""Amounts of documents people write: nets of lines, sums of headers, what is left to pay."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Record = dict[str, Any]
_CENT = Decimal("0.01")


def _exact(value: Any) -> Decimal:
    return Decimal(str(value or 0))


def _cents(value: Decimal) -> float:
    return float(value.quantize(_CENT, ROUND_HALF_UP))


def _counts(line: Record) -> bool:
    return line["line-type"] == "ITEM" and not line["deleted"]


def close_lines(lines: list[Record]) -> None:
    """Work out the net of each line that does not state it."""
    for line in lines:
        share = (100 - _exact(line["discount-percentage"])) / 100
        if line["total-amount"] is None:
            line["total-amount"] = _cents(
                _exact(line["units"]) * _exact(line["item-base-price"]) * share
            )


def close_header(document: Record) -> None:
    """Work out the header amounts from the lines."""
    share = (100 - _exact(document["discount-percentage"])) / 100
    bases: dict[Decimal, Decimal] = {}
    for line in filter(_counts, document["lines"]):
        rate = _exact(line["primary-tax-percentage"])
        bases[rate] = bases.get(rate, Decimal()) + _exact(line["total-amount"])
    gross = sum(bases.values(), Decimal())
    subtotal = (gross * share).quantize(_CENT, ROUND_HALF_UP)
    taxes = [
        (base * share * rate / 100).quantize(_CENT, ROUND_HALF_UP) for rate, base in bases.items()
    ]
    document |= {
        "discount-total-amount": _cents(gross - subtotal),
        "subtotal-amount": float(subtotal),
        "tax-total-amount": float(sum(taxes, Decimal())),
        "total-amount": float(subtotal + sum(taxes, Decimal())),
        "tax-breakdown": [{"total-amount": float(tax)} for tax in taxes],
    }


def close_invoice(invoice: Record) -> None:
    """Work out what is paid and what is left from the receipts."""
    paid = sum(
        (_exact(receipt["amount"]) for receipt in invoice["receipts"] if receipt["paid"]), Decimal()
    )
    invoice |= {
        "paid-total-amount": _cents(paid),
        "remaining-total-amount": _cents(_exact(invoice["total-amount"]) - paid),
        "settled": bool(invoice["receipts"])
        and all(receipt["paid"] for receipt in invoice["receipts"]),
    }
