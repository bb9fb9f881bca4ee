"""`etl docs`: the mapping as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.environment import variables
from engine.errors import UsageError
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
    help="Default: by the ending of the file; html where it has none.",
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
    style = style or _style_of(out)
    migration = load_migration(spec, variables())
    with staged(migration, options["store"] or options["environment"]) as kept:
        if kept is None:
            document = manual(migration, None, masked=not examples)
        else:
            with runs(kept, migration) as (run,):
                document = manual(migration, run, masked=not examples)
    private(out).write_text(
        as_markdown(document) if style == "md" else as_page(document),
        encoding="utf-8",
        newline="\n",
    )
    click.echo(
        f"{out}: {len(document.chapters)} kinds of records,"
        f" {sum(len(item.rows) for item in document.chapters)} fields"
    )


def _style_of(out: Path) -> str:
    """The format that the ending of a file stands for; raises UsageError for others."""
    styles = {".md": "md", ".html": "html", ".htm": "html", "": "html"}
    if out.suffix.lower() not in styles:
        raise UsageError(
            f"--out {out}: {out.suffix} files cannot be written – choose .html or .md, or say"
            " --format html or --format md; a browser prints the page as PDF"
        )
    return styles[out.suffix.lower()]
