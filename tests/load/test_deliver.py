"""What a delivery promises: every write has its outcome, made once, and never more often than it helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine.errors import AuthError, StoreError
from engine.load.deliver import GROUP, TRIES, TRIES_ALONE, deliver
from engine.load.identity import FRESH
from engine.load.outcomes import settle_ages
from engine.load.reconcile import reconcile
from engine.load.writes import Outcome, Write
from engine.store.journal import Entry, intend
from engine.store.links import links_of
from engine.store.tables import recall
from tests.load.desk import Desk, desk, link_to
from tests.platforms import oddities as odd
from tests.platforms.platform import (
    Answer,
    Before,
    Platform,
    Request,
    Row,
    served,
)
from tests.replacing import replace

SETTLED = 2.0  # seconds that a request without an answer may still be at work
DOWN = "the database is down"


@contextmanager
def delivering(folder: Path, *contacts: Row, concurrency: int = 1, **more: Any) -> Iterator[Desk]:
    """A desk on a platform with these contacts; `more` are keys of the connection."""
    platform = Platform({"contacts": [dict(row) for row in contacts], "companies": []})
    connection = {"reconcile_after": SETTLED, "concurrency": concurrency, **more}
    with served(platform), desk(folder, platform, connection) as table:
        yield table


def person(number: int, **more: Any) -> Write:
    """The creation of a contact."""
    body = {"name": f"Person {number}", "email": f"p{number}@x.es", **more}
    return Write("contacts", f"people/{number}", "contacts", "create", body, body)


def people(many: int) -> list[Write]:
    """Creations of so many contacts."""
    return [person(number) for number in range(1, many + 1)]


def sent(outcomes: Iterator[Outcome]) -> dict[str, str]:
    """The state of each write; each has one, and none is unknown."""
    found = list(outcomes)
    assert {outcome.state for outcome in found} <= {"done", "failed", "stale", "not sent"}
    assert len({outcome.write.key for outcome in found}) == len(found)
    return {outcome.write.key: outcome.state for outcome in found}


def posted(table: Desk) -> list[str]:
    """The names that were sent, in the order of the calls."""
    return [call.body["name"] for call in table.platform.calls("POST", "contacts")]


def names(table: Desk) -> list[str]:
    """The names of the contacts there are."""
    return sorted(row["name"] for row in table.platform.tables["contacts"])


def failing(many: int, method: str = "POST", name: str = "") -> Before:
    """The first so many calls of a kind end in an error of the server, and nothing is done."""
    left = [many]

    def hook(_: Platform, request: Request) -> Answer | None:
        if request.method != method or (name and request.body.get("name") != name) or not left[0]:
            return None
        left[0] -= 1
        return Answer(500, {"error": DOWN})

    return hook


# -- what is made


def test_every_write_has_its_outcome(tmp_path: Path) -> None:
    """Writes without trouble are done, journaled and linked to their rows."""
    with delivering(tmp_path, concurrency=2) as table:
        assert sent(deliver(table.run, people(5))) == {f"people/{n}": "done" for n in range(1, 6)}
        assert {state for _, state in table.states()} == {"done"}
        rows = {row["name"]: str(row["id"]) for row in table.platform.tables["contacts"]}
        assert {key: link.dest_id for key, link in table.links().items()} == {f"people/{n}": rows[f"Person {n}"] for n in range(1, 6)}
        assert table.time.naps == []


def test_what_took_effect_is_not_sent_again(tmp_path: Path) -> None:
    """Of writes in doubt those that took effect are found, and only the others are sent once more."""
    with delivering(tmp_path) as table:
        table.platform.before.append(failing(1, name="Person 1"))
        table.platform.after.append(odd.dropping("contacts", {2}))
        assert set(sent(deliver(table.run, people(3))).values()) == {"done"}
        assert posted(table) == ["Person 1", "Person 2", "Person 3", "Person 1"]
        assert names(table) == ["Person 1", "Person 2", "Person 3"]
        assert table.states() == [("people/1", "void"), ("people/2", "done"), ("people/3", "done"), ("people/1", "done")]
        rows = {row["name"]: str(row["id"]) for row in table.platform.tables["contacts"]}
        assert table.links()["people/2"].dest_id == rows["Person 2"]


def test_every_answer_is_lost(tmp_path: Path) -> None:
    """Where no answer ever arrives, every row is made once and linked."""
    with delivering(tmp_path, concurrency=2) as table:
        table.platform.after.append(odd.dropping("contacts", range(1, 50)))
        found = list(deliver(table.run, people(4)))
        assert {outcome.state for outcome in found} == {"done"}
        assert all(outcome.answer.shown and outcome.dest_id for outcome in found)
        assert names(table) == [f"Person {n}" for n in range(1, 5)]
        assert len(table.links()) == 4


def test_two_writes_alike_whose_answers_are_lost(tmp_path: Path) -> None:
    """Two records with the same values are two rows, be both in doubt."""
    same = {"name": "Twin", "email": "t@x.es"}
    with delivering(tmp_path) as table:
        table.platform.after.append(odd.dropping("contacts", {1, 2}))
        assert set(sent(deliver(table.run, [person(1, **same), person(2, **same)])).values()) == {"done"}
        assert names(table) == ["Twin", "Twin"]
        assert len({link.dest_id for link in table.links().values()}) == 2


def test_a_row_of_people_is_not_taken_for_ours(tmp_path: Path) -> None:
    """A row with other values is not what a write in doubt has made."""
    with delivering(tmp_path, {"id": 7, "name": "Somebody", "email": "p1@x.es"}) as table:
        table.platform.before.append(failing(1))
        assert sent(deliver(table.run, people(1))) == {"people/1": "done"}
        assert names(table) == ["Person 1", "Somebody"]


# -- what is given up


def test_a_write_is_given_up_with_the_platforms_words(tmp_path: Path) -> None:
    """What never takes effect is sent so many times and then fails, saying why and how often."""
    with delivering(tmp_path) as table:
        table.platform.before.append(failing(TRIES + 4))
        found = {outcome.write.key: outcome for outcome in deliver(table.run, people(1))}
        assert found["people/1"].state == "failed"
        assert DOWN in found["people/1"].reason
        assert f"({TRIES} times)" in found["people/1"].reason
        assert "not in the destination" in found["people/1"].reason
        assert posted(table).count("Person 1") == TRIES
        assert table.states() == [("people/1", state) for state in ["void"] * (TRIES - 1) + ["failed"]]
        assert table.links() == {}


@pytest.mark.parametrize("others", ["fail", "pass"])
def test_a_record_that_alone_never_passes(others: str, tmp_path: Path) -> None:
    """Where the others pass, it is the record, and it is not sent eight times; where they fail likewise, the platform."""
    with delivering(tmp_path) as table:
        table.platform.before.append(failing(TRIES + 4, name="Person 1"))
        if others == "fail":
            table.platform.before.append(failing(1, name="Person 2"))
        found = {outcome.write.key: outcome.state for outcome in deliver(table.run, people(3))}
        assert found == {"people/1": "failed", "people/2": "done", "people/3": "done"}
        assert posted(table).count("Person 1") == (TRIES_ALONE if others == "pass" else TRIES)
        assert names(table) == ["Person 2", "Person 3"]


def test_a_deletion_sends_no_file(tmp_path: Path) -> None:
    """The row of a file is deleted though the link that the file came from is dead by now."""
    with delivering(tmp_path, {"id": 7, "name": "Ann"}) as table:
        table.save(link_to("7"))
        body = {"name": {"$file": {"url": "http://127.0.0.1:9/gone.pdf", "name": "gone.pdf"}}}
        write = Write("contacts", "people/1", "contacts", "delete", body, {}, "7")
        assert sent(deliver(table.run, [write])) == {"people/1": "done"}
        assert table.platform.tables["contacts"] == []


def test_the_last_try_may_succeed(tmp_path: Path) -> None:
    """A platform that recovers in time gets the row once."""
    with delivering(tmp_path) as table:
        table.platform.before.append(failing(TRIES - 1))
        assert sent(deliver(table.run, people(1))) == {"people/1": "done"}
        assert names(table) == ["Person 1"]


def test_pauses_grow(tmp_path: Path) -> None:
    """Each look waits for what may still be at work, and a platform in trouble is left longer alone, up to a limit."""
    with delivering(tmp_path) as table:
        table.platform.before.append(failing(TRIES))
        sent(deliver(table.run, people(1)))
        pauses = [SETTLED, *(SETTLED * times for times in (1, 2, 4, 4, 4, 4))]
        expected = [SETTLED]
        for pause in pauses[1:]:
            expected += [SETTLED, pause]
        assert table.time.naps == [*expected, SETTLED]


def test_what_is_refused_is_not_retried(tmp_path: Path) -> None:
    """A record that the platform refuses fails at once, in its words, and the others go on."""
    with delivering(tmp_path) as table:
        table.platform.before.append(odd.refusing("POST", "contacts", name="Person 2"))
        assert sent(deliver(table.run, people(3))) == {"people/1": "done", "people/2": "failed", "people/3": "done"}
        assert len(posted(table)) == 3
        assert table.time.naps == []


# -- in order


def test_in_order_nothing_follows_a_write_in_doubt(tmp_path: Path) -> None:
    """A write in doubt is settled before the next one goes out."""
    with delivering(tmp_path, concurrency=4) as table:
        table.platform.before.append(failing(2, name="Person 2"))
        table.platform.after.append(odd.dropping("contacts", {3, 5}))
        assert set(sent(deliver(table.run, people(4), in_order=True)).values()) == {"done"}
        assert posted(table) == ["Person 1", "Person 2", "Person 2", "Person 2", "Person 3", "Person 4"]
        assert names(table) == [f"Person {n}" for n in range(1, 5)]


# -- what makes going on pointless


def test_a_refused_key_stops_everything_with_its_outcome(tmp_path: Path) -> None:
    """What was not sent is void, what was done is done, and nothing stays an intent."""
    with delivering(tmp_path) as table:
        found: list[Outcome] = []

        def hook(_: Platform, request: Request) -> Answer | None:
            return Answer(401, {"error": "no"}) if request.method == "POST" and request.body["name"] == "Person 3" else None

        table.platform.before.append(hook)
        with pytest.raises(AuthError):
            found.extend(deliver(table.run, people(6)))
        assert table.states() == [(f"people/{n}", "done" if n < 3 else "void") for n in range(1, 7)]
        assert names(table) == ["Person 1", "Person 2"]
        assert posted(table) == ["Person 1", "Person 2", "Person 3"]


def test_nothing_goes_out_after_an_internal_error(tmp_path: Path) -> None:
    """What was booked after a call that broke within us is not sent, and its own intent stays to be reconciled."""
    with delivering(tmp_path, files={"hosts": ["api.example.com"]}) as table:
        table.run.files.write_text("no folder, so that no file can be put there")
        link = {"$file": {"url": "https://api.example.com/companies", "name": "a.json"}}
        writes = people(5)
        writes[2] = person(3, name=link)
        with pytest.raises(OSError, match=str(table.run.files)):
            list(deliver(table.run, writes))
        assert posted(table) == ["Person 1", "Person 2"]
        assert table.states() == [(f"people/{n}", state) for n, state in enumerate(["done", "done", "intent", "void", "void"], 1)]


# -- ids that are not believed


def test_an_id_that_is_anothers_is_looked_for(tmp_path: Path) -> None:
    """A creation that answers with the id of another record's row is found by what was sent, and made once."""
    with delivering(tmp_path) as table:
        sent(deliver(table.run, people(1)))
        first = table.links()["people/1"].dest_id
        table.platform.after.append(odd.answering_id("contacts", int(first)))
        assert sent(deliver(table.run, [person(2)])) == {"people/2": "done"}
        assert names(table) == ["Person 1", "Person 2"]
        links = table.links()
        assert links["people/1"].dest_id == first
        assert links["people/2"].dest_id not in ("", first)


def test_an_id_that_is_anothers_and_a_row_that_is_not_there(tmp_path: Path) -> None:
    """Where no other row is found the write fails at once: sending it again would answer the same."""
    with delivering(tmp_path, {"id": 7, "name": "Ann"}) as table:
        table.save(link_to("7", "people/9"))

        def hook(_: Platform, request: Request) -> Answer | None:
            return Answer(201, {"id": 7}) if request.method == "POST" else None

        table.platform.before.append(hook)
        found = list(deliver(table.run, people(1)))
        assert [outcome.state for outcome in found] == ["failed"]
        assert "which stands for contacts people/9" in found[0].reason
        assert len(posted(table)) == 1
        assert set(table.links()) == {"people/9"}


# -- updates and deletions


def update(row_id: str, before: Row, **send: Any) -> Write:
    """An update of people/1."""
    draft = {"name": "Ann", **send}
    return Write("contacts", "people/1", "contacts", "update", send, draft, row_id, before)


@pytest.mark.parametrize("took_effect", [True, False])
def test_an_update_in_doubt(took_effect: bool, tmp_path: Path) -> None:
    """An update that took effect is not sent twice, one that did not is; the link says what was written."""
    with delivering(tmp_path, {"id": 7, "name": "Ann", "email": "old@x.es"}) as table:
        table.save(link_to("7"))
        table.platform.before.append(failing(0 if took_effect else 1, "PATCH"))
        table.platform.after.append(odd.dropping("contacts", {1} if took_effect else (), "PATCH"))
        done = deliver(table.run, [update("7", {"email": "old@x.es"}, email="new@x.es")])
        assert sent(done) == {"people/1": "done"}
        assert len(table.platform.calls("PATCH", "contacts")) == (1 if took_effect else 2)
        assert table.platform.find("contacts", 7) == {"id": 7, "name": "Ann", "email": "new@x.es"}
        assert table.links()["people/1"].written == {"name": "Ann", "email": "new@x.es"}


def test_an_update_in_doubt_does_not_make_its_row_old(tmp_path: Path) -> None:
    """A row that we made long ago and changed now is ours still: only a creation asks how old its row is."""
    row = {"id": 7, "name": "Ann", "email": "old@x.es", "created": "2020-01-01T00:00:00Z"}
    with delivering(tmp_path, row) as table:
        table.save(link_to("7"))
        with table.store() as connection:
            sent_now = {"name": "Ann", "email": "new@x.es"}
            old = Entry(table.run.id, "contacts", "people/1", "contacts", "update", sent_now, sent_now, {"email": "old@x.es"}, "7")
            intend(connection, [replace(old, at=table.time.now)])
        table.platform.tables["contacts"][0]["email"] = "new@x.es"
        reconcile(table.run)
        settle_ages(table.run, ["contacts"])
        assert table.states() == [("people/1", "done")]
        link = table.links()["people/1"]
        assert (link.origin, link.written, "age" in link.extra) == ("created", sent_now, False)


@pytest.mark.parametrize("there", [True, False])
def test_a_deletion_in_doubt(there: bool, tmp_path: Path) -> None:
    """A row that is gone, by this deletion or before, is gone: its link goes too."""
    rows = [{"id": 7, "name": "Ann"}] if there else []
    with delivering(tmp_path, *rows) as table:
        table.save(link_to("7"))
        table.platform.after.append(odd.dropping("contacts", {1}, "DELETE"))
        done = deliver(table.run, [Write("contacts", "people/1", "contacts", "delete", {}, {}, "7")])
        assert sent(done) == {"people/1": "done"}
        assert len(table.platform.calls("DELETE", "contacts")) == 1
        assert table.platform.tables["contacts"] == []
        assert table.links() == {}


# -- what an earlier run left


@pytest.mark.parametrize("made", [True, False])
def test_an_intent_of_a_killed_run(made: bool, tmp_path: Path) -> None:
    """An intent without an outcome is reconciled with the doubts of the next run, and linked if its row is there."""
    rows = [{"id": 7, "name": "Person 9", "email": "p9@x.es"}] if made else []
    with delivering(tmp_path, *rows) as table:
        body = person(9).body
        with table.store() as connection:
            intend(connection, [Entry(table.run.id, "contacts", "people/9", "contacts", "create", body, body, at=table.time.now)])
        table.platform.after.append(odd.dropping("contacts", {1}))
        assert sent(deliver(table.run, people(1))) == {"people/1": "done"}
        assert table.states() == [("people/9", "done" if made else "void"), ("people/1", "done")]
        found = table.links().get("people/9")
        assert (found.dest_id if found else None) == ("7" if made else None)


# -- what is learned of a platform


def test_what_a_commit_that_failed_has_learned_is_learned_again(tmp_path: Path) -> None:
    """The commit that holds the first 201 fails once: its outcomes are recorded anew, and so is what they show of the platform."""
    with delivering(tmp_path) as table:
        failed = list[int]()

        def commit(connection: sa.Connection) -> None:
            if not failed and links_of(connection, "contacts"):
                failed.append(1)
                raise sa.exc.OperationalError("COMMIT", {}, Exception("the disk is full"))

        sa.event.listen(table.run.store.engine, "commit", commit)
        with pytest.raises(StoreError, match="the disk is full"):
            list(deliver(table.run, people(2 * GROUP + 20)))  # more than are booked ahead: some are recorded on the way
        assert failed == [1]
        assert {state for _, state in table.states()} <= {"done", "void"}
        assert table.links()
        assert recall(table.run.store, FRESH + "contacts") == "201"
