"""Rollback after any part of a run, whatever people have done in between: everything goes but what is theirs."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator

import pytest

from tests.chaos.canonical import (
    ENTITIES,
    LINKS,
    describe,
    difference,
    doubled,
    unchanged,
)
from tests.chaos.conftest import SIZE
from tests.chaos.harness import (
    FAULTS,
    Kill,
    Row,
    World,
    control,
    drive,
    dump,
    people,
    plan,
    until,
    worlds,
)
from tests.chaos.people import Visitors

RowId = tuple[str, str]
DEFINITIONS = {
    "organizations": "organization_fields",
    "persons": "person_fields",
    "deals": "deal_fields",
    "products": "product_fields",
}

@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both accounts and a project."""
    with worlds(tmp_path_factory.mktemp("rollback"), ("one",), SIZE) as (found,):
        yield found


def fresh(world: World) -> list[Row]:
    """The destination as it was made, and no store."""
    control(world.destination, "faults", {})
    control(world.destination, "reset", {})
    shutil.rmtree(world.folder / "var", ignore_errors=True)
    return dump(world.destination)


def prefix(world: World, writes: int) -> None:
    """A run that is killed after so many writes."""
    until(world, ("run", "--yes"), Kill(calls=writes))


def leans_on(row: Row) -> set[RowId]:
    """Rows and custom fields that a row refers to."""
    record, found = row["record"], set()
    for name, target in LINKS.items():
        if record.get(name) is not None:
            found.add((target, str(record[name])))
    found |= {("persons", str(item["person_id"])) for item in record.get("participants") or ()}
    if row["resource"] in ENTITIES:
        found |= {(DEFINITIONS[row["resource"]], code) for code, value in record["custom_fields"].items() if value is not None}
    return found


def must_stay(visitors: Visitors, rows: list[Row]) -> set[RowId]:
    """What people touched or lean on, and what that leans on in turn."""
    known = {(row["resource"], str(row["id"])): row for row in rows}
    waiting = list(visitors.edited | visitors.own | {(row["resource"], str(row["id"])) for row in visitors.before})
    found: set[RowId] = set()
    while waiting:
        row_id = waiting.pop()
        if row_id in known and row_id not in found:
            found.add(row_id)
            waiting += leans_on(known[row_id])
    return found


def kept_rows(world: World, told: dict[str, list[list[str]]]) -> set[RowId]:
    """The rows that the rollback says it kept."""
    names = {
        "organizationFields": "organization_fields",
        "personFields": "person_fields",
        "dealFields": "deal_fields",
        "productFields": "product_fields",
    }
    found = set()
    with sqlite3.connect(world.store) as db:
        for name, key, reason in told["kept"]:
            assert reason
            rows = db.execute(
                "SELECT resource, dest_id FROM journal WHERE object=? AND key=? AND action='create' AND state='kept'", (name, key)
            )
            found |= {(names.get(resource, resource), row_id) for resource, row_id in rows}
    return found


@pytest.mark.journeys
def test_rollback_of_any_prefix_gives_the_account_back(world: World) -> None:
    """Whatever part of a run happened, without edits the account is exactly as before."""
    chance = random.Random(11)
    for writes in (chance.randrange(1, 60), chance.randrange(60, 150), 10_000):
        before = fresh(world)
        prefix(world, writes)
        told = json.loads(world.etl("rollback", "--yes", "--json").out)
        assert (told["kept"], told["failed"]) == ([], []), writes
        assert unchanged(dump(world.destination)) == unchanged(before), writes


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.journeys), pytest.param(1, marks=pytest.mark.chaos), pytest.param(2, marks=pytest.mark.chaos)])
def test_rollback_keeps_what_people_touched(world: World, seed: int) -> None:
    """After any prefix and any edits: people's rows, what they lean on, each with its reason, and nothing else."""
    check_visited(world, seed, most=8)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(100, 140))
def test_rollback_keeps_what_people_touched_at_length(world: World, seed: int) -> None:
    """The same for forty more prefixes and sets of edits, with kills and faults in the rollback itself."""
    check_visited(world, seed, most=12, disturbed=True)


def check_visited(world: World, seed: int, most: int, disturbed: bool = False) -> None:
    """One prefix, some edits, a rollback; then a rollback by force."""
    chance, before = random.Random(seed), fresh(world)
    prefix(world, chance.choice([chance.randrange(30, 200), chance.randrange(120, 200), 10_000]))
    visitors = Visitors(world, before, seed)
    visitors.act(most)
    rows = dump(world.destination)
    stay = must_stay(visitors, rows)
    if disturbed:
        control(world.destination, "faults", FAULTS)
        drive(world, ("rollback", "--yes"), plan(seed, 30), 3)
        control(world.destination, "faults", {})
    told = json.loads(world.etl("rollback", "--yes", "--json").out)
    after = dump(world.destination)
    assert told["failed"] == [], visitors.told
    there = {(row["resource"], str(row["id"])) for row in after}
    assert there == stay, visitors.told
    was = {(row["resource"], str(row["id"])) for row in before}
    assert kept_rows(world, told) == there - was - visitors.own, visitors.told
    same = [row for row in rows if (row["resource"], str(row["id"])) in there and row["resource"] != "built_in_fields"]
    assert unchanged(row for row in after if row["resource"] != "built_in_fields") == unchanged(same), visitors.told
    assert categories(after) == [option for option in categories(rows) if option in categories(before) or option in in_use(after)]
    check_force(world, visitors, before)


def categories(rows: list[Row]) -> list[int]:
    """The options of the built-in category field."""
    return [int(option["id"]) for row in rows if row["resource"] == "built_in_fields" for option in row["record"]["options"]]


def in_use(rows: list[Row]) -> set[int]:
    """Categories of products."""
    return {int(row["record"]["category"]) for row in rows if row["resource"] == "products" and row["record"]["category"]}


def check_force(world: World, visitors: Visitors, before: list[Row]) -> None:
    """By force nothing of ours is left; what people made stays."""
    told = json.loads(world.etl("rollback", "--yes", "--json", "--force").out)
    after = dump(world.destination)
    assert (told["kept"], told["failed"]) == ([], []), visitors.told
    assert {(row["resource"], str(row["id"])) for row in after} == {
        (row["resource"], str(row["id"])) for row in before
    } | visitors.own
    assert categories(after) == categories(before)


@pytest.mark.journeys
def test_a_row_that_was_there_gets_its_values_back(world: World) -> None:
    """A row with our key that was there before is filled by run and delta; a rollback restores every field."""
    fresh(world)
    field = people(world.destination, "POST", "/api/v2/organizationFields", field_name="STEL key", field_type="varchar")[
        "field_code"
    ]
    known = {"custom_fields": {field: "clients/1200108"}, "address": {"value": "Calle Vieja 1"}}
    org = people(world.destination, "POST", "/api/v2/organizations", name="Vieja SL", **known)
    before = dump(world.destination)
    world.etl("run", "--yes")
    assert doubled(dump(world.destination)) == []
    people(world.source, "PUT", "/clients/1200108", phone="+34 600 111 222")
    world.etl("run", "--delta")
    row = next(row["record"] for row in dump(world.destination) if (row["resource"], row["id"]) == ("organizations", org["id"]))
    assert row["name"] == "Vieja SL"
    assert {"+34600111222", "clients/1200108"} <= {str(value) for value in row["custom_fields"].values()}
    told = json.loads(world.etl("rollback", "--yes", "--json").out)
    assert (told["kept"], told["failed"]) == ([], [])
    assert unchanged(dump(world.destination)) == unchanged(before)


@pytest.mark.journeys
def test_an_edit_that_a_delta_kept_is_kept_by_the_rollback(migrated: World) -> None:
    """A row that people edited stays, though a delta has updated another field of it since."""
    world = migrated
    row_id = world.id_of("organizations", "clients/1200122")
    people(world.destination, "PATCH", f"/api/v2/organizations/{row_id}", name="Nuestro nombre")
    people(world.source, "PUT", "/clients/1200122", phone="+34 600 777 888")
    world.etl("run", "--delta")
    told = json.loads(world.etl("rollback", "--yes", "--json").out)
    assert {key for name, key, _ in told["kept"] if name == "organizations"} == {"clients/1200122"}
    assert ("organizations", row_id) in {(row["resource"], row["id"]) for row in dump(world.destination)}


@pytest.mark.journeys
def test_one_run_is_taken_back_and_done_again(migrated: World, untouched: list[Row]) -> None:
    """`--run` undoes a delta alone: new rows go, changed ones are as they were; the next delta brings it all again, once."""
    world, moved = migrated, dump(migrated.destination)
    client = people(world.source, "POST", "/clients", **{"name": "Otra SL", "legal-name": "Otra Empresa SL"})
    people(world.source, "PUT", "/clients/1200115", phone="+34 600 333 444")
    people(world.source, "PUT", "/salesEstimates/60100010", **{"account-id": client["id"], "account-path": client["path"]})
    world.etl("run", "--delta")
    changed = dump(world.destination)
    number = json.loads(world.etl("status", "--json").out)["runs"][-1]["id"]
    told = json.loads(world.etl("rollback", "--yes", "--json", "--run", str(number)).out)
    assert (told["kept"], told["failed"]) == ([], [])
    assert unchanged(dump(world.destination)) == unchanged(moved)
    world.etl("run", "--yes")
    assert difference(describe(dump(world.destination)), describe(changed)) == ([], [])
    world.etl("rollback", "--yes", good=(0,))
    assert unchanged(dump(world.destination)) == unchanged(untouched)
