"""What `etl propose` reads and writes, on a platform that people run elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME


def people(serve: Serve, folder: Path) -> Project:
    """Thirteen people on two pages, of whom the second and the last are deleted; each has a city that no connector declares."""
    rows = [{"id": n, "name": f"Person {n}", "city": f"City {n}", "gone": "01"[n in (2, 13)]} for n in range(1, 14)]
    platform = serve(people=rows, contacts=[])
    source = {"people": {**readable("people", name="text", gone="boolean"), "deleted": "gone"}}
    destination = {"contacts": writable("contacts", ["name"], name=NAME, city="text")}
    return project(folder, platform, source, destination, migration({"contacts": mapped("people", "contacts", {"name": "name"})}))


def test_a_page_that_was_read_for_proposals_holds_no_deleted_rows(serve: Serve, tmp_path: Path) -> None:
    """A run that goes on after `propose --read` migrates the live people of both pages and nobody else."""
    trial = people(serve, tmp_path)
    trial.etl("propose", "--read", code=0)
    trial.full()
    assert set(trial.links("contacts")) == {f"people/{n}" for n in range(1, 13) if n != 2}


def test_a_field_that_the_connector_does_not_declare_is_not_proposed(serve: Serve, tmp_path: Path) -> None:
    """A mapping may not name it: with it among the proposals, none of them could be written."""
    trial = people(serve, tmp_path)
    done = trial.etl("propose", "--read", "--json", code=0)
    assert "city" not in json.dumps(done.data())
    trial.etl("propose", "--write", code=0)
    trial.etl("validate", code=0)
