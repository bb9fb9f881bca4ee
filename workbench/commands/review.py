"""`etl review`: what a change of mappings is, as one comment for those who review it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from workbench.commands.options import from_environment, stored
from workbench.review.comment import discussion, write
from workbench.review.make import as_comment, review, specs_of


@click.command("review")
@click.argument(
    "specs", metavar="[SPEC]...", nargs=-1, type=click.Path(path_type=Path)
)
@click.option(
    "--base",
    metavar="REV",
    required=True,
    help="The branch that the change is to go into, such as origin/main.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the comment to this file.",
)
@click.option(
    "--comment",
    is_flag=True,
    help="Write it on the change that this job of GitHub or GitLab runs for; one comment, updated.",
)
@from_environment
@stored
def review_command(
    specs: Sequence[Path],
    base: str,
    out: Path | None,
    comment: bool,
    **options: Any,
) -> None:
    """Check, test and compare specs with where a change began, as one comment for its review.

    Without SPEC, all in specs/. Ends with 1 where cases fail, with 2 where a spec is wrong.
    """
    where = discussion(os.environ) if comment else None
    chosen = list(specs) or specs_of(Path("specs"))
    found = review(chosen, base, options["store"] or options["environment"])
    text = as_comment(found)
    click.echo(text)
    if out:
        out.write_text(text, encoding="utf-8", newline="\n")
    if where:
        click.echo(write(text, where), err=True)
    sys.exit(max(one.code for one in found))
