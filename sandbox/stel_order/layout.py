"""Which collections there are, how many rows each has, and how ids stand for places in them.

The id of row `index` is first_id + index * stride. Collections share number ranges on purpose
(clients with potential clients, invoices with estimates): an id without its path says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

HOST = "app.stelorder.com/app"
ACCOUNT_ID, DOCUMENT_ID = 1_200_101, 60_100_010


@dataclass(frozen=True, slots=True)
class Kind:
    """One collection whose rows grow with the size of the account."""

    name: str
    first_id: int
    stride: int
    least: int  # rows that carry the oddities, whatever the size
    weight: float  # share of the rest
    prefix: str = ""  # of the full-reference


@dataclass(frozen=True, slots=True)
class Spread:
    """How many children each parent has, repeating, so that arithmetic finds and counts them."""

    parent: str
    pattern: tuple[int, ...]

    def first(self, parent: int) -> int:
        """Index of the first child of `parent`; of the parents' number, the children's."""
        rounds, rest = divmod(parent, len(self.pattern))
        return rounds * sum(self.pattern) + sum(self.pattern[:rest])

    def children(self, parent: int) -> range:
        """Indexes of the children of `parent`."""
        first = self.first(parent)
        return range(first, first + self.pattern[parent % len(self.pattern)])

    def place(self, child: int) -> tuple[int, int]:
        """The parent of a child and the child's rank among its siblings."""
        rounds, rest = divmod(child, sum(self.pattern))
        for offset, end in enumerate(accumulate(self.pattern)):
            if rest < end:
                return rounds * len(self.pattern) + offset, rest - (end - self.pattern[offset])
        raise AssertionError("unreachable")


KINDS = (
    Kind("clients", ACCOUNT_ID, 7, 24, 12, "CLI"),
    Kind("potentialClients", ACCOUNT_ID, 7, 6, 3, "POT"),
    Kind("suppliers", ACCOUNT_ID, 21, 3, 1, "PRV"),
    Kind("contacts", 1_500_111, 4, 17, 14),
    Kind("addresses", 3_300_111, 3, 14, 12),
    Kind("products", 5_800_058, 6, 16, 8, "PRO"),
    Kind("services", 5_800_058, 18, 6, 2, "SER"),
    Kind("salesEstimates", DOCUMENT_ID, 5, 18, 8, "PRE"),
    Kind("salesOrders", DOCUMENT_ID, 5, 8, 6, "PED"),
    Kind("salesDeliveryNotes", DOCUMENT_ID, 10, 4, 2, "ALB"),
    Kind("ordinaryInvoices", DOCUMENT_ID, 5, 16, 11, "FAC"),
    Kind("refundInvoices", DOCUMENT_ID, 15, 4, 1.5, "REC"),
    Kind("workOrders", DOCUMENT_ID, 5, 9, 5, "PDT"),
    Kind("workEstimates", DOCUMENT_ID, 5, 5, 1, "PRT"),
    Kind("workDeliveryNotes", DOCUMENT_ID, 5, 4, 1, "ABT"),
    Kind("purchaseOrders", DOCUMENT_ID, 5, 3, 0.3, "PEP"),
    Kind("purchaseDeliveryNotes", DOCUMENT_ID, 5, 3, 0.3, "ALP"),
    Kind("purchaseInvoices", DOCUMENT_ID, 5, 3, 0.4, "FPR"),
    Kind("expenses", 60_400_010, 5, 4, 1, "GAS"),
    Kind("expensesAndInvestments", 60_400_010, 5, 2, 0.3),
    Kind("incidents", 9_100, 3, 15, 3, "INC"),
    Kind("assets", 700_123, 5, 14, 5, "ACT"),
    Kind("events", 4_400_010, 2, 22, 5),
    Kind("entityAttachments", 555_001, 2, 10, 0.7),
    Kind("stockMovements", 810_001, 2, 4, 1),
    Kind("productComponents", 21_001, 2, 2, 0.3),
    Kind("specialPrices", 31_001, 2, 2, 0.3),
    Kind("shopItems", 41_001, 2, 2, 0.3),
)

# Collections whose rows also stand inside another record: their number follows from the parent's.
SPREADS: Mapping[str, Spread] = MappingProxyType(
    {
        "ordinaryInvoiceReceipts": Spread("ordinaryInvoices", (1, 2, 1, 1, 2, 0, 2, 1, 1, 1, 1)),
        "refundInvoiceReceipts": Spread("refundInvoices", (1,)),
        "purchaseInvoiceReceipts": Spread("purchaseInvoices", (1,)),
        "productWarehouses": Spread("products", (1, 3, 1, 0, 2, 0, 1, 0)),
        "itemRates": Spread("products", (2, 0, 1, 0, 0, 0, 0, 0)),
        "productImages": Spread("products", (1, 2, 1, 0, 0, 0, 0, 0)),
        "serviceImages": Spread("services", (1, 0, 0, 0)),
        "assetImages": Spread("assets", (2, 0, 1, 1, 0, 0, 0, 0)),
    }
)
SPREAD_IDS: Mapping[str, tuple[int, int]] = MappingProxyType(  # first id, stride
    {
        "ordinaryInvoiceReceipts": (7_700_010, 3),
        "refundInvoiceReceipts": (7_700_010, 6),
        "purchaseInvoiceReceipts": (7_700_010, 6),
        "productWarehouses": (0, 1),  # never shown: these rows have no id
        "itemRates": (610_001, 1),
        "itemImages": (990_001, 1),
        "assetImages": (990_001, 2),
    }
)
IDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {kind.name: (kind.first_id, kind.stride) for kind in KINDS} | dict(SPREAD_IDS)
)
PREFIXES: Mapping[str, str] = MappingProxyType(
    {kind.name: kind.prefix for kind in KINDS if kind.prefix}
)
DOCUMENTS = tuple(kind.name for kind in KINDS if kind.first_id == DOCUMENT_ID)
INVOICES: Mapping[str, str] = MappingProxyType(
    {spread.parent: name for name, spread in SPREADS.items() if name.endswith("InvoiceReceipts")}
)
RECEIPTS: Mapping[str, str] = MappingProxyType(
    {receipts: invoices for invoices, receipts in INVOICES.items()}
)
WORK_DOCUMENTS = ("workOrders", "workEstimates", "workDeliveryNotes")


def _derived(rows: Mapping[str, int]) -> dict[str, int]:
    counts = {name: spread.first(rows[spread.parent]) for name, spread in SPREADS.items()}
    counts["itemImages"] = counts.pop("productImages") + counts.pop("serviceImages")
    return counts


def row_counts(size: int, settings: int) -> dict[str, int]:
    """Rows per collection for an account of `size` records, `settings` of them in fixed tables.

    Below the floor (every oddity once, plus the settings) the floor is what there is.
    """
    least = {kind.name: kind.least for kind in KINDS}
    floor = settings + sum(least.values()) + sum(_derived(least).values())
    weights = {kind.name: kind.weight for kind in KINDS}
    shares = sum(weights.values())
    for spread in SPREADS.values():
        shares += weights[spread.parent] * sum(spread.pattern) / len(spread.pattern)
    scale = max(0, size - floor) / shares
    rows = {kind.name: kind.least + int(kind.weight * scale) for kind in KINDS}
    return rows | _derived(rows)
