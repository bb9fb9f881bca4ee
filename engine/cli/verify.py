"""`etl verify`."""

from __future__ import annotations

import sys
from typing import Any

import click

from engine.cli.log import logged
from engine.cli.opening import opened
from engine.cli.options import Settings, common
from engine.cli.reports import report_of, show
from engine.library import commands


@click.command()
@common
@logged
def verify(**options: Any) -> None:
    """Read the destination back and compare it with what was wanted, field by field."""
    settings = Settings(**options)
    with opened(settings, "verify") as run:
        result = commands.verify(run, settings.spec, settings.environment)
        told = report_of(run, result, "verify", settings)
    sys.exit(show(told, settings))
