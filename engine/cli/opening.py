"""A run opened for a command: its migration, store, accounts and who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.cli.environment import variables
from engine.cli.gate import gate_of_program
from engine.cli.options import OWN_SIZE, Settings
from engine.cli.progress import listening
from engine.errors import UsageError
from engine.extract.accounts import of_migration
from engine.language.compile import Migration, load_migration
from engine.library.opening import held, nobody, numbered, place_of
from engine.session import Run, wire
from engine.store.tables import open_store


@contextmanager
def opened(
    settings: Settings,
    command: str,
    wait: bool = False,
    refresh: bool = False,
    rebind: bool = False,
    full: bool = False,
) -> Iterator[Run]:
    """A run on a migration's two accounts; a `full` one against live accounts is admitted by
    the gate, before anything is opened.
    """
    gate = gate_of_program()

    def admit(migration: Migration) -> None:
        if full and settings.environment == "live":
            gate.admit(migration, settings.spec, settings.store)

    with (
        listening(settings.as_json) as (progress, log),
        held(
            settings.spec,
            settings.environment,
            settings.store,
            progress=progress,
            log=log,
            admit=admit,
        ) as found,
        numbered(
            found, command, wait=wait, refresh=refresh, rebind=rebind
        ) as run,
    ):
        yield run


@contextmanager
def from_store(settings: Settings) -> Iterator[Run]:
    """A run that looks at the store only; its clients are never used."""
    migration = load_migration(settings.spec, variables())
    place = settings.store or place_of(
        migration.spec.name, settings.environment
    )
    if "://" not in place and not Path(place).exists():
        raise UsageError(
            f"there is no store {place} yet – start with: etl run {settings.spec}"
            " --sample"
        )
    with (
        closing(open_store(place)) as store,
        closing(wire(migration, nobody(migration), store)) as run,
    ):
        of_migration(run)
        yield run


def size_of(size: int | None, run: Run) -> int | None:
    return run.spec.sample.records if size == OWN_SIZE else size
