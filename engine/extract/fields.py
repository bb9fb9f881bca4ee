"""Which fields the rows of the source really have.

A name that a connector declares may be a wrong guess: then what depends on it would be lost, and
nobody would be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.connector.times import moment
from engine.language.dependencies import Use, fields_read
from engine.session import Run
from engine.store.links import Finding, clear_findings, save_findings
from engine.store.records import stream
from engine.values import Segments, flag, is_empty, picks, segments, word

ABSENT = "fields"  # the stage of findings about fields that no row has
ODD = "marks"  # ... about marks of rows that say nothing
PROOF = 10  # rows that could have a field and do not: fewer prove nothing


class FieldCount(msgspec.Struct, frozen=True):
    """A field the spec reads: how many rows have it, of those that have what it stands in."""

    collection: str
    field: str
    use: Use
    rows: int
    found: int
    evidence: str


def count_fields(run: Run, whole: bool = True) -> list[FieldCount]:
    """Count the rows with each field that the spec reads.

    Unless `whole`, a field that was seen is not counted further: whether there is any is enough.
    """
    found = []
    for name, uses in fields_read(run.spec).items():
        resource = run.collection(name)
        # those are checked when they are read
        later = resource.listing.detail
        places = {
            text: segments(text)
            for text in uses
            if segments(text)[0] not in later
        }
        rows, having = _count(run, name, places, whole)
        found += [
            FieldCount(
                name,
                text,
                uses[text],
                rows[text],
                having[text],
                resource.evidence_of(text),
            )
            for text in places
        ]
    return found


def _count(
    run: Run, name: str, places: Mapping[str, Segments], whole: bool
) -> tuple[Counter[str], Counter[str]]:
    rows: Counter[str] = Counter()
    having: Counter[str] = Counter()
    for batch in stream(run.store, name):
        looked_for = [text for text in places if whole or not having[text]]
        if not looked_for:
            break
        for record in batch:
            for text in looked_for:
                has = _has(record.body, places[text])
                rows[text] += has is not None
                having[text] += bool(has)
    return rows, having


def _has(value: Any, place: Segments) -> bool | None:
    """Whether there is such a field, filled or not; None where nothing is there that could have
    it.
    """
    if not place:
        return True
    part, *rest = place
    if part == "*" or isinstance(part, int) or picks(part):
        elements = value if isinstance(value, list) else []
        found = {_has(element, tuple(rest)) for element in elements}
        return None if found <= {None} else True in found
    if not isinstance(value, dict):
        return None
    return _has(value[part], tuple(rest)) if part in value else False


def note_absent_fields(run: Run) -> None:
    """Note the fields the spec reads that no row has.

    Where enough rows could have one, it needs attention, and a run is refused (engine/plan/guards):
    what depends on it would be lost in every record.
    """
    absent = [
        _told(item)
        for item in count_fields(run, whole=False)
        if item.rows and not item.found
    ]
    with run.store.begin() as connection:
        clear_findings(connection, ABSENT)
        save_findings(connection, absent)


def note_odd_marks(run: Run) -> None:
    """Note the marks of rows, such as inactive, that are neither yes, no nor a moment: such rows
    are taken like others.
    """
    found = []
    for name in fields_read(run.spec):
        resource = run.collection(name)
        odd: Counter[str] = Counter()
        first: dict[str, str] = {}
        for batch in stream(run.store, name) if resource.flags else ():
            for record in batch:
                for field in resource.flags.values():
                    value = record.body.get(field)
                    if _says_nothing(value):
                        odd[field] += 1
                        first.setdefault(
                            field, f"{value!r:.60} in {record.key}"
                        )
        for field, rows in odd.items():
            text = (
                f"says neither yes, no nor since when in {rows:,} rows, as {first[field]}: such"
                " rows are taken like others – see `flags` in the connector, or use `when`"
            )
            found.append(Finding(name, "", ODD, field, "attention", text))
    with run.store.begin() as connection:
        clear_findings(connection, ODD)
        save_findings(connection, found)


def _says_nothing(mark: Any) -> bool:
    is_known = flag(mark) is not None or moment(mark) is not None
    # nothing, or a date of zeros
    return not (is_known or is_empty(mark)) and bool(word(mark).strip("0-: T"))


def _told(item: FieldCount) -> Finding:
    # what stands deeper may be left out where it is empty
    proved = item.rows >= PROOF and (
        item.use != "value" or len(segments(item.field)) == 1
    )
    text = (
        f"none of the {item.rows:,} rows read has this field ({item.evidence}), on"
        f" which {item.use}s depend – has the platform another name for it? Correct"
        " the connector and the spec, then run again with --refresh"
    )
    severity = "attention" if proved else "note"
    return Finding(item.collection, "", ABSENT, item.field, severity, text)
