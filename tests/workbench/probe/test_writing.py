"""What a check writes it removes again, whatever happens meanwhile; what it cannot remove it names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workbench.probe.acme import Acme
from tests.workbench.probe.conftest import Check
from workbench.probe.found import Finding


@pytest.mark.parametrize("subject", ["create contacts", "update contacts", "create orders", "update orders", "delete orders"])
def test_an_interruption_leaves_nothing_behind(checked: Check, seeded: Any, subject: str) -> None:
    """Ctrl-C at any point of the writing: the rows made so far are removed, and the interruption goes on."""
    cut: list[Finding] = []

    def interrupt(finding: Finding) -> None:
        if finding.subject == subject and not cut:
            cut.append(finding)
            raise KeyboardInterrupt

    done = checked(only="contacts,notes,orders", write=True, tell=interrupt)
    made = [call for call in done.server.calls if call.startswith("POST")]
    assert made and cut
    if subject.startswith("delete"):
        assert len(done.server.rows["contacts"]) - 12 == len([item for item in done.of("left") if item.detail.startswith("contacts")])
    else:
        assert done.cut and done.server.rows == seeded and done.of("left") == []


def test_a_row_of_unknown_outcome_is_found_by_its_mark(checked: Check, seeded: Any) -> None:
    """The server makes the row and answers 500: it is looked for, found by the mark and removed."""
    done = checked("made_and_lost", only="contacts", write=True)
    assert done.server.rows == seeded and done.of("left", "contradicted") == []
    assert "DELETE /contacts/13" in done.server.calls


@pytest.mark.parametrize(("does", "only"), [("new_id_elsewhere", "contacts"), ("other_new_id", "contacts"), ("other_new_id", "notes")])
def test_a_wrong_id_costs_no_row_of_anybody(checked: Check, seeded: Any, does: str, only: str) -> None:
    """An id that leads to another row is not written to: what was made is found by its mark, and what was there stays."""
    done = checked(does, only=only, write=True)
    assert done.server.rows == seeded and done.of("left") == []
    assert not any(call.endswith("/1") and not call.startswith("GET") for call in done.server.calls)


def test_what_cannot_be_removed_is_named_by_its_id(checked: Check) -> None:
    """A delete that does nothing: each row is told with its resource and id."""
    done = checked("undeleted", only="contacts,notes", write=True)
    assert {item.detail for item in done.of("left")} == {"contacts 13", "notes 8"}


def test_rows_are_marked(checked: Check) -> None:
    """Whoever looks at the account sees what made a row; a row given by somebody keeps its own words too."""
    seen: list[str] = []
    server = Acme()
    server.after = lambda *_: seen.extend(str(row.get("name")) for row in server.rows["contacts"][12:])
    checked(only="contacts", write=True, bodies={"contacts": {"name": "Trial {mark}", "age": 7}}, server=server)
    assert seen and all(name.startswith("Trial etl check ") for name in seen)


def test_reading_only_asks(checked: Check) -> None:
    """Without --write nothing but GET goes out, and each writing call is told as not tried."""
    done = checked()
    assert {call.partition(" ")[0] for call in done.server.calls} == {"GET"}
    told = {item.subject for item in done.of("not tried")}
    assert {"create, update, delete contacts", "create, update, delete notes", "create, update, delete orders"} <= told


def test_no_more_calls_are_made_than_allowed(checked: Check, seeded: Any) -> None:
    """The bound holds for trials; what was made before it was reached is removed all the same."""
    whole = checked(only="contacts", write=True).calls
    for most in (3, whole - 6, whole - 4):
        done = checked(only="contacts", write=True, most=most)
        removing = sum(call.startswith("DELETE") for call in done.server.calls)
        assert done.calls <= most + 2 * removing
        assert any("--calls" in item.detail for item in done.of("not tried"))
        assert done.server.rows == seeded and done.of("left") == []
