"""What a group of outcomes leaves behind, collected and written in a few statements."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from engine.store.journal import Settled, settle
from engine.store.links import (
    Finding,
    Link,
    clear_findings_of,
    links_to_rows,
    save_findings,
    save_links,
)
from engine.store.tables import recall_in, remember_in

Place = tuple[str, str]  # object and key, or resource and id of a row


class Ledger(msgspec.Struct):
    """Outcomes of one transaction. Whoever asks for the connection finds all of them written."""

    _connection: sa.Connection
    # values kept under names, as far as they were asked for
    _recalled: dict[str, str | None] = {}
    _settled: list[Settled] = []
    _links: dict[Place, Link] = {}
    # stage, object, key
    _cleared: dict[tuple[str, str, str], None] = {}
    _found: list[Finding] = []
    # as far as they were looked at
    _to_rows: dict[Place, list[Link]] = {}
    # object and key -> the rows among those that a link of theirs leads to
    _rows_of: dict[Place, set[Place]] = {}

    @property
    def connection(self) -> sa.Connection:
        """The connection, with everything written; what was looked at may change through it."""
        self.write()
        self._to_rows.clear()
        self._rows_of.clear()
        self._recalled.clear()
        return self._connection

    def look_at(self, resource: str, ids: Iterable[str]) -> None:
        """Find the links to these rows in one go: they will be asked for."""
        wanted = [
            row_id for row_id in ids if (resource, row_id) not in self._to_rows
        ]
        if wanted:
            self.write()  # links that are not written yet may lead there
            found = links_to_rows(self._connection, resource, wanted)
            for row_id in wanted:
                self._to_rows[resource, row_id] = []
                for link in found.get(row_id, []):
                    self._lead(link)

    def links_to(self, resource: str, row_id: str) -> list[Link]:
        """Every link to a row, those that are not written yet among them."""
        if (resource, row_id) not in self._to_rows:
            self.look_at(resource, [row_id])
        return self._to_rows[resource, row_id]

    def save_link(self, link: Link) -> None:
        """Insert or replace a link."""
        place = (link.object, link.key)
        self._links[place] = link
        for row in self._rows_of.pop(place, ()):
            others = self._to_rows[row]
            self._to_rows[row] = [
                one for one in others if (one.object, one.key) != place
            ]
        if (link.resource, link.dest_id) in self._to_rows:
            self._lead(link)

    def _lead(self, link: Link) -> None:
        """A link to one of the rows that were looked at."""
        row = (link.resource, link.dest_id)
        links = [*self._to_rows[row], link]
        self._to_rows[row] = sorted(
            links, key=lambda one: (one.object, one.key)
        )
        self._rows_of.setdefault((link.object, link.key), set()).add(row)

    def settle(self, outcome: Settled) -> None:
        """Record the outcome of an intent."""
        self._settled.append(outcome)

    def clear_findings(self, stage: str, name: str, key: str) -> None:
        """Forget what a stage found about a record."""
        self._cleared[stage, name, key] = None
        place = (stage, name, key)
        self._found = [
            one
            for one in self._found
            if (one.stage, one.object, one.key) != place
        ]

    def save_finding(self, found: Finding) -> None:
        """Add a finding."""
        self._found.append(found)

    def recall(self, name: str) -> str | None:
        """The value kept under a name, or None."""
        if name not in self._recalled:
            self._recalled[name] = recall_in(self._connection, name)
        return self._recalled[name]

    def remember(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        remember_in(self._connection, name, value)
        self._recalled[name] = value

    def write(self) -> None:
        """Write everything that was collected."""
        settle(self._connection, self._settled)
        save_links(self._connection, list(self._links.values()))
        clear_findings_of(self._connection, list(self._cleared))
        save_findings(self._connection, self._found)
        for collected in (
            self._settled,
            self._links,
            self._cleared,
            self._found,
        ):
            collected.clear()
