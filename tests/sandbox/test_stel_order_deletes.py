"""What a delete in the STEL Order emulator takes along, empties, leaves alone or is refused for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.stel_order_account import Account, Record, account

Key = tuple[str, int]


def rows(api: Account) -> dict[Key, Record]:
    """Every live row that has an id, by collection and id."""
    lines = (json.loads(line) for line in api.control("dump").text.splitlines())
    return {(one["resource"], one["id"]): one["record"] for one in lines if one["id"]}


def naming(found: dict[Key, Record], link: str, path: str) -> set[Key]:
    """The rows whose link leads to a path."""
    return {key for key, row in found.items() if row.get(f"{link}-path") == path}


def busiest(found: dict[Key, Record]) -> Record:
    """The client that most kinds of rows belong to."""

    def kinds(row: Record) -> int:
        return len({collection for collection, _ in naming(found, "account", row["path"])})

    clients = [row for (collection, _), row in found.items() if collection == "clients"]
    return max(clients, key=kinds)


def test_by_default_rows_keep_naming_what_is_gone() -> None:
    """A deleted client leaves everything else as it was."""
    with account() as api:
        before = rows(api)
        client = busiest(before)
        api.send("DELETE", f"clients/{client['id']}")
        del before["clients", client["id"]]
        assert rows(api) == before


def test_deletes_that_cascade_take_the_rows_of_a_client_along() -> None:
    """Contacts, addresses, documents and receipts go, deleted by id; nobody else's rows do."""
    with account("--set", "cascade=delete") as api:
        before = rows(api)
        client = busiest(before)
        gone = naming(before, "account", client["path"])
        assert {collection for collection, _ in gone} >= {"contacts", "addresses", "incidents"}
        api.send("DELETE", f"clients/{client['id']}")
        after = rows(api)
        assert before.keys() - after.keys() == gone | {("clients", client["id"])}
        for collection, ident in sorted(gone):
            (row,) = api.get(f"{collection}/{ident}")
            assert row["deleted"] is True, (collection, ident)


def test_an_invoice_takes_its_receipts_and_frees_what_came_of_it() -> None:
    """Receipts go with their invoice; a refund that was made from it loses the link."""
    for word in ("delete", "unlink"):
        with account("--set", f"cascade={word}") as api:
            before = rows(api)
            refund = next(
                row
                for (collection, _), row in before.items()
                if collection == "refundInvoices" and row["parent-document-path"]
                if naming(before, "original-element", row["parent-document-path"])
            )
            path = refund["parent-document-path"]
            receipts = naming(before, "original-element", path)
            ident = int(path.rpartition("/")[2])
            api.send("DELETE", f"ordinaryInvoices/{ident}")
            after = rows(api)
            assert before.keys() - after.keys() == receipts | {("ordinaryInvoices", ident)}
            changed = after["refundInvoices", refund["id"]]
            assert changed["parent-document-path"] is None
            assert naming(after, "parent-document", path) == set()


def test_deletes_that_unlink_empty_what_named_the_row() -> None:
    """Nothing goes along with a client, and nothing names it any more."""
    with account("--set", "cascade=unlink") as api:
        before = rows(api)
        client = busiest(before)
        named = naming(before, "account", client["path"])
        api.send("DELETE", f"clients/{client['id']}")
        after = rows(api)
        assert before.keys() - after.keys() == {("clients", client["id"])}
        assert naming(after, "account", client["path"]) == set()
        for key in named:
            assert after[key]["account-path"] is None and after[key].get("account-id") is None
            stamp = "utc-last-modification-date"
            assert after[key][stamp] > before[key][stamp]


def test_an_asset_leaves_the_lists_that_hold_it() -> None:
    """Incidents and work orders no longer list a deleted asset; its events lose the link."""
    with account("--set", "cascade=unlink") as api:
        before = rows(api)
        holder: Any = next(row for row in before.values() if row.get("assets"))
        asset = holder["assets"][0]["path"]
        api.send("DELETE", f"assets/{asset.rpartition('/')[2]}")
        for row in rows(api).values():
            assert row.get("asset-path") != asset
            assert asset not in [one["path"] for one in row.get("assets") or ()]


def test_a_row_in_use_is_refused_with_the_rows_that_use_it() -> None:
    """The refusal is E000003 and names them; nothing changes; a row nobody names can go."""
    with account("--set", "refuse_deletes=referred") as api:
        before = rows(api)
        client = busiest(before)
        contacts = [i for c, i in naming(before, "account", client["path"]) if c == "contacts"]
        said = api.send("DELETE", f"clients/{client['id']}", status=400)
        assert said["error-code"] == "E000003"
        assert f"in use by contacts {min(contacts)}" in said["description"]
        product = next(
            line["item-path"]
            for row in before.values()
            for line in row.get("lines") or ()
            if line["item-path"] and "/products/" in line["item-path"] and not line["deleted"]
        )
        path = product.partition("/app/")[2]
        said = api.send("DELETE", path, status=400)
        assert "in use by" in said["description"]
        assert rows(api) == before
        api.send("DELETE", f"contacts/{contacts[0]}")


def test_deletes_of_a_collection_are_refused() -> None:
    """A named collection answers deletes with 403 and E000006, others let rows go."""
    with account("--set", "refuse_deletes=clients,events") as api:
        found = rows(api)
        client = busiest(found)
        said = api.send("DELETE", f"clients/{client['id']}", status=403)
        assert said["error-code"] == "E000006"
        assert ("clients", client["id"]) in rows(api)
        contact = next(ident for collection, ident in found if collection == "contacts")
        api.send("DELETE", f"contacts/{contact}")


@pytest.mark.parametrize("switch", ["cascade=yes", "refuse_deletes=referred,tables"])
def test_a_wrong_word_stops_the_start(switch: str) -> None:
    """A word that a switch does not know is named."""
    with pytest.raises(RuntimeError, match="takes off"), account("--set", switch):
        pass


def test_how_long_a_deleted_row_can_be_read_is_a_switch() -> None:
    """By default it answers by its id with deleted true; the other way it is gone, be it deleted now or before."""
    for word, status in (("row", 200), ("404", 404)):
        with account("--set", f"read_deleted={word}") as api:
            client = busiest(rows(api))
            api.send("DELETE", f"clients/{client['id']}")
            for ident in (client["id"], 1_200_101 + 11 * 7):
                (said,) = api.get(f"clients/{ident}", status=status)
                assert said.get("deleted", False) == (status == 200)
            assert client["id"] not in {row["id"] for row in api.everything("clients")}


def test_what_a_list_answers_to_deleted_is_a_switch() -> None:
    """By default no filter reaches deleted rows; the other way `deleted=true` lists them, and nothing else does."""
    for word in ("nothing", "rows"):
        with account("--set", f"deleted_filter={word}") as api:
            client = busiest(rows(api))
            api.send("DELETE", f"clients/{client['id']}")
            found = api.everything("clients", deleted="true")
            gone = {row["id"] for row in found}
            assert gone >= {client["id"], 1_200_101 + 11 * 7} if word == "rows" else not gone
            assert all(row["deleted"] for row in found)
            live = {row["id"] for row in api.everything("clients")}
            assert live == {row["id"] for row in api.everything("clients", deleted="false")}
            assert not live & {client["id"]}
