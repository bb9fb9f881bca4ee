"""Any record of the account as it was before anybody changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sandbox.stel_order import (
    accounts,
    agenda,
    catalogue,
    documents,
    field_service,
    receipts,
    sundry,
)
from sandbox.stel_order.layout import DOCUMENTS, RECEIPTS
from sandbox.stel_order.settings import SETTINGS
from sandbox.stel_order.world import World

Record = dict[str, Any]

_BUILDERS: Mapping[str, Callable[[World, str, int], Record]] = MappingProxyType(
    {
        "clients": accounts.account,
        "potentialClients": accounts.account,
        "suppliers": accounts.account,
        "contacts": accounts.contact,
        "addresses": accounts.address,
        "products": catalogue.product,
        "services": catalogue.service,
        "productWarehouses": catalogue.product_warehouse,
        "itemRates": catalogue.item_rate,
        "itemImages": catalogue.item_image,
        "incidents": field_service.incident,
        "assets": field_service.asset,
        "assetImages": field_service.asset_image,
        "events": agenda.event,
        "expenses": sundry.expense,
        "entityAttachments": sundry.attachment,
        "expensesAndInvestments": sundry.bare,
        "stockMovements": sundry.bare,
        "productComponents": sundry.bare,
        "specialPrices": sundry.bare,
        "shopItems": sundry.bare,
    }
    | dict.fromkeys(DOCUMENTS, documents.document)
    | dict.fromkeys(RECEIPTS, receipts.receipt)
)
COLLECTIONS = (*_BUILDERS, *SETTINGS)


def record(world: World, collection: str, index: int) -> Record:
    """Row `index` of a collection, written out anew on each call."""
    if collection in SETTINGS:
        return dict(SETTINGS[collection][index])
    return _BUILDERS[collection](world, collection, index)


def all_records(world: World, collection: str) -> Iterator[Record]:
    """Every row in order, deleted ones included."""
    return (record(world, collection, index) for index in range(world.counts[collection]))
