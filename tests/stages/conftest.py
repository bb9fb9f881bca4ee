"""A whole migration on fresh sandbox accounts, in one process, over real loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine import pipeline
from engine.cli.environment import accounts
from engine.connector.auth import Account, Accounts
from engine.connector.rate_limit import Clock
from engine.language.compile import Migration, load_migration
from engine.session import Run, wire
from engine.store.tables import Store, open_store
from tests import loopback
from tests.chaos.harness import SETTLED, SPEED
from tests.e2e.driving import HURRIED, once
from tests.replacing import replace

SPEC = Path(__file__).parents[2] / "specs" / "stel_order_to_pipedrive.yaml"


@dataclass(frozen=True)
class Desk:
    """Two sandbox accounts and a store; `run()` gives a new run on them."""

    migration: Migration
    store: Store
    accounts: Accounts
    folder: Path
    opened: list[Run] = field(default_factory=list)

    def run(self, clock: Clock | None = None, command: str = "test") -> Run:
        """A new run, as the command line would make it."""
        self.opened.append(wire(self.migration, self.accounts, self.store, clock, command=command))
        return self.opened[-1]

    def dump(self) -> list[dict[str, Any]]:
        """Every live row of the destination."""
        base = self.accounts.destination.base_url
        lines = loopback.get(f"{base}/__sandbox__/dump", timeout=60).text.splitlines()
        return [json.loads(line) for line in lines]

    def source_api(self, method: str, path: str, **body: Any) -> Any:
        """Play the people who keep working in the source."""
        account: Account = self.accounts.source
        answer = loopback.request(method, f"{account.base_url}{path}", headers={"APIKEY": account.secret}, json=body or None)
        answer.raise_for_status()
        return answer.json()

    def destination_api(self, method: str, path: str, **body: Any) -> Any:
        """Play the people who keep working in the destination."""
        account: Account = self.accounts.destination
        answer = loopback.request(method, f"{account.base_url}{path}", headers={"x-api-token": account.secret}, json=body or None)
        answer.raise_for_status()
        return answer.json()


def wide(migration: Migration) -> Migration:
    """The same migration on plans whose limits do not slow a test down, to an account whose clock runs faster."""
    spec, connector = migration.spec, migration.destination
    source, destination = replace(spec.source, plan="unlimited"), replace(spec.destination, plan="ultimate", seats=50)
    limits = tuple(item if item.name == "day" else replace(item, seconds=item.seconds / SPEED) for item in connector.limits)
    connector = replace(connector, limits=limits, connection=replace(connector.connection, reconcile_after=SETTLED))
    return replace(migration, spec=replace(spec, source=source, destination=destination), destination=connector)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Fresh accounts and a fresh store."""
    with at(tmp_path) as desk:
        yield desk


@pytest.fixture
def migrated(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Accounts and a store after a full run, which is made once in a test session and copied."""

    with after_a_run("stages-migrated", None, tmp_path, tmp_path_factory) as desk:
        yield desk


@pytest.fixture
def sampled(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The same after a sample of sixty records."""
    with after_a_run("stages-sampled", 60, tmp_path, tmp_path_factory) as desk:
        yield desk


@contextmanager
def after_a_run(name: str, sample: int | None, folder: Path, factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A copy of the accounts and the store that the first worker to ask for them has migrated."""

    def migrate(there: Path) -> dict[str, str]:
        with at(there) as desk:
            pipeline.migrate(desk.run(), sample)
        return {"folder": str(there)}

    _copy(Path(once(factory, name, migrate)["folder"]), folder)
    with at(folder) as desk:
        yield desk


@cache
def shipped() -> Migration:
    """The shipped migration on wide plans: read once in a process, for nothing changes it."""
    return wide(load_migration(SPEC, {}))


@contextmanager
def at(folder: Path) -> Iterator[Desk]:
    """The accounts and the store in a folder; fresh ones where it has none."""
    migration = shipped()
    store = open_store(str(folder / "store.sqlite"))
    with accounts(migration, "sandbox", {"ETL_SANDBOX_SIZE": "60", **HURRIED}, folder / "sandbox") as found:
        desk = Desk(migration, store, found, folder)
        yield desk
        for run in desk.opened:
            run.close()
    store.close()


def changed(desk: Desk, edit: Callable[[str], str]) -> Desk:
    """The same desk under a changed spec: `changed(desk, lambda text: text.replace(...))`."""
    root = desk.folder / "project"
    for name in ("connectors", "templates"):
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(SPEC.parents[1] / name, root / name)
    spec = root / "specs" / SPEC.name
    spec.parent.mkdir(exist_ok=True)
    spec.write_text(edit(SPEC.read_text(encoding="utf-8")), encoding="utf-8")
    return replace(desk, migration=wide(load_migration(spec, {})))


def _copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
