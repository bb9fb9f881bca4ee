"""What a draft and its link come to, and an update field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.destination.resolve import Resolved, resolve
from engine.load.apply import held_after
from engine.plan.diff import (
    LOST_TRIES,
    Decision,
    KnownRows,
    decide,
    merge,
    update_body,
    written_after,
)
from engine.store.changes import Change
from engine.store.links import Draft, Link
from engine.values import digest, link
from tests.load.desk import Desk, desk, link_to

FIRM = link("companies", "firms/1")
ANN = {"name": "Ann", "email": "a@x.es"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A run whose platform nobody calls."""
    with desk(tmp_path_factory.mktemp("plan")) as made:
        yield made


def ids(name: str, key: str) -> str | None:
    """The rows that links lead to: firms but the ninth."""
    return None if key == "firms/9" else "7" + key.rpartition("/")[2]


def draft_of(body: dict[str, Any], **more: Any) -> Draft:
    """What is wanted of a person."""
    return Draft("contacts", "people/1", "people/1", body, digest(body), **more)


def decided(table: Desk, draft: Draft, held: Link | None = None, to_delete: Any = frozenset()) -> Decision:
    """What is to be done about one draft."""
    links = {held.key: held} if held else {}
    found = decide(table.run, table.mapping(), table.codec(), [draft], KnownRows(links, ids, to_delete))
    assert len(found) == 1
    return found[0]


def resolved(table: Desk, body: dict[str, Any]) -> Resolved:
    """A body with ids for its links."""
    return resolve(body, table.mapping(), table.run.spec, table.codec(), ids)


def merged(table: Desk, wanted: dict[str, Any], known: Link, live: dict[str, Any]) -> Change:
    """What becomes of a linked row whose draft is to be looked at."""
    whole = resolved(table, wanted)
    decision = Decision("update", draft_of(wanted), whole, known)
    return merge(table.mapping(), decision, {"id": 5, **live}, resolved(table, known.written), table.codec())


# -- decide


def test_a_draft_without_a_link_is_created(table: Desk) -> None:
    """What no row stands for is to be made."""
    assert decided(table, draft_of(ANN)).kind == "create"


def test_a_draft_that_is_as_written_is_unchanged(table: Desk) -> None:
    """The digest of what was written says that nothing is to be done, without a look at the row."""
    found = decided(table, draft_of(ANN), link_to("5", written=ANN))
    assert (found.kind, found.change().dest_id, found.change().kind) == ("unchanged", "5", "unchanged")


def test_another_draft_is_an_update(table: Desk) -> None:
    """What is wanted otherwise than it was written needs a look at the row."""
    found = decided(table, draft_of({**ANN, "email": "new@x.es"}), link_to("5", written=ANN))
    assert found.kind == "update"
    assert found.resolved is not None
    assert found.resolved.body == {"name": "Ann", "email": "new@x.es"}


def test_an_adopted_row_is_looked_at(table: Desk) -> None:
    """A row that was never written has no digest: it is compared whatever the draft says."""
    assert decided(table, draft_of(ANN), link_to("5", written={}, digest="")).kind == "update"


@pytest.mark.parametrize("why", ["conflict", "stuck", "lost"])
def test_what_is_held_back_is_looked_at_again(why: str, table: Desk) -> None:
    """Though the draft is as before, a field that was held back makes the row be read once more."""
    held = link_to("5", written=ANN, held={"email": {"why": why}})
    assert decided(table, draft_of(ANN), held).kind == "update"


@pytest.mark.parametrize(("state", "kind"), [("skipped", "skip"), ("failed", "fail")])
def test_a_draft_that_is_not_ready(state: str, kind: str, table: Desk) -> None:
    """A draft that was left out or failed is not written, for the reason it gives, though a row is there."""
    found = decided(table, draft_of(ANN, state=state, reason="no name"), link_to("5", written=ANN))
    assert (found.kind, found.reason) == (kind, "no name")


def test_a_link_that_leads_nowhere_is_left_out(table: Desk) -> None:
    """A draft whose link was left out when it was written is unchanged as long as the link leads nowhere."""
    lost = {**ANN, "company": link("companies", "firms/9")}
    assert decided(table, draft_of(lost), link_to("5", written=ANN)).kind == "unchanged"
    assert decided(table, draft_of({**ANN, "company": FIRM}), link_to("5", written=ANN)).kind == "update"


def test_a_row_that_leaves_makes_its_neighbours_be_looked_at(table: Desk) -> None:
    """A draft as written is not unchanged where the plan deletes a row that it names."""
    body = {**ANN, "company": link("companies", "firms/9")}
    known = link_to("5", written=body)
    assert decided(table, draft_of(body), known).kind == "unchanged"
    assert decided(table, draft_of(body), known, frozenset({("companies", "firms/9")})).kind == "update"


# -- merge


def test_only_what_changed_is_sent(table: Desk) -> None:
    """An update sends the fields that are wanted otherwise, with what the row held before."""
    known = link_to("5", written={**ANN, "phone": "1"})
    found = merged(table, {**ANN, "phone": "2"}, known, {**ANN, "phone": "1"})
    assert (found.kind, found.send, found.before, found.conflicts, found.stuck) == ("update", {"phone": "2"}, {"phone": "1"}, (), ())
    assert update_body(found, resolved(table, {**ANN, "phone": "2"}), table.codec()) == {"phone": "2"}


def test_an_edit_of_people_is_kept(table: Desk) -> None:
    """A field that people changed is reported with both values and not sent; the others are."""
    known = link_to("5", written={**ANN, "phone": "1"})
    found = merged(table, {"name": "Ann B", "email": "new@x.es", "phone": "1"}, known, {"name": "Ann", "email": "p@x.es", "phone": "1"})
    assert found.kind == "update"
    assert found.send == {"name": "Ann B"}
    assert found.conflicts == (("email", "p@x.es", "new@x.es"),)


def test_an_edit_of_people_alone_is_a_conflict(table: Desk) -> None:
    """Where nothing is left to send, the change is a conflict."""
    found = merged(table, {**ANN, "email": "new@x.es"}, link_to("5", written=ANN), {**ANN, "email": "p@x.es"})
    assert (found.kind, found.send) == ("conflict", {})


def test_an_edit_where_the_source_stayed_is_no_conflict(table: Desk) -> None:
    """What is wanted as it was written is not even compared: people may do as they like."""
    found = merged(table, {**ANN, "phone": "2"}, link_to("5", written=ANN), {**ANN, "email": "p@x.es"})
    assert (found.send, found.conflicts) == ({"phone": "2"}, ())


@pytest.mark.parametrize("live", ["Ann lee", "ANN LEE", "Ann  Lee"])
def test_an_edit_of_capitals_is_an_edit(live: str, table: Desk) -> None:
    """What people only wrote otherwise is theirs: a merge takes no value for ours that merely looks like it."""
    found = merged(table, {"name": "Bea"}, link_to("5", written={"name": "Ann Lee"}), {"name": live})
    assert found.conflicts == (("name", live, "Bea"),)
    assert found.send == {}


def test_a_correction_of_capitals_is_sent(table: Desk) -> None:
    """A value that is wanted with other capitals is sent, for the row does not hold it."""
    assert merged(table, {"name": "Ann"}, link_to("5", written={"name": "ann"}), {"name": "ann"}).send == {"name": "Ann"}


def test_the_spec_may_overwrite_people(table: Desk) -> None:
    """A field with `on_conflict: overwrite` is sent over an edit, which is kept as what was before."""
    found = merged(table, {"name": "Ann", "note": "new"}, link_to("5", written={"name": "Ann", "note": "old"}), {"name": "Ann", "note": "p"})
    assert (found.send, found.before, found.conflicts) == ({"note": "new"}, {"note": "p"}, ())


def test_a_field_emptied_by_people_is_an_edit(table: Desk) -> None:
    """Nobody has reported that the platform dropped the value, so that it is missing is people's doing."""
    found = merged(table, {"name": "Ann", "email": "new@x.es"}, link_to("5", written=ANN), {"name": "Ann", "email": None})
    assert (found.send, found.conflicts) == ({}, (("email", None, "new@x.es"),))


def test_what_the_platform_made_of_a_value_is_ours(table: Desk) -> None:
    """A field that holds what the platform made of our value takes a new one, and is no conflict."""
    known = link_to("5", written={**ANN, "phone": "600"}, stored={"phone": "+34600"})
    assert merged(table, {**ANN, "phone": "601"}, known, {**ANN, "phone": "+34600"}).send == {"phone": "601"}
    assert merged(table, {**ANN, "phone": "601"}, known, {**ANN, "phone": "+34699"}).conflicts == (("phone", "+34699", "601"),)


def test_a_field_is_emptied(table: Desk) -> None:
    """A value that is wanted no more is emptied as the platform empties it."""
    found = merged(table, {"name": "Ann"}, link_to("5", written=ANN), ANN)
    assert (found.kind, found.send) == ("update", {"email": None})
    assert update_body(found, resolved(table, {"name": "Ann"}), table.codec()) == {"email": None}


def test_a_field_that_cannot_be_emptied_is_stuck(table: Desk) -> None:
    """It is reported and not sent; the row is a conflict, for it does not hold what is wanted."""
    known = link_to("5", written={**ANN, "phone": "1"})
    found = merged(table, ANN, known, {**ANN, "phone": "1"})
    assert (found.kind, found.send, found.stuck) == ("conflict", {}, ("phone",))


def test_a_row_as_wanted_needs_nothing(table: Desk) -> None:
    """A row that holds by now what is wanted is unchanged, in whatever form it names another row."""
    found = merged(table, {**ANN, "company": FIRM}, link_to("5", written=ANN), {**ANN, "company": {"id": "71", "name": "F"}})
    assert (found.kind, found.send) == ("unchanged", {})


def test_zero_is_a_value(table: Desk) -> None:
    """Zero is sent where nothing was, and is no empty field."""
    assert merged(table, {"name": "Ann", "score": 0}, link_to("5"), {"name": "Ann", "score": None}).send == {"score": 0}
    assert merged(table, {"name": "Ann"}, link_to("5", written={"name": "Ann", "score": 0}), {"name": "Ann", "score": 0}).send == {"score": None}


def test_an_adopted_row_keeps_what_people_had(table: Desk) -> None:
    """Of a row that was there before, empty fields are filled and others are people's, equal ones in peace."""
    known = link_to("5", written={}, digest="")
    found = merged(table, {**ANN, "phone": "1"}, known, {"name": "Ann", "email": "p@x.es", "phone": ""})
    assert (found.send, found.conflicts) == ({"phone": "1"}, (("email", "p@x.es", "a@x.es"),))


# -- what is held back, and what was lost


@pytest.mark.parametrize("tries", range(1, LOST_TRIES + 2))
def test_a_lost_value_is_sent_again(tries: int, table: Desk) -> None:
    """A value that the platform dropped is sent with every run, so many times and not once more."""
    known = link_to("5", written=ANN, stored={"email": None}, held={"email": {"why": "lost", "tries": tries}})
    found = merged(table, ANN, known, {"name": "Ann", "email": None})
    assert found.send == ({"email": "a@x.es"} if tries < LOST_TRIES else {})
    assert held_after(found, known) == {"email": {"why": "lost", "tries": tries}}


def test_a_value_that_was_lost_for_good_is_sent_when_it_changes(table: Desk) -> None:
    """However often a value was dropped, another one is tried."""
    known = link_to("5", written=ANN, stored={"email": None}, held={"email": {"why": "lost", "tries": LOST_TRIES}})
    assert merged(table, {**ANN, "email": "new@x.es"}, known, {"name": "Ann"}).send == {"email": "new@x.es"}


def test_a_held_conflict_is_settled_by_people(table: Desk) -> None:
    """Once people put our last value back, the one that was held back is sent."""
    known = link_to("5", written=ANN, held={"email": {"why": "conflict"}})
    wanted = {**ANN, "email": "new@x.es"}
    still = merged(table, wanted, known, {**ANN, "email": "p@x.es"})
    settled = merged(table, wanted, known, ANN)
    assert (still.kind, held_after(still, known)) == ("conflict", {"email": {"why": "conflict"}})
    assert (settled.send, held_after(settled, known)) == ({"email": "new@x.es"}, {})


def test_a_held_conflict_is_looked_at_though_the_source_went_back(table: Desk) -> None:
    """A field that was held back is compared even where what is wanted is what was written once."""
    known = link_to("5", written=ANN, held={"email": {"why": "conflict"}})
    assert merged(table, ANN, known, {**ANN, "email": "p@x.es"}).conflicts == (("email", "p@x.es", "a@x.es"),)
    assert merged(table, ANN, known, ANN).kind == "unchanged"


def test_what_people_keep_stays_as_it_was_written(table: Desk) -> None:
    """After a change the link says what was written: of a conflict and a stuck field still the old value, or none."""
    known = link_to("5", written={**ANN, "phone": "1"})
    wanted = {"name": "Ann B", "email": "new@x.es", "score": 3}
    found = merged(table, wanted, known, {"name": "Ann", "email": "p@x.es", "phone": "1", "score": 9})
    assert (found.send, found.stuck) == ({"name": "Ann B"}, ("phone",))
    assert {target for target, _, _ in found.conflicts} == {"email", "score"}
    assert written_after(found, resolved(table, wanted), known, table.run.spec) == {"name": "Ann B", "email": "a@x.es", "phone": "1"}
