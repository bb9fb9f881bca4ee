"""What people do meanwhile: in the source, which goes on being used, and in the destination, which they begin to use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sandbox.launch import Running
from tests.chaos.harness import Row, dump, people

STAMP = "2026-11-20T10:00:00+0000"


def work_in_source(source: Running, share: float = 0.1, seed: int = 5) -> int:
    """Change a share of the account's rows, add some that hang together, delete a few; how many changes."""
    chance = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in dump(source):
        rows.setdefault(row["resource"], []).append(row["record"])
    changes = list(_changes(rows, share, chance))
    for method, path, body in changes:
        people(source, method, path, **body)
    return len(changes) + _new(source, rows)


def _changes(rows: dict[str, list[dict[str, Any]]], share: float, chance: random.Random) -> Iterator[tuple[str, str, dict[str, Any]]]:
    estimates = [state["id"] for state in rows["documentStates"] if state["type"] == "SALESESTIMATE"]
    edits = {
        "clients": lambda row: {"phone": f"+34 6{chance.randrange(10**8):08d}", "comments": f"Llamado {chance.randrange(99)} veces"},
        "contacts": lambda row: {"position": f"Jefe {chance.randrange(99)}", "email": None},
        "products": lambda row: {"sales-price": chance.randrange(1, 90_000) / 100, "name": f"{row['name']} (rev. {chance.randrange(9)})"},
        "salesEstimates": lambda row: {"document-state-id": chance.choice(estimates)},
        "ordinaryInvoiceReceipts": lambda row: {"paid": True, "payment-date": STAMP},
        "events": lambda row: {"subject": f"Movido {chance.randrange(999)}"},
        "assets": lambda row: {"serial-number": f"SN-{chance.randrange(10**6)}"},
    }  # fmt: skip
    for collection, edit in edits.items():
        live = rows[collection]
        for row in chance.sample(live, max(1, int(len(live) * share))):
            yield "PUT", f"/{collection}/{row['id']}", edit(row)
    for collection in ("events", "contacts", "salesOrders"):
        live = rows[collection]
        for row in chance.sample(live, max(1, int(len(live) * share / 5))):
            yield "DELETE", f"/{collection}/{row['id']}", {}


def _new(source: Running, rows: dict[str, list[dict[str, Any]]]) -> int:
    """New clients, each with a contact and an order: records that did not exist at the first reading."""
    product = rows["products"][0]
    for number in range(4):
        client = people(source, "POST", "/clients", **{"name": f"Nueva {number} SL", "legal-name": f"Nueva Empresa {number} SL"})
        link = {"account-id": client["id"], "account-path": client["path"]}
        people(source, "POST", "/contacts", **{"name": f"Eva Nueva {number}", "email": f"eva{number}@nueva.example", **link})
        line = {"item-id": product["id"], "item-path": product["path"], "item-name": product["name"], "units": 2, "item-base-price": 10.5}
        people(source, "POST", "/salesOrders", **{"title": f"Pedido {number}", "lines": [line], **link})
    return 12


def ours(rows: list[Row], before: list[Row], resource: str) -> list[Row]:
    """Rows of a resource that came with the migration."""
    known = {(row["resource"], row["id"]) for row in before}
    return [row for row in rows if row["resource"] == resource and (resource, row["id"]) not in known]
