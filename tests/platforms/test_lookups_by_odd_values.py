"""Records that are found by a value that no database takes as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.platform import Platform, served
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

ODD = ["a\0b", "half \ud83d of a character"]


def made(folder: Path, platform: Platform) -> Project:
    """Firms become companies with the names of the people that give the firm's code."""
    source = {
        "firms": readable("firms", name="text", code="text"),
        "people": readable("people", name="text", firm="text"),
    }
    destination = {"companies": writable("companies", ["name"], name="text", note="text")}
    note = {"template": "{% for p in peers %}{{ p.name }} {% endfor %}"}
    children = {"peers": {"from": "people", "on": "firm", "by": "code"}}
    firms = mapped("firms", "companies", {"name": "name", "note": note}, children=children)
    return project(folder, platform, source, destination, migration({"companies": firms}))


@pytest.mark.parametrize("code", ODD)
def test_children_are_found_by_a_value_that_no_database_takes(tmp_path: Path, code: str) -> None:
    """A firm's people are found by a code with a NUL or half a character in it, and the run does not crash."""
    tables: dict[str, list[dict[str, Any]]] = {
        "firms": [{"id": 1, "name": "Acme", "code": code}],
        "people": [{"id": 1, "name": "Ann", "firm": code}],
        "companies": [],
    }
    platform = Platform(tables)
    with served(platform):
        made(tmp_path, platform).full()
        assert platform.one("companies", name="Acme")["note"].strip() == "Ann"


@pytest.mark.parametrize("code", ODD)
def test_a_new_child_by_a_value_that_no_database_takes_is_noticed(tmp_path: Path, code: str) -> None:
    """A delta sees that a firm has got a first person by such a code, and writes the note anew."""
    tables: dict[str, list[dict[str, Any]]] = {
        "firms": [{"id": 1, "name": "Acme", "code": code}],
        "people": [{"id": 1, "name": "Ann", "firm": "other"}],
        "companies": [],
    }
    platform = Platform(tables)
    with served(platform):
        made_ = made(tmp_path, platform)
        made_.full()
        platform.tables["people"].append({"id": 2, "name": "Bob", "firm": code})
        made_.delta(code=0)
        assert (platform.one("companies", name="Acme").get("note") or "").strip() == "Bob"
