"""`etl connector`: what helps with connector files."""

from __future__ import annotations

import click

from workbench.commands.connector_check import check_command
from workbench.commands.connector_new import new_command


@click.group("connector")
def connector_group() -> None:
    """Draft the description of a platform, and hold it against the server."""


connector_group.add_command(new_command)
connector_group.add_command(check_command)
