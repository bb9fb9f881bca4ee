"""Which row stands for which record: each rule of the matcher, and their order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.destination.match import (
    AGREEING,
    RECOGNISE,
    Wanted,
    agreeing,
    by_key,
    by_own_id,
    exact_token,
    match,
    tokens,
)
from tests.destination.building import cases, codec_with

FEW_EXAMPLES = settings(max_examples=40)
RULES = {"recognise": RECOGNISE, "match": AGREEING}
PERSON = {"name": "text", "email": "text", "firm": {"kind": "reference", "to": ["firms"]}}


@pytest.mark.parametrize("case", cases("match.yaml"), ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    """Each record finds the row that its case names, or none."""
    codec = codec_with(case["fields"])
    telling = tuple(case.get("telling", case["fields"]))
    wanted = [Wanted(key, values, telling) for key, values in case["wanted"].items()]
    rules = case.get("rules", "recognise")
    if rules == "own":
        live = {codec.resource.id_of(row): row for row in case["rows"]}
        found = by_own_id(codec, {item.key: item for item in wanted}, live)
    elif "ignoring" in case:
        found = match(codec, wanted, case["rows"], agreeing(case["ignoring"]))
        tokens_of = {one.key: exact_token(codec, one.values, telling, case["ignoring"]) for one in wanted}
        for key, row in found.items():
            values = {name: codec.get(row, name) for name in telling}
            assert exact_token(codec, values, telling, case["ignoring"]) == tokens_of[key]
    else:
        found = match(codec, wanted, case["rows"], RULES[rules])
    assert {key: row["id"] for key, row in found.items()} == case["expect"]


FEW = st.sampled_from(["Ann", "ANN", "ann ", "Bea", None])
ROWS = st.lists(st.fixed_dictionaries({"name": FEW, "email": FEW, "firm": st.sampled_from([7, 8, "7"])}), max_size=6)


@FEW_EXAMPLES
@given(ROWS, ROWS)
def test_one_to_one(wanted: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Whatever is looked for among whatever rows: no row twice, and none beside another parent."""
    codec = codec_with(PERSON)
    for number, row in enumerate(rows):
        row["id"] = number
    items = [Wanted(str(number), values, tuple(PERSON)) for number, values in enumerate(wanted)]
    found = match(codec, items, rows, RECOGNISE)
    ids = [row["id"] for row in found.values()]
    assert len(ids) == len(set(ids))
    for key, row in found.items():
        assert str(wanted[int(key)]["firm"]) == str(row["firm"])


@FEW_EXAMPLES
@given(ROWS)
def test_every_row_as_sent_is_found(rows: list[dict[str, Any]]) -> None:
    """Records whose rows all hold exactly what was sent find a row each, with their values."""
    codec = codec_with(PERSON)
    items = [Wanted(str(number), row, tuple(PERSON)) for number, row in enumerate(rows)]
    found = match(codec, items, [{**row, "id": number} for number, row in enumerate(rows)], RECOGNISE)
    assert len(found) == len(rows)


def test_rows_are_known_by_the_key_they_carry() -> None:
    """A key of ours in a custom field names the row; of several with one key the first, of none none."""
    codec = codec_with(PERSON, container="custom", definitions={"source_key": "c1"})
    rows = [
        {"id": 1, "custom": {"c1": "people/1"}},
        {"id": 2, "custom": {"c1": "people/2"}},
        {"id": 3, "custom": {"c1": "people/1"}},
        {"id": 4, "custom": {"c1": " "}},
        {"id": 5, "custom": None},
        {"id": 6, "c1": "people/6"},
    ]
    found = by_key(codec, "custom.source_key", rows)
    assert {key: row["id"] for key, row in found.items()} == {"people/1": 1, "people/2": 2}


def test_rows_are_looked_up_by_each_parent_they_name() -> None:
    """A row below parents is looked up by them, in whatever form they are answered; others by their exact values."""
    codec = codec_with(PERSON | {"person": {"kind": "reference", "to": ["people"]}})
    fields = ("name", "firm", "person")
    assert tokens(codec, {"name": "Ann", "firm": 7, "person": "5"}, fields) == ["firm=7", "person=5"]
    assert tokens(codec, {"name": "Ann", "firm": None}, fields) == [exact_token(codec, {"name": "Ann"}, fields)]
    one, other = ({"name": name} for name in (" Ann ", "Ann"))
    assert exact_token(codec, one, ("name",)) == exact_token(codec, other, ("name",))
