"""Both ends of a migration on one small platform that a test describes, and a new run for each command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.connector.auth import Account, Accounts
from engine.language.compile import load_migration
from engine.session import Run, wire
from engine.store.tables import open_store


class Desk:
    """A platform with a source and a destination, a store, and the migration between them."""

    def __init__(self, bench: Any, folder: Path, platform: Any, source: str, destination: str, spec: str) -> None:
        self.platform, self.folder = platform, folder
        (folder / "source.yaml").write_text(source)
        (folder / "destination.yaml").write_text(destination)
        self.become(spec)
        self.base, self.stack = bench.serve(platform.routes), bench.stack
        self.store = open_store(str(folder / "people.sqlite"))
        self.stack.callback(self.store.close)

    def become(self, spec: str) -> None:
        """Change the spec."""
        (self.folder / "spec.yaml").write_text(spec)
        self.migration = load_migration(self.folder / "spec.yaml", {})

    def run(self) -> Run:
        """A new run, as the command line would make it."""
        sides = self.migration.source, self.migration.destination
        accounts = Accounts(*(Account(self.base, "", side.name) for side in sides))
        run = wire(self.migration, accounts, self.store, command="test")
        self.stack.callback(run.close)
        return run
