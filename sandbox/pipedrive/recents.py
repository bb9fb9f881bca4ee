"""What changed since a moment, of every kind at once (v1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive import files, notes, v1_rows, v1_values
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.listing import names
from sandbox.pipedrive.moments import is_sql, sql_stamp
from sandbox.pipedrive.relations import ENTITIES
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed, refused

MOST_ROWS = 500
# Since December 2024 nothing older than a month is shown, however old a moment is asked for (the
# changelog of that month says so); how long a month is, is not known.
MOST_DAYS = 31
_DAY_S = 86_400


def _as_kept(_: Call, record: Record) -> Record:
    return record


def _filter(_: Call, record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "conditions"}


def _user(call: Call, record: Record) -> Record:
    return {**record, "is_you": record["id"] == call.user_id}


Shown = Callable[[Call, Record], Any]
# item -> (table, the field with the last change, how v1 shows it)
_ITEMS: dict[str, tuple[str, str, Shown]] = {
    "activity": ("activities", "update_time", v1_rows.activity),
    "activityType": ("activity_types", "update_time", _as_kept),
    "deal": ("deals", "update_time", v1_rows.deal),
    "file": ("files", "update_time", files.shown),
    "filter": ("filters", "update_time", _filter),
    "note": ("notes", "update_time", notes.shown),
    "person": ("persons", "update_time", v1_rows.person),
    "organization": ("organizations", "update_time", v1_rows.organization),
    "pipeline": ("pipelines", "update_time", v1_rows.pipeline),
    "product": ("products", "update_time", v1_rows.product),
    "stage": ("stages", "update_time", v1_rows.stage),
    "user": ("users", "modified", _user),
}


def _since(call: Call) -> str:
    said = call.query.get("since_timestamp", "")
    if not is_sql(said):
        raise refused("since_timestamp must be in the format YYYY-MM-DD HH:MM:SS")
    return said


def _month(call: Call) -> str:
    """The moment before which nothing is shown."""
    return sql_stamp(call.desk.epoch() - MOST_DAYS * _DAY_S)


def _changed(call: Call, since: str) -> list[tuple[str, str, int]]:
    """(moment, item, id) of all live rows that changed, oldest first."""
    chosen = names(call, "items", tuple(_ITEMS)) or list(_ITEMS)
    found = []
    for item in chosen:
        table, field, _ = _ITEMS[item]
        moment = f"replace(substr(json_extract(body, '$.{field}'), 1, 19), 'T', ' ')"
        rows = call.desk.store.db.execute(
            f"SELECT {moment}, id FROM {table} WHERE is_deleted=0 AND {moment}>=?", (since,)
        )
        found += [(when, item, key) for when, key in rows]
    return sorted(found)


def _list(call: Call) -> Answer:
    since = _since(call)
    cut, additional = cut_out(call, _changed(call, max(since, _month(call))), MOST_ROWS)
    seen = [{"item": item, "id": key, "data": _row(call, item, key)} for _, item, key in cut]
    last = cut[-1][0] if cut else since
    marks = {"since_timestamp": since, "last_timestamp_on_page": last}
    return listed(seen, {**marks, **additional})


def _row(call: Call, item: str, key: int) -> Any:
    table, _, shown = _ITEMS[item]
    record = call.desk.store.get(table, key)
    assert record is not None
    if table not in ENTITIES:
        return shown(call, record)
    entity = ENTITIES[table]
    unset = {code: None for one in call.desk.custom_fields(entity) for code in v1_values.keys(one)}
    values = v1_values.shown(call.desk, entity, record["custom_fields"])
    return {**shown(call, record), **unset, **values}


OPERATIONS = [Operation("getRecents", "v1", "GET", "/recents", 20, _list)]
