"""Each way in which a server and a connector file can differ, against the one contradiction that must be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workbench.probe.acme import Acme
from tests.workbench.probe.conftest import Check

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))


def named(case: dict[str, Any]) -> str:
    """A case as the list of tests names it."""
    return str(case.get("does") or next(iter(case["file"].values())))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_each_difference_is_told_at_its_place(checked: Check, case: dict[str, Any]) -> None:
    """The server does one thing otherwise: that is what is contradicted, at the words of the file that are wrong."""
    wrong = [case["does"]] if "does" in case else []
    done = checked(*wrong, only=case["only"], file=case.get("file"), write=case.get("write", False), key=case.get("key", False))
    told = done.of("contradicted")
    lines = [f"{done.place(item).splitlines()[0]}: {item.claim}: {item.detail} – {item.advice}" for item in told]
    first = [item for item in told if item.claim == case["claim"] and done.place(item).startswith(case["at"])]
    assert len(first) == 1, lines
    assert len(told) <= 1 + case.get("more", 0), lines
    assert case.get("told", "") in f"{first[0].detail} {first[0].advice}"
    assert first[0].advice
    assert len(done.of("left")) == case.get("left", 0)


def test_an_honest_server_is_contradicted_in_nothing(checked: Check, seeded: Any) -> None:
    """With every trial asked for, all is confirmed or told why not, within the calls foretold, and the account is as before."""
    done = checked(write=True, key=True)
    assert done.of("contradicted", "left") == []
    told = {(item.subject, item.claim) for item in done.of("confirmed")}
    assert told >= {
        ("connection", "check"), ("connection", "auth"), ("errors", "message"), ("limit day", "headers"), ("limit day", "amount"),
        ("list contacts", "size"), ("list contacts", "pager"), ("list notes", "pager"), ("list orders", "pager"),
        ("list visits", "pager"), ("list contacts", "since"), ("list contacts", "ids"), ("list contacts", "filters"),
        ("list contacts", "newest_first"), ("list lines", "pager"), ("read lines", "missing"), ("read orders", "row"),
        ("rows of contacts", "id"), ("rows of contacts", "types"), ("rows of contacts", "reference"),
        ("custom fields of contacts", "container"), ("users", "email"), ("create contacts", "fields"), ("update notes", "whole"),
        ("update contacts", "whole"), ("update orders", "lock"), ("delete notes", "row"),
    }  # fmt: skip
    assert done.server.rows == seeded
    assert done.calls <= done.bound.calls


@pytest.mark.parametrize("form", ["n+{}", "n{}", "{0}+{0}+{0}"])
def test_ids_may_hold_any_number_of_plus_signs(checked: Check, form: str) -> None:
    """An id is one however many plus signs stand in it: only a declared joined id has parts, and each part may hold one."""
    server = Acme()
    for row in server.rows["notes"]:
        row["id"] = form.format(row["id"] if row["id"] % 2 else f"{row['id']}+")
    for row in server.rows["orders"]:
        row["id"] = f"o+{row['id']}"
    for row in server.rows["lines"]:
        row["order_id"] = f"o+{row['order_id']}"
    done = checked(only="notes,lines", server=server)
    assert {item.claim for item in done.of("contradicted")} == {"type"}
    assert {("read notes", "missing"), ("read lines", "missing"), ("read lines", "row")} <= {(one.subject, one.claim) for one in done.of("confirmed")}


def test_another_form_of_a_value_is_a_note(checked: Check) -> None:
    """A number sent as text, and a reference sent as an object, are read as declared: told, and no contradiction."""
    server = Acme(frozenset({"age_text"}))
    for row in server.rows["contacts"]:
        row["owner_id"] = {"id": row["owner_id"]}
        row["phones"][0]["main"] = "N"
    done = checked(only="contacts", server=server, file={", filters: [owner_id, name]": ""})
    assert done.of("contradicted") == []
    forms = {one.detail.partition(":")[0] for one in done.of("note") if one.claim == "form"}
    assert forms == {"age", "owner_id", "phones.main"}


def test_what_a_platform_sends_for_empty_is_no_contradiction(checked: Check) -> None:
    """`false` in the place of a text, where the connector declares that this means empty."""
    server = Acme()
    server.rows["contacts"][0] |= {"remark": False, "born": "0000-00-00"}
    done = checked(only="contacts", server=server, file={"plans:": "empty_values: [false]\nplans:"})
    assert done.of("contradicted") == []


def test_rows_that_their_parent_leads_to_are_read(checked: Check) -> None:
    """A row listed below a parent, with an id of its own, is read through its parent."""
    done = checked(only="lines", file={"id: order_id+id\n    fields": "fields"})
    assert done.of("contradicted") == []
    assert ("read lines", "row") in {(one.subject, one.claim) for one in done.of("confirmed")}
