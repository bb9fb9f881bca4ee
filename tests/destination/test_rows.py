"""Where the fields of a row stand, read and written through the codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.connector.load import load_connector
from engine.connector.model import FieldType
from engine.destination.rows import Definition, RowCodec, codec_of
from tests.destination.building import codec_with
from tests.replacing import replace

CRM = load_connector(Path(__file__).parents[1] / "spec" / "connectors" / "crm.yaml")
DEFINITIONS = {
    ("companies", "custom.level"): Definition("f1", {"High": 11}),
    ("companies", "custom.memo"): Definition("f3"),
    ("companies", "category"): Definition("category", {"Red": 7}),
    ("contacts", "custom.memo"): Definition("f9"),
}


def codec(container: str = "custom", resource: str = "companies") -> RowCodec:
    """The codec of a resource whose custom fields stand in this container; "" beside the others."""
    kind = CRM.resources[resource]
    custom = replace(kind.custom, container=container) if kind.custom else None
    connector = replace(CRM, resources={**CRM.resources, resource: replace(kind, custom=custom)})
    return codec_of(connector, resource, DEFINITIONS)


@pytest.mark.parametrize(
    ("container", "row"),
    [
        ("custom", {"name": "A", "custom": {"f1": 11}}),
        ("data.custom", {"name": "A", "data": {"custom": {"f1": 11}}}),
        ("", {"name": "A", "f1": 11}),
    ],
    ids=["in a container", "in a nested one", "beside the others"],
)
def test_custom_fields_are_read_where_they_are_put(container: str, row: dict[str, Any]) -> None:
    """One codec writes and reads them, wherever the platform keeps them."""
    wire, body = codec(container), {}
    wire.put(body, "name", "A")
    wire.put(body, "custom.level", 11)
    assert body == row
    assert (wire.get(row, "name"), wire.get(row, "custom.level"), wire.get(row, "custom.memo")) == ("A", 11, None)
    assert (wire.shows(row, "custom.level"), wire.shows(row, "custom.memo"), wire.shows(row, "size")) == (True, False, False)
    assert wire.custom_values(row) == {"f1": 11}


@pytest.mark.parametrize("row", [{}, {"custom": None}, {"custom": []}, {"custom": "x"}, {"custom": {"f1": None}}])
def test_a_row_without_custom_fields_holds_none(row: dict[str, Any]) -> None:
    """An empty container, or what stands in its place, is read as nothing."""
    assert codec().get(row, "custom.level") is None


def test_a_field_that_is_not_made_yet_cannot_be_put() -> None:
    """It has no place in the row; what is put nowhere would be lost unseen."""
    with pytest.raises(ValueError, match="does not have the custom field"):
        codec().put({}, "custom.new", 1)
    assert codec().get({"custom": {"new": 1}}, "custom.new") is None


@pytest.mark.parametrize(
    "answered", [5, {"id": 5, "name": "Ana"}, [{"id": 5}], [5], {"value": 5, "name": "Ana"}], ids=["id", "object", "list", "bare list", "value"]
)
def test_a_reference_is_its_id(answered: Any) -> None:
    """However the platform answers a reference, it is compared by its id."""
    assert codec().get({"owner_id": answered}, "owner_id") == 5
    assert codec().fingerprint({"owner_id": answered}) == codec().fingerprint({"owner_id": 5})


def test_a_reference_inside_an_object_is_its_id() -> None:
    """Guests name their contact as an id or as an object; both are one."""
    wire = codec(resource="deals")
    row = {"guests": [{"contact_id": {"id": 7}, "primary": True}]}
    assert wire.get(row, "guests") == [{"contact_id": 7, "primary": True}]
    assert ("guests", "contacts", "7") in set(wire.references(row))


@pytest.mark.parametrize(
    ("answered", "held"),
    [
        ({"contact_id": 7, "primary": True}, {"contact_id": 7, "primary": True}),
        ({"contact_id": 7, "primary_flag": True}, {"contact_id": 7, "primary_flag": True, "primary": True}),
        ({"contact_id": 7, "primary": False, "primary_flag": True}, {"contact_id": 7, "primary": False, "primary_flag": True}),
        ({"contact_id": 7}, {"contact_id": 7}),
    ],
    ids=["by its name", "by the other name", "by both", "not at all"],
)
def test_a_part_is_read_by_either_of_its_names(answered: Any, held: Any) -> None:
    """What a platform answers under the other name of a part counts, unless the part stands there under its own."""
    wire = codec_with({"guests": {"kind": "list", "shape": {"contact_id": "id", "primary": {"kind": "boolean", "also": "primary_flag"}}}})
    assert wire.get({"guests": [answered]}, "guests") == [held]


def test_a_fingerprint_tells_of_an_edit_only() -> None:
    """Empty values, the id and fields that the platform writes tell nothing; people's values do."""
    wire, row = codec(), {"id": 1, "name": "A", "custom": {"f1": 11}}
    seen = wire.fingerprint(row)
    assert wire.is_unchanged(seen, {**row, "size": None, "custom": {"f1": 11, "f3": ""}, "id": 2})
    assert not wire.is_unchanged(seen, {**row, "name": "B"})
    assert not wire.is_unchanged(seen, {**row, "custom": {"f1": 12}})
    assert not wire.is_unchanged(seen, {**row, "custom": {"f1": 11, "f8": "theirs"}})


def test_fields_are_emptied_as_the_platform_says() -> None:
    """Null, an empty list, or not at all."""
    wire = codec()
    kinds = {"null": "as_null", "list": "as_list", "fixed": "never"}
    fields = {name: FieldType("text", empty=how) for name, how in kinds.items()}
    wire = replace(wire, resource=replace(wire.resource, fields=fields))
    assert (wire.cleared("null"), wire.cleared("list")) == (None, [])
    with pytest.raises(LookupError):
        wire.cleared("fixed")


@pytest.mark.parametrize(
    ("sent", "held", "is_whole"),
    [
        ({"name": "Ann", "age": 3, "vip": True}, {"id": 1, "name": "Ann", "age": 3, "vip": True}, True),
        ({"name": None}, {"id": 1}, True),
        ({"age": 1}, {"age": True}, False),
        ({"age": 1}, {"age": 1.0}, False),
        ({"age": 1.5}, {"age": 1.5}, False),
        ({"name": "Ann"}, {"name": "ann"}, False),
        ({"tags": ["a"]}, {"tags": ["a"]}, False),
        ({"name": "Ann", "age": 3}, {"name": "Ann"}, False),
    ],
    ids=["all", "nothing on either side", "a flag", "a float", "equal floats", "other letters", "a list", "one is missing"],
)
def test_a_row_holds_what_was_sent_to_the_last_letter(sent: dict[str, Any], held: dict[str, Any], is_whole: bool) -> None:
    """Only scalars of one type that are equal are what was sent, however often the fields were asked for."""
    codec = codec_with({"name": "text"})
    for _ in range(2):  # fields are known the second time
        assert codec.holds(held, sent, sent) is is_whole
        for name in sent:
            codec.get(held, name)


@pytest.mark.parametrize(
    ("described", "kind", "taken"),
    [
        ("text", str, True),
        ("text", int, False),
        ("html", bool, False),
        ("integer", int, True),
        ({"kind": "enum", "options": "fields/level"}, str, False),
        ({"kind": "reference", "to": ["firms"]}, str, False),
    ],
    ids=["text", "a number in text", "a flag in HTML", "a number", "an option", "a reference"],
)
def test_a_field_takes_scalars_as_they_are(described: Any, kind: type, taken: bool) -> None:
    """What has to be written as text, or as an id, is not taken as it is."""
    assert codec_with({"value": described}).takes("value", kind) is taken
