"""What answers and refusals of the Pipedrive emulator look like: as published, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox.pipedrive_account import Account, account

GUIDE = ("stamps=milliseconds", "activity_times=minutes", "formatted_address=on", "primary_flag=beside")
ADDRESS = {"value": "Calle Mayor 1, Madrid", "locality": "Madrid"}
BUILT_IN = (
    ("organization", "label_ids"),
    ("organization", "industry"),
    ("person", "label_ids"),
    ("deal", "label_ids"),
    ("product", "category"),
    ("activity", "priority"),
)


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


@pytest.fixture(scope="module")
def worded(api: Account) -> Account:
    """An account whose built-in options have text for ids, as is published."""
    return api


@pytest.fixture(scope="module")
def numbered() -> Iterator[Account]:
    """An account whose built-in options have numbers for ids."""
    with account("builtin_option_ids=number") as opened:
        yield opened


@pytest.fixture(scope="module")
def guide() -> Iterator[Account]:
    """An account that answers in the shapes of the migration guide."""
    with account(*GUIDE) as opened:
        yield opened


def option_ids(api: Account, entity: str, code: str) -> list[Any]:
    """The option ids of a built-in field, from the list and from the single read, which must agree."""
    one = api.send("GET", f"/api/v2/{entity}Fields/{code}")["options"]
    listed = {field["field_code"]: field for field in api.send("GET", f"/api/v2/{entity}Fields?limit=500")}
    assert listed[code]["options"] == one
    return [option["id"] for option in one]


# -- ids of options


@pytest.mark.parametrize(("entity", "code"), BUILT_IN)
def test_ids_of_built_in_options(numbered: Account, worded: Account, entity: str, code: str) -> None:
    """Numbers or text, as the switch says; the numbers in them are the same."""
    numbers = option_ids(numbered, entity, code)
    assert numbers and all(type(one) is int for one in numbers)
    assert option_ids(worded, entity, code) == [str(one) for one in numbers]


def test_ids_of_custom_options_are_numbers(worded: Account) -> None:
    """The documents say so for custom fields, and the switch leaves them alone."""
    field = worded.field("deal", "enum", "Oro")
    assert type(field["options"][0]["id"]) is int
    assert option_ids(worded, "deal", field["field_code"]) == [field["options"][0]["id"]]


def test_writes_take_built_in_options_as_published(worded: Account) -> None:
    """Definitions say text, bodies are published as numbers: text is refused wherever it stands."""
    category = option_ids(worded, "product", "category")[0]
    industry = option_ids(worded, "organization", "industry")[0]
    label = option_ids(worded, "organization", "label_ids")[0]
    priority = option_ids(worded, "activity", "priority")[0]
    for kind, name, value in (
        ("products", "category", category),
        ("organizations", "industry", industry),
        ("organizations", "label_ids", [label]),
        ("activities", "priority", priority),
    ):
        body: dict[str, Any] = {"subject" if kind == "activities" else "name": "x"}
        said = worded.send("POST", f"/api/v2/{kind}", {**body, name: value}, 400)
        assert said.startswith(f"Validation failed: {name}")
        number = [int(one) for one in value] if isinstance(value, list) else int(value)
        key = worded.make(kind, **body, **{name: number})
        shown = worded.read(kind, key)[name]
        assert shown == (value if name == "category" else number)  # a category is read as text


def test_options_of_built_in_fields_are_changed_by_number(worded: Account) -> None:
    """The bodies and answers of the options' endpoints are published with integers only."""
    path = "/api/v2/productFields/category/options"
    (made,) = worded.send("POST", path, [{"label": "Alquiler"}])
    assert type(made["id"]) is int
    worded.send("PATCH", path, [{"id": str(made["id"]), "label": "x"}], 400)
    assert worded.send("PATCH", path, [{"id": made["id"], "label": "Renta"}])[0]["label"] == "Renta"
    assert str(made["id"]) in option_ids(worded, "product", "category")


# -- the shapes of the migration guide


def test_moments_with_milliseconds(api: Account, guide: Account) -> None:
    """Every moment of v2 has them; a text that only looks like one stays as it was written."""
    said = "2024-01-01T00:00:00Z"
    for opened, form in ((api, r"....-..-..T..:..:..Z"), (guide, r"....-..-..T..:..:..\.000Z")):
        code = opened.field("organization", "varchar")["field_code"]
        key = opened.make("organizations", name=said, add_time=said, custom_fields={code: said})
        for shown in (opened.read("organizations", key), opened.send("GET", f"/api/v2/organizations?ids={key}")[0]):
            assert re.fullmatch(form, shown["add_time"]) and re.fullmatch(form, shown["update_time"])
            assert (shown["name"], shown["custom_fields"][code]) == (said, said)
        note = opened.make("notes", content="x", org_id=key)
        assert re.fullmatch(r"....-..-.. ..:..:..", opened.read("notes", note)["add_time"])


def test_a_moment_goes_back_as_it_came(guide: Account) -> None:
    """What is read with milliseconds can be written again; only filters refuse fractions."""
    key = guide.make("organizations", name="x", add_time="2024-01-01T00:00:00.000Z")
    shown = guide.read("organizations", key)
    assert shown["add_time"] == "2024-01-01T00:00:00.000Z"
    guide.send("GET", f"/api/v2/organizations?updated_since={shown['update_time']}", status=400)


def test_times_of_activities(api: Account, guide: Account) -> None:
    """Answers say HH:MM:SS, or HH:MM with the switch; bodies say HH:MM either way."""
    body = {"subject": "x", "due_time": "09:30", "duration": "101:00"}
    for opened, wanted in ((api, ("09:30:00", "101:00:00")), (guide, ("09:30", "101:00"))):
        shown = opened.read("activities", opened.make("activities", **body))
        assert (shown["due_time"], shown["duration"]) == wanted
        empty = opened.read("activities", opened.make("activities", subject="x"))
        assert empty["due_time"] is None and empty["duration"] is None


def test_addresses_of_built_in_fields(api: Account, guide: Account) -> None:
    """The whole address stands there once more with the switch; a body never takes it."""
    for opened in (api, guide):
        for kind, name in (("organizations", "address"), ("activities", "location")):
            head: dict[str, Any] = {"name": "x"} if kind == "organizations" else {"subject": "x"}
            shown = opened.read(kind, opened.make(kind, **head, **{name: ADDRESS}))[name]
            assert shown.get("formatted_address") == (ADDRESS["value"] if opened is guide else None)
            assert opened.read(kind, opened.make(kind, **head))[name] is None
            body = {**head, name: {**ADDRESS, "formatted_address": "x"}}
            said = opened.send("POST", f"/api/v2/{kind}", body, 400)
            assert f"'{name}.formatted_address' is not allowed" in said


def test_the_old_name_of_primary(api: Account, guide: Account) -> None:
    """`primary`, both names, or the old one alone; a body takes the new one only."""
    with account("primary_flag=instead") as instead:
        for opened, names in (
            (api, {"primary": True}),
            (guide, {"primary": True, "primary_flag": True}),
            (instead, {"primary_flag": True}),
        ):
            person = opened.make("persons", name="Ana")
            key = opened.make("activities", subject="x", participants=[{"person_id": person}])
            assert opened.read("activities", key)["participants"] == [{"person_id": person, **names}]
            body = {"participants": [{"person_id": person, "primary_flag": True}]}
            opened.send("PATCH", f"/api/v2/activities/{key}", body, 400)


# -- what refusals say


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("organizations", {"name": "x", "colour": 1}, "colour"),
        ("deals", {"title": "x", "user_id": 1}, "user_id"),
        ("persons", {"name": "x", "email": []}, "email"),
        ("persons", {"name": "x", "emails": [{"value": "a@b.example", "kind": 1}]}, "emails[0].kind"),
        ("activities", {"subject": "x", "busy_flag": True}, "busy_flag"),
        ("products", {"name": "x", "selectable": True}, "selectable"),
    ],
)
def test_an_unknown_key_is_named(api: Account, kind: str, body: dict[str, Any], key: str) -> None:
    """The text as it was seen live, with the code beside it."""
    answer = api.http.post(f"/api/v2/{kind}", json=body)
    said = answer.json()
    assert answer.status_code == 400
    assert said["error"] == f"Validation failed: {key}: Parameter '{key}' is not allowed for this request"
    assert said["code"] == "ERR_SCHEMA_VALIDATION_FAILED" and said["success"] is False


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_the_person_of_an_activity_is_read_only(api: Account, verb: str) -> None:
    """The refusal says what to send in its place: participants."""
    key = api.make("activities", subject="x")
    path = "/api/v2/activities" + (f"/{key}" if verb == "PATCH" else "")
    answer: httpx.Response = api.http.request(verb, path, json={"subject": "x", "person_id": 1})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "'person_id' is a read-only field. Add a primary participant to set 'person_id' instead."
        ' For example: "participants": [{ "person_id": 1, "primary": true }]'
    )
    assert answer.json()["code"] == "ERR_BAD_REQUEST"
