"""Keys of records, and values out of JSON: nothing is lost on the way, and two things never become one."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.values import (
    DEEPEST,
    canonical,
    folded,
    from_json,
    id_in,
    key_of,
    quoted,
    well_formed,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ID = st.one_of(ANY_TEXT, st.text("%#\0\ud800\udfffuUdD0123458aF+/", max_size=12))


@given(ID)
def test_an_id_comes_back_out_of_its_key(row_id: str) -> None:
    """Whatever it holds; and no key holds what marks a part of one or what a store replaces."""
    key = key_of("people", row_id)
    assert id_in(key) == row_id
    assert not {"#", "\0"} & set(key) and not any("\ud800" <= sign <= "\udfff" for sign in key)


@pytest.mark.parametrize("row_id", ["12", "A-1", "a+b", "a/b", "50%", "%20", "ñ", "x y"])
def test_an_ordinary_id_stands_in_its_key_as_it_is(row_id: str) -> None:
    """Stores of earlier versions keep their keys."""
    assert key_of("people", row_id) == f"people/{row_id}"


@given(ID, ID)
def test_two_names_stay_two(one: str, other: str) -> None:
    """As parts of a key."""
    assert (quoted(one) == quoted(other)) == (one == other)


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: number.is_finite()))
def test_no_digit_of_a_number_is_lost(number: Decimal) -> None:
    """What comes out is the number: a float that prints to it with as many digits, else the digits."""
    text = str(number).lower()
    found = from_json(text)
    if isinstance(found, float):
        assert number in (Decimal(repr(found)), Decimal(f"{found:.{max(len(number.as_tuple().digits), 1)}g}"))
    else:
        assert Decimal(str(found)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_stays_a_float(number: float) -> None:
    """What a program wrote is the number it had."""
    assert from_json(json.dumps(number)) == number
    assert from_json(f"{number:.17g}" if "e" in f"{number:.17g}" or "." in f"{number:.17g}" else f"{number:.17g}.0") == number


@pytest.mark.parametrize("text", ["NaN", "Infinity", "[-Infinity]", "1e", "", "[", "[" * 5000, '{"a": }'])
def test_what_is_no_json_is_refused(text: str) -> None:
    """With ValueError, and nothing else."""
    with pytest.raises(ValueError):
        from_json(text)


@given(
    st.integers(0, 400),
    st.sampled_from(["[{}]", '{{"a": {}}}', '[1, {}, "]"]']),
    st.sampled_from(["1", '"]}"', "null", "[]", "{}"]),
)
def test_a_deep_value_is_kept(levels: int, wrap: str, inmost: str) -> None:
    """As it is to a depth that every function bears; as its JSON text below."""
    text = inmost
    for _ in range(levels):
        text = wrap.replace("{}", text, 1) if "{{" not in wrap else f'{{"a": {text}}}'
    value = from_json(text.encode())
    canonical(value), well_formed(value)
    assert whole(value) == json.loads(text) if levels < 300 else value is not None


def whole(value: Any, level: int = 1) -> Any:
    """The value with what was quoted for its depth read again."""
    if isinstance(value, str) and level == DEEPEST + 1 and value[:1] in ("[", "{"):
        return json.loads(value)
    if isinstance(value, dict):
        return {key: whole(item, level + 1) for key, item in value.items()}
    return [whole(item, level + 1) for item in value] if isinstance(value, list) else value


@given(ANY_TEXT)
def test_folding_twice_is_folding_once(text: str) -> None:
    """In each of the ways."""
    for ignoring in ((), ("case",), ("accents",), ("case", "accents")):
        assert folded(folded(text, ignoring), ignoring) == folded(text, ignoring)
