"""Ours or theirs: every row of the table that decides about a field, and its corners."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest

from engine.connector.model import FieldType
from engine.destination.compare import (
    UNKNOWN,
    Action,
    FieldView,
    Ownership,
    decide_field,
    holds_wanted,
    ownership,
    stored_otherwise,
)
from engine.destination.equality import equivalent
from engine.values import is_empty
from tests.destination.building import cases

plain = partial(equivalent, field_type=FieldType("text"))


def view_of(case: dict[str, Any]) -> FieldView:
    """What each side knows of the field of a case."""
    stored = case.get("stored_as", UNKNOWN)
    return FieldView(case["written"], stored, case["live"], case["wanted"], case.get("linked", True))


@pytest.mark.parametrize("case", cases("compare.yaml"), ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    """A field belongs to whom its case says, and what its case says is done with it."""
    same = partial(equivalent, field_type=FieldType(case.get("kind", "text")))
    view = view_of(case)
    assert ownership(view, same) is Ownership(case["whose"])
    policy, can_empty = case.get("policy", "keep"), case.get("can_empty", True)
    assert decide_field(view, policy, can_empty, same) is Action(case["action"])


VALUES: tuple[Any, ...] = (None, "", "a", "b", 0, False)
VIEWS = [
    FieldView(*parts, linked)
    for *parts, linked in product(VALUES, (UNKNOWN, None, "a", "b"), VALUES, VALUES, (True, False))
]


def test_nothing_of_people_is_touched_unless_the_spec_says_so() -> None:
    """With `keep` nothing is ever sent over a value that is neither ours nor what is wanted; with `overwrite` nothing conflicts."""
    for view in VIEWS:
        ours = plain(view.written, view.live) or (view.stored_as is not UNKNOWN and plain(view.stored_as, view.live))
        free = not view.linked and is_empty(view.live)
        kept = decide_field(view, "keep", True, plain)
        if not ours and not free:
            assert kept in (Action.CONFLICT, Action.NOTHING), view
        assert decide_field(view, "overwrite", True, plain) is not Action.CONFLICT, view
        assert (kept is Action.CONFLICT) == (ownership(view, plain) is Ownership.THEIRS and not holds_wanted(view, plain))


def test_only_what_is_to_be_emptied_is_stuck() -> None:
    """A field is stuck only where nothing is wanted, something is held and the platform cannot empty it."""
    for view, policy in product(VIEWS, ("keep", "overwrite")):
        assert decide_field(view, policy, True, plain) is not Action.STUCK  # type: ignore[arg-type]
        if decide_field(view, policy, False, plain) is Action.STUCK:  # type: ignore[arg-type]
            assert is_empty(view.wanted), view
            assert not is_empty(view.live), view


def test_what_is_held_is_not_sent() -> None:
    """A field that holds the wanted value is left alone, whoever wrote it and whatever the policy."""
    for view, policy, can_empty in product(VIEWS, ("keep", "overwrite"), (True, False)):
        if plain(view.wanted, view.live):
            assert decide_field(view, policy, can_empty, plain) is Action.NOTHING  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored_as", "wanted", "live", "otherwise", "holds"),
    [
        (UNKNOWN, "a", None, False, False),
        (None, "a", None, True, False),
        ("A!", "a", "A!", True, True),
        ("A!", "b", "A!", False, False),
        ("A!", "a", "a", False, True),
        (UNKNOWN, "a", "a", False, True),
    ],
)
def test_stored_otherwise(stored_as: Any, wanted: Any, live: Any, otherwise: bool, holds: bool) -> None:
    """What the platform made of the wanted value counts as held, unless it made nothing of it; the unknown is no value."""
    view = FieldView("a", stored_as, live, wanted)
    assert stored_otherwise(view, plain) is otherwise
    assert holds_wanted(view, plain) is holds
