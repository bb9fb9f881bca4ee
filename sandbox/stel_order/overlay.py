"""What people changed since the account was made: a small SQLite file beside the arithmetic."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from sandbox.options import SIZE

Record = dict[str, Any]
_TABLES = """
create table if not exists about (name text primary key, value text not null);
create table if not exists changed (
    collection text not null, place integer not null, body text not null,
    primary key (collection, place)
) without rowid;
create table if not exists counter (name text primary key, value integer not null);
"""


class Overlay:
    """Changed and added records by collection and index, and counters that outlive a restart."""

    def __init__(self, path: Path | None, seed: int, size: int | None) -> None:
        if path:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._sqlite = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._sqlite.execute("pragma journal_mode = wal")
        self._sqlite.execute("pragma synchronous = off")
        self._sqlite.executescript(_TABLES)
        self.size = self._check(path, seed, size)
        self.records: defaultdict[str, dict[int, Record]] = defaultdict(dict)
        for collection, place, body in self._sqlite.execute(
            "select * from changed order by collection, place"
        ):
            self.records[collection][place] = json.loads(body)
        self.version = 0

    def _check(self, path: Path | None, seed: int, size: int | None) -> int:
        """The records of the account: those asked for, or else those it was made with.

        Indexes only mean something in the account they were written for.
        """
        made_for = f"seed {seed}, size {SIZE if size is None else size}"
        self._sqlite.execute("insert or ignore into about values ('made for', ?)", (made_for,))
        (found,) = self._sqlite.execute(
            "select value from about where name = 'made for'"
        ).fetchone()
        held_seed, _, held_size = found.partition(", size ")
        if held_seed != f"seed {seed}" or size not in (None, int(held_size)):
            raise ValueError(
                f"{path} holds an account of {found}, not of {made_for}; use another file"
            )
        return int(held_size)

    def put(self, collection: str, index: int, record: Record) -> None:
        """Keep the new state of one row."""
        body = json.dumps(record, ensure_ascii=False)
        self._sqlite.execute(
            "insert or replace into changed values (?, ?, ?)", (collection, index, body)
        )
        self.records[collection][index] = record
        self.version += 1

    def count(self, name: str) -> int:
        """A counter's value."""
        row = self._sqlite.execute("select value from counter where name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def add(self, name: str) -> None:
        """One more on a counter."""
        self._sqlite.execute(
            "insert into counter values (?, 1) on conflict (name) do update set value = value + 1",
            (name,),
        )

    def clear(self) -> None:
        """Forget every change and every count."""
        self._sqlite.executescript("delete from changed; delete from counter;")
        self.records.clear()
        self.version += 1

    def close(self) -> None:
        """Let go of the file."""
        self._sqlite.close()
