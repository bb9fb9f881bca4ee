"""A run on a store of its own, with a clock that moves only when somebody sleeps.

People of the source become contacts, their firms companies. The platform may be one that is served
on loopback, or none where nothing is to be called.
"""

from __future__ import annotations

import atexit
import functools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from engine.connector.auth import Account, Accounts
from engine.connector.rate_limit import Clock
from engine.destination.rows import RowCodec, codec_of
from engine.language.compile import Migration, load_migration
from engine.language.model import ObjectMapping
from engine.session import Run, wire
from engine.store.journal import Entry, entries
from engine.store.links import Link, links_of, save_link
from engine.store.tables import open_store
from engine.values import digest
from tests.platforms.platform import Platform
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)

START = 1_767_268_800.0
NOWHERE = "http://127.0.0.1:9"
FIELDS = {
    "name": {"type": "text", "required": True},
    "email": {"type": "text", "empty": "as_null"},
    "phone": "text",
    "note": {"type": "text", "empty": "as_null"},
    "score": {"type": "number", "empty": "as_null"},
    "company": {"type": "ref companies", "empty": "as_null"},
    "created": {"type": "datetime", "writable": False},
}
ERRORS = [
    {"when": {"status": 404}, "then": "missing"},
    {"when": {"status": 401}, "then": "refuse"},
    {"when": {"status": [400, 405, 409, 422]}, "then": "reject"},
]
MAPPED = {
    "name": "name",
    "email": "email",
    "phone": "phone",
    "note": {"from": "note", "on_conflict": "overwrite"},
    "score": "score",
    "company": {"lookup": "companies", "by": "firm", "on_miss": "report"},
}


@dataclass(slots=True)
class Time:
    """A clock that moves only when somebody sleeps."""

    now: float = START
    naps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.naps.append(seconds)
        self.now += seconds


@dataclass(frozen=True, slots=True)
class Desk:
    """A run, and what a test looks at."""

    run: Run
    time: Time
    platform: Platform

    def codec(self, resource: str = "contacts") -> RowCodec:
        """The codec of a destination resource."""
        return codec_of(self.run.migration.destination, resource, {})

    def mapping(self, name: str = "contacts") -> ObjectMapping:
        """An object of the spec."""
        return self.run.spec.objects[name]

    @contextmanager
    def store(self) -> Iterator[sa.Connection]:
        """A transaction."""
        with self.run.store.begin() as connection:
            yield connection

    def journal(self) -> list[Entry]:
        """Every write in the order of its intent."""
        with self.store() as connection:
            return entries(connection)

    def states(self) -> list[tuple[str, str]]:
        """Key and state of every write in the journal."""
        return [(entry.key, entry.state) for entry in self.journal()]

    def links(self, name: str = "contacts") -> dict[str, Link]:
        """The links of an object."""
        with self.store() as connection:
            return links_of(connection, name)

    def save(self, *links: Link) -> None:
        """Put links into the store."""
        with self.store() as connection:
            for link in links:
                save_link(connection, link)


def link_to(row_id: str, key: str = "people/1", name: str = "contacts", **more: Any) -> Link:
    """A link to a row that was made by the run numbered 1."""
    written = more.pop("written", {"name": "Ann"})
    known = {"origin": "created", "run": 1, "at": START, "digest": digest(written), **more}
    resource = {"contacts": "contacts", "companies": "companies", "leads": "contacts"}[name]
    return Link(name, key, resource, row_id, written=written, **known)


@contextmanager
def desk(
    folder: Path,
    platform: Platform | None = None,
    connection: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Iterator[Desk]:
    """A run on an empty store; `connection` are keys of the connectors, `spec` keys of the spec.

    `contacts` among the latter are more fields of contacts, or other ones.
    """
    there = platform or Platform({}, base_url=NOWHERE)
    found = compiled(json.dumps([connection or {}, spec], sort_keys=True))
    shutil.copy(empty_store(), folder / "store.sqlite")
    store, time = open_store(str(folder / "store.sqlite")), Time()
    clock = Clock(lambda: time.now, time.sleep)
    account = Account(there.base_url, "", "trial")
    with (
        closing(store),
        closing(wire(found, Accounts(account, account), store, clock, command="test")) as run,
    ):
        yield Desk(run, time, there)


# -- made once for all tests, for they are many


@functools.cache
def scratch() -> Path:
    """A folder for what is made once, removed in the end."""
    found = TemporaryDirectory()
    atexit.register(found.cleanup)
    return Path(found.name)


@functools.cache
def empty_store() -> Path:
    """A store with nothing in it, to be copied."""
    path = scratch() / "empty.sqlite"
    open_store(str(path)).close()
    return path


@functools.cache
def compiled(keys: str) -> Migration:
    """The migration with these keys of its connections and its spec; read once for all tests."""
    connection, spec = json.loads(keys)
    fields = MAPPED | spec.pop("contacts", {})
    people = dict.fromkeys(("name", "email", "phone", "note"), "text")
    source = {
        "firms": readable("firms", name="text"),
        "people": readable("people", **people, score="number", firm="ref firms"),
    }
    destination = {
        "companies": writable("companies", ["name"], name=FIELDS["name"]),
        "contacts": writable("contacts", ["name", "email"], **FIELDS) | {"created": "created"},
    }
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "contacts": mapped("people", "contacts", fields),
    }
    parts = {"resources": destination, "errors": ERRORS}
    made = project(
        scratch(), Platform({}), source, parts, migration(objects, **spec), **connection
    )
    return load_migration(made.folder / "spec.yaml", {})
