"""Settling doubt: did a write happen whose answer never came? Asked of lists, not of the search index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.changes import definitions
from engine.connector.model import Resource
from engine.run import Run
from engine.store.journal import OPEN, Entry, entries, settle
from engine.store.links import drop_link, linked_ids, save_link
from engine.values import is_empty
from engine.wire import agrees
from engine.write import Outcome, Write, as_link_row

GRACE = 3.0  # seconds a request cut off may still be at work on the other side
MARGIN = 120.0  # seconds our clock and the platform's may differ


def settle_doubts(run: Run) -> dict[str, int]:
    """Settle every write whose outcome is not known; how many had happened and how many had not."""
    with run.store.begin() as connection:
        open_entries = entries(connection, OPEN)
    tally = {"happened": 0, "did not happen": 0}
    if not open_entries:
        return tally
    youngest = max(entry.at for entry in open_entries)
    run.clock.sleep(max(0.0, youngest + GRACE - run.clock.now()))
    by_resource: dict[str, list[Entry]] = {}
    for entry in open_entries:
        by_resource.setdefault(entry.resource, []).append(entry)
    for name, group in by_resource.items():
        creates = [entry for entry in group if entry.action == "create"]
        _creates(run, name, creates, tally)
        for entry in group:
            if entry.action != "create":
                _other(run, entry, tally)
    return tally


def _creates(run: Run, name: str, group: Sequence[Entry], tally: dict[str, int]) -> None:
    """Match the rows that appeared since with the creations in doubt."""
    if not group:
        return
    resource = run.migration.destination.resources[name]
    waiting = list(group)
    for rows in _candidates(run, resource, group):
        if not waiting:
            break
        with run.store.begin() as connection:
            taken = linked_ids(connection, name, [str(row.get(resource.id)) for row in rows])
        for row in rows:
            row_id = str(row.get(resource.id))
            match = next((e for e in waiting if row_id not in taken and _is(run, e, row, resource)), None)
            if match is not None:
                waiting.remove(match)
                _happened(run, match, row_id, row)
                tally["happened"] += 1
    for entry in waiting:
        _void(run, entry)
        tally["did not happen"] += 1


def _candidates(run: Run, resource: Resource, group: Sequence[Entry]) -> Iterator[list[dict[str, Any]]]:
    """Pages of rows among which the doubtful ones must be, if they exist."""
    operation = resource.operations["list"]
    if operation.ids_of:
        parents = sorted({str(entry.body.get(operation.ids_of)) for entry in group})
        for start in range(0, len(parents), operation.ids_max):
            part = ",".join(parents[start : start + operation.ids_max])
            for page in run.destination.pages(resource.name, {operation.ids: part}):
                yield page.rows
        return
    since = min(entry.at for entry in group) - MARGIN
    if operation.since:
        params = {operation.since: stamp(since, operation.since_style)}
        for page in run.destination.pages(resource.name, params):
            yield page.rows
        return
    for page in run.destination.pages(resource.name, newest_first=bool(operation.newest_first)):
        yield page.rows
        created = [text for row in page.rows if (text := str(row.get(resource.created) or ""))]
        if operation.newest_first and created and min(created).replace("T", " ")[:19] < stamp(since, "space"):
            return


def live_row(run: Run, resource: str, row_id: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """One destination row as it is now; through a list where the platform cannot be asked for one row."""
    kind = run.migration.destination.resources[resource]
    if "read" in kind.operations:
        return run.destination.read(resource, row_id)
    parent = body.get(kind.operations["list"].ids_of)
    rows = run.destination.by_ids(resource, [str(parent)]) if parent is not None else run.destination.rows(resource)
    return next((row for row in rows if str(row.get(kind.id)) == row_id), None)


def stamp(seconds: float, style: str) -> str:
    """An instant as a filter wants it; UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    forms = {"rfc3339": "%Y-%m-%dT%H:%M:%SZ", "space": "%Y-%m-%d %H:%M:%S", "basic_offset": "%Y-%m-%dT%H:%M:%S+0000", "date": "%Y-%m-%d"}
    return str(int(seconds)) if style == "epoch" else moment.strftime(forms[style])


def _is(run: Run, entry: Entry, row: Mapping[str, Any], resource: Resource) -> bool:
    """Whether this row is what the entry wanted to create."""
    if resource.custom:
        key_code = _key_code(run, entry.resource)
        if key_code:
            wanted = (entry.body.get(resource.custom.container) or {}).get(key_code)
            found = (row.get(resource.custom.container) or {}).get(key_code)
            return bool(wanted) and wanted == found
    sent = _flat(entry.body, resource)
    compared = [name for name in resource.recognise if name in sent or name in entry.body]
    return bool(compared) and all(
        agrees(sent.get(name), row.get(name), resource.fields.get(name)) or (is_empty(sent.get(name)) and is_empty(row.get(name)))
        for name in resource.recognise
        if name in sent or name not in (resource.file or ())
    )


def _flat(body: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
    """What was sent, with a file shown as the fields that describe it."""
    sent = dict(body)
    if resource.file and isinstance(sent.get(resource.file[0]), dict):
        described = sent.pop(resource.file[0])
        sent[resource.file[1]] = (described.get("$file") or described).get("name")
    return sent


def _key_code(run: Run, resource: str) -> str:
    key = next((f.name for f in run.spec.custom_fields.values() if f.resource == resource and f.key), "")
    with run.store.begin() as connection:
        known = definitions(connection, run)
    found = known.get((resource, key))
    return found.code if found else ""


def _happened(run: Run, entry: Entry, row_id: str, row: Mapping[str, Any]) -> None:
    write = Write(entry.object, entry.key, entry.resource, "create", entry.body, entry.draft, entry=entry.id)
    link = as_link_row(run, write, Outcome(write, "done", row_id, row), run.clock.now())
    with run.store.begin() as connection:
        settle(connection, entry.id, "done", run.clock.now(), dest_id=row_id, reason="found after an unknown outcome")
        save_link(connection, replace(link, run=entry.run))


def _void(run: Run, entry: Entry) -> None:
    with run.store.begin() as connection:
        settle(connection, entry.id, "void", run.clock.now(), reason="it had not happened")


def _other(run: Run, entry: Entry, tally: dict[str, int]) -> None:
    """Updates and deletions are settled by reading the row; an update is then simply decided anew."""
    if entry.action == "delete":
        gone = live_row(run, entry.resource, entry.dest_id, entry.body) is None
        if gone:
            with run.store.begin() as connection:
                settle(connection, entry.id, "done", run.clock.now(), reason="found after an unknown outcome")
                drop_link(connection, entry.object, entry.key)
            tally["happened"] += 1
            return
    _void(run, entry)
    tally["did not happen"] += 1
