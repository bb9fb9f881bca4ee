"""Each row of the mapping, checked in the destination's own dump against the source's own dump."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.driving import OWNER, Dump, Record, by_key, custom

HOME = ZoneInfo("Europe/Madrid")
Rows = dict[str, Record]


def utc(stamp: str) -> str:
    """A wall-clock stamp of the source as the instant it was."""
    wall = datetime.fromisoformat(stamp[:19]).replace(tzinfo=HOME)
    return wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(stamp: str) -> str:
    """A wall-clock stamp of the source with the offset that it had."""
    return datetime.fromisoformat(stamp[:19]).replace(tzinfo=HOME).isoformat()


def key_of(path: str | None) -> str:
    """`host/app/collection/id` as `collection/id`."""
    return "/".join((path or "").split("/")[-2:])


def deals_of(there: Dump, collection: str) -> Rows:
    """The deals made of a collection, by source key."""
    return {key: row for key, row in by_key(there, "deals").items() if key.startswith(f"{collection}/")}


def notes_on(there: Dump, field: str, row: Record) -> list[Record]:
    """Notes on a row."""
    return [note for note in there["notes"] if note[field] == row["id"]]


def stage_name(there: Dump, deal: Record) -> str:
    """The name of the stage a deal stands in."""
    return str(next(row["name"] for row in there["stages"] if row["id"] == deal["stage_id"]))


def arrived(report: Record, name: str) -> Iterator[Record]:
    """The report's records of an object that are in the destination."""
    yield from (row for row in report["records"] if row["object"] == name and row["state"] == "arrived")


def test_users_are_matched_and_nobody_is_without_an_owner(report: Record, there: Dump) -> None:
    """By e-mail ignoring case, those who share a login by name; the others are listed, and the fallback owner stands in for them."""
    states = {person["key"]: person["state"] for person in report["people"]}
    assert states["employees/8101"] == "matched"  # there in other letter case
    assert (states["employees/8102"], states["employees/8103"], states["employees/8106"]) == ("inactive", "matched", "unmatched")
    assert OWNER in report["fallback_owner"]
    active = {user["id"] for user in there["users"] if user["active_flag"]}
    for resource in ("organizations", "persons", "deals", "products", "activities"):
        assert {row["owner_id"] for row in there[resource]} <= active


def test_clients_become_organizations(there: Dump, source: Rows) -> None:
    """Name, address in its parts, real creation time, tax id, reference, category, terms, discount, comments, stamps."""
    found = by_key(there, "organizations")
    kinds = {custom(there, "organizations", row, "Account type") for row in found.values()}
    assert kinds == {"Client", "Potential client"}
    for key, row in found.items():
        record = source[key]
        assert row["name"] == " ".join((record["legal-name"] or record["name"]).split())
        assert row["add_time"] == utc(record["creation-date"])
        assert custom(there, "organizations", row, "STEL reference") == record["full-reference"]
        assert (custom(there, "organizations", row, "Discount %") or 0) == (record["discount-percentage"] or 0)
        assert custom(there, "organizations", row, "Comments") == ((record["comments"] or "").strip() or None)
        assert custom(there, "organizations", row, "Created in STEL") == iso(record["creation-date"])
        assert custom(there, "organizations", row, "Modified in STEL (UTC)") == record["utc-last-modification-date"][:19] + "+00:00"
        assert custom(there, "organizations", row, "External id") == record["external-id"]
        assert custom(there, "organizations", row, "Payment terms") == _name(source, "paymentTerms", record["payment-terms-id"])
        category = _name(source, "accountCategories", record["account-category-id"])
        assert custom(there, "organizations", row, "Client category") == category
    assert any(custom(there, "organizations", row, "Tax id") for row in found.values())


def _name(source: Rows, collection: str, row_id: int | None) -> str | None:
    row = source.get(f"{collection}/{row_id}")
    return row["name"] if row else None


def test_addresses_stand_in_their_parts(there: Dump, source: Rows) -> None:
    """Town and postal code are fields of the address, with leading zeros kept."""
    seen = 0
    for key, row in by_key(there, "organizations").items():
        address = source[key]["main-address"] or {}
        if address.get("postal-code") and row["address"]:
            assert row["address"]["postal_code"] == address["postal-code"]
            assert row["address"]["locality"] == address["city-town"]
            seen += 1
    assert seen > 5


def test_assets_ride_along_with_their_organization(report: Record, there: Dump, source: Rows, sample: Record) -> None:
    """Serials stand in the organization's create, no second call; and each asset has a note."""
    organizations = by_key(there, "organizations")
    assert "updateOrganization" not in sample["cost"]["requests"]
    for row in arrived(report, "asset_notes"):
        asset = source[row["key"]]
        organization = organizations[key_of(asset["account-path"])]
        serials = custom(there, "organizations", organization, "Asset serial numbers") or ""
        assert (asset["serial-number"] or "").strip() in serials
        assert any(f"Asset {asset['full-reference']}" in note["content"] for note in notes_on(there, "org_id", organization))


def named_assets(record: Record, source: Rows) -> list[str]:
    """What the assets are called that a record is about."""
    return [source[f"assets/{asset['id']}"]["full-reference"] for asset in record["assets"]]


@pytest.mark.parametrize("collection", ["workOrders", "ordinaryInvoices"])
def test_documents_name_their_assets(collection: str, there: Dump, source: Rows) -> None:
    """All of them, in a custom field and in the note of the lines; and the asset's note on the organization names the document."""
    organizations, seen = by_key(there, "organizations"), 0
    for key, row in deals_of(there, collection).items():
        names = named_assets(source[key], source)
        told = custom(there, "deals", row, "Assets")
        assert [line.split(" ")[0].rstrip(",") for line in (told or "").split("\n") if line] == names
        note = next(note for note in notes_on(there, "deal_id", row) if source[key]["full-reference"] in note["content"])
        assert all(f"<li>Asset: {name}" in note["content"] for name in names)
        for asset in source[key]["assets"]:
            owner = organizations.get(key_of(source[f"assets/{asset['id']}"]["account-path"]))
            about = [note["content"] for note in notes_on(there, "org_id", owner)] if owner else []
            assert any(f"Asset {named_assets({'assets': [asset]}, source)[0]}<" in text and source[key]["full-reference"] in text for text in about)
        seen += bool(names)
    assert seen or collection != "workOrders"


def test_incidents_name_their_assets(report: Record, there: Dump, source: Rows) -> None:
    """In the subject, for activities have no custom fields, in the note, and in the asset's note on the organization."""
    activities, seen = {str(row["id"]): row for row in there["activities"]}, 0
    told = "\n".join(note["content"] for note in there["notes"] if note["org_id"])
    for row in arrived(report, "incidents"):
        record, activity = source[row["key"]], activities[row["dest_id"]]
        for name in named_assets(record, source):
            assert name in activity["subject"]
            assert f"<li>Asset: {name}" in activity["note"]
            assert any(f"Asset {name}<" in text and record["full-reference"] in text for text in told.split("<h4>"))
            seen += 1
    assert seen > 2


def test_the_next_warranty_end_is_not_over(there: Dump, source: Rows) -> None:
    """It is the first that has not passed on the day of the run; the asset's note has its own end, passed or not."""
    ends: dict[str, list[str]] = {}
    for key, asset in source.items():
        if key.startswith("assets/") and asset["warranty-end-date"]:
            ends.setdefault(key_of(asset["account-path"]), []).append(asset["warranty-end-date"][:10])
    today = datetime.now(UTC).date().isoformat()
    for key, row in by_key(there, "organizations").items():
        found = custom(there, "organizations", row, "Next asset warranty end")
        assert found == min((end for end in ends.get(key, []) if end >= today), default=None)
    assert any(end < today for some in ends.values() for end in some)


def test_contacts_become_persons(there: Dump, source: Rows) -> None:
    """Organization, e-mail, phones and position; a comment is a note; STEL has no creation time, and none is made up."""
    organizations, commented = by_key(there, "organizations"), 0
    for key, row in by_key(there, "persons").items():
        record = source[key]
        if not key.startswith("contacts/"):
            continue
        owner = organizations.get(key_of(record["account-path"]))
        assert row["org_id"] == (owner["id"] if owner else None)
        assert custom(there, "persons", row, "Position") == ((record["position"] or "").strip() or None)
        assert row["add_time"] > record["utc-last-modification-date"][:19] + "Z"  # the moment it was written
        assert custom(there, "persons", row, "Created in STEL") is None
        if record["comments"]:
            commented += len(notes_on(there, "person_id", row))
    assert commented > 0
    assert any(phone["label"] == "fax" for row in there["persons"] for phone in row["phones"])


def test_a_client_without_contacts_has_a_person_of_its_own(there: Dump, source: Rows) -> None:
    """Made of its e-mail and phone, on its own organization."""
    organizations = by_key(there, "organizations")
    own = {key: row for key, row in by_key(there, "persons").items() if not key.startswith("contacts/")}
    assert "clients/1200115" in own and "clients/1200122" not in own  # the second has neither e-mail nor phone
    for key, row in own.items():
        assert row["org_id"] == organizations[key]["id"]
        assert row["emails"] or row["phones"]
        assert row["add_time"] == organizations[key]["add_time"]
        assert custom(there, "persons", row, "Created in STEL") == custom(there, "organizations", organizations[key], "Created in STEL")


def test_the_catalogue(sample: Record, there: Dump, source: Rows) -> None:
    """Name, code, price, tax natively and as a custom field, stock, category; products and services; no unit, for STEL has none."""
    found = by_key(there, "products")
    assert {key.partition("/")[0] for key in found} == {"products", "services"}
    for key, row in found.items():
        record = source[key]
        assert row["name"] == " ".join(record["name"].split())
        assert (row["code"], row["tax"]) == (record["full-reference"], record["primary-tax-percentage"])
        assert row["prices"][0]["price"] == pytest.approx(record["sales-price"])
        assert row["unit"] is None
        assert custom(there, "products", row, "External id") == record["external-id"]
        stock = [f"{source[key_of(held['warehouse-path'])]['name']}: " for held in record.get("product-warehouses") or ()]
        assert all(name in custom(there, "products", row, "Stock by warehouse") for name in stock)
        assert custom(there, "products", row, "Tax_Rate") == record["primary-tax-percentage"]
        assert custom(there, "products", row, "Stock_Quantity") == record.get("real-stock")
        assert sample["categories"].get(str(row["category"])) == _name(source, "productCategories", record["product-category-id"])
    assert any(custom(there, "products", row, "Warehouse") for row in found.values())


KINDS = {
    "salesEstimates": "Quote",
    "salesOrders": "Order",
    "ordinaryInvoices": "Invoice",
    "refundInvoices": "Credit note",
    "workOrders": "Work order",
}


@pytest.mark.parametrize("collection", KINDS)
def test_documents_become_deals(collection: str, there: Dump, source: Rows) -> None:
    """Of five types: number, date, amounts, organization, person and a title people know."""
    organizations, persons = by_key(there, "organizations"), by_key(there, "persons").values()
    found = deals_of(there, collection)
    assert found
    for key, row in found.items():
        record = source[key]
        assert custom(there, "deals", row, "Document type") == KINDS[collection]
        assert custom(there, "deals", row, "Document number") == record["full-reference"]
        assert custom(there, "deals", row, "Document date") == record["date"][:10]
        assert (row["value"], row["currency"]) == (pytest.approx(record["total-amount"]), record["currency-code"] or "EUR")
        assert custom(there, "deals", row, "Net amount")["value"] == pytest.approx(record["subtotal-amount"])
        assert row["org_id"] == organizations[key_of(record["account-path"])]["id"]
        assert row["title"].startswith(record["full-reference"])
        assert (row["person_id"] is not None) == any(person["org_id"] == row["org_id"] for person in persons)


@pytest.mark.parametrize("collection", ["salesEstimates", "salesOrders", "workOrders"])
def test_stage_and_status_come_from_the_accounts_states(collection: str, there: Dump, source: Rows) -> None:
    """The stage is the document's state; closed and accepted ones are won, refused ones lost, at the document's time."""
    won, lost = {"Aceptada", "Cerrada", "Cerrado"}, {"Rechazada", "Rechazado"}
    for key, row in deals_of(there, collection).items():
        record = source[key]
        state = source[key_of(record["document-state-path"])]["name"].strip()
        assert stage_name(there, row) == state
        assert row["status"] == ("won" if state in won else "lost" if state in lost else "open")
        if state in won:
            assert row["won_time"] == utc(record["date"])
        if state in lost:
            assert row["lost_time"] == utc(record["date"])


def test_invoices_are_closed_at_their_own_date(there: Dump, source: Rows) -> None:
    """Won at the issue date, with due date, paid, remaining and payment status; the stage says the same."""
    seen = set()
    for key, row in (deals_of(there, "ordinaryInvoices") | deals_of(there, "refundInvoices")).items():
        record = source[key]
        assert (row["status"], row["won_time"]) == ("won", utc(record["date"]))
        assert custom(there, "deals", row, "Paid amount")["value"] == pytest.approx(record["paid-total-amount"])
        assert custom(there, "deals", row, "Remaining amount")["value"] == pytest.approx(record["remaining-total-amount"])
        paid = record["settled"] or not record["remaining-total-amount"]
        status = "Paid" if paid else "Partly paid" if record["paid-total-amount"] > 0 else "Unpaid"
        assert custom(there, "deals", row, "Payment status") == stage_name(there, row) == status
        assert row["title"].endswith({"Paid": "", "Partly paid": "(partly paid)", "Unpaid": "(unpaid)"}[status])
        assert "paid)" in row["title"] or status == "Paid"
        due = [receipt["payment-term-date"] for receipt in record["receipts"] if receipt["payment-term-date"]]
        assert custom(there, "deals", row, "Due date") == (max(due)[:10] if due else None)
        seen.add(status)
    assert seen == {"Paid", "Partly paid", "Unpaid"}


def test_what_only_one_kind_has(there: Dump, source: Rows) -> None:
    """Validity of quotes, shipping address of orders, technician, schedule and items of work orders."""
    for key, row in deals_of(there, "salesEstimates").items():
        assert custom(there, "deals", row, "Valid until") == ((source[key]["validity-date"] or "")[:10] or None)
    assert any(custom(there, "deals", row, "Shipping address") for row in deals_of(there, "salesOrders").values())
    for key, row in deals_of(there, "workOrders").items():
        record = source[key]
        person = source.get(key_of(record["assignee-path"]))
        if person and not person["deleted"]:
            assert custom(there, "deals", row, "Technician") == f"{person['name']} {person['surname'] or ''}".strip()
        assert custom(there, "deals", row, "Scheduled date") == ((record["assigned-date"] or "")[:10] or None)
        items = [line for line in record["lines"] if line["line-type"] == "ITEM" and not line["deleted"]]
        assert bool(custom(there, "deals", row, "Items")) == bool(items)


@pytest.mark.parametrize("collection", KINDS)
def test_line_items_are_a_note(collection: str, there: Dump, source: Rows) -> None:
    """Every live line is in it, deleted ones are not; the note carries the document's time."""
    for key, row in deals_of(there, collection).items():
        record = source[key]
        found = [note for note in notes_on(there, "deal_id", row) if record["full-reference"] in note["content"]]
        assert len(found) == 1, key
        assert found[0]["add_time"] == utc(record["creation-date"]).replace("T", " ").removesuffix("Z")
        assert found[0]["content"].count("<tr>") - 1 == max(1, sum(not line["deleted"] for line in record["lines"]))


TAG = re.compile(r"</?(?:p|br|b|i|ul|li|div)\b[^>]*>")


def test_markup_is_formatting_in_notes_and_plain_elsewhere(there: Dump, source: Rows) -> None:
    """HTML of the source keeps its formatting in notes; descriptions, titles, subjects and custom fields show no tag."""
    marked = {key for key, row in source.items() if key.startswith("products/") and TAG.search(row["description"] or "")}
    told = [row["description"] for key, row in by_key(there, "products").items() if key in marked]
    assert told and all("cada 6 meses" in text for text in told)
    notes = [note["content"] for note in there["notes"]] + [row["note"] or "" for row in there["activities"]]
    assert any("<b>cada 6 meses</b>" in text for text in notes)
    plain = [row[name] or "" for resource, name in PLAIN for row in there[resource]]
    plain += [str(value) for resource in CUSTOM for row in there[resource] for value in row["custom_fields"].values()]
    assert [text for text in plain if TAG.search(text)] == []


PLAIN = (("products", "description"), ("deals", "title"), ("activities", "subject"))
CUSTOM = ("organizations", "persons", "products", "deals")


def test_payments_are_activities_on_their_invoice(report: Record, there: Dump, source: Rows) -> None:
    """Paid receipts are done at their payment date, unpaid ones open at their due date; the note tells amount and method."""
    deals, activities = by_key(there, "deals"), {str(row["id"]): row for row in there["activities"]}
    done = set()
    for row in arrived(report, "payments"):
        receipt, activity = source[row["key"]], activities[row["dest_id"]]
        assert activity["deal_id"] == deals[key_of(receipt["original-element-path"])]["id"]
        assert activity["done"] is receipt["paid"]
        due = receipt["payment-date"] if receipt["paid"] else receipt["payment-term-date"]
        assert activity["due_date"] == (due or receipt["payment-term-date"])[:10]
        assert receipt["full-reference"] in activity["note"] and "Method:" in activity["note"]
        done.add(activity["done"])
    assert done == {True, False}


def test_events_and_incidents_are_activities(report: Record, there: Dump, source: Rows) -> None:
    """At their original time, told in the account's zone; done or open; on their organization and deal."""
    activities, organizations = {str(row["id"]): row for row in there["activities"]}, by_key(there, "organizations")
    for name, stamp in (("events", "start-date"), ("incidents", "date")):
        for row in arrived(report, name):
            record, activity = source[row["key"]], activities[row["dest_id"]]
            if name == "incidents" or not record["all-day"]:
                assert f"{activity['due_date']}T{activity['due_time'][:5]}" == utc(record[stamp])[:16]
            owner = organizations.get(key_of(record["account-path"]))
            assert activity["org_id"] == (owner["id"] if owner else None)
    events = [activities[row["dest_id"]] for row in arrived(report, "events")]
    assert {event["done"] for event in events} == {True, False}
    assert any(event["deal_id"] for event in events)


def test_a_work_order_is_on_the_agenda_of_its_technician(report: Record, there: Dump, source: Rows) -> None:
    """At its time, on its deal; who has no user is named in the note, and the fallback owner stands in."""
    deals, activities = by_key(there, "deals"), {str(row["id"]): row for row in there["activities"]}
    people = {person["key"]: person["user"] for person in report["people"] if person["state"] == "matched"}
    owner = next(user["id"] for user in there["users"] if user["email"] == OWNER)
    seen = set()
    for row in arrived(report, "work_order_visits"):
        record, activity = source[row["key"]], activities[row["dest_id"]]
        assert activity["deal_id"] == deals[row["key"]]["id"]
        who = next(key_of(path) for path in (record["assignee-path"], record["agent-path"], record["creator-path"]) if path)
        assert activity["owner_id"] == int(people.get(who, owner))
        if record["assignee-path"] and (person := source.get(who)):
            assert f"Technician: {person['name']}" in activity["note"]
        if record["assigned-date"]:
            assert f"{activity['due_date']}T{activity['due_time'][:5]}" == utc(record["assigned-date"])[:16]
        seen.add(who in people)
    assert seen


def test_files_arrive_whole(report: Record, there: Dump) -> None:
    """PDFs and pictures stand on their record with the size and checksum of what was fetched."""
    files = {str(row["id"]): row for row in there["files"]}
    for name, field in (("document_files", "deal_id"), ("item_images", "product_id"), ("asset_files", "org_id")):
        rows = list(arrived(report, name))
        assert rows
        for row in rows:
            held = files[row["dest_id"]]
            assert held[field] is not None
            assert (held["file_size"], held["sha256"]) == (row["file"]["size"], row["file"]["sha256"])


def test_a_dead_link_is_a_reported_record(report: Record) -> None:
    """Not a crash: the picture is named, everything else arrived."""
    dead = [row for row in report["records"] if row["object"] == "item_images" and row["state"] == "failed"]
    assert dead and all("dead" in row["reason"] for row in dead)
