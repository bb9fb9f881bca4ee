"""Names that a spec has changed, in every table that holds them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from engine.store.journal import Entry, entries, intend
from engine.store.links import (
    Draft,
    Finding,
    Link,
    all_findings,
    drafts_of,
    forget_written,
    links_of,
    mark_verified,
    save_drafts,
    save_findings,
    save_link,
    seen_of,
)
from engine.store.renames import Renames, known_objects, linked_objects, rename
from engine.store.tables import Store, recall_in, remember_in
from engine.values import digest, link

RESOURCES = {"agenda": "activities", "clients": "companies", "units": "units"}


def fill(connection: sa.Connection, name: str, key: str, body: dict[str, Any], resource: str) -> None:
    """One record in every table."""
    save_link(connection, Link(name, key, resource, "7", digest(body), body, "created"))
    save_drafts(connection, [Draft(name, key, key, body, digest(body))])
    intend(connection, [Entry(1, name, key, resource, "create", {"n": 7}, body, dict.fromkeys(body, "old"))])
    save_findings(connection, [Finding(name, key, "load", "", "note", "text")])
    mark_verified(connection, [(name, key)])


def test_an_object_is_renamed_everywhere(store: Store) -> None:
    """Its own rows, the search for rows of it, and links to it inside the drafts of others; digests go with them."""
    body = {"subject": "x", "list": [{"who": link("events", "events/1")}], "text": '{"$link":["events","a"]}'}
    wanted = {"subject": "x", "list": [{"who": link("agenda", "events/1")}], "text": '{"$link":["events","a"]}'}
    with store.begin() as connection:
        fill(connection, "events", "events/1", {"subject": "y"}, "activities")
        fill(connection, "clients", "clients/1", body, "companies")
        remember_in(connection, "adopting.events", "open")
        save_drafts(connection, [Draft("agenda", "events/1", "events/1", {}, "of a plan")])
        rename(connection, Renames({"events": "agenda"}), RESOURCES)
        assert known_objects(connection) == {"agenda", "clients"}
        assert linked_objects(connection) == {"agenda": "activities", "clients": "companies"}
        assert drafts_of(connection, "agenda", ["events/1"])["events/1"].body == {"subject": "y"}
        assert seen_of(connection, "agenda", ["events/1"]) == {"events/1"}
        assert {item.object for item in all_findings(connection)} == {"agenda", "clients"}
        assert recall_in(connection, "adopting.agenda") == "open"
        other, draft = links_of(connection, "clients")["clients/1"], drafts_of(connection, "clients", ["clients/1"])["clients/1"]
        assert (other.written, other.digest) == (wanted, digest(wanted)) == (draft.body, draft.digest)
        assert entries(connection, name="clients")[0].draft == wanted


def test_rows_of_the_spec_are_known_by_the_new_name(store: Store) -> None:
    """Their keys begin with the object's name: in its own tables and in links to them."""
    with store.begin() as connection:
        fill(connection, "my_units", "$rows.my_units/1", {"name": "h"}, "units")
        fill(connection, "clients", "clients/1", {"unit": link("my_units", "$rows.my_units/1")}, "companies")
        fill(connection, "myxunits", "$rows.myxunits/1", {"name": "other"}, "units")
        rename(connection, Renames({"my_units": "units"}), RESOURCES)
        assert list(links_of(connection, "units")) == ["$rows.units/1"]
        assert list(links_of(connection, "myxunits")) == ["$rows.myxunits/1"]
        assert drafts_of(connection, "units", ["$rows.units/1"])["$rows.units/1"].record == "$rows.units/1"
        assert links_of(connection, "clients")["clients/1"].written == {"unit": link("units", "$rows.units/1")}


def test_a_custom_field_is_renamed_for_its_resource_only(store: Store) -> None:
    """Its definition, and what was written into it, of the resource that has it."""
    with store.begin() as connection:
        save_link(connection, Link("", "companies.custom.vat", "fields", "f1", "", {}, "created"))
        fill(connection, "clients", "clients/1", {"custom.vat": 1, "vat": 2}, "companies")
        fill(connection, "agenda", "events/1", {"custom.vat": 1}, "activities")
        rename(connection, Renames(fields={("companies", "vat"): "tax"}), RESOURCES)
        assert list(links_of(connection, "")) == ["companies.custom.tax"]
        ours, wanted = links_of(connection, "clients")["clients/1"], {"custom.tax": 1, "vat": 2}
        assert (ours.written, ours.digest) == (wanted, digest(wanted))
        assert entries(connection, name="clients")[0].before == {"custom.tax": "old", "vat": "old"}
        assert links_of(connection, "agenda")["events/1"].written == {"custom.vat": 1}


def test_many_rows_are_renamed(store: Store) -> None:
    """More rows than go into one batch."""
    with store.begin() as connection:
        for number in range(1_201):
            save_link(connection, Link("notes", f"n/{number}", "notes", "1", "", {"of": link("events", "e/1")}, "created"))
        rename(connection, Renames({"events": "agenda"}), {})
        assert {item.written["of"]["$link"][0] for item in links_of(connection, "notes").values()} == {"agenda"}


def test_a_forgotten_value_is_the_only_thing_forgotten(store: Store) -> None:
    """Rows of the resource lose that target, digest included; a row that was never written stays so."""
    with store.begin() as connection:
        for number in range(601):
            body = {"custom.tax": number, "name": "x"}
            save_link(connection, Link("clients", f"c/{number:03}", "companies", "1", digest(body), body, "created"))
        save_link(connection, Link("clients", "d", "companies", "1", "", {}, "adopted"))
        save_link(connection, Link("others", "d", "people", "1", "d", {"custom.tax": 1}, "created"))
        assert forget_written(connection, "companies", "custom.tax") == 601
        found = links_of(connection, "clients")
        assert found.pop("d").digest == ""
        assert {(item.digest, str(item.written)) for item in found.values()} == {(digest({"name": "x"}), "{'name': 'x'}")}
        assert links_of(connection, "others")["d"].written == {"custom.tax": 1}
