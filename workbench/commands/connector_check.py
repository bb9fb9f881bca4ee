"""`etl connector check`: a connector checked against the server that it describes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec import structs
from rich.console import Console

from engine.cli.environment import named, variables
from engine.cli.screen import Declined
from engine.config.document import read
from engine.config.suggestions import suggest
from engine.connector.addressing import addressed
from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.load import load_connector
from engine.connector.model import Connector, Limit
from engine.connector.rate_limit import PATIENCE, Clock, RateLimiter
from engine.errors import (
    ATTENTION,
    DONE,
    QuotaExhausted,
    UnsafePlan,
    UsageError,
)
from engine.report import terminal
from engine.report.document import private
from engine.report.words import clean
from engine.store.tables import open_store
from workbench.connectors import found as connector_found
from workbench.excerpt import excerpt
from workbench.probe import report
from workbench.probe.bodies import given
from workbench.probe.check import AGAIN, Bound, Choice, bound, check
from workbench.probe.found import Declared, Finding
from workbench.probe.scene import Probe
from workbench.probe.tape import Tape

TRIES = 1  # a check does not wait for a server that gives no usable answer


@click.command("check")
@click.argument("connector", metavar="CONNECTOR")
@click.option(
    "--env",
    "env_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=(
        "File with the address and the key; default .env. The process environment goes before it."
    ),
)
@click.option(
    "--only", metavar="RESOURCE,...", help="Try only these resources."
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="How many rows of each list to look at.",
)
@click.option(
    "--write",
    "writes",
    is_flag=True,
    help=(
        "Also make, change and delete one marked row of each resource that can be deleted."
    ),
)
@click.option(
    "--with",
    "bodies",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --write: YAML with the fields of the rows, by resource.",
)
@click.option(
    "--yes", is_flag=True, help="With --write: do not ask for confirmation."
)
@click.option(
    "--wrong-key",
    is_flag=True,
    help=(
        "Also send one call with a key that is not good; some services lock an account for it."
    ),
)
@click.option(
    "--plan",
    help="The account's plan, for its limits; default: the connector's first.",
)
@click.option(
    "--seats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The account's seats, for its limits.",
)
@click.option(
    "--calls", type=click.IntRange(1), help="Make at most this many calls."
)
@click.option(
    "--store",
    help=(
        "SQLAlchemy URL or file that keeps what was spent; default var/CONNECTOR.check.sqlite."
    ),
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write everything to this file.",
)
def check_command(
    connector: str,
    env_file: Path | None,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Try what a connector declares against the live server, and say what the server
    contradicts. Reads only, without --write.
    """
    path = _file(connector)
    loaded = addressed(load_connector(path))
    choice = _choice(loaded, options)
    account = named(variables(env_file), loaded)[0]
    _ask(loaded, account, choice, options["yes"])
    most = bound(loaded, choice)
    calls = min(options["calls"] or most.calls, most.calls)
    cost = -(-most.cost * calls // most.calls)  # of fewer calls, their share
    plan = options["plan"] or loaded.plans[0]
    asked = Bound(calls, cost)
    _announce(loaded, account, choice, plan, asked)
    calls, limit = _within_limits(loaded, plan, options["seats"], asked)
    if limit is not None:
        if calls * AGAIN < most.calls:
            raise UsageError(_beyond(limit, plan, options["seats"], asked))
        click.echo(
            f"of these at most {calls:,} are made, for the limit {limit.name!r}: more are needed"
            " only where calls have to be repeated",
            err=True,
        )
    declared, found = Declared(read(path)), list[Finding]()
    with _probing(loaded, account, declared, calls, options) as probe:
        try:
            check(
                probe,
                choice,
                lambda item: found.append(
                    report.redacted(item, probe.client.redact)
                ),
            )
        except QuotaExhausted:
            click.echo(f"these are the limits of {_of(plan)}", err=True)
            raise
        finally:
            about = {
                "connector": loaded.name,
                "file": str(path),
                "address": account.base_url,
                "calls": probe.tape.calls,
            }
            _show(found, declared, path, probe.tape.calls)
            if json_file:
                text = json.dumps(
                    report.data(found, declared, about),
                    ensure_ascii=False,
                    indent=1,
                )
                private(json_file).write_text(text + "\n", encoding="utf-8")
    sys.exit(
        ATTENTION
        if any(item.verdict in ("contradicted", "left") for item in found)
        else DONE
    )


def _file(name: str) -> Path:
    """A connector by its path or its name."""
    return Path(name) if Path(name).is_file() else connector_found(name, Path())


def _choice(connector: Connector, options: dict[str, Any]) -> Choice:
    """What the options ask for; raises UsageError for names that the connector does not know."""
    known = list(connector.resources)
    names = [
        name.strip()
        for name in (options["only"] or "").split(",")
        if name.strip()
    ] or known
    for name in names:
        if name not in known:
            raise UsageError(
                f"--only: {connector.name} has no resource {name!r} – {suggest(name, known)}"
            )
    plan = options["plan"]
    if plan and plan not in connector.plans:
        raise UsageError(
            f"--plan: {connector.name} has no plan {plan!r} – {suggest(plan, connector.plans)}"
        )
    if (options["bodies"] or options["yes"]) and not options["writes"]:
        raise UsageError("--with and --yes require --write")
    return Choice(
        tuple(dict.fromkeys(names)),
        options["wrong_key"],
        options["writes"],
        given(options["bodies"], connector),
    )


def _ask(
    connector: Connector, account: Account, choice: Choice, yes: bool
) -> None:
    """Rows are created in an account beyond this machine only after a yes; raises UnsafePlan where
    nobody can confirm, and Declined after a no.
    """
    host = urlsplit(account.base_url).hostname or ""
    if not choice.write or yes or host in ("127.0.0.1", "localhost", "::1"):
        return
    question = f"Make, change and delete rows in {connector.title} at {host}?"
    if not sys.stdin.isatty():
        raise UnsafePlan(
            f"{question} There is nobody to confirm this – give --yes, preferably with a trial"
            " account"
        )
    if not click.confirm(question, err=True):
        raise Declined("Nothing was made or changed.")


def _of(plan: str) -> str:
    return f"plan {plan}: name the account's own with --plan"


def _announce(
    connector: Connector,
    account: Account,
    choice: Choice,
    plan: str,
    most: Bound,
) -> None:
    what = "reads and writes" if choice.write else "reads only"
    spent = (
        f" ({most.cost:,} units of cost)"
        if any(limit.unit == "cost" for limit in connector.limits)
        else ""
    )
    announced = (
        f"{connector.title} at {account.base_url}: {what}, {len(choice.names)}"
        f" resources, at most {most.calls:,} calls{spent}, paced by --plan {plan}"
    )
    click.echo(clean(announced), err=True)


def _within_limits(
    connector: Connector, plan: str, seats: int, asked: Bound
) -> tuple[int, Limit | None]:
    """How many of these calls have room in the limits that nobody waits for, as that of a day, and
    the limit that has room for the fewest; None where all have.
    """
    calls, tightest = asked.calls, None
    for limit in connector.limits:
        counts_all = limit.general and not limit.methods
        if not counts_all or limit.seconds <= PATIENCE:
            continue
        fewer = _fewer(limit, plan, seats, asked)
        if fewer < calls:
            calls, tightest = fewer, limit
    return calls, tightest


def _fewer(limit: Limit, plan: str, seats: int, asked: Bound) -> int:
    """How many of these calls a limit has room for."""
    taken, allowed = _taken(limit, asked), limit.allowance(plan, seats)
    return (
        int(asked.calls * allowed // taken) if taken > allowed else asked.calls
    )


def _taken(limit: Limit, asked: Bound) -> int:
    return asked.calls if limit.unit == "calls" else asked.cost


def _beyond(limit: Limit, plan: str, seats: int, asked: Bound) -> str:
    """Why a check is not begun that would stop in the middle though no call had to be repeated."""
    return (
        f"the check may take {_taken(limit, asked):,} {_unit(limit)}, and the limit"
        f" {limit.name!r} allows {limit.allowance(plan, seats):,.0f} to {_of(plan)}, or try less"
        f" with --only RESOURCE or --calls {_fewer(limit, plan, seats, asked)}"
    )


def _unit(limit: Limit) -> str:
    return "calls" if limit.unit == "calls" else "units of cost"


@contextmanager
def _probing(
    connector: Connector,
    account: Account,
    declared: Declared,
    calls: int,
    options: dict[str, Any],
) -> Iterator[Probe]:
    """A rate-limited client of the account whose calls are recorded; what it spends is kept in the
    store.
    """
    store = open_store(options["store"] or f"var/{connector.name}.check.sqlite")
    try:
        clock = Clock()
        plan = options["plan"] or connector.plans[0]
        limiter = RateLimiter(
            store,
            f"{connector.name}:{account.id}",
            connector.limits,
            plan,
            options["seats"],
            clock=clock,
        )
        client = Client(
            structs.replace(connector, tries=TRIES), account, limiter, clock
        )
        tape = Tape(calls)
        tape.listen(client)
        try:
            yield Probe(client, declared, tape, options["rows"])
        finally:
            client.close()
    finally:
        store.close()


def _show(
    found: list[Finding], declared: Declared, path: Path, calls: int
) -> None:
    """The table, then each contradiction with its line of the file, then what was left behind."""
    console = Console()
    terminal.table(
        console,
        str(path),
        ("Operation", "Verdict", "Detail"),
        report.table(found),
        numbers=(),
    )
    wrong = [item for item in found if item.verdict == "contradicted"]
    if wrong:
        terminal.heading(console, f"Contradicted ({len(wrong)})")
    for item in wrong:
        for line in excerpt(declared.diagnostic(item), path.parent):
            terminal.line(console, line)
        if item.evidence:
            terminal.line(console, f"      {item.evidence}", "dim")
    rows = report.remaining(found)
    if rows:
        terminal.heading(console, "Left behind: remove these by hand")
        terminal.named(console, rows, most=len(rows))
    terminal.line(console, "")
    terminal.line(console, f"{path}: {report.counts(found)}; {calls:,} calls")
