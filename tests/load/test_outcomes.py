"""What is kept of an answer beside the link: what the platform made of our values, and what it dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.load.outcomes import link_after, note_stored, record_all
from engine.load.writes import Answer, Outcome, Write
from engine.store.journal import Entry, intend
from engine.store.links import all_findings
from engine.values import digest
from tests.load.desk import START, Desk, desk

ANN = {"name": "Ann", "email": "a@x.es"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A run whose platform nobody calls."""
    with desk(tmp_path_factory.mktemp("outcomes")) as made:
        yield made


LOST = {"why": "lost", "tries": 2}
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # what is answered, stored before, held before, stored after, held after
    "as it was sent": ({"email": "a@x.es"}, {}, {}, {}, {}),
    "in another form": ({"email": "A@x.es"}, {}, {}, {"email": "A@x.es"}, {}),
    "not at all": ({}, {}, {}, {}, {}),
    "not at all, and known from before": ({}, {"email": "A@x.es"}, {}, {"email": "A@x.es"}, {}),
    "dropped": ({"email": None}, {}, {}, {"email": None}, {"email": {"why": "lost", "tries": 1}}),
    "dropped once more": ({"email": ""}, {"email": None}, {"email": LOST}, {"email": ""}, {"email": {"why": "lost", "tries": 3}}),
    "not at all, and lost before": ({}, {"email": None}, {"email": LOST}, {"email": None}, {"email": {"why": "lost", "tries": 3}}),
    "kept at last": ({"email": "a@x.es"}, {"email": None}, {"email": LOST}, {}, {}),
    "kept in another form at last": ({"email": "A@x.es"}, {"email": None}, {"email": LOST}, {"email": "A@x.es"}, {}),
    "a conflict that was overwritten": ({"email": "a@x.es"}, {}, {"email": {"why": "conflict"}}, {}, {}),
    "what is held of other fields stays": ({"email": "a@x.es"}, {"note": "n"}, {"note": LOST}, {"note": "n"}, {"note": LOST}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_field_holds_in_place_of_what_was_sent(name: str, table: Desk) -> None:
    """The platform's form of a value is kept, a value that it dropped is counted, and what is right again is forgotten."""
    row, stored, held, stored_after, held_after = ANSWERS[name]
    stored, held = dict(stored), dict(held)
    note_stored(table.codec(), ANN, {"id": 5, "name": "Ann", **row}, ANN, stored, held)
    assert (stored, held) == (stored_after, held_after)


@pytest.mark.parametrize(
    ("shown", "held", "told"),
    [
        ("A@x.es", {}, ""),
        (None, {"why": "lost", "tries": 1}, "did not keep"),
        ("b@y.es", {"why": "altered"}, "something else"),
    ],
    ids=["in another form", "dropped", "another value"],
)
def test_what_the_first_answer_shows_otherwise_is_noted(shown: Any, held: dict[str, Any], told: str, tmp_path: Path) -> None:
    """A value that the answer to a creation shows otherwise is kept with the link, and told where it is lost or altered."""
    with desk(tmp_path) as table:
        with table.store() as connection:
            entry = intend(connection, [Entry(1, "contacts", "people/1", "contacts", "create", ANN, ANN)])[0]
            write = Write("contacts", "people/1", "contacts", "create", ANN, ANN, entry=entry, at=START)
            answer = Answer({"id": 5, **ANN, "email": shown}, 201, shown=True)
            record_all(table.run, connection, [(Outcome(write, "done", "5", answer), table.codec())], {})
            found = [finding.text for finding in all_findings(connection, "attention")]
        link = table.links()["people/1"]
    assert (link.stored, link.held) == ({"email": shown}, {"email": held} if held else {})
    assert [told in text for text in found] == ([True] if told else [])


def test_what_was_not_sent_is_not_judged(table: Desk) -> None:
    """A field that an update did not send is as it was, whatever the row holds in it."""
    stored: dict[str, Any] = {"email": "A@x.es"}
    held: dict[str, Any] = {}
    note_stored(table.codec(), {"name": "Ann"}, {"name": "Ann", "email": None}, ANN, stored, held)
    assert (stored, held) == ({"email": "A@x.es"}, {})


@pytest.mark.parametrize("shown", [True, False])
def test_a_fingerprint_is_that_of_a_row_that_was_shown(shown: bool, table: Desk) -> None:
    """An answer with nothing but an id leaves no fingerprint, not that of an empty row, nor an old one."""
    write = Write("contacts", "people/1", "contacts", "update", ANN, ANN, "5", origin="matched", extra={"seen": "2:old", "size": 3})
    row = {"id": 5, **ANN} if shown else {"id": 5}
    made = link_after(table.run, Outcome(write, "done", "5", Answer(row, 200, shown=shown)), table.codec())
    seen = {"seen": table.codec().fingerprint(row)} if shown else {}
    assert made.extra == {"size": 3, **seen}
    assert (made.origin, made.dest_id, made.written, made.digest) == ("matched", "5", ANN, digest(ANN))


def test_a_link_says_what_was_wanted(table: Desk) -> None:
    """Where people keep a field, the digest is that of the wanted draft and what was written lacks it."""
    write = Write("contacts", "people/1", "contacts", "update", {"name": "Ann"}, {"name": "Ann"}, "5", digest=digest(ANN), held={"email": {"why": "conflict"}})
    made = link_after(table.run, Outcome(write, "done", "5"), table.codec())
    assert (made.digest, made.written, made.held) == (digest(ANN), {"name": "Ann"}, {"email": {"why": "conflict"}})


@pytest.mark.parametrize(
    ("state", "journal", "calls", "linked"),
    [("done", "done", 1, True), ("failed", "failed", 1, False), ("unknown", "doubt", 1, False), ("stale", "void", 1, False), ("not sent", "void", 0, False)],
)
def test_every_outcome_is_journaled(state: Any, journal: str, calls: int, linked: bool, tmp_path: Path) -> None:
    """Each outcome has a word in the journal; only what was called is counted, only what was done is linked."""
    with desk(tmp_path) as table:
        with table.store() as connection:
            entry = intend(connection, [Entry(1, "contacts", "people/1", "contacts", "create", ANN, ANN)])[0]
            write = Write("contacts", "people/1", "contacts", "create", ANN, ANN, entry=entry, at=START)
            answer = Answer({"id": 5, **ANN}, 201, shown=True)
            outcome = Outcome(write, state, "5" if linked else "", answer, "no")
            record_all(table.run, connection, [(outcome, table.codec())], {})
            found = [finding.text for finding in all_findings(connection, "attention")]
        assert found == (["failed: no"] if state == "failed" else [])
        assert table.states() == [("people/1", journal)]
        assert table.journal()[0].calls == calls
        assert bool(table.links()) is linked
