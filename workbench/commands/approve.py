"""`etl approve`: a person has looked at the sample."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from engine.cli.environment import variables
from engine.cli.options import machine
from engine.connector.rate_limit import Clock
from engine.errors import UnsafePlan
from engine.language.compile import load_migration
from workbench.approval import Approval, approval_path, approve
from workbench.commands.options import from_environment, stored
from workbench.staged import staged


@click.command("approve")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--by",
    required=True,
    metavar="NAME",
    help="Who looked at the sample and approves.",
)
@click.option(
    "--despite",
    default="",
    metavar="REASON",
    help="Why to approve though cases of `etl test` fail; kept in the approval.",
)
@from_environment
@stored
@machine
def approve_command(
    spec: Path,
    by: str,
    despite: str,
    environment: str,
    store: str | None,
    as_json: bool,
) -> None:
    """Approve a mapping whose sample was looked at; the full run against live asks for it."""
    migration = load_migration(spec, variables())
    with staged(migration, store or environment) as kept:
        if kept is None:
            start = f"etl run {spec} --env {environment} --sample"
            raise UnsafePlan(
                f"no sample of this mapping has been run here – start with: {start}"
            )
        made = approve(
            migration,
            spec,
            kept,
            environment=environment,
            by=by,
            now=Clock().now(),
            despite=despite,
        )
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made), ensure_ascii=False))
        return
    click.echo(
        f"{approval_path(spec)}: {made.by} approves {made.digest[:8]} on sample run"
        f" {made.run} ({made.environment})"
    )
    click.echo(_of_tests(made))
    click.echo("commit it with the spec; an edit that changes data voids it")


def _of_tests(made: Approval) -> str:
    """What the cases beside the spec say of the mapping."""
    if not made.tests:
        return "no test cases stand beside the spec: etl test has seen nothing of it"
    passed, failed = made.tests["passed"], made.tests["failed"]
    despite = f"; approved despite that: {made.despite}" if failed else ""
    return f"test cases: {passed} passed, {failed} failed{despite}"
