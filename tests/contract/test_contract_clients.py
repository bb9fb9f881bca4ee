"""What other people's clients do not get from the emulator, held against the published documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.pipedrive import absent
from sandbox.pipedrive.app import OPERATIONS
from sandbox.pipedrive.call import Operation
from tests.contract.published import Documents

pytestmark = pytest.mark.contract
FINDINGS: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "clients" / "findings.yaml").read_text(encoding="utf-8"))


def shape(operation: Operation) -> str:
    """An operation of the emulator as the lists write it."""
    return re.sub(r"\{[^}]*\}", "{}", f"{operation.verb} /api/{operation.version}{operation.path}")


def published(documents: Documents, one: str) -> bool:
    """Whether an operation without its ids is in the documents."""
    verb, path = one.split(" ", 1)
    return documents.declared(verb, path) is not None


def test_what_is_removed_is_not_published(documents: Documents) -> None:
    """An operation that clients call and that is not built because it is gone is in no document."""
    assert [one for one in FINDINGS["removed"] if published(documents, one)] == []


def test_what_is_removed_is_not_served() -> None:
    """No entry is out of date: the emulator has none of these operations."""
    assert set(FINDINGS["removed"]) & set(map(shape, OPERATIONS)) == set()


def test_what_nobody_has_is_said_to_be_nowhere() -> None:
    """The list of rows that nobody has is the one of operations that answer so."""
    assert sorted(FINDINGS["nobody_has_one"]) == sorted(map(shape, absent.OPERATIONS))


def test_every_published_reading_operation_is_served(documents: Documents) -> None:
    """No call that only reads, and that is published, is unknown to the emulator; an app signs in at another host."""
    served = {(one.verb, re.sub(r"\{[^}]*\}", "{}", f"/api/{one.version}{one.path}")) for one in OPERATIONS}
    assert sorted(path for verb, path in documents.by_shape.keys() - served if verb == "GET") == ["/api/v1/oauth/authorize"]
