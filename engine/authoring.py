"""The commands that help to write a mapping and to show it: propose, init, docs, completion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.connector.pacing import Clock
from engine.environment import accounts, variables
from engine.errors import UsageError
from engine.review.manual import manual
from engine.review.manual_page import as_page
from engine.review.manual_text import as_markdown
from engine.review.propose import reading
from engine.review.propose.command import Begun, Proposed, begun, propose, save
from engine.review.propose.scene import LOW
from engine.review.report import private
from engine.review.scaffold import Asked, Made, make, write
from engine.run import Run, connect
from engine.spec.load import Migration, load_migration
from engine.spec.model import Side, Spec
from engine.store.schema import Store, open_store
from engine.workbench import from_environment, machine, runs, staged, stored

_SHELLS = ("bash", "zsh", "fish")


# -- propose


@click.command("propose")
@click.argument("spec", type=click.Path(path_type=Path))
@from_environment
@stored
@click.option(
    "--read", "reads", is_flag=True, help="First read one page of each collection nobody has read yet, and the custom fields."
)
@click.option("--write", "writes", is_flag=True, help="Add the proposals to SPEC; what stands there stays as it is.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the spec with the proposals to a new file.")
@machine
def propose_command(spec: Path, reads: bool, writes: bool, out: Path | None, **options: Any) -> None:
    """Propose a mapping from staged records and both connectors; makes no call, unless asked to read.

    SPEC may say no more than migration, source and destination. Proposals below 0.5 are written commented out.
    """
    if writes and out:
        raise UsageError("--write and --out exclude each other – give one of them")
    started = begun(spec)
    where = options["store"] or f"var/{started.data['migration']}.{options['environment']}.sqlite"
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
        click.echo(f"{target}: {made} proposals for {len(proposed.drafted)} objects; those that are unsure stand commented out")
    else:
        _show(proposed, Console())


def _proposed(started: Begun, where: str) -> Proposed:
    if "://" not in where and not Path(where).exists():
        return propose(started, {})
    store = open_store(where)
    try:
        rows = reading.staged(store, started.source.resources)
        return propose(started, rows, reading.custom_fields(store, started.destination))
    finally:
        store.close()


def _read(started: Begun, where: str, environment: str) -> None:
    store = open_store(where)
    env = variables()
    sides = Side(**started.data["source"]), Side(**started.data["destination"])
    spec = Spec(started.data["migration"], *sides, {}, None, {}, (), {}, {})
    migration = Migration(spec, started.source, started.destination, started.document)
    try:
        with _connected(migration, store, environment, env) as run:
            for notice in reading.read(run):
                click.echo(notice, err=True)
    finally:
        store.close()


@contextmanager
def _connected(migration: Migration, store: Store, environment: str, env: dict[str, str]) -> Iterator[Run]:
    clock = Clock()
    with accounts(migration, environment, env, store.folder / f"{migration.spec.name}.sandbox") as found:
        source = connect(migration.source, migration.spec.source, found.source, store, clock)
        destination = connect(migration.destination, migration.spec.destination, found.destination, store, clock)
        try:
            yield Run(0, migration, store, source, destination, clock)
        finally:
            source.close()
            destination.close()


def _as_data(proposed: Proposed) -> dict[str, Any]:
    return {
        "paired": [asdict(pair) for pair in proposed.paired],
        "objects": [
            {
                "object": item.outline.name,
                "from": list(item.outline.sources),
                "to": item.outline.resource,
                "fields": [asdict(proposal) for proposal in item.proposals],
            }
            for item in proposed.drafted
        ],
    }


def _show(proposed: Proposed, console: Console) -> None:
    for item in proposed.drafted:
        title = f"{item.outline.name}: {', '.join(item.outline.sources)} become {item.outline.resource}"
        table = Table(title=Text(title), title_justify="left", expand=True)
        for head in ("", "field", "from", "why"):
            table.add_column(head)
        for proposal in sorted(item.proposals, key=lambda found: -found.confidence):
            style = "dim" if proposal.confidence < LOW else ""
            cells = (f"{proposal.confidence:.2f}", proposal.target, ", ".join(proposal.paths), "; ".join(proposal.reasons))
            table.add_row(*(Text(cell) for cell in cells), style=style)
        console.print(table)
    console.print(Text("write them down with --write, or to a new file with --out FILE"))


# -- init


@click.command("init")
@click.option(
    "--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Connector file of the platform to read."
)
@click.option(
    "--destination", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Connector file of the platform to write."
)
@click.option("--name", help="Name of the migration: small letters, digits and _.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("specs"),
    show_default=True,
    help="Where the spec goes.",
)
@click.option("--yes", is_flag=True, help="Ask nothing; take the default where an option is not given.")
def init_command(source: Path | None, destination: Path | None, name: str | None, folder: Path, yes: bool) -> None:
    """Write a first spec for a pair of connectors, with a test file; refuses to overwrite."""
    known = sorted(Path("connectors").glob("*.yaml"))
    source = source or _asked("Connector of the platform to read", known, 0, yes)
    destination = destination or _asked("Connector of the platform to write", [file for file in known if file != source], 0, yes)
    suggestion = f"{source.stem}_to_{destination.stem}"
    name = name or (suggestion if yes else click.prompt("Name of the migration", default=suggestion, err=True))
    made = make(Asked(source, destination, name, folder))
    write(made)
    _say(made)


def _asked(what: str, known: list[Path], default: int, yes: bool) -> Path:
    if not known:
        raise UsageError("there is no connector in connectors/ – name the files with --source and --destination")
    if yes:
        if len(known) > 1:
            raise UsageError(f"{what.lower()}: there are several – say which with an option: {', '.join(map(str, known))}")
        return known[default]
    found = click.prompt(what, type=click.Choice([str(file) for file in known]), default=str(known[default]), err=True)
    return Path(found)


def _say(made: Made) -> None:
    for path in made.files:
        click.echo(str(path))
    spec = next(iter(made.files))
    click.echo(f"next: etl propose {spec} --read, then etl validate {spec}")


# -- docs


@click.command("docs")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write to.")
@click.option("--format", "style", type=click.Choice(["md", "html"]), help="Default: by the ending of the file; html.")
@click.option("--examples", is_flag=True, help="Show records as they are; without it letters and digits are masked.")
@from_environment
@stored
def docs_command(spec: Path, out: Path, style: str | None, examples: bool, **options: Any) -> None:
    """Write the mapping as a document that a customer reads and signs. Makes no call."""
    migration = load_migration(spec, variables())
    with staged(migration, options["store"] or options["environment"]) as kept:
        if kept is None:
            told = manual(migration, None, masked=not examples)
        else:
            with runs(kept, migration) as (run,):
                told = manual(migration, run, masked=not examples)
    style = style or ("md" if out.suffix == ".md" else "html")
    private(out).write_text(as_markdown(told) if style == "md" else as_page(told), encoding="utf-8", newline="\n")
    click.echo(f"{out}: {len(told.chapters)} kinds of records, {sum(len(item.rows) for item in told.chapters)} fields")


# -- completion


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and files in your shell; see docs/workbench/editor.md."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "etl", "_ETL_COMPLETE").source())


COMMANDS = (propose_command, init_command, docs_command, completion_command)


def add_to(group: Any) -> None:
    """Register the commands of this module."""
    for command in COMMANDS:
        group.add_command(command)
