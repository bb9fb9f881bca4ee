"""Plans that a person has to say yes to, and plans that nobody is asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UnsafePlan
from engine.plan.cost import Plan, Step
from engine.plan.guards import guard
from engine.store.changes import Change, save_changes
from tests.load.desk import desk, link_to


def plan(**counts: int) -> Plan:
    """A plan with these counts for contacts."""
    return Plan((Step("contacts", "contacts", "contacts", **{"unchanged": 1, **counts}),), (), 0, 0.0, (), 0.0)


def asked(folder: Path, made: Plan, linked: int, yes: bool = False, changed: Iterable[Sequence[str]] = (), **spec: Any) -> str:
    """What a person is asked about a plan where so many rows are linked; "" for nothing.

    `changed` are the fields that the plan would write to rows, row by row.
    """
    with desk(folder, **spec) as table:
        table.save(*(link_to(str(number), f"people/{number}") for number in range(linked)))
        with table.run.store.begin() as connection:
            save_changes(
                connection,
                [
                    Change("contacts", f"people/{number}", "update", str(number), dict.fromkeys(fields, "new"), seq=number)
                    for number, fields in enumerate(changed)
                ],
            )
        try:
            guard(table.run, made, yes)
        except UnsafePlan as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    ("delete", "linked", "words"),
    [
        (8, 8, "8 of 8 contacts would be deleted"),
        (3, 3, "3 of 3 contacts would be deleted"),
        (2, 3, ""),
        (2, 2, ""),
        (1, 1, ""),
        (3, 10, ""),
        (4, 10, "4 of 10 contacts would be deleted, more than 30%"),
    ],
)
def test_deletions(delete: int, linked: int, words: str, tmp_path: Path) -> None:
    """More than two rows and more than a share of them are not deleted without a question, however few there are;
    the question says where the reasons stand."""
    found = asked(tmp_path, plan(delete=delete), linked)
    assert words in found
    assert bool(found) is bool(words)
    assert "etl status" not in found and ("with `etl plan SPEC --records`; correct the spec" in found) is bool(words)


@pytest.mark.parametrize(
    ("update", "adopt", "linked", "words"),
    [
        (9, 0, 9, ""),
        (10, 0, 10, "10 of 10 contacts would be rewritten"),
        (3, 0, 10, ""),
        (4, 0, 10, "4 of 10 contacts would be rewritten, more than 30%"),
        (4, 10, 4, ""),
        (5, 6, 4, "5 of 10 contacts would be rewritten"),
    ],
)
def test_updates(update: int, adopt: int, linked: int, words: str, tmp_path: Path) -> None:
    """More than a share of what is there, adopted rows among it, is not rewritten without a question, unless it is little."""
    found = asked(tmp_path, plan(update=update, adopt=adopt), linked)
    assert words in found
    assert bool(found) is bool(words)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([["name"]] * 5, "more than 30%: name in 5 – "),
        ([["phone"], *[["name", "email"]] * 3, ["name"]], "more than 30%: name in 4, email in 3, phone in 1 – "),
        ([["name", "email", "phone", "note", "score"], *[["name", "email", "phone"]] * 4],
         "more than 30%: name in 5, email in 5, phone in 5, 2 more – "),
        ([["name"]] * 1203, "name in 1203 – "),
    ],
)  # fmt: skip
def test_a_refusal_names_the_fields_that_would_change_most(changed: list[list[str]], words: str, tmp_path: Path) -> None:
    """Rewritten rows are told with their fields, the most frequent first, and how many fields are not named."""
    assert words in asked(tmp_path, plan(update=len(changed)), max(10, len(changed)), changed=changed)


def test_a_person_says_yes(tmp_path: Path) -> None:
    """With --yes nothing is asked about shares."""
    assert not asked(tmp_path, plan(delete=8, update=20), 20, yes=True)


def test_the_spec_sets_the_shares(tmp_path: Path) -> None:
    """`guards` says how much may change without a question."""
    assert not asked(tmp_path, plan(delete=8, update=8), 10, guards={"deletes": 0.8, "updates": 0.8})


def test_a_share_of_nothing(tmp_path: Path) -> None:
    """A share of zero asks about the third row already."""
    assert "3 of 100" in asked(tmp_path, plan(delete=3), 100, guards={"deletes": 0})


@pytest.mark.parametrize("yes", [False, True])
def test_an_empty_source(yes: bool, tmp_path: Path) -> None:
    """A source without a record is never migrated, whatever a person says."""
    assert "no record that can be migrated" in asked(tmp_path, plan(unchanged=0, delete=5), 5, yes=yes)


def test_all_that_is_refused_is_named_with_its_counts(tmp_path: Path) -> None:
    """One answer is enough: every object of which too much would change is told at once."""
    one = plan(delete=8, update=20).steps[0]
    failing = Step("companies", "companies", "companies", fail=7)
    made = Plan((failing, one), (), 0, 0.0, (), 0.0)
    found = asked(tmp_path, made, 20)
    assert "all 7 companies fail" in found
    assert "20 of 20 contacts would be rewritten" in found
    assert "8 of 20 contacts would be deleted" in found
