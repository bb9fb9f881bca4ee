"""Single values of a row, worked out without the whole record so that filters stay quick."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sandbox.stel_order.agenda import event_times
from sandbox.stel_order.layout import DOCUMENTS, PREFIXES, RECEIPTS, SPREADS
from sandbox.stel_order.links import account_of
from sandbox.stel_order.query import MODIFIED, Condition
from sandbox.stel_order.stamps import DAY, wall
from sandbox.stel_order.world import World, ident_of

Test = Callable[[int], bool]
_WITH_ACCOUNT = (
    "contacts", "addresses", "expenses", "incidents", "assets", "events", *DOCUMENTS, *RECEIPTS,
)  # fmt: skip


def time_column(world: World, collection: str, field: str) -> Callable[[int], int] | None:
    """What a list can be sorted by, as a number by index: epoch seconds, or an invoice's id."""
    if field == MODIFIED:
        return partial(world.modified, collection)
    if field == "creation-date" and world.wall_creation:
        return lambda index: wall(world.created(collection, index))
    if field == "creation-date":
        return partial(world.created, collection)
    if field == "original-element-id" and collection in RECEIPTS:
        place, invoices = SPREADS[collection].place, RECEIPTS[collection]
        return lambda index: ident_of(invoices, place(index)[0])
    if field == "date" and collection in DOCUMENTS:
        return lambda index: world.created(collection, index) // DAY * DAY
    if collection == "events" and field in ("start-date", "end-date"):
        part = 0 if field == "start-date" else 1
        return lambda index: event_times(world, index)[part]
    return None


def row_test(world: World, collection: str, condition: Condition) -> Test | None:
    """An exact test of one condition by index; None where only the record can tell."""
    if condition.span is not None:
        column = time_column(world, collection, condition.field)
        if column is None:
            return None
        first, last = condition.span
        return lambda index: first <= column(index) <= last
    if condition.field == "account-id" and collection in _WITH_ACCOUNT:
        return lambda index: condition.holds(_account_id(world, collection, index))
    if condition.values is None:
        return None
    if condition.field == "original-element-id" and collection in RECEIPTS:
        return _child_test(collection, condition.values)
    if condition.field in ("reference", "full-reference") and collection in PREFIXES:
        prefix = PREFIXES[collection] if condition.field == "full-reference" else ""
        wanted = set(condition.values)
        return lambda index: f"{prefix}{world.number(collection, index):05d}" in wanted
    return None


def _account_id(world: World, collection: str, index: int) -> int | None:
    account = account_of(world, collection, index)
    return ident_of(*account) if account else None


def _child_test(collection: str, values: tuple[str, ...]) -> Test:
    wanted = {int(value) for value in values}
    place, invoices = SPREADS[collection].place, RECEIPTS[collection]
    return lambda index: ident_of(invoices, place(index)[0]) in wanted
