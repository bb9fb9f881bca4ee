"""A connector drafted from Pipedrive's published documents, held against the one that was written by hand."""

from __future__ import annotations

import pytest

from tests.contract import drafted
from tests.contract.published import Documents

pytestmark = pytest.mark.contract

# Of what both should say, the share that agrees; each figure only ever goes up.
FIGURES = {
    "auth": 1.0, "name": 1.0, "message": 0.5, "errors": 0.9, "special": 1.0, "check": 0.5, "resources": 1.0, "ids": 1.0, "stamps": 1.0,
    "operations": 1.0, "methods": 1.0, "paths": 0.84, "costs": 1.0, "selects": 1.0, "pagers": 0.96, "asking": 1.0, "bodies": 0.66,
    "fields": 1.0, "types": 0.91, "rights": 0.65,
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(documents: Documents) -> list[drafted.Compared]:
    """Everything that was compared; left out where the documents are not in this checkout."""
    assert documents
    return drafted.compared()


def test_every_difference_is_known(compared: list[drafted.Compared]) -> None:
    """Whatever the draft says otherwise than the connector stands in draft_differences.yaml with its reason."""
    entries = drafted.load()
    new = [one for one in compared if not one.same and not any(list(entry.covering(one)) for entry in entries)]
    assert not new, "\n".join(f"{one.where}: by hand {one.hand}, drafted {one.drafted}" for one in new)


def test_no_entry_is_stale(compared: list[drafted.Compared]) -> None:
    """Every place of every entry covers a difference that there is."""
    wrong = [one for one in compared if not one.same]
    stale = [
        f"{place}: {entry.hand} and {entry.drafted}"
        for entry in drafted.load()
        for place in entry.where
        if not any(place in entry.covering(one) for one in wrong)
    ]
    assert not stale, "\n".join(stale)


def test_the_figures_hold(compared: list[drafted.Compared]) -> None:
    """The share that agrees, by what is compared, is not lower than it was."""
    found = {aspect: same / of for aspect, (same, of) in drafted.figures(compared).items()}
    assert set(found) == set(FIGURES)
    assert {aspect: share for aspect, share in found.items() if share < FIGURES[aspect]} == {}
    assert len(compared) > 1_000


@pytest.mark.parametrize("prefix", drafted.FILES)
def test_nothing_but_the_document_is_in_the_draft(documents: Documents, prefix: str) -> None:
    """No quota is made up: what the document does not tell is asked for, and every call stands in the document."""
    made = drafted.drafts()[prefix]
    assert made.connector.limits == () and made.connector.plans == ("any",)
    assert any("x-token-cost" in ask for ask in made.asks)
    assert any("custom_fields" in ask for ask in made.asks)
    missing = [
        f"{resource}.{verb}"
        for resource, one in made.connector.resources.items()
        for verb, operation in one.operations.items()
        if documents.declared(operation.method, prefix + operation.path) is None
    ]
    assert missing == []
