"""etl as a library: an open migration, with one method for each command.

The methods do what the commands of the same name do, on the same store, and ask the same gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine import pipeline
from engine.connector.auth import Accounts
from engine.connector.rate_limit import Clock
from engine.errors import UsageError
from engine.library import commands
from engine.library.gate import SHUT, Gate, keep_small
from engine.library.opening import Held, held, numbered
from engine.library.reports import last_report, leave_report
from engine.library.results import (
    RollbackResult,
    RunResult,
    rollback_result,
    run_result,
)
from engine.library.undone import leave_beside
from engine.plan.cost import Plan
from engine.rollback.undo import rollback
from engine.session import Log, Progress, Run, quiet, unheard


@contextmanager
def open(  # noqa: PLR0913
    spec: str | Path,
    *,
    environment: Literal["sandbox", "live"] | None = None,
    accounts: Accounts | None = None,
    store: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    gate: Gate = SHUT,
    progress: Progress = quiet,
    log: Log = unheard,
) -> Iterator[OpenMigration]:
    """A migration whose store is held and whose accounts are known, for a `with` block.

    `environment` is `sandbox`, the emulators on this machine, or `live`, accounts that variables
    name; it is `sandbox` where nothing is said, and always `live` where `accounts` are given.
    `store` is a file or an SQLAlchemy URL, by default that of the command line. `env` are the
    variables that spec and accounts name, by default those of the process over `.env`. `gate`
    is asked before a full run against live accounts; without one, nothing but samples is run.

    `progress(label, done, total)` hears how far a stage is, `log(event)` what happens; both are
    called in whichever thread is at work, and what they raise ends the run. Raises SpecError,
    UsageError and StoreError.
    """
    path, chosen = (
        Path(spec),
        environment or ("live" if accounts else "sandbox"),
    )
    if accounts and chosen == "sandbox":
        raise UsageError(
            "accounts passed to `open` are always live – omit `environment`"
        )
    with held(
        path,
        chosen,
        str(store) if store is not None else None,
        accounts=accounts,
        env=env,
        clock=clock,
        progress=progress,
        log=log,
    ) as found:
        yield OpenMigration(found, gate)


@dataclass(frozen=True, slots=True)
class OpenMigration:
    """A migration that is open; its methods are called one after the other.

    Each is a run with a number in the store, is safe to repeat, and raises EtlError where it
    cannot go on; what was done until then is saved.
    """

    _held: Held
    _gate: Gate

    @property
    def name(self) -> str:
        """The migration's name."""
        return self._held.migration.spec.name

    @property
    def environment(self) -> str:
        """`sandbox` or `live`."""
        return self._held.environment

    @property
    def sample_size(self) -> int:
        """How many records the spec wants in a sample."""
        return self._held.migration.spec.sample.records

    def plan(self, sample: int | None = None, *, refresh: bool = False) -> Plan:
        """What a run would do, with its calls, cost and time; the destination is only read.

        `sample` is about how many records are looked at; None is everything.
        """
        _check(sample)
        with numbered(self._held, "plan", refresh=refresh) as run:
            found = pipeline.preview(run, sample, details=False).plan
            assert found is not None
            return found

    def run(
        self,
        sample: int | None = None,
        *,
        yes: bool = False,
        refresh: bool = False,
        wait: bool = False,
        remake_fields: bool = False,
    ) -> RunResult:
        """Plan, write, read back and compare.

        With `yes` a surprising plan is carried out; with `wait` a spent day is waited for, where
        QuotaExhausted would be raised; the other words mean what the options of `etl run` mean.
        """
        _check(sample)
        keep_small(self._held.spec, self._held.environment, sample)
        command = "run" if sample is None else "run --sample"

        def migrate(run: Run) -> pipeline.Result:
            return pipeline.migrate(run, sample, yes, remake=remake_fields)

        return self._carried_out(
            command, migrate, sample is None, wait, refresh
        )

    def delta(
        self,
        *,
        deletions: bool = False,
        yes: bool = False,
        wait: bool = False,
        remake_fields: bool = False,
    ) -> RunResult:
        """Bring over what has changed in the source or in the spec since the last run.

        With `deletions` rows that were deleted in the source are looked for, too.
        """

        def change(run: Run) -> pipeline.Result:
            return commands.delta(run, yes, deletions, remake_fields)

        return self._carried_out("run --delta", change, wait=wait)

    def retry_failed(
        self, *, yes: bool = False, wait: bool = False
    ) -> RunResult:
        """Retry only the records that failed; the source is not read.

        With `yes` also creations that may have made a row, though nobody knows which.
        """

        def retry(run: Run) -> pipeline.Result:
            return commands.retry_failed(run, yes)

        return self._carried_out(commands.RETRY, retry, wait=wait)

    def verify(self) -> RunResult:
        """Read the destination back and compare it with what was wanted, field by field."""
        spec, environment = self._held.spec, self._held.environment

        def compare(run: Run) -> pipeline.Result:
            return commands.verify(run, spec, environment)

        return self._carried_out("verify", compare, full=False)

    def rollback(
        self,
        of_run: int | None = None,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> RollbackResult:
        """Take back everything, or what one run did; nobody is asked.

        Rows that people have touched stay, unless `force` takes them, too. With `dry_run`
        nothing is changed, and `would` says what were. What stayed, and why, stands in
        `rollback.html`, `.json` and `.csv` beside the report of the last run.
        """
        command = commands.rollback_command(of_run, dry_run)
        with numbered(self._held, command) as run:
            spec, environment = self._held.spec, self._held.environment
            commands.ready_to_undo(run, of_run, spec, environment)
            result = rollback_result(run, rollback(run, of_run, force, dry_run))
            if not dry_run:
                leave_beside(run, result, environment, command)
            return result

    def report(self) -> Mapping[str, Any]:
        """The whole report of the last run, delta or verification, record by record.

        Its shape is schemas/report.schema.json; `RunResult.files` says where it lies.
        """
        held = self._held
        report: Mapping[str, Any] = last_report(
            held.store, self.name, held.environment, held.spec
        )
        return report

    def _carried_out(
        self,
        command: str,
        work: Callable[[Run], pipeline.Result],
        full: bool = True,
        wait: bool = False,
        refresh: bool = False,
    ) -> RunResult:
        """A numbered run that leaves a report; a full one on live accounts has to be admitted."""
        held = self._held
        if full and held.environment == "live":
            self._gate.admit(held.migration, held.spec, held.place)
        with numbered(held, command, wait=wait, refresh=refresh) as run:
            result = work(run)
            report = leave_report(
                run, result, command, held.environment, self._gate
            )
            return run_result(run, result, report)


def _check(sample: object) -> None:
    """Raise UsageError for what is no number of records: programs without types pass anything."""
    if sample is None:
        return
    if isinstance(sample, bool) or not isinstance(sample, int) or sample < 1:
        raise UsageError(
            f"sample={sample!r:.60}: give a whole number of records, 1 at least, or None for"
            " everything"
        )
