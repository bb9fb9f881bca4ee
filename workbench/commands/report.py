"""`etl report`: the report of the last run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from engine.cli.environment import variables
from engine.cli.options import machine
from engine.errors import UsageError
from engine.language.compile import load_migration
from engine.report import terminal
from engine.report.page import write_html
from workbench.commands.options import from_environment, stored
from workbench.staged import staged


@click.command("report")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--open", "opens", is_flag=True, help="Open the page in your browser."
)
@from_environment
@stored
@machine
def report_command(spec: Path, opens: bool, **options: Any) -> None:
    """Show the report of the last run, and where its page is. Makes no call."""
    folder = _folder(spec, options["store"], options["environment"])
    files = {
        kind: folder / f"report.{kind}" for kind in ("html", "json", "csv")
    }
    if not files["json"].exists():
        raise UsageError(
            f"there is no report in {folder} yet – start with: etl run {spec} --sample"
        )
    report = json.loads(files["json"].read_text(encoding="utf-8"))
    write_html(report, files["html"])
    if options["as_json"]:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        terminal.show(
            report, Console(), {kind: str(path) for kind, path in files.items()}
        )
    if opens:
        click.launch(str(files["html"]))


def _folder(spec: Path, store: str | None, environment: str) -> Path:
    """Where the runs of a store leave their reports."""
    migration = load_migration(spec, variables())
    with staged(migration, store or environment) as kept:
        folder = kept.folder if kept else Path("var")
    return folder / f"{migration.spec.name}.{environment}.report"
