"""A platform to migrate on, stopped at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from engine.connector import transport
from tests.platforms.platform import Platform, Row, served

Serve = Callable[..., Platform]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that found no answer is repeated as often as ever, but not after seconds: `tests/connector` tests how long."""
    monkeypatch.setattr(transport, "BACKOFF", 0.01)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a platform with tables: `serve(people=[...], contacts=[])`."""
    with ExitStack() as stack:

        def start(**tables: list[Row]) -> Platform:
            platform = Platform(
                {name: [dict(row) for row in rows] for name, rows in tables.items()}
            )
            return stack.enter_context(served(platform))

        yield start
