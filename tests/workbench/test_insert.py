"""Keys are added to YAML and nothing that stands there is touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.document import parse
from engine.errors import SpecError
from workbench.writing import Insertion, inserted, written

TEXT = """\
# head
a: 1   # odd   spacing
objects:
  one:   # of a kind
    from: c
    fields:
      name: {from: [a,   b]}

      # said at the end
  two: {from: d, fields: {n: m}}
  three:
    fields: &shared
      n: |
        text
        more
  four:
    fields: *shared

empty:
"""

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-_ #:", min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(plain)
def test_what_is_written_is_what_is_read(value: object) -> None:
    """Any value, written on one line, is read as itself, alone and in braces."""
    assert parse(f"k: {written(value)} # remark").data == {"k": value}
    assert parse(f"{{k: {written(value)}, l: 1}}").data == {"k": value, "l": 1}


@pytest.mark.parametrize(
    "value", ["NO", "no", "on", "12:30", "0034600", "1e5", "~", "null", "", " a", "a: b", "#x", "=", "<<", "2020-01-01"]
)
def test_texts_that_look_like_something_else(value: str) -> None:
    """What YAML 1.1 or 1.2 could take for a number, a date or true stays text."""
    assert parse(f"k: {written(value)}").data == {"k": value}


def test_every_line_that_stood_there_still_stands() -> None:
    """Lines are added; none is changed, moved or lost, but the one of a mapping in braces."""
    made = inserted(
        TEXT,
        [
            Insertion(("objects", "one", "fields", "code"), "x", "why"),
            Insertion(("empty", "k"), 1),
            Insertion(("new", "a", "b"), [1]),
        ],
    )
    lines = iter(made.splitlines())
    assert all(any(line == other for other in lines) for line in TEXT.splitlines())
    assert parse(made).data["objects"]["one"]["fields"] == {"name": {"from": ["a", "b"]}, "code": "x"}
    assert parse(made).data["empty"] == {"k": 1}
    assert parse(made).data["new"] == {"a": {"b": [1]}}
    assert "      code: x # why" in made.splitlines()


def test_what_a_person_wrote_wins() -> None:
    """A key that stands there keeps its value."""
    assert inserted(TEXT, [Insertion(("a",), 2), Insertion(("objects", "one", "from"), "z")]) == TEXT


def test_braces_are_filled_in_their_line() -> None:
    """A mapping in braces gets its keys inside them; unsure ones have no place there."""
    made = inserted(
        TEXT, [Insertion(("objects", "two", "fields", "code"), "x"), Insertion(("objects", "two", "fields", "no"), "y", live=False)]
    )
    assert "  two: {from: d, fields: {n: m, code: x}}" in made.splitlines()


def test_an_alias_is_not_changed_for_its_owner() -> None:
    """What is added where an alias stands is commented out: it would change the other mapping too."""
    made = inserted(TEXT, [Insertion(("objects", "four", "fields", "code"), "x")])
    assert parse(made).data == parse(TEXT).data
    assert "# code: x" in made


def test_what_is_unsure_is_commented_out() -> None:
    """A key, or a whole new mapping of such keys, stands there as a comment and changes nothing."""
    made = inserted(
        TEXT,
        [Insertion(("objects", "one", "fields", "code"), "x", "0.3 why", live=False), Insertion(("new", "a"), "x", live=False)],
    )
    assert parse(made).data == parse(TEXT).data
    assert "      # code: x # 0.3 why" in made.splitlines()
    assert "# new:\n#   a: x" in made


def test_a_remark_cannot_become_yaml() -> None:
    """A remark with line breaks stays one comment."""
    made = inserted("a: 1\n", [Insertion(("b",), 2, "first\nc: 3\rd: 4\u2028e: 5\x85f: 6")])
    assert parse(made).data == {"a": 1, "b": 2}


def test_a_text_that_cannot_be_read_is_not_written_to() -> None:
    """Broken YAML is refused with its place."""
    with pytest.raises(SpecError, match=r"t\.yaml:1"):
        inserted("a: [1", [Insertion(("b",), 2)], "t.yaml")
