"""A field that the platform makes the sum of other rows: such a change is not blamed on people, any other is theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, page
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME


def below(platform: Platform, request: Request) -> Answer | None:
    """Items are listed only below the deals that are asked for."""
    if request.method != "GET" or request.path != "/items":
        return None
    wanted = request.query["deals"].split(",")
    return Answer(200, page([row for row in platform.tables["items"] if str(row["deal"]) in wanted], request.query))


def summing(platform: Platform, request: Request, answer: Answer) -> Answer:
    """Whenever items come, change or go, each deal that had some is worth what its items come to."""
    if request.method != "GET" and request.parts[0] == "items":
        for deal in platform.tables["deals"]:
            items = [row["price"] for row in platform.tables["items"] if row["deal"] == deal["id"]]
            if items or deal.get("sold"):
                deal |= {"value": round(sum(items), 2), "sold": True}
    return answer


def deals(serve: Serve, folder: Path, follows: bool = True, **keys: Any) -> Project:
    """Orders become deals with the price before tax, their lines items with prices that come to something else."""
    orders = [{"id": n, "name": f"Order {n}", "amount": 100.0 * n} for n in (1, 2, 3)]
    lines = [{"id": n, "order": 1 + n % 2, "price": 10.1 * n} for n in range(1, 7)]
    platform = serve(orders=orders, lines=lines, deals=[], items=[])
    platform.before.append(below)
    platform.after.append(summing)
    source = {"orders": readable("orders", name="text", amount="number"), "lines": readable("lines", order="ref orders", price="number")}
    value = {"type": "number", "follows": "items.price"} if follows else "number"
    item = {
        **writable("items", ["deal", "price"], deal={"type": "ref deals", "required": True}, price="number"),
        "list": {"get": "/items", "pager": "rows", "ids": "deals", "ids_of": "deal"},
        "read": "none",
    }
    destination = {
        "deals": {**writable("deals", ["name"], name=NAME, value=value, sold={"type": "boolean", "writable": False})},
        "items": item,
    }
    objects = {
        "deals": mapped("orders", "deals", {"name": "name", "value": "amount"}, **keys),
        "items": mapped("lines", "items", {"deal": {"lookup": "deals", "by": "order", "on_miss": "fail"}, "price": "price"}, **keys),
    }
    return project(folder, platform, source, destination, migration(objects))


def test_a_rollback_takes_back_rows_that_the_platform_wrote_over(serve: Serve, tmp_path: Path) -> None:
    """Two of three deals are worth what their items come to: nothing of ours stays."""
    trial = deals(serve, tmp_path)
    trial.full(code=None)
    assert [row["value"] for row in trial.platform.tables["deals"]] == [121.2, 90.9, 300.0]
    assert trial.rollback(code=0)["kept"] == []
    assert trial.platform.tables["deals"] == trial.platform.tables["items"] == []


def test_without_a_word_of_it_the_change_is_taken_for_peoples(serve: Serve, tmp_path: Path) -> None:
    """What `follows` is for: where the connector does not say so, these deals stay."""
    trial = deals(serve, tmp_path, follows=False)
    trial.full(code=None)
    trial.rollback(code=1)
    assert len(trial.platform.tables["deals"]) == 2


@pytest.mark.parametrize("changed", [{"value": 77}, {"value": 121.21}, {"name": "Order 1, spoken for"}])
def test_any_other_change_is_peoples(changed: dict[str, Any], serve: Serve, tmp_path: Path) -> None:
    """A value that is not the sum, and another field of a deal that has the sum, are people's work: the deal stays."""
    trial = deals(serve, tmp_path)
    trial.full(code=None)
    deal = trial.platform.tables["deals"][0]
    deal |= changed
    trial.rollback(code=1)
    assert [row["id"] for row in trial.platform.tables["deals"]] == [deal["id"]]


def test_after_a_delta_it_is_taken_back_too(serve: Serve, tmp_path: Path) -> None:
    """A deal that is written once more after the platform wrote over its value counts as edited by nobody; a line more is no edit."""
    trial = deals(serve, tmp_path)
    trial.full(code=None)
    tables = trial.platform.tables
    tables["orders"][0]["name"] = "Order 1, corrected"
    tables["lines"].append({"id": 7, "order": 2, "price": 5.5})
    assert trial.delta(code=None)["verdict"]["updated"] == 1
    assert [row["value"] for row in tables["deals"]] == [121.2, 96.4, 300.0]
    assert trial.rollback(code=0)["kept"] == []
    assert tables["deals"] == tables["items"] == []


def test_a_record_that_is_deleted_takes_its_row_along(serve: Serve, tmp_path: Path) -> None:
    """With `on_delete: delete` the deal of an order that was deleted goes, though the platform wrote over its value."""
    trial = deals(serve, tmp_path, on_delete="delete")
    trial.full(code=None)
    del trial.platform.tables["orders"][1]
    trial.platform.tables["lines"] = [row for row in trial.platform.tables["lines"] if row["order"] != 2]
    trial.delta("--deletions", "--yes")
    assert [row["name"] for row in trial.platform.tables["deals"]] == ["Order 1", "Order 3"]


def test_a_connector_names_a_resource_that_can_be_added_up(serve: Serve, tmp_path: Path) -> None:
    """A resource that is not there, or whose rows are not listed by what they refer to, is a mistake with its place."""
    trial = deals(serve, tmp_path)
    path = trial.folder / "destination.yaml"
    for wrong in ("deals", "nothing"):
        path.write_text(path.read_text().replace("items.price", f"{wrong}.price"))
        assert "resource with ids_of" in str(trial.etl("validate", code=2))
        path.write_text(path.read_text().replace(f"{wrong}.price", "items.price"))
