"""A source that people go on working in, and a destination they begin to use: what a delta brings, keeps and deletes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.canonical import describe, difference, doubled
from tests.chaos.conftest import SIZE
from tests.chaos.harness import (
    SPEC,
    Row,
    World,
    control,
    dump,
    edit,
    people,
    project,
    worlds,
    written,
)
from tests.chaos.people import work_in_source

NAME = "name: {from: [legal-name, name, full-reference], using: text.squash"
OVERWRITE = (f"      {NAME}}}", f"      {NAME}, on_conflict: overwrite}}")
DELETE = ("  events:\n    label: Events\n", "  events:\n    label: Events\n    on_delete: delete\n")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    """One source with two destinations."""
    with worlds(tmp_path_factory.mktemp("delta"), ("first", "second"), SIZE) as found:
        yield found


def fresh(world: World, *changes: tuple[str, str]) -> World:
    """Both accounts as they were made, the project as shipped but for these changes, and no store."""
    for account in (world.source, world.destination):
        control(account, "reset", {})
    for name in ("specs", "connectors", "templates", "var"):
        shutil.rmtree(world.folder / name, ignore_errors=True)
    project(world.folder, *changes)
    return world


def attention(world: World) -> list[str]:
    """What the store says people must see."""
    found = json.loads(world.etl("status", "--json").out)["attention"]
    return [f"{item['object']} {item['key']} {item['field']}: {item['text']}" for item in found]


def rows_of(world: World, resource: str, key: str) -> list[Row]:
    """The destination's rows for a source key."""
    rows = [row for row in dump(world.destination) if row["resource"] == resource]
    return [row for row in rows if key in row["record"]["custom_fields"].values()]


@pytest.mark.journeys
def test_a_delta_ends_where_a_full_run_would(pair: list[World]) -> None:
    """After every kind of change, run and delta give the account that one run gives which comes after the changes."""
    first, second = fresh(pair[0]), fresh(pair[1])
    first.etl("run", "--yes")
    assert work_in_source(first.source, 0.3, deletions=False, contacts=False) > 30
    first.etl("run", "--delta", "--yes")
    second.etl("run", "--yes")
    assert difference(describe(dump(first.destination)), describe(dump(second.destination))) == ([], [])
    before = written(first.destination)
    first.etl("run", "--delta")
    assert written(first.destination) == before


@pytest.mark.journeys
@pytest.mark.parametrize(
    ("changes", "name"), [((), "Nuestro nombre"), ((OVERWRITE,), "Nombre legal nuevo")], ids=["kept", "overwritten"]
)
def test_people_keep_their_edit_unless_the_spec_overwrites(
    migrated: World, changes: tuple[tuple[str, str], ...], name: str
) -> None:
    """A field that people changed stays and is reported, its neighbours are updated; `overwrite` takes it back."""
    world = migrated
    edit(world.folder / SPEC, *changes)
    row = rows_of(world, "organizations", "clients/1200101")[0]
    people(world.destination, "PATCH", f"/api/v2/organizations/{row['id']}", name="Nuestro nombre")
    people(world.source, "PUT", "/clients/1200101", **{"legal-name": "Nombre legal nuevo", "phone": "+34 600 555 666"})
    world.etl("run", "--delta")
    after = rows_of(world, "organizations", "clients/1200101")[0]["record"]
    assert after["name"] == name
    assert "+34600555666" in after["custom_fields"].values()
    told = [text for text in attention(world) if text.startswith("organizations clients/1200101 name: people changed it")]
    assert bool(told) is (not changes)


@pytest.mark.journeys
def test_deletions_follow_the_policy(migrated: World) -> None:
    """A row deleted in the source is reported; with `on_delete: delete` its row goes too, unless people have touched it."""
    world = migrated
    edit(world.folder / SPEC, DELETE)
    events = [row["record"] for row in dump(world.source) if row["resource"] == "events"][:2]
    gone, edited = (world.id_of("events", f"events/{event['id']}") for event in events)
    people(world.destination, "PATCH", f"/api/v2/activities/{edited}", subject="Nuestra visita")
    for event in events:
        people(world.source, "DELETE", f"/events/{event['id']}")
    people(world.source, "DELETE", "/salesEstimates/60100010")
    world.etl("run", "--delta", "--deletions")
    there = {row["id"] for row in dump(world.destination) if row["resource"] == "activities"}
    assert gone not in there
    assert edited in there
    told = attention(world)
    assert any(text.startswith("quotes salesEstimates/60100010") and "kept in the destination" in text for text in told)
    assert any(f"events/{events[1]['id']}" in text and "people changed subject" in text for text in told)


@pytest.mark.journeys
def test_a_row_that_people_had_before_outlives_its_record(pair: list[World]) -> None:
    """With `on_delete: delete`, a row that was adopted by `match` stays: people had it before the migration."""
    world = fresh(pair[0], (DELETE[0], f"{DELETE[1]}    match: [subject]\n"))
    event = next(row["record"] for row in dump(world.source) if row["resource"] == "events" and row["record"]["subject"])
    theirs = people(world.destination, "POST", "/api/v2/activities", subject=event["subject"], type="call")["id"]
    world.etl("run", "--yes")
    assert world.id_of("events", f"events/{event['id']}") == theirs
    people(world.source, "DELETE", f"/events/{event['id']}")
    world.etl("run", "--delta", "--deletions")
    assert theirs in {row["id"] for row in dump(world.destination) if row["resource"] == "activities"}
    assert any(f"events/{event['id']}" in text and "people had it before" in text for text in attention(world))


@pytest.mark.journeys
def test_a_row_that_slipped_off_a_page_is_found(pair: list[World]) -> None:
    """A row that the first reading never saw is brought over, once, by a delta that reads the lists whole."""
    world = fresh(pair[0])
    world.etl("audit")
    with sqlite3.connect(world.store) as db:
        db.execute("DELETE FROM records WHERE key='clients/1200101'")
    world.etl("run", "--yes")
    world.etl("run", "--delta")
    assert not rows_of(world, "organizations", "clients/1200101")
    world.etl("run", "--delta", "--deletions")
    assert len(rows_of(world, "organizations", "clients/1200101")) == 1
    assert doubled(dump(world.destination)) == []


@pytest.mark.journeys
def test_many_deletions_are_asked_for(migrated: World) -> None:
    """Where more rows would be deleted than anybody expects, none is, all of them are listed, and --yes takes them."""
    world = migrated
    edit(world.folder / SPEC, DELETE)
    events = [row["record"] for row in dump(world.source) if row["resource"] == "events"]
    told = ("subject", "start-date", "end-date", "event-type-id", "account-id")
    copies = [people(world.source, "POST", "/events", **{name: events[0][name] for name in told if name in events[0]}) for _ in range(8)]
    world.etl("run", "--delta")
    events = [f"events/{event['id']}" for event in [*events, *copies]][:11]
    for event in events:
        people(world.source, "DELETE", f"/{event}")
    before = written(world.destination)
    refused = world.etl("run", "--delta", "--deletions", good=(4,))
    assert "would be deleted" in refused.err
    assert written(world.destination) == before
    told = attention(world)
    assert all(any(text.startswith(f"events {event} ") for text in told) for event in events)
    world.etl("run", "--delta", "--deletions", "--yes")
    assert written(world.destination) == before + 11


@pytest.mark.journeys
def test_a_repeated_delta_outlives_an_outage(migrated: World) -> None:
    """With --every, a platform that fails for a while is told of, and what was made meanwhile comes with the next delta."""
    world = migrated
    control(world.source, "faults", {"500": 1.0})
    process = world.start("run", "--delta", "--every", "1s", "--until", "2999-01-01")
    try:
        wait_for(lambda: "retrying at" in (world.folder / "err.txt").read_text(encoding="utf-8"))
        control(world.source, "faults", {})
        people(world.source, "POST", "/clients", **{"name": "Mientras SL", "legal-name": "Mientras Tanto SL"})
        wait_for(lambda: any(row["record"].get("name") == "Mientras Tanto SL" for row in dump(world.destination)))
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert doubled(dump(world.destination)) == []


def wait_for(happened: Callable[[], bool]) -> None:
    """Until it has, a minute at most."""
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)
