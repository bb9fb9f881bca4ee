"""What makes no row is named with its count: nothing of a collection is left behind silently."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

KINDS = ["client", "lead", "", "partner", "client"]


def test_records_that_no_object_takes_are_counted(serve: Serve, tmp_path: Path) -> None:
    """Plan, run and delta name the collection, how many of its records, and the first of them."""
    people = [{"id": n, "name": f"Person {n}", "kind": kind} for n, kind in enumerate(KINDS, 1)]
    platform = serve(people=people, contacts=[], prospects=[])
    source = {"people": readable("people", name="text", kind="text")}
    there = {name: writable(name, ["name"], name=NAME) for name in ("contacts", "prospects")}
    fields = {"name": "name"}
    objects = {
        "contacts": mapped("people", "contacts", fields, when={"kind": "client"}),
        "prospects": mapped("people", "prospects", fields, when={"kind": "lead"}),
    }
    trial = project(tmp_path, platform, source, there, migration(objects))
    trial.approve()
    done = trial.etl("run", code=0)
    assert "2 not taken by any object" in done.out
    assert (
        "contacts, prospects do not take them, by a condition or a mark, such as people/3, people/4"
        in done.out
    )
    plan = trial.etl("plan", "--json", code=0).data()
    left = [item for item in plan["collections_left_behind"] if item["not_taken"]]
    assert [(item["collection"], item["rows"]) for item in left] == [("people", 2)]

    platform.tables["people"][0]["kind"] = "partner"
    report = trial.delta()
    assert report["verdict"]["not_taken"] == 3


def test_a_collection_that_cannot_be_counted_is_a_notice(serve: Serve, tmp_path: Path) -> None:
    """A list that nobody maps and that is refused does not end the run."""
    platform = serve(people=[{"id": 1, "name": "Ann"}], contacts=[])
    odd = {"fields": {"id": "integer"}, "list": {"get": "/nothing-there", "pager": "rows"}}
    source = {"people": readable("people", name="text"), "odd": odd}
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    objects = {"contacts": mapped("people", "contacts", {"name": "name"})}
    trial = project(tmp_path, platform, source, there, migration(objects))
    report = trial.run("--sample", code=0)
    assert report["collections_left_behind"][0]["rows"] == -1
    assert any("odd cannot be counted" in text for text in report["notices"])
