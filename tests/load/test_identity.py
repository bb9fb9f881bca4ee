"""Whose row a creation answered with: judged on a real store with links made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.destination.rows import RowCodec
from engine.load.identity import (
    ALIKE,
    FRESH,
    STAMPED,
    age_beyond_call,
    judge_creation,
    learn,
    older_rows,
)
from engine.load.outcomes import demote, record_all
from engine.load.writes import Answer, Outcome, Write
from engine.store.journal import Entry, intend
from engine.store.ledger import Ledger
from engine.store.links import Draft, save_drafts
from engine.store.tables import remember, remember_in
from tests.load.desk import START, Desk, desk, link_to
from tests.replacing import replace

ANN = {"name": "Ann", "email": "a@x.es"}
ROW = {**ANN, "id": 5}
LATER = "2026-01-01T12:00:00Z"  # the moment at which the desk's clock starts


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Desk]:
    """A run on an empty store whose platform nobody calls."""
    with desk(tmp_path) as made:
        yield made


def created(answer: Answer, row_id: str = "5", key: str = "people/1", body: Any = None) -> Outcome:
    """The outcome of a creation of people/1 that answered with row 5."""
    sent = ANN if body is None else body
    write = Write("contacts", key, "contacts", "create", sent, sent, at=START)
    return Outcome(write, "done", row_id, answer)


def judged(table: Desk, outcome: Outcome, codec: RowCodec | None = None) -> Outcome:
    """The outcome after a look at whose row it is."""
    with table.store() as connection:
        ledger = Ledger(connection)
        judged = judge_creation(table.run, ledger, outcome, codec or table.codec())
        ledger.write()
        return judged


def refusing(table: Desk) -> RowCodec:
    """The codec of a platform whose rows that were there before are not to be used."""
    codec = table.codec()
    create = replace(codec.resource.operations["create"], existing="refuse")
    return replace(codec, resource=replace(codec.resource, operations={**codec.resource.operations, "create": create}))


def shown(status: int = 201, **more: Any) -> Answer:
    """An answer that shows the row as it was sent."""
    return Answer(ROW, status, shown=True, **more)


# -- a row that nobody holds


def test_a_row_that_was_made(table: Desk) -> None:
    """A row of no other record, answered with 201, is ours."""
    assert judged(table, created(shown())) == created(shown())


def test_ok_says_nothing_until_the_platform_has_said_created(table: Desk) -> None:
    """Platforms that answer every creation with 200 are believed."""
    assert judged(table, created(shown(200))) == created(shown(200))


def test_ok_after_created_is_a_row_that_was_there(table: Desk) -> None:
    """Where rows that are made are answered with 201, one with 200 was there before: it is adopted."""
    remember(table.run.store, FRESH + "contacts", "201")
    found = judged(table, created(shown(200)))
    assert (found.state, found.existing, found.dest_id) == ("done", True, "5")
    assert judged(table, created(shown(201))).existing is False


def test_ok_to_a_repeated_call_says_nothing(table: Desk) -> None:
    """The second of two calls with one key is answered with the row that the first one made."""
    remember(table.run.store, FRESH + "contacts", "201")
    assert judged(table, created(shown(200, repeated=True))).existing is False


def test_created_for_another_resource_says_nothing(table: Desk) -> None:
    """How one resource is answered tells nothing about another."""
    remember(table.run.store, FRESH + "companies", "201")
    assert judged(table, created(shown(200))).existing is False


def test_a_row_that_was_there_is_refused(table: Desk) -> None:
    """Where the connector says so, a row that was there before fails the record and is linked to nothing."""
    remember(table.run.store, FRESH + "contacts", "201")
    found = judged(table, created(shown(200)), refusing(table))
    assert (found.state, found.dest_id, found.existing) == ("failed", "", False)
    assert "has this row already: 5" in found.reason
    assert judged(table, created(shown(201)), refusing(table)).state == "done"


@pytest.mark.parametrize(
    ("row", "there"),
    [
        ({"name": "Bea", "email": "b@y.es"}, True),
        ({"name": "Bea", "email": "b@y.es", "phone": "1"}, True),
        ({"name": "Bea", "email": "b@y.es", "phone": "1", "note": "n"}, False),
        ({"name": "Bea", "email": None}, False),
        ({"name": "ANN", "email": "A@x.es"}, False),
        ({"name": None, "email": ""}, False),
    ],
    ids=["all others", "mostly others", "half of them others", "the only one another", "tidied", "dropped"],
)
def test_a_row_with_mostly_other_values_was_there(row: dict[str, Any], there: bool, table: Desk) -> None:
    """A creation answered with a row of which more than half, and at least two, of the texts are others found it there."""
    body = {**ANN, "phone": "1", "note": "n"}
    found = judged(table, created(Answer({"id": 5, **row}, 201, shown=True), body=body))
    assert (found.state, found.existing) == ("done", there)


# -- a row that stands for another record


def test_a_row_of_another_record_is_no_second_ones(table: Desk) -> None:
    """Where 200 says that the row was there, the platform takes two records for one: the second fails."""
    remember(table.run.store, FRESH + "contacts", "201")
    table.save(link_to("5", "people/2"))
    found = judged(table, created(shown(200)))
    assert (found.state, found.dest_id, found.claimed) == ("failed", "", False)
    assert "stands for people/2 already" in found.reason
    assert "merge them in the source" in found.reason


@pytest.mark.parametrize(
    ("drafted", "carried", "state"),
    [
        ("people/2", "people/2", "failed"),
        ("people/2", "people/1", "done"),
        ("people/2", "people/3", "done"),
        ("people/2", "", "done"),
        ("people/2", None, "done"),
        ("people/2", 7, "done"),
        ("people/N%23 2", "people/N%23 2", "failed"),
    ],
)
def test_a_row_with_the_key_of_another_record_is_that_ones(
    drafted: str, carried: Any, state: str, tmp_path: Path
) -> None:
    """A row that carries the key of a record on its way is no other's, though it has no link yet: its answer was lost."""
    with desk(tmp_path, contacts={"note": "$key"}) as table:
        with table.store() as connection:
            remember_in(connection, FRESH + "contacts", "201")
            save_drafts(connection, [Draft("contacts", drafted, drafted, {}, "")])
        found = judged(table, created(Answer({**ROW, "note": carried}, 200, shown=True)))
        assert found.state == state
        assert ("stands for" in found.reason) is (state == "failed")
        assert found.existing is (state == "done")
        assert judged(table, created(Answer({"id": 5}, 200, shown=True))).state == "done"


def test_a_row_of_another_record_may_be_the_wrong_id(table: Desk) -> None:
    """Where nothing says that the row was there, it is looked for: the answer may name one that is just alike."""
    table.save(link_to("5", "people/2", extra={"seen": "2:x", "age": 3.0}))
    found = judged(table, created(shown()))
    assert (found.state, found.dest_id, found.claimed) == ("unknown", "", True)
    assert table.links()["people/2"].extra == {"age": 3.0}


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"id": 5}, 201),
        Answer(ROW, 201),
        Answer({**ROW, "name": "Bea"}, 201, shown=True),
        Answer({"id": 5}, 201, shown=True),
    ],
    ids=["only an id", "not the row", "another's values", "no values"],
)
@pytest.mark.parametrize("name", ["contacts", "leads"])
def test_a_taken_id_without_its_row_is_not_believed(name: str, answer: Answer, table: Desk) -> None:
    """An id that stands for another record, of whichever object, is wrong unless the answer shows what was sent."""
    table.save(link_to("5", "people/2", name, extra={"seen": "2:x"}))
    found = judged(table, created(answer))
    assert (found.state, found.dest_id, found.claimed) == ("unknown", "", True)
    assert f"names row 5, which stands for {name} people/2" in found.reason
    assert table.links(name)["people/2"].extra == {}


def test_a_tidied_row_is_believed(table: Desk) -> None:
    """An answer that shows what was sent as the platform tidies it shows the row."""
    table.save(link_to("5", "people/2", "leads"))
    found = judged(table, created(Answer({"id": 5, "name": "ANN", "email": "A@x.es"}, 201, shown=True)))
    assert (found.state, found.existing) == ("done", True)


def test_a_row_of_another_object_is_shared(table: Desk) -> None:
    """Records of two objects may be one row: the second finds it there."""
    table.save(link_to("5", "people/1", "leads"))
    assert judged(table, created(shown())).existing is True
    assert judged(table, created(shown()), refusing(table)).state == "failed"


def test_a_link_of_the_record_itself_is_no_other(table: Desk) -> None:
    """A record that is written again may be answered with its own row."""
    table.save(link_to("5", "people/1"))
    assert judged(table, created(Answer({"id": 5}, 201))).state == "done"


@pytest.mark.parametrize("more", [{"run": 7}, {"origin": "matched"}, {"origin": "adopted"}])
def test_links_of_others_are_not_distrusted(more: dict[str, Any], table: Desk) -> None:
    """A link that an earlier run made, or to people's row, keeps its fingerprint."""
    table.save(link_to("5", "people/2", extra={"seen": "2:x"}, **more))
    assert judged(table, created(Answer({"id": 5}, 201))).state == "unknown"
    assert table.links()["people/2"].extra == {"seen": "2:x"}


# -- stamps


def stamped(stamp: Any, **more: Any) -> Answer:
    """An answer with a row that says when it was made."""
    return Answer({**ROW, "created": stamp}, 201, shown=True, **more)


def found_(stamp: str) -> Answer:
    """The same where the status does not say that the row was made."""
    return Answer({**ROW, "created": stamp}, 200, shown=True, date=START)


AGES = [
    ("of the moment", stamped(LATER), 0.0),
    ("older than our clock's margin", stamped("2026-01-01T11:49:59Z"), 1.0),
    ("within our clock's margin", stamped("2026-01-01T11:50:00Z"), 0.0),
    ("from the future", stamped("2027-01-01T00:00:00Z"), 0.0),
    ("by their clock", found_("2026-01-01T11:58:00Z"), 60.0),
    ("made, by another clock of theirs", stamped("2026-01-01T11:52:00Z", date=START), 0.0),
    ("within their clock's margin", found_("2026-01-01T11:59:00Z"), 0.0),
    ("by their slow clock", stamped("2026-01-01T09:59:30Z", date=START - 7200), 0.0),
    ("without a zone", stamped("2026-01-01 11:49:50"), 10.0),
    ("in another zone", stamped("2026-01-01T13:00:00+01:00"), 0.0),
    ("a mere day", stamped("2020-01-01"), None),
    ("none", stamped(None), None),
    ("no text", stamped(1_577_836_800), None),
    ("no moment", stamped("yesterday at noon"), None),
]


@pytest.mark.parametrize(("answer", "age"), [case[1:] for case in AGES], ids=[case[0] for case in AGES])
def test_the_age_of_a_row(answer: Answer, age: float | None, table: Desk) -> None:
    """A row is old by what its stamp lies before the call, less a margin for clocks."""
    assert age_beyond_call(table.run, created(answer).write, answer, table.codec()) == age


def test_a_call_that_took_long_makes_no_row_old(table: Desk) -> None:
    """The server's date is that of its answer: the call was asked for when it was booked."""
    table.time.now += 3600
    answer = stamped(LATER, date=START + 3600)
    assert age_beyond_call(table.run, created(answer).write, answer, table.codec()) == 0.0


def test_a_stamp_that_we_sent_tells_nothing(table: Desk) -> None:
    """A moment that is one of the record's own is not when its row was made."""
    body = {**ANN, "created": "2020-01-01T00:00:00Z"}
    answer = stamped("2020-01-01T00:00:00Z")
    assert age_beyond_call(table.run, created(answer, body=body).write, answer, table.codec()) is None


def test_an_old_stamp_is_a_row_that_was_there(table: Desk) -> None:
    """Where rows that are made carry the stamp of the moment, one with an old stamp was there before."""
    old = created(stamped("2020-01-01T00:00:00Z"))
    assert judged(table, old).existing is False
    remember(table.run.store, STAMPED + "contacts", "yes")
    assert judged(table, old).existing is True
    assert judged(table, old, refusing(table)).state == "failed"
    assert judged(table, created(stamped(LATER))).existing is False


# -- what is learnt from the first row that was made


def test_the_first_created_shows_who_was_there(table: Desk) -> None:
    """Rows that were answered with 200 before the first 201 came were there before; it is learnt once."""
    table.save(link_to("4", "people/4", extra={"status": 200}), link_to("6", "people/6"), link_to("3", "people/3", extra={"status": 200}, origin="matched"))
    with table.store() as connection:
        assert learn(table.run, Ledger(connection), created(shown(200)), table.codec()) == []
        found = learn(table.run, Ledger(connection), created(shown(201)), table.codec())
        demote(connection, found)
        assert [link.key for link in found] == ["people/4"]
        assert learn(table.run, Ledger(connection), created(shown(201)), table.codec()) == []
    assert (table.links()["people/4"].origin, table.links()["people/4"].extra) == ("matched", {})
    assert judged(table, created(shown(200))).existing is True


def test_the_first_fresh_stamp_shows_who_was_there(table: Desk) -> None:
    """Rows with old stamps were there before, as soon as one shows what the stamp of a fresh row is."""
    table.save(link_to("4", "people/4", extra={"age": 99.0}))
    with table.store() as connection:
        assert learn(table.run, Ledger(connection), created(stamped("2020-01-01T00:00:00Z")), table.codec()) == []
        assert [link.key for link in learn(table.run, Ledger(connection), created(stamped(LATER)), table.codec())] == ["people/4"]


@pytest.mark.parametrize(("ages", "older"), [((5.0, 5.0 + ALIKE), 0), ((5.0, 6.0 + ALIKE), 2), ((5.0,), 1), ((), 0)])
def test_rows_of_one_age_were_made_by_a_slow_clock(ages: tuple[float, ...], older: int, table: Desk) -> None:
    """Where no row is fresh, rows of different ages were there before; rows of one age are ours."""
    table.save(*(link_to(str(n), f"people/{n}", extra={"age": age}) for n, age in enumerate(ages)))
    with table.store() as connection:
        assert len(older_rows(connection, "contacts")) == older


# -- what an outcome leaves


@pytest.mark.parametrize(
    ("fresh", "other", "state", "journal", "origin"),
    [
        (False, False, "done", "done", "created"),
        (True, False, "done", "adopted", "matched"),
        (True, True, "failed", "failed", None),
        (False, True, "unknown", "doubt", None),
    ],
    ids=["made", "was there", "taken for one", "not believed"],
)
def test_a_judged_outcome_is_recorded(fresh: bool, other: bool, state: str, journal: str, origin: str | None, table: Desk) -> None:
    """The journal has the outcome as judged, and a link is left only to a row that is the record's."""
    if fresh:
        remember(table.run.store, FRESH + "contacts", "201")
    if other:
        table.save(link_to("5", "people/2"))
    outcome = created(shown(200))
    with table.store() as connection:
        entry = Entry(table.run.id, "contacts", "people/1", "contacts", "create", ANN, ANN)
        numbers = intend(connection, [entry])
        booked = structs.replace(outcome, write=structs.replace(outcome.write, entry=numbers[0]))
        assert record_all(table.run, connection, [(booked, table.codec())], {})[0].state == state
    assert table.states() == [("people/1", journal)]
    made = table.links().get("people/1")
    assert (made.origin if made else None) == origin
