"""What every stage is given: the migration, the store, the two clients, time, and who listens.

`wire` is the one place where a run is put together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from engine.connector.auth import Account, Accounts
from engine.connector.client import Client
from engine.connector.model import Connector, Resource
from engine.connector.rate_limit import Clock, RateLimiter
from engine.language.compile import Migration
from engine.language.model import Side, Spec
from engine.store.journal import start_run
from engine.store.tables import Store
from engine.values import T

Progress = Callable[[str, int, int | None], None]


def quiet(label: str, done: int, total: int | None) -> None:
    """Nobody listens."""


class Event(msgspec.Struct, frozen=True):
    """Something that happens in a run. It holds no secret, and nothing of a record but its key.

    `text` is the command of a run that begins, and how it ended; the name of a stage; the limit
    that is waited for, "" where the platform asks for a pause.
    """

    kind: Literal[
        "run begins",
        "run ends",
        "stage begins",
        "stage ends",
        "record fails",
        "wait begins",
    ]
    run: int
    object: str = ""
    key: str = ""
    text: str = ""
    seconds: float = 0.0  # how long is waited
    account: str = ""  # ... and whose limit it is, by the name of its platform


Log = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Nobody listens."""


class Run(msgspec.Struct, frozen=True):
    """One command at work on one migration."""

    id: int
    migration: Migration
    store: Store
    source: Client
    destination: Client
    clock: Clock
    progress: Progress = quiet
    log: Log = unheard
    # the day that it began on, in UTC: all of a run has one
    today: str = ""
    notices: list[str] = []
    _lists: dict[str, list[dict[str, Any]]] = {}

    @property
    def spec(self) -> Spec:
        """The migration's spec."""
        return self.migration.spec

    def resource(self, name: str) -> Resource:
        """A resource of the destination, as its connector declares it."""
        return self.migration.destination.resources[name]

    def collection(self, name: str) -> Resource:
        """A collection of the source, as its connector declares it."""
        return self.migration.source.resources[name]

    def each(self, label: str, items: Collection[T]) -> Iterator[T]:
        """These one by one; who listens is told how many are done."""
        for position, item in enumerate(items):
            self.progress(label, position, len(items))
            yield item
        self.progress(label, len(items), len(items))

    @property
    def files(self) -> Path:
        """Where files that are on their way lie, beside the store."""
        return self.store.folder / f"{self.spec.name}.files"

    def listed(self, resource: str) -> list[dict[str, Any]]:
        """A short list of the destination, read once in a run: definitions, pipelines, stages.

        Rows this run adds itself are not in it.
        """
        if resource not in self._lists:
            self._lists[resource] = list(self.destination.rows(resource))
        return self._lists[resource]

    def forget_lists(self) -> None:
        """Read short lists anew: what they held may have changed."""
        self._lists.clear()

    def notice(self, text: str) -> None:
        """Say something people should read once."""
        if text not in self.notices:
            self.notices.append(text)

    def failed(self, object: str, key: str) -> None:
        """A record fails; why stands in the report, for that may hold its values."""
        self.log(Event("record fails", self.id, object, key))

    def waits(self, account: str, limit: str, seconds: float) -> None:
        """A call waits for a limit of an account."""
        self.log(Event("wait begins", self.id, "", "", limit, seconds, account))

    def close(self) -> None:
        """Let both accounts go."""
        self.source.close()
        self.destination.close()


def wire(  # noqa: PLR0913
    migration: Migration,
    accounts: Accounts,
    store: Store,
    clock: Clock | None = None,
    *,
    command: str = "",
    wait: bool = False,
    progress: Progress = quiet,
    log: Log = unheard,
) -> Run:
    """A run on two accounts; whoever asks for it closes it.

    With a `command` it has a row in the store; without one it has no number and writes nothing.
    """
    clock, number = clock or Clock(), 0
    if command:
        with store.begin() as connection:
            number = start_run(
                connection, command, clock.now(), migration.spec.digest
            )

    spec = migration.spec
    ends = (
        (migration.source, spec.source, accounts.source),
        (migration.destination, spec.destination, accounts.destination),
    )
    source, destination = (_client(*end, store, clock, wait) for end in ends)
    today = datetime.fromtimestamp(clock.now(), UTC).date().isoformat()
    run = Run(
        number,
        migration,
        store,
        source,
        destination,
        clock,
        progress,
        log,
        today,
    )
    for client in (source, destination):
        client.limiter.heard = functools.partial(
            run.waits, client.connector.title
        )
    return run


def _client(
    connector: Connector,
    side: Side,
    account: Account,
    store: Store,
    clock: Clock,
    wait: bool,
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
        wait,
    )
    return Client(connector, account, limiter, clock)


Stage = TypeVar("Stage", bound=Callable[..., Any])


def stage(name: str) -> Callable[[Stage], Stage]:
    """A function of a run that is one of its stages: told when it begins and when it ends."""

    def told(function: Stage) -> Stage:
        @functools.wraps(function)
        def at_work(run: Run, *args: Any, **named: Any) -> Any:
            run.log(Event("stage begins", run.id, text=name))
            try:
                return function(run, *args, **named)
            finally:
                run.log(Event("stage ends", run.id, text=name))

        return cast(Stage, at_work)

    return told
