"""pipedrive-python-lib 1.2.3: only v1, most of it out of support by now; calls every method of every resource it has."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any

from pipedrive.client import Client

LISTS = {
    "notes": ("notes", "get_all_notes", "get_note"),
    "leads": ("leads", "get_all_leads", "get_lead"),
    "users": ("users", "get_all_users", "get_user"),
    "filters": ("filters", "get_all_filters", "get_filter"),
}
WRITES = {
    "notes": ("note", {"content": "Nota", "deal_id": 1}, {"content": "Nota cambiada"}),
    "leads": ("lead", {"title": "Pista", "organization_id": 1}, {"title": "Pista II"}),
}
GIVEN = {"term": "Obra", "since_timestamp": "2026-11-01 00:00:00", "items": "deal"}


def say(**told: Any) -> None:
    print(json.dumps(told, default=str, ensure_ascii=False), flush=True)


def every(call: Any) -> list[dict[str, Any]]:
    """Pages of a list; the client leaves these to its users."""
    found: list[dict[str, Any]] = []
    start = 0
    while True:
        wanted = {"params": {"start": start, "limit": 10}} if "params" in inspect.signature(call).parameters else {}
        answer = call(**wanted)
        found += answer["data"] or []
        pages = (answer.get("additional_data") or {}).get("pagination") or {}
        if not wanted or not pages.get("more_items_in_collection"):
            return found
        start = pages["next_start"]


def main() -> None:
    client = Client(domain="https://api.pipedrive.com/")
    client.set_api_token(os.environ["PIPEDRIVE_API_TOKEN"])
    for table, (part, listed, one) in LISTS.items():
        resource = getattr(client, part)
        rows = every(getattr(resource, listed))
        say(rows=table, got=rows)
        say(one=table, got=getattr(resource, one)(rows[0]["id"])["data"])
    for table, (word, made, changed) in WRITES.items():
        resource = getattr(client, table)
        row = getattr(resource, f"create_{word}")(made)["data"]
        getattr(resource, f"update_{word}")(row["id"], changed)
        say(kept=table, id=row["id"], sent={**made, **changed})
        gone = getattr(resource, f"create_{word}")(made)["data"]
        getattr(resource, f"delete_{word}")(gone["id"])
        say(deleted=table, id=gone["id"])
    person = client.deals.add_participants_to_deal(2, 1)["data"]
    client.deals.delete_participant_to_deal(2, person["id"])
    follower = client.deals.add_follower_to_deal(2, 4)["data"]
    client.deals.delete_follower_to_deal(2, follower["id"])
    rest(client)


def rest(client: Client) -> None:
    """Every reading method that was not called yet."""
    called = {name for names in LISTS.values() for name in names}
    lead = client.leads.get_all_leads()["data"][0]["id"]
    for part, resource in vars(client).items():
        if not type(resource).__module__.startswith("pipedrive."):
            continue
        for name, method in inspect.getmembers(resource, inspect.ismethod):
            if name.startswith(("get_", "search_")) and name not in called:
                ids = [one for one in inspect.signature(method).parameters if one.endswith("_id")]
                params = {"params": GIVEN} if "params" in inspect.signature(method).parameters else {}
                attempt(f"{part}.{name}", method, *[lead if part == "leads" else 1] * len(ids), **params)


def attempt(name: str, call: Any, *given: Any, **named: Any) -> None:
    try:
        call(*given, **named)
    except Exception as problem:
        say(call=name, outcome=f"{type(problem).__name__}: {problem}"[:300])
    else:
        say(call=name, outcome="answered")


if __name__ == "__main__":
    main()
