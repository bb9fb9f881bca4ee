"""What values of deals, persons and organizations were: kept as they change, for the flow."""

from __future__ import annotations

import json
from typing import Any

from sandbox.pipedrive.desk import Desk
from sandbox.pipedrive.moments import sql
from sandbox.pipedrive.store import Record

KINDS = {"deals": "deal", "persons": "person", "organizations": "organization"}
# v1 names of what v2 calls otherwise.
_KEYS = {"owner_id": "user_id", "label_ids": "label", "emails": "email", "phones": "phone"}
_SILENT = ("id", "update_time", "custom_fields", "is_deleted")


def made(desk: Desk, kind: str, record: Record, user: int) -> None:
    """A new row: the one change v1 knows of it is when it was made."""
    if kind in KINDS:
        moment = sql(record["add_time"]) or desk.sql_now()
        _write(desk, kind, record["id"], user, [("add_time", None, moment)])


def changed(desk: Desk, kind: str, before: Record, after: Record, user: int) -> None:
    """Every value that is another one now."""
    if kind not in KINDS:
        return
    old, new = _flat(before), _flat(after)
    names = [name for name in new if old.get(name) != new[name]]
    names += [name for name in old if name not in new]
    found = [(_KEYS.get(name, name), _text(old.get(name)), _text(new.get(name))) for name in names]
    _write(desk, kind, after["id"], user, found)


def came(desk: Desk, kind: str, key: int, who: int, user: int) -> None:
    """Somebody follows a row or takes part in it: `kind` says which, after the row's table."""
    _write(desk, kind, key, user, [("added", None, str(who))])


def went(desk: Desk, kind: str, key: int, who: int, user: int) -> None:
    """Somebody does so no more."""
    _write(desk, kind, key, user, [("deleted", None, str(who))])


def of(desk: Desk, kind: str, key: int) -> list[Record]:
    """All of one row, the newest first."""
    rows = desk.store.db.execute(
        "SELECT id, field, old, new, by, at FROM changes WHERE kind=? AND item=? ORDER BY id DESC",
        (kind, key),
    )
    names = ("id", "field_key", "old_value", "new_value", "user_id", "log_time")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _flat(record: Record) -> Record:
    plain = {name: value for name, value in record.items() if name not in _SILENT}
    return {**plain, **record.get("custom_fields", {})}


def _text(value: Any) -> str | None:
    """As v1 writes values of either kind of list: as text."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _write(
    desk: Desk, kind: str, key: int, user: int, found: list[tuple[str, str | None, str | None]]
) -> None:
    desk.store.db.executemany(
        "INSERT INTO changes (kind, item, field, old, new, by, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(kind, key, field, old, new, user, desk.sql_now()) for field, old, new in found],
    )
