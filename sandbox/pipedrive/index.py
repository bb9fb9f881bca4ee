"""The search index: it follows the records some seconds behind, as the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.pipedrive import custom
from sandbox.pipedrive.store import Record

if TYPE_CHECKING:
    from sandbox.pipedrive.desk import Desk

_NAMES = {"deals": "title", "leads": "title"}
KINDS = ("organizations", "persons", "deals", "products", "leads")


def keep(desk: Desk, kind: str, entity: str, record: Record) -> None:
    """Bring the index up to date; texts that did not change stay findable meanwhile."""
    if kind not in KINDS:
        return
    db, key = desk.store.db, record["id"]
    new = set(_texts(desk, kind, entity, record))
    old = set(db.execute("SELECT field, text FROM words WHERE kind=? AND id=?", (kind, key)))
    for field, text in old - new:
        db.execute(
            "DELETE FROM words WHERE kind=? AND id=? AND field=? AND text=?",
            (kind, key, field, text),
        )
    since = desk.epoch() + desk.switches.index_delay
    db.executemany(
        "INSERT INTO words VALUES (?, ?, ?, ?, ?, ?)",
        [(kind, key, field, text, text.casefold(), since) for field, text in new - old],
    )


def _texts(desk: Desk, kind: str, entity: str, record: Record) -> Iterator[tuple[str, str]]:
    name = _NAMES.get(kind, "name")
    yield name, record[name]
    for field, one in (("email", "emails"), ("phone", "phones")):
        for entry in record.get(one) or ():
            yield field, entry["value"]
    if record.get("code"):
        yield "code", record["code"]
    if record.get("address"):
        yield "address", record["address"]["value"]
    yield from custom.searchable(desk, entity, record.get("custom_fields") or {})
