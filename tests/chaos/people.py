"""What people do meanwhile: in the source, which goes on being used, and in the destination, which they begin to use."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.launch import Running
from tests.chaos.harness import Row, World, dump, people

STAMP = "2026-11-20T10:00:00+0000"


def work_in_source(source: Running, share: float = 0.1, seed: int = 5, deletions: bool = True, contacts: bool = True) -> int:
    """Change a share of the account's rows, add some that hang together, delete a few; how many changes."""
    chance = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in dump(source):
        rows.setdefault(row["resource"], []).append(row["record"])
    changes = [change for change in _changes(rows, share, chance) if deletions or change[0] != "DELETE"]
    changes = [change for change in changes if contacts or not change[1].startswith("/contacts/")]
    for method, path, body in changes:
        people(source, method, path, **body)
    return len(changes) + _new(source, rows)


def write_lines(source: Running, sizes: Sequence[int]) -> None:
    """Orders and invoices get so many lines each, no two of a document alike."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in dump(source):
        rows.setdefault(row["resource"], []).append(row["record"])
    documents = [f"/{name}/{row['id']}" for name in ("salesOrders", "ordinaryInvoices") for row in rows[name]]
    for path, many in zip(documents, sizes, strict=False):
        items = [rows["products"][n % 7] for n in range(many)]
        lines = [
            {"item-id": item["id"], "item-path": item["path"], "item-name": item["name"], "units": n + 1, "item-base-price": 10.5}
            for n, item in enumerate(items)
        ]
        people(source, "PUT", path, lines=lines)


def _changes(
    rows: dict[str, list[dict[str, Any]]], share: float, chance: random.Random
) -> Iterator[tuple[str, str, dict[str, Any]]]:
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
        line = {
            "item-id": product["id"],
            "item-path": product["path"],
            "item-name": product["name"],
            "units": 2,
            "item-base-price": 10.5,
        }
        people(source, "POST", "/salesOrders", **{"title": f"Pedido {number}", "lines": [line], **link})
    return 12


def ours(rows: list[Row], before: list[Row], resource: str) -> list[Row]:
    """Rows of a resource that came with the migration."""
    known = {(row["resource"], row["id"]) for row in before}
    return [row for row in rows if row["resource"] == resource and (resource, row["id"]) not in known]


# -- in the destination


class Visitors:
    """People who begin to use the destination: they edit what came, and make rows of their own that lean on it."""

    def __init__(self, world: World, before: list[Row], seed: int) -> None:
        self.world, self.destination = world, world.destination
        self.chance = random.Random(seed)
        self.before = before
        self.rows = dump(world.destination)
        self.edited: set[tuple[str, str]] = set()  # rows of ours they touched
        self.own: set[tuple[str, str]] = set()  # rows they made
        self.told: list[str] = []

    def act(self, most: int) -> None:
        """Some of everything they might do, in any order."""
        deeds = [
            self.rename, self.rename, self.move_stage, self.write_note, self.make_deal, self.make_person, self.fill_field,
            self.use_category, self.edit_note, self.plan_activity, self.delete_one, self.archive_deal,
        ]  # fmt: skip
        for deed in self.chance.sample(deeds, self.chance.randrange(1, most + 1)):
            if deed():
                self.told.append(deed.__name__)

    def one(self, resource: str) -> Row | None:
        """A row that came with the migration and that they have not touched yet."""
        found = [row for row in ours(self.rows, self.before, resource) if (resource, str(row["id"])) not in self.edited]
        return self.chance.choice(found) if found else None

    def _edit(self, row: Row | None, **body: Any) -> bool:
        if row is None:
            return False
        resource, verb = row["resource"], "PUT" if row["resource"] == "notes" else "PATCH"
        people(self.destination, verb, f"{_base(resource)}/{row['id']}", **body)
        self.edited.add((resource, str(row["id"])))
        return True

    def _make(self, resource: str, **body: Any) -> bool:
        made = people(self.destination, "POST", _base(resource), **body)
        self.own.add((resource, str(made["id"])))
        return True

    def rename(self) -> bool:
        """Another name on something that came."""
        resource = self.chance.choice(["organizations", "persons", "products", "deals"])
        return self._edit(
            self.one(resource), **{"title" if resource == "deals" else "name": f"Nuestro {self.chance.randrange(999)}"}
        )

    def move_stage(self) -> bool:
        """A deal to another stage of its pipeline."""
        row = self.one("deals")
        stages = [
            s for s in self.rows if s["resource"] == "stages" and row and s["record"]["pipeline_id"] == row["record"]["pipeline_id"]
        ]
        others = [stage["id"] for stage in stages if row and stage["id"] != row["record"]["stage_id"]]
        return bool(others) and self._edit(row, stage_id=self.chance.choice(others))

    def write_note(self) -> bool:
        """A note of theirs on a deal or an organization that came."""
        row = self.one(self.chance.choice(["deals", "organizations"]))
        return row is not None and self._make(
            "notes", content="Llamar", **{f"{row['resource'][:-1]}_id".replace("organization", "org"): row["id"]}
        )

    def make_deal(self) -> bool:
        """A deal of theirs with an organization that came, perhaps in a stage that came."""
        row, stage = self.one("organizations"), self.one("stages")
        place = {"stage_id": stage["id"]} if stage and self.chance.random() < 0.5 else {}
        return row is not None and self._make("deals", title="Trato nuevo", org_id=row["id"], **place)

    def make_person(self) -> bool:
        """Somebody of theirs at an organization that came."""
        row = self.one("organizations")
        return row is not None and self._make("persons", name="Persona nueva", org_id=row["id"])

    def plan_activity(self) -> bool:
        """An activity of theirs with a person that came."""
        row = self.one("persons")
        return row is not None and self._make(
            "activities", subject="Comida", type="lunch", participants=[{"person_id": row["id"], "primary": True}]
        )

    def fill_field(self) -> bool:
        """A custom field that came, filled on a row of their own."""
        field = next(
            (
                row["record"]
                for row in ours(self.rows, self.before, "organization_fields")
                if row["record"]["field_name"] == "Phone 2"
            ),
            None,
        )
        row = next(row for row in self.before if row["resource"] == "organizations")
        if field is None:
            return False
        people(
            self.destination,
            "PATCH",
            f"{_base('organizations')}/{row['id']}",
            custom_fields={field["field_code"]: "+34 600 000 000"},
        )
        self.own.add(("organizations", str(row["id"])))
        return True

    def use_category(self) -> bool:
        """A product category that came, on a product of their own."""
        known = {option["id"] for row in self.before if row["resource"] == "built_in_fields" for option in row["record"]["options"]}
        now = [option["id"] for row in self.rows if row["resource"] == "built_in_fields" for option in row["record"]["options"]]
        new = [option for option in now if option not in known]
        return bool(new) and self._make("products", name="Nuestro producto", category=int(self.chance.choice(new)))

    def edit_note(self) -> bool:
        """Another text in a note that came."""
        return self._edit(self.one("notes"), content="<p>Corregido</p>")

    def delete_one(self) -> bool:
        """Something that came is not wanted."""
        row = self.one(self.chance.choice(["notes", "activities"]))
        if row is None:
            return False
        people(self.destination, "DELETE", f"{_base(row['resource'])}/{row['id']}")
        self.rows.remove(row)
        return True

    def archive_deal(self) -> bool:
        """A deal that came is put away: lists no longer show it. One whose outcome is in doubt could not be found again."""
        row = self.one("deals")
        return row is not None and str(row["id"]) in self.world.linked("deals") and self._edit(row, is_archived=True)


def _base(resource: str) -> str:
    return f"/api/v1/{resource}" if resource == "notes" else f"/api/v2/{resource}"
