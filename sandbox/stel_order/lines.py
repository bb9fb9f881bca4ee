"""Document lines as the API writes them."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.amounts import MAX_LINES, TANGLED, Line
from sandbox.stel_order.catalogue import item_code, item_name
from sandbox.stel_order.layout import DOCUMENTS, HOST
from sandbox.stel_order.settings import TAX_IDS
from sandbox.stel_order.world import World, ident_of

Record = dict[str, Any]
Row = tuple[str, int]
_FREE_TEXT = (
    "Portes",
    "Pequeño material",
    "Horas extra <sábado> & festivo",
    "Descuento comercial aplicado",
)


def written_lines(world: World, row: Row, lines: list[Line], parent: Row | None) -> list[Record]:
    """The lines of a document; `order` is right, the place in the list sometimes is not."""
    collection, index = row
    from_document = ident_of(*parent) if parent else None
    first_id = 88_000_000 + index * MAX_LINES * len(DOCUMENTS) + DOCUMENTS.index(collection)
    rows = [
        _written(world, line, order, from_document) | {"id": first_id + order * len(DOCUMENTS)}
        for order, line in enumerate(lines)
    ]
    if row in TANGLED or index % 10 == 8:
        rows = rows[1::2] + rows[::2]
    return rows


def _written(world: World, line: Line, order: int, from_document: int | None) -> Record:
    tax = TAX_IDS[line.tax]
    return {
        "id": 0,
        "order": order,
        "line-type": "SECTION" if line.heading else "ITEM",
        "deleted": line.deleted,
        **_item(world, line, order),
        "units": line.hundredths // 100 if line.hundredths % 100 == 0 else line.hundredths / 100,
        "item-base-price": line.price / 100,
        "discount-percentage": line.discount,
        "total-amount": line.net / 100,
        "primary-tax-id": tax,
        "primary-tax-path": f"{HOST}/taxLines/{tax}",
        "primary-tax-percentage": line.tax,
        "secondary-tax-percentage": line.surcharge / 10 if line.surcharge else 0,
        "income-tax-enabled": False,
        "parent-document-id": from_document,
        "warehouse-id": -2 if line.item and line.item[0] == "products" else None,
    }


def _item(world: World, line: Line, order: int) -> Record:
    if line.item is None:
        text = "Trabajos a realizar" if line.heading else _FREE_TEXT[(line.net + order) % 4]
        return {
            "item-id": None,
            "item-path": None,
            "item-reference": None,
            "item-name": text,
            "item-description": None,
            "item-deleted": False,
        }
    kind, index = line.item
    ident, name = ident_of(kind, index), item_name(world, kind, index)
    return {
        "item-id": ident,
        "item-path": f"{HOST}/{kind}/{ident}",
        "item-reference": item_code(world, kind, index),
        "item-name": f"{name} (mod.)" if (line.net + order) % 15 == 0 else name,
        "item-description": "Según visita\nprevia" if line.net % 7 == 0 else None,
        "item-deleted": world.deleted(kind, index),
    }
