"""Rows made of the elements of a list: each has a key of its own, whatever its id is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)

LISTS: dict[str, list[Any]] = {
    "a place before": [{"text": "zero"}, {"id": "[0]", "text": "one"}],
    "a place after": [{"id": "[1]", "text": "zero"}, {"text": "one"}],
    "a place behind another": [{"id": "a"}, {"id": "a"}, {"id": "a[1]", "text": "own"}],
    "places of places": [{"id": "[1]"}, {"text": "one"}, {"id": "[1][1]", "text": "own"}],
}


@pytest.mark.parametrize("lines", LISTS.values(), ids=LISTS)
def test_no_element_hides_another(lines: list[Any], serve: Serve, tmp_path: Path) -> None:
    """An id that reads like the place of an element without one is another: every element is judged, and those with an
    id of their own are made.
    """
    platform = serve(people=[{"id": 1, "lines": lines}], notes=[])
    source: dict[str, Any] = {
        "resources": {"people": readable("people", lines="list line")},
        "shapes": {"line": {"id": "text", "text": "text"}},
    }
    there = {"notes": writable("notes", ["code"], code="text", text="text")}
    each = {"name": "line", "path": "lines", "key": "id"}
    fields = {"code": "$key", "text": "line.text"}
    spec = migration({"notes": mapped("people", "notes", fields, each=each)})
    verdict = project(tmp_path, platform, source, there, spec).full(code=1)["verdict"]
    assert verdict["arrived"] + verdict["failed"] == len(lines)
    codes = [row["code"] for row in platform.tables["notes"]]
    assert len(set(codes)) == len(codes) == verdict["arrived"]
