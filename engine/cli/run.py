"""`etl run`."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from engine import pipeline as stages
from engine.cli.log import logged
from engine.cli.opening import opened, size_of
from engine.cli.options import Settings, common, interval, sampled, until
from engine.cli.reports import report_of, show
from engine.cli.screen import Screen, printing
from engine.cli.streams import say
from engine.errors import (
    OutcomeUnknown,
    QuotaExhausted,
    StoreError,
    Unavailable,
    UsageError,
)
from engine.library.commands import RETRY, delta, retry_failed
from engine.library.gate import keep_small
from engine.report import screens
from engine.session import Run

# what a repeated delta may not meet the next time
PASSING = (Unavailable, OutcomeUnknown, QuotaExhausted, StoreError)
# options that make a Choice
_CHOSEN = (
    "yes",
    "changes",
    "deletions",
    "until",
    "every",
    "failed",
    "remake_fields",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What `etl run` is asked to do."""

    yes: bool
    changes: bool
    deletions: bool
    until: str | None
    every: str | None
    failed: bool
    remake_fields: bool

    def check(self, size: int | None) -> None:
        """Refuse options that contradict each other."""
        if sum((size is not None, self.changes, self.failed)) > 1:
            raise UsageError(
                "--sample, --delta and --failed exclude each other – give one of them"
            )
        if (self.every or self.deletions) and not self.changes:
            raise UsageError("--every and --deletions require --delta")
        if self.until and not self.every:
            raise UsageError("--until requires --every")
        if self.remake_fields and self.failed:
            raise UsageError(
                "--remake-fields and --failed exclude each other – give one of them"
            )

    def command(self, size: int | None) -> str:
        """The command as the store remembers it."""
        if self.changes:
            return "run --delta"
        if self.failed:
            return RETRY
        return "run" if size is None else "run --sample"


@click.command()
@common
@logged
@sampled
@click.option(
    "--refresh", is_flag=True, help="Read the source again from the start."
)
@click.option(
    "--yes",
    is_flag=True,
    help="Carry out a plan even where it is refused as surprising; with --failed, also send what"
    " may have made a row.",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait when a day's quota is spent, instead of ending with code 75.",
)
@click.option(
    "--delta",
    "changes",
    is_flag=True,
    help="Bring over what changed in the source or in the spec since the last run.",
)
@click.option(
    "--deletions",
    is_flag=True,
    help="With --delta: also look for rows deleted in the source (reads every list).",
)
@click.option(
    "--until",
    metavar="TIME",
    help="With --every: stop repeating at this time (ISO 8601, UTC).",
)
@click.option(
    "--every",
    metavar="15m",
    help="With --delta: repeat at this interval (s, m or h).",
)
@click.option(
    "--failed",
    is_flag=True,
    help="Retry only the records that failed, but for those that may have made a row.",
)
@click.option(
    "--remake-fields",
    is_flag=True,
    help="Recreate custom fields that people have deleted, and fill them.",
)
def run(size: int | None, refresh: bool, wait: bool, **options: Any) -> None:
    """Migrate: audit, provision, extract, transform, load, verify. Safe to repeat."""
    choice = Choice(**{name: options.pop(name) for name in _CHOSEN})
    choice.check(size)
    settings = Settings(**options)
    command = choice.command(size)
    pause, end = interval(choice.every), until(choice.until)
    while True:
        wanted = time.time() + pause
        try:
            with opened(
                settings, command, wait, refresh, full=size is None
            ) as run:
                keep_small(
                    settings.spec, settings.environment, size_of(size, run)
                )
                result = _work(run, choice, size, settings.as_json)
                report = report_of(run, result, command, settings)
            code = show(report, settings)
        except PASSING as error:
            if not pause:
                raise
            code, wanted = (
                error.exit_code,
                max(wanted, getattr(error, "until", 0.0)),
            )
            say(f"{error}; retrying at {screens.moment(wanted)} UTC")
        if not pause or (end and wanted > end):
            break
        time.sleep(max(0.0, wanted - time.time()))
    sys.exit(code)


def _work(
    run: Run, choice: Choice, size: int | None, quietly: bool
) -> stages.Result:
    if choice.changes:
        return delta(run, choice.yes, choice.deletions, choice.remake_fields)
    if choice.failed:
        return retry_failed(run, choice.yes)

    def announce(found: stages.Result) -> None:
        if found.audit and found.plan and not quietly:
            with printing():
                screens.show_announcement(
                    found.audit, found.plan, Screen(stderr=True)
                )

    return stages.migrate(
        run, size_of(size, run), choice.yes, announce, choice.remake_fields
    )
