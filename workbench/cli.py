"""`etl`: the engine's commands and the workbench's as one program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import commands as engine
from engine.cli.commands import Later
from engine.cli.main import main as start
from engine.library.gate import Gate

if TYPE_CHECKING:  # nothing of a run is needed to begin with
    from engine.language.compile import Migration
    from engine.session import Run

# what the name of a package beside this one begins with
_BESIDE = __name__.removesuffix(".cli").removesuffix("workbench")
FLEET = Later(
    "fleet",
    f"{_BESIDE}fleet.cli:fleet_group",
    "Many migrations on many machines, over one PostgreSQL.",
)
COMMANDS = (
    Later(
        "init",
        f"{__package__}.commands.init:init_command",
        "Begin a project: a folder with a first spec and its cases, ready for git; in one that has"
        " specs, add a spec. Nothing is overwritten.",
    ),
    Later(
        "propose",
        f"{__package__}.commands.propose:propose_command",
        "Propose a mapping from staged records and both connectors; makes no call,"
        " unless asked to read.",
    ),
    Later(
        "validate",
        f"{__package__}.commands.validate:validate_command",
        "Check specs, their connectors and templates; every problem at once.",
    ),
    Later(
        "upgrade",
        f"{__package__}.commands.upgrade:upgrade_command",
        "Rewrite keys that have another name now, in specs and in the connectors of their"
        " projects.",
    ),
    Later(
        "test",
        f"{__package__}.commands.test:test_command",
        "Run the cases beside SPEC (NAME.test.yaml): records in, drafts out, in memory.",
    ),
    Later(
        "diff",
        f"{__package__}.commands.diff:diff_command",
        "What changed between OLD and NEW in meaning, and what it does to the staged"
        " data. Makes no call.",
    ),
    Later(
        "review",
        f"{__package__}.commands.review:review_command",
        "Check, test and compare specs with where a change began, as one comment for its review.",
    ),
    Later(
        "approve",
        f"{__package__}.commands.approve:approve_command",
        "Approve a mapping whose sample was looked at; the full run against live asks for it.",
    ),
    Later(
        "report",
        f"{__package__}.commands.report:report_command",
        "Show the report of the last run, and where its page is. Makes no call.",
    ),
    Later(
        "export",
        f"{__package__}.commands.export:export_command",
        "Write the audit log, people, failures and every object's records as CSV and one workbook.",
    ),
    Later(
        "docs",
        f"{__package__}.commands.docs:docs_command",
        "Write the mapping as a document that a customer reads and signs. Makes no call.",
    ),
    Later(
        "connector",
        f"{__package__}.commands.connector:connector_group",
        "Draft a connector, and check it against the server.",
    ),
    FLEET,
    Later(
        "completion",
        f"{__package__}.commands.completion:completion_command",
        "Print the script that completes commands, options and files in your shell.",
    ),
)
SANDBOX = Later(
    "sandbox",
    f"{_BESIDE}sandbox.cli:sandbox",
    "Local emulators of the platforms that records are moved between.",
)


def etl() -> click.Group:
    """All commands."""
    return engine.group([*engine.COMMANDS, *COMMANDS, SANDBOX])


def _admit(migration: Migration, spec: Path, store: str | None) -> None:
    from workbench.approval import APPROVALS

    APPROVALS.admit(migration, spec, store)


def _ended(run: Run, verdict: Mapping[str, Any]) -> str | None:
    from workbench.approval import APPROVALS

    return APPROVALS.ended(run, verdict)


def main() -> None:
    """Start `etl`; a full run against live accounts asks for an approval."""
    start(etl(), Gate(_admit, _ended))
