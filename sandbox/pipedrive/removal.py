"""Deleting a row: whether it may be, what goes or stays with it, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.pipedrive.desk import LABELS, Desk
from sandbox.pipedrive.refusals import Refused, forbidden
from sandbox.pipedrive.relations import (
    EMPTY,
    REMOVE,
    key_of,
    references_to,
    referring,
    repoint_inner,
)
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.switches import REFERRED

_NAMED = 10  # ids a refusal lists of each table


def delete(desk: Desk, kind: str, record: Record) -> None:
    """Delete a row as a client asked for it; Refused where the account's settings forbid it."""
    if kind in desk.switches.refused_deletes:
        raise forbidden(f"You do not have permission to delete {kind.replace('_', ' ')}")
    if REFERRED in desk.switches.refused_deletes:
        _check_unreferred(desk, kind, record)
    remove(desk, kind, record)


def remove(desk: Desk, kind: str, record: Record) -> None:
    """Mark a row deleted, and do to those that refer to it what the account does."""
    desk.store.delete(kind, record["id"], {**record, **_last_state(desk, kind)})
    key = key_of(record)
    for reference in references_to(kind):
        fate = getattr(reference, desk.switches.cascade)
        if fate == EMPTY:
            desk.store.repoint(reference.kind, reference.column, key, None)
        elif fate == REMOVE:
            _remove_referring(desk, reference.kind, reference.column, key)
    if desk.switches.cascade != "off":
        repoint_inner(desk, kind, record["id"], None)


def _remove_referring(desk: Desk, kind: str, column: str, key: Any) -> None:
    for child in desk.store.ids(kind, f"{column}=?", (key,)):
        record = desk.store.get(kind, child)
        if record is not None:  # it may have gone with another row that it refers to
            remove(desk, kind, record)


def _last_state(desk: Desk, kind: str) -> Mapping[str, Any]:
    """What a deletion writes into a row."""
    if kind in ("notes", "files", "participants", "filters"):
        return {"active_flag": False}
    if kind == "activity_types":
        return {"active_flag": False, "update_time": desk.sql_now()}
    if kind in ("stages", "pipelines", "fields"):
        return {"is_deleted": True}
    if kind in ("deal_products", "leads", "lead_labels", "followers"):
        return {}
    status = {"status": "deleted"} if kind == "deals" else {}
    return {"is_deleted": True, "update_time": desk.now(), **status}


def _check_unreferred(desk: Desk, kind: str, record: Record) -> None:
    key = key_of(record)
    found = referring(desk, kind, key)
    if found:
        rows = "; ".join(_listed(name, keys) for name, keys in sorted(found.items()))
        raise Refused(400, f"{LABELS[kind]} {key} cannot be deleted, it is in use by {rows}")


def _listed(kind: str, keys: list[int]) -> str:
    shown = ", ".join(map(str, keys[:_NAMED]))
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"{kind.replace('_', ' ')} {shown}{more}"
