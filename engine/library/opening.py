"""A migration that is held: its store leased, its accounts known; and its numbered runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cli.environment import accounts as accounts_of
from engine.cli.environment import check_accounts, variables
from engine.connector.auth import Account, Accounts
from engine.connector.load import SHIPPED, connector_file
from engine.connector.rate_limit import Clock
from engine.destination.definitions import known_fields
from engine.errors import (
    EtlError,
    QuotaExhausted,
    UnsafePlan,
    UsageError,
)
from engine.extract.accounts import belongs
from engine.language.compile import Migration, load_migration, shown
from engine.library.events import calls_to_logger, to_logger
from engine.report.words import PAUSED, REFUSED, counted
from engine.session import Event, Log, Progress, Run, quiet, unheard, wire
from engine.store.journal import all_runs, close_killed, end_run
from engine.store.lease import HOLDS, lease
from engine.store.links import (
    any_links,
    count_links,
    stream_links,
)
from engine.store.records import forget
from engine.store.tables import Store, open_store
from engine.values import grouped

NO_KEY = "-"  # stands in for the key of an account that is not called


@dataclass(frozen=True, slots=True)
class Held:
    """A migration whose store nobody else can use, with its accounts and listeners."""

    spec: Path
    environment: str
    place: str  # of the store
    migration: Migration
    store: Store
    accounts: Accounts
    clock: Clock
    progress: Progress
    log: Log
    # one run at a time; nobody gives it back any more when the migration is closed
    turn: threading.Lock = field(default_factory=threading.Lock)


def place_of(name: str, environment: str) -> str:
    """Where the store of a migration is, unless another is named."""
    return f"var/{name}.{environment}.sqlite"


def _status_of(
    spec: Path, migration: Migration, environment: str, place: str
) -> str:
    """What `etl status` is called with to look at a store; a URL may hold a password."""
    words = f"{spec} --env {environment}"
    usual = place == place_of(migration.spec.name, environment)
    return words if usual or "://" in place else f"{words} --store {place}"


def nobody(migration: Migration) -> Accounts:
    """Accounts for a run that makes no calls."""
    sides = migration.source, migration.destination
    return Accounts(
        *(Account(side.connection.base_url, NO_KEY) for side in sides)
    )


@contextmanager
def held(  # noqa: PLR0913
    spec: Path,
    environment: str,
    place: str | None = None,
    *,
    accounts: Accounts | None = None,
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    progress: Progress = quiet,
    log: Log = unheard,
    admit: Callable[[Migration], None] = lambda _: None,
    holds: float = HOLDS,
) -> Iterator[Held]:
    """A migration, its store and its accounts, for as long as the block runs.

    `admit` is asked once the spec is known, before anything else is opened. A lease in PostgreSQL
    `holds` for so many seconds after the last sign of life.
    """
    env = variables() if env is None else env
    migration = load_migration(spec, env)
    admit(migration)
    if accounts is None:
        check_accounts(migration, environment, env)
    place = place or place_of(migration.spec.name, environment)
    with (
        closing(open_store(place)) as opened,
        lease(
            opened, holds, _status_of(spec, migration, environment, place)
        ) as store,
    ):
        sandbox = store.folder / f"{migration.spec.name}.sandbox"
        given: AbstractContextManager[Accounts] = (
            nullcontext(accounts)
            if accounts
            else accounts_of(migration, environment, env, sandbox)
        )
        with given as found:
            clock = clock or Clock()
            made = Held(
                spec,
                environment,
                place,
                migration,
                store,
                found,
                clock,
                progress,
                log,
            )
            try:
                yield made
            finally:
                made.turn.acquire()


@contextmanager
def numbered(
    held: Held,
    command: str,
    *,
    wait: bool = False,
    refresh: bool = False,
    rebind: bool = False,
) -> Iterator[Run]:
    """A run with its row in the store from start to end; `refresh` forgets what was read.

    With `rebind`, the store belongs to these accounts from now on, whatever it was begun with, once
    both have taken their keys: a wrong one raises ApiError, and the store still knows whose it is.
    """
    if not held.turn.acquire(blocking=False):
        raise UsageError(
            "this migration is closed, or another of its methods is running – call one"
            " after the other, inside the `with` block"
        )
    try:
        with held.store.begin() as connection:
            close_killed(connection)
            if refresh:
                forget(connection)
        with closing(_wired(held, command, wait)) as run, _told(run, command):
            if rebind:
                _ask_both(run)
            belongs(run, rebind)
            run.notices.extend(_overridden(held))
            run.notices.extend(_beyond_plan(held))
            run.notices.extend(_switched_off(held))
            run.notices.extend(_undeclared(held))
            calls_to_logger(run)
            yield run
    finally:
        held.turn.release()


def _ask_both(run: Run) -> None:
    for client in (run.source, run.destination):
        client.check()


def _overridden(held: Held) -> Iterator[str]:
    """Connectors of the project that stand in for those of the same name that etl brings along."""
    for side in ("source", "destination"):
        name = held.migration.document.data[side]["connector"]
        file = connector_file(held.spec.parent, name)
        shipped = SHIPPED / f"{name}.yaml"
        if shipped.exists() and file.read_bytes() != shipped.read_bytes():
            yield f"the connector {name!r} is {shown(file)}, not the one that etl brings along"


def _beyond_plan(held: Held) -> Iterator[str]:
    """Custom fields that the destination's plan has no room for, and where their values go."""
    for item in held.migration.warnings:
        if item.code == "account-full":
            yield item.problem


def _switched_off(held: Held) -> Iterator[str]:
    """Objects that have rows and are switched off now, such as notes of fields that there is room
    for by now.
    """
    objects = held.migration.spec.objects.values()
    with held.store.begin() as connection:
        left = [
            mapping
            for mapping in objects
            if not mapping.enabled and any_links(connection, mapping.name)
        ]
        # counting looks at every row of every object: hardly a command needs it
        written = count_links(connection) if left else {}
    for mapping in left:
        yield (
            f"{mapping.label}: {written[mapping.name]} rows are no longer kept up, for this object"
            " is switched off now; delete them in the destination, or keep them as they are"
        )


def _undeclared(held: Held) -> Iterator[str]:
    """Custom fields that were taken out of the spec after rows were written with them."""
    spec = held.migration.spec
    # what the store knows by an old name is carried over when the run begins
    known = set(spec.custom_fields) | {
        (item.resource, item.was) for item in spec.custom_fields.values()
    }
    resources = {mapping.resource for mapping in spec.objects.values()}
    with held.store.begin() as connection:
        made = [
            (resource, name)
            for resource in resources
            for name in known_fields(connection, resource)
        ]
    gone = grouped(field for field in made if field not in known)
    for mapping in spec.objects.values():
        # counting looks at every row: only after a field was taken out
        for name, rows in _written(
            held.store, mapping.name, gone.get(mapping.resource, ())
        ).items():
            yield (
                f"{mapping.label}: the custom field {name!r} is no longer in the spec;"
                f" {counted(rows, 'row')} keep what was written into it"
            )


def _written(store: Store, name: str, fields: Sequence[str]) -> Counter[str]:
    """How many rows of an object were written with each of these custom fields."""
    found = Counter[str]()
    for batch in stream_links(store, name) if fields else ():
        for link in batch:
            found.update(
                field for field in fields if f"custom.{field}" in link.written
            )
    return found


def _wired(held: Held, command: str, wait: bool) -> Run:
    return wire(
        held.migration,
        held.accounts,
        held.store,
        held.clock,
        command=command,
        wait=wait,
        progress=held.progress,
        log=to_logger(held.log),
    )


@contextmanager
def _told(run: Run, command: str) -> Iterator[None]:
    """Report that a run begins and how it ends, and record it."""
    outcome = told = "interrupted"
    try:
        run.log(Event("run begins", run.id, text=command))
        yield
        outcome = told = "done"
    except EtlError as error:
        # the store keeps the message; a log is told no more than what kind it is of
        said = run.source.redact(run.destination.redact(str(error)))
        outcome = f"{_kind(error)}{said}"[:500]
        told = type(error).__name__
        raise
    finally:
        with run.store.begin() as connection:
            end_run(connection, run.id, run.clock.now(), outcome)
        run.log(Event("run ends", run.id, text=told))


def _kind(error: EtlError) -> str:
    """What the store says before the message of an end that is no failure."""
    if isinstance(error, QuotaExhausted):
        return PAUSED
    return REFUSED if isinstance(error, UnsafePlan | UsageError) else ""


def begun(run: Run, spec: Path, environment: str) -> list[dict[str, Any]]:
    """The runs of a store; raises UsageError where none has migrated anything, as when the store
    was misspelt.
    """
    with run.store.begin() as connection:
        runs = all_runs(connection)
    if not any(row["command"].startswith("run") for row in runs):
        first = f"etl run {spec} --sample --env {environment}"
        raise UsageError(
            "nothing has been migrated with this store yet – check --store and --env,"
            f" or start with: {first}"
        )
    return runs
