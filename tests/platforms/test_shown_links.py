"""Links as people read them: by the record they stand for, wherever they stand."""

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


def test_links_inside_lists_are_shown_by_their_records(serve: Serve, tmp_path: Path) -> None:
    """Plan and export show `contacts: people/1` inside a list as they do outside, and nothing that only etl knows."""
    people = [{"id": n, "name": f"Person {n}"} for n in (1, 2)]
    platform = serve(people=people, visits=[{"id": 7, "title": "Visit", "who": 1}], contacts=[], meetings=[])
    source = {"people": readable("people", name="text"), "visits": readable("visits", title="text", who="ref people")}
    there = {
        "contacts": writable("contacts", ["name"], name=NAME),
        "meetings": writable("meetings", ["title"], title=NAME, guests="list"),
    }
    guest = {"person_id": {"lookup": "contacts", "by": "who"}}
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}),
        "meetings": mapped("visits", "meetings", {"title": "title", "guests": {"list": [guest]}}),
    }
    trial = project(tmp_path, platform, source, there, migration(objects))
    planned = trial.etl("plan", "--records", code=0).out
    assert 'guests: [{"person_id":"contacts: people/1"}]' in planned and "$link" not in planned

    trial.full()
    assert platform.tables["meetings"][0]["guests"] == [{"person_id": platform.one("contacts", name="Person 1")["id"]}]
    trial.etl("export", "--out", "tables", code=0)
    written = (tmp_path / "tables" / "meetings.csv").read_text(encoding="utf-8-sig")
    assert '"[{""person_id"":""contacts: people/1""}]"' in written and "$link" not in written
