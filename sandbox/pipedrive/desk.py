"""One company account: its rows, its settings and its clock. Handlers work on this."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from sandbox.options import Options
from sandbox.pipedrive.moments import sql_stamp, stamp
from sandbox.pipedrive.plans import plan_named
from sandbox.pipedrive.quota import Quota
from sandbox.pipedrive.refusals import invalid, not_found
from sandbox.pipedrive.store import Record, Store
from sandbox.pipedrive.switches import Switches

DEFAULT_KEY = "5f1d6cc0a94e4b27b1e6d2f7a8c30954e7b21f60"
CURRENCY = "EUR"  # every user's default
OWNER_ID = 1  # the user the API key belongs to

# What a record of each table is called in an error.
LABELS = {
    "organizations": "Organization",
    "persons": "Person",
    "deals": "Deal",
    "products": "Product",
    "activities": "Activity",
    "pipelines": "Pipeline",
    "stages": "Stage",
    "users": "User",
    "notes": "Note",
    "files": "File",
    "deal_products": "Deal product",
    "activity_types": "Activity type",
    "fields": "Field",
    "leads": "Lead",
    "lead_labels": "Lead label",
    "participants": "Participant",
    "followers": "Follower",
    "filters": "Filter",
}


def company_of(key: str) -> int:
    """The number of the company that begins with a key, always the same one."""
    if key == DEFAULT_KEY:
        return 7_654_321
    return 1_000_000 + int(hashlib.sha256(key.encode()).hexdigest()[:12], 16) % 9_000_000


class Desk:
    """The account's state and the settings it was started with."""

    def __init__(self, options: Options) -> None:
        self.plan = plan_named(options.plan)
        self.switches = Switches.read(options.switches)
        self.options = options
        self.key = options.key or DEFAULT_KEY
        self.seats = options.seats
        self.store = Store(options.data)
        # the one that the account began with: a company's key may change
        known = self.store.count("company", 0)
        self.company_id = known or self.store.count("company", company_of(self.key))
        self.quota = Quota(self.store, self.plan, options.seats, self.switches)
        self._fields: dict[str, list[Record]] = {}
        self._folder: Path | None = None

    def epoch(self) -> float:
        """Now, in seconds."""
        return self.options.clock.now()

    def now(self) -> str:
        """Now, as v2 writes it."""
        return stamp(int(self.epoch()))

    def sql_now(self) -> str:
        """Now, as v1 writes it."""
        return sql_stamp(self.epoch())

    def fields(self, entity: str) -> list[Record]:
        """The field definitions of an entity ("deal", "person", ...), built-in ones included."""
        if entity not in self._fields:
            self._fields[entity] = self.store.find("fields", "entity=? AND is_deleted=0", (entity,))
        return self._fields[entity]

    def custom_fields(self, entity: str) -> list[Record]:
        """Those a user of the account has defined."""
        return [one for one in self.fields(entity) if one["is_custom_field"]]

    def forget_fields(self) -> None:
        """Read the definitions again: they changed, or a change was taken back."""
        self._fields.clear()

    def new_code(self) -> str:
        """The next 40-digit field code; the same sequence in every account of a seed."""
        serial = self.store.count("field codes", 1)
        return hashlib.sha1(f"{self.options.seed}:{serial}".encode()).hexdigest()

    def need(self, kind: str, key: int | None, where: str) -> Record | None:
        """The record a link points at; 400 when there is none."""
        if key is None:
            return None
        record = self.store.get(kind, key)
        if record is None:
            raise invalid(where, f"{LABELS[kind]} with id {key} not found")
        return record

    def new_uuid(self) -> str:
        """An id of the kinds that have no number; the same sequence in every account of a seed."""
        serial = self.store.count("uuids", 1)
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.options.seed}:{serial}"))

    def by_uuid(self, kind: str, key: Any) -> Record | None:
        """The live row of a kind whose ids are UUIDs."""
        found = self.store.find(kind, "uuid=? AND is_deleted=0", (str(key).lower(),), limit=1)
        return found[0] if found else None

    def readable(self, kind: str, key: int) -> Record | None:
        """What GET of one row finds: a live row, or a deleted one where those are shown."""
        return self.store.get(kind, key, deleted=self.switches.read_deleted == "row")

    def room(self) -> int:
        """How many leads and deals the company may still have."""
        most = self.switches.most_deals or self.plan.deals(self.seats)
        return most - sum(self.store.count(kind, 0) for kind in ("deals", "leads"))

    def folder(self) -> Path:
        """Where uploaded bytes are kept: beside the account file, for our user only."""
        if self._folder is None:
            if self.options.data is None:
                self._folder = Path(tempfile.mkdtemp(prefix="sandbox-pipedrive-"))
            else:
                path = self.options.data
                self._folder = path.with_name(path.name + ".files")
                self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder

    def clear(self) -> None:
        """Nothing left of the account."""
        shutil.rmtree(self.folder(), ignore_errors=True)
        self._folder = None
        self.forget_fields()
        self.store.clear()
        self.quota.restart()

    def close(self) -> None:
        """Let go of the file; uploads to an account without a file go with it."""
        self.store.db.close()
        if self.options.data is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def one(self, kind: str, key: int, what: str) -> Record:
        """The record that an address names; 404 when there is none, which tells what it is."""
        record = self.store.get(kind, key)
        if record is None:
            raise not_found(what)
        return record

    def label_options(self, entity: str, code: str) -> dict[Any, str]:
        """id -> label of a field's options."""
        for one in self.fields(entity):
            if one["field_code"] == code:
                return {option["id"]: option["label"] for option in one["options"] or []}
        return {}
