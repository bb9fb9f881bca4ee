"""People delete a row that others refer to, and the platform empties what referred to it: what changes in the source still arrives."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.project import counts
from tests.platforms.test_merges import firms


def test_a_dead_link_holds_up_no_other_field(serve: Serve, tmp_path: Path) -> None:
    """The empty link is left to people; each name arrives, and later runs write nothing."""
    trial = firms(serve, tmp_path)
    trial.full(code=0)
    platform = trial.platform
    company = platform.one("companies", name="Firm 1")
    platform.tables["companies"].remove(company)
    contact = platform.one("contacts", name="Person 2")
    assert contact["company"] == company["id"]
    for row in platform.tables["contacts"]:
        if row["company"] == company["id"]:
            row["company"] = None

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
