"""Runs, changes and refusals on sandbox accounts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec import structs

from engine import pipeline
from engine.connector.model import ErrorRule
from engine.destination.edits import edits_of
from engine.destination.rows import codec_of, load_definitions
from engine.errors import UnsafePlan
from engine.library.commands import verify
from engine.load.outcomes import link_after
from engine.load.writes import Answer, Outcome, Write
from engine.plan.diff import decide, known_rows
from engine.plan.guards import guard
from engine.rollback.undo import rollback
from engine.store.changes import Change, save_changes
from engine.store.links import (
    all_findings,
    count_links,
    links_of,
    stream_drafts,
)
from engine.values import links_in
from tests.replacing import replace
from tests.stages.conftest import SPEC, Desk, changed


def resources(desk: Desk) -> Counter[str]:
    """How many rows of each resource the destination holds."""
    return Counter(row["resource"] for row in desk.dump())


def test_second_run_changes_nothing(sampled: Desk) -> None:
    """A second sample creates and updates nothing and asks the source for nothing but a sign of life."""
    before = sampled.dump()
    run = sampled.run()
    result = pipeline.migrate(run, 60)
    assert sum(item.created + item.updated for item in result.loaded) == 0
    assert run.source.limiter.calls == 1
    assert sampled.dump() == before


def test_everything_that_arrived_is_as_wanted(migrated: Desk) -> None:
    """No field of a record that arrived is lost, and money sums agree per object and currency."""
    result = pipeline.migrate(migrated.run(), None)
    assert result.tally.lost_in_arrived == 0
    assert result.tally.record_states()["missing"] == 0
    assert result.tally.money
    for sums in result.tally.money.values():
        assert sums.wanted == pytest.approx(sums.live)


def test_every_record_has_an_owner(desk: Desk) -> None:
    """No organization, person, deal, product or activity lands without an owner."""
    before = {(row["resource"], row["id"]) for row in desk.dump()}
    pipeline.migrate(desk.run(), 60)
    owned = [row for row in desk.dump() if (row["resource"], row["id"]) not in before and row["resource"] in
             ("organizations", "persons", "deals", "products", "activities")]  # fmt: skip
    assert owned
    assert all(row["record"]["owner_id"] for row in owned)


def test_fallback_owner_must_exist(desk: Desk) -> None:
    """A fallback owner who is no active user stops the run before anything is written."""
    other = changed(desk, lambda text: text.replace("owner@example.com", "nobody@example.com"))
    before = desk.dump()
    with pytest.raises(UnsafePlan, match=r"nobody@example\.com"):
        pipeline.migrate(other.run(), 60)
    assert desk.dump() == before


def test_empty_source_is_refused(desk: Desk) -> None:
    """A source that gives no record is taken for the wrong account."""
    run = desk.run()
    result = pipeline.extract_and_audit(run, 60)
    assert result.sample is not None
    with run.store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM records WHERE collection NOT LIKE '$%'")
    pipeline.draft(run, result)
    pipeline.plan(run, result)
    assert result.plan is not None
    with pytest.raises(UnsafePlan, match="no record"):
        guard(run, result.plan, yes=False)


def test_mapping_change_rewrites_only_what_it_changes(migrated: Desk) -> None:
    """After one value map changed, only the records whose draft changed are written."""
    desk = migrated
    other = changed(desk, lambda text: text.replace("map: {Pendiente: open, En curso: open, Aceptada: won, Cerrada: won, Rechazada: lost}", "map: {Pendiente: open, En curso: won, Aceptada: won, Cerrada: won, Rechazada: lost}"))  # fmt: skip
    run = other.run()
    result = pipeline.migrate(run, None)
    updated = {item.object: item.updated for item in result.loaded if item.updated}
    assert set(updated) == {"quotes"}
    assert sum(item.created for item in result.loaded) == 0
    rows = desk.dump()
    stage = _stage(rows, "En curso")
    deals = [row["record"] for row in rows if row["resource"] == "deals"]
    assert updated["quotes"] == sum(deal["won_time"] is not None and deal["status"] == "won" and deal["stage_id"] == stage for deal in deals)


def _stage(rows: list[dict[str, Any]], name: str) -> int:
    quotes = next(row["id"] for row in rows if row["resource"] == "pipelines" and row["record"]["name"] == "STEL quotes")
    return next(
        row["record"]["id"] for row in rows
        if row["resource"] == "stages" and row["record"]["name"] == name and str(row["record"]["pipeline_id"]) == str(quotes)
    )  # fmt: skip


def test_people_keep_their_edit(migrated: Desk) -> None:
    """A field people changed in the destination is kept and reported when the source changes too."""
    desk = migrated
    row = next(row for row in desk.dump() if row["resource"] == "products" and row["record"]["code"] == "PRO00002")
    desk.destination_api("PATCH", f"/api/v2/products/{row['id']}", name="Renamed by people")
    desk.source_api("PUT", "/products/5800064", name="Renamed in the source", barcode="8400000000001")
    pipeline.delta(desk.run())
    after = next(other for other in desk.dump() if other["resource"] == "products" and other["id"] == row["id"])
    assert after["record"]["name"] == "Renamed by people"
    assert "8400000000001" in after["record"]["custom_fields"].values()
    with desk.store.begin() as connection:
        told = [finding.text for finding in all_findings(connection, "attention") if finding.object == "products"]
    assert any("Renamed by people" in text for text in told)


SAID = (("product_unit: \"\"", "product_unit: ud"), ("service_unit: \"\"", "service_unit: h"),
        ("contacts_added_when_changed: false", "contacts_added_when_changed: true"))  # fmt: skip


def said(text: str) -> str:
    """The spec with settings for what the source does not have."""
    for old, new in SAID:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_settings_say_what_the_source_lacks(desk: Desk) -> None:
    """Products and services get the units that are named for them, and a person made of a contact counts as added at its last change."""
    there = changed(desk, said)
    pipeline.migrate(there.run(), 60)
    rows = {(row["resource"], str(row["id"])): row["record"] for row in there.dump()}
    with there.store.begin() as connection:
        products, services, contacts = (links_of(connection, name) for name in ("products", "services", "contacts"))
    assert products and {rows["products", link.dest_id]["unit"] for link in products.values()} == {"ud"}
    assert services and {rows["products", link.dest_id]["unit"] for link in services.values()} == {"h"}
    last = {f"contacts/{row['id']}": row["utc-last-modification-date"][:19] + "Z" for row in there.source_api("GET", "/contacts?limit=500")}
    assert contacts and all(rows["persons", link.dest_id]["add_time"] == last[key] for key, link in contacts.items())


def test_delta_with_nothing_changed(migrated: Desk) -> None:
    """A delta with nothing changed writes nothing and calls each filtered collection once."""
    desk = migrated
    pipeline.delta(desk.run())  # has each filter bring rows that are known
    before = desk.dump()
    run = desk.run()
    result = pipeline.delta(run)
    assert sum(item.created + item.updated for item in result.loaded) == 0
    assert desk.dump() == before
    assert run.source.limiter.calls == len(result.changes)


def test_delta_brings_over_what_is_new(migrated: Desk) -> None:
    """A client and a contact made since arrive, linked, with the next delta."""
    desk = migrated
    client = desk.source_api("POST", "/clients", **{"name": "Nueva SL", "legal-name": "Nueva Empresa SL"})[0]
    desk.source_api("POST", "/contacts", **{"name": "Eva Nueva", "account-id": client["id"], "account-path": client["path"]})
    pipeline.delta(desk.run())
    rows = desk.dump()
    organization = next(row for row in rows if row["resource"] == "organizations" and row["record"]["name"] == "Nueva Empresa SL")
    person = next(row for row in rows if row["resource"] == "persons" and row["record"]["name"] == "Eva Nueva")
    assert str(person["record"]["org_id"]) == str(organization["id"])


def test_deletions_are_confirmed_and_reported(migrated: Desk) -> None:
    """A row deleted in the source is found by its id and, by default, kept and reported."""
    desk = migrated
    before = resources(desk)
    desk.source_api("DELETE", "/events/4400012")
    pipeline.delta(desk.run(), deletions=True)
    assert resources(desk) == before
    with desk.store.begin() as connection:
        told = [finding for finding in all_findings(connection, "attention") if finding.stage == "delta"]
    assert [finding.key for finding in told] == ["events/4400012"]


def test_an_element_that_left_its_list_is_gone(migrated: Desk) -> None:
    """A picture taken off a product is told like a deleted record, the others of its list are not; those of a list that is null are, and nothing is deleted."""
    desk = migrated
    with desk.store.begin() as connection:
        linked = sorted(key for key in links_of(connection, "item_images") if key.startswith("products/"))
    records = [key.partition("#")[0] for key in linked]
    record = next(key for key in records if records.count(key) > 1)
    first, *others = [key for key in linked if key.startswith(f"{record}#")]
    images = [row for row in desk.source_api("GET", f"/{record}")[0]["item-images"] if str(row["item-image-id"]) != first.rpartition("/")[2]]
    assert len(images) == len(others)
    desk.source_api("PUT", f"/{record}", **{"item-images": images})
    other = next(key for key in records if key != record)
    desk.source_api("PUT", f"/{other}", **{"item-images": None})
    pipeline.delta(desk.run())
    with desk.store.begin() as connection:
        told = [finding.key for finding in all_findings(connection, "attention") if finding.stage == "delta"]
    assert told == sorted([first, *(key for key in linked if key.startswith(f"{other}#"))])


@pytest.mark.parametrize(("reads", "gone"), [(True, []), (False, ["events/4400012"])], ids=["refused", "no read"])
def test_a_row_that_may_not_be_looked_at_is_not_taken_for_deleted(migrated: Desk, reads: bool, gone: list[str]) -> None:
    """Refused, as in an archived project, it counts as there and is told; where no row can be read by itself, the list decides."""
    source = migrated.migration.source
    events, refusal = source.resources["events"], ErrorRule("forbid", status=(404,))
    others = {verb: operation for verb, operation in events.operations.items() if verb != "read"}
    read = {"read": replace(events.operations["read"], path="/nothing/{id}")} if reads else {}
    closed = replace(
        source, resources={**source.resources, "events": replace(events, operations={**others, **read})}, errors=(refusal, *source.errors)
    )
    desk = replace(migrated, migration=replace(migrated.migration, source=closed))
    desk.source_api("DELETE", "/events/4400012")
    run = desk.run()
    pipeline.delta(run, deletions=True)
    with desk.store.begin() as connection:
        told = [finding.key for finding in all_findings(connection, "attention") if finding.stage == "delta"]
    assert told == gone
    assert any(text.startswith("events/4400012 is no longer listed and cannot be read") for text in run.notices) is reads


def test_a_row_that_a_list_shows_as_deleted_is_gone(desk: Desk) -> None:
    """Where lists show deleted rows, the first reading passes them over, and a delta takes them for deleted without a look."""
    products = desk.migration.source.resources["products"]
    marked = replace(desk.migration.source, resources={**desk.migration.source.resources, "products": replace(products, deleted="inactive")})
    desk = replace(desk, migration=replace(desk.migration, source=marked))
    desk.source_api("PUT", "/products/5800064", inactive=True)
    pipeline.migrate(desk.run(), None)
    with desk.store.begin() as connection:
        linked = links_of(connection, "products")
    assert "products/5800058" in linked
    assert "products/5800064" not in linked
    desk.source_api("PUT", "/products/5800058", inactive=True)
    result = pipeline.delta(desk.run())
    assert {item.collection: item.deleted for item in result.changes}["products"] == 1
    with desk.store.begin() as connection:
        told = [finding for finding in all_findings(connection, "attention") if finding.stage == "delta"]
    assert [finding.key for finding in told if finding.object == "products"] == ["products/5800058"]


@pytest.mark.parametrize(("answer", "shown"), [({}, False), ({"id": 7}, False), ({"id": 7, "name": "Ana"}, True)])
def test_an_answer_without_the_row_leaves_no_fingerprint(desk: Desk, answer: dict[str, Any], shown: bool) -> None:
    """A platform that answers a write with nothing, or the id alone, has not shown the row: what was seen before is void."""
    write = Write("organizations", "clients/1", "organizations", "update", {"name": "Ana"}, {"name": "Ana"}, "7", extra={"seen": "before"})
    codec = codec_of(desk.migration.destination, "organizations", {})
    link = link_after(desk.run(), Outcome(write, "done", "7", Answer(answer, 200, shown=shown)), codec)
    assert ("seen" in link.extra) is shown
    assert link.extra.get("seen") != "before"


def test_without_a_fingerprint_what_was_written_tells_of_an_edit(desk: Desk) -> None:
    """Of a row that no answer has shown, an edit is seen in the fields that were written, and only there."""
    pipeline.migrate(desk.run(), 20)
    with desk.store.begin() as connection:
        links = [structs.replace(link, extra={}) for link in links_of(connection, "organizations").values()]
    assert edits_of(desk.run(), "organizations", links) == {}
    desk.destination_api("PATCH", f"/api/v2/organizations/{links[0].dest_id}", name="Otra")
    desk.destination_api("PATCH", f"/api/v2/organizations/{links[1].dest_id}", visible_to=1)
    assert edits_of(desk.run(), "organizations", links) == {links[0].key: "people changed name"}


def test_a_row_lets_go_of_one_that_leaves(migrated: Desk) -> None:
    """What names a row that this run deletes in the end is updated before, without the link; nothing else is."""
    desk = migrated
    run, mapping, destination = desk.run(), desk.migration.spec.objects["contacts"], desk.migration.destination
    drafts = [draft for batch in stream_drafts(desk.store, "contacts") for draft in batch]
    with desk.store.begin() as connection:
        save_changes(connection, [Change("organizations", "clients/1200101", "delete")])
        codec = codec_of(destination, mapping.resource, load_definitions(connection))
        links = links_of(connection, "contacts")
        changes = decide(run, mapping, codec, drafts, known_rows(run, connection, drafts, links))
    named = {draft.key for draft in drafts if ("organizations", "clients/1200101") in links_in(draft.body)}
    assert named
    assert {change.draft.key for change in changes if change.kind == "update"} == named
    assert all("org_id" not in change.resolved.body for change in changes if change.kind == "update" and change.resolved)


def test_rollback_gives_the_account_back(desk: Desk) -> None:
    """After a rollback the destination is what it was before the migration."""
    before = desk.dump()
    pipeline.migrate(desk.run(), 60)
    assert desk.dump() != before
    result = rollback(desk.run())
    assert (result.kept, result.failed) == ([], [])
    assert _without_stamps(desk.dump()) == _without_stamps(before)
    with desk.store.begin() as connection:
        assert not [name for name, many in count_links(connection).items() if many and name != "users" and name]


def _without_stamps(rows: list[dict[str, object]]) -> list[object]:
    return [
        (row["resource"], row["id"], {k: v for k, v in row["record"].items() if "time" not in k})  # type: ignore[attr-defined]
        for row in rows
    ]



def test_a_sample_after_a_full_run_narrows_no_verification(migrated: Desk) -> None:
    """What was migrated is verified whole, whatever sample was run since."""
    pipeline.migrate(migrated.run(command="run"), None)
    whole = verify(migrated.run(command="verify"), SPEC, "sandbox").tally
    pipeline.migrate(migrated.run(command="run --sample"), 20)
    after = verify(migrated.run(command="verify"), SPEC, "sandbox").tally
    assert whole is not None and after is not None
    before, now = whole.record_states(), after.record_states()
    assert now["arrived"] == before["arrived"] > 100
    assert now["missing"] == before["missing"]
