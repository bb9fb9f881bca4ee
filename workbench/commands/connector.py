"""`etl connector`: what helps with connector files."""

from __future__ import annotations

import click

from workbench.commands.connector_check import check_command


@click.group("connector")
def connector_group() -> None:
    """Work on the description of a platform."""


connector_group.add_command(check_command)
