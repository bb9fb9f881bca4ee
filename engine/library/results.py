"""What the commands of a migration return: frozen, with the same figures that its report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import structs

from engine.errors import ATTENTION, DONE
from engine.load.apply import Loaded
from engine.pipeline import Result
from engine.plan.cost import Plan
from engine.report.attention import about, attention
from engine.report.document import WRITTEN
from engine.rollback.undo import RolledBack
from engine.session import Run
from engine.store.links import Finding
from engine.values import digest


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What a run did for one object."""

    object: str
    label: str
    resource: str
    created: int
    updated: int
    adopted: int
    unchanged: int
    skipped: int
    failed: int
    deleted: int
    conflicts: int
    cost: float
    least: float  # what the writes alone must cost


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of a run, a delta or a verification."""

    run: int  # its number in the store
    command: str
    good: bool  # nothing needs attention
    # records that were looked for in the destination
    arrived: int
    missing: int
    skipped: int
    failed: int
    # rows that were written
    created: int
    updated: int
    unchanged: int
    adopted: int
    deleted: int
    need_attention: int  # records that need a person, as the report lists them
    # of what it lists: the same only where nothing of that has changed
    attention_digest: str
    # of them, object and key of records without a finding: missing, failed, fields lost or changed
    troubled: tuple[tuple[str, str], ...]
    # fields of arrived records that the destination does not hold
    lost_in_arrived: int
    fields: Mapping[str, int]  # how many fields are in which state
    objects: tuple[ObjectResult, ...]  # () where nothing was to be written
    # attention or note: object, key, stage, field, text
    findings: tuple[Finding, ...]
    notices: tuple[str, ...]  # what people should read once
    plan: Plan | None  # what was carried out; None for a verification
    files: Mapping[str, Path]  # the report that was left: html, json, csv

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: 0, or 1 where something needs attention."""
        return DONE if self.good else ATTENTION


@dataclass(frozen=True, slots=True)
class Kept:
    """A write that was not taken back, and why."""

    object: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """What a rollback did, or with `dry_run` would do."""

    run: int
    undone: int
    kept: tuple[Kept, ...]
    failed: tuple[Kept, ...]
    would: Mapping[str, int]  # of a dry run: how many rows for each action
    cost: float
    cost_unit: str
    there_before: int = 0  # rows that were there before the migration, and stay

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: 0, or 1 where something was kept or failed."""
        return ATTENTION if self.kept or self.failed else DONE


def run_result(
    run: Run, result: Result, report: Mapping[str, Any]
) -> RunResult:
    """The figures of a run, taken from its report."""
    verdict = {**dict.fromkeys(WRITTEN, 0), **report["verdict"]}
    fields = MappingProxyType(verdict.pop("fields"))
    good = verdict.pop("state") == "good"
    for word in ("not_taken", "skipped_standing"):
        verdict.pop(word, None)
    del verdict["changed"]
    files = {kind: Path(path) for kind, path in report["files"].items()}
    waiting = attention(report)
    told = {about(item) for item in report["findings"]}
    return RunResult(
        run=run.id,
        command=report["command"],
        good=good,
        attention_digest=digest(sorted(waiting)),
        troubled=tuple(
            (name, key) for name, key, _ in waiting if (name, key) not in told
        ),
        fields=fields,
        objects=tuple(_object(item) for item in result.loaded),
        findings=tuple(Finding(**item) for item in report["findings"]),
        notices=tuple(report["notices"]),
        plan=result.plan,
        files=MappingProxyType(files),
        **verdict,
    )


def _object(loaded: Loaded) -> ObjectResult:
    """The counts; the reasons are in the findings."""
    counts = structs.asdict(loaded)
    del counts["reasons"]
    return ObjectResult(**counts)


def rollback_result(run: Run, undone: RolledBack) -> RollbackResult:
    """A rollback's result, frozen."""
    return RollbackResult(
        run.id,
        undone.undone,
        tuple(Kept(*item) for item in undone.kept),
        tuple(Kept(*item) for item in undone.failed),
        MappingProxyType(dict(undone.would)),
        undone.cost,
        run.migration.destination.cost_unit,
        undone.there_before,
    )
