"""`etl report`: the report of the last run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from engine.cli.environment import variables
from engine.cli.options import machine
from engine.errors import UsageError
from engine.language.compile import load_migration
from engine.library.commands import is_taken_back
from engine.library.undone import REPORT
from engine.report import terminal
from engine.report.page import write_html
from engine.store.journal import all_runs
from workbench.commands.options import from_environment, stored
from workbench.staged import staged

# one of which is set where a browser has somewhere to open
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
SOON = 5.0  # seconds after which an opener that has not given up has opened something


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
    folder, is_taken_back = _of_store(
        spec, options["store"], options["environment"]
    )
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
    if is_taken_back:
        page = folder / f"{REPORT}.html"
        where = f"; the last rollback's page: {page}" if page.exists() else ""
        click.echo(
            f"a rollback has taken this back since; etl status {spec} tells what stayed{where}",
            err=True,
        )
    if opens and not _opened(files["html"]):
        click.echo(
            f"no browser could be opened here; the page is {files['html'].resolve()}",
            err=True,
        )


def _opened(page: Path) -> bool:
    """Whether the page could be shown; what the desktop's own opener says of it helps nobody."""
    if sys.platform in ("darwin", "win32"):
        return click.launch(str(page)) == 0
    opener = shutil.which("xdg-open")
    if opener is None or not any(map(os.environ.get, SCREENS)):
        return False
    quiet = subprocess.DEVNULL
    started = subprocess.Popen(
        [opener, str(page)],
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    )
    try:
        return started.wait(timeout=SOON) == 0
    except subprocess.TimeoutExpired:
        return True  # a browser that it has become


def _of_store(
    spec: Path, store: str | None, environment: str
) -> tuple[Path, bool]:
    """Where the runs of a store leave their reports, and whether the last was taken back."""
    migration = load_migration(spec, variables())
    folder, is_gone = Path("var"), False
    with staged(migration, store or environment) as kept:
        if kept:
            folder = kept.folder
            with kept.begin() as connection:
                is_gone = is_taken_back(connection, all_runs(connection))
    name = f"{migration.spec.name}.{environment}.report"
    return folder / name, is_gone
