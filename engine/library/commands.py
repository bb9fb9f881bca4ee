"""What verify and rollback ask of a store first, on the command line and in programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine import pipeline
from engine.errors import UnsafePlan, UsageError
from engine.library.opening import begun
from engine.pipeline import Result
from engine.plan.renames import carry_over
from engine.report.words import REFUSED, in_part
from engine.session import Run
from engine.store.journal import (
    all_runs,
    counts,
    has_failed,
    is_settled_between,
    states_by_run,
)
from engine.store.links import links_of
from engine.store.records import sample
from engine.verify.compare import everything, records_of, writes_of

RETRY = "run --failed"  # as the store remembers it


def verify(run: Run, spec: Path, environment: str) -> Result:
    """Read back what was written: a sample's records where only samples were, or everything."""
    runs = begun(run, spec, environment)
    carry_over(run)
    with run.store.begin() as connection:
        commands = _standing(connection, runs)
        is_gone = not commands and has_rollback(connection, runs)
    if is_gone:
        kept = _rows_kept(run)
        if not kept:
            raise UsageError(
                "this migration was rolled back: nothing of it is in the destination, so"
                " there is nothing to verify – migrate anew with: etl run"
                f" {spec} --sample --env {environment}"
            )
        return pipeline.verify(run, Result(), writes_of(kept))
    began = [row["command"] for row in runs if row["command"].startswith("run")]
    commands = commands or began
    chosen = _sampled(run, commands)
    judged = everything if chosen is None else records_of(chosen)
    # drafts that no run has tried to write: a plan made them, or a sample left them alone
    untried = _planned_since(runs) or commands[-1:] == ["run --sample"]
    return pipeline.verify(run, Result(), judged, only_written=untried)


def _sampled(run: Run, commands: Sequence[str]) -> frozenset[str] | None:
    """The records of the sample where nothing but samples, and what had failed of them, was moved;
    None where it was.
    """
    if not {"run --sample"} <= set(commands) <= {"run --sample", RETRY}:
        return None
    with run.store.begin() as connection:
        return frozenset(sample(connection))


def retry_failed(run: Run, yes: bool = False) -> Result:
    """Retry the records that failed; after samples alone, of these."""
    with run.store.begin() as connection:
        commands = [
            row["command"]
            for row in all_runs(connection)
            if row["id"] != run.id and row["command"].startswith("run")
        ]
    # an earlier sample chose other records, which is not kept
    is_one = commands.count("run --sample") == 1
    return pipeline.retry_failed(
        run, _sampled(run, commands) if is_one else None, yes
    )


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


def has_rollback(
    connection: sa.Connection, runs: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether one of these runs has taken anything back, by the journal: neither a mere look nor
    a rollback that came to no row has, however it ended.
    """
    return any(
        row["command"].startswith("rollback")
        and not row["command"].endswith("--dry-run")
        and _has_undone(connection, row)
        for row in runs
    )


def _has_undone(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    """Whether a rollback has sent a write, or settled one of before without a call."""
    if counts(connection, row["id"]):
        return True
    until = row["ended"] or math.inf
    return is_settled_between(
        connection, ("undone", "kept"), row["started"], until, row["id"]
    )


def is_taken_back(
    connection: sa.Connection, runs: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether what was migrated was taken back, and nothing migrated since: by a rollback of
    everything, or by those of single runs that left no row.
    """
    return has_rollback(connection, runs) and not _standing(connection, runs)


def was_undone_since(connection: sa.Connection, run: Mapping[str, Any]) -> bool:
    """Whether rows that were there when a run was at work have been taken back since."""
    return is_settled_between(
        connection, ("undone",), run["started"], math.inf, run["id"]
    )


def _standing(
    connection: sa.Connection, runs: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The commands of the runs since the last rollback of everything whose writes stand, oldest
    first.
    """
    states = states_by_run(connection)
    found: list[Mapping[str, Any]] = []
    for row in runs:
        is_left = any("done" in states[one["id"]] for one in found)
        if _has_taken_all(connection, row, is_left):
            found.clear()
        elif _stands(row, states[row["id"]]):
            found.append(row)
    return [row["command"] for row in found]


def _has_taken_all(
    connection: sa.Connection, row: Mapping[str, Any], is_left: bool
) -> bool:
    """Whether a command was a rollback of everything: one that left rows and failed nowhere was of
    a single run, as older versions did not say.
    """
    if row["command"] != "rollback" or not has_rollback(connection, [row]):
        return False
    is_whole = row["outcome"] == "done" and not has_failed(
        connection, row["id"]
    )
    return not (is_left and is_whole)


def _stands(row: Mapping[str, Any], states: Set[str]) -> bool:
    """Whether a command was a run that has rows in the destination, or that looked at everything
    it was asked for and found nothing to write.
    """
    command = row["command"]
    if not command.startswith("run"):
        return False
    if states:
        return "done" in states
    return row["outcome"] == "done" and not in_part(command)


def _rows_kept(run: Run) -> frozenset[tuple[str, str]]:
    """The records that rows still stand for: a rollback keeps what people have changed."""
    with run.store.begin() as connection:
        return frozenset(
            (mapping.name, key)
            for mapping in run.spec.active()
            for key in links_of(connection, mapping.name)
        )


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
