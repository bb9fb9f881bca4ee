"""People rename and remove custom fields and options of the Pipedrive emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.pipedrive_account import Account, Record, account

ENTITIES = {
    "organization": ("organizations", {"name": "x"}),
    "person": ("persons", {"name": "x"}),
    "deal": ("deals", {"title": "x"}),
    "product": ("products", {"name": "x"}),
}


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


def defined(api: Account, entity: str) -> dict[str, Record]:
    """The custom fields of an entity in the dump, by code."""
    found: dict[str, Record] = api.dump().get(f"{entity}_fields", {})
    return found


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_renamed_field_keeps_its_code_and_values(api: Account, entity: str) -> None:
    """Only the name changes: in the list, in the dump, not in the records."""
    kind, body = ENTITIES[entity]
    code = api.field(entity, "varchar")["field_code"]
    row = api.make(kind, **body, custom_fields={code: "valor"})
    renamed = api.send("PATCH", f"/api/v2/{entity}Fields/{code}", {"field_name": "Otro nombre"})
    assert (renamed["field_name"], renamed["field_code"]) == ("Otro nombre", code)
    assert defined(api, entity)[code]["field_name"] == "Otro nombre"
    assert api.dump()[kind][row]["custom_fields"][code] == "valor"


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_renamed_option_keeps_its_id_and_values(api: Account, entity: str) -> None:
    """Records that hold the option show the new label under the same id."""
    kind, body = ENTITIES[entity]
    field = api.field(entity, "enum", "Oro", "Plata")
    code, gold = field["field_code"], field["options"][0]["id"]
    row = api.make(kind, **body, custom_fields={code: gold})
    options = f"/api/v2/{entity}Fields/{code}/options"
    assert api.send("PATCH", options, [{"id": gold, "label": "Gold"}]) == [
        {"id": gold, "label": "Gold"}
    ]
    assert [one["label"] for one in defined(api, entity)[code]["options"]] == ["Gold", "Plata"]
    assert api.dump()[kind][row]["custom_fields"][code] == gold


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_deleted_field_takes_its_values_along(api: Account, entity: str) -> None:
    """The definition is a 404, records no longer show it, and writing it is refused."""
    kind, body = ENTITIES[entity]
    code = api.field(entity, "varchar")["field_code"]
    row = api.make(kind, **body, custom_fields={code: "Buscable1"})
    path = f"/api/v2/{entity}Fields/{code}"
    assert api.send("DELETE", path)["field_code"] == code
    for verb, again in (("GET", None), ("PATCH", {"field_name": "x"}), ("DELETE", None)):
        api.send(verb, path, again, 404)
    assert code not in defined(api, entity)
    assert code not in api.dump()[kind][row]["custom_fields"]
    said = api.send("POST", f"/api/v2/{kind}", {**body, "custom_fields": {code: "x"}}, 400)
    assert f"Unknown key '{code}'" in said
    found = api.send("GET", f"/api/v2/{kind}/search?term=Buscable1")["items"]
    assert row not in [one["item"]["id"] for one in found]


def test_built_in_fields_are_not_renamed_or_deleted(api: Account) -> None:
    """The fields every account has are the platform's own."""
    api.send("PATCH", "/api/v2/dealFields/title", {"field_name": "x"}, 403)
    api.send("DELETE", "/api/v2/dealFields/title", status=403)


def holders(api: Account, code: dict[str, str], option: dict[str, list[int]]) -> dict[str, int]:
    """One record of each kind that holds options."""
    values = {code["enum"]: option["enum"][0], code["set"]: option["set"]}
    return {
        "organizations": api.make(
            "organizations",
            name="x",
            label_ids=option["label_ids"],
            industry=option["industry"][0],
            custom_fields=values,
        ),
        "products": api.make("products", name="x", category=option["category"][0]),
        "alone": api.make(
            "organizations", name="y", custom_fields={code["set"]: option["set"][:1]}
        ),
    }


@pytest.mark.parametrize("word", ["keep", "clear"])
def test_values_of_a_removed_option_stay_or_go(word: str) -> None:
    """The option cannot be chosen any more; whether records keep its id is the switch's word."""
    with account(f"removed_option={word}") as api:
        code: dict[str, str] = {}
        option: dict[str, list[int]] = {}
        paths: dict[str, str] = {}
        for kind in ("enum", "set"):
            field = api.field("organization", kind, "Uno", "Dos")
            code[kind] = field["field_code"]
            option[kind] = [one["id"] for one in field["options"]]
            paths[kind] = f"/api/v2/organizationFields/{field['field_code']}"
        for entity, name in (
            ("organization", "label_ids"),
            ("organization", "industry"),
            ("product", "category"),
        ):
            paths[name] = f"/api/v2/{entity}Fields/{name}"
            option[name] = [int(one["id"]) for one in api.send("GET", paths[name])["options"]]
        made = holders(api, code, option)
        for name, path in paths.items():
            api.send("DELETE", f"{path}/options", [{"id": option[name][0]}])
        rows = api.dump()
        org: Any = rows["organizations"][made["organizations"]]
        cut = 1 if word == "clear" else 0
        assert org["custom_fields"][code["set"]] == option["set"][cut:]
        assert org["label_ids"] == option["label_ids"][cut:]
        assert org["custom_fields"][code["enum"]] == (None if cut else option["enum"][0])
        assert org["industry"] == (None if cut else option["industry"][0])
        category = rows["products"][made["products"]]["category"]
        assert category == (None if cut else str(option["category"][0]))
        alone = rows["organizations"][made["alone"]]["custom_fields"][code["set"]]
        assert alone == (None if cut else option["set"][:1])
        wrong = {"name": "z", "custom_fields": {code["enum"]: option["enum"][0]}}
        assert "option id" in api.send("POST", "/api/v2/organizations", wrong, 400)
        _labels_can_be_read(api, made["organizations"], option["label_ids"][1:])


def _labels_can_be_read(api: Account, org: int, left: list[int]) -> None:
    """A label that was removed does not stand in the way of reading the others."""
    query = "include_labels=true&include_option_labels=true"
    shown = api.send("GET", f"/api/v2/organizations/{org}?{query}")
    assert [one["id"] for one in shown["labels"]] == left
