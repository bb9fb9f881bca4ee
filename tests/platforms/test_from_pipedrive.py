"""A shipped destination's connector read the other way: Pipedrive's emulator as the source."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.launch import Running, launch
from tests import loopback
from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    call,
    mapped,
    migration,
    project,
    writable,
)
from tests.platforms.trials import NAME

CONNECTOR = Path(__file__).parents[2] / "connectors" / "pipedrive.yaml"
MANY = 230  # organizations: three pages


@pytest.fixture
def crm() -> Iterator[Running]:
    """A Pipedrive account with organizations and people."""
    settings = ["--set", "index_delay=0"]
    with launch("pipedrive", plan="ultimate", seats=100, extra_args=settings) as running:
        headers = {"x-api-token": running.key}
        with loopback.client(base_url=running.base_url, headers=headers, timeout=10) as http:
            http.post("/__sandbox__/clock", json={"advance": 3})
            for number in range(1, MANY + 1):
                made = http.post("/api/v2/organizations", json={"name": f"Firm {number}"})
                assert made.status_code < 300, made.text
                if number % 10 == 0:
                    http.post("/__sandbox__/clock", json={"advance": 3})
                    body = {"name": f"Person {number}", "org_id": made.json()["data"]["id"]}
                    person = http.post("/api/v2/persons", json=body)
                    assert person.status_code < 300, person.text
        yield running


def total(crm: Running, resource: str) -> int:
    """How many rows a list of the account shows, in pages of 100."""
    params, found = {"limit": "100"}, 0
    while True:
        answer = loopback.get(
            f"{crm.base_url}/api/v2/{resource}", params=params, headers={"x-api-token": crm.key}
        ).json()
        found += len(answer["data"])
        cursor = (answer.get("additional_data") or {}).get("next_cursor")
        if not cursor:
            return found
        params["cursor"] = cursor


def from_the_crm(serve: Serve, folder: Path) -> Project:
    """Organizations become companies, persons contacts of them."""
    platform = serve(companies=[], contacts=[])
    there = {
        "companies": writable("companies", ["name"], name=NAME),
        "contacts": writable("contacts", ["name"], name=NAME, company="ref companies"),
    }
    company = {"lookup": "companies", "by": "org_id"}
    objects = {
        "companies": mapped("organizations", "companies", {"name": "name"}),
        "contacts": mapped("persons", "contacts", {"name": "name", "company": company}),
    }
    spec = migration(objects)
    spec["source"] = {"connector": "pipedrive.yaml", "plan": "ultimate", "seats": 100}
    made = project(folder, platform, {}, there, spec)
    shutil.copy(CONNECTOR, folder / "pipedrive.yaml")
    return made


def test_a_shipped_destination_is_a_source_too(crm: Running, serve: Serve, tmp_path: Path) -> None:
    """Audit, plan, sample, run and a delta work; what cannot be counted is a notice."""
    trial = from_the_crm(serve, tmp_path)
    env = {**trial.env, "PIPEDRIVE_BASE_URL": crm.base_url, "PIPEDRIVE_API_TOKEN": crm.key}

    def etl(command: str, *words: str) -> str:
        done = call(tmp_path, env, command, "spec.yaml", *words, "--env", "live")
        assert done.code == 0, str(done)
        return done.out

    assert "cannot be counted" in etl("audit")
    firms, people = (total(crm, name) for name in ("organizations", "persons"))
    assert firms > MANY and f"companies     {firms}" in etl("plan")
    etl("run", "--sample", "20")
    etl("approve", "--by", "tester")
    etl("run")
    assert len(trial.platform.tables["companies"]) == firms
    contacts = trial.platform.tables["contacts"]
    assert len(contacts) == people
    assert len([row for row in contacts if row.get("company")]) >= MANY // 10
    etl("run", "--delta")
    assert trial.platform.count_writes() == firms + people
