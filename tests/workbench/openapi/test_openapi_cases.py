"""Small documents and what is drafted of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.document import parse
from engine.values import dig
from tests.yamls import Plain
from workbench.openapi.draft import Draft, Wish, draft
from workbench.openapi.reading import opened

CASES = Path(__file__).parent / "cases"
ROWS = {"type": "array", "items": {"properties": {"id": {"type": "integer"}}}}
BARE: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Acme CRM API", "version": "1"},
    "servers": [{"url": "https://api.acme.example/v3"}],
    "paths": {"/contacts": {"get": {"responses": {"200": {"content": {"application/json": {"schema": ROWS}}}}}}},
}


def cases() -> list[Any]:
    """Every case of every file."""
    found = [(path.stem, case) for path in sorted(CASES.glob("*.yaml")) for case in yaml.load(path.read_bytes(), Plain)]
    return [pytest.param(case, id=f"{stem}: {case['says']}") for stem, case in found]


def document(case: dict[str, Any]) -> dict[str, Any]:
    """The case's document over the bare one; a case of fields gets a collection that is read and written."""
    if "row" not in case:
        return {name: value for name, value in {**BARE, **case["document"]}.items() if value is not None}
    row, body = {"type": "object", "properties": case["row"]}, case.get("body")
    contacts: dict[str, Any] = {"get": _call({"type": "array", "items": row})}
    paths = {"/contacts": contacts, "/deals": BARE["paths"]["/contacts"], "/users": BARE["paths"]["/contacts"]}
    if body is not None:
        contacts["post"] = _call(row) | _body(case.get("post", body))
        paths["/contacts/{id}"] = {"patch": _call(row) | _body(body)}
    return {**BARE, "openapi": "3.1.0", "paths": paths, "components": {"schemas": case.get("schemas", {})}}


def _call(schema: dict[str, Any]) -> dict[str, Any]:
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}}


def drafted(data: Any, *only: str) -> Draft:
    """The draft of a document."""
    return draft(opened(json.dumps(data, default=str).encode(), "acme.json"), Wish("acme.json", "", only))


@pytest.mark.parametrize("case", cases())
def test_what_is_drafted(case: dict[str, Any]) -> None:
    """The draft loads, says what the case expects, asks what it should ask, and tells what it leaves out."""
    made = drafted(document(case))
    data = parse(made.text).data
    wanted = dict(case.get("expect", {})) | {f"resources.contacts.fields.{name}": one for name, one in case.get("fields", {}).items()}
    found = {path: dig(data, tuple(int(part) if part.isdigit() else part for part in path.split("."))) for path in wanted}
    assert found == wanted, made.text
    assert len(set(made.asks)) == len(made.asks)
    for ask in case.get("asks", ()):
        assert any(ask in one for one in made.asks), made.asks
        assert f"# ask: {ask}" in made.text or ask in made.text
    for remark in case.get("remarks", ()):
        assert remark in made.text, made.text
    left = [f"{call.name}: {why}" for call, why in made.left]
    assert [one for one in case.get("left", ()) if one not in left] == [], left
