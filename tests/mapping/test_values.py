"""Paths, emptiness, digests and symbols: what holds for every JSON value."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.tables import as_text, from_text
from engine.values import (
    as_link,
    canonical,
    dig,
    digest,
    is_empty,
    leaves,
    link,
    links_in,
    segments,
    word,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12
)
NAMES = st.text(st.characters(exclude_characters=".[]", exclude_categories=("Cs",)), min_size=1, max_size=6)
PICKS = st.builds("[{}={}]".format, NAMES.filter(lambda name: "=" not in name), NAMES)
PATHS = st.lists(NAMES | st.integers(0, 9) | st.just("*") | PICKS, min_size=1, max_size=5)


def written(path: list[str | int]) -> str:
    """A path as people write it."""
    text = ""
    for part in path:
        place = str(part) if str(part).startswith("[") else f"[{part}]" if isinstance(part, int) or part == "*" else ""
        text += place or (f".{part}" if text else str(part))
    return text


@given(PATHS)
def test_segments_read_what_is_written(path: list[str | int]) -> None:
    """Every path is read back as it was written."""
    assert segments(written(path)) == tuple(path)


@pytest.mark.parametrize(
    "text",
    ["", ".", "a.", ".a", "a..b", "a[", "a]", "a[]", "a[x]", "a[-1]", "a[0]b", "a.[0]", "[", "a[*", "a[*]*", "a[=x]", "a[x=]", "a[x=[]"],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """A text that is not wholly a path is refused, not read in part."""
    with pytest.raises(ValueError, match="is not a path"):
        segments(text)


@given(JSON, PATHS)
def test_dig_never_fails_nor_changes(value: Any, path: list[str | int]) -> None:
    """Any path through any value leads to something or to nothing, and the value stays as it was."""
    before = json.dumps(value)
    found = dig(value, tuple(path))
    assert json.dumps(value) == before
    if "*" in path and found is not None:
        assert isinstance(found, list)
        assert not any(is_empty(item) for item in found)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=6), st.randoms())
def test_digests_do_not_depend_on_the_order_of_keys(value: dict[str, Any], chance: random.Random) -> None:
    """The same object with its keys in another order has the same digest."""
    keys = list(value)
    chance.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@given(JSON, JSON)
def test_different_values_have_different_texts(one: Any, other: Any) -> None:
    """Two values share their canonical text only if they are the same JSON, 1 and 1.0 being one number."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: told(item) for key, item in value.items()}
        return [told(item) for item in value] if isinstance(value, list) else (type(value) in (bool, str), value)

    assert (canonical(one) == canonical(other)) == (told(one) == told(other))


# with halves of characters, control characters, and keys that are no text
ODD_TEXTS = st.text(max_size=8) | st.text(st.characters(categories=["Cs", "Cc", "Lu", "So"]), max_size=8)
ODD = st.recursive(
    SCALARS | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(ODD_TEXTS, inner, max_size=4)
    | st.dictionaries(st.integers(), inner, max_size=4),
    max_leaves=15,
)


@given(ODD)
def test_the_canonical_text_is_that_of_every_release(value: Any) -> None:
    """Whatever writes it, the text is the one that the digests in older stores were taken of."""

    def plain(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    assert canonical(value) == json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@given(ODD)
def test_what_is_stored_reads_back_the_same(value: Any) -> None:
    """A value comes out of the store as it went in, as far as JSON can hold it."""
    assert from_text(as_text(value)) == json.loads(json.dumps(value))


@given(JSON)
def test_canonical_text_is_json(value: Any) -> None:
    """The canonical text is read back as the same value."""
    assert canonical(json.loads(canonical(value))) == canonical(value)


def test_canonical_numbers() -> None:
    """Whole floats are integers, there is no minus zero, and what is no number is refused."""
    assert canonical([1.0, 1, -0.0, 0.1, 1e3, True]) == "[1,1,0,0.1,1000,true]"
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical({"a": [value]})


def test_lone_surrogates_have_a_digest() -> None:
    """Half a character, as a broken platform may send it, is digested like any text."""
    assert digest(json.loads('"\\ud800"')) != digest("?")


@pytest.mark.parametrize("value", [None, "", " \n\u00a0", [], {}])
def test_empty(value: Any) -> None:
    """Null, blank text, an empty list and an empty object hold nothing."""
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "\u200b", [None], {"a": None}])
def test_filled(value: Any) -> None:
    """Zero, false and anything with something in it hold something."""
    assert not is_empty(value)


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "true"), (False, "false"), (1.0, "1"), (1.5, "1.5"), (12, "12"), ("a ", "a ")]
)
def test_words(value: Any, text: str) -> None:
    """A scalar is named as the spec names it."""
    assert word(value) == text


def test_links_are_found_wherever_they_are() -> None:
    """Every link symbol inside a value is found, and nothing that only looks like one."""
    value = {"a": link("x", "1"), "b": [{"c": link("y", "2")}, {"$link": None}, {"$link": ["z", "3"], "d": 1}]}
    assert list(links_in(value)) == [("x", "1"), ("y", "2")]
    assert as_link({"$link": []}) is None


def test_leaves() -> None:
    """Every scalar is told with its path, positions of lists as [*]."""
    assert list(leaves({"a": [{"b": 1}, {"b": None}], "c": "d"})) == [("a[*].b", 1), ("a[*].b", None), ("c", "d")]


# -- digests are what stores hold: one that changed would have every row written anew


def first_canonical(value: Any) -> str:
    """The canonical text as it was made when the first stores were."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return int(value) if value.is_integer() else value
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@given(JSON)
def test_canonical_texts_are_those_of_the_first_stores(value: Any) -> None:
    """Byte for byte, whatever is behind it."""
    assert canonical(value) == first_canonical(value)


def test_digests_are_those_of_the_first_stores() -> None:
    """Of texts, numbers of every size, nested values and links."""
    value = {"ñ": ["é", 1, 1.0, 1.5, 1e16, 1e-7, 2**70, -0.0, True, None, {}], "b": {"$link": ["clients", "clients/12"]}, "a": " \n\"\\/"}
    assert canonical(value) == (
        '{"a":" \\n\\"\\\\/","b":{"$link":["clients","clients/12"]},'
        '"ñ":["é",1,1,1.5,10000000000000000,1e-07,1180591620717411303424,0,true,null,{}]}'
    )
    assert digest(value) == "00dff6522cc192e0a72672e56279c2f6"
