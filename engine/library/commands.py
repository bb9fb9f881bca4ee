"""What verify and rollback ask of a store first, on the command line and in programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine import pipeline
from engine.errors import UnsafePlan, UsageError
from engine.library.opening import begun
from engine.pipeline import Result
from engine.plan.renames import carry_over
from engine.report.words import REFUSED
from engine.session import Run
from engine.store.journal import all_runs, count_rows
from engine.store.links import links_of
from engine.store.records import sample
from engine.verify.compare import everything, records_of, writes_of


def verify(run: Run, spec: Path, environment: str) -> Result:
    """Read back what was written: a sample's records where only samples were, or everything."""
    runs = begun(run, spec, environment)
    carry_over(run)
    with run.store.begin() as connection:
        commands = _since_rollback(connection, runs)
    if not commands and has_rollback(runs):
        kept = _rows_kept(run)
        if not kept:
            raise UsageError(
                "this migration was rolled back: nothing of it is in the destination, so"
                " there is nothing to verify – migrate anew with: etl run"
                f" {spec} --sample --env {environment}"
            )
        return pipeline.verify(run, Result(), writes_of(kept))
    only_sample = all(command == "run --sample" for command in commands)
    with run.store.begin() as connection:
        judged = (
            records_of(frozenset(sample(connection)))
            if only_sample
            else everything
        )
    # drafts that no run has tried to write: a plan made them, or a sample left them alone
    untried = _planned_since(runs) or commands[-1:] == ["run --sample"]
    return pipeline.verify(run, Result(), judged, only_written=untried)


def delta(run: Run, yes: bool, deletions: bool, remake_fields: bool) -> Result:
    """Bring over what has changed. Raises UnsafePlan after a rollback of everything, unless
    `yes`: a delta that goes on by a schedule would move it all again.
    """
    with run.store.begin() as connection:
        rows = [row for row in all_runs(connection) if row["id"] != run.id]
        is_gone = is_taken_back(connection, rows)
    if is_gone and not yes:
        raise UnsafePlan(
            "this migration was rolled back, and a delta would move everything again"
            " – stop what starts it, or migrate with: etl run SPEC, or repeat with"
            " --yes"
        )
    return pipeline.delta(run, yes, deletions, remake_fields)


def rollback_command(of_run: int | None, dry: bool) -> str:
    """A rollback as the store remembers it."""
    words = [
        "rollback",
        f"--run {of_run}" if of_run is not None else "",
        "--dry-run" if dry else "",
    ]
    return " ".join(filter(None, words))


def has_rollback(runs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of these runs has taken anything back; a mere look takes nothing, nor does what
    was refused.
    """
    return any(
        row["command"].startswith("rollback")
        and not row["command"].endswith("--dry-run")
        and not row["outcome"].startswith(REFUSED)
        for row in runs
    )


def is_taken_back(
    connection: sa.Connection, runs: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether what was migrated was taken back, and nothing migrated since: by a rollback of
    everything, or by those of single runs that left no row.
    """
    later: list[Mapping[str, Any]] = []
    for row in runs:
        if has_rollback([row]):
            later.append(row)
        elif _has_migrated(connection, row):
            later.clear()
    if any(row["command"] == "rollback" for row in later):
        return True
    return bool(later) and not count_rows(connection, ("done",))


def _has_migrated(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    """Whether a command was a run; one that was refused is none unless it has written before."""
    if not row["command"].startswith("run"):
        return False
    refused = row["outcome"].startswith(REFUSED)
    return not refused or count_rows(connection, ("done",), row["id"]) > 0


def _rows_kept(run: Run) -> frozenset[tuple[str, str]]:
    """The records that rows still stand for: a rollback keeps what people have changed."""
    with run.store.begin() as connection:
        return frozenset(
            (mapping.name, key)
            for mapping in run.spec.active()
            for key in links_of(connection, mapping.name)
        )


def _since_rollback(
    connection: sa.Connection, runs: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The commands of the runs since the last rollback, oldest first."""
    found: list[str] = []
    for row in runs:
        if has_rollback([row]):
            found.clear()
        elif _has_migrated(connection, row):
            found.append(row["command"])
    return found


def _planned_since(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether drafts were made after the last run had ended: no run has tried to write those. One
    that was refused has made a plan and no more.
    """
    is_planned = False
    for row in reversed(runs):
        command = row["command"].partition(" ")[0]
        if command == "plan" or row["outcome"].startswith(REFUSED):
            is_planned = True
        elif command == "run":
            return is_planned and row["outcome"] == "done"
    return is_planned


def ready_to_undo(
    run: Run, of_run: int | None, spec: Path, environment: str
) -> None:
    """What a rollback begins with; raises UsageError like `may_undo`."""
    may_undo(run, of_run, spec, environment)
    carry_over(run)


def may_undo(
    run: Run, of_run: int | None, spec: Path, environment: str
) -> None:
    """Check that something was migrated, by this run if one is named; raises UsageError."""
    known = begun(run, spec, environment)
    if of_run is not None and of_run not in {row["id"] for row in known}:
        listed = f"etl status {spec} --env {environment}"
        raise UsageError(
            f"there is no run {of_run} – list the runs with: {listed}"
        )
