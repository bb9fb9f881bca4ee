"""Drafts on their way out, and what counts as the same value on the way back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connector.load import load_connector
from engine.connector.model import FieldType
from engine.spec.model import Const, CustomField, Field, Lookup, ObjectMapping, Side, Spec
from engine.wire import Definition, agrees, dig_target, resolve

CRM = load_connector(Path(__file__).parents[1] / "spec" / "connectors" / "crm.yaml")
KINDS = [
    "text", "html", "integer", "number", "boolean", "date", "time", "duration", "datetime", "id", "reference", "object", "list",
    "enum", "url", "",
]  # fmt: skip
DEFINITIONS = {
    ("companies", "level"): Definition("f1", {"High": 11, "Low": "x2", "true": 3}),
    ("companies", "tags"): Definition("f2", {"a": 1, "b": 2}),
    ("companies", "memo"): Definition("f3"),
    ("companies", "size"): Definition("f4"),
    ("companies", "category"): Definition("category", {"Red": 7}),
}
CUSTOM = {
    ("companies", name): CustomField("companies", name, name, kind)
    for name, kind in [("level", "enum"), ("tags", "set"), ("memo", "text"), ("size", "number"), ("new", "text")]
}
LOOKUP = Lookup(("clients",), Const("x"))


def kind_of(name: str) -> FieldType | None:
    """A field type of this kind; None for custom fields."""
    return FieldType(name) if name else None


def sent(draft: Mapping[str, Any], ids: Mapping[tuple[str, str], str] | None = None, on_miss: str = "report") -> Any:
    """A draft of a company, resolved."""
    fields = {name: Field(name, Lookup(("clients",), Const("x"), on_miss=on_miss), ()) for name in draft}
    mapping = ObjectMapping("companies", ("clients",), "companies", fields)
    side = Side("", "")
    spec = Spec("demo", side, side, {}, None, CUSTOM, (), {}, {})
    return resolve(draft, mapping, spec, CRM, lambda name, key: (ids or {}).get((name, key)), DEFINITIONS)


def test_links_become_ids() -> None:
    """A link becomes the row's id, a number where it is written like one, wherever the link stands."""
    link = {"$link": ["clients", "clients/1"]}
    ids = [("12", 12), ("0", 0), ("-5", -5), ("007", "007"), ("a1", "a1"), ("²", "²"), ("1" * 30, int("1" * 30))]
    for written, travelling in ids:
        done = sent({"owner_id": link, "address": {"x": [link]}}, {("clients", "clients/1"): written})
        assert done.body == {"owner_id": travelling, "address": {"x": [travelling]}}
        assert done.effective == {"owner_id": link, "address": {"x": [link]}}
        assert (done.missing, done.refused, done.skipped) == ((), "", "")


@pytest.mark.parametrize(("policy", "word"), [("report", "missing"), ("omit", "missing"), ("skip", "skipped"), ("fail", "refused")])
def test_a_link_without_a_row_follows_its_policy(policy: str, word: str) -> None:
    """A row that was never written is left out and listed, or keeps its record back, as the lookup says."""
    done = sent({"name": "A", "owner_id": {"$link": ["clients", "clients/1"]}}, {}, policy)
    why = "clients clients/1 is not in the destination"
    assert done.body == done.effective == {"name": "A"}
    assert (done.missing if word == "missing" else getattr(done, word)) == (
        (("owner_id", why),) if word == "missing" else f"owner_id: {why}"
    )


def test_what_was_left_out_is_not_remembered_as_written() -> None:
    """Only what travels is remembered, so that a link found later is an update; nothing else is lost with it."""
    here, gone = {"$link": ["clients", "clients/1"]}, {"$link": ["clients", "clients/2"]}
    draft = {"address": {"a": here, "b": gone, "c": [{"p": here, "q": None}, {"p": gone, "q": 1}, gone, "x"], "d": {"e": gone}}}
    done = sent(draft, {("clients", "clients/1"): "5"})
    assert done.body == {"address": {"a": 5, "c": [{"p": 5, "q": None}, "x"], "d": {}}}
    assert done.effective == {"address": {"a": here, "c": [{"p": here, "q": None}, "x"], "d": {}}}


@pytest.mark.parametrize(
    ("target", "value", "body"),
    [
        ("custom.level", "High", {"custom": {"f1": 11}}),
        ("custom.level", " Low ", {"custom": {"f1": "x2"}}),
        ("custom.level", True, {"custom": {"f1": 3}}),
        ("custom.tags", ["b", "a"], {"custom": {"f2": [2, 1]}}),
        ("custom.tags", "a", {"custom": {"f2": [1]}}),
        ("custom.memo", 12.0, {"custom": {"f3": "12"}}),
        ("custom.memo", False, {"custom": {"f3": "false"}}),
        ("custom.memo", ["a", 1, None, True], {"custom": {"f3": "a, 1, true"}}),
        ("custom.size", 1.5, {"custom": {"f4": 1.5}}),
        ("category", "Red", {"category": 7}),
        ("name", 12, {"name": "12"}),
        ("name", "12", {"name": "12"}),
        ("note", 1.0, {"note": "1"}),
        ("size", 0, {"size": 0}),
        ("active", False, {"active": False}),
        ("name", " ", {}),
    ],
)
def test_values_are_put_where_the_platform_wants_them(target: str, value: Any, body: dict[str, Any]) -> None:
    """Options travel as ids, texts as text, custom fields under their code; nothing is made of nothing."""
    done = sent({target: value})
    assert done.body == body
    assert done.missing == ()
    if body:
        assert agrees(
            dig_target(done.body, target, CRM.resources["companies"], DEFINITIONS),
            dig_target(body, target, CRM.resources["companies"], DEFINITIONS),
            CRM.resources["companies"].fields.get(target),
        )


@pytest.mark.parametrize(
    ("target", "value", "why"),
    [
        ("custom.level", "Medium", "the destination has no option 'Medium'"),
        ("custom.tags", ["a", "c"], "the destination has no option 'c'"),
        ("custom.new", "x", "the custom field has not been made yet"),
        ("custom.memo", {"a": 1}, "the value is an object"),
        ("custom.memo", [{"a": 1}], "the value is an object"),
        ("name", {"a": 1}, "the value is an object"),
        ("category", "Blue", "the destination has no option 'Blue'"),
    ],
)
def test_what_does_not_fit_is_left_out_and_listed(target: str, value: Any, why: str) -> None:
    """A value the destination cannot hold is told, never sent as something else."""
    done = sent({"size": 1, target: value})
    assert done.body == done.effective == {"size": 1}
    assert [(field, text.startswith(why)) for field, text in done.missing] == [(target, True)]


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
    assert agrees(value, value, kind_of(kind))


@given(SCALARS, SCALARS, st.sampled_from(["text", "url", ""]))
def test_plain_texts_agree_only_if_they_are_equal(one: Any, other: Any, kind: str) -> None:
    """In a field without a form of its own only blanks around a text are no difference."""
    if isinstance(one, str) and isinstance(other, str):
        assert agrees(one, other, kind_of(kind)) == (one.strip() == other.strip())
    elif isinstance(one, str) != isinstance(other, str) and not isinstance(one, bool):
        assert not agrees(one, other, kind_of(kind)) or (one == "" and other is None)


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("", None, "text"), (None, "", "text"), ([], None, "list"), ({}, None, "object"),
        (" a ", "a", "text"),
        (True, 1, "boolean"), (False, 0, "boolean"), (True, "1", ""), (1, True, "boolean"), (False, "0", ""),
        (12, "12", "number"), (12.5, "12.50", "number"), (12, 12.0, ""), ("12", 12, "integer"), (7, "7", "enum"),
        (7, "7", "reference"),
        (0.1 + 0.2, 0.3, "number"), (1e-17, 0, "number"), (123456789.12, 123456789.12000001, "number"),
        ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00", "datetime"),
        ("2024-01-01 10:00:00", "2024-01-01T10:00:00+00:00", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T12:00:00+02:00", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00.000Z", "datetime"),
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
    assert agrees(wanted, live, kind_of(kind))


@pytest.mark.parametrize(
    ("wanted", "live", "kind"),
    [
        ("a", None, "text"), (0, None, "number"), (False, None, "boolean"), ("a", "A", "text"), ("a b", "a  b", "text"),
        ("a b", "ab", "text"),
        ("1", 1, "text"), (1, "1", "text"), ("1", 1, ""), (1, "1", ""), ("true", True, "text"), (True, "true", "boolean"),
        (True, 2, "boolean"),
        (1, True, "number"), (True, "x", ""), (True, [], "boolean"), (True, {}, ""), ("0034", "34", "text"), ("", 0, "text"),
        ([], 0, "list"),
        ("0034", "34", ""), (12, "12a", "number"), (12, "1_2", "number"), (1000000000, 1000000001, "reference"),
        (1000000000, "1000000001", "reference"), (9007199254740993, 9007199254740992, "id"),
        ("9007199254740993", 9007199254740992, "id"),
        (10.01, 10.02, "number"), (123456789.12, 123456789.13, "number"), (0, 0.01, "number"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:01Z", "datetime"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00", "datetime"),
        ("2024-01-01T00:00:00Z", "2024-01-01", "datetime"), ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00", "text"),
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
    assert not agrees(wanted, live, kind_of(kind))
