"""YAML files made of blocks with remarks: they read back as what was meant, and no remark becomes markup."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.document import Limits, parse
from engine.errors import SpecError
from workbench.writing import Block, Noted, composed

TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=12) | st.sampled_from(["on", "no", "a: b", "# x", "- y", "1", "", "~"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6)
NOTED = st.builds(Noted, VALUES, st.text(max_size=200), st.tuples(st.text(max_size=40)))
BLOCKS = st.recursive(
    NOTED, lambda inner: st.builds(Block, st.dictionaries(TEXT, inner, max_size=4), st.tuples(st.text(max_size=40))), max_leaves=12
)


@settings(max_examples=150)
@given(st.dictionaries(TEXT, BLOCKS, min_size=1, max_size=4), st.text(max_size=60))
def test_what_is_composed_reads_back(entries: dict[str | int, Noted | Block], remark: str) -> None:
    """Whatever the values and remarks are, the file says the values; printable remarks stand in it on one line each."""
    block = Block(entries)
    if any(not "".join(text.split()).isprintable() for text in remarks(block)):
        return  # who composes takes control characters out first
    assert parse(composed(block)).data == block.data


def remarks(item: Noted | Block) -> list[str]:
    """Every remark of a block."""
    inner = [text for one in item.entries.values() for text in remarks(one)] if isinstance(item, Block) else [item.remark]
    return [*item.above, *inner]


def test_how_it_looks() -> None:
    """Remarks stand behind their line, long ones above it, lines of comment before the key; lists have dashes."""
    data: dict[str | int, Any] = {
        "a": Noted(1, "why\nnot"),
        "b": Block({"c": Noted([1, "x"], "r" * 130), "d": Block({})}, ("first", "second")),
        "e": Block({0: Noted({"f": "g"}, "h"), 1: Noted("i")}),
        "j": Noted(True),
    }
    long = "r" * 130
    assert composed(Block(data), ("head",)) == (
        f"# head\na: 1 # why not\n\n# first\n# second\nb:\n  # {long}:\n  c: [1, x]\n  d: {{}}\n\ne:\n  - {{f: g}} # h\n  - i\n\nj: true\n"
    )


def test_limits_of_a_text_can_be_named() -> None:
    """A reader may take deeper, larger texts and keys that are no text; nobody else's limits move."""
    deep = "[" * 60 + "]" * 60
    assert parse(deep, "deep", Limits(depth=64)).data is not None
    with pytest.raises(SpecError, match="at most 40 levels"):
        parse(deep)
    assert parse("200: {1.5: x, true: y}", "keys", Limits(any_keys=True)).data == {"200": {"1.5": "x", "true": "y"}}
    with pytest.raises(SpecError, match="the key '200' is not text"):
        parse("200: x")
    with pytest.raises(SpecError, match="more than 3 nodes"):
        parse("[1, 2, 3]", "many", Limits(nodes=3))
