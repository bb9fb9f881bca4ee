"""`etl propose`: the first draft of a mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cli.environment import accounts, variables
from engine.cli.options import machine
from engine.errors import UsageError
from engine.language.compile import Migration
from engine.language.model import Side, Spec
from engine.library.opening import place_of
from engine.report.words import counted
from engine.session import Run, wire
from engine.store.tables import Store, open_store
from workbench.commands.options import from_environment, stored
from workbench.propose import reading
from workbench.propose.command import Begun, Proposed, begun, propose, save
from workbench.propose.scene import LOW


@click.command("propose")
@click.argument("spec", type=click.Path(path_type=Path))
@from_environment
@stored
@click.option(
    "--read",
    "reads",
    is_flag=True,
    help=(
        "First read a page of each collection that was not read yet, and the custom fields."
    ),
)
@click.option(
    "--write",
    "writes",
    is_flag=True,
    help="Add the proposals to SPEC; what is already there is kept.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the spec with the proposals to a new file.",
)
@machine
def propose_command(
    spec: Path, reads: bool, writes: bool, out: Path | None, **options: Any
) -> None:
    """Propose a mapping from staged records and both connectors; makes no call, unless asked to
    read.

    SPEC may say no more than migration, source and destination. Proposals below 0.5 are written
    commented out.
    """
    if writes and out:
        raise UsageError(
            "--write and --out exclude each other – give one of them"
        )
    started = begun(spec)
    where = options["store"] or place_of(
        started.data["migration"], options["environment"]
    )
    if reads:
        _read(started, where, options["environment"])
    proposed = _proposed(started, where)
    target = spec if writes else out
    if target:
        save(started, proposed, target, variables())
    if options["as_json"]:
        click.echo(json.dumps(_as_data(proposed), ensure_ascii=False))
    elif target:
        made = sum(len(item.proposals) for item in proposed.drafted)
        objects = counted(len(proposed.drafted), "object")
        click.echo(
            f"{target}: {made} proposals for {objects}; the uncertain ones are commented out"
        )
    else:
        _show(proposed, Console())


def _proposed(started: Begun, where: str) -> Proposed:
    if "://" not in where and not Path(where).exists():
        return propose(started, {})
    store = open_store(where)
    try:
        rows = reading.staged(store, started.source.resources)
        return propose(
            started, rows, reading.custom_fields(store, started.destination)
        )
    finally:
        store.close()


def _read(started: Begun, where: str, environment: str) -> None:
    store = open_store(where)
    env = variables()
    sides = Side(**started.data["source"]), Side(**started.data["destination"])
    spec = Spec(started.data["migration"], *sides, {}, None, {}, (), {}, {})
    migration = Migration(
        spec, started.source, started.destination, started.document
    )
    try:
        with _connected(migration, store, environment, env) as run:
            for notice in reading.read(run):
                click.echo(notice, err=True)
    finally:
        store.close()


@contextmanager
def _connected(
    migration: Migration, store: Store, environment: str, env: dict[str, str]
) -> Iterator[Run]:
    folder = store.folder / f"{migration.spec.name}.sandbox"
    with (
        accounts(migration, environment, env, folder) as found,
        closing(wire(migration, found, store)) as run,
    ):
        yield run


def _as_data(proposed: Proposed) -> dict[str, Any]:
    return {
        "paired": [msgspec.to_builtins(pair) for pair in proposed.paired],
        "objects": [
            {
                "object": item.outline.name,
                "from": list(item.outline.sources),
                "to": item.outline.resource,
                "fields": [
                    msgspec.to_builtins(proposal) for proposal in item.proposals
                ],
            }
            for item in proposed.drafted
        ],
    }


def _show(proposed: Proposed, console: Console) -> None:
    for item in proposed.drafted:
        sources = ", ".join(item.outline.sources)
        title = f"{item.outline.name}: {sources} become {item.outline.resource}"
        table = Table(title=Text(title), title_justify="left", expand=True)
        for head in ("", "field", "from", "why"):
            table.add_column(head)
        for proposal in sorted(
            item.proposals, key=lambda found: -found.confidence
        ):
            style = "dim" if proposal.confidence < LOW else ""
            cells = (
                f"{proposal.confidence:.2f}",
                proposal.target,
                ", ".join(proposal.paths),
                "; ".join(proposal.reasons),
            )
            table.add_row(*(Text(cell) for cell in cells), style=style)
        console.print(table)
    console.print(
        Text("save them with --write, or to a new file with --out FILE")
    )
