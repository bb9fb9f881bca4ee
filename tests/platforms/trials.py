"""Small migrations that several tests start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.platforms.conftest import Serve
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)

NAME = {"type": "text", "required": True}


def addresses(
    serve: Serve,
    folder: Path,
    email: Any = "text",
    connection: Mapping[str, Any] = MappingProxyType({}),
) -> Project:
    """Three people with an address and a phone become contacts."""
    people = [
        {"id": n, "name": f"Person {n}", "email": f"p{n}@example.com", "phone": f"60000000{n}"}
        for n in range(1, 4)
    ]
    platform = serve(people=people, contacts=[])
    source = {"people": readable("people", name="text", email="text", phone="text")}
    there = writable("contacts", ["name", "email"], name=NAME, email=email, phone="text")
    fields = {"name": "name", "email": "email", "phone": "phone"}
    spec = migration({"contacts": mapped("people", "contacts", fields)})
    return project(folder, platform, source, {"contacts": there}, spec, **connection)


def firms_and_people(
    serve: Serve, folder: Path, people: int = 3, reference: Any = "ref companies"
) -> Project:
    """Two firms become companies, people contacts that point at them."""
    persons = [{"id": n, "name": f"Person {n}", "firm": 1 + n % 2} for n in range(1, people + 1)]
    firms = [{"id": 1, "name": "Firm 1"}, {"id": 2, "name": "Firm 2"}]
    platform = serve(firms=firms, people=persons, companies=[], contacts=[])
    source = {
        "firms": readable("firms", name="text"),
        "people": readable("people", name="text", firm="ref firms"),
    }
    destination = {
        "companies": writable("companies", ["name"], name=NAME),
        "contacts": writable("contacts", ["name", "company"], name=NAME, company=reference),
    }
    company = {"lookup": "companies", "by": "firm"}
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "contacts": mapped("people", "contacts", {"name": "name", "company": company}),
    }
    return project(folder, platform, source, destination, migration(objects))
