"""The command line: one command a job, one exit code a kind of ending."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine import migrate as stages
from engine.connector.auth import Account, redactor
from engine.connector.pacing import Clock
from engine.environment import accounts, variables
from engine.errors import ATTENTION, DONE, EtlError, OutcomeUnknown, Paused, StoreError, Unavailable, UnsafePlan, UsageError
from engine.review import screens, terminal
from engine.review.compare import everything, records_of
from engine.review.page import write_html
from engine.review.planned import show_planned, write_plan
from engine.review.report import build, private, write_csv, write_json
from engine.review.terminal import clean
from engine.rollback.undo import rollback as take_back
from engine.run import Progress as Listener
from engine.run import Run, connect, quiet
from engine.simulate import simulate
from engine.spec.load import Migration, load_migration
from engine.stages.accounts import belongs, of_migration
from engine.stages.names import carry_over
from engine.store.journal import all_runs, close_killed, counts, end_run, entries, start_run
from engine.store.lease import at_work, lease
from engine.store.links import all_findings, count_links
from engine.store.records import all_cursors, forget, sample
from engine.store.schema import Store, open_store

NO_KEY = "-"  # stands in for the key of an account that is not called
PASSING = (Unavailable, OutcomeUnknown, Paused, StoreError)  # what a repeated delta may not meet the next time
OWN_SIZE = 0  # `--sample` without a number
MOST = 1000  # records of a sample of live accounts, for nobody has approved it
DIGITS = 6  # of a number on the command line; more are a slip, and no clock or list holds so many
LAST_RUN = 2**31 - 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)  # told of a file that nobody names
REPORTS = {"html": write_html, "json": write_json, "csv": write_csv}
_CHOSEN = ("yes", "changes", "deletions", "until", "every", "failed", "remake_fields")  # options that make a Choice


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


@dataclass(frozen=True, slots=True)
class Gate:
    """What a full run against live accounts is asked before it starts, and who hears what a run came to."""

    admit: Callable[[Path, str | None], None]  # the spec and the store's place; raises UnsafePlan
    ended: Callable[[Run, Mapping[str, Any]], None]  # the run and its verdict


@dataclass(frozen=True, slots=True)
class Choice:
    """What `etl run` is asked to do."""

    yes: bool
    changes: bool
    deletions: bool
    until: str | None
    every: str | None
    failed: bool
    remake_fields: bool

    def check(self, size: int | None) -> None:
        """Refuse options that contradict each other."""
        if size is not None and (self.changes or self.failed) or self.changes and self.failed:
            raise UsageError("--sample, --delta and --failed exclude each other – give one of them")
        if (self.every or self.deletions) and not self.changes:
            raise UsageError("--every and --deletions go with --delta")
        if self.until and not self.every:
            raise UsageError("--until goes with --every")
        if self.remake_fields and self.failed:
            raise UsageError("--remake-fields and --failed exclude each other – give one of them")

    def command(self, size: int | None) -> str:
        """The command as the store remembers it."""
        if self.changes:
            return "run --delta"
        if self.failed:
            return "run --failed"
        return "run" if size is None else "run --sample"


def interval(written: str | None) -> float:
    """`15m`, `90s` or `2h` in seconds; 0 for none."""
    if not written:
        return 0.0
    unit = {"s": 1, "m": 60, "h": 3600}.get(written[-1])
    if unit is None or not _is_number(written[:-1]):
        raise UsageError(f"--every {written!r} is not an interval – write it like 15m")
    return float(int(written[:-1]) * unit)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS


def until(written: str | None) -> float:
    """A time in epoch seconds; 0 for none."""
    if not written:
        return 0.0
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise UsageError(f"--until {written!r} is not a time – write it like 2026-12-01T18:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def records(_context: click.Context, _option: click.Parameter, written: str | None) -> int | None:
    """The size of a sample; OWN_SIZE is the spec's."""
    if written and (not _is_number(written) or int(written) < 1):
        raise UsageError(f"--sample {written!r} is not a number of records")
    if written is None:
        return None
    return int(written) if written else OWN_SIZE


sampled = click.option(
    "--sample", "size", is_flag=False, flag_value="", default=None, metavar="[N]", callback=records,
    help="Work on a telling slice of about N records (default: the spec's, 200).",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="etl", prog_name="etl")
def cli() -> None:
    """Move a company's records from one SaaS platform to another, as a YAML spec says."""


@cli.command()
@common
@click.option("--refresh", is_flag=True, help="Read the source anew.")
@click.option("--rebind", is_flag=True, help="The store is theirs: the accounts have another key or address, no more.")
def audit(refresh: bool, rebind: bool, **options: Any) -> None:
    """Look at both accounts: rows, people, what nobody maps. Writes nothing to them."""
    with opened(Settings(**options), "audit", refresh=refresh, rebind=rebind) as run:
        result = stages.prepare(run, None)
        report = build(run, result, "audit", options["environment"])
        report["collections"] = [asdict(reading) for reading in result.readings.values()]
    _tell(options["as_json"], report, screens.show_audit)


@cli.command()
@common
@sampled
@click.option("--refresh", is_flag=True, help="Read the source anew.")
@click.option("--simulate", "simulated", is_flag=True, help="Live through the plan on a simulated clock and print the timeline.")
@click.option("--records", "each", is_flag=True, help="Also list the records that do not stay as they are, with their fields.")
def plan(size: int | None, refresh: bool, simulated: bool, each: bool, **options: Any) -> None:
    """What a run would create and change, its calls and cost against the quotas, and the time. Writes nothing."""
    with opened(Settings(**options), "plan", refresh=refresh) as run:
        result = stages.foresee(run, _size(size, run), details=False)
        report = build(run, result, "plan", options["environment"])
        assert result.plan is not None
        report["plan"] = asdict(result.plan)
        report["timeline"] = asdict(simulate(run, result.plan)) if simulated else None
        if each and options["as_json"]:
            with printing():
                write_plan(report, run, sys.stdout)
            return
        _tell(options["as_json"], report, screens.show_plan)
        if each:
            with printing():
                show_planned(run, Screen())


@cli.command()
@common
@sampled
@click.option("--refresh", is_flag=True, help="Read the source anew.")
@click.option("--yes", is_flag=True, help="Go on where a plan is refused as surprising.")
@click.option("--wait", is_flag=True, help="Wait when a day's quota is spent, instead of ending with code 75.")
@click.option("--delta", "changes", is_flag=True, help="Bring over what changed in the source or in the spec since the last run.")
@click.option("--deletions", is_flag=True, help="With --delta: also look for rows deleted in the source (reads every list).")
@click.option("--until", metavar="TIME", help="With --every: stop repeating at this time (ISO 8601, UTC).")
@click.option("--every", metavar="15m", help="With --delta: repeat at this interval (s, m or h).")
@click.option("--failed", is_flag=True, help="Try just the records that failed once more.")
@click.option("--remake-fields", is_flag=True, help="Make custom fields that people have deleted anew, and fill them.")
def run(size: int | None, refresh: bool, wait: bool, **options: Any) -> None:
    """Migrate: audit, provision, extract, transform, load, verify. Safe to repeat."""
    choice = Choice(**{name: options.pop(name) for name in _CHOSEN})
    choice.check(size)
    settings = Settings(**options)
    command = choice.command(size)
    pause, end = interval(choice.every), until(choice.until)
    while True:
        wanted = time.time() + pause
        try:
            if settings.environment == "live" and size is None:
                _gate().admit(settings.spec, settings.store)
            with opened(settings, command, wait, refresh) as run:
                _bound(settings, _size(size, run))
                told = _report(run, _work(run, choice, size, settings.as_json), command, settings)
            code = _show(told, settings)
        except PASSING as error:
            if not pause:
                raise
            code, wanted = error.exit_code, max(wanted, getattr(error, "until", 0.0))
            _say(f"{error}; trying again at {screens.moment(wanted)} UTC")
        if not pause or (end and wanted > end):
            break
        time.sleep(max(0.0, wanted - time.time()))
    sys.exit(code)


def _bound(settings: Settings, size: int | None) -> None:
    """A sample that moves everything would be a full run that nobody has approved; raises UnsafePlan."""
    if settings.environment == "live" and size is not None and size > MOST:
        raise UnsafePlan(
            f"a sample of live accounts has at most {MOST:,} records, not {size:,} – take a smaller one, look at it, "
            f"then: etl approve {settings.spec} --env live --by NAME, and run everything"
        )


def _gate() -> Gate:
    """The gate that the program was started with; started without one, nobody can admit anything."""
    return click.get_current_context().find_object(Gate) or Gate(_shut, lambda *_: None)


def _shut(spec: Path, _: str | None) -> None:
    raise UnsafePlan(f"nobody can say here whether the mapping is approved – start it as: etl run {spec} --env live")


def _work(run: Run, choice: Choice, size: int | None, quietly: bool) -> stages.Result:
    if choice.changes:
        return stages.delta(run, choice.yes, choice.deletions, choice.remake_fields)
    if choice.failed:
        return stages.again(run)

    def announce(found: stages.Result) -> None:
        if found.audit and found.plan and not quietly:
            with printing():
                screens.show_announcement(found.audit, found.plan, Screen(stderr=True))

    return stages.migrate(run, _size(size, run), choice.yes, announce, choice.remake_fields)


@cli.command()
@common
@click.option("--run", "of_run", type=click.IntRange(1, LAST_RUN), help="Take back just this run; `etl status` lists them.")
@click.option("--dry-run", "dry", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--force", is_flag=True, help="Also remove rows that people have touched since.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(of_run: int | None, dry: bool, force: bool, yes: bool, **options: Any) -> None:
    """Take a migration back: delete what it made, restore what it changed, keep what people touched."""
    settings = Settings(**options)
    with opened(settings, "rollback --dry-run" if dry else "rollback") as run:
        known = _begun(run, settings)
        if of_run and of_run not in {row["id"] for row in known}:
            listed = f"etl status {settings.spec} --env {settings.environment}"
            raise UsageError(f"there is no run {of_run} – see which there are: {listed}")
        carry_over(run)
        if not dry and not yes:
            foreseen = take_back(run, of_run, force, dry=True)
            many = sum(many for action, many in foreseen.would.items() if action != "keep")
            question = f"Undo {many} writes in {run.migration.destination.title} ({settings.environment})?"
            if many and not click.confirm(question, err=True):
                raise UsageError("nothing was undone")
        result = take_back(run, of_run, force, dry)
    found = {
        "undone": result.undone, "kept": result.kept, "failed": result.failed, "would": result.would,
        "cost": result.cost, "cost_unit": run.migration.destination.cost_unit,
    }  # fmt: skip
    _tell(settings.as_json, found, lambda told, console: screens.show_rollback(told, dry, console))
    sys.exit(ATTENTION if result.kept or result.failed else DONE)


def _begun(run: Run, settings: Settings) -> list[dict[str, Any]]:
    """The runs of a store; raises UsageError where none has migrated anything, as in a store that was misspelt."""
    with run.store.begin() as connection:
        runs = all_runs(connection)
    if not any(row["command"].startswith("run") for row in runs):
        first = f"etl run {settings.spec} --sample --env {settings.environment}"
        raise UsageError(f"nothing has been migrated with this store yet – check --store and --env, or start with: {first}")
    return runs


@cli.command()
@common
def verify(**options: Any) -> None:
    """Read the destination back and compare it with what was wanted, field by field."""
    settings = Settings(**options)
    with opened(settings, "verify") as run:
        runs = _begun(run, settings)
        carry_over(run)
        with run.store.begin() as connection:
            last = [row["command"] for row in runs if row["command"].startswith("run")]
            judged = records_of(frozenset(sample(connection))) if last[-1] == "run --sample" else everything
        result = stages.verify(run, stages.Result(), judged, only_written=_planned_since(runs))
        told = _report(run, result, "verify", settings)
    sys.exit(_show(told, settings))


def _planned_since(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether drafts were made after the last run had ended: no run has tried to write those."""
    commands = [row["command"].partition(" ")[0] for row in runs]
    last = len(commands) - 1 - commands[::-1].index("run")
    return runs[last]["outcome"] == "done" and "plan" in commands[last:]


@cli.command()
@common
def status(**options: Any) -> None:
    """Where everything stands, from the store alone; safe while a run is going on."""
    settings = Settings(**options)
    with from_store(settings) as run, run.store.begin() as connection:
        if not at_work(run.store):
            close_killed(connection)
        found = {
            "migration": run.spec.name,
            "environment": settings.environment,
            "runs": all_runs(connection)[-10:],
            "read": {name: cursor.rows for name, cursor in all_cursors(connection).items() if not name.startswith("#")},
            "linked": {name: many for name, many in count_links(connection).items() if not name.startswith("$")},
            "journal": [[*key, many, cost] for key, (many, cost) in counts(connection).items()],
            "in_doubt": len(entries(connection, ("intent", "doubt"))),
            "attention": [asdict(item) for item in all_findings(connection, "attention")],
        }
    _tell(settings.as_json, found, screens.show_status)


# -- what the commands share


def _tell(as_json: bool, found: Mapping[str, Any], show: Callable[[Mapping[str, Any], Console], None]) -> None:
    """What a command found: as JSON, or as its screen shows it."""
    with printing():
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            show(found, Screen())


class Screen(Console):
    """A console that leaves it to `printing` what to do when its reader has gone."""

    def on_broken_pipe(self) -> None:
        """Raise what was raised."""
        raise  # noqa: PLE0704


@contextmanager
def printing() -> Iterator[None]:
    """A reader that has gone (`| head`) ends no command. Raises UsageError for output that cannot be written."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise UsageError(
            f"the output cannot be written: {error.strerror} – what the command did is saved; make room, and look at it with: "
            "etl status SPEC, etl report SPEC"
        ) from None


def _drop_output() -> None:
    """Let nothing more be written: the interpreter would fail at it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def opened(
    settings: Settings, command: str, wait: bool = False, refresh: bool = False, rebind: bool = False
) -> Iterator[Run]:
    """A run on a migration's two accounts, with its row in the store from start to end; `refresh` forgets what was read.

    With `rebind`, the store belongs to these accounts from now on, whatever it was begun with.
    """
    env = variables()
    migration = load_migration(settings.spec, env)
    clock = Clock()
    with (
        closing(_store(migration, settings)) as opened_store,
        lease(opened_store) as store,
        listening(settings) as listener,
        accounts(migration, settings.environment, env, store.folder / f"{migration.spec.name}.sandbox") as found,
    ):
        with store.begin() as connection:
            close_killed(connection)
            run_id = start_run(connection, command, clock.now(), migration.spec.digest)
            if refresh:
                forget(connection)
        source = connect(migration.source, migration.spec.source, found.source, store, clock, wait)
        destination = connect(migration.destination, migration.spec.destination, found.destination, store, clock, wait)
        files = store.folder / f"{migration.spec.name}.files"
        run = Run(run_id, migration, store, source, destination, clock, listener, files)
        outcome = "interrupted"
        try:
            belongs(run, rebind)
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


@contextmanager
def from_store(settings: Settings) -> Iterator[Run]:
    """A run that looks at the store only; its clients are never used."""
    migration = load_migration(settings.spec, variables())
    store = _store(migration, settings, make=False)
    clock = Clock()
    source, destination = (
        connect(connector, side, Account(connector.connection.base_url, NO_KEY), store, clock)
        for connector, side in ((migration.source, migration.spec.source), (migration.destination, migration.spec.destination))
    )
    try:
        run = Run(0, migration, store, source, destination, clock)
        of_migration(run)
        yield run
    finally:
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
    columns = (TextColumn("{task.description:<48}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(clean(label), total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield tell


def _size(size: int | None, run: Run) -> int | None:
    return run.spec.sample.records if size == OWN_SIZE else size


def _report(run: Run, result: stages.Result, command: str, settings: Settings) -> dict[str, Any]:
    """Write every format of the report; what is to be shown of it once the run has ended."""
    report = build(run, result, command, settings.environment)
    _gate().ended(run, report["verdict"])
    folder = run.store.folder / f"{run.spec.name}.{settings.environment}.report"
    written = {}
    for kind, write in REPORTS.items():
        path = folder / f"report.{kind}"
        try:
            write(report, path)
            written[kind] = str(path)
        except OSError as error:
            report["notices"].append(f"the report {path} cannot be written: {error.strerror}")
    return report | {"files": written}


def _show(told: Mapping[str, Any], settings: Settings) -> int:
    """Print a report; the exit code that its verdict deserves. Raises UsageError where a file of it was not written."""
    _tell(settings.as_json, told, lambda told, console: terminal.show(told, console, told["files"]))
    if len(told["files"]) < len(REPORTS):
        raise UsageError("the run is done and saved, but its report could not be written – make room for it, then: etl verify SPEC")
    return DONE if told["verdict"]["state"] == "good" else ATTENTION


def main(gate: Gate) -> None:
    """Run a command; expected failures end with their message and exit code, never a traceback."""
    _write_anything()
    try:
        cli.main(standalone_mode=False, obj=gate)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        _write(told.getvalue().rstrip())
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted; what was done is saved – run the same command again to go on", 130)
    except EtlError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        _drop_output()
        sys.exit(141)  # what a shell calls a program whose reader has gone
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            _crash()
        _end(f"{error.filename or 'a file'} cannot be used: {error.strerror} – check the path, its rights and the disk", 2)
    except Exception:
        _crash()


def _write_anything() -> None:
    """No letter that a stream cannot take ends a command; what is piped is UTF-8 wherever it goes.

    A stream that is closed (`>&-`) writes nowhere, and no file that a command opens takes its place.
    """
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=stream.encoding if stream.isatty() else "utf-8", errors="backslashreplace")


def _crash() -> NoReturn:
    """Say that etl itself is at fault, and keep the traceback in the first place that takes it."""
    details = _safe(traceback.format_exc()).encode("utf-8", "backslashreplace")
    kept = _kept(details)
    where = f"the details are in {kept}" if kept else f"the details could not be kept: {_last(details)}"
    _end(f"this is a fault in etl itself, not in your data; {where} – please report it", 70)


def _kept(details: bytes) -> str:
    try:
        crash = private(Path("var") / f"crash.{os.getpid()}.txt")
        crash.write_bytes(details)
        return str(crash)
    except OSError:
        pass
    try:
        with tempfile.NamedTemporaryFile(prefix="etl-crash-", suffix=".txt", delete=False) as file:
            file.write(details)
        return file.name
    except OSError:
        return ""


def _last(details: bytes) -> str:
    return details.decode().strip().rpartition("\n")[2]


def _safe(text: str) -> str:
    """A text without any value of the environment that looks like a secret."""
    try:
        known = variables()
    except EtlError:  # told already, by the command itself
        known = dict(os.environ)
    words = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    return redactor(value for name, value in known.items() if len(value) >= 8 and any(word in name.upper() for word in words))(text)


def _plain(text: str) -> str:
    """A message in which nothing moves the cursor or changes the title of a terminal."""
    return "\n".join(clean(line) for line in _safe(text).split("\n"))


def _say(message: str) -> None:
    _write(f"etl: {message}")


def _write(text: str) -> None:
    with suppress(OSError):  # nobody reads
        click.echo(_plain(text), err=True)


def _end(message: str, code: int) -> NoReturn:
    _say(message)
    sys.exit(code)
