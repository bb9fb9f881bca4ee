"""Whether a create made its row: it may have answered with one of ours, or one there before."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import structs

from engine.connector.times import moment
from engine.destination.match import (
    BY_OWN_ID,
    Wanted,
    begins_with,
    field_values,
)
from engine.destination.rows import Row, RowCodec
from engine.load.writes import Answer, Outcome, Write
from engine.plan.doubt import TAKEN
from engine.session import Run
from engine.store.journal import mark_creation
from engine.store.ledger import Ledger
from engine.store.links import Link, drafts_of, links_marked
from engine.values import is_empty, without

# the store keeps under this name that a resource answers 201 for rows it makes
FRESH = "fresh."
# ... that the stamps of fresh rows are those of the moment
STAMPED = "stamped."
# statuses by which platforms tell the two apart, where they do
MADE = 201
FOUND = 200
# seconds a row made by the call may seem older than it
BY_THEIR_CLOCK, BY_OURS = 60.0, 600.0
# texts that must differ before an answer shows another row than was sent
FEWEST = 2
# seconds by which the ages of rows may differ that a slow clock makes old
ALIKE = 120.0


def judge_creation(
    run: Run, ledger: Ledger, outcome: Outcome, codec: RowCodec
) -> Outcome:
    """The outcome of a create with a look at whose row it answered with.

    A row that stands for another record of the object, by its link or by the key that it carries,
    fails the write, or leaves it unknown where the answer shows nothing but the id: then the id may
    be wrong. A row that was there before is adopted, or fails where the connector says
    `existing: refuse`.
    """
    write = outcome.write
    others = [
        link
        for link in ledger.links_to(write.resource, outcome.dest_id)
        if (link.object, link.key) != (write.object, write.key)
    ]
    if others:
        return _judge_shared(run, ledger, outcome, codec, others)

    # a row that shows what was sent holds the record's own key as well
    if not outcome.answer.as_sent:
        named = _named_by_row(run, ledger, write, outcome.answer, codec)
        if named:
            return _taken(outcome, named)
    there = _was_there(run, ledger, write, outcome.answer, codec)
    return _existing(outcome, codec) if there else outcome


def _judge_shared(
    run: Run,
    ledger: Ledger,
    outcome: Outcome,
    codec: RowCodec,
    others: Sequence[Link],
) -> Outcome:
    """The outcome of a create whose row stands for others already."""
    write, answer = outcome.write, outcome.answer
    taken = [link for link in others if link.object == write.object]
    if answer.status == MADE:
        _own(run, ledger, taken)
    is_found = _answers_found(ledger, write, answer)
    held = is_found or _holds(write, answer, codec)
    if held and not taken:
        return _existing(outcome, codec)
    if is_found:
        return _taken(outcome, taken[0].key)

    _distrust(run, ledger, others)
    return _not_believed(outcome, others[0], held)


def _own(run: Run, ledger: Ledger, links: Sequence[Link]) -> None:
    """A row that this run made, and that was answered to another record before, is ours still."""
    for link in links:
        if link.origin == "matched" and link.run == run.id:
            ledger.save_link(structs.replace(link, origin="created"))
            place = (link.object, link.key, link.dest_id)
            mark_creation(ledger.connection, *place, "adopted", "done")


def _distrust(run: Run, ledger: Ledger, links: Sequence[Link]) -> None:
    """One id for several rows may be wrong for the first too: that is to be found by content."""
    for link in links:
        if link.run == run.id and link.origin == "created":
            extra = without(link.extra, ("seen",))
            ledger.save_link(structs.replace(link, extra=extra))


def _holds(write: Write, answer: Answer, codec: RowCodec) -> bool:
    """Whether the answer shows a row with what was sent."""
    sent = tuple(name for name in write.draft if codec.shows(answer.row, name))
    wanted = Wanted(write.key, field_values(codec, write.body, sent), sent)
    return answer.shown and any(
        rule.fits(wanted, answer.row, codec) for rule in BY_OWN_ID
    )


def _not_believed(outcome: Outcome, link: Link, held: bool) -> Outcome:
    """Either the two are one for the destination, or the answer names a wrong row: a look shows."""
    reason = (
        f"the answer names row {outcome.dest_id}, which stands for {link.object}"
        f" {link.key}"
    )
    if held:
        reason = _one_for_two(outcome, link.key)
    return structs.replace(
        outcome, state="unknown", reason=reason, dest_id="", claimed=True
    )


def _named_by_row(
    run: Run, ledger: Ledger, write: Write, answer: Answer, codec: RowCodec
) -> str:
    """The other record whose key the row carries: its own creation may be without an answer yet."""
    mapping = run.spec.objects.get(write.object)
    if (
        mapping is None
        or not mapping.key_field
        or not codec.shows(answer.row, mapping.key_field)
    ):
        return ""
    key = codec.get(answer.row, mapping.key_field)
    other = isinstance(key, str) and key != write.key
    return (
        key
        if other and drafts_of(ledger.connection, write.object, [key])
        else ""
    )


def _taken(outcome: Outcome, key: str) -> Outcome:
    return structs.replace(
        outcome, state="failed", reason=_one_for_two(outcome, key), dest_id=""
    )


def _one_for_two(outcome: Outcome, key: str) -> str:
    return (
        f"the destination answered with row {outcome.dest_id}, which stands for {key} "
        f"already: {TAKEN} – merge them in the source, or leave one out with `when`"
    )


def _existing(outcome: Outcome, codec: RowCodec) -> Outcome:
    if codec.resource.operations["create"].existing == "refuse":
        reason = f"the destination has this row already: {outcome.dest_id}"
        return structs.replace(
            outcome, state="failed", reason=reason, dest_id=""
        )
    return structs.replace(outcome, existing=True)


def _was_there(
    run: Run, ledger: Ledger, write: Write, answer: Answer, codec: RowCodec
) -> bool:
    if _answers_found(ledger, write, answer):
        return True
    age = age_beyond_call(run, write, answer, codec)
    if age == 0.0 and answer.status == MADE:
        return False  # made just now, whatever became of its texts
    is_old = bool(age) and ledger.recall(STAMPED + write.resource) is not None
    return is_old or _shows_another(write, answer, codec)


def _answers_found(ledger: Ledger, write: Write, answer: Answer) -> bool:
    """Whether the status says that the row was there, on a platform that tells the two apart."""
    fresh = ledger.recall(FRESH + write.resource)
    return answer.status == FOUND and fresh is not None and not answer.repeated


def _shows_another(write: Write, answer: Answer, codec: RowCodec) -> bool:
    """Whether the answer shows a row that holds mostly other values than were sent."""
    if answer.as_sent:
        return False
    shown = other = 0
    for name in write.draft:
        sent = codec.get(write.body, name)
        if not isinstance(sent, str) or not codec.shows(answer.row, name):
            continue
        live = codec.get(answer.row, name)
        if not is_empty(live):
            shown += 1
            is_part = begins_with(sent, live)  # as after a cut
            other += not (is_part or codec.alike(name, sent, live))
    return other >= FEWEST and 2 * other > shown


def age_beyond_call(
    run: Run, write: Write, answer: Answer, codec: RowCodec
) -> float | None:
    """Seconds by which a row says it was made before it was asked for; 0 for a fresh one.

    None where the row shows no stamp of its own, or one that we have sent.
    """
    now = run.destination.now()
    asked = write.at or now
    if answer.date is not None:
        asked = answer.date - max(0.0, now - asked)
    # two servers of one platform may have two clocks
    is_told = answer.date is not None and answer.status != MADE
    margin = BY_THEIR_CLOCK if is_told else BY_OURS
    return age_at(codec, write.body, answer.row, asked - margin)


def age_at(codec: RowCodec, body: Row, row: Row, asked: float) -> float | None:
    """Seconds by which a row says it was made before that moment, or None; see
    `age_beyond_call`.
    """
    name = codec.resource.created
    kind = codec.kind(name)
    if not name or name in body or (kind and kind.kind != "datetime"):
        return None

    told = row.get(name)
    made = moment(told)
    # a mere date tells nothing
    if made is None or len(str(told).strip()) <= len("2024-01-01"):
        return None
    return max(0.0, asked - made)


def learn(
    run: Run, ledger: Ledger, outcome: Outcome, codec: RowCodec
) -> list[Link]:
    """Learn from a row that was made how the platform answers then; links to rows it did not make.

    Those are links to rows that were answered with 200 before the first 201 came, in a run that was
    killed since as well, or in this run with an old stamp before the first fresh one.
    """
    name, answer = outcome.write.resource, outcome.answer
    demoted = []
    if answer.status == MADE and not ledger.recall(FRESH + name):
        ledger.remember(FRESH + name, str(MADE))
        demoted += links_marked(ledger.connection, name, "status")
    known = ledger.recall(STAMPED + name)
    if not known and age_beyond_call(run, outcome.write, answer, codec) == 0.0:
        ledger.remember(STAMPED + name, "yes")
        aged = links_marked(ledger.connection, name, "age")
        demoted += [link for link in aged if link.run == run.id]
    return demoted


def older_rows(connection: sa.Connection, resource: str) -> list[Link]:
    """Links to rows whose stamps are old, where no row of the resource has a fresh one.

    Rows that are all of one age were made by a slow clock, not by people: then none.
    """
    links = links_marked(connection, resource, "age")
    ages = [link.extra["age"] for link in links]
    if len(ages) > 1 and max(ages) - min(ages) <= ALIKE:
        return []
    return links
