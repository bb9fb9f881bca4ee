"""A row that is sent whole: what is to change over everything it holds, its custom fields wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from engine.connector.model import CustomFields, Operation

ROW = {"id": 7, "name": "Ana", "phone": "1", "colour": "red"}
CASES = [
    # container, what the row holds besides, what is to change, what is sent besides
    ("", {"cf_1": "a", "cf_2": "b"}, {"cf_2": "c"}, {"cf_1": "a", "cf_2": "c"}),
    ("custom", {"custom": {"1": "a", "2": "b"}}, {"custom": {"2": "c"}}, {"custom": {"1": "a", "2": "c"}}),
    ("custom", {"custom": {"1": "a"}}, {}, {"custom": {"1": "a"}}),
    ("custom", {"custom": {"1": "a"}}, {"custom": {"1": None}}, {"custom": {"1": None}}),
    ("custom", {"custom": None}, {"custom": {"2": "c"}}, {"custom": {"2": "c"}}),
    ("custom", {}, {"custom": {"2": "c"}}, {"custom": {"2": "c"}}),
    ("custom", {"custom": []}, {"custom": {"2": "c"}}, {"custom": {"2": "c"}}),
    (
        "attributes.custom",
        {"attributes": {"tags": ["x"], "custom": {"1": "a", "2": "b"}}},
        {"attributes": {"custom": {"2": "c"}}},
        {"attributes": {"tags": ["x"], "custom": {"1": "a", "2": "c"}}},
    ),
    (
        "attributes.custom",
        {"attributes": {"tags": ["x"]}},
        {"attributes": {"custom": {"2": "c"}}},
        {"attributes": {"tags": ["x"], "custom": {"2": "c"}}},
    ),
    (
        "attributes.custom",
        {"attributes": {"tags": ["x"], "custom": {"1": "a"}}},
        {},
        {"attributes": {"tags": ["x"], "custom": {"1": "a"}}},
    ),
    ("a.b.c", {"a": {"b": {"c": {"1": "a"}, "d": 1}, "e": 2}}, {"a": {"b": {"c": {"2": "c"}}}},
     {"a": {"b": {"c": {"1": "a", "2": "c"}, "d": 1}, "e": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("container", "holds", "change", "expected"), CASES)
def test_custom_fields_that_do_not_change_are_sent_back(
    bench: Any, container: str, holds: dict[str, Any], change: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Replacing the row loses none of them, nor what stands beside them, in a flat row, an object or an object in one."""
    sent: list[dict[str, Any]] = []

    async def row(request: Request) -> JSONResponse:
        if request.method == "PUT":
            sent.append(json.loads(await request.body()))
        return JSONResponse({**ROW, **holds})

    custom = CustomFields("fields", "key", "name", "type", {}, container=container)
    whole = {"update": Operation("PUT", "/rows/{id}", whole=True)}
    address = bench.serve([Route("/rows/{id}", row, methods=["GET", "PUT"])])
    client = bench.client(address, calls=whole, resource={"custom": custom})
    client.write("rows", "update", {"name": "Eva", **change}, "7")
    assert sent == [{"name": "Eva", "phone": "1", "colour": "red", **expected}]
