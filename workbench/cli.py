"""`etl`: the engine's commands and the workbench's as one program."""

from __future__ import annotations

import click

from engine import cli as engine
from workbench.commands.approve import GATE, approve_command
from workbench.commands.completion import completion_command
from workbench.commands.connector import connector_group
from workbench.commands.diff import diff_command
from workbench.commands.docs import docs_command
from workbench.commands.export import export_command
from workbench.commands.init import init_command
from workbench.commands.propose import propose_command
from workbench.commands.report import report_command
from workbench.commands.test import test_command
from workbench.commands.validate import validate_command

COMMANDS: tuple[click.Command, ...] = (
    init_command,
    propose_command,
    validate_command,
    test_command,
    diff_command,
    approve_command,
    report_command,
    export_command,
    docs_command,
    connector_group,
    completion_command,
)


def etl() -> click.Group:
    """Every command there is."""
    for command in (*COMMANDS, *_emulators()):
        engine.cli.add_command(command)
    return engine.cli


def _emulators() -> list[click.Command]:
    """The sandbox's commands, where it is installed."""
    try:
        from sandbox.cli import sandbox
    except ImportError:
        return []
    return [sandbox]


def main() -> None:
    """Start `etl`; a full run against live accounts asks for an approval."""
    etl()
    engine.main(GATE)
