"""Records that the destination takes for one with another are not created again and again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.destination.resolve import Resolved
from engine.plan.diff import Decision
from engine.plan.make import TAKEN, taken_for_others, unless_taken
from engine.store.journal import Entry
from engine.store.links import Draft
from engine.values import digest

ANN = {"name": "Ann", "email": "a@x.es"}
WITH_ROLE = {**ANN, "custom.role": "Boss"}


@pytest.mark.parametrize(
    ("sent", "wanted", "sendable", "kind"),
    [
        (ANN, ANN, ANN, "fail"),
        (ANN, WITH_ROLE, ANN, "fail"),
        (WITH_ROLE, WITH_ROLE, ANN, "fail"),
        (ANN, WITH_ROLE, WITH_ROLE, "create"),
        ({**ANN, "email": "b@x.es"}, ANN, ANN, "create"),
    ],
    ids=["the same", "a field is gone", "a field has gone since", "a field has come", "changed"],
)
def test_a_record_is_made_again_only_when_it_has_changed(
    sent: dict[str, Any], wanted: dict[str, Any], sendable: dict[str, Any], kind: str
) -> None:
    """A field that people deleted in the account is no change of the record."""
    failed = Entry(1, "contacts", "people/1", "contacts", "create", {}, sent, reason=TAKEN)
    draft = Draft("contacts", "people/1", "people/1", wanted, digest(wanted))
    item = Decision("create", draft, Resolved({}, sendable, ()))
    assert unless_taken(taken_for_others({"people/1": failed}), item).kind == kind
    assert unless_taken({}, item) == item
