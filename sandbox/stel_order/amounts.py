"""Lines and sums of a document in whole cents: headers add up exactly unless they should not."""

from __future__ import annotations

from typing import NamedTuple

from sandbox.stel_order.catalogue import item_price, item_tax
from sandbox.stel_order.draw import mix
from sandbox.stel_order.world import World

SURCHARGE = {21: 52, 10: 14, 4: 5, 0: 0}  # equivalence surcharge in tenths of a per cent
MAX_LINES = 12

# Documents whose live lines come to less than their header says, by these cents.
NOT_CLOSING = {("salesEstimates", 6): 1_000, ("ordinaryInvoices", 15): 250, ("salesOrders", 3): 7}
# Documents with a heading, a free line and a deleted line, out of order.
TANGLED = {
    ("salesEstimates", 4),
    ("workOrders", 4),
    ("ordinaryInvoices", 12),
    ("workDeliveryNotes", 1),
}
EMPTY, FREE_OF_CHARGE, WITH_SURCHARGE = (
    ("salesEstimates", 11),
    ("salesEstimates", 10),
    ("salesEstimates", 12),
)
DISCOUNTS = {("salesEstimates", 7): 10, ("ordinaryInvoices", 14): 15}
FOREIGN = {("salesEstimates", 8): 0.92, ("ordinaryInvoices", 13): 0.8731}  # USD; euros per dollar


class Line(NamedTuple):
    """One line before it is written out."""

    item: tuple[str, int] | None
    hundredths: int  # of a unit
    price: int  # cents
    discount: int  # per cent
    tax: int
    surcharge: int  # tenths of a per cent
    net: int  # cents
    heading: bool = False
    deleted: bool = False


class Sums(NamedTuple):
    """The header amounts in cents."""

    subtotal: int
    discounted: int
    taxes: tuple[int, ...]
    total: int


def divide(amount: int, by: int) -> int:
    """Rounded half away from zero, as money is."""
    half = (2 * abs(amount) + by) // (2 * by)
    return -half if amount < 0 else half


def _line(world: World, collection: str, index: int, drawn: int) -> Line:
    kind = "services" if drawn % 5 == 0 else "products"
    item = (drawn >> 8) % world.counts[kind]
    price, tax = item_price(world, kind, item), item_tax(world, kind, item)
    hundredths = (100, 200, 250, 75, 100, 1_000)[(drawn >> 32) % 6]
    if collection == "refundInvoices":
        hundredths = -hundredths
    if (collection, index) == FREE_OF_CHARGE:
        price = 0
    discount = (0, 0, 0, 10, 0, 35)[(drawn >> 40) % 6]
    surcharge = SURCHARGE[tax] if (collection, index) == WITH_SURCHARGE else 0
    free = (drawn >> 48) % 14 == 0
    net = divide(hundredths * price * (100 - discount), 10_000)
    return Line(None if free else (kind, item), hundredths, price, discount, tax, surcharge, net)


_HEADING = Line(None, 0, 0, 0, 21, 0, 0, heading=True)


def lines_of(world: World, collection: str, index: int) -> list[Line]:
    """The lines in their display order, deleted ones and headings included."""
    if (collection, index) == EMPTY:
        return []
    drawn = world.draw(collection, index, 6)
    lines = [
        _line(world, collection, index, mix(drawn + place)) for place in range(1, 2 + drawn % 4)
    ]
    tangled = (collection, index) in TANGLED
    if tangled or drawn % 12 == 5:
        lines.insert(0, _HEADING)
    if tangled:
        lines.append(lines[1]._replace(item=None))
    if tangled or drawn % 20 == 9:
        lines.append(lines[-1]._replace(deleted=True))
    return lines


def global_discount(world: World, collection: str, index: int) -> int:
    """The discount over the whole document, per cent."""
    return DISCOUNTS.get(
        (collection, index), 5 if world.draw(collection, index, 6) % 25 == 7 else 0
    )


def sums_of(world: World, collection: str, index: int, lines: list[Line]) -> Sums:
    """The header amounts that follow from the lines, and for a few documents do not."""
    share = 100 - global_discount(world, collection, index)
    bases: dict[tuple[int, int], int] = {}
    for line in lines:
        if not line.heading and not line.deleted:
            rates = (line.tax, line.surcharge)
            bases[rates] = bases.get(rates, 0) + line.net
    gap = NOT_CLOSING.get((collection, index), 0)
    if gap:
        bases[21, 0] = bases.get((21, 0), 0) + gap
    gross = sum(bases.values())
    subtotal = divide(gross * share, 100)
    taxes = [divide(base * share * tax, 10_000) for (tax, _), base in bases.items()]
    taxes += [divide(base * share * extra, 100_000) for (_, extra), base in bases.items() if extra]
    return Sums(subtotal, gross - subtotal, tuple(taxes), subtotal + sum(taxes))


def total_of(world: World, collection: str, index: int) -> int:
    """The total of a document in cents."""
    return sums_of(world, collection, index, lines_of(world, collection, index)).total
