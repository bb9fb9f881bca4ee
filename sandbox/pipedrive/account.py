"""The Account protocol over a desk: stats, dump and reset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.pipedrive import custom
from sandbox.pipedrive.desk import Desk
from sandbox.pipedrive.files import digest
from sandbox.pipedrive.relations import ENTITIES
from sandbox.pipedrive.seed import seed
from sandbox.pipedrive.store import KINDS, Record


class PipedriveAccount:
    """What the control routes see of the account."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.key = desk.key
        if not desk.store.count("seeded", 0):
            self._seed()

    def _seed(self) -> None:
        with self.desk.store.together():
            seed(self.desk)
            self.desk.store.count("seeded", 1)

    def stats(self) -> dict[str, Any]:
        """Requests, tokens and rows."""
        store = self.desk.store
        spent = store.db.execute(
            "SELECT operation, SUM(requests), SUM(tokens) FROM spent GROUP BY operation"
        ).fetchall()
        answers = store.counters("answer ")
        return {
            "requests": {name: requests for name, requests, _ in spent},
            "tokens": {
                "spent_today": self.desk.quota.spent(self.desk.epoch()),
                "remaining_today": self.desk.quota.remaining(self.desk.epoch()),
                "daily_limit": self.desk.quota.budget,
                "by_operation": {name: tokens for name, _, tokens in spent},
            },
            "answers_429": answers.get("429", 0),
            "answers": answers,
            "rows": {kind: store.count(kind, 0) for kind in KINDS},
            "peak_burst": self.desk.quota.peak_burst,
        }

    def dump(self) -> Iterator[dict[str, Any]]:
        """Every live record, kind by kind and by id."""
        for kind in KINDS:
            for record in self.desk.store.walk(kind):
                if kind != "fields":
                    yield {"resource": kind, "id": record["id"], "record": self._full(kind, record)}
                elif record["is_custom_field"]:
                    resource = f"{record['entity']}_fields"
                    yield {"resource": resource, "id": record["field_code"], "record": record}

    def _full(self, kind: str, record: Record) -> Record:
        if kind in ENTITIES:
            values = custom.shown(self.desk, ENTITIES[kind], record["custom_fields"])
            return {**record, "custom_fields": values}
        if kind == "files":
            return {**record, "sha256": digest(self.desk, record["id"])}
        return record

    def reset(self) -> None:
        """Back to the seeded state."""
        with self.desk.store.together():
            self.desk.clear()
            seed(self.desk)
            self.desk.store.count("seeded", 1)
