"""Who belongs to whom, by arithmetic, the same seen from either end."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.stel_order.layout import RECEIPTS, SPREADS, WORK_DOCUMENTS
from sandbox.stel_order.world import World

Row = tuple[str, int]

# In every 14 contacts: ten of eight clients (two of which have none), two of potential clients, one
# of a supplier, one of nobody.
_CONTACT_OF_CLIENT = (0, 1, 1, 1, 4, 5, 5, 6, 7)
# In every 12 addresses: the main address of eight of twelve clients, two further ones of the first
# two, the main address of one potential client in three and of a supplier.
_MAIN_OF_CLIENT = (0, 1, 3, 4, 6, 7, 9, 10)

_PARENTS: Mapping[str, tuple[str | None, ...]] = {
    "salesOrders": ("salesEstimates", "salesEstimates", None),
    "salesDeliveryNotes": ("salesOrders", None),
    "ordinaryInvoices": (
        "salesOrders",
        "salesDeliveryNotes",
        None,
        "workDeliveryNotes",
        None,
        "workOrders",
    ),
    "refundInvoices": ("ordinaryInvoices",),
    "workOrders": (None, "workEstimates", None, None),
    "workDeliveryNotes": ("workOrders",),
    "purchaseDeliveryNotes": ("purchaseOrders",),
    "purchaseInvoices": ("purchaseDeliveryNotes",),
}
_SUPPLIED = ("purchaseOrders", "purchaseDeliveryNotes", "purchaseInvoices", "expenses")
# Every n-th row, from this one, is of a potential client.
_PROSPECTS: Mapping[str, tuple[int, int]] = {
    "salesEstimates": (9, 3), "workEstimates": (5, 3), "incidents": (7, 4),
}  # fmt: skip
_EVENT_TARGETS = (None, "incidents", "assets", "workOrders", None, None, "salesEstimates", None)


def earlier(world: World, child: str, index: int, parent: str) -> int | None:
    """A row of `parent` that was there before row `index` of `child`; None for the first ones."""
    found = index * world.counts[parent] // world.counts[child] - 1
    return found if found >= 0 else None


def _is_prospect(collection: str, index: int) -> bool:
    every, first = _PROSPECTS.get(collection, (0, 0))
    return every > 0 and index % every == first


def parent_of(world: World, collection: str, index: int) -> Row | None:
    """The document this one was made from."""
    choices = _PARENTS.get(collection)
    parent = choices[index % len(choices)] if choices else None
    found = earlier(world, collection, index, parent) if parent else None
    if parent is None or found is None or _is_prospect(parent, found):
        return None  # a quote to a potential client leads to no order before they become a client
    return parent, found


def incident_of(world: World, collection: str, index: int) -> int | None:
    """The incident a work document answers."""
    if collection == "workDeliveryNotes" or (collection == "workOrders" and index % 4 == 1):
        parent = parent_of(world, collection, index)
        return incident_of(world, *parent) if parent else None
    if index % 2 or _is_prospect(collection, index):
        return None
    found = earlier(world, collection, index, "incidents")
    return None if found is None or _is_prospect("incidents", found) else found


def asset_of(world: World, index: int) -> int | None:
    """The asset an incident is about."""
    if index % 3 == 0 or _is_prospect("incidents", index):
        return None
    found = earlier(world, "incidents", index, "assets")
    return None if found is None or _orphan_asset(found) else found


def _orphan_asset(index: int) -> bool:
    return index % 17 == 5


def event_target(world: World, index: int) -> Row | None:
    """The incident, asset or document an event is linked to."""
    target = _EVENT_TARGETS[index % 8]
    found = earlier(world, "events", index, target) if target else None
    return (target, found) if target and found is not None else None


def _own_account(world: World, collection: str, index: int) -> Row:
    """An account older than the row, so that the early ones gather most documents, as in life."""
    kind = "clients"
    if collection in _SUPPLIED:
        kind = "suppliers"
    elif _is_prospect(collection, index) or (collection == "events" and index % 8 == 5):
        kind = "potentialClients"
    known = max(2, (index + 1) * world.counts[kind] // world.counts[collection])
    return kind, world.draw(collection, index, 3) % min(known, world.counts[kind])


def account_of(world: World, collection: str, index: int) -> Row | None:
    """The client, potential client or supplier a row belongs to."""
    if collection == "contacts":
        return _contact_account(index)
    if collection == "addresses":
        return _address_account(index)
    if collection in RECEIPTS:
        return account_of(world, RECEIPTS[collection], SPREADS[collection].place(index)[0])
    if (collection == "assets" and _orphan_asset(index)) or (
        collection == "expenses" and index % 4 == 1
    ):
        return None
    above = _above(world, collection, index)
    if above is None:
        loose = collection == "events" and index % 8 == 4
        return None if loose else _own_account(world, collection, index)
    return account_of(world, *above)


def _above(world: World, collection: str, index: int) -> Row | None:
    """The record whose account this one takes over."""
    if collection == "events":
        return event_target(world, index)
    if collection == "incidents":
        asset = asset_of(world, index)
        return None if asset is None else ("assets", asset)
    if collection in WORK_DOCUMENTS:
        incident = incident_of(world, collection, index)
        if incident is not None:
            return "incidents", incident
    return parent_of(world, collection, index)


def _contact_account(index: int) -> Row | None:
    block, slot = divmod(index, 14)
    if slot < 9:
        return "clients", block * 8 + _CONTACT_OF_CLIENT[slot]
    if slot < 11:
        return "potentialClients", block * 2 + slot - 9
    return {11: ("suppliers", block), 12: None, 13: ("clients", block * 8 + 4)}[slot]


def _address_account(index: int) -> Row:
    block, slot = divmod(index, 12)
    if slot < 10:
        return "clients", block * 12 + (*_MAIN_OF_CLIENT, 0, 1)[slot]
    return ("potentialClients", block * 3) if slot == 10 else ("suppliers", block)


def address_type(index: int) -> str:
    """What an address is for: mains first, then one for invoices and one for deliveries or else."""
    block, slot = divmod(index, 12)
    if slot == 8:
        return "INVOICING"
    return ("DELIVERY", "OTHER")[block % 2] if slot == 9 else "DEFAULT"


def main_address(world: World, account: Row) -> int | None:
    """The DEFAULT address of an account; the inverse of `account_of` for addresses."""
    kind, index = account
    if kind == "clients":
        block, rank = divmod(index, 12)
        slot = _MAIN_OF_CLIENT.index(rank) if rank in _MAIN_OF_CLIENT else None
    else:
        block, rest = divmod(index, 3) if kind == "potentialClients" else (index, 0)
        slot = None if rest else (10 if kind == "potentialClients" else 11)
    found = None if slot is None else block * 12 + slot
    return found if found is not None and found < world.counts["addresses"] else None
