"""The account as it is now: the arithmetic, and the changes people made laid over it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sandbox.stel_order import stamps
from sandbox.stel_order.columns import row_test, time_column
from sandbox.stel_order.overlay import Overlay
from sandbox.stel_order.query import Condition, Query
from sandbox.stel_order.records import COLLECTIONS, record
from sandbox.stel_order.settings import SETTINGS
from sandbox.stel_order.world import World, index_of

Record = dict[str, Any]
_REMEMBERED = 8  # selections kept for the next page
_ONLY_SINGLE = {"clients": "rate-id", "potentialClients": "rate-id", "suppliers": "rate-id"}


class Rows:
    """Reads of one account."""

    def __init__(self, world: World, overlay: Overlay) -> None:
        self.world = world
        self.overlay = overlay
        self._removed: dict[str, list[int]] = {}
        self._ends: dict[str, int] = {}
        self._selections: OrderedDict[tuple[Any, ...], array[int]] = OrderedDict()

    def end(self, collection: str) -> int:
        """One past the last index, added rows included."""
        found = self._ends.get(collection)
        if found is None:
            last = max(self.overlay.records[collection], default=-1)
            self._ends[collection] = found = max(self.world.counts[collection], last + 1)
        return found

    def get(self, collection: str, index: int) -> Record:
        """The whole record, deleted or not."""
        changed = self.overlay.records[collection].get(index)
        return dict(changed) if changed is not None else record(self.world, collection, index)

    def find(self, collection: str, ident: int) -> int | None:
        """The index behind an id; None when there never was such a record."""
        if collection in SETTINGS:
            return next(
                (place for place, row in enumerate(SETTINGS[collection]) if row["id"] == ident),
                None,
            )
        if collection == "productWarehouses":
            return None  # its rows have no id of their own
        index = index_of(collection, ident)
        return index if index is not None and index < self.end(collection) else None

    def removed(self, collection: str) -> list[int]:
        """Indexes of deleted rows, in order."""
        found = self._removed.get(collection)
        if found is None:
            changed = self.overlay.records[collection]
            count = self.world.counts[collection]
            found = [
                index
                for index in range(count)
                if index not in changed and self._deleted(collection, index)
            ]
            for index, row in changed.items():
                if row.get("deleted"):
                    insort(found, index)
            self._removed[collection] = found
        return found

    def _deleted(self, collection: str, index: int) -> bool:
        if collection in SETTINGS:
            return bool(SETTINGS[collection][index]["deleted"])
        return self.world.deleted(collection, index)

    def live_count(self, collection: str) -> int:
        """How many rows the list shows in all."""
        return self.end(collection) - len(self.removed(collection))

    def put(self, collection: str, index: int, changed: Record) -> None:
        """Lay a new state of a row over the old one."""
        removed = self.removed(collection)
        place = bisect_left(removed, index)
        known = place < len(removed) and removed[place] == index
        if changed.get("deleted") and not known:
            removed.insert(place, index)
        self._ends[collection] = max(self.end(collection), index + 1)
        self.overlay.put(collection, index, changed)

    def forget(self) -> None:
        """Back to the account as it was made."""
        self.overlay.clear()
        self._removed.clear()
        self._ends.clear()
        self._selections.clear()

    def page(self, collection: str, query: Query) -> list[Record]:
        """The records one list request answers."""
        return [self.listed(collection, index) for index in self._indexes(collection, query)]

    def listed(self, collection: str, index: int) -> Record:
        """A record as the list shows it: an account's rate is only on the single record."""
        found = self.get(collection, index)
        if collection in _ONLY_SINGLE:
            found.pop(_ONLY_SINGLE[collection], None)
        return found

    def live(self, collection: str) -> Iterator[int]:
        """Every live index in order."""
        removed = set(self.removed(collection))
        return (index for index in range(self.end(collection)) if index not in removed)

    def _indexes(self, collection: str, query: Query) -> Sequence[int]:
        if not query.conditions and not query.sort:
            last = min(query.start + query.limit, self.live_count(collection))
            return [self._nth_live(collection, place) for place in range(query.start, last)]
        chosen = self._selection(collection, query)
        if not query.descending:
            return chosen[query.start : query.start + query.limit]
        last = max(0, len(chosen) - query.start)
        return chosen[max(0, last - query.limit) : last][::-1]

    def _nth_live(self, collection: str, place: int) -> int:
        """Before removed row k stand removed[k] - k live rows, which never falls: halve."""
        removed = self.removed(collection)
        low, high = 0, len(removed)
        while low < high:
            middle = (low + high) // 2
            if removed[middle] - middle <= place:
                low = middle + 1
            else:
                high = middle
        return place + low

    def _selection(self, collection: str, query: Query) -> array[int]:
        key = (collection, query.conditions, query.sort, self.overlay.version)
        found = self._selections.get(key)
        if found is None:
            found = array("q", self._select(collection, query))
            self._selections[key] = found
            while len(self._selections) > _REMEMBERED:
                self._selections.popitem(last=False)
        self._selections.move_to_end(key)
        return found

    def _select(self, collection: str, query: Query) -> list[int]:
        changed = self.overlay.records[collection]
        quick, slow = self._tests(collection, query.conditions)
        chosen: list[int] = []
        for index in range(self.end(collection)) if query.deleted else self.live(collection):
            if index in changed:
                if _meets(changed[index], query.conditions):
                    chosen.append(index)
            elif all(test(index) for test in quick) and (
                not slow or _meets(self.get(collection, index), slow)
            ):
                chosen.append(index)
        if query.sort:
            chosen.sort(key=self._sort_key(collection, query.sort))
        return chosen

    def _tests(
        self, collection: str, conditions: tuple[Condition, ...]
    ) -> tuple[list[Callable[[int], bool]], tuple[Condition, ...]]:
        """Conditions that need no record, as tests by index, and those that do."""
        if collection in SETTINGS:
            return [], conditions
        tests = [
            (condition, row_test(self.world, collection, condition)) for condition in conditions
        ]
        quick = [test for _, test in tests if test]
        return quick, tuple(condition for condition, test in tests if not test)

    def _sort_key(self, collection: str, field: str) -> Callable[[int], int]:
        changed = self.overlay.records[collection]
        column = None if collection in SETTINGS else time_column(self.world, collection, field)

        def key(index: int) -> int:
            if column is not None and index not in changed:
                return column(index)
            value = self.get(collection, index)[field]
            return int(value) if field == "original-element-id" else stamps.parse(value)

        return key


def _meets(found: Record, conditions: tuple[Condition, ...]) -> bool:
    return all(condition.holds(found.get(condition.field)) for condition in conditions)


def all_rows(rows: Rows) -> Iterator[tuple[str, Record]]:
    """Every live record, collection by collection."""
    for collection in COLLECTIONS:
        for index in rows.live(collection):
            yield collection, rows.get(collection, index)
