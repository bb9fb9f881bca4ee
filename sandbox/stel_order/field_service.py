"""Incidents and the assets they are about."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.accounts import address_id, phone
from sandbox.stel_order.files import PublicFile, link_to
from sandbox.stel_order.layout import SPREADS
from sandbox.stel_order.links import account_of, asset_of
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.settings import SERIES
from sandbox.stel_order.staff import AGENTS, GONE, TECHNICIANS
from sandbox.stel_order.stamps import DAY, midnight, stamp, wall
from sandbox.stel_order.words import BRAND, BREAKDOWN, DEVICE
from sandbox.stel_order.world import World, ident_of, put_link, put_row

Record = dict[str, Any]
PRIORITIES = ("VERYLOW", "LOW", "NORMAL", "HIGH", "VERYHIGH")


def incident(world: World, collection: str, index: int) -> Record:
    """One incident; its planned time is the account's wall time under a false +0000."""
    drawn, created = world.draw(collection, index), world.created(collection, index)
    account = account_of(world, collection, index)
    state = index % 4 if index < 8 else (drawn >> 4) % 4
    record = world.numbered(collection, index)
    del record["serial-number-id"], record["serial-number-path"]  # nobody saw them on this record
    planned = wall(created) // 1_800 * 1_800 + (drawn >> 8) % 72 * 1_800
    record |= {
        "description": f"{BREAKDOWN[drawn % 8]} en {DEVICE[(drawn >> 16) % 6].lower()}",
        "name": BREAKDOWN[drawn % 8] if drawn % 3 else None,
        "date": stamp(planned),
        "creation-date": world.creation_stamp(collection, index),
        "assigned-date": stamp(wall(created) + 900),
        "closing-date": stamp(planned + DAY) if state in (2, 3) else None,
    }
    put_row(record, "account", account)
    put_link(record, "address", "addresses", address_id(world, account))
    technician = GONE if index == 3 else TECHNICIANS[(drawn >> 20) % 4]
    put_link(record, "assignee", "employees", technician)
    put_link(record, "creator", "employees", AGENTS[(drawn >> 24) % 6])
    put_link(
        record, "incident-type", "incidentTypes", 3_101 + (index if index < 8 else drawn >> 28) % 4
    )
    put_link(record, "incident-state", "incidentStates", 63_001 + state)
    asset = asset_of(world, index)
    record |= {
        "priority": PRIORITIES[index % 5 if index < 10 else (drawn >> 32) % 5],
        "length": (30, 60, 90, 120, 240)[(drawn >> 36) % 5],
        "phone": phone(drawn >> 16),
        "resolution": "Sustituida la pieza; probado." if state == 2 else None,
        "assets": [] if asset is None else [_short("assets", asset)],
        "external-id": None,
    }
    record |= odd_values(collection, index)
    return record


def _short(collection: str, index: int) -> Record:
    link: Record = {}
    put_row(link, "x", (collection, index))
    return {"id": link["x-id"], "path": link["x-path"]}


def asset(world: World, collection: str, index: int) -> Record:
    """One device at a client's, or at nobody's."""
    drawn, created = world.draw(collection, index), world.created(collection, index)
    account = account_of(world, collection, index)
    device = DEVICE[drawn % 6]
    record = world.numbered(collection, index)
    del record["serial-number-path"]
    record |= {
        "serial-number": f"SN-{drawn % 10**8:08d}",
        "serial-number-id": SERIES[collection],
        "name": f"{device} {(drawn >> 8) % 40 + 1}",
        "identifier": f"EQ-{index + 1}" if drawn % 4 else None,
        "brand": BRAND[(drawn >> 16) % 6],
        "model": f"MX-{(drawn >> 20) % 90 + 10}",
        "description": "Garantía ampliada" if drawn % 5 == 0 else None,
        "private-comments": None,
        "warranty-start-date": midnight(created),
        "warranty-end-date": midnight(created + 730 * DAY),
        "subject-to-maintenance": drawn % 2 == 0,
    }
    put_row(record, "account", account)
    record |= {
        "address-id": address_id(world, account),
        "asset-images": _images(world, index),
        "creation-date": world.creation_stamp(collection, index),
        "external-id": None,
    }
    record |= odd_values(collection, index)
    return record


def _images(world: World, index: int) -> list[Record]:
    ident = ident_of("assets", index)
    return [
        {
            "asset-image-id": ident_of("assetImages", child),
            "asset-image-path": link_to(
                PublicFile("jpg", "assets", ident, order), world.seed, world.token_round
            ),
            "order": order,
        }
        for order, child in enumerate(SPREADS["assetImages"].children(index))
    ]


def asset_image(world: World, collection: str, index: int) -> Record:
    """One photo of an asset in the flat list, which shows no link."""
    parent, order = SPREADS[collection].place(index)
    return world.common(collection, index) | {
        "asset-id": ident_of("assets", parent),
        "order": order,
    }
