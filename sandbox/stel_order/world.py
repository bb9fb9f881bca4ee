"""The account as arithmetic: all about row `index` follows from the seed, nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox.stel_order.draw import mix, salt
from sandbox.stel_order.layout import HOST, IDS, PREFIXES, SPREADS, row_counts
from sandbox.stel_order.settings import SERIES, SETTINGS, SETTINGS_ROWS
from sandbox.stel_order.stamps import DAY, at, stamp, wall

FIRST_DAY = at("2019-01-07")  # a Monday
WORKING_DAYS = 410 * 5  # up to Friday 2026-11-13
LAST_STAMP = at("2026-11-18 18:00")
_RECENT = LAST_STAMP - 14 * DAY
_SPAN = WORKING_DAYS * DAY
_OPENS, _OPEN_TWELFTHS = 25_200, 5  # 07:00 UTC and 5/12 of a day: UTC day and local day agree

# First deleted row per collection; further ones follow every 61 rows.
DELETED: Mapping[str, int] = {
    "clients": 11, "potentialClients": 4, "contacts": 9, "products": 13, "services": 4,
    "salesEstimates": 9, "salesOrders": 6, "workOrders": 7, "incidents": 12, "assets": 10,
    "events": 15,
}  # fmt: skip
_TWINS = {
    ("salesDeliveryNotes", 2): 1,
    ("ordinaryInvoices", 9): 8,
    ("products", 7): 6,
    ("assets", 4): 3,
}


@dataclass(frozen=True)
class World:
    """Row counts, ids, stamps and numbers of one account."""

    seed: int
    size: int
    wall_creation: bool = True
    token_round: str = "0"

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Rows per collection, deleted ones included."""
        return row_counts(self.size, SETTINGS_ROWS) | {
            name: len(rows) for name, rows in SETTINGS.items()
        }

    @cached_property
    def _salts(self) -> dict[str, int]:
        return {name: salt(self.seed, name) for name in self.counts}

    def draw(self, collection: str, index: int, lane: int = 0) -> int:
        """A fixed 64-bit number for this row; another lane, another number."""
        return mix(self._salts[collection] + index * 8 + lane)

    def created(self, collection: str, index: int) -> int:
        """UTC epoch seconds; never falls as the index grows, and always inside office hours."""
        spread = SPREADS.get(collection)
        if spread:
            return self.created(spread.parent, spread.place(index)[0])
        gap_share = self.draw(collection, index, 1) % (_SPAN // 2)
        day, rest = divmod((index * _SPAN + gap_share) // self.counts[collection], DAY)
        week, weekday = divmod(day, 5)
        return FIRST_DAY + (week * 7 + weekday) * DAY + _OPENS + rest * _OPEN_TWELFTHS // 12

    def modified(self, collection: str, index: int) -> int:
        """UTC epoch seconds; one row in 23 was touched in the last two weeks of the account."""
        drawn = self.draw(collection, index, 2)
        created = self.created(collection, index)
        if index % 23 == 7:
            return max(created, _RECENT + drawn % (LAST_STAMP - _RECENT))
        if drawn & 3 == 2 or index == 2:
            return created
        return min(created + (drawn >> 2) % (20 * DAY), LAST_STAMP)

    def deleted(self, collection: str, index: int) -> bool:
        """Whether the row was deleted before anybody looked."""
        first = DELETED.get(collection)
        return first is not None and (index == first or index % 61 == 37)

    def number(self, collection: str, index: int) -> int:
        """The number in the row's reference; a few rows repeat their neighbour's."""
        return _TWINS.get((collection, index), index) + 1

    def with_number(self, collection: str, number: int) -> list[int]:
        """Rows whose reference holds `number`."""
        near = range(max(0, number - 1), min(number + 2, self.counts[collection]))
        return [index for index in near if self.number(collection, index) == number]

    def creation_stamp(self, collection: str, index: int) -> str:
        """The creation-date as the API shows it."""
        created = self.created(collection, index)
        return stamp(wall(created) if self.wall_creation else created)

    def common(self, collection: str, index: int) -> dict[str, Any]:
        """The keys every record begins with."""
        ident = ident_of(collection, index)
        return {
            "id": ident,
            "path": f"{HOST}/{collection}/{ident}",
            "deleted": self.deleted(collection, index),
            "utc-last-modification-date": stamp(self.modified(collection, index)),
        }

    def numbered(self, collection: str, index: int) -> dict[str, Any]:
        """The common keys and those of the numbering series."""
        record = self.common(collection, index)
        digits = f"{self.number(collection, index):05d}"
        record["reference"] = digits
        record["full-reference"] = PREFIXES[collection] + digits
        put_link(record, "serial-number", "serialNumbers", SERIES[collection])
        return record


def ident_of(collection: str, index: int) -> int:
    """The id of a row."""
    first, stride = IDS[collection]
    return first + index * stride


def index_of(collection: str, ident: int) -> int | None:
    """The row an id would stand for, beyond the last row too; None between two ids."""
    first, stride = IDS[collection]
    index, rest = divmod(ident - first, stride)
    return index if rest == 0 and index >= 0 else None


def put_link(record: dict[str, Any], name: str, collection: str, ident: int | None) -> None:
    """Both keys of a link, null together."""
    record[f"{name}-id"] = ident
    record[f"{name}-path"] = None if ident is None else f"{HOST}/{collection}/{ident}"


def put_row(record: dict[str, Any], name: str, row: tuple[str, int] | None) -> None:
    """The link to a row given by collection and index."""
    if row is None:
        put_link(record, name, "", None)
    else:
        put_link(record, name, row[0], ident_of(*row))
