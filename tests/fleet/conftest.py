"""What tests of a fleet have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres
from tests.fleet.commands import typed


@pytest.fixture
def url() -> Iterator[str]:
    """A database with a fleet."""
    with postgres.database() as made:
        typed(made, "init")
        yield made
