"""What counts as one value on the way back, as a platform may write it or may have tidied it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connector.model import FieldType
from engine.destination.equality import alike, equivalent

KINDS = [
    "text", "html", "integer", "number", "boolean", "date", "time", "duration", "datetime", "id", "reference", "object", "list",
    "enum", "url", "",
]  # fmt: skip


def kind_of(name: str) -> FieldType | None:
    """A field type of this kind; None for custom fields."""
    return FieldType(name) if name else None


SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["<p>a</p> <b>b</b>", "2024-01-01T10:00:00Z", "10:00", "10:00:00", "12", "true", "&amp;#39;", "<br/>", "2024-13-99 xx"]
    )
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)


@given(JSON, st.sampled_from(KINDS))
def test_every_value_agrees_with_itself(value: Any, kind: str) -> None:
    """What was sent and came back as it was is the same, in a field of any kind."""
    assert equivalent(value, value, kind_of(kind))


@given(SCALARS, SCALARS, st.sampled_from(["text", "url", ""]))
def test_plain_texts_agree_only_if_they_are_equal(one: Any, other: Any, kind: str) -> None:
    """In a field without a form of its own only blanks around a text are no difference."""
    if isinstance(one, str) and isinstance(other, str):
        assert equivalent(one, other, kind_of(kind)) == (one.strip() == other.strip())
    elif isinstance(one, str) != isinstance(other, str) and not isinstance(one, bool):
        assert not equivalent(one, other, kind_of(kind)) or (one == "" and other is None)


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("", None, "text"), (None, "", "text"), ([], None, "list"), ({}, None, "object"),
        (" a ", "a", "text"),
        (True, 1, "boolean"), (False, 0, "boolean"), (True, "1", ""), (1, True, "boolean"), (False, "0", ""),
        (True, "Y", "boolean"), (False, "N", "boolean"), (True, "true", "boolean"), (False, "false", ""), ("1", "true", "boolean"),
        (12, "12", "number"), (12.5, "12.50", "number"), (12, 12.0, ""), ("12", 12, "integer"), (7, "7", "enum"),
        (7, "7", "reference"),
        (0.1 + 0.2, 0.3, "number"), (1e-17, 0, "number"), (123456789.12, 123456789.12000001, "number"),
        ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00", "datetime"),
        ("2024-01-01 10:00:00", "2024-01-01T10:00:00+00:00", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T12:00:00+02:00", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00.000Z", "datetime"),
        ("2024-01-01", "2024-01-01T00:00:00Z", "date"), ("2024-01-01", "2024-01-01 00:00", "date"),
        ("10:00", "10:00:00", "time"), ("01:30", "01:30:00", "duration"), ("10:00:00", "10:00", "time"),
        ({"a": 1}, {"a": 1, "b": None, "c": 2}, "object"), ({"a": ""}, {}, "object"),
        ([{"a": 1}], [{"a": 1, "id": 9}], "list"),
        ("<p>a</p>\n<p>b</p>", "<p>a</p><p>b</p>", "html"), ("<ul>\n<li>a  b </li>\n</ul>", "<ul><li>a b</li></ul>", "html"),
        ("a<br />b<br/>c", "a<br>b<br>c", "html"), ("it&#39;s &#34;x&#34;", "it's \"x\"", "html"),
        ("it&#x27;s &quot;", "it's \"", "html"),
        ('<td colspan="7"> a</td>', '<td colspan="7">a</td>', "html"), ("a&nbsp;b", "a\xa0b", "html"),
    ],
)  # fmt: skip
def test_no_difference(wanted: Any, live: Any, kind: str) -> None:
    """Other ways of writing the same value, as platforms have them, are no difference."""
    assert equivalent(wanted, live, kind_of(kind))
    assert alike(wanted, live, kind_of(kind))


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("a", None, "text"), (0, None, "number"), (False, None, "boolean"), ("a", "A", "text"), ("a b", "a  b", "text"),
        ("a b", "ab", "text"),
        ("1", 1, "text"), (1, "1", "text"), ("1", 1, ""), (1, "1", ""), ("true", True, "text"), (True, "N", "boolean"), (False, "", "boolean"),
        (True, 2, "boolean"),
        (1, True, "number"), (True, "x", ""), (True, [], "boolean"), (True, {}, ""), ("0034", "34", "text"), ("", 0, "text"),
        ([], 0, "list"),
        ("0034", "34", ""), (12, "12a", "number"), (12, "1_2", "number"), (1000000000, 1000000001, "reference"),
        (1000000000, "1000000001", "reference"), (9007199254740993, 9007199254740992, "id"),
        ("9007199254740993", 9007199254740992, "id"),
        (10.01, 10.02, "number"), (123456789.12, 123456789.13, "number"), (0, 0.01, "number"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:01Z", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00", "datetime"),
        ("2024-01-01T00:00:00Z", "2024-01-01", "datetime"), ("2024-01-01", "2024-01-01T01:00:00Z", "date"), ("2024-01-01", "2024-01-02", "date"), ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00", "text"),
        ("10:00", "10:01", "time"), ("10:00:05", "10:00", "time"), ("10:00", "10:00:00", "text"), ("00:10", "10:00", "duration"),
        ({"a": 1}, {"a": 2}, "object"), ({"a": 1}, {}, "object"), ({"a": 1}, [1], "object"), ({"a": 1}, None, "object"),
        ({"a": 1}, "x", "object"),
        ([1], [1, 2], "list"), ([1, 2], [2, 1], "list"), ([1], 1, "list"), ([{"a": 1}], [{"a": 2}], "list"), ("a", ["a"], "text"),
        ("<p>a b</p>", "<p>ab</p>", "html"), ("<b>a</b> <b>b</b>", "<b>a</b><b>b</b>", "html"), ("<p>a</p>", "<p>b</p>", "html"),
        ("<p>a</p>", "a", "html"), ("a &lt;b&gt;", "a <b>", "html"), ("<a href='x'>y</a>", "<a href='z'>y</a>", "html"),
        ("<p>a</p>", "<p>a</p><p>b</p>", "html"), ("a<br>b", "a b", "html"), ("<p>a</p> <p>b</p>", "<p>a</p>", "html"),
        ("<p>a</p>\n<p>b</p>", "<p>a</p><p>b</p>", "text"), ("a\xa0b", "a b", "html"),
    ],
)  # fmt: skip
def test_difference(wanted: Any, live: Any, kind: str) -> None:
    """Values that differ are told apart, whatever their field's kind tolerates."""
    assert not equivalent(wanted, live, kind_of(kind))


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("ana@EXAMPLE.com", "Ana@example.com", "text"), ("a  b", "a b", "text"), ("<p>a</p>", "a", "html"),
        (10.126, 10.13, "number"), ("5.00", 5, "text"), (12.0, "12", ""),
        ("+34 600 11 22 33", "600112233", "phone"), ("tel:600-112-233", "+34600112233", "text"),
        ("https://example.com/", "example.com", "url"), ("2024-01-01T10:00:00.123Z", "2024-01-01T10:00:00Z", "datetime"),
        ("2024-01-31", "31/01/2024", "text"), ("2024-01-01T10:00:00Z", "2024-01-01", "datetime"),
        ([{"value": "A@x.com"}], [{"value": "a@X.com", "id": 3}], "list"),
    ],
)  # fmt: skip
def test_what_a_platform_may_have_tidied_is_alike(wanted: Any, live: Any, kind: str) -> None:
    """Tidied values are recognised, and still reported as another value where they are compared."""
    assert alike(wanted, live, kind_of(kind))
    assert not equivalent(wanted, live, kind_of(kind))


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("a", "b", "text"), ("ab", "a b", "text"), (10.12, 10.13, "number"), (10, 11, "reference"), ("5", 5, "text"), ("0034", 34, ""),
        ("600112233", "600112234", "phone"), ("12345", "0012345", "phone"), ("2024-01-31", "2024-01-30", "text"),
        ("01/02/03", "03/02/01", "text"), ("2024-01-01T10:00:00Z", "2024-01-01T10:00:01Z", "datetime"),
        (True, "no", "boolean"), ("a", None, "text"), (None, "a", "text"),
    ],
)  # fmt: skip
def test_other_values_are_not_alike(wanted: Any, live: Any, kind: str) -> None:
    """What no tidying explains is another value, and so is a code beside a number."""
    assert not alike(wanted, live, kind_of(kind))
