"""`etl test`: run the cases beside a spec, or write one from a staged record."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from engine.cli.environment import variables
from engine.cli.options import machine
from engine.errors import ATTENTION, DONE, UsageError
from engine.language.compile import Migration, load_migration
from workbench.cases import text
from workbench.cases.capture import captured
from workbench.cases.coverage import coverage
from workbench.cases.run import cases_path, load_cases, run_cases
from workbench.commands.options import from_environment, stored
from workbench.editors import beside
from workbench.staged import runs, staged
from workbench.writing import append


@click.command("test")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--capture",
    nargs=2,
    metavar="OBJECT ID",
    help="Add a case from this staged record, personal data replaced.",
)
@from_environment
@stored
@machine
def test_command(
    spec: Path,
    capture: tuple[str, str] | None,
    environment: str,
    store: str | None,
    as_json: bool,
) -> None:
    """Run the cases beside SPEC (NAME.test.yaml): records in, drafts out, in memory."""
    migration = load_migration(spec, variables())
    path = cases_path(spec)
    if capture:
        _capture(migration, path, capture, store or environment)
    if not path.exists():
        raise UsageError(
            f"there are no cases: {path} – write some, or: etl test {spec} --capture OBJECT ID"
        )
    document, cases = load_cases(path, migration)
    tested = run_cases(document, cases)
    covered = coverage(migration.spec, tested.seen)
    if as_json:
        click.echo(
            json.dumps(text.as_data(tested, covered), ensure_ascii=False)
        )
    else:
        click.echo("\n".join(text.as_lines(tested, covered)))
    sys.exit(ATTENTION if tested.failures else DONE)


def _capture(
    migration: Migration, path: Path, which: tuple[str, str], store: str
) -> None:
    with staged(migration, store) as kept:
        if kept is None:
            raise UsageError(
                "nothing is staged yet – etl audit SPEC reads the source"
            )
        with runs(kept, migration) as (run,):
            append(
                path,
                "cases",
                [captured(run, *which)],
                beside(path.parent, "cases"),
            )
