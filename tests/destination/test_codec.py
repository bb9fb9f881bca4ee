"""Where fields stand in a row, and what of it counts as its value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.connector.model import FieldType, Operation
from engine.destination.rows import RowCodec
from engine.values import digest, is_empty
from tests.destination.building import codec_with

FIELDS: dict[str, Any] = {
    "id": {"kind": "integer", "writable": False},
    "name": "text",
    "email": {"kind": "text", "empty": "as_null"},
    "tags": {"kind": "list", "empty": "as_list"},
    "firm": {"kind": "reference", "to": ["firms"]},
    "person": {"kind": "reference", "to": ["people"]},
    "lines": {"kind": "list", "shape": {"firm": {"kind": "reference", "to": ["firms"]}, "text": "text"}},
    "home": {"kind": "object", "shape": {"city": "text", "of": {"kind": "reference", "to": ["people"]}}},
    "updated": {"kind": "datetime", "writable": False},
}
FEW_EXAMPLES = settings(max_examples=40)
CODES = {"tax": "c1", "region": "c2"}
CONTAINERS = ["fields", "", "data.custom"]


def codec(container: str | None = "fields", **more: Any) -> RowCodec:
    """A codec of contacts with two custom fields that have been made, in a container."""
    return codec_with(FIELDS, container, CODES, **more)


def nested(container: str, values: dict[str, Any]) -> dict[str, Any]:
    """Custom values where a container holds them."""
    for name in reversed(container.split(".")) if container else ():
        values = {name: values}
    return values


CONTAINED = pytest.mark.parametrize("container", CONTAINERS)


@CONTAINED
def test_custom_fields_are_put_where_they_are_read(container: str) -> None:
    """What is put into a body stands in the container under the account's code, and is read from a row there."""
    body: dict[str, Any] = {}
    codec(container).put(body, "name", "Ann")
    codec(container).put(body, "custom.tax", "B1")
    codec(container).put(body, "custom.region", 0)
    assert body == {"name": "Ann", **nested(container, {"c1": "B1", "c2": 0})}
    assert [codec(container).get(body, name) for name in ("name", "custom.tax", "custom.region")] == ["Ann", "B1", 0]
    assert codec(container).custom_values({**body, "id": 1}) == {"c1": "B1", "c2": 0}


@CONTAINED
def test_what_is_not_there_is_nothing(container: str) -> None:
    """A row without the field, without the container, or with another thing in its place holds nothing."""
    one = codec(container)
    for row in ({}, {"fields": None}, {"data": 5}, {"data": {"custom": []}}, {"fields": "x"}):
        assert one.get(row, "custom.tax") is None
        assert not one.shows(row, "custom.tax")
    assert one.get({}, "name") is None


@CONTAINED
def test_a_row_shows_a_field_that_is_empty(container: str) -> None:
    """Null in a field is an answer about it; its absence is none."""
    row = {"name": None, **nested(container, {"c1": None})}
    shown = [codec(container).shows(row, name) for name in ("name", "email", "custom.tax", "custom.region", "custom.none")]
    assert shown == [True, False, True, False, False]


@CONTAINED
def test_a_field_that_is_not_made_yet(container: str) -> None:
    """It can be asked for, and is nothing, but nothing can be put into it."""
    one, body = codec(container), {}
    assert one.code("custom.new") is None
    assert one.get({"custom.new": "x", "new": "x"}, "custom.new") is None
    with pytest.raises(ValueError, match="does not have the custom field"):
        one.put(body, "custom.new", "x")
    assert body == {}


def test_a_field_whose_name_begins_like_a_custom_one() -> None:
    """Where a platform has no custom fields, `custom.` is part of a name."""
    one = codec_with({"custom.size": "text"})
    assert not one.is_custom("custom.size")
    assert one.get({"custom.size": "L"}, "custom.size") == "L"
    assert one.custom_values({"custom.size": "L"}) == {}


# -- references

FORMS = [
    ("as an id", 7),
    ("as an object", {"id": 7, "name": "Seven"}),
    ("as an object with its value", {"value": 7, "name": "Seven"}),
    ("as an object with an underscore", {"_id": 7}),
    ("in a list", [7]),
    ("as an object in a list", [{"id": 7}]),
]


@pytest.mark.parametrize("form", [form for _, form in FORMS], ids=[name for name, _ in FORMS])
def test_a_reference_is_its_id_in_every_form(form: Any) -> None:
    """However a platform answers with a reference, it is read as the id, alone or inside an object or list."""
    one = codec()
    assert one.get({"firm": form}, "firm") == 7
    assert one.get({"lines": [{"firm": form, "text": "x"}]}, "lines") == [{"firm": 7, "text": "x"}]
    assert one.get({"home": {"of": form}}, "home") == {"of": 7}
    assert one.plain("firm", form) == 7
    assert one.equal("firm", 7, one.get({"firm": form}, "firm"))
    assert one.equal("firm", "7", one.get({"firm": form}, "firm"))
    assert not one.equal("firm", 8, one.get({"firm": form}, "firm"))


def test_a_reference_is_read_by_the_id_field_of_its_resource() -> None:
    """An object answered for a row whose id has a name of its own is read by that name first."""
    assert codec().get({"person": {"id": 1, "number": 5}}, "person") == 5
    assert codec().get({"person": {"id": 1}}, "person") == 1
    assert codec().get({"firm": {"id": 1, "number": 5}}, "firm") == 1


@pytest.mark.parametrize(("held", "read"), [(None, None), ([], None), ({}, None), ("7", "7"), ([1, 2], [1, 2]), ({"name": "x"}, {"name": "x"})])
def test_what_is_no_single_reference(held: Any, read: Any) -> None:
    """Nothing is read as nothing; several ids and an object without an id stay as they are."""
    assert codec().get({"firm": held}, "firm") == read


@pytest.mark.parametrize("row_id", ["N/7", "C/x/7?", "+/#7", "a/b c", "%2F/1"])
def test_an_id_that_holds_a_slash_is_no_address(row_id: str) -> None:
    """An id is read as it is, whatever signs of an address stand in it; a link to its row names what it is a row of."""
    for form in (row_id, {"id": row_id, "name": "Acme"}, [{"id": row_id}], {"firm_id": row_id}):
        assert codec().get({"firm": form}, "firm") == row_id
        assert list(codec().references({"firm": form})) == [("firm", "firms", row_id)]
    assert codec().get({"firm": "v2/firms/7"}, "firm") == "7"


def test_references_name_the_rows_a_row_refers_to() -> None:
    """Each reference with its field, in whatever form, in lists and objects too; empty ones are none."""
    row = {
        "firm": {"id": 7}, "person": None, "lines": [{"firm": [8]}, {"text": "x"}, {"firm": "9"}], "home": {"of": {"number": 5}},
    }  # fmt: skip
    assert list(codec().references(row)) == [
        ("firm", "firms", "7"), ("lines", "firms", "8"), ("lines", "firms", "9"), ("home", "people", "5"),
    ]  # fmt: skip
    assert list(codec().references({"firm": [1, 2]})) == [("firm", "firms", "1"), ("firm", "firms", "2")]


def test_several_targets_of_one_reference() -> None:
    """A reference that may point to rows of several resources names them all."""
    one = codec_with({"of": {"kind": "reference", "to": ["firms", "people"]}})
    assert list(one.references({"of": 3})) == [("of", "firms", "3"), ("of", "people", "3")]


# -- emptying


def test_how_a_field_is_emptied() -> None:
    """By null, by an empty list, or not at all; custom fields by null."""
    assert codec().cleared("email") is None
    assert codec().cleared("tags") == []
    assert codec().cleared("custom.tax") is None
    with pytest.raises(LookupError):
        codec().cleared("name")


def test_a_row_that_is_sent_whole_can_be_emptied_of_anything() -> None:
    """What a whole row leaves out is emptied, though the field cannot be emptied by itself."""
    assert codec(update=Operation("PUT", "/contacts/{id}", whole=True)).cleared("name") is None


# -- fingerprints

VALUES = st.sampled_from([None, "", "a", "b", 0, 1, False, [], ["a"]])
IDS = st.sampled_from([None, 7, 8])
ROWS = st.fixed_dictionaries(
    {
        "id": st.just(1), "name": VALUES, "email": VALUES, "firm": IDS,
        "lines": st.lists(st.fixed_dictionaries({"firm": IDS, "text": VALUES}), max_size=2), "c1": VALUES, "c2": VALUES,
        "updated": st.sampled_from(["then", "now"]), "undeclared": VALUES,
    }
)  # fmt: skip
THEIRS = ("name", "email", "firm", "lines", "c1", "c2")


def placed(container: str, values: dict[str, Any]) -> dict[str, Any]:
    """A row whose custom values stand in a container."""
    custom = {code: values[code] for code in ("c1", "c2")}
    return {name: value for name, value in values.items() if name not in custom} | nested(container, custom)


def filled(values: dict[str, Any]) -> str:
    """What people can change in a row and holds something, as one text."""
    return digest({name: values[name] for name in THEIRS if not is_empty(values[name])})


@CONTAINED
@FEW_EXAMPLES
@given(one=ROWS, other=ROWS)
def test_a_fingerprint_changes_with_what_people_can_change(container: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two rows have one fingerprint exactly if all that people can change is the same in both."""
    seen = codec(container).fingerprint(placed(container, one))
    same = filled(one) == filled(other)
    assert (codec(container).fingerprint(placed(container, other)) == seen) is same
    assert codec(container).is_unchanged(seen, placed(container, other)) is same


@CONTAINED
@pytest.mark.parametrize("code", ["c1", "c2"])
def test_a_fingerprint_sees_custom_fields(container: str, code: str) -> None:
    """A custom value that is changed, added or emptied shows in every container, flat ones included."""
    values = {"id": 1, "name": "Ann", "c1": "a", "c2": "a"}
    seen = codec(container).fingerprint(placed(container, values))
    for value in ("b", None, 0):
        assert not codec(container).is_unchanged(seen, placed(container, values | {code: value}))


@FEW_EXAMPLES
@given(ROWS, st.sampled_from([form for _, form in FORMS]), st.sampled_from([form for _, form in FORMS]))
def test_a_fingerprint_is_one_in_every_form_of_a_reference(row: dict[str, Any], one: Any, other: Any) -> None:
    """A row read by a list that answers with ids has the fingerprint of the row read with objects."""
    rows = [row | {"firm": form, "lines": [{"firm": form, "text": "x"}]} for form in (one, other)]
    assert codec().fingerprint(rows[0]) == codec().fingerprint(rows[1])


def test_a_fingerprint_says_how_it_was_made() -> None:
    """It has a mark, by which those of stores of version 1 are told apart."""
    assert codec().fingerprint({"name": "Ann"}).startswith("3:")


def test_fingerprints_of_version_1_are_recognised() -> None:
    """A fingerprint without a mark is that of a plain container, references as they were answered."""
    row = {"id": 1, "name": "Ann", "email": "", "firm": {"id": 7}, "updated": "then", "fields": {"c1": "a", "c2": None}}
    seen = digest({"name": "Ann", "firm": {"id": 7}, "custom": {"c1": "a"}})
    assert codec().is_unchanged(seen, row)
    assert codec().is_unchanged(seen, row | {"updated": "now"})
    assert not codec().is_unchanged(seen, row | {"name": "Bea"})
    assert not codec().is_unchanged(seen, row | {"fields": {"c1": "b"}})
    assert not codec().is_unchanged(seen, row | {"fields": None})
    assert codec(None).is_unchanged(digest({"name": "Ann"}), {"id": 1, "name": "Ann"})


def test_a_whole_row_is_theirs_where_it_is_not_declared() -> None:
    """Where an update sends the row whole, a field that is not declared counts too, but never the id nor the stamps."""
    whole = codec(update=Operation("PUT", "/contacts/{id}", whole=True), modified="changed", created="made")
    row = {"id": 1, "name": "Ann", "other": "x", "changed": "then", "made": "then"}
    seen = whole.fingerprint(row)
    assert whole.is_unchanged(seen, row | {"id": 2, "changed": "now", "made": "now"})
    assert not whole.is_unchanged(seen, row | {"other": "y"})
    assert codec().is_unchanged(codec().fingerprint(row), row | {"other": "y"})


def test_a_field_is_compared_by_its_kind() -> None:
    """`equal` and `alike` take the declared kind; a custom field has none, but its numbers may be text."""
    one = codec()
    assert one.kind("custom.tax") is None
    assert one.kind("firm") == FieldType("reference", to=("firms",))
    assert one.equal("firm", 7, "7")
    assert one.equal("custom.tax", 7, "7")
    assert not one.equal("custom.tax", "7", 7)
    assert one.alike("name", "Ann", "ANN")
    assert not one.equal("name", "Ann", "ANN")
    assert one.names_parent("firm")
    assert not one.names_parent("name")
    assert not one.names_parent("custom.tax")


@CONTAINED
def test_a_custom_field_may_be_named_like_a_built_in_one(container: str) -> None:
    """What it holds is read, and an edit of it shows; fingerprints of version 2 of flat rows left it out and still hold."""
    one = codec_with(FIELDS, container, {"email": "c1", "tax": "c2"})
    row = {"name": "Ann", "email": "a@x.es", **nested(container, {"c1": "b@x.es", "c2": "B1"})}
    edited = {**row, **nested(container, {"c1": "c@x.es", "c2": "B1"})}
    assert (one.get(row, "email"), one.get(row, "custom.email")) == ("a@x.es", "b@x.es")
    assert not one.is_unchanged(one.fingerprint(row), edited)

    held = {"c1": "b@x.es", "c2": "B1"} if container else {"c2": "B1"}
    seen = "2:" + digest({"name": "Ann", "email": "a@x.es", "custom": held})
    assert one.is_unchanged(seen, row)
    assert not one.is_unchanged(seen, {**row, "name": "Bea"})
