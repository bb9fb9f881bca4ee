"""`etl export`: everything a migration knows, as tables to take away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from engine.cli.opening import from_store
from engine.cli.options import Settings, common
from engine.errors import UsageError
from workbench.export import PEOPLE, export, filled, tables_of


@click.command("export")
@common
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to.",
)
def export_command(out: Path, **options: Any) -> None:
    """Write the audit log, people, failures and every object's records as CSV and one workbook."""
    settings = Settings(**options)
    with from_store(settings) as run:
        tables = tables_of(run)
        there = filled(tables)
        first = f"etl run {settings.spec} --sample --env {settings.environment}"
        if not there:
            raise UsageError(
                f"there is nothing to export yet: nothing was read or written – start with: {first}"
            )
        made = export(run, tables, out)
    if settings.as_json:
        click.echo(json.dumps({"files": [str(path) for path in made]}))
    else:
        click.echo(
            f"{len(made)} files in {out}; all tables together: {made[-1]}"
        )
        if there == [PEOPLE]:
            click.echo(
                f"only people are in them: no record was mapped yet – start with: {first}",
                err=True,
            )
