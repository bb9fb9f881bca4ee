"""The choice of a sample."""

from __future__ import annotations

from engine.pipeline import draft, extract_and_audit
from engine.sampling.choose import choose
from engine.store.links import count_drafts, links_of, stream_drafts
from engine.store.records import many, pointing_at, stream
from engine.values import links_in
from tests.stages.conftest import Desk


def test_sample_is_deterministic(desk: Desk) -> None:
    """The same staged records give the same choice with the same reasons."""
    run = desk.run()
    first = extract_and_audit(run, 60).sample
    assert first is not None
    again = choose(desk.run(), 60)
    assert list(first.chosen.items()) == list(again.chosen.items())


def test_sample_shows_every_value(desk: Desk) -> None:
    """Every document state, priority and event state that occurs in the data occurs in the sample."""
    run = desk.run()
    result = extract_and_audit(run, 60)
    assert result.sample is not None
    for collection, field in (
        ("salesEstimates", "document-state-path"),
        ("workOrders", "document-state-path"),
        ("events", "event-state"),
        ("ordinaryInvoices", "settled"),
    ):
        everywhere = {str(r.body[field]) for batch in stream(run.store, collection) for r in batch}
        with run.store.begin() as connection:
            rows = many(connection, [key for key in result.sample.chosen if key.startswith(f"{collection}/")])
        assert {str(row.body[field]) for row in rows.values()} == everywhere


def test_sample_covers_every_object(desk: Desk) -> None:
    """Every object of the spec has at least one draft from the sample."""
    run = desk.run()
    result = extract_and_audit(run, 60)
    draft(run, result)
    with run.store.begin() as connection:
        empty = [item.name for item in run.spec.active() if not count_drafts(connection, item.name).get("ready")]
    assert empty == []


def test_sample_is_closed_over_links(desk: Desk) -> None:
    """Whatever a sampled draft points at is drafted too."""
    run = desk.run()
    result = extract_and_audit(run, 60)
    draft(run, result)
    made = {(d.object, d.key) for m in run.spec.active() for batch in stream_drafts(run.store, m.name) for d in batch}
    with run.store.begin() as connection:
        users = {("users", key) for key in links_of(connection, "users")}
    for mapping in run.spec.active():
        for batch in stream_drafts(run.store, mapping.name):
            for item in batch:
                assert set(links_in(item.body)) <= made | users, item.key


def test_sample_is_closed_over_children(desk: Desk) -> None:
    """A sampled client brings all of its assets along."""
    run = desk.run()
    result = extract_and_audit(run, 60)
    assert result.sample is not None
    with run.store.begin() as connection:
        for key in result.sample.chosen:
            if key.startswith("clients/"):
                assets = pointing_at(connection, "assets", "account-path", [key])
                assert {asset.key for asset in assets} <= set(result.sample.chosen)


def test_sample_of_a_large_account_fetches_what_it_names(desk: Desk) -> None:
    """Where only one page of a collection was read, rows that sampled records name are fetched by id."""
    run = desk.run()
    result = extract_and_audit(run, 60)
    assert result.sample is not None
    assert all(why for why in result.sample.chosen.values())
