"""Mistakes in the shape of a spec hide none of the others that do not follow from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.document import read
from engine.errors import Diagnostic, Place
from tests.spec.expected import described
from tests.spec.test_checks import project

CASES = sorted((Path(__file__).parent / "beside").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_all_mistakes_are_told_in_one_go(path: Path, tmp_path: Path, quick_etl: Callable[..., tuple[int, str]]) -> None:
    """`etl validate` tells those of the shape, and what is wrong in the parts that can be checked; nothing twice."""
    case = read(path).data
    code, told = quick_etl("validate", str(project(tmp_path / "project", case["spec"])), "--json")
    assert code == 2
    found = [
        Diagnostic(Place(**item["where"]), item["path"], item["code"], item["problem"], item["advice"])
        for item in json.loads(told)["problems"]
    ]
    assert [described(*pair) for pair in zip(found, case["expect"], strict=True)] == case["expect"]
