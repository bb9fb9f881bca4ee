"""The shipped migration in another language, and a language that changes after a first run, on the emulators."""

from __future__ import annotations

from typing import Any

import pytest

from engine import pipeline
from tests.stages.conftest import Desk, changed

RESOURCES = ("organizationFields", "personFields", "productFields", "dealFields")


def spanish(desk: Desk) -> Desk:
    """The desk under the spec in Spanish."""
    return changed(desk, lambda text: text.replace("  language: en\n", "  language: es\n"))


def rows(desk: Desk, path: str) -> list[dict[str, Any]]:
    """All rows of a short list."""
    found: list[dict[str, Any]] = desk.destination_api("GET", f"/api/v2/{path}?limit=500")["data"]
    return found


def fields(desk: Desk) -> dict[str, str]:
    """The custom fields of the account: their codes and names."""
    return {f"{name} {row['field_code']}": row["field_name"] for name in RESOURCES for row in rows(desk, name) if row["is_custom_field"]}


def options(desk: Desk) -> dict[tuple[str, int], str]:
    """The options of all custom fields: their ids and labels."""
    return {(row["field_code"], option["id"]): option["label"] for name in RESOURCES for row in rows(desk, name)
            if row["is_custom_field"] for option in row["options"] or ()}  # fmt: skip


def named(desk: Desk, path: str) -> dict[int, str]:
    """Pipelines or stages: their ids and names."""
    return {row["id"]: row["name"] for row in rows(desk, path)}


def choices(desk: Desk) -> dict[int, Any]:
    """What each deal holds in its custom fields that have options."""
    held = {code for code, _ in options(desk)}
    return {deal["id"]: {code: value for code, value in deal["custom_fields"].items() if code in held} for deal in rows(desk, "deals")}


def test_in_spanish_all_that_people_read_is_spanish(desk: Desk) -> None:
    """Names of fields, options, pipelines and stages, notes, titles and subjects come from the catalogue; nothing is left in English."""
    there = spanish(desk)
    pipeline.migrate(there.run(), 60)
    assert {"NIF", "Tipo de documento", "Próximo fin de garantía"} <= set(fields(there).values())
    assert not {"Tax id", "Document type", "Assets"} & set(fields(there).values())
    assert {"Presupuesto", "Factura", "Cobrada", "Pendiente de cobro", "Sí", "No"} <= set(options(there).values())
    assert not {"Quote", "Paid", "Unpaid", "Yes"} & set(options(there).values())
    assert {"Facturas STEL", "Pedidos de trabajo STEL"} <= set(named(there, "pipelines").values())
    assert {"Cobrada", "Cobrada en parte", "Pendiente de cobro"} <= set(named(there, "stages").values())
    assert any(deal["title"].endswith("(pendiente de cobro)") for deal in rows(there, "deals"))
    notes = there.destination_api("GET", "/api/v1/notes?limit=500")["data"]
    assert any("Último cambio en STEL Order" in note["content"] for note in notes)
    assert not any("Last change" in note["content"] or "line items" in note["content"] for note in notes)
    assert any(row["subject"].startswith("Cobro ") for row in rows(there, "activities"))


@pytest.mark.journeys
def test_a_changed_language_makes_nothing_twice(sampled: Desk) -> None:
    """Fields, pipelines and stages are renamed, options stay as they are called; none is made anew, and no deal is put on another option."""
    before = fields(sampled), options(sampled), named(sampled, "pipelines"), named(sampled, "stages")
    chosen = choices(sampled)
    there = spanish(sampled)
    result = pipeline.migrate(there.run(), 60, yes=True)
    assert fields(there).keys() == before[0].keys()
    assert {"NIF", "Tipo de documento"} <= set(fields(there).values()) and "Tax id" not in fields(there).values()
    assert options(there) == before[1]
    assert named(there, "pipelines").keys() == before[2].keys() and "Facturas STEL" in named(there, "pipelines").values()
    assert named(there, "stages").keys() == before[3].keys() and "Cobrada" in named(there, "stages").values()
    assert choices(there) == chosen
    assert sum(item.created for item in result.loaded) == 0

    pipeline.migrate(sampled.run(), 60, yes=True)
    assert (fields(sampled), options(sampled), named(sampled, "pipelines"), named(sampled, "stages")) == before
    assert choices(sampled) == chosen
