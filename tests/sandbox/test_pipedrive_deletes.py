"""What a delete in the Pipedrive emulator takes along, empties, leaves alone or is refused for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.launch import NotStarted
from tests.sandbox.pipedrive_account import Account, Record, account

Family = dict[str, int]


def family(api: Account) -> Family:
    """An organization with its person, their deal, and one row of each kind below them."""
    org = api.make("organizations", name="Matriz")
    person = api.make("persons", name="Rosa Gil", org_id=org)
    deal = api.make("deals", title="Obra", org_id=org, person_id=person)
    product = api.make("products", name="Cable")
    line = {"product_id": product, "item_price": 5, "quantity": 1}
    visit = {"deal_id": deal, "org_id": org, "participants": [{"person_id": person}]}
    activity = api.make("activities", subject="Visita", **visit)
    return {
        "org": org,
        "person": person,
        "deal": deal,
        "product": product,
        "line": api.make(f"deals/{deal}/products", **line),
        "activity": activity,
        "note of org": api.make("notes", content="o", org_id=org),
        "note of person": api.make("notes", content="p", person_id=person),
        "note of deal": api.make("notes", content="d", deal_id=deal),
        "file of org": api.upload(org_id=org),
        "file of deal": api.upload(deal_id=deal),
        "file of activity": api.upload(activity_id=activity),
    }


KINDS = {
    "org": "organizations",
    "person": "persons",
    "deal": "deals",
    "product": "products",
    "line": "deal_products",
    "activity": "activities",
}


def live(api: Account, made: Family) -> dict[str, Record]:
    """The rows of a family that the account still holds."""
    rows = api.dump()
    found = {}
    for name, key in made.items():
        kind = KINDS.get(name, f"{name.partition(' ')[0]}s")
        if key in rows.get(kind, {}):
            found[name] = rows[kind][key]
    return found


# (cascade, deleted row, rows that go as well, references that are empty afterwards)
FATES: list[tuple[str, str, set[str], set[tuple[str, str]]]] = [
    ("off", "org", set(), {("person", "org_id"), ("deal", "org_id"), ("activity", "org_id")}),
    ("off", "person", set(), {("deal", "person_id"), ("activity", "person_id")}),
    ("off", "deal", set(), set()),
    (
        "unlink",
        "org",
        set(),
        {
            ("person", "org_id"),
            ("deal", "org_id"),
            ("activity", "org_id"),
            ("note of org", "org_id"),
            ("file of org", "org_id"),
        },
    ),
    (
        "unlink",
        "person",
        set(),
        {("deal", "person_id"), ("activity", "person_id"), ("note of person", "person_id")},
    ),
    (
        "unlink",
        "deal",
        {"line"},
        {("activity", "deal_id"), ("note of deal", "deal_id"), ("file of deal", "deal_id")},
    ),
    ("unlink", "activity", set(), {("file of activity", "activity_id")}),
    (
        "delete",
        "org",
        {
            "person",
            "deal",
            "line",
            "activity",
            "note of org",
            "note of person",
            "note of deal",
            "file of org",
            "file of deal",
            "file of activity",
        },
        set(),
    ),
    (
        "delete",
        "person",
        {
            "deal",
            "line",
            "activity",
            "note of person",
            "note of deal",
            "file of deal",
            "file of activity",
        },
        set(),
    ),
    (
        "delete",
        "deal",
        {"line", "activity", "note of deal", "file of deal", "file of activity"},
        set(),
    ),
    ("delete", "product", {"line"}, set()),
    ("delete", "activity", {"file of activity"}, set()),
]


@pytest.fixture(scope="module", params=["off", "unlink", "delete"])
def cascading(request: pytest.FixtureRequest) -> Iterator[tuple[str, Account]]:
    """An account for each word of the switch `cascade`."""
    with account(f"cascade={request.param}") as api:
        yield request.param, api


def test_a_delete_does_to_others_what_the_switch_says(cascading: tuple[str, Account]) -> None:
    """Rows that refer to a deleted one go along, lose the reference or stay, and nothing else."""
    cascade, api = cascading
    for word, deleted, gone, emptied in FATES:
        if word != cascade:
            continue
        made = family(api)
        before = live(api, made)
        kind = KINDS[deleted]
        assert api.delete(kind, made[deleted]) == {"id": made[deleted]}
        after = live(api, made)
        assert before.keys() - after.keys() == {deleted} | gone, (word, deleted)
        changed = {
            (name, key)
            for name, row in after.items()
            for key in row
            if row[key] != before[name][key] and key != "participants"
        }
        assert changed == emptied, (word, deleted)
        assert all(after[name][key] is None for name, key in emptied)


def test_what_went_along_is_gone_for_every_client(cascading: tuple[str, Account]) -> None:
    """Rows that went with their organization are a 404, out of the lists and of the search."""
    cascade, api = cascading
    made = family(api)
    api.delete("organizations", made["org"])
    status = 404 if cascade == "delete" else 200
    api.read("persons", made["person"], status)
    api.read("notes", made["note of deal"], status)
    api.read("files", made["file of deal"], status)
    listed = api.send("GET", f"/api/v2/deals?ids={made['deal']}&status=deleted")
    assert [row["status"] for row in listed] == (["deleted"] if cascade == "delete" else [])
    found = api.send("GET", "/api/v2/persons/search?term=Rosa Gil&exact_match=true")["items"]
    seen = [one["item"]["id"] for one in found]
    assert (made["person"] in seen) is (cascade != "delete")


def test_references_inside_rows_follow_too(cascading: tuple[str, Account]) -> None:
    """Values of custom fields and participants that name a deleted row stay, or are emptied."""
    cascade, api = cascading
    code = api.field("deal", "people")["field_code"]
    people = [api.make("persons", name=name) for name in ("Primera", "Segunda")]
    deal = api.make("deals", title="Obra", custom_fields={code: people[1]})
    both = [{"person_id": people[0], "primary": True}, {"person_id": people[1]}]
    activity = api.make("activities", subject="Visita", participants=both)
    api.delete("persons", people[1])
    kept = [people[1]] if cascade == "off" else []
    assert api.read("deals", deal)["custom_fields"][code] == (kept[0] if kept else None)
    named = api.read("activities", activity)
    assert [one["person_id"] for one in named["participants"]] == [people[0], *kept]
    assert named["person_id"] == people[0]


def test_a_pipeline_takes_its_stages_and_its_deals(cascading: tuple[str, Account]) -> None:
    """Stages always go with their pipeline; deals only where deletes cascade."""
    cascade, api = cascading
    pipeline = api.make("pipelines", name="Otra")
    stage = api.make("stages", name="Alta", pipeline_id=pipeline)
    deal = api.make("deals", title="Obra", stage_id=stage)
    api.delete("pipelines", pipeline)
    api.read("stages", stage, 404)
    api.read("deals", deal, 404 if cascade == "delete" else 200)


def test_a_row_in_use_is_refused_with_the_rows_that_use_it() -> None:
    """The refusal is a 400 that names every row, nothing is changed, and unused rows can go."""
    with account("refuse_deletes=referred") as api:
        made = family(api)
        before = api.dump()
        said = api.delete("organizations", made["org"], 400)
        assert said == (
            f"Organization {made['org']} cannot be deleted, it is in use by"
            f" activities {made['activity']}; deals {made['deal']}; files {made['file of org']};"
            f" notes {made['note of org']}; persons {made['person']}"
        )
        assert f"deal products {made['line']}" in api.delete("deals", made["deal"], 400)
        assert "stages 1, 2, 3, 4, 5" in api.delete("pipelines", 1, 400)
        assert f"deals {made['deal']}" in api.delete("persons", made["person"], 400)
        assert api.dump() == before
        for name in ("note of org", "note of person", "file of deal"):
            api.delete(f"{name.partition(' ')[0]}s", made[name])
        code = api.field("product", "org")["field_code"]
        org = api.make("organizations", name="Fabricante")
        product = api.make("products", name="Tubo", custom_fields={code: org})
        assert f"by products {product}" in api.delete("organizations", org, 400)
        api.delete("products", product)
        api.delete("organizations", org)


def test_a_long_list_of_rows_in_use_is_cut() -> None:
    """Ten ids of a table are named, the rest is counted."""
    with account("refuse_deletes=referred") as api:
        org = api.make("organizations", name="Grande")
        notes = [api.make("notes", content="x", org_id=org) for _ in range(12)]
        said = api.delete("organizations", org, 400)
        assert said.endswith(f"notes {', '.join(map(str, notes[:10]))} and 2 more")


def test_deletes_of_a_table_are_refused() -> None:
    """Every delete of a named table is a 403, also of line items in bulk; others go through."""
    with account("refuse_deletes=notes,deal_products,fields") as api:
        made = family(api)
        before = api.dump()
        assert "permission" in api.delete("notes", made["note of deal"], 403)
        lines = f"deals/{made['deal']}/products"
        assert "permission" in api.delete(lines, made["line"], 403)
        assert "permission" in api.send("DELETE", f"/api/v2/{lines}", status=403)
        code = api.send("GET", "/api/v2/dealFields?limit=500")[-1]["field_code"]
        assert "permission" in api.send("DELETE", f"/api/v2/dealFields/{code}", status=403)
        assert api.dump() == before
        api.delete("files", made["file of deal"])


def test_a_deleted_row_is_not_found_or_shown_as_deleted() -> None:
    """GET of a deleted row is a 404 unless the switch shows it; nothing can be done to it."""
    with account("read_deleted=row") as api:
        made = family(api)
        for name, mark in (
            ("note of deal", ("active_flag", False)),
            ("file of deal", ("active_flag", False)),
            ("activity", ("is_deleted", True)),
            ("deal", ("is_deleted", True)),
            ("person", ("is_deleted", True)),
        ):
            kind = KINDS.get(name, f"{name.partition(' ')[0]}s")
            api.delete(kind, made[name])
            assert api.read(kind, made[name])[mark[0]] is mark[1]
            api.delete(kind, made[name], 404)
            assert made[name] not in api.dump().get(kind, {})
        api.send("PATCH", f"/api/v2/deals/{made['deal']}", {"title": "x"}, 404)
        api.read("deals", 99999, 404)


@pytest.mark.parametrize(
    ("switch", "said"),
    [
        ("cascade=yes", "off or unlink or delete"),
        ("refuse_deletes=referred,tables", "not 'tables'"),
        ("read_deleted=410", "404 or row"),
    ],
)
def test_a_wrong_word_stops_the_start(switch: str, said: str) -> None:
    """A word that a switch does not know is named with those it knows."""
    with pytest.raises(NotStarted, match=said), account(switch):
        pass


