"""`etl connector`: what helps with connector files."""

from __future__ import annotations

import click

from engine.cli.commands import Later


@click.group("connector")
def connector_group() -> None:
    """Draft a connector, and check it against the server."""


connector_group.add_command(
    Later(
        "new",
        f"{__package__}.connector_new:new_command",
        "Draft a connector from an OpenAPI document (Swagger 2.0, OpenAPI 3.0, 3.1);"
        " refuses to overwrite. Does not call the API.",
    )
)
connector_group.add_command(
    Later(
        "check",
        f"{__package__}.connector_check:check_command",
        "Try what a connector declares against the live server, and say what the server"
        " contradicts. Reads only, without --write.",
    )
)
