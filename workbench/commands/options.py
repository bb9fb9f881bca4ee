"""Options and arguments that the commands of the workbench share."""

from __future__ import annotations

from pathlib import Path

import click

several_specs = click.argument(
    "specs",
    metavar="SPEC...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
from_environment = click.option(
    "--env",
    "environment",
    type=click.Choice(["sandbox", "live"]),
    default="sandbox",
    show_default=True,
    help="Whose staged records to look at.",
)
stored = click.option(
    "--store", help="SQLAlchemy URL or file; default var/MIGRATION.ENV.sqlite."
)
