"""`etl diff`: what a change means and what it does to the staged data."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.cli.environment import variables
from engine.cli.options import as_json
from engine.errors import UsageError
from engine.language.compile import load_migration
from engine.store.journal import all_runs
from engine.store.records import all_cursors
from engine.store.tables import Store
from workbench.commands.options import from_environment, stored
from workbench.diff.differences import Difference, differences
from workbench.diff.effect import effect
from workbench.diff.renamed import in_old_names, renamed
from workbench.diff.revision import at_revision
from workbench.diff.text import Compared, as_data, as_lines, as_markdown
from workbench.meaning import STEPS_FOLDER, parts
from workbench.staged import runs, staged


@click.command("diff")
@click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--git",
    "revision",
    metavar="REV",
    help="Compare SPEC with itself as it stood at this commit, branch or tag.",
)
@from_environment
@stored
@click.option(
    "--format",
    "style",
    type=click.Choice(["terminal", "markdown", "json"]),
    default="terminal",
    show_default=True,
    help="Lines, a comment for a review, or the same as --json.",
)
@as_json
@click.option(
    "--exit-code",
    "by_code",
    is_flag=True,
    help="End with 1 where the change touches data, with 0 where it does not.",
)
def diff_command(
    specs: tuple[Path, ...],
    revision: str | None,
    style: str,
    by_code: bool,
    **options: Any,
) -> None:
    """What changed between OLD and NEW in meaning, and what it does to the staged data. Makes no
    call.
    """
    if len(specs) != (1 if revision else 2):
        raise UsageError(
            "compare two files (etl diff OLD NEW) or one with its past (etl diff --git REV SPEC)"
        )
    with ExitStack() as stack:
        old, steps = specs[0], STEPS_FOLDER
        if revision:
            old, steps = at_revision(
                specs[0],
                revision,
                # a folder in it, for nothing beside the files of the revision is read
                Path(stack.enter_context(tempfile.TemporaryDirectory()))
                / "revision",
            )
        name = f"{revision}:{specs[0].name}" if revision else specs[0].name
        compared = _compared(
            (name, old, steps),
            specs[-1],
            options["store"] or options["environment"],
        )
    if options["as_json"] or style == "json":
        click.echo(json.dumps(as_data(compared), ensure_ascii=False))
    else:
        click.echo(
            "\n".join(
                as_markdown(compared)
                if style == "markdown"
                else as_lines(compared)
            )
        )
    if by_code and any(item.weight != "none" for item in compared.differences):
        sys.exit(1)


def _compared(
    before: tuple[str, Path, Path], after: Path, store: str
) -> Compared:
    """Load both specs, compare them, and map what is staged under both."""
    name, path, steps = before
    env = variables()
    old, new = load_migration(path, env), load_migration(after, env)
    names = renamed(old.spec, new.spec)
    new = in_old_names(new, names)
    found = differences(parts(old, steps), parts(new))
    differing = [*names.in_new_names(found), *names.differences()]
    with staged(new, store) as kept:
        if kept is None:
            return Compared(name, after.name, differing, None)
        with runs(kept, old, new) as (first, second):
            effects = names.effects_in_new_names(effect(first, second, found))
            return Compared(
                name, after.name, differing, effects, _notes(kept, found)
            )


def _notes(store: Store, found: Sequence[Difference]) -> list[str]:
    """What limits the numbers."""
    with store.begin() as connection:
        cursors = [
            item
            for item in all_cursors(connection).values()
            if not item.complete and not item.absent
        ]
        last = [
            row["command"]
            for row in all_runs(connection)
            if row["command"].startswith("run")
        ]
    notes = []
    partly = [
        item.collection
        for item in cursors
        if not item.collection.startswith(("#", "$"))
    ]
    if partly:
        notes.append(
            f"{', '.join(partly)}: only partly read; the numbers cover what is staged"
        )
    if last and last[-1] == "run --sample":
        notes.append(
            "so far only a sample was written; the next full run writes the rest"
        )
    if any(item.area == "users" for item in found):
        notes.append(
            "the people are matched anew by the next run: whom a changed fallback"
            " replaces is not in the numbers"
        )
    return notes
