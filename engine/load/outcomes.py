"""What an outcome leaves behind: the journal's entry, the link, and what people must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from engine.destination.rows import RowCodec
from engine.load.identity import FOUND, judge_creation, learn_status
from engine.load.writes import RESTORED, Outcome, Write
from engine.run import Run
from engine.store.journal import mark, mark_adopted, settle
from engine.store.links import (
    Finding,
    Link,
    clear_findings,
    drop_link,
    links_made_by,
    save_findings,
    save_link,
)
from engine.values import as_file, digest, is_empty

EXISTING = (
    "the destination answered with a row that was there before: it is used, its values may have been "
    "written over, and a rollback keeps it"
)
SHOWN = 80  # characters of a value that a message shows


def record(run: Run, connection: sa.Connection, outcome: Outcome, codec: RowCodec) -> Outcome:
    """Record an outcome with all that follows from it, in one transaction; the outcome as judged."""
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
        _report_held(connection, link)
    if outcome.existing:
        _find(connection, write, "", EXISTING)
    if write.action == "create" and learn_status(connection, write.resource, outcome.answer):
        _demote(run, connection, write.resource)


def _report_held(connection: sa.Connection, link: Link) -> None:
    for target, held in link.held.items():
        if held.get("why") == "lost":
            text = "the destination did not keep the value: it holds nothing"
            save_findings(
                connection,
                [Finding(link.object, link.key, "write", target, "attention", text)],
            )


def _demote(run: Run, connection: sa.Connection, resource: str) -> None:
    """Rows answered with 200 before the first 201 came were there before as well."""
    for link in links_made_by(connection, resource, run.id):
        if link.extra.get("status") == FOUND:
            save_link(connection, replace(link, origin="matched"))
            mark_adopted(connection, link.object, link.key, link.dest_id)
            text = Finding(link.object, link.key, "write", "", "attention", EXISTING)
            save_findings(connection, [text])


def _find(connection: sa.Connection, write: Write, target: str, text: str) -> None:
    found = Finding(write.object, write.key, "write", target, "attention", text)
    save_findings(connection, [found])


def link_after(run: Run, outcome: Outcome, codec: RowCodec) -> Link:
    """The link that a successful write leaves.

    Its fingerprint is that of the row as answered, and none where the answer does not show it:
    then the first reading gives it. What the destination made of our values is kept beside them.
    """
    write, answer = outcome.write, outcome.answer
    extra = {name: value for name, value in write.extra.items() if name not in ("seen", "status")}
    extra |= outcome.extra
    if answer.status == FOUND and write.action == "create":
        extra["status"] = FOUND

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
        "matched" if outcome.existing else write.origin,
        run.id,
        run.clock.now(),
        extra,
        stored,
        held,
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
        if is_empty(sent) or as_file(sent) or not codec.shows(row, target):
            continue

        stored.pop(target, None)
        before = held.pop(target, {})
        live = codec.get(row, target)
        if codec.equal(target, sent, live):
            continue
        stored[target] = live
        if is_empty(live):
            tries = before.get("tries", 0) + 1 if before.get("why") == "lost" else 1
            held[target] = {"why": "lost", "tries": tries}


def give_up(run: Run, connection: sa.Connection, write: Write, reason: str) -> None:
    """A write that is not tried any more has failed, with the platform's last words."""
    mark(connection, write.entry, "failed", reason, run.clock.now())
    clear_findings(connection, "write", write.object, [write.key])
    _find(connection, write, "", f"failed: {reason}")
