"""What other people's clients do not get from the emulator, held against the published documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.pipedrive.app import OPERATIONS
from tests.contract.published import Documents

pytestmark = pytest.mark.contract
FINDINGS: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "clients" / "findings.yaml").read_text(encoding="utf-8"))
PUBLISHED = ("deprecated", "nobody_has_one", "not_served")


def published(documents: Documents, one: str) -> bool:
    """Whether an operation without its ids is in the documents."""
    verb, path = one.split(" ", 1)
    return documents.declared(verb, path) is not None


def test_what_is_removed_is_not_published(documents: Documents) -> None:
    """An operation that clients call and that is not built because it is gone is in no document."""
    assert [one for one in FINDINGS["removed"] if published(documents, one)] == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_left_out_is_published(documents: Documents, name: str) -> None:
    """Nothing stands in the list that no document has."""
    assert [one for one in FINDINGS[name] if not published(documents, one)] == []


def test_what_is_left_out_is_not_served() -> None:
    """No entry is out of date: the emulator has none of these operations."""
    served = {re.sub(r"\{[^}]*\}", "{}", f"{one.verb} /api/{one.version}{one.path}") for one in OPERATIONS}
    listed = {one for name in (*PUBLISHED, "removed") for one in FINDINGS[name]}
    assert listed & served == set()
