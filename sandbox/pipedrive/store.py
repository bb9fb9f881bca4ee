"""The account's rows in one SQLite file: the record as JSON plus the columns lists are cut by."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One table: which fields of the record are columns, and which of those are sorted by."""

    name: str
    links: tuple[str, ...] = ()  # filtered by equality
    sorts: tuple[str, ...] = ("add_time", "update_time")  # walked in order
    # Filtered by equality too, but with so few values that an index would only lead the query
    # planner away from a better one.
    marks: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns taken from the record."""
        return self.links + self.sorts + self.marks


KINDS = {
    kind.name: kind
    for kind in (
        Kind("organizations", ("owner_id",)),
        Kind("persons", ("owner_id", "org_id")),
        Kind(
            "deals",
            ("owner_id", "person_id", "org_id", "stage_id"),
            marks=("pipeline_id", "status", "is_archived"),
        ),
        Kind("products", ("owner_id",), ("add_time", "update_time", "name")),
        Kind(
            "activities",
            ("owner_id", "deal_id", "lead_id", "person_id", "org_id"),
            ("add_time", "update_time", "due_date"),
            ("done",),
        ),
        Kind("pipelines"),
        Kind("stages", ("pipeline_id",), ("add_time", "update_time", "order_nr")),
        Kind(
            "deal_products",
            ("deal_id", "product_id"),
            ("add_time", "update_time", "order_nr", "deal_id"),
        ),
        Kind("notes", ("user_id", "deal_id", "person_id", "org_id", "lead_id")),
        Kind(
            "files",
            ("deal_id", "person_id", "org_id", "product_id", "activity_id", "lead_id"),
            ("update_time",),
        ),
        Kind("users", (), ()),
        Kind("activity_types", ("key_string",), ()),
        Kind("fields", ("entity",), (), ("field_code", "is_custom_field")),
        Kind(
            "leads",
            ("uuid", "owner_id", "person_id", "organization_id"),
            ("add_time", "update_time", "title", "expected_close_date"),
            ("creator_id", "was_seen", "is_archived"),
        ),
        Kind("lead_labels", ("uuid",), ()),
        Kind("participants", ("deal_id", "person_id"), ()),
        Kind("followers", ("user_id", "deal_id", "person_id", "org_id", "product_id"), ()),
        Kind("filters", ("type",), ()),
    )
}

_OTHER_TABLES = """
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
  day TEXT NOT NULL, operation TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
  PRIMARY KEY (day, operation)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS words (
  kind TEXT NOT NULL, id INTEGER NOT NULL, field TEXT NOT NULL, text TEXT NOT NULL,
  folded TEXT NOT NULL, since REAL NOT NULL);
CREATE INDEX IF NOT EXISTS words_of ON words (kind, id);
CREATE INDEX IF NOT EXISTS words_exact ON words (folded, kind, id);
CREATE TABLE IF NOT EXISTS changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, item INTEGER NOT NULL,
  field TEXT NOT NULL, old TEXT, new TEXT, by INTEGER NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS changes_of ON changes (kind, item);
"""


def _definition(kind: Kind) -> Iterator[str]:
    columns = dict.fromkeys(kind.columns)
    listed = "".join(f", {column}" for column in columns)
    yield (
        f"CREATE TABLE IF NOT EXISTS {kind.name} (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        f" is_deleted INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL{listed})"
    )
    for column in dict.fromkeys(kind.links + kind.sorts):
        # Half of all links are null; leaving those out keeps writes cheap. Sorted columns are
        # never null, and an ORDER BY could not use an index that leaves rows out.
        partial = "" if column in kind.sorts else f" WHERE {column} IS NOT NULL"
        yield (
            f"CREATE INDEX IF NOT EXISTS {kind.name}_{column} ON {kind.name}"
            f" ({column}, id){partial}"
        )


class Store:
    """One connection. Every write happens inside a transaction the caller opened."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            # Created here and not by SQLite, so that it is never readable by others.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self.db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA temp_store=MEMORY")
        self.define()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written in the block, or nothing of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def define(self) -> None:
        """Create what is missing."""
        for kind in KINDS.values():
            table, *indexes = _definition(kind)
            self.db.execute(table)
            self._widen(kind)
            for statement in indexes:
                self.db.execute(statement)
        # Not executescript: that would commit a transaction the caller opened.
        for statement in _OTHER_TABLES.split(";"):
            self.db.execute(statement)

    def _widen(self, kind: Kind) -> None:
        """Columns that an account file from before does not have."""
        there = {row[1] for row in self.db.execute(f"PRAGMA table_info({kind.name})")}
        for column in dict.fromkeys(kind.columns):
            if column not in there:
                self.db.execute(f"ALTER TABLE {kind.name} ADD COLUMN {column}")

    def clear(self) -> None:
        """Drop everything and begin again."""
        for name in (*KINDS, "tally", "spent", "words", "changes"):
            self.db.execute(f"DROP TABLE IF EXISTS {name}")
        self.db.execute("DELETE FROM sqlite_sequence")
        self.define()

    def insert(self, kind: str, record: Mapping[str, Any]) -> int:
        """Keep a new record and return its id."""
        columns = _columns(KINDS[kind], record)
        names = "".join(f", {name}" for name in columns)
        marks = ", ?" * len(columns)
        cursor = self.db.execute(
            f"INSERT INTO {kind} (body{names}) VALUES (?{marks})",
            (_pack(record), *columns.values()),
        )
        self.count(kind, 1)
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def replace(self, kind: str, key: int, record: Mapping[str, Any]) -> None:
        """Keep this as the whole record."""
        columns = _columns(KINDS[kind], record)
        sets = "".join(f", {name}=?" for name in columns)
        self.db.execute(
            f"UPDATE {kind} SET body=?{sets} WHERE id=?",
            (_pack(record), *columns.values(), key),
        )

    def delete(self, kind: str, key: int, record: Mapping[str, Any]) -> None:
        """Mark the record deleted and keep it in this last state."""
        self.replace(kind, key, record)
        self.db.execute(f"UPDATE {kind} SET is_deleted=1 WHERE id=?", (key,))
        self.db.execute("DELETE FROM words WHERE kind=? AND id=?", (kind, key))
        self.count(kind, -1)

    def get(self, kind: str, key: int, *, deleted: bool = False) -> Record | None:
        """The live record, or None; with `deleted` also one that is not live any more."""
        if abs(key) >= 2**63:
            return None
        row = self.db.execute(
            f"SELECT body FROM {kind} WHERE id=? AND is_deleted<=?",
            (key, deleted),
        ).fetchone()
        return None if row is None else {"id": key, **json.loads(row[0])}

    def has(self, kind: str, key: int) -> bool:
        """Whether a live record has this id."""
        return self.get(kind, key) is not None

    def find(
        self,
        kind: str,
        where: str,
        values: Sequence[Any],
        order: str = "id",
        limit: int = -1,
        offset: int = 0,
    ) -> list[Record]:
        """Records that meet an SQL condition, deleted ones included unless it says otherwise."""
        rows = self.db.execute(
            f"SELECT id, body FROM {kind} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return [{"id": key, **json.loads(body)} for key, body in rows]

    def ids(self, kind: str, where: str, values: Sequence[Any]) -> list[int]:
        """The ids of the live records that meet an SQL condition."""
        rows = self.db.execute(
            f"SELECT id FROM {kind} WHERE is_deleted=0 AND {where} ORDER BY id", values
        )
        return [key for (key,) in rows]

    def walk(self, kind: str) -> Iterator[Record]:
        """Every live record by id, read in short steps so that writes can come in between."""
        last = 0
        while page := self.find(kind, "id>? AND is_deleted=0", (last,), limit=500):
            yield from page
            last = page[-1]["id"]

    def many(self, kind: str, keys: Iterable[int]) -> dict[int, Record]:
        """The live ones of these records, by id."""
        wanted = [key for key in keys if abs(key) < 2**63]
        marks = ",".join("?" * len(wanted))
        found = self.find(kind, f"id IN ({marks}) AND is_deleted=0", wanted)
        return {record["id"]: record for record in found}

    def number(self, kind: str, column: str, value: int, extra: str = "") -> int:
        """How many live records have this value in a column."""
        row = self.db.execute(
            f"SELECT COUNT(*) FROM {kind} WHERE {column}=? AND is_deleted=0 {extra}",
            (value,),
        ).fetchone()
        return int(row[0])

    def repoint(self, kind: str, column: str, value: int, to: int | None) -> None:
        """Make a link that points at one id point at another, or at nothing."""
        self.db.execute(
            f"UPDATE {kind} SET {column}=?, body=json_set(body, '$.{column}', ?)"
            f" WHERE {column}=? AND is_deleted=0",
            (to, to, value),
        )

    def count(self, name: str, step: int) -> int:
        """Move a counter and return where it stands; a step of 0 only reads."""
        if step:
            self.db.execute(
                "INSERT INTO tally VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n=n+?",
                (name, step, step),
            )
        row = self.db.execute("SELECT n FROM tally WHERE name=?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def counters(self, prefix: str) -> dict[str, int]:
        """All counters whose name begins so, without that beginning."""
        rows = self.db.execute(
            "SELECT name, n FROM tally WHERE name >= ? AND name < ?", (prefix, prefix + "\uffff")
        )
        return {name[len(prefix) :]: n for name, n in rows}


def _columns(kind: Kind, record: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in kind.columns:
        value = record.get(name)
        # A null cannot be compared in a cursor's condition; sorted columns hold "" instead.
        values[name] = "" if value is None and name in kind.sorts else value
    return values


def _pack(record: Mapping[str, Any]) -> str:
    return json.dumps(
        {key: value for key, value in record.items() if key != "id"},
        ensure_ascii=False,
        separators=(",", ":"),
    )
