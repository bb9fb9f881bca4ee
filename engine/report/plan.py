"""The plan record by record: what would be created, changed, linked or deleted, and what is left
alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TextIO

from rich.console import Console

from engine.plan.notes import kept_text, stuck_text
from engine.report.document import shown
from engine.report.terminal import heading, line
from engine.report.words import apart, clipped, known
from engine.session import Run
from engine.store.changes import Change, count_changes, stream_all
from engine.store.links import Draft, drafts_of

LISTED = 200  # records that a terminal shows before the rest is only counted
WIDE = 80  # characters of a value that a terminal shows
NOTHING = "nothing"  # in place of an empty value
FOUND = {  # how a row to be linked was found, by the origin of the link
    "adopted": "it carries the key of this record",
    "matched": "it matches this record; a rollback keeps it",
}


def planned(run: Run) -> Iterator[dict[str, Any]]:
    """Every change in the store except those where nothing is to be done, as plain documents.

    Their shape is `change` in schemas/report.schema.json. They are streamed, for a plan may be
    large.
    """
    for batch in stream_all(run.store):
        drafts = _drafts_to_make(run, batch)
        for change in batch:
            yield _document(
                run, change, drafts.get((change.object, change.key))
            )


def _drafts_to_make(
    run: Run, batch: list[Change]
) -> dict[tuple[str, str], Draft]:
    """The drafts of rows to be created: all of their fields would be sent."""
    keys: dict[str, list[str]] = {}
    for change in batch:
        if change.kind == "create":
            keys.setdefault(change.object, []).append(change.key)

    with run.store.begin() as connection:
        return {
            (name, key): draft
            for name, wanted in keys.items()
            for key, draft in drafts_of(connection, name, wanted).items()
        }


def _document(run: Run, change: Change, draft: Draft | None) -> dict[str, Any]:
    def text(value: Any) -> str:
        return run.source.redact(shown(value))

    send = draft.body if draft else change.send
    return {
        "object": known(change.object),
        "key": known(change.key),
        "kind": change.kind,
        "dest_id": change.dest_id,
        "send": [
            {
                "target": target,
                "before": text(change.before.get(target)),
                "value": text(value),
            }
            for target, value in send.items()
        ],
        "conflicts": [
            {"target": target, "live": text(live), "wanted": text(wanted)}
            for target, live, wanted in change.conflicts
        ],
        "stuck": list(change.stuck),
        "reason": known(FOUND.get(change.reason, change.reason)),
        "cost": change.cost,
    }


def how_many(run: Run) -> int:
    """How many changes there are, except those where nothing is to be done."""
    with run.store.begin() as connection:
        found = count_changes(connection)
    return sum(
        many for (_, change), many in found.items() if change != "unchanged"
    )


# -- shown


def write_plan(report: Mapping[str, Any], run: Run, out: TextIO) -> None:
    """The document of a plan as JSON, with every change under plan.changes, one at a time."""
    rest = {name: part for name, part in report.items() if name != "plan"}
    out.write(json.dumps(rest, ensure_ascii=False)[:-1])
    out.write(
        ', "plan": ' + json.dumps(report["plan"], ensure_ascii=False)[:-1]
    )
    out.write(', "changes": [')
    for position, change in enumerate(planned(run)):
        out.write(
            (", " if position else "") + json.dumps(change, ensure_ascii=False)
        )
    out.write("]}}\n")


def show_planned(run: Run, console: Console) -> None:
    """The first changes, and how many more there are."""
    many = how_many(run)
    heading(console, f"Records: {many:,}")
    for change in islice(planned(run), LISTED):
        line(console, f"  {_title(change)}")
        for text in _fields(change, run):
            line(console, f"      {text}")
    if many > LISTED:
        line(console, f"  and {many - LISTED:,} more; --json lists them all")


def _title(change: Mapping[str, Any]) -> str:
    row = f" {change['dest_id']}" if change["dest_id"] else ""
    cost = f" (cost {change['cost']:,.4g})" if change["cost"] else ""
    reason = f": {change['reason']}" if change["reason"] else ""
    return f"{change['object']} {change['key']}: {change['kind']}{row}{cost}{reason}"


def _fields(change: Mapping[str, Any], run: Run) -> Iterator[str]:
    for item in change["send"]:
        if change["kind"] == "create":
            text = clipped(item["value"], WIDE) or NOTHING
        else:
            text = " -> ".join(_both(item["before"], item["value"]))
        yield f"{item['target']}: {text}"

    for item in change["conflicts"]:
        text = kept_text(*_both(item["live"], item["wanted"]))
        yield f"{item['target']}: {text}"

    for target in change["stuck"]:
        mapping = run.spec.objects[change["object"]]
        yield f"{target}: {stuck_text(mapping, target)}"


def _both(before: str, after: str) -> tuple[str, str]:
    """Two values of a field, where they begin to differ."""
    before, after = apart(before, after, WIDE)
    return before or NOTHING, after or NOTHING
