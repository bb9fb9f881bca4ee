"""The analyst's commands: test a mapping, see what a change does, approve it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from engine.connector.client import Account
from engine.connector.pacing import Clock
from engine.document import append
from engine.environment import variables
from engine.errors import ATTENTION, DONE, Diagnostic, UnsafePlan, UsageError
from engine.review import testtext
from engine.review.approval import approval_path, approve, demand
from engine.review.capture import captured
from engine.review.cases import cases_path, load_cases, run_cases
from engine.review.coverage import coverage
from engine.review.difftext import Compared, as_data, as_lines, as_markdown
from engine.review.effect import effect
from engine.review.excerpt import excerpt, places
from engine.review.revision import at_revision
from engine.review.specdiff import Difference, differences, migration_parts
from engine.run import Run, connect
from engine.spec.load import Migration, load_migration
from engine.spec.meaning import STEPS_FOLDER
from engine.store.journal import all_runs
from engine.store.records import all_cursors
from engine.store.schema import Store, open_store

from_environment = click.option(
    "--env", "environment", type=click.Choice(["sandbox", "live"]), default="sandbox", show_default=True,
    help="Whose staged records to look at.",
)  # fmt: skip
stored = click.option("--store", help="SQLAlchemy URL or file; default var/MIGRATION.ENV.sqlite.")
machine = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")


@click.command("diff")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--git", "revision", metavar="REV", help="Compare SPEC with itself as it stood at this commit, branch or tag.")
@from_environment
@stored
@click.option("--format", "style", type=click.Choice(["terminal", "markdown"]), default="terminal", show_default=True,
              help="Lines, or a comment for a review.")  # fmt: skip
@machine
def diff_command(specs: tuple[Path, ...], revision: str | None, style: str, **options: Any) -> None:
    """What changed between OLD and NEW in meaning, and what it does to the staged data. Makes no call."""
    if len(specs) != (1 if revision else 2):
        raise UsageError("compare two files (etl diff OLD NEW) or one with its past (etl diff --git REV SPEC)")
    with ExitStack() as stack:
        old, steps = specs[0], STEPS_FOLDER
        if revision:
            old, steps = at_revision(specs[0], revision, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        name = f"{revision}:{specs[0].name}" if revision else specs[0].name
        compared = _compared((name, old, steps), specs[-1], options["store"] or options["environment"])
    if options["as_json"]:
        click.echo(json.dumps(as_data(compared), ensure_ascii=False))
    else:
        click.echo("\n".join(as_markdown(compared) if style == "markdown" else as_lines(compared)))


@click.command("test")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--capture", nargs=2, metavar="OBJECT ID", help="Add a case from this staged record, personal data replaced.")
@from_environment
@stored
@machine
def test_command(spec: Path, capture: tuple[str, str] | None, environment: str, store: str | None, as_json: bool) -> None:
    """Run the cases beside SPEC (NAME.test.yaml): records in, drafts out, in memory."""
    migration = load_migration(spec, variables())
    path = cases_path(spec)
    if capture:
        _capture(migration, path, capture, store or environment)
    if not path.exists():
        raise UsageError(f"there are no cases: {path} – write some, or: etl test {spec} --capture OBJECT ID")
    document, cases = load_cases(path, migration)
    tested = run_cases(document, cases, migration)
    covered = coverage(migration.spec, tested.seen)
    if as_json:
        click.echo(json.dumps(testtext.as_data(tested, covered), ensure_ascii=False))
    else:
        click.echo("\n".join(testtext.as_lines(tested, covered)))
    sys.exit(ATTENTION if tested.failures else DONE)


def _capture(migration: Migration, path: Path, which: tuple[str, str], store: str) -> None:
    with staged(migration, store) as kept:
        if kept is None:
            raise UsageError("nothing is staged yet – etl audit SPEC reads the source")
        with runs(kept, migration) as (run,):
            append(path, "cases", [captured(run, *which)], testtext.HEAD)


@click.command("approve")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--by", required=True, metavar="NAME", help="Who looked at the sample and approves.")
@from_environment
@stored
@machine
def approve_command(spec: Path, by: str, environment: str, store: str | None, as_json: bool) -> None:
    """Approve a mapping whose sample was looked at; the full run against live asks for it."""
    migration = load_migration(spec, variables())
    with staged(migration, store or environment) as kept:
        if kept is None:
            start = f"etl run {spec} --env {environment} --sample"
            raise UnsafePlan(f"no sample of this mapping has been run here – start with: {start}")
        made = approve(migration, spec, kept, environment=environment, by=by, now=Clock().now())
    if as_json:
        click.echo(json.dumps(asdict(made), ensure_ascii=False))
        return
    click.echo(f"{approval_path(spec)}: {made.by} approves {made.digest[:8]} on sample run {made.run} ({made.environment})")
    click.echo("commit it with the spec; an edit that changes data voids it")


def demand_approval(spec: Path, store: str | None) -> None:
    """Refuse to go on against live data unless this very mapping was approved."""
    migration = load_migration(spec, variables())
    with staged(migration, store or "live", make=True) as kept:
        assert kept is not None
        demand(migration, spec, kept)


def _compared(before: tuple[str, Path, Path], after: Path, store: str) -> Compared:
    """Load both specs, compare them, and map what is staged under both."""
    name, path, steps = before
    env = variables()
    old, new = load_migration(path, env), load_migration(after, env)
    found = differences(migration_parts(old, steps), migration_parts(new))
    with staged(new, store) as kept:
        if kept is None:
            return Compared(name, after.name, found, None)
        with runs(kept, old, new) as (first, second):
            return Compared(name, after.name, found, effect(first, second, found), _notes(kept, found))


def _notes(store: Store, found: Sequence[Difference]) -> list[str]:
    """What limits the numbers."""
    with store.begin() as connection:
        cursors = [item for item in all_cursors(connection).values() if not item.complete and not item.absent]
        last = [row["command"] for row in all_runs(connection) if row["command"].startswith("run")]
    notes = []
    partly = [item.collection for item in cursors if not item.collection.startswith(("#", "$"))]
    if partly:
        notes.append(f"{', '.join(partly)}: read only in part; the numbers are of what is staged")
    if last and last[-1] == "run --sample":
        notes.append("so far only a sample was written; the next full run writes the rest")
    if any(item.area == "users" for item in found):
        notes.append("the people are matched anew by the next run: whom a changed fallback replaces is not in the numbers")
    return notes


def show_problems(spec: Path, problems: Sequence[Diagnostic], objects: int, as_json: bool) -> int:
    """Print what is wrong with a spec, each with its line; the exit code it deserves."""
    wrong = any(item.severity == "error" for item in problems)
    if as_json:
        told = [places(item, spec.parent) for item in problems]
        click.echo(json.dumps({"valid": not wrong, "problems": told}, ensure_ascii=False))
    else:
        for item in problems:
            click.echo("\n".join(excerpt(item, spec.parent)), err=True)
        many = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        click.echo(many if wrong else f"{spec}: good; {objects} objects{', ' + many if problems else ''}", err=wrong)
    return 2 if wrong else DONE


@contextmanager
def staged(migration: Migration, store: str, make: bool = False) -> Iterator[Store | None]:
    """The store of an environment or at a place; None where there is none yet and none is to be made."""
    url = f"var/{migration.spec.name}.{store}.sqlite" if store in ("sandbox", "live") else store
    if not make and "://" not in url and not Path(url).exists():
        if store not in ("sandbox", "live"):
            raise UsageError(f"there is no store {url} – check the path")
        yield None
        return
    opened = open_store(url)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def runs(store: Store, *migrations: Migration) -> Iterator[list[Run]]:
    """Runs on one store that call nobody."""
    clock = Clock()
    made = []
    for migration in migrations:
        sides = ((migration.source, migration.spec.source), (migration.destination, migration.spec.destination))
        source, destination = (connect(item, side, Account(item.connection.base_url, ""), store, clock) for item, side in sides)
        made.append(Run(0, migration, store, source, destination, clock))
    try:
        yield made
    finally:
        for run in made:
            run.source.close()
            run.destination.close()


COMMANDS: Sequence[click.Command] = (test_command, diff_command, approve_command)


def add_to(group: Any) -> None:
    """Register the commands of this module."""
    for command in COMMANDS:
        group.add_command(command)
