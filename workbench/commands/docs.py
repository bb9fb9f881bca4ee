"""`etl docs`: the mapping as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.environment import variables
from engine.language.compile import load_migration
from engine.report.document import private
from workbench.commands.options import from_environment, stored
from workbench.manual.model import manual
from workbench.manual.page import as_page
from workbench.manual.text import as_markdown
from workbench.staged import runs, staged


@click.command("docs")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write to.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["md", "html"]),
    help="Default: by the ending of the file; html.",
)
@click.option(
    "--examples",
    is_flag=True,
    help="Show records as they are; without it letters and digits are masked.",
)
@from_environment
@stored
def docs_command(
    spec: Path, out: Path, style: str | None, examples: bool, **options: Any
) -> None:
    """Write the mapping as a document that a customer reads and signs. Makes no call."""
    migration = load_migration(spec, variables())
    with staged(migration, options["store"] or options["environment"]) as kept:
        if kept is None:
            document = manual(migration, None, masked=not examples)
        else:
            with runs(kept, migration) as (run,):
                document = manual(migration, run, masked=not examples)
    style = style or ("md" if out.suffix == ".md" else "html")
    private(out).write_text(
        as_markdown(document) if style == "md" else as_page(document),
        encoding="utf-8",
        newline="\n",
    )
    click.echo(
        f"{out}: {len(document.chapters)} kinds of records,"
        f" {sum(len(item.rows) for item in document.chapters)} fields"
    )
