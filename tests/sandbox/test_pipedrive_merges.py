"""Two rows of the Pipedrive emulator become one, as people do it with duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.pipedrive_account import Account, account


@pytest.fixture(scope="module")
def api() -> Iterator[Account]:
    """An account as it is by default."""
    with account() as opened:
        yield opened


def tokens(api: Account) -> int:
    """What the day has cost so far."""
    stats = api.http.get("/__sandbox__/stats").json()
    return int(stats["tokens"]["by_operation"].get("mergeOrganizations", 0))


def test_merged_organizations_leave_one_with_everything(api: Account) -> None:
    """All that named the row of the path names the other one, and the first is gone."""
    code = api.field("product", "org")["field_code"]
    gone, kept = (api.make("organizations", name=name) for name in ("Aurora", "Aurora SL"))
    person = api.make("persons", name="Ana", org_id=gone)
    deal = api.make("deals", title="Obra", org_id=gone, person_id=person)
    activity = api.make("activities", subject="Visita", org_id=gone)
    note, own = (api.make("notes", content="x", org_id=key) for key in (gone, kept))
    file = api.upload(org_id=gone)
    product = api.make("products", name="Tubo", custom_fields={code: gone})
    spent = tokens(api)
    assert api.merge("organizations", gone, kept) == {"id": kept}
    assert tokens(api) - spent == 40
    rows = api.dump()
    assert gone not in rows["organizations"] and kept in rows["organizations"]
    moved = (
        ("persons", person),
        ("deals", deal),
        ("activities", activity),
        ("notes", note),
        ("notes", own),
        ("files", file),
    )
    assert {rows[kind][key]["org_id"] for kind, key in moved} == {kept}
    assert rows["products"][product]["custom_fields"][code] == kept
    assert api.read("organizations", gone, 404) == "Organization not found"
    assert api.send("GET", f"/api/v2/organizations?ids={gone},{kept}")[0]["id"] == kept
    listed = api.send("GET", f"/v1/notes?org_id={kept}")
    assert {one["id"] for one in listed} == {note, own}


def test_the_row_that_stays_keeps_its_values_and_takes_what_it_lacks(api: Account) -> None:
    """A value on both sides is kept from merge_with_id; an empty one comes from the other row."""
    first, second = (api.field("organization", "varchar")["field_code"] for _ in range(2))
    gone = api.make(
        "organizations",
        name="Vieja",
        website="https://vieja.example",
        address={"value": "Calle Mayor 1"},
        custom_fields={first: "de la vieja", second: "solo la vieja"},
    )
    kept = api.make(
        "organizations",
        name="Nueva",
        website="https://nueva.example",
        custom_fields={first: "de la nueva"},
    )
    before = api.read("organizations", kept)
    api.http.post("/__sandbox__/clock", json={"advance": 60})
    api.merge("organizations", gone, kept)
    after = api.read("organizations", kept)
    assert (after["name"], after["website"]) == ("Nueva", "https://nueva.example")
    assert after["address"]["value"] == "Calle Mayor 1"
    assert after["custom_fields"][first] == "de la nueva"
    assert after["custom_fields"][second] == "solo la vieja"
    assert after["add_time"] == before["add_time"] and after["update_time"] > before["update_time"]
    found = api.send("GET", "/api/v2/organizations/search?term=solo la vieja")["items"]
    assert [one["item"]["id"] for one in found] == [kept]


def test_merged_persons_share_deals_and_participation(api: Account) -> None:
    """The one that stays is named once in each activity, primary where the other one was."""
    org = api.make("organizations", name="Suya")
    emails = [{"value": "rosa@x.example"}]
    gone = api.make("persons", name="R. Gil", org_id=org, emails=emails)
    kept = api.make("persons", name="Rosa Gil")
    other = api.make("persons", name="Otra")
    deal = api.make("deals", title="Obra", person_id=gone)
    both = [{"person_id": gone, "primary": True}, {"person_id": kept}, {"person_id": other}]
    activity = api.make("activities", subject="Visita", participants=both)
    answer = api.merge("persons", gone, str(kept))  # v1 takes digits as text
    assert (answer["id"], answer["merge_what_id"], answer["name"]) == (kept, gone, "Rosa Gil")
    assert answer["email"][0]["value"] == "rosa@x.example" and answer["org_name"] == "Suya"
    assert (answer["open_deals_count"], answer["activities_count"]) == (1, 1)
    assert api.read("deals", deal)["person_id"] == kept
    visit = api.read("activities", activity)
    assert visit["person_id"] == kept
    assert visit["participants"] == [
        {"person_id": kept, "primary": True},
        {"person_id": other, "primary": False},
    ]
    api.read("persons", gone, 404)


def test_merged_deals_join_their_lines_notes_and_files(api: Account) -> None:
    """Lines follow behind those of the other deal, in its currency and its tax method."""
    product = api.make("products", name="Cable")
    person = api.make("persons", name="Rosa")
    gone = api.make("deals", title="Copia", currency="USD", value=7, person_id=person)
    kept = api.make("deals", title="Obra", value=9)
    line = {"product_id": product, "item_price": 5, "quantity": 1}
    for deal, method in ((gone, "exclusive"), (gone, "exclusive"), (kept, "none")):
        api.make(f"deals/{deal}/products", **line, tax_method=method)
    note, file = api.make("notes", content="x", deal_id=gone), api.upload(deal_id=gone)
    answer = api.merge("deals", gone, kept)
    assert (answer["id"], answer["merge_what_id"]) == (kept, gone)
    assert (answer["products_count"], answer["notes_count"]) == (3, 1)
    assert (answer["title"], answer["value"], answer["person_name"]) == ("Obra", 9, "Rosa")
    lines = api.send("GET", f"/api/v2/deals/{kept}/products?sort_by=order_nr")
    seen = [(one["order_nr"], one["currency"], one["tax_method"]) for one in lines]
    assert seen == [(at, "EUR", "none") for at in (1, 2, 3)]
    assert api.read("notes", note)["deal_id"] == api.read("files", file)["deal_id"] == kept
    api.read("deals", gone, 404)
    (seen_deal,) = api.send("GET", f"/api/v2/deals?ids={gone}&status=deleted")
    assert seen_deal["is_deleted"]


@pytest.mark.parametrize("kind", ["organizations", "persons", "deals"])
def test_what_cannot_be_merged_is_refused(api: Account, kind: str) -> None:
    """No partner, the row itself, a row that is gone or never was: refused, nothing changes."""
    body = {"title": "x"} if kind == "deals" else {"name": "x"}
    one, gone = (api.make(kind, **body) for _ in range(2))
    api.delete(kind, gone)
    before = api.dump()
    for partner, status in ((None, 400), ("x", 400), (one, 400), (gone, 404), (99999, 404)):
        api.merge(kind, one, partner, status)
    api.merge(kind, gone, one, 404)
    api.send("POST", f"/v1/{kind}/{one}/merge", {"merge_with_id": gone}, 405)
    api.send("PUT", f"/api/v2/{kind}/{one}/merge", {"merge_with_id": gone}, 404)
    assert api.dump() == before


def test_archived_deals_stay_as_they_are(api: Account) -> None:
    """An archived deal cannot be edited, so it is merged neither way."""
    archived = api.make("deals", title="A", is_archived=True)
    deal = api.make("deals", title="B")
    api.merge("deals", archived, deal, 400)
    api.merge("deals", deal, archived, 400)


def test_a_merged_row_can_be_shown_as_deleted() -> None:
    """With the switch, GET of the row that went shows it deleted; cascades do not follow it."""
    with account("read_deleted=row", "cascade=delete", "line_value=sum") as api:
        product = api.make("products", name="Cable")
        gone, kept = (api.make("deals", title=title) for title in ("Copia", "Obra"))
        for deal, price in ((gone, 5), (kept, 6)):
            line = {"product_id": product, "item_price": price, "quantity": 1}
            api.make(f"deals/{deal}/products", **line)
        note = api.make("notes", content="x", deal_id=gone)
        api.merge("deals", gone, kept)
        shown = api.read("deals", gone)
        assert shown["is_deleted"] and shown["status"] == "deleted"
        assert api.read("notes", note)["deal_id"] == kept
        assert api.read("deals", kept)["value"] == 11
