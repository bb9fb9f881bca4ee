"""What every stage is given: the migration, the store, the two clients, time, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.model import Connector
from engine.connector.rate_limit import Clock, RateLimiter
from engine.language.compile import Migration
from engine.language.model import Side, Spec
from engine.store.tables import Store

Progress = Callable[[str, int, int | None], None]


def quiet(label: str, done: int, total: int | None) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Run:
    """One command at work on one migration."""

    id: int
    migration: Migration
    store: Store
    source: Client
    destination: Client
    clock: Clock
    progress: Progress = quiet
    files: Path = Path("var/files")
    notices: list[str] = field(default_factory=list)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """The migration's spec."""
        return self.migration.spec

    def listed(self, resource: str) -> list[dict[str, Any]]:
        """A short list of the destination, read once in a run: definitions, pipelines, stages.

        Rows this run adds itself are not in it.
        """
        if resource not in self.lists:
            self.lists[resource] = list(self.destination.rows(resource))
        return self.lists[resource]

    def notice(self, text: str) -> None:
        """Say something people should read once."""
        if text not in self.notices:
            self.notices.append(text)


def connect(
    connector: Connector,
    side: Side,
    account: Account,
    store: Store,
    clock: Clock,
    wait_for_day: bool = False,
) -> Client:
    """A paced client for one account."""
    limiter = RateLimiter(
        store,
        f"{connector.name}:{account.id}",
        connector.limits,
        side.plan,
        side.seats,
        side.reserve,
        clock,
        wait_for_day,
    )
    return Client(connector, account, limiter, clock)


def spent(client: Client) -> Mapping[str, Any]:
    """Calls and cost units this run has used on an account."""
    return {
        "calls": client.limiter.calls,
        "cost": client.limiter.cost,
        "waited": round(client.limiter.waited, 1),
    }
