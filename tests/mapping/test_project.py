"""Records to drafts by example: the case files, and what holds for every projection."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.config.document import read
from engine.language.model import Path as SpecPath
from engine.language.model import Test as Comparison
from engine.mapping.evaluate import Evaluation, _passes, record_key
from tests.mapping.conftest import Desk

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in read(path).data
]
EVERYTHING = {"name", "fields", "object", "above", "pipelines", "settings", "record", "around", "users", "undrafted", "expect"}


def story(draft: Evaluation, expected: dict[str, Any]) -> dict[str, Any]:
    """A draft as a case tells it, with as much detail as the case asks for."""
    told: dict[str, Any] = {"state": draft.state, "body": draft.body}
    if "key" in expected:
        told["key"] = draft.key
    if "reason" in expected:
        told["reason"] = draft.reason
    if "how" in expected:
        told["how"] = {trace.target: trace.how for trace in draft.traces if trace.target in expected["how"]}
    told["notes"] = [f"{note.field}: {note.text}" for note in draft.notes]
    return told


@pytest.mark.parametrize("case", CASES)
def test_case(case: dict[str, Any], desk: Desk) -> None:
    """A record becomes the drafts its case says, state, findings and traces included, and stays as it was."""
    assert case.keys() <= EVERYTHING
    objects = {**case.get("above", {}), "it": {"from": "orders", "to": "things", **case.get("object", {})}}
    objects["it"]["fields"] = {**case.get("fields", {}), **case.get("object", {}).get("fields", {})}
    key = case.get("object", {}).get("from", "orders") + "/1"
    records = {key: case["record"], **case.get("around", {})}
    before = json.dumps(records)
    parts = {name: case[name] for name in ("pipelines", "settings") if name in case}
    drafts = desk.project(objects, records, key, users=case.get("users", ()), undrafted=case.get("undrafted", ()), **parts)
    expected = [{"state": "ready", "notes": [], **one} for one in case["expect"]]
    told = [story(draft, one) for draft, one in zip(drafts, expected, strict=False)]
    assert (len(drafts), told) == (len(expected), expected)
    assert json.dumps(records) == before


def test_cases_are_sound() -> None:
    """There are enough cases, each of its own name."""
    names = Counter(param.id for param in CASES)
    assert len(names) >= 90
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("op", "value", "holding", "failing"),
    [
        ("equals", 1, [1, 1.0], ["1", True, None, 0, [1]]),
        ("equals", "a", ["a", " a "], ["A", None, ""]),
        ("equals", True, [True], [1, "true", None]),
        ("equals", None, [None], ["", 0, False]),
        ("not", "a", ["b", None, 1], ["a", "a "]),
        ("in", ["a", 1], ["a", 1, 1.0], ["b", True, None]),
        ("gt", 5, [6, 5.5], [5, "6", None, True, [6]]),
        ("gte", 5, [5, 6], [4.9, "5", None]),
        ("lt", 5, [4, -1], [5, "4", None, False]),
        ("lte", 5, [5], [6, None]),
        ("gt", "2024-01-01", ["2024-01-02"], ["2024-01-01", "2023", 20250101, None]),
        ("filled", True, [0, False, "x", [0]], [None, "", " ", [], {}]),
        ("filled", False, [None, "", []], [0, "x"]),
        ("empty", True, [None, " ", {}], [False, 0]),
        ("empty", False, [False, 0], [None]),
    ],
)
def test_comparisons(op: str, value: Any, holding: list[Any], failing: list[Any]) -> None:
    """Every comparison holds for what it should, and never between values of different types."""
    test = Comparison(SpecPath("x", ("x",)), op, value)
    assert [found for found in holding if not _passes(test, found)] == []
    assert [found for found in failing if _passes(test, found)] == []


@pytest.mark.parametrize(
    ("value", "sources", "key"),
    [
        ("erp.test/api/v1/clients/5", ["clients", "leads"], "clients/5"),
        ("https://erp.test/api/v1/clients/5", ["clients"], "clients/5"),
        ("erp.test/api/v1/clients/5", ["leads"], None),
        ("erp.test/api/v1/clients/a%2Fb", ["clients"], "clients/a%2Fb"),
        ("clients/5", ["clients", "leads"], "clients/5"),
        ("clients/a/b", ["clients"], "clients/a/b"),
        (" 5 ", ["clients"], "clients/5"),
        (5, ["clients"], "clients/5"),
        (5.0, ["clients"], "clients/5"),
        (0, ["clients"], "clients/0"),
        (5, ["clients", "leads"], None),
        ("", ["clients"], None),
        (None, ["clients"], None),
        ([5], ["clients"], None),
        ("erp.test/api/v1/clients/5?x=1", ["clients", "leads"], None),
        ("Paid/Open", ["$rows.stages"], "$rows.stages/Paid/Open"),
    ],
)
def test_record_keys(value: Any, sources: list[str], key: str | None) -> None:
    """A value names a row by its link, its key, or its bare id where that can mean one collection only."""
    assert record_key(value, sources, "erp.test/api/v1/{collection}/{id}") == key


def test_projection_repeats_itself(desk: Desk) -> None:
    """The same record gives the same drafts each time, whatever the order of its keys, and is left alone."""
    lines = [{"id": 2, "units": 3, "item-name": "b"}, {"id": 1, "units": 1}]
    record = {"id": 1, "number": "A1", "lines": lines, "account-path": "erp.test/api/v1/clients/5", "total": 5}
    objects = {
        "it": {
            "from": "orders", "to": "things", "children": {"logged": {"from": "logs", "on": "order"}},
            "fields": {
                "name": {"template": "{% for l in lines | sort(attribute='id') %}{{ l.units }} {% endfor %}{{ logged | length }}"},
                "custom.any": {"from": {"all": "lines", "names": "lines[*].item-name"}},
            },
        }
    }  # fmt: skip
    around = {"logs/1": {"id": 1, "order": "erp.test/api/v1/orders/1"}}
    kept = copy.deepcopy(record)
    first = desk.project(objects, {"orders/1": record, **around}, "orders/1")
    second = desk.project(objects, {"orders/1": dict(reversed(record.items())), **around}, "orders/1")
    assert first == second
    assert first[0].body["name"] == "1 3 1"
    assert record == kept
