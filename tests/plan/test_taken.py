"""Records that the destination takes for one with another are not created again and again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.destination.resolve import Resolved
from engine.plan.doubt import sent_before
from engine.store.journal import Entry
from engine.store.links import Draft
from engine.values import digest

ANN = {"name": "Ann", "email": "a@x.es"}
WITH_ROLE = {**ANN, "custom.role": "Boss"}


@pytest.mark.parametrize(
    ("sent", "wanted", "sendable", "known"),
    [
        (ANN, ANN, ANN, True),
        (ANN, WITH_ROLE, ANN, True),
        (WITH_ROLE, WITH_ROLE, ANN, True),
        (ANN, WITH_ROLE, WITH_ROLE, False),
        ({**ANN, "email": "b@x.es"}, ANN, ANN, False),
    ],
    ids=["the same", "a field is gone", "a field has gone since", "a field has come", "changed"],
)
def test_a_record_is_made_again_only_when_it_has_changed(
    sent: dict[str, Any], wanted: dict[str, Any], sendable: dict[str, Any], known: bool
) -> None:
    """A field that people deleted in the account is no change of the record."""
    failed = Entry(1, "contacts", "people/1", "contacts", "create", {}, sent)
    draft = Draft("contacts", "people/1", "people/1", wanted, digest(wanted))
    assert sent_before(failed, draft, Resolved({}, sendable, ())) is known
