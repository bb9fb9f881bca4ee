"""Whether a create made its row: what it answered may be a row we hold, or one that was there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from engine.destination.match import BY_OWN_ID, Wanted, field_values
from engine.destination.rows import RowCodec
from engine.load.writes import Answer, Outcome, Write
from engine.run import Run
from engine.store.links import Link, links_to
from engine.store.schema import recall_in, remember_in

FRESH = "fresh."  # the store keeps under this name that a resource answers 201 for rows it makes
MADE, FOUND = 201, 200  # statuses by which platforms tell the two apart, where they do
BY_THEIR_CLOCK, BY_OURS = 60.0, 600.0  # seconds a row made by the call may seem older than it


def judge_creation(
    run: Run, connection: sa.Connection, outcome: Outcome, codec: RowCodec
) -> Outcome:
    """The outcome of a create with a look at whose row it answered with.

    A row that stands for another record of the object fails the write, or leaves it unknown where
    the answer shows nothing but the id: then the id may be wrong. A row that was there before is
    adopted, or fails where the connector says `existing: refuse`.
    """
    write = outcome.write
    others = [
        link
        for link in links_to(connection, write.resource, outcome.dest_id)
        if (link.object, link.key) != (write.object, write.key)
    ]
    if others and not _holds(write, outcome.answer, codec):
        return _not_believed(outcome, others)

    taken = [link for link in others if link.object == write.object]
    if taken:
        return _taken(outcome, taken[0])
    if others or _was_there(run, connection, write, outcome.answer, codec):
        return _existing(outcome, codec)
    return outcome


def _holds(write: Write, answer: Answer, codec: RowCodec) -> bool:
    """Whether the answer shows a row with what was sent."""
    sent = tuple(name for name in write.draft if codec.shows(answer.row, name))
    wanted = Wanted(write.key, field_values(codec, write.body, sent), sent)
    return answer.shown and any(rule.fits(wanted, answer.row, codec) for rule in BY_OWN_ID)


def _not_believed(outcome: Outcome, others: Sequence[Link]) -> Outcome:
    whose = f"{others[0].object} {others[0].key}"
    reason = f"the answer names row {outcome.dest_id}, which stands for {whose}"
    return replace(outcome, state="unknown", reason=reason, dest_id="", claimed=True)


def _taken(outcome: Outcome, link: Link) -> Outcome:
    reason = (
        f"the destination answered with row {outcome.dest_id}, which stands for {link.key} already: "
        "it takes the two for one – merge them in the source, or leave one out with `when`"
    )
    return replace(outcome, state="failed", reason=reason, dest_id="")


def _existing(outcome: Outcome, codec: RowCodec) -> Outcome:
    if codec.resource.operations["create"].existing == "refuse":
        reason = f"the destination has this row already: {outcome.dest_id}"
        return replace(outcome, state="failed", reason=reason, dest_id="")
    return replace(outcome, existing=True)


def _was_there(
    run: Run, connection: sa.Connection, write: Write, answer: Answer, codec: RowCodec
) -> bool:
    fresh = recall_in(connection, FRESH + write.resource)
    if answer.status == FOUND and fresh == str(MADE) and not answer.repeated:
        return True
    return _older_than_call(run, write, answer, codec)


def _older_than_call(run: Run, write: Write, answer: Answer, codec: RowCodec) -> bool:
    """Whether the row says of itself that it was made before it was asked for."""
    name = codec.resource.created
    kind = codec.kind(name)
    if not name or name in write.body or (kind and kind.kind != "datetime"):
        return False

    made = _moment(answer.row.get(name))
    asked = write.at or run.clock.now()
    if made is None:
        return False
    if answer.date is not None:
        sent = answer.date - max(0.0, run.clock.now() - asked)
        return made < sent - BY_THEIR_CLOCK
    return made < asked - BY_OURS


def _moment(value: object) -> float | None:
    """Epoch seconds of a stamp; one without a zone is UTC, a mere date tells nothing."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        moment = datetime.fromisoformat(text) if len(text) > len("2024-01-01") else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def learn_status(connection: sa.Connection, resource: str, answer: Answer) -> bool:
    """Note that a resource answers 201 for rows it makes; whether that is news."""
    if answer.status != MADE or recall_in(connection, FRESH + resource):
        return False
    remember_in(connection, FRESH + resource, str(MADE))
    return True
