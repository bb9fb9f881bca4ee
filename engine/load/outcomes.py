"""What an outcome leaves behind: the journal's entry, the link, and what people must know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from engine.destination.rows import RowCodec
from engine.load.identity import FOUND, age_beyond_call, judge_creation, learn, older_rows
from engine.load.writes import RESTORED, Outcome, Write
from engine.run import Run
from engine.store.journal import mark, mark_adopted, settle
from engine.store.links import (
    Finding,
    Link,
    clear_findings,
    drop_link,
    save_findings,
    save_link,
)
from engine.values import as_file, digest, is_empty

EXISTING = (
    "the destination answered with a row that was there before: it is used, its values may have "
    "been written over, and a rollback keeps it"
)
ACCEPTED = "accepted"  # how the reason of a write begins that stays in doubt for this run
IDENTITY = "identity"  # the stage of findings about whose row a record has
MARKS = ("status", "age")  # what may yet show that a row was there before


def record(run: Run, connection: sa.Connection, outcome: Outcome, codec: RowCodec) -> Outcome:
    """Record an outcome with all that follows from it in one transaction; the outcome as judged."""
    write = outcome.write
    if outcome.state == "done" and write.action == "create":
        outcome = judge_creation(run, connection, outcome, codec)

    _journal(run, connection, outcome, codec)
    if outcome.state in ("done", "failed"):
        clear_findings(connection, "write", write.object, [write.key])

    if outcome.state == "failed":
        _find(connection, write, "", f"failed: {outcome.reason}")
    elif outcome.state == "done":
        _leave(run, connection, outcome, codec)
    return outcome


def _journal(run: Run, connection: sa.Connection, outcome: Outcome, codec: RowCodec) -> None:
    write = outcome.write
    cost = codec.resource.operations[write.action].cost
    called = outcome.called and outcome.state != "not sent"
    settle(
        connection,
        write.entry,
        _state(outcome),
        run.clock.now(),
        dest_id=outcome.dest_id,
        reason=outcome.reason,
        calls=1 if called else 0,
        cost=cost if called else 0,
    )


def _state(outcome: Outcome) -> str:
    """The journal's word for an outcome."""
    if outcome.existing:
        return "adopted"
    return {"unknown": "doubt", "not sent": "void", "stale": "void"}.get(
        outcome.state, outcome.state
    )


def _leave(run: Run, connection: sa.Connection, outcome: Outcome, codec: RowCodec) -> None:
    """The link that a successful write leaves, or takes away."""
    write = outcome.write
    if write.action == "delete":
        drop_link(connection, write.object, write.key)
    elif write.action in ("create", "update") and write.origin != RESTORED:
        link = link_after(run, outcome, codec)
        save_link(connection, link)
        report_held(connection, link)
    if outcome.existing:
        report_existing(connection, write.object, write.key)
    if write.action == "create":
        demote(connection, learn(run, connection, outcome, codec))


def report_held(connection: sa.Connection, link: Link) -> None:
    """Values that the destination dropped are reported as long as they are lost."""
    texts = {
        "lost": "the destination did not keep the value: it holds nothing",
        "altered": "the destination made something else of the value",
    }
    for target, held in link.held.items():
        if held.get("why") in texts:
            text = texts[held["why"]]
            save_findings(
                connection,
                [Finding(link.object, link.key, "write", target, "attention", text)],
            )


def report_existing(connection: sa.Connection, name: str, key: str) -> None:
    """A creation found a row: reported as long as the row stands for the record."""
    clear_findings(connection, IDENTITY, name, [key])
    save_findings(connection, [Finding(name, key, IDENTITY, "", "attention", EXISTING)])


def demote(connection: sa.Connection, links: Sequence[Link]) -> None:
    """Rows that turn out to have been there before are people's: no rollback removes them."""
    for link in links:
        extra = {name: link.extra[name] for name in link.extra.keys() - {*MARKS, "seen"}}
        people = replace(link, origin="matched", digest="", written={}, extra=extra)
        save_link(connection, replace(people, stored={}, held={}))
        mark_adopted(connection, link.object, link.key, link.dest_id)
        report_existing(connection, link.object, link.key)


def settle_ages(run: Run, resources: Sequence[str]) -> None:
    """Decide about rows with old stamps where nothing has shown how old fresh ones look."""
    for name in resources:
        with run.store.begin() as connection:
            demote(connection, older_rows(connection, name))


def _doubts_of(run: Run, outcome: Outcome, codec: RowCodec) -> dict[str, Any]:
    """What may yet show that a row was there before, once the platform's ways are known."""
    age = age_beyond_call(run, outcome.write, outcome.answer, codec)
    found: dict[str, Any] = {"age": age} if age else {}
    return found | ({"status": FOUND} if outcome.answer.status == FOUND else {})


def _find(connection: sa.Connection, write: Write, target: str, text: str) -> None:
    found = Finding(write.object, write.key, "write", target, "attention", text)
    save_findings(connection, [found])


def link_after(run: Run, outcome: Outcome, codec: RowCodec) -> Link:
    """The link that a successful write leaves.

    Its fingerprint is that of the row as answered, and none where the answer does not show it:
    then the first reading gives it. What the destination made of our values is kept beside them.
    """
    write, answer = outcome.write, outcome.answer
    extra = {name: value for name, value in write.extra.items() if name not in ("seen", *MARKS)}
    extra |= outcome.extra
    if write.action == "create":
        extra |= _doubts_of(run, outcome, codec)

    if outcome.existing:
        return _adopted(run, outcome)

    stored, held = dict(write.stored), dict(write.held)
    if answer.shown:
        extra["seen"] = codec.fingerprint(answer.row)
    note_stored(codec, write.body, answer.row, write.draft, stored, held)
    return Link(
        write.object,
        write.key,
        write.resource,
        outcome.dest_id or write.dest_id,
        write.digest or digest(write.draft),
        dict(write.draft),
        write.origin,
        run.id,
        run.destination.now(),
        extra,
        stored,
        held,
    )


def _adopted(run: Run, outcome: Outcome) -> Link:
    """The link to a row that was there: nothing of what it holds is ours, and a plan is to see."""
    write = outcome.write
    now = run.destination.now()
    return Link(
        write.object, write.key, write.resource, outcome.dest_id, "", {}, "matched", run.id, now
    )


def note_stored(
    codec: RowCodec,
    body: Mapping[str, Any],
    row: Mapping[str, Any],
    targets: Mapping[str, Any],
    stored: dict[str, Any],
    held: dict[str, Any],
) -> None:
    """What a row holds in place of what was sent, by target; what it dropped is held as lost."""
    for target in targets:
        sent = codec.get(body, target)
        if is_empty(sent) or as_file(sent):
            continue

        before = held.pop(target, {})
        tries = before.get("tries", 0) + 1 if before.get("why") == "lost" else 1
        if not codec.shows(row, target):
            if tries > 1:
                held[target] = {"why": "lost", "tries": tries}
            continue

        note_live(codec, target, sent, codec.get(row, target), stored, held, tries)


def note_live(
    codec: RowCodec,
    target: str,
    sent: Any,
    live: Any,
    stored: dict[str, Any],
    held: dict[str, Any],
    tries: int = 1,
) -> None:
    """What a field holds in place of what was sent; a value that was dropped is held as lost."""
    stored.pop(target, None)
    if codec.equal(target, sent, live):
        return
    stored[target] = live
    if is_empty(live):
        held[target] = {"why": "lost", "tries": tries}
    elif not codec.alike(target, sent, live):
        held[target] = {"why": "altered"}


def leave_in_doubt(run: Run, connection: sa.Connection, write: Write, reason: str) -> None:
    """A write that was accepted, and whose row no list shows yet, must not be made twice."""
    settle(connection, write.entry, "doubt", run.clock.now(), reason=f"{ACCEPTED}: {reason}")
    clear_findings(connection, "write", write.object, [write.key])
    _find(connection, write, "", f"failed: {reason}")


def give_up(run: Run, connection: sa.Connection, write: Write, reason: str) -> None:
    """A write that is not tried any more has failed, with the platform's last words."""
    mark(connection, write.entry, "failed", reason, run.clock.now())
    clear_findings(connection, "write", write.object, [write.key])
    _find(connection, write, "", f"failed: {reason}")
