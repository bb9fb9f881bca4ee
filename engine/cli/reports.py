"""The reports a run leaves behind, and what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from engine.cli.gate import gate_of_program
from engine.cli.options import Settings
from engine.cli.screen import print_result
from engine.errors import ATTENTION, DONE, UsageError
from engine.library.reports import FORMATS, leave_report
from engine.pipeline import Result
from engine.report import terminal
from engine.session import Run


def report_of(
    run: Run, result: Result, command: str, settings: Settings
) -> dict[str, Any]:
    """Write every format of the report; returns what to show once the run has ended."""
    return leave_report(
        run, result, command, settings.environment, gate_of_program()
    )


def show(report: Mapping[str, Any], settings: Settings) -> int:
    """Print a report; returns the exit code for its verdict. Raises UsageError where one of its
    files was not written.
    """

    def on_screen(report: Mapping[str, Any], console: Console) -> None:
        terminal.show(report, console, report["files"])

    print_result(settings.as_json, report, on_screen)
    if len(report["files"]) < len(FORMATS):
        raise UsageError(
            "the run is complete and saved, but its report could not be written – free"
            " some space, then: etl verify SPEC"
        )
    return DONE if report["verdict"]["state"] == "good" else ATTENTION
