"""Drafts on their way out: ids for links, options for labels, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.connector.load import load_connector
from engine.destination.resolve import resolve, sent_as
from engine.destination.rows import Definition, codec_of
from engine.language.model import (
    Const,
    CustomField,
    Field,
    Lookup,
    ObjectMapping,
    Side,
    Spec,
)

CRM = load_connector(Path(__file__).parents[1] / "spec" / "connectors" / "crm.yaml")
DEFINITIONS = {
    ("companies", "custom.level"): Definition("f1", {"High": 11, "Low": "x2", "true": 3}),
    ("companies", "custom.tags"): Definition("f2", {"a": 1, "b": 2}),
    ("companies", "custom.memo"): Definition("f3"),
    ("companies", "custom.size"): Definition("f4"),
    ("companies", "category"): Definition("category", {"Red": 7}),
}
CUSTOM = {
    ("companies", name): CustomField("companies", name, name, kind)
    for name, kind in [("level", "enum"), ("tags", "set"), ("memo", "text"), ("size", "number"), ("new", "text")]
}
CODEC = codec_of(CRM, "companies", DEFINITIONS)


def sent(draft: Mapping[str, Any], ids: Mapping[tuple[str, str], str] | None = None, on_miss: str = "report") -> Any:
    """A draft of a company, resolved."""
    fields = {name: Field(name, Lookup(("clients",), Const("x"), on_miss=on_miss), ()) for name in draft}
    mapping = ObjectMapping("companies", ("clients",), "companies", fields)
    side = Side("", "")
    spec = Spec("demo", side, side, {}, None, CUSTOM, (), {}, {})
    return resolve(draft, mapping, spec, CODEC, lambda name, key: (ids or {}).get((name, key)))


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
        assert CODEC.equal(target, CODEC.get(done.body, target), CODEC.get(body, target))


@pytest.mark.parametrize(
    ("target", "value", "why"),
    [
        ("custom.level", "Medium", "the destination has no option 'Medium'"),
        ("custom.tags", ["a", "c"], "the destination has no option 'c'"),
        ("custom.new", "x", "the account does not have the custom field"),
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


@pytest.mark.parametrize(
    ("kind", "listed", "sent_id"),
    [
        ("", "7", "7"),
        ("", 7, 7),
        ("integer", "7", 7),
        ("integer", 7, 7),
        ("integer", "-7", -7),
        ("integer", "007", "007"),
        ("integer", "x7", "x7"),
        ("text", 7, "7"),
        ("text", "7", "7"),
    ],
)
def test_an_option_travels_in_the_type_that_is_taken(kind: str, listed: Any, sent_id: Any) -> None:
    """However a list of options writes an id, it is sent as the field takes it; what is no number is never made one."""
    found = sent_as(kind, listed)
    assert (type(found), found) == (type(sent_id), sent_id)
