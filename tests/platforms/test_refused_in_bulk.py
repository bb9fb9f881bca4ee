"""A bulk of which the platform refuses some rows, and tidies the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, page
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.test_several_below import (
    BELOW,
    MOST,
    PLACE,
    SINGLE,
    TOGETHER,
)
from tests.platforms.trials import NAME


def carts(platform: Platform, request: Request) -> Answer | None:
    """Items below carts; their text is written in small letters, and one without a memo is refused."""
    found = PLACE.fullmatch(request.path)
    if not found or request.method == "PATCH":
        return None
    cart = int(found[1])

    def made(row: dict[str, Any]) -> dict[str, Any]:
        return platform.add("items", {"memo": None, **row, "text": row["text"].lower(), "cart": cart})

    if request.method == "GET":
        return Answer(200, page([row for row in platform.tables["items"] if row["cart"] == cart], request.query))
    if found[2] == "/bulk":
        return Answer(201, {"made": [made(row) for row in request.body["items"] if row.get("memo")]})
    return Answer(201, made(request.body)) if request.body.get("memo") else Answer(422, {"error": "memo is missing"})


def test_a_refused_row_does_not_take_the_row_of_another(serve: Serve, tmp_path: Path) -> None:
    """The record that has less in it fails with its reason; the one whose row was tidied is there once."""
    lines: list[dict[str, Any]] = [{"id": n, "order": 1, "text": f"Part {n}", "memo": f"m{n}"} for n in range(1, 7)]
    lines += [{"id": 7, "order": 1, "text": "Screw", "memo": "steel"}, {"id": 8, "order": 1, "text": "screw", "memo": None}]
    platform = serve(orders=[{"id": 1, "name": "Order 1"}], lines=lines, carts=[], items=[])
    platform.before.append(carts)
    bulk = {"post": f"{BELOW}/bulk", "cost": TOGETHER, "most": MOST, "rows": "items", "answers": "made"}
    items = {
        **writable("items", ["text", "cart"], text={"type": "text", "required": True}, memo="text", cart="ref carts"),
        "list": {"get": BELOW, "pager": "rows", "parent": "carts", "parent_id": "cart"},
        "read": "none",
        "create": {"post": BELOW, "cost": SINGLE, "bulk": bulk},
        "update": {"patch": f"{BELOW}/{{id}}"},
        "delete": {"delete": f"{BELOW}/{{id}}"},
    }
    source = {"orders": readable("orders", name="text"), "lines": readable("lines", text="text", memo="text", order="ref orders")}
    cart = {"lookup": "carts", "by": "order", "on_miss": "fail"}
    objects = {
        "carts": mapped("orders", "carts", {"name": "name"}),
        "items": mapped("lines", "items", {"cart": cart, "text": "text", "memo": "memo"}),
    }
    trial = project(tmp_path, platform, source, {"carts": writable("carts", ["name"], name=NAME), "items": items}, migration(objects))
    report = trial.full(code=1)
    assert [row["memo"] for row in platform.tables["items"] if row["text"] == "screw"] == ["steel"]
    assert report["verdict"]["failed"] == 1
    assert any(found["key"] == "lines/8" and "memo is missing" in found["text"] for found in report["findings"])
