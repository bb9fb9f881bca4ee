"""Exported tables: audit log, payments, work orders, people, failures; as CSV and one workbook."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import petl
from msgspec import structs
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from engine.language.model import Export, Field, ObjectMapping
from engine.mapping.draft import sight_on
from engine.mapping.evaluate import Source, evaluate
from engine.report.document import harmless, private, shown
from engine.session import Run
from engine.store.journal import attempts, stream_entries
from engine.store.links import all_findings, links_of, stream_drafts
from engine.store.records import many
from engine.values import well_formed

# a conversion that fails must not become an empty cell
petl.config.failonerror = True

LOG = (
    "when",
    "run",
    "object",
    "source",
    "resource",
    "destination id",
    "action",
    "outcome",
    "reason",
    "calls",
    "cost",
)
ATTENTION = ("object", "source", "stage", "field", "attempts", "reason")
PEOPLE = "unmatched_users"  # what an audit knows already
SHEET = 31  # characters a workbook allows in the name of a sheet
ROWS = 1_048_576  # rows of a sheet
CELL = 32_767  # characters a workbook takes in a cell
# control characters, and what else XML forbids
UNFIT = re.compile(
    f"{ILLEGAL_CHARACTERS_RE.pattern}|[\ud800-\udfff\ufffe\uffff]"
)
CUT = " […] cut here: the whole text is in the CSV file"


@dataclass(frozen=True, slots=True)
class Table:
    """One export: its name, its columns and where its rows come from."""

    name: str
    heads: tuple[str, ...]
    rows: Any  # an iterable that can be gone through more than once

    def __iter__(self) -> Iterator[Sequence[Any]]:
        yield self.heads
        for row in self.rows():
            yield [
                _in_csv(cell) if isinstance(cell, str) else cell for cell in row
            ]


def _in_csv(cell: str) -> str:
    """A cell that a spreadsheet takes for text and UTF-8 can hold."""
    return harmless(well_formed(cell))


@dataclass(frozen=True, slots=True)
class _InWorkbook:
    """A table without the characters that a workbook cannot hold; a text too long for it says
    that it is cut.
    """

    table: Table

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in islice(self.table, ROWS - 1):
            yield [
                _fitting(cell) if isinstance(cell, str) else cell
                for cell in row
            ]
        if next(islice(self.table, ROWS - 1, None), None) is not None:
            yield [
                "a sheet holds no more rows: all of them are in the CSV file"
            ]


def _fitting(cell: str) -> str:
    shown: str = UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", cell)
    return shown if len(shown) <= CELL else shown[: CELL - len(CUT)] + CUT


def tables_of(run: Run) -> list[Table]:
    """Every table of a migration, those of the spec and of its objects last."""
    return [
        *_fixed(run),
        *(_of_spec(run, item) for item in run.spec.exports),
        *(
            _object(run, mapping)
            for mapping in run.spec.active()
            if not mapping.rows
        ),
    ]


def filled(tables: Sequence[Table]) -> list[str]:
    """The names of the tables that have rows."""
    return [table.name for table in tables if _has_rows(table)]


def _has_rows(table: Table) -> bool:
    """Whether a table has a row; only the first is read."""
    return next(iter(table.rows()), None) is not None


def export(run: Run, tables: Sequence[Table], folder: Path) -> list[Path]:
    """Write tables as CSV and all of them as one workbook; the files made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for table in tables:
        path = private(folder / f"{table.name}.csv")
        petl.tocsv(petl.wrap(table), str(path), encoding="utf-8-sig")
        made.append(path)
    return [*made, _workbook(tables, folder / f"{run.spec.name}.xlsx")]


def _workbook(tables: Sequence[Table], path: Path) -> Path:
    """One sheet for each table; the workbook replaces an older one only when it is complete."""
    unfinished, taken = private(path.with_suffix(".part.xlsx")), set[str]()
    for position, table in enumerate(tables):
        mode = "overwrite" if position == 0 else "add"
        petl.toxlsx(
            petl.wrap(_InWorkbook(table)),
            str(unfinished),
            sheet=_sheet(table.name, taken),
            mode=mode,
        )
    unfinished.chmod(0o600)
    return unfinished.replace(path)


def _sheet(name: str, taken: set[str]) -> str:
    """A name that a workbook takes and that no other sheet of it has; capitals do not count."""
    short, number = name[:SHEET], 2
    while short.casefold() in taken:
        short = f"{name[: SHEET - 2 - len(str(number))]}~{number}"
        number += 1
    taken.add(short.casefold())
    return short


def _fixed(run: Run) -> list[Table]:
    """The tables every migration has."""
    return [
        Table("audit_log", LOG, lambda: _log(run)),
        Table(
            PEOPLE,
            ("state", "source", "what"),
            lambda: _findings(run, "users"),
        ),
        Table("failed_and_skipped", ATTENTION, lambda: _attention(run)),
    ]


def _log(run: Run) -> Iterator[Sequence[Any]]:
    for batch in stream_entries(run.store):
        for entry in batch:
            when = datetime.fromtimestamp(entry.at, UTC).strftime(
                "%Y-%m-%d %H:%M:%S"
            )
            yield (
                when,
                entry.run,
                entry.object,
                entry.key,
                entry.resource,
                entry.dest_id,
                entry.action,
                entry.state,
                entry.reason,
                entry.calls,
                entry.cost,
            )


def _findings(run: Run, name: str) -> Iterator[Sequence[Any]]:
    with run.store.begin() as connection:
        found = [
            finding
            for finding in all_findings(connection)
            if finding.object == name
        ]
    for finding in found:
        state, _, what = finding.text.partition(": ")
        yield state, finding.key, what


def _attention(run: Run) -> Iterator[Sequence[Any]]:
    with run.store.begin() as connection:
        found = all_findings(connection, "attention")
        tried = {
            (item.object, item.key): attempts(connection, item.object, item.key)
            for item in found
        }
    for item in found:
        yield (
            item.object,
            item.key,
            item.stage,
            item.field,
            tried[item.object, item.key],
            item.text,
        )


def _object(run: Run, mapping: ObjectMapping) -> Table:
    """An object's records as they were written: a reference for the people who will look them
    up.
    """
    targets = [
        target
        for target in mapping.fields
        if target not in ("content", "note", "file")
    ]
    labels = [run.spec.label(mapping.resource, target) for target in targets]
    heads = ("source", "destination id", "state", *labels)

    def rows() -> Iterator[Sequence[Any]]:
        for batch in stream_drafts(run.store, mapping.name):
            with run.store.begin() as connection:
                links = links_of(
                    connection, mapping.name, [draft.key for draft in batch]
                )
            for draft in batch:
                link = links.get(draft.key)
                yield (
                    draft.key,
                    link.dest_id if link else "",
                    "written" if link else draft.state,
                    *(shown(draft.body.get(target)) for target in targets),
                )

    return Table(mapping.name.replace(".", "_"), heads, rows)


def _of_spec(run: Run, wanted: Export) -> Table:
    """A table that the spec defines: its columns are computed from the records, as fields are."""
    mapping = run.spec.objects[wanted.object]
    columns = {
        heading: Field(heading, expr, ())
        for heading, expr in wanted.columns.items()
    }
    looking = structs.replace(mapping, fields=columns, when=None)

    def rows() -> Iterator[Sequence[Any]]:
        for batch in stream_drafts(run.store, mapping.name):
            with run.store.begin() as connection:
                links = links_of(
                    connection, mapping.name, [draft.key for draft in batch]
                )
                records = many(connection, [draft.record for draft in batch])
                sight = sight_on(run, connection)
                sources = [
                    Source(record.collection, record.key, record.body)
                    for record in records.values()
                ]
                bodies = {
                    made.key: made.body
                    for source in sources
                    for made in evaluate(looking, source, sight)
                }
            for draft in batch:
                link = links.get(draft.key)
                if draft.key in bodies:
                    cells = (
                        shown(bodies[draft.key].get(heading))
                        for heading in columns
                    )
                    yield (draft.key, link.dest_id if link else "", *cells)

    return Table(wanted.name, ("source", "destination id", *columns), rows)
