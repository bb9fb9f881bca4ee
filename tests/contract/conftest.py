"""The published documents, and one recording all contract tests look at."""

from __future__ import annotations

import pytest

from engine.connector.load import load_connector
from engine.connector.model import Connector
from tests.contract import published
from tests.contract.checking import Checker, Mismatch, mismatches
from tests.contract.driving import ROOT, Recorded, drive
from tests.contract.further import drive as drive_further
from tests.contract.recorder import Exchange


@pytest.fixture(scope="session")
def documents() -> published.Documents:
    """Both documents; without them every test that needs them is left out."""
    if not published.available():
        pytest.skip(
            "the published OpenAPI documents are not in this checkout (../shared/reference/pipedrive); "
            "contract tests left out"
        )
    return published.load()


@pytest.fixture(scope="session")
def connector() -> Connector:
    """The connector as it is shipped."""
    return load_connector(ROOT / "connectors" / "pipedrive.yaml")


@pytest.fixture(scope="session")
def recorded(documents: published.Documents, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Both migrations and the round of operations, recorded once."""
    assert documents
    return drive(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="session")
def further(documents: published.Documents, tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """What the emulator answers where the connector never asks."""
    assert documents
    return drive_further(tmp_path_factory.mktemp("further"))


@pytest.fixture(scope="session")
def found(documents: published.Documents, recorded: Recorded, further: list[Exchange]) -> dict[Mismatch, int]:
    """Where the migration, the round of operations and the further calls differ from the documents."""
    return mismatches(Checker(documents), [*recorded.exchanges, *further])
