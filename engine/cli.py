"""The command line: one command a job, one exit code a kind of ending."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine import migrate as stages
from engine.connector.pacing import Clock
from engine.environment import accounts, variables
from engine.errors import ATTENTION, DONE, Diagnostic, EtlError, SpecError, UsageError
from engine.review import screens, terminal
from engine.review.page import write_html
from engine.review.report import build, private, write_csv, write_json
from engine.run import Progress as Listener
from engine.run import Run, connect, quiet
from engine.spec.load import Migration, load_migration
from engine.store.journal import all_runs, counts, end_run, entries, start_run
from engine.store.links import all_findings, count_links
from engine.store.records import all_cursors, forget, sample
from engine.store.schema import Store, open_store


@dataclass(frozen=True, slots=True)
class Settings:
    """The options every command shares."""

    spec: Path
    environment: str
    store: str | None
    as_json: bool


def common(function: Any) -> Any:
    """SPEC, --env, --store and --json."""
    for decorate in reversed(
        (
            click.argument("spec", type=click.Path(path_type=Path)),
            click.option("--env", "environment", type=click.Choice(["sandbox", "live"]), default="sandbox", show_default=True,
                         help="The embedded emulators, or accounts named by the environment or .env."),
            click.option("--store", help="SQLAlchemy URL or file; default var/MIGRATION.ENV.sqlite."),
            click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout."),
        )
    ):  # fmt: skip
        function = decorate(function)
    return function


sampled = click.option(
    "--sample", "size", is_flag=False, flag_value="", default=None, metavar="[N]",
    help="Work on a telling slice of about N records (default: the spec's, 200).",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="etl", prog_name="etl")
def cli() -> None:
    """Move a company's records from one SaaS platform to another, as a YAML spec says."""


@cli.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")
def validate(spec: Path, as_json: bool) -> None:
    """Check a spec, its connectors and templates; every problem at once."""
    problems: list[Diagnostic] = []
    objects = 0
    try:
        objects = len(load_migration(spec, variables()).spec.active())
    except SpecError as error:
        problems = list(error.diagnostics)
    if as_json:
        click.echo(json.dumps({"valid": not problems, "problems": [item.data() for item in problems]}, ensure_ascii=False))
    elif problems:
        for item in problems:
            click.echo(str(item), err=True)
        click.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}", err=True)
    else:
        click.echo(f"{spec}: good; {objects} objects")
    sys.exit(2 if problems else DONE)


@cli.command()
@common
@click.option("--refresh", is_flag=True, help="Read the source anew.")
def audit(refresh: bool, **options: Any) -> None:
    """Look at both accounts: rows, people, what nobody maps. Writes nothing to them."""
    with opened(Settings(**options), "audit") as run:
        if refresh:
            _forget(run)
        result = stages.prepare(run, None)
        report = build(run, result, "audit", options["environment"])
        report["collections"] = [asdict(reading) for reading in result.readings.values()]
        if options["as_json"]:
            click.echo(json.dumps(report, ensure_ascii=False))
        else:
            screens.show_audit(report, Console())


@cli.command()
@common
@sampled
@click.option("--refresh", is_flag=True, help="Read the source anew.")
def plan(size: str | None, refresh: bool, **options: Any) -> None:
    """What a run would create and change, its calls and cost against the quotas, and the time. Writes nothing."""
    with opened(Settings(**options), "plan") as run:
        if refresh:
            _forget(run)
        result = stages.foresee(run, _size(size, run))
        report = build(run, result, "plan", options["environment"])
        assert result.plan is not None
        report["plan"] = asdict(result.plan)
        if options["as_json"]:
            click.echo(json.dumps(report, ensure_ascii=False))
        else:
            screens.show_plan(report, Console())


@cli.command()
@common
@sampled
@click.option("--refresh", is_flag=True, help="Read the source anew.")
@click.option("--yes", is_flag=True, help="Go on where a plan is refused as surprising.")
def run(size: str | None, refresh: bool, yes: bool, **options: Any) -> None:
    """Migrate: audit, provision, extract, transform, load, verify. Safe to repeat."""
    settings = Settings(**options)
    with opened(settings, "run" if size is None else "run --sample") as run:
        if refresh:
            _forget(run)
        result = stages.migrate(run, _size(size, run), yes)
        code = _report(run, result, "run" if size is None else "run --sample", settings)
    sys.exit(code)


@cli.command()
@common
def verify(**options: Any) -> None:
    """Read the destination back and compare it with what was wanted, field by field."""
    settings = Settings(**options)
    with opened(settings, "verify") as run:
        with run.store.begin() as connection:
            last = [row["command"] for row in all_runs(connection) if row["command"].startswith("run")]
            only = frozenset(sample(connection)) if last and last[-1] == "run --sample" else None
        if not last:
            raise UsageError("nothing has been migrated yet – start with: etl run SPEC --sample")
        result = stages.verify(run, stages.Result(), only)
        code = _report(run, result, "verify", settings)
    sys.exit(code)


@cli.command()
@common
def status(**options: Any) -> None:
    """Where everything stands, from the store alone; safe while a run is going on."""
    settings = Settings(**options)
    migration = load_migration(settings.spec, variables())
    store = _store(migration, settings, make=False)
    with store.begin() as connection:
        found = {
            "migration": migration.spec.name,
            "environment": settings.environment,
            "runs": all_runs(connection)[-10:],
            "read": {name: cursor.rows for name, cursor in all_cursors(connection).items() if not name.startswith("#")},
            "linked": {name: many for name, many in count_links(connection).items() if not name.startswith("$")},
            "journal": [[*key, many, cost] for key, (many, cost) in counts(connection).items()],
            "in_doubt": len(entries(connection, ("intent", "doubt"))),
            "attention": [asdict(item) for item in all_findings(connection, "attention")],
        }
    if settings.as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        screens.show_status(found, Console())


# -- what the commands share


@contextmanager
def opened(settings: Settings, command: str) -> Iterator[Run]:
    """A run on a migration's two accounts, with its row in the store from start to end."""
    env = variables()
    migration = load_migration(settings.spec, env)
    store = _store(migration, settings)
    clock = Clock()
    folder = store.folder / f"{migration.spec.name}.sandbox"
    with listening(settings) as listener, accounts(migration, settings.environment, env, folder) as found:
        with store.begin() as connection:
            run_id = start_run(connection, command, clock.now(), migration.spec.digest)
        source = connect(migration.source, migration.spec.source, found.source, store, clock)
        destination = connect(migration.destination, migration.spec.destination, found.destination, store, clock)
        files = store.folder / f"{migration.spec.name}.files"
        run = Run(run_id, migration, store, source, destination, clock, listener, files)
        outcome = "interrupted"
        try:
            yield run
            outcome = "done"
        except EtlError as error:
            outcome = source.redact(destination.redact(str(error)))[:500]
            raise
        finally:
            with store.begin() as connection:
                end_run(connection, run_id, clock.now(), outcome)
            source.close()
            destination.close()
            store.close()


def _store(migration: Migration, settings: Settings, make: bool = True) -> Store:
    url = settings.store or f"var/{migration.spec.name}.{settings.environment}.sqlite"
    if not make and "://" not in url and not Path(url).exists():
        raise UsageError(f"there is no store {url} yet – start with: etl run {settings.spec} --sample")
    return open_store(url)


@contextmanager
def listening(settings: Settings) -> Iterator[Listener]:
    """Progress bars on a terminal; silence where output is piped."""
    if settings.as_json or not sys.stderr.isatty():
        yield quiet
        return
    columns = (TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield tell


def _size(written: str | None, run: Run) -> int | None:
    if written is None:
        return None
    if written == "":
        return run.spec.sample.records
    if not written.isdigit() or int(written) < 1:
        raise UsageError(f"--sample {written!r} is not a number of records")
    return int(written)


def _forget(run: Run) -> None:
    with run.store.begin() as connection:
        forget(connection)


def _report(run: Run, result: stages.Result, command: str, settings: Settings) -> int:
    """Write every format of the report; the exit code that its verdict deserves."""
    report = build(run, result, command, settings.environment)
    folder = run.store.folder / f"{run.spec.name}.{settings.environment}.report"
    paths = {kind: folder / f"report.{kind}" for kind in ("html", "json", "csv")}
    for kind, write in (("html", write_html), ("json", write_json), ("csv", write_csv)):
        write(report, paths[kind])
    if settings.as_json:
        click.echo(json.dumps(report | {"files": {kind: str(path) for kind, path in paths.items()}}, ensure_ascii=False))
    else:
        terminal.show(report, Console(), {kind: str(path) for kind, path in paths.items()})
    return DONE if report["verdict"]["state"] == "good" else ATTENTION


def main() -> None:
    """Run a command; expected failures end with their message and exit code, never a traceback."""
    _add_sandbox()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _end("interrupted; what was done is saved – run the same command again to go on", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        _end("interrupted; what was done is saved – run the same command again to go on", 130)
    except EtlError as error:
        _end(str(error), error.exit_code)
    except Exception:
        crash = private(Path("var") / f"crash.{os.getpid()}.txt")
        crash.write_text(_safe(traceback.format_exc()), encoding="utf-8")
        _end(f"this is a fault in etl itself, not in your data; the details are in {crash} – please report it", 70)


def _add_sandbox() -> None:
    """The emulators' commands, where they are installed."""
    try:
        from sandbox.cli import sandbox
    except ImportError:
        return
    cli.add_command(sandbox)


def _safe(text: str) -> str:
    """A text without any value of the environment that looks like a secret."""
    for name, value in variables().items():
        if len(value) >= 8 and any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
            text = text.replace(value, "***")
    return text


def _end(message: str, code: int) -> None:
    click.echo(f"etl: {_safe(message)}", err=True)
    sys.exit(code)
