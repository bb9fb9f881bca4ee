"""Our emulator of Pipedrive as a destination account: read from its own store, past its API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx

from sandbox.launch import Running
from tests.strangers.servers import Account, Dump, Row

ENTITIES = {"organization": "organizations", "person": "persons", "deal": "deals", "product": "products"}
RESOURCES = ("fields", "options", "organizations", "persons", "deals", "notes", "files", "activities", "pipelines", "stages")
OWN_TIME = ("organizations", "persons", "notes")  # where the moment of making can be given
LINKS = {
    "owner_id": "users", "org_id": "organizations", "person_id": "persons", "deal_id": "deals", "pipeline_id": "pipelines",
    "stage_id": "stages",
}  # fmt: skip
STAMPS = (
    "id", "update_time", "stage_change_time", "marked_as_done_time", "last_update_user_id", "file_name", "field_code", "order_nr", "user_id",
    "creator_user_id", "custom_fields", "local_won_date", "local_lost_date", "local_close_date", "close_time", "first_name", "last_name", "file_type",
)  # fmt: skip
# What the emulator puts into every row by itself.
PLAIN: Row = {
    "is_archived": False, "is_deleted": False, "label_ids": [], "origin": "API", "visible_to": 7, "active_flag": True, "busy": False,
    "attendees": [], "is_deal_rot_enabled": False, "deal_probability": 100, "is_deal_probability_enabled": False, "inline_flag": False,
    "remote_location": "s3", **dict.fromkeys(("cid", "description", "mail_message_id", "mail_template_id", "remote_id", "s3_bucket"), ""),
    **{f"pinned_to_{kind}_flag": False for kind in ("deal", "lead", "organization", "person", "project", "task")},
}  # fmt: skip


NEVER = object()


def pipedrive_account(served: Running, fields: Mapping[str, Mapping[str, str]]) -> Account:
    """An emulator as an account. `fields` are the keys that a spec gives custom fields, by resource and name."""

    def call(method: str, path: str, body: Any = None) -> Any:
        for _ in range(40):
            answer = httpx.request(method, f"{served.base_url}{path}", headers={"x-api-token": served.key}, json=body, timeout=30)
            if answer.status_code != 429:
                break
            time.sleep(0.1)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()["data"]

    def read() -> Dump:
        lines = httpx.get(f"{served.base_url}/__sandbox__/dump", timeout=60).text.splitlines()
        return _dump([json.loads(line) for line in lines], fields)

    return Account(served.base_url, "PIPEDRIVE_BASE_URL", {"PIPEDRIVE_API_TOKEN": served.key}, read, call)


def _dump(rows: list[Row], fields: Mapping[str, Mapping[str, str]]) -> Dump:
    """Rows by resource and id; custom fields stand in the row by the spec's keys, options are rows of their own."""
    found: Dump = {name: {} for name in RESOURCES}
    places: dict[str, str] = {}
    for row in rows:
        record = row["record"]
        if row["resource"].endswith("_fields"):
            kind = ENTITIES[record["entity"]]
            key = fields.get(kind, {}).get(record["field_name"], record["field_name"])
            places[record["field_code"]] = f"custom.{key}"
            labels = [option["label"] for option in record["options"] or ()]
            found["fields"][str(row["id"])] = {"name": f"{kind} {key}", "type": record["field_type"], "options": labels or None}
            for option in record["options"] or ():
                found["options"][str(option["id"])] = {"name": f"{kind} {key}: {option['label']}"}
    for row in rows:
        if not row["resource"].endswith("_fields"):
            found.setdefault(row["resource"], {})[str(row["id"])] = _row(row["resource"], row["record"], places)
    return found


def _row(resource: str, record: Row, places: Mapping[str, str]) -> Row:
    timed = resource in OWN_TIME
    held = {name: value for name, value in record.items() if (timed or name != "add_time") and value != PLAIN.get(name, NEVER)}
    custom = {places[code]: value for code, value in record.get("custom_fields", {}).items()}
    file = {"file": {"name": record["name"], "size": record["file_size"]}} if resource == "files" else {}
    return {**held, **custom, **file}


def named(resource: str, row: Row) -> str:
    """What a row is called, in both accounts alike: note and activity by their text, which is different in each."""
    if resource == "notes":
        return f"{row['add_time']} {row['content']}"
    if resource == "activities":
        return f"{row['subject']} {row['note']}"
    if resource == "users":
        return f"{row['name']} {row['id']}"
    return str(row.get("custom.source_key") or row.get("title") or row.get("name"))
