"""One emulated account: its key, its rows, its budget, and what was asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sandbox.options import Options
from sandbox.stel_order.overlay import Overlay
from sandbox.stel_order.quota import Quota
from sandbox.stel_order.records import COLLECTIONS
from sandbox.stel_order.rows import Rows, all_rows
from sandbox.stel_order.switches import read_switches
from sandbox.stel_order.world import World
from sandbox.stel_order.writing import Writer

DEFAULT_KEY = "sandbox-stel-order-key"


class StelAccount:
    """What the control routes and the API routes share."""

    def __init__(self, options: Options) -> None:
        self.key = options.key or DEFAULT_KEY
        self.switches = read_switches(options.switches)
        self.forbidden = frozenset(filter(None, self.switches["forbidden"].split(",")))
        wall_creation = self.switches["creation_date"] == "wall"
        self.overlay = Overlay(options.data, options.seed, options.size)
        size, token_round = self.overlay.size, self.switches["token_round"]
        self.world = World(options.seed, size, wall_creation, token_round)
        self.rows = Rows(self.world, self.overlay)
        self.quota = Quota(options.plan, options.clock, self.overlay, self.switches)
        self.writer = Writer(self.rows, options.clock.now, self.switches)
        self.requests: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def stats(self) -> dict[str, Any]:
        """Requests per operation, answers per status, rows per collection, quota spent."""
        return {
            "requests": dict(self.requests),
            "answers": dict(self.answers),
            "answers_429": self.answers["429"],
            "rows": {collection: self.rows.live_count(collection) for collection in COLLECTIONS},
            "quota": self.quota.figures(),
        }

    def dump(self) -> Iterator[dict[str, Any]]:
        """Every live record, collection by collection, oldest first."""
        for collection, record in all_rows(self.rows):
            yield {"resource": collection, "id": record.get("id"), "record": record}

    def reset(self) -> None:
        """Forget every change, every count and the budget spent."""
        self.rows.forget()
        self.quota.reset()
        self.requests.clear()
        self.answers.clear()
