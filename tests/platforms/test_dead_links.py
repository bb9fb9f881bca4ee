"""People delete a row that others refer to, and the platform empties what referred to it: what changes in the source still arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Row
from tests.platforms.project import Project, counts
from tests.platforms.test_merges import firms


def emptied(trial: Project) -> Row:
    """People delete the first firm's company, which empties what referred to it; a contact of it."""
    platform = trial.platform
    company = platform.one("companies", name="Firm 1")
    platform.tables["companies"].remove(company)
    for row in platform.tables["contacts"]:
        if row["company"] == company["id"]:
            row["company"] = None
    return platform.one("contacts", name="Person 2")


@pytest.mark.parametrize("first", ["", "verify"])
def test_a_row_whose_link_is_empty_stays(first: str, serve: Serve, tmp_path: Path) -> None:
    """Nobody can tell who has emptied it: a rollback keeps and names it, and a run leaves the link to people."""
    trial = firms(serve, tmp_path)
    trial.full(code=0)
    contact = emptied(trial)
    if first:
        trial.etl(first, "--json")
    done = trial.etl("rollback", "--yes", "--json")
    assert contact in trial.platform.tables["contacts"] and "people/2" in done.out and "people changed company" in done.out
    trial.etl("run", "--json")
    assert contact["company"] is None


def test_a_dead_link_holds_up_no_other_field(serve: Serve, tmp_path: Path) -> None:
    """The empty link is left to people; each name arrives, and later runs write nothing."""
    trial = firms(serve, tmp_path)
    trial.full(code=0)
    platform, contact = trial.platform, emptied(trial)

    person = platform.tables["people"][1]
    for name in ("Person B", "Person C"):
        person["name"] = name
        report = trial.delta()
        assert contact["name"] == name
    assert counts(report, "contacts")["failed"] == 0
    found = next(row for row in report["records"] if row["key"] == "people/2")
    assert {field["target"]: field["state"] for field in found["fields"]}["company"] != "equal"
    before = platform.count_writes()
    trial.run()
    assert platform.count_writes() == before
