"""Products and services, and the flat lists of what stands inside them."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.files import PublicFile, link_to
from sandbox.stel_order.layout import PREFIXES, SPREADS
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.settings import SETTINGS, TAX_IDS
from sandbox.stel_order.words import ARTICLE, BRAND, LABOUR
from sandbox.stel_order.world import World, ident_of, put_link

Record = dict[str, Any]
_CATEGORIES = [row["id"] for row in SETTINGS["productCategories"]]
_WAREHOUSES = [row["id"] for row in SETTINGS["warehouses"]]
_RATES = [row["id"] for row in SETTINGS["rates"]]
_TAXES = (21, 21, 21, 10, 4, 0)
DEAD_IMAGE, ROTATED_IMAGE = 1, 2  # products whose (first) picture link opens nothing


def item_name(world: World, collection: str, index: int) -> str:
    """What the catalogue calls an item; lines copy it."""
    odd = odd_values(collection, index).get("name")
    if odd is not None:
        return str(odd)
    drawn = world.draw(collection, index)
    if collection == "services":
        return f"{LABOUR[drawn % 8]} {drawn // 8 % 5 + 1}"
    return f"{ARTICLE[drawn % 16]} {BRAND[drawn // 16 % 6]} {drawn // 96 % 900 + 100}"


def item_price(world: World, collection: str, index: int) -> int:
    """Sales price in cents."""
    odd = odd_values(collection, index).get("sales-price")
    return round(odd * 100) if odd is not None else 150 + world.draw(collection, index, 3) % 90_000


def item_tax(world: World, collection: str, index: int) -> int:
    """VAT percentage of an item."""
    return 21 if collection == "services" else _TAXES[world.draw(collection, index, 3) % 6]


def item_code(world: World, collection: str, index: int) -> str:
    """The full-reference of an item, which people call the code."""
    return f"{PREFIXES[collection]}{world.number(collection, index):05d}"


def _head(world: World, collection: str, index: int) -> Record:
    drawn = world.draw(collection, index, 4)
    record = world.numbered(collection, index)
    record |= {
        "name": item_name(world, collection, index),
        "description": "Incluye portes." if drawn % 3 == 0 else None,
        "private-comments": None,
        "external-id": None,
    }
    put_link(
        record,
        "product-category",
        "productCategories",
        _CATEGORIES[drawn % 6] if drawn % 10 else None,
    )
    price, tax = item_price(world, collection, index), item_tax(world, collection, index)
    record |= {
        "sales-price": price / 100,
        "sales-minimum-price": 0,
        "purchase-price": price * 60 // 100 / 100,
        "discount-percentage": 0,
    }
    put_link(record, "primary-tax", "taxLines", TAX_IDS[tax])
    record |= {
        "primary-tax-percentage": tax,
        "secondary-tax-percentage": 0,
        "inactive": False,
        "promotional": drawn % 50 == 0,
        "item-images": _images(world, collection, index),
        "creation-date": world.creation_stamp(collection, index),
    }
    return record


def product(world: World, collection: str, index: int) -> Record:
    """One product with its stock, prices and pictures inside."""
    drawn = world.draw(collection, index, 5)
    stock = [_stock(world, index, child) for child in SPREADS["productWarehouses"].children(index)]
    record = _head(world, collection, index) | {
        "barcode": f"84{drawn % 10**11:011d}" if drawn % 4 else None,
        "margin-enabled": False,
        "sales-margin-percentage": 40.0,
        "purchase-margin-percentage": 66.67,
        "sales-countable-account": "700000001" if drawn % 5 == 0 else None,
        "purchase-countable-account": None,
        "stock-enabled": bool(stock),
        "real-stock": sum(row["real-stock"] for row in stock),
        "virtual-stock": sum(row["virtual-stock"] for row in stock),
        "minimum-stock": drawn % 5,
        "location": f"Estante {drawn % 12 + 1}" if drawn % 3 == 0 else None,
        "composite": False,
        "item-rates": [
            _rate(world, index, child) for child in SPREADS["itemRates"].children(index)
        ],
        "product-warehouses": stock,
    }
    record |= odd_values(collection, index)
    return record


def service(world: World, collection: str, index: int) -> Record:
    """One service: as a product, without stock."""
    record = _head(world, collection, index)
    record["item-rates"] = []
    record |= odd_values(collection, index)
    return record


def _stock(world: World, index: int, child: int) -> Record:
    rank = child - SPREADS["productWarehouses"].first(index)
    drawn = world.draw("productWarehouses", child)
    row: Record = {}
    put_link(row, "warehouse", "warehouses", _WAREHOUSES[rank])
    real = -4 if index == 4 else drawn % 60
    row |= {
        "minimum-stock": drawn % 4,
        "real-stock": real,
        "virtual-stock": real - (2 if index == 4 else drawn % 3),
    }
    row["location"] = "" if rank == 0 else f"P{drawn % 9}-E{drawn % 30}"
    return row


def _rate(world: World, index: int, child: int) -> Record:
    row: Record = {}
    put_link(row, "rate", "rates", _RATES[child % len(_RATES)])
    row["price"] = item_price(world, "products", index) * 90 // 100 / 100
    return row


def _images(world: World, collection: str, index: int) -> list[Record]:
    spread = SPREADS["productImages" if collection == "products" else "serviceImages"]
    first = (
        0 if collection == "products" else SPREADS["productImages"].first(world.counts["products"])
    )
    return [
        {
            "item-image-id": ident_of("itemImages", first + child),
            "item-image-path": _image_link(world, collection, index, order),
            "order": order,
        }
        for order, child in enumerate(spread.children(index))
    ]


def _image_link(world: World, collection: str, index: int, order: int) -> str:
    file = PublicFile("png", collection, ident_of(collection, index), order)
    link = link_to(file, world.seed, world.token_round)
    if collection == "products" and order == 0 and index == DEAD_IMAGE:
        return link[:-6] + "MUERTO"
    if collection == "products" and order == 0 and index == ROTATED_IMAGE:
        return link_to(file, world.seed, f"before {world.token_round}")
    return link


def product_warehouse(world: World, collection: str, index: int) -> Record:
    """One product's stock in one warehouse; this list has neither id nor stamp."""
    parent, _ = SPREADS[collection].place(index)
    row = _stock(world, parent, index)
    put_link(row, "item", "products", ident_of("products", parent))
    return row | {"deleted": False}


def item_rate(world: World, collection: str, index: int) -> Record:
    """One product's price under one rate."""
    parent, _ = SPREADS[collection].place(index)
    price = _rate(world, parent, index)
    return world.common(collection, index) | {
        "rate-id": price["rate-id"],
        "item-id": ident_of("products", parent),
        "price": price["price"],
    }


def item_image(world: World, collection: str, index: int) -> Record:
    """One picture of a product or, after all of those, of a service."""
    of_products = SPREADS["productImages"].first(world.counts["products"])
    owner = "products" if index < of_products else "services"
    spread = SPREADS["productImages"] if owner == "products" else SPREADS["serviceImages"]
    parent, order = spread.place(index if owner == "products" else index - of_products)
    row = world.common(collection, index)
    put_link(row, "item", owner, ident_of(owner, parent))
    return row | {"order": order, "item-image-path": _image_link(world, owner, parent, order)}
