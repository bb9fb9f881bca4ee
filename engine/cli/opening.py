"""A run opened for a command: its migration, store, accounts and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from engine.cli.environment import accounts, variables
from engine.cli.options import OWN_SIZE, Settings
from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.model import Connector
from engine.connector.rate_limit import Clock
from engine.errors import EtlError, UsageError
from engine.extract.accounts import belongs, of_migration
from engine.language.compile import Migration, load_migration
from engine.language.model import Side
from engine.report.words import clean
from engine.session import Progress as Listener
from engine.session import Run, connect, quiet
from engine.store.journal import all_runs, close_killed, end_run, start_run
from engine.store.lease import lease
from engine.store.records import forget
from engine.store.tables import Store, open_store

NO_KEY = "-"  # stands in for the key of an account that is not called


@contextmanager
def opened(
    settings: Settings,
    command: str,
    wait: bool = False,
    refresh: bool = False,
    rebind: bool = False,
) -> Iterator[Run]:
    """A run on a migration's two accounts, with its row in the store from start to end;
    `refresh` forgets what was read.

    With `rebind`, the store belongs to these accounts from now on, whatever it was begun with.
    """
    env = variables()
    migration = load_migration(settings.spec, env)
    clock = Clock()
    with (
        closing(_store(migration, settings)) as opened_store,
        lease(opened_store) as store,
        listening(settings) as listener,
        accounts(
            migration,
            settings.environment,
            env,
            store.folder / f"{migration.spec.name}.sandbox",
        ) as found,
    ):
        with store.begin() as connection:
            close_killed(connection)
            run_id = start_run(connection, command, clock.now(), migration.spec.digest)
            if refresh:
                forget(connection)
        spec = migration.spec
        source = connect(
            migration.source, spec.source, found.source, store, clock, wait
        )
        destination = connect(
            migration.destination,
            spec.destination,
            found.destination,
            store,
            clock,
            wait,
        )
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

    def unused(connector: Connector, side: Side) -> Client:
        account = Account(connector.connection.base_url, NO_KEY)
        return connect(connector, side, account, store, clock)

    source = unused(migration.source, migration.spec.source)
    destination = unused(migration.destination, migration.spec.destination)
    try:
        run = Run(0, migration, store, source, destination, clock)
        of_migration(run)
        yield run
    finally:
        source.close()
        destination.close()
        store.close()


def begun(run: Run, settings: Settings) -> list[dict[str, Any]]:
    """The runs of a store; raises UsageError where none has migrated anything, as in a store
    that was misspelt.
    """
    with run.store.begin() as connection:
        runs = all_runs(connection)
    if not any(row["command"].startswith("run") for row in runs):
        first = f"etl run {settings.spec} --sample --env {settings.environment}"
        raise UsageError(
            "nothing has been migrated with this store yet – check --store and --env,"
            f" or start with: {first}"
        )
    return runs


def _store(migration: Migration, settings: Settings, make: bool = True) -> Store:
    url = settings.store or f"var/{migration.spec.name}.{settings.environment}.sqlite"
    if not make and "://" not in url and not Path(url).exists():
        raise UsageError(
            f"there is no store {url} yet – start with: etl run {settings.spec}"
            " --sample"
        )
    return open_store(url)


@contextmanager
def listening(settings: Settings) -> Iterator[Listener]:
    """Progress bars on a terminal; silence where output is piped."""
    if settings.as_json or not sys.stderr.isatty():
        yield quiet
        return
    columns = (
        TextColumn("{task.description:<48}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(clean(label), total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield show


def size_of(size: int | None, run: Run) -> int | None:
    return run.spec.sample.records if size == OWN_SIZE else size
