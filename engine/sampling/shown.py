"""Objects that a sample does not show, and why: nobody may approve what nobody has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.language.model import ObjectMapping
from engine.sampling.choose import A_FEW, Sample
from engine.session import Run
from engine.store.links import Finding, clear_findings, save_findings
from engine.store.records import Cursor, all_cursors

STAGE = "sample"


def report_hidden(run: Run, sample: Sample | None) -> None:
    """Name the objects that a sample shows too little of; after a full run nothing is hidden."""
    with run.store.begin() as connection:
        clear_findings(connection, STAGE)
        if sample is not None:
            save_findings(
                connection, list(_hidden(run, sample, all_cursors(connection)))
            )


def _hidden(
    run: Run, sample: Sample, cursors: Mapping[str, Cursor]
) -> Iterator[Finding]:
    for mapping in run.spec.active():
        text = _why(mapping, sample.shown.get(mapping.name, 0), cursors)
        if text and not mapping.scaffold:
            yield Finding(mapping.name, "", STAGE, "", "attention", text)


def _why(
    mapping: ObjectMapping, shown: int, cursors: Mapping[str, Cursor]
) -> str:
    """Why a sample shows few records of an object; "" where it shows what there is."""
    read = [cursors[name] for name in mapping.sources if name in cursors]
    rows = sum(cursor.rows for cursor in read)
    if shown >= A_FEW or all(
        cursor.complete or cursor.absent for cursor in read
    ):
        return ""
    few = f"only {shown}" if shown else "none"
    listed = " and ".join(mapping.sources)
    return (
        f"the sample shows {few} of these: of {listed} {rows:,} rows were read, and not"
        " the rest – raise `sample: {pages: …}` in the spec until some are found"
    )
