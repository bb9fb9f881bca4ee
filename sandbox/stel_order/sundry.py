"""The thin collections: expenses, attachments, and those of which only the path is known."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.files import FOREIGN_LINK, PublicFile, link_to
from sandbox.stel_order.layout import PREFIXES
from sandbox.stel_order.links import account_of
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.settings import state_type
from sandbox.stel_order.stamps import midnight
from sandbox.stel_order.words import EXPENSE
from sandbox.stel_order.world import World, ident_of, put_row

Record = dict[str, Any]
BIG, FOREIGN, DEAD = 0, 1, 2  # attachments, by index
_OWNERS = ("workOrders", "clients", "incidents", "salesEstimates", "assets", "ordinaryInvoices")
_NAMES = (
    "parte firmado.pdf",
    "foto señal & obra.jpg",
    'plano "planta 2".pdf',
    "IMG_0001.JPG",
    "contrato.pdf",
    "ñandú.png",
)


def expense(world: World, collection: str, index: int) -> Record:
    """One expense; some are of no supplier."""
    drawn = world.draw(collection, index)
    record = world.common(collection, index)
    put_row(record, "account", account_of(world, collection, index))
    del record["account-path"]  # nobody saw it on this record
    record |= {
        "full-reference": f"{PREFIXES[collection]}{world.number(collection, index):05d}",
        "amount": (drawn % 30_000 + 100) / 100,
        "date": midnight(world.created(collection, index)),
        "description": EXPENSE[drawn % 5],
        "expense-category-id": 77 + drawn % 4,
    }
    record |= odd_values(collection, index)
    return record


def attachment(world: World, collection: str, index: int) -> Record:
    """One attached file; how the real service shows its link on reading is not known."""
    record = world.common(collection, index)
    owner = _OWNERS[index % 6]
    name = _NAMES[index % 6]
    kind = {"pdf": "pdf", "jpg": "jpg", "png": "png"}[name.lower().rsplit(".", 1)[1]]
    slot = 1 if index == BIG else 0
    link = link_to(PublicFile(kind, collection, record["id"], slot), world.seed, world.token_round)
    if index == DEAD:
        link = link[:-6] + "MUERTO"
    elif index == FOREIGN:
        link = FOREIGN_LINK
    record |= {
        "entity-id": ident_of(owner, index * world.counts[owner] // world.counts[collection]),
        "entity-type": state_type(owner),
        "file-url": link,
        "file-name": name,
        "file-path": link,
    }
    return record


def bare(world: World, collection: str, index: int) -> Record:
    """A record of a collection whose own fields nobody has seen."""
    return world.common(collection, index)
