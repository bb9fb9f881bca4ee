"""What tests of a fleet have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests import postgres
from tests.fleet.commands import typed


@pytest.fixture(scope="session")
def fresh() -> Iterator[str]:
    """A database with a fleet, to be copied."""
    with postgres.database() as made:
        with redirect_stdout(StringIO()):
            typed(made, "init")
        yield made


@pytest.fixture
def url(fresh: str) -> Iterator[str]:
    """A database with a fleet."""
    with postgres.database(fresh) as made:
        yield made
