"""The report of a rollback: what it has taken back, and each row that stayed, with its reason."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from engine.language.compile import Migration
from engine.library.reports import folder_of, written
from engine.library.results import Kept, RollbackResult
from engine.report.attention import about
from engine.report.document import harmless, private
from engine.report.words import counted, known, were_there
from engine.session import Run
from engine.values import well_formed

# its name where the report of the last run stands beside it
REPORT = "rollback"
HEADS = ("what", "object", "key", "reason")


@dataclass(frozen=True, slots=True)
class Told:
    """What a report says of itself, by the words of all reports."""

    migration: str
    title: str
    environment: str
    generated_at: str
    command: str


def told_of(
    migration: Migration,
    environment: str,
    now: float,
    command: str = "rollback",
) -> Told:
    """What the report of a migration's rollback says of itself; `now` is in epoch seconds."""
    title = f"{migration.source.title} to {migration.destination.title}"
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Told(migration.spec.name, title, environment, at, command)


def leave_beside(
    run: Run, undone: RollbackResult, environment: str, command: str
) -> dict[str, str]:
    """Write it beside the report of the last run, which stays; the file of each format."""
    told = told_of(run.migration, environment, run.clock.now(), command)
    folder = folder_of(run.store, run.spec.name, environment)
    return left(undone, told, folder, REPORT)


def left(
    undone: RollbackResult, told: Told, folder: Path, name: str = "report"
) -> dict[str, str]:
    """Write it in every format, by default under the names that other reports have: who looks into
    the same folder again finds this one instead. The file of each format that could be written;
    that one could not is no end of a rollback.
    """
    formats = {
        kind: partial(_private, write, undone, told)
        for kind, write in FORMATS.items()
    }
    files, notices = written(formats, folder, name)
    for notice in notices:
        print(notice, file=sys.stderr)
    return files


def _private(
    write: Callable[[Path, RollbackResult, Told], None],
    undone: RollbackResult,
    told: Told,
    path: Path,
) -> None:
    write(private(path), undone, told)


def _stayed(undone: RollbackResult) -> list[tuple[str, Kept]]:
    both = (("kept", undone.kept), ("failed", undone.failed))
    return [(what, _known(row)) for what, rows in both for row in rows]


def _known(row: Kept) -> Kept:
    """A row as people know it: a custom field by its resource and name."""
    name, key = about(asdict(row))
    return replace(row, object=name, key=key, reason=known(row.reason))


def _json(path: Path, undone: RollbackResult, told: Told) -> None:
    """Its shape is schemas/rollback.schema.json."""
    said: Mapping[str, Any] = {
        **asdict(told),
        "run": undone.run,
        "undone": undone.undone,
        "there_before": undone.there_before,
        "kept": [asdict(_known(row)) for row in undone.kept],
        "failed": [asdict(_known(row)) for row in undone.failed],
    }
    path.write_text(
        json.dumps(well_formed(said), ensure_ascii=False, indent=1),
        encoding="utf-8",
    )


def _csv(path: Path, undone: RollbackResult, _: Told) -> None:
    """One line for each row that stayed."""
    with path.open(
        "w", newline="", encoding="utf-8-sig", errors="replace"
    ) as out:
        writer = csv.writer(out)
        writer.writerow(HEADS)
        for what, row in _stayed(undone):
            cells = (what, row.object, row.key, row.reason)
            writer.writerow([harmless(cell) for cell in cells])


def _html(path: Path, undone: RollbackResult, told: Told) -> None:
    """A page that needs nothing else; what stands in it is text, whatever it looks like."""
    rows = [
        (what, row.object, row.key, row.reason) for what, row in _stayed(undone)
    ]
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    table = f"<table><tr>{heads}</tr>{''.join(map(_line, rows))}</table>"
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(told.title)}: {told.command}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(told.title)}: {told.command}, run {undone.run}</h1>"
        f"<p>{escape(told.migration)}, {told.generated_at}</p><p>{summary(undone)}</p>"
        f"{table if rows else ''}</body></html>\n"
    )
    path.write_text(page, encoding="utf-8", errors="replace")


def summary(undone: RollbackResult) -> str:
    """How many writes were taken back, and how many were not."""
    stayed = f"{len(undone.kept):,} kept, {len(undone.failed):,} failed"
    text = f"{counted(undone.undone, 'write')} taken back, {stayed}"
    if undone.there_before:
        text += f"; {were_there(undone.there_before)}"
    return text


def _line(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


_STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.4 system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.3rem .7rem;vertical-align:top;"
    "border-bottom:1px solid #8888;overflow-wrap:anywhere}"
)
FORMATS = {"html": _html, "json": _json, "csv": _csv}
