"""A value is read as its field is declared, whatever form the platform gives it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connector.model import FieldType
from engine.connector.typed import Misfit, as_declared, typed
from engine.values import flag, is_empty

NO = ["0", 0, 0.0, "false", "False", " NO ", "n", "N", "off", "null", False]
YES = ["1", 1, 1.0, "true", "TRUE", "yes", "Y", "on", "sí", True]


@pytest.mark.parametrize(
    ("value", "wanted"), [*((no, False) for no in NO), *((yes, True) for yes in YES)]
)
def test_a_flag_in_any_form(value: Any, wanted: bool) -> None:
    """Yes and no are read out of texts and numbers alike."""
    assert as_declared(value, "boolean") is wanted


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("number", "5.00", 5),
        ("number", " 0.10 ", 0.1),
        ("number", "-3", -3),
        ("integer", "12", 12),
        ("integer", 12.5, 12.5),
        ("number", "12345678901234567890.12", "12345678901234567890.12"),
        ("integer", "12345678901234567890", 12345678901234567890),
        ("number", "1e3", 1000),
        ("number", "1e999", "1e999"),
        ("text", 612345678, 612345678),
        ("text", "false", "false"),
        ("text", ["a", "b"], ["a", "b"]),
        ("reference", {"id": 3, "name": "x"}, {"id": 3, "name": "x"}),
        ("date", "2024-02-30", "2024-02-30"),
        ("any", True, True),
        ("list", "x", "x"),
    ],
)
def test_a_value_in_its_type(kind: str, value: Any, wanted: Any) -> None:
    """Numbers are numbers to the last digit; what needs no reading stays as it is."""
    found = as_declared(value, kind)
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", "2024-01-01"),
        ("number", "12,50"),
        ("number", "1.234,5"),
        ("number", "abc"),
        ("number", "٣"),
        ("number", True),
        ("integer", [1]),
        ("text", False),
        ("text", {"a": 1}),
        ("text", [{"a": 1}]),
        ("date", True),
        ("object", "x"),
    ],
)
def test_a_value_that_does_not_fit(kind: str, value: Any) -> None:
    """It is never guessed at."""
    with pytest.raises(Misfit):
        as_declared(value, kind)


FIELDS = {
    "name": FieldType("text"),
    "active": FieldType("boolean"),
    "born": FieldType("date"),
    "lines": FieldType("list", {"paid": FieldType("boolean"), "price": FieldType("number")}),
    "place": FieldType("object", {"city": FieldType("text")}),
}
NOTHING = (False, "0000-00-00", {}, [])


@pytest.mark.parametrize(
    ("row", "wanted", "misfits"),
    [
        ({"name": False}, {"name": None}, {}),
        ({"active": False}, {"active": False}, {}),
        ({"born": "0000-00-00"}, {"born": None}, {}),
        ({"place": False}, {"place": None}, {}),
        ({"place": []}, {"place": []}, {}),
        ({"place": {"city": False}}, {"place": {"city": None}}, {}),
        ({"other": "0000-00-00"}, {"other": "0000-00-00"}, {}),
        (
            {"lines": [{"paid": "1", "price": "2.50"}, {"paid": "?", "price": "x"}]},
            {"lines": [{"paid": True, "price": 2.5}, {"paid": None, "price": None}]},
            {
                "lines": [
                    "lines[1].paid: '?' is neither yes nor no",
                    "lines[1].price: 'x' is no number",
                ]
            },
        ),
    ],
)
def test_a_row_as_declared(row: Any, wanted: Any, misfits: Any) -> None:
    """What the platform writes for nothing is nothing; a misfit is left out alone, with its place."""
    found = typed(row, FIELDS, NOTHING)
    assert (found.row, found.misfits) == (wanted, misfits)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["paid", "price", "city", "x"]), inner)
    ),
)
ROWS = st.dictionaries(st.sampled_from([*FIELDS, "other"]), VALUES)


@given(ROWS)
def test_reading_twice_changes_nothing_more(row: dict[str, Any]) -> None:
    """A row that has been read is as declared, and the one that was given is not touched."""
    before = json.dumps(row, sort_keys=True)
    once = typed(row, FIELDS)
    again = typed(once.row, FIELDS)
    assert again.row == once.row and not again.misfits
    assert json.dumps(row, sort_keys=True) == before
    assert all(
        is_empty(once.row[name]) or once.row[name] == row[name] or name in FIELDS for name in row
    )


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**25), max_value=10**25
    )
)
def test_no_digit_of_a_number_is_lost(exact: Decimal) -> None:
    """A number in a text is that number, in whatever type it is kept."""
    found = as_declared(f"{exact:f}", "number")
    assert Decimal(found if isinstance(found, str) else repr(found)) == exact


@given(st.text(max_size=6))
def test_a_word_is_yes_or_no_or_neither(text: str) -> None:
    """Capitals and blanks around a word change nothing."""
    assert flag(text) is flag(f" {text} ")
