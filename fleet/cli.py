"""`etl fleet`: register migrations, give them something to do, work, look."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from engine.cli.options import interval, machine
from engine.cli.options import until as moment_of
from engine.cli.screen import print_result
from engine.config.document import parse
from engine.errors import StoreError, UsageError
from engine.report.words import counted
from fleet import queue, registering, status
from fleet.ending import Goal, continued, opening, span
from fleet.forecast import Forecast, added_up
from fleet.lines import speak_in_lines
from fleet.notify import check_target
from fleet.places import own_place
from fleet.records import (
    alive,
    database,
    figures,
    members,
    registry,
    reports,
    tables,
)
from fleet.records.members import Member
from fleet.secrets import Secrets, check_reference, check_secrets
from fleet.wording import Told
from fleet.worker import Worker, work

AGAIN = ("delta", "verify")  # what may be done every now and then
STAGES = ("plan", "sample", "run", "delta", "verify", "rebind", "rollback")
# what --yes says, and what takes it although it asks nothing
ASKED = {
    "rollback": "a rollback deletes what the migrations have created",
    "rebind": "rebind says that both accounts are the same ones, under another key or address",
}
CONFIRMED = ("sample", "run", "delta", *ASKED)
REMADE = ("sample", "run", "delta")
REFRESHED = ("plan", "sample", "run")
WATCHED = 2.0  # seconds between two looks of `status --watch`, and at a database that is away
# among what the commands of one call have in common
DATABASE = "etl fleet --db"


def _database(
    context: click.Context, _: click.Parameter, url: str | None
) -> sa.Engine:
    if not url:
        raise UsageError(
            "give --db postgresql://HOST/DATABASE, or set ETL_FLEET_DB"
        )
    # turns get the address over a pipe, and nothing else of this environment
    engine = database.connect(url, os.environ.get("PGPASSWORD", ""))
    context.call_on_close(engine.dispose)
    context.meta[DATABASE] = engine
    return engine


db = click.option(
    "--db",
    "engine",
    envvar="ETL_FLEET_DB",
    metavar="URL",
    callback=_database,
    help="The fleet's database: postgresql://HOST/DATABASE; default $ETL_FLEET_DB.",
)
names = click.argument("names", nargs=-1, required=True, metavar="NAME...")


class Commands(click.Group):
    """Commands that say so where the database cannot be used, whichever it is."""

    def invoke(self, context: click.Context) -> Any:
        """Raise StoreError for whatever a database's driver raises."""
        try:
            return super().invoke(context)
        except queue.DATABASE_ERRORS as error:
            raise _unusable(context.meta[DATABASE], error) from None


def _unusable(engine: sa.Engine, error: Exception) -> StoreError:
    where = database.shown(engine)
    return StoreError(
        f"the database {where} cannot be used: {database.said(error)}"
    )


@click.group("fleet", cls=Commands)
def fleet_group() -> None:
    """Many migrations on many machines, over one PostgreSQL."""


@fleet_group.command("init")
@db
def init(engine: sa.Engine) -> None:
    """Make the fleet's tables and its queue, or bring them up to this version of both."""
    tables.make_tables(engine)
    done = queue.make_queue(engine)
    if done == "left":
        click.echo("the fleet's tables and its queue are up to date")
        return
    click.echo(
        f"the database has a fleet, its queue was {done}; register a migration: etl fleet add NAME"
        " SPEC"
    )


@fleet_group.command("add")
@click.argument("name")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--secrets",
    "reference",
    metavar="REF",
    help="Whose NAME.env to use; default NAME, or what it is registered with.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting.",
)
@db
def add(
    name: str,
    spec: Path,
    reference: str | None,
    settings: Sequence[str],
    engine: sa.Engine,
) -> None:
    """Register a migration with its files as they are now, or replace them; what was set and
    whose secrets it uses stays, unless it is said anew.
    """
    registry.check_name(name)
    tables.check(engine)
    before = members.found(engine, name)
    reference = reference or (before.secrets if before else name)
    check_reference(reference)
    changed = dict(map(_setting, settings))
    with _said_once_done() as say:
        registering.add(engine, spec, Told(name, reference), changed, say)


@fleet_group.command("approve")
@click.argument("name")
@click.option(
    "--by",
    required=True,
    metavar="WHO",
    help="Who looked at the sample and approves.",
)
@click.option(
    "--despite", default="", metavar="REASON", help="Why, though cases fail."
)
@db
def approve(name: str, by: str, despite: str, engine: sa.Engine) -> None:
    """Approve a migration as it is registered, after a look at its sample's report."""
    tables.check(engine)
    with _said_once_done() as say:
        registering.approve(engine, name, by, despite, say)


@contextmanager
def _said_once_done() -> Iterator[registering.Say]:
    """What is said of something that was done: nothing where it is refused after all."""
    lines: list[str] = []
    yield lines.append
    for line in lines:
        click.echo(line)


def _check_stage(stage: str, every: float, again: bool, yes: bool) -> None:
    if again and not every:
        raise UsageError("--every has to be longer than 0 s")
    if again and stage not in AGAIN:
        raise UsageError(f"--every is for {' and '.join(AGAIN)}, not {stage}")
    if stage in ASKED and not yes:
        raise UsageError(f"{ASKED[stage]} – add --yes")
    if yes and (again or stage not in CONFIRMED):
        raise UsageError(
            f"--yes is for one {', '.join(CONFIRMED)} – nobody looks at the next plan"
        )


def _check_once(stage: str, remake_fields: bool, refresh: bool) -> None:
    if remake_fields and stage not in REMADE:
        raise UsageError(
            f"--remake-fields is for {', '.join(REMADE)}, not {stage}"
        )
    if refresh and stage not in REFRESHED:
        raise UsageError(
            f"--refresh is for {', '.join(REFRESHED)}, not {stage}"
        )


@contextmanager
def _all_or_none(names: Sequence[str], done: str = "started") -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        more = f"; none of these was {done}" if len(names) > 1 else ""
        raise UsageError(f"{error}{more}") from None


def _registered(engine: sa.Engine, names: Sequence[str]) -> list[Member]:
    """The migrations of these names; raises UsageError where one is not registered."""
    tables.check(engine)
    return [members.member(engine, name) for name in names]


def _setting(written: str) -> tuple[str, Any]:
    key, equals, value = written.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {written!r} is not KEY=VALUE")
    return key, parse(f"value: {value}", "--set").data["value"]


@fleet_group.command("start")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.argument("stage", type=click.Choice(STAGES), metavar="STAGE")
@click.option(
    "--every", metavar="30m", help="Again and again, with so much between."
)
@click.option("--until", metavar="TIME", help="No turn begins after it; UTC.")
@click.option("--at", metavar="TIME", help="When the first turn begins; UTC.")
@click.option(
    "--window",
    default="",
    metavar="22:00-06:00",
    help="Only in these hours; UTC.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Roll back, rebind, or carry out a plan that a turn has stopped at.",
)
@click.option(
    "--remake-fields",
    is_flag=True,
    help="Make custom fields anew that people have deleted, and fill them; one turn does.",
)
@click.option(
    "--refresh",
    is_flag=True,
    help="Read the source again from the start; one turn does.",
)
@db
def start(  # noqa: PLR0913
    names: Sequence[str],
    stage: str,
    every: str | None,
    until: str | None,
    at: str | None,
    window: str,
    yes: bool,
    remake_fields: bool,
    refresh: bool,
    engine: sa.Engine,
) -> None:
    """Give migrations something to do: STAGE is plan, sample, run, delta, verify, rebind or
    rollback.
    """
    if not names:
        raise UsageError(f"which migration? – etl fleet start NAME... {stage}")
    _check_stage(stage, interval(every), every is not None, yes)
    _check_once(stage, remake_fields, refresh)
    goal = Goal(
        stage,
        interval(every),
        moment_of(until),
        window,
        yes,
        remake_fields,
        refresh,
    )
    if window:
        span(window)
    now = time.time()
    first = moment_of(at, "--at") or now
    if first < now:
        raise UsageError(f"--at {at} is over; times are UTC")
    first = opening(window, first)
    if goal.until and first > goal.until:
        raise UsageError("--until is over before the first turn could begin")
    _registered(engine, names)
    app = queue.app_for(engine)
    found = []
    with engine.begin() as connection, _all_or_none(names):
        for name in sorted(set(names)):
            of = members.resting(connection, name)
            aim, begins = _aimed(goal, of, first)
            job = queue.put(app, connection, of.name, begins, of.version)
            members.aim(connection, of.name, aim, begins, job)
            found.append((of, aim, begins))
    for of, aim, begins in found:
        other = of.version != queue.VERSION
        by = f", for workers of etl {of.version}" if other else ""
        click.echo(
            f"{of.name}: {stage} is queued for {status.moment(begins)} UTC{_again(aim)}{by}"
        )
    workers = alive.workers(engine)
    for version in sorted({of.version for of, _, _ in found} - {*workers}):
        click.echo(
            f"no worker of etl {version} lives – start one: {status.A_WORKER}"
        )


def _aimed(goal: Goal, of: Member, first: float) -> tuple[Goal, float]:
    """What a migration is to do, and from when on: a yes to what it waits with leaves its times as
    they are, unless they are over.
    """
    kept = continued(goal, of.goal) if of.state == "waiting" else goal
    begins = opening(kept.window, first)
    if kept.until and begins > kept.until:
        return goal, first
    return kept, begins


def _again(goal: Goal) -> str:
    if not goal.every:
        return ""
    until = f" until {status.moment(goal.until)} UTC" if goal.until else ""
    return f", and every {goal.every:.0f} s after it{until}"


@fleet_group.command("stop")
@names
@db
def stop(names: Sequence[str], engine: sa.Engine) -> None:
    """Stop migrations after their calls in flight; what was done is saved."""
    _registered(engine, names)
    app = queue.app_for(engine)
    stopped = []
    with engine.begin() as connection:
        for name in sorted(set(names)):
            job = members.halt(connection, name)
            if job:
                queue.take_out(app, connection, job)
                stopped.append(name)
    for of in _registered(engine, names):
        what = "is stopped" if of.name in stopped else f"is {of.state} already"
        ends = members.is_going(engine, of.name)
        more = "; it ends after its calls in flight" if ends else ""
        click.echo(f"{of.name} {what}{more}")


@fleet_group.command("remove")
@names
@db
def remove(names: Sequence[str], engine: sa.Engine) -> None:
    """Forget migrations that are not at work; their stores stay in the database."""
    with _all_or_none(names, "removed"):
        found = _registered(engine, names)
    for of in found:
        registry.remove(engine, of.name)
        click.echo(f"{of.name} is removed; its store etl_{of.name} stays")


@fleet_group.command("worker")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 200),
    default=4,
    show_default=True,
    help="How many turns at once.",
)
@click.option(
    "--secrets",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of NAME.env.",
)
@click.option(
    "--secrets-command",
    "command",
    default="",
    help="Prints NAME.env for a NAME.",
)
@click.option(
    "--notify",
    default="",
    envvar="ETL_FLEET_NOTIFY",
    metavar="URL|COMMAND",
    help="Is told what happens, as JSON; default $ETL_FLEET_NOTIFY.",
)
@click.option(
    "--metrics",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="For Prometheus.",
)
@click.option(
    "--metrics-address",
    "address",
    default="127.0.0.1",
    show_default=True,
    help="Where --metrics is answered; 0.0.0.0 in a container.",
)
@click.option(
    "--work",
    "place",
    type=click.Path(path_type=Path),
    default=Path("var/fleet"),
    show_default=True,
    help="Where files are unpacked; workers of one machine may share it.",
)
@db
def worker(  # noqa: PLR0913
    concurrency: int,
    folder: Path | None,
    command: str,
    notify: str,
    metrics: int | None,
    address: str,
    place: Path,
    engine: sa.Engine,
) -> None:
    """Take turns until a signal asks to stop; any number of these, on any machine."""
    secrets = Secrets(folder, command)
    check_secrets(secrets)
    check_target(notify)
    asked = _asked_to_stop()
    speak_in_lines(_say)
    _wait_for(engine, asked)
    tables.check(engine)
    others = [
        of.name for of in members.members(engine) if of.version != queue.VERSION
    ]
    if others:
        _say(
            f"left to workers of another version than {queue.VERSION}: {', '.join(others)}"
        )
    if folder and not any(folder.glob("*.env")):
        _say(f"{folder} holds no NAME.env yet")
    if metrics:
        from fleet.metrics import serve  # most workers serve none

        serve(engine, metrics, address)
    with own_place(place) as own:
        made = Worker(engine, own, secrets, concurrency, _say, notify)
        _say(
            f"{made.name} works on {counted(concurrency, 'migration')} at once"
        )
        asyncio.run(work(made, asked))
    _say(
        f"{made.name} has ended; what was begun is saved and back in the queue"
    )


def _asked_to_stop() -> threading.Event:
    """Whether a signal has asked to stop, from now until the worker's own handlers stand. It ends
    the command at once; where an interrupt is lost, as in a library's callback, it is remembered.
    """
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.default_int_handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return asked


def _wait_for(engine: sa.Engine, asked: threading.Event) -> None:
    """Wait until the database answers, as a worker does that has lost it, or until the worker is
    asked to stop.
    """
    told = ""
    while not asked.is_set():
        try:
            engine.connect().close()
            return
        except queue.DATABASE_ERRORS as error:
            why = str(_unusable(engine, error))
        if why != told:
            _say(f"{why}; it is asked again every {WATCHED:.0f} s")
        told = why
        time.sleep(WATCHED)


def _say(text: str) -> None:
    """Write to the log; that nobody reads it any more, or its disk is full, ends no turn."""
    with suppress(OSError):
        click.echo(f"{status.moment(time.time())} {text}", err=True)


@fleet_group.command("status")
@click.option("--watch", is_flag=True, help="Look every two seconds.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As one page.",
)
@machine
@db
def status_command(
    watch: bool, html: Path | None, as_json: bool, engine: sa.Engine
) -> None:
    """How far every migration is, and for which a person is needed."""
    tables.check(engine)
    _look(engine, html, as_json)
    while watch:
        time.sleep(WATCHED)
        click.clear()
        try:
            _look(engine, html, as_json)
        except queue.DATABASE_ERRORS as error:
            click.echo(f"{_unusable(engine, error)}", err=True)


def _look(engine: sa.Engine, html: Path | None, as_json: bool) -> None:
    found = status.looked(engine)
    if html:
        html.write_text(status.page(found, time.time()), encoding="utf-8")
        click.echo(f"{html}: {status.summary(found['migrations'])}")
    else:
        print_result(as_json, found, status.show)


@fleet_group.command("log")
@click.argument("name")
@db
def log(name: str, engine: sa.Engine) -> None:
    """The last turns of a migration, the newest last."""
    tables.check(engine)
    members.member(engine, name)
    turns = figures.turns_of(engine, name)
    if not turns:
        click.echo(
            f"{name} has had no turn yet – etl fleet start {name} sample"
        )
    for turn in reversed(turns):
        ended = f"to {status.moment(turn.ended)}" if turn.ended else "goes on"
        code = "" if turn.code is None else f", code {turn.code}"
        reason = f": {turn.reason}" if turn.reason else ""
        click.echo(
            f"{status.moment(turn.began)} {ended} {turn.stage} on {turn.worker}{code}{reason}"
        )


@fleet_group.command("report")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder, made where it is missing.",
)
@db
def report(name: str, out: Path, engine: sa.Engine) -> None:
    """Write the report of a migration's last turn that left one: HTML, JSON and CSV."""
    tables.check(engine)
    members.member(engine, name)
    files = reports.last(engine, name)
    if not files:
        raise UsageError(
            f"{name} has no report yet – etl fleet start {name} sample"
        )
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file, content in files.items():
        path = out / Path(file).name
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        ) as made:
            made.write(content)
        click.echo(str(path))


@fleet_group.command("plan")
@machine
@db
def plan(as_json: bool, engine: sa.Engine) -> None:
    """What all plans together come to, for each limit of an account and day by day."""
    tables.check(engine)
    plans: dict[str, figures.Turn] = {}
    done, missing = [], []
    for of in members.members(engine):
        made = figures.last_done(engine, of.name, ("plan",))
        since = figures.last_done(engine, of.name, ("run", "rollback"))
        if made and (since is None or since.id < made.id):
            plans[of.name] = made
        elif made and since and since.stage == "run":
            done.append(of.name)
        else:
            missing.append(of.name)
    found = added_up({name: made.verdict for name, made in plans.items()})
    planned = {name: made.ended for name, made in plans.items()}
    if as_json:
        more = {"planned": planned, "done": done, "missing": missing}
        click.echo(json.dumps({**asdict(found), **more}))
        return
    if plans:
        _show_plan(found, planned)
    if done:
        click.echo(f"done since they were planned: {', '.join(done)}")
    if missing:
        click.echo(
            f"not planned yet: {', '.join(missing)} – etl fleet start NAME plan"
        )
    if not (plans or done or missing):
        click.echo("no migration is here yet – etl fleet add NAME SPEC")


def _show_plan(found: Forecast, planned: Mapping[str, float]) -> None:
    for name, at in planned.items():
        click.echo(f"{name} was planned at {status.moment(at)} UTC")
    for use in filter(lambda use: use.needed, found.uses):
        days = f", {counted(use.days, 'day')}" if use.days else ""
        click.echo(
            f"{', '.join(use.names)}: {use.account} {use.limit}:"
            f" {use.needed:,.0f} {use.unit}{days}"
        )
    for day, (many, calls) in enumerate(found.days, 1):
        click.echo(
            f"day {day}: {counted(many, 'migration')}, {counted(round(calls), 'call')}"
        )
    click.echo(
        f"in all {counted(found.calls, 'call')} for {counted(len(planned), 'migration')}"
    )
