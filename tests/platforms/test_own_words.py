"""What a platform calls its fields changes nothing: names, money, twins and costs come from the connectors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

PLAIN = {
    word: word
    for word in ("name", "surname", "mail", "ref", "value", "currency", "title", "owner-id", "owner-path", "id", "extra")
}
STRANGE = {
    "name": "given", "surname": "family", "mail": "post", "ref": "folio", "value": "worth", "currency": "coin",
    "title": "heading", "owner-id": "fk_owner", "owner-path": "url_owner", "id": "key", "extra": "path",
}  # fmt: skip
TWINS = {"owner-id": {"*-id": "*-path"}, "fk_owner": {"fk_*": "url_*"}}
UNIT = {"day": {"unit": "cost", "per": 86400, "window": "calendar", "amount": {"*": 1000}}}


def trial(serve: Serve, folder: Path, word: dict[str, str]) -> Project:
    """Two orders become sales; everything that the reports tell by its meaning is declared."""
    orders = [
        {
            word["id"]: n, word["ref"]: f"F-{n}", word["value"]: 10.5 * n, word["currency"]: "EUR",
            word["owner-id"]: 1, word["owner-path"]: "staff/1", word["extra"]: "left",
        }
        for n in (1, 2)
    ]  # fmt: skip
    staff = [{word["id"]: 1, word["name"]: "Ana", word["surname"]: "Paz", word["mail"]: "ana@example.com"}]
    users = [{"id": 1, "mail": "boss@example.com", "first": "Bo", "last": "Ss"}]
    platform = serve(orders=orders, staff=staff, sales=[], members=users)

    kinds = {"ref": "text", "value": "number", "currency": "text", "owner-id": "integer", "owner-path": "text", "extra": "text"}
    order = readable("orders", **{word[name]: kind for name, kind in kinds.items()})
    person = readable("staff", **{word[name]: "text" for name in ("name", "surname", "mail")})
    for resource in (order, person):
        resource["fields"][word["id"]] = "integer"
        resource["id"] = word["id"]
    source = {
        "resources": {"orders": {**order, "called": word["ref"]}, "staff": person},
        "users": {"resource": "staff", "email": word["mail"], "name": [word["name"], word["surname"]]},
        "same_as": TWINS[word["owner-id"]],
    }

    fields = {word["title"]: "text", word["value"]: "number", word["currency"]: "text"}
    sales = writable("sales", [word["title"]], **fields, note="text")
    sales |= {"called": word["title"], "money": {"amount": word["value"], "currency": word["currency"]}}
    sales["create"] |= {"cost": 5}
    destination = {
        "resources": {"sales": sales, "members": readable("members", mail="text", first="text", last="text")},
        "users": {"resource": "members", "email": "mail", "name": ["first", "last"]},
        "cost_unit": "credits",
        "limits": UNIT,
    }
    wanted = {
        word["title"]: {"from": word["ref"], "using": [{"text.replace": {"old": "F", "new": "Sale "}}]},
        word["value"]: word["value"], word["currency"]: word["currency"], "note": word["owner-path"],
    }  # fmt: skip
    people = {"from": "staff", "email": word["mail"], "fallback": "boss@example.com"}
    spec = migration({"sales": mapped("orders", "sales", wanted)}, users=people)
    return project(folder, platform, source, destination, spec)


@pytest.mark.parametrize("word", [PLAIN, STRANGE], ids=["usual", "strange"])
def test_reports_tell_the_same_whatever_fields_are_called(serve: Serve, tmp_path: Path, word: dict[str, str]) -> None:
    """Titles, sums of money, people and unmapped fields follow the declarations, not the names."""
    report = trial(serve, tmp_path, word).run("--sample")
    assert [row["title"] for row in report["records"]] == ["Sale -1", "Sale -2"]
    assert report["money"] == [{"object": "sales", "label": "sales", "currency": "EUR", "wanted": 31.5, "live": 31.5}]
    assert [person["name"] for person in report["people"]] == ["Ana Paz"]
    assert report["fallback_owner"] == "Bo Ss <boss@example.com>"
    assert {tuple(map(tuple, row["unmapped"])) for row in report["records"]} == {((word["extra"], "left"),)}


def test_reports_count_in_the_unit_of_the_destination(serve: Serve, tmp_path: Path) -> None:
    """Plan, announcement, run and rollback name the cost as the connector does."""
    made = trial(serve, tmp_path, STRANGE)
    plan = made.etl("plan", "--simulate").out
    assert "Cost: 2 calls, 10 credits;" in plan
    assert "conflict  delete  skip  fail  credits" in plan
    done = made.etl("run", "--sample")
    assert "0 rows to change: 10 credits, about" in done.err
    assert "  credits for writing: 10; minimum: 10" in done.out
    assert "of 1,000 credits per 86,400 s used" in done.out
    page = (tmp_path / "var/trial.live.report/report.html").read_text(encoding="utf-8")
    assert "credits" in page
    assert re.search(r"2 writes undone; \d credits", made.etl("rollback", "--yes").out)


def test_a_connector_that_declares_nothing_gets_what_is_plain(serve: Serve, tmp_path: Path) -> None:
    """A row is called by its `name`, no field is money or a twin, and calls are counted in calls."""
    rows = [{"id": 1, "name": "Ann", "value": 5, "currency": "EUR", "path": "x/1", "a-id": 7, "a-path": "a/7", "deleted": "no"}]
    kinds = {"name": "text", "value": "number", "currency": "text", "path": "text", "a-id": "integer", "a-path": "text"}
    platform = serve(people=rows, contacts=[])
    there = writable("contacts", ["name"], name={"type": "text", "required": True}, value="number", currency="text", link="text")
    fields = {"name": "name", "value": "value", "currency": "currency", "link": "a-path"}
    objects = {"contacts": mapped("people", "contacts", fields)}
    made = project(tmp_path, platform, {"people": readable("people", **kinds)}, {"contacts": there}, migration(objects))
    assert "Cost: 1 call; about" in made.etl("plan").out
    done = made.etl("run", "--sample")
    assert "calls for writing: 1; minimum: 1" in done.out
    report = json.loads((tmp_path / "var/trial.live.report/report.json").read_text(encoding="utf-8"))
    assert report["records"][0]["title"] == "Ann"
    assert report["money"] == []
    assert dict(report["records"][0]["unmapped"]) == {"path": "x/1", "a-id": "7", "deleted": "no"}


def test_amounts_written_as_text_are_added_up(serve: Serve, tmp_path: Path) -> None:
    """Platforms that write numbers as text have their sums, and what is no number is not money."""
    rows: list[dict[str, Any]] = [{"id": n, "name": f"N{n}", "sum": sum_} for n, sum_ in enumerate(("10.50", "2", "much", None), 1)]
    platform = serve(bills=rows, invoices=[])
    there = writable("invoices", ["name"], name="text", sum="text", coin="text")
    there["money"] = {"amount": "sum", "currency": "coin"}
    fields = {"name": "name", "sum": "sum", "coin": {"value": "USD"}}
    spec = migration({"invoices": mapped("bills", "invoices", fields)})
    made = project(tmp_path, platform, {"bills": readable("bills", name="text", sum="text")}, {"invoices": there}, spec)
    assert [(row["wanted"], row["live"]) for row in made.run("--sample")["money"]] == [(12.5, 12.5)]
