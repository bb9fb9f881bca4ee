"""What a run found and did, as one plain document: the source of every report format."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.client import Client
from engine.extract.audit import Audit, Unmapped
from engine.pipeline import Result, content
from engine.report.attention import attention
from engine.report.counts import count_marked, left_behind, to_know
from engine.report.tier import confirmed
from engine.report.words import in_part, known
from engine.session import Run
from engine.store.changes import Kind, count_skipped, stream_changes
from engine.store.journal import counts
from engine.store.links import (
    DEFINITIONS,
    Finding,
    all_findings,
    count_attention,
)
from engine.values import as_file, as_link
from engine.verify.compare import Comparison
from engine.verify.fields import FieldState, text_of

STATES = (
    "equal",
    "transformed",
    "looked_up",
    "defaulted",
    "stored_as",
    "dropped",
    "lost",
    "changed_by_people",
    "empty",
)
WRITTEN = ("created", "updated", "unchanged", "adopted", "deleted")
FILE = ("size", "sha256", "type")  # what is shown of a file
# a cell that starts so is a formula to a spreadsheet
EXECUTED = ("=", "+", "-", "@", "\t", "\r")


def build(
    run: Run,
    result: Result,
    command: str,
    environment: str,
    most: int | None = None,
) -> dict[str, Any]:
    """The report document; its shape is schemas/report.schema.json. A screen takes at `most` so
    many findings that need attention: there may be as many as there are records.
    """
    with run.store.begin() as connection:
        findings = all_findings(connection, "attention" if most else "", most)
        _, waiting = count_attention(connection)
    order = {
        mapping.name: position
        for position, mapping in enumerate(run.spec.active())
    }
    kept = sorted(
        result.tally.kept, key=lambda row: (order.get(row.object, 0), row.key)
    )
    audit = result.audit or Audit()
    now = datetime.fromtimestamp(run.clock.now(), UTC)
    report = {
        "migration": run.spec.name,
        "title": f"{run.migration.source.title} to {run.migration.destination.title}",
        "command": command,
        "environment": environment,
        "run": run.id,
        "generated_at": now.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "spec_digest": run.spec.digest,
        "accounts": {
            "source": _account(run.source),
            "destination": _account(run.destination),
        },
        "objects": _objects(run, result),
        "records": [_record(run, comparison) for comparison in kept],
        "records_not_shown": result.tally.left_out,
        "money": _money(result),
        "people": [structs.asdict(person) for person in audit.people],
        "fallback_owner": audit.fallback,
        "collections_left_behind": [
            structs.asdict(item) for item in left_behind(run, audit.unmapped)
        ],
        "marked": [structs.asdict(item) for item in count_marked(run)],
        "to_know": [structs.asdict(item) for item in to_know(run)],
        "provisioned": _provisioned(run, result),
        "sample": _sample(result),
        "settled": result.settled,
        "findings": [told(finding) for finding in findings],
        "notices": list(run.notices),
    }
    # a screen has only the first findings, and no record that was compared
    waiting = waiting if most else len(attention(report))
    verdict = _verdict(result, waiting)
    if in_part(command):
        # what was left out before it was sent has not been compared
        verdict["failed"] += _planned(run, result, "fail", standing=False)
        with run.store.begin() as connection:
            verdict["skipped"] = skipped_in(run, connection)
    if standing := _planned(run, result, "skip", standing=True):
        verdict["skipped_standing"] = standing
    return report | {"verdict": verdict}


def skipped_in(run: Run, connection: sa.Connection) -> int:
    """How many records the runs so far have skipped, whatever the last one looked at."""
    names = [mapping.name for mapping in content(run.spec.active())]
    return count_skipped(connection, names)


def _planned(run: Run, result: Result, kind: Kind, standing: bool) -> int:
    """How many records a plan has skipped or failed: those whose rows stand, or the others."""
    return sum(
        bool(change.dest_id) is standing
        for item in result.loaded
        for batch in stream_changes(run.store, item.object, kind)
        for change in batch
    )


def _verdict(result: Result, waiting: int) -> dict[str, Any]:
    """Counts people look at first, and whether anything needs them: `waiting` records do."""
    records, fields = result.tally.record_states(), result.tally.field_states()
    lost = result.tally.lost_in_arrived
    # of a large run, the report shows only some of the records that are missing or lost fields
    troubles = (lost, records["missing"], records["failed"])
    good = not (waiting or any(troubles) or fields["changed_by_people"])
    audit = result.audit
    # a command that does not look at the source counts none of its rows
    counted = {"not_taken": not_taken(audit.unmapped)} if audit else {}
    return {
        "state": "good" if good else "attention",
        "arrived": records["arrived"],
        "missing": records["missing"],
        "skipped": records["skipped"],
        "failed": records["failed"],
        **counted,
        "changed": sum(
            item.changed + item.new + item.deleted for item in result.changes
        ),
        "fields": {state: fields[state] for state in STATES},
        "lost_in_arrived": lost,
        "need_attention": waiting,
        **_written(result),
    }


def _written(result: Result) -> dict[str, int]:
    """How many rows were written, and how; nothing for a command that writes none."""
    if result.plan is None:
        return {}
    return {
        word: sum(getattr(item, word) for item in result.loaded)
        for word in WRITTEN
    }


def not_taken(unmapped: Iterable[Unmapped]) -> int:
    """How many rows no object takes, of collections that are migrated."""
    return sum(item.rows for item in unmapped if item.not_taken)


def _account(client: Client) -> dict[str, Any]:
    """What the run used of an account's limits."""
    limiter = client.limiter
    return {
        "title": client.connector.title,
        "plan": limiter.plan,
        "plan_shown": confirmed(client),
        "seats": limiter.seats,
        "calls": limiter.calls,
        "cost": limiter.cost,
        "cost_unit": client.connector.cost_unit,
        "waited": round(limiter.waited, 1),
        "over_time": [
            [at, *spent] for at, spent in sorted(limiter.over_time.items())
        ],
        "limits": [
            {
                "name": limit.name,
                "unit": limit.unit,
                "seconds": limit.seconds,
                "allowance": limiter.allowance(limit),
                "left": limiter.remaining(limit),
            }
            for limit in client.connector.limits
        ],
    }


def _objects(run: Run, result: Result) -> list[dict[str, Any]]:
    loaded = {item.object: item for item in result.loaded}
    found = []
    for mapping in run.spec.active():
        fields = result.tally.field_states(mapping.name)
        records = result.tally.record_states(mapping.name)
        written = (
            structs.asdict(loaded[mapping.name])
            if mapping.name in loaded
            else {}
        )
        row = {
            "label": mapping.label,
            "from": [known(name) for name in mapping.sources],
            "to": mapping.resource,
            "records": sum(records.values()),
            "states": records,
            "fields": {state: fields[state] for state in STATES},
            "mapped": [
                [*key[1:], many]
                for key, many in result.tally.mapped.most_common()
                if key[0] == mapping.name
            ],
        }
        written.pop("resource", None)
        found.append({**row, **written, "object": known(mapping.name)})
    return found


def told(finding: Finding) -> dict[str, Any]:
    """A finding as it is shown."""
    found = structs.asdict(finding)
    return {
        **found,
        **{word: known(found[word]) for word in ("object", "key", "text")},
    }


def _record(run: Run, row: Comparison) -> dict[str, Any]:
    file = (
        {key: row.file[key] for key in FILE if key in row.file}
        if row.file
        else None
    )
    return {
        "object": known(row.object),
        "label": row.label,
        "key": known(row.key),
        "record": known(row.record),
        "resource": row.resource,
        "dest_id": row.dest_id,
        "state": row.state,
        "reason": known(row.reason),
        "why": row.why,
        "title": row.title,
        "file": file,
        "fields": [_field(run, item) for item in row.fields],
        "unmapped": [
            [name, run.source.redact(text_of(value))]
            for name, value in row.unmapped
        ],
    }


def _field(run: Run, item: FieldState) -> dict[str, Any]:
    return {
        "target": item.target,
        "label": item.label,
        "state": item.state,
        "sources": [
            [path, run.source.redact(text_of(value))]
            for path, value in item.sources
        ],
        "steps": list(item.steps),
        "wanted": run.source.redact(shown(item.wanted)),
        "live": run.source.redact(shown(item.live)),
        "reason": known(item.reason),
    }


def shown(value: Any) -> str:
    """A wanted or live value as people read it; links by the record they stand for, inside lists
    too.
    """
    return text_of(_in_words(value))


def _in_words(value: Any) -> Any:
    link, file = as_link(value), as_file(value)
    if link:
        return known(f"{link[0]}: {link[1]}")
    if file:
        return str(file.get("name", ""))
    if isinstance(value, dict):
        return {name: _in_words(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_words(item) for item in value]
    return value


def _money(result: Result) -> list[dict[str, Any]]:
    """Sums of every amount with a currency, wanted and live, per object and currency."""
    return [
        {
            "object": name,
            "label": label,
            "currency": currency,
            "wanted": round(sums.wanted, 2),
            "live": round(sums.live, 2),
        }
        for (name, label, currency), sums in result.tally.money.items()
    ]


def _provisioned(run: Run, result: Result) -> dict[str, Any] | None:
    """What was made before any record was written, with its cost; None where nothing was to be."""
    if result.provisioned is None:
        return None
    with run.store.begin() as connection:
        written = counts(connection, run.id)
    costs = [
        cost for key, (_, cost) in written.items() if key[0] == DEFINITIONS
    ]
    return {**structs.asdict(result.provisioned), "cost": sum(costs)}


def _sample(result: Result) -> dict[str, Any] | None:
    if result.sample is None:
        return None
    return {
        "wanted": result.sample.wanted,
        "chosen": len(result.sample.chosen),
        "features": result.sample.features,
        "covered": result.sample.covered,
        "how": (
            "Records are chosen so that every object, every deciding value and every"
            " field filled or empty occurs, the earliest record first; then whatever"
            " they refer to and their declared children are added, and the rest is"
            " chosen evenly. The same data always give the same choice."
        ),
    }


# -- files


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """The whole report as JSON.

    It is indented by msgspec, for Python's own encoder is ten times slower where it indents.
    """
    text = json.dumps(report, ensure_ascii=False).encode(errors="replace")
    with suppress(msgspec.DecodeError):  # a sum beyond all numbers is no JSON
        text = msgspec.json.format(text, indent=1)
    private(path).write_bytes(text)


def write_csv(report: Mapping[str, Any], path: Path) -> None:
    """One line for each field; cells that a spreadsheet would execute are made plain text."""
    heads = [
        "object",
        "key",
        "destination id",
        "record state",
        "field",
        "state",
        "source",
        "steps",
        "wanted",
        "live",
        "reason",
    ]
    private(path)
    with path.open(
        "w", newline="", encoding="utf-8-sig", errors="replace"
    ) as out:
        writer = csv.writer(out)
        writer.writerow(heads)
        for row in report["records"]:
            for cells in _cells(row):
                writer.writerow([harmless(cell) for cell in cells])


def _cells(row: Mapping[str, Any]) -> Iterator[list[str]]:
    """The lines of one record: its fields, then what no mapping uses."""
    record = [row[name] for name in ("object", "key", "dest_id", "state")]
    for item in row["fields"]:
        yield [
            *record,
            item["label"],
            item["state"],
            "; ".join(f"{name} = {value}" for name, value in item["sources"]),
            " > ".join(item["steps"]),
            item["wanted"],
            item["live"],
            row["reason"] or item["reason"],
        ]
    for name, value in row["unmapped"]:
        yield [*record, "", "unmapped", f"{name} = {value}", *[""] * 4]


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return (
        f"'{cell}"
        if cell.startswith(EXECUTED) and not _is_number(cell)
        else cell
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def private(path: Path) -> Path:
    """The path, with its folder created and the file readable by this user only; a device is left
    as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    if path.is_file():
        path.chmod(0o600)
    return path
