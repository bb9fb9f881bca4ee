"""What an outcome leaves behind: the journal's entry, the link, and what people must know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from engine.destination.equality import is_same
from engine.destination.match import (
    Wanted,
    all_sent,
    begins_with,
    fields_of,
    kind_of,
    told_apart,
)
from engine.destination.rows import Row, RowCodec
from engine.load.identity import (
    FOUND,
    age_beyond_call,
    judge_creation,
    learn,
    older_rows,
)
from engine.load.writes import RESTORED, Outcome, Write
from engine.plan.doubt import ONCE_MORE, UNTOLD
from engine.session import Run
from engine.store.journal import Settled, mark, mark_creation
from engine.store.ledger import Ledger
from engine.store.links import (
    MERGED,
    Finding,
    Link,
    clear_findings,
    drop_link,
    save_findings,
)
from engine.values import as_file, digest, grouped, is_empty, without

EXISTING = (
    "the destination answered with a row that was there before: it is used, its values"
    " may have been written over, and a rollback keeps it"
)
# how the reason of a write begins that stays in doubt for this run
ACCEPTED = "accepted"
IDENTITY = "identity"  # the stage of findings about whose row a record has
NOT_KEPT = {
    "lost": "the destination did not keep the value: it holds nothing",
    "altered": "the destination made something else of the value",
}
UNSHOWN = "unshown"  # the answer to the creation did not show the row
MARKS = ("status", "age")  # what may yet show that a row was there before


def record_all(
    run: Run,
    connection: sa.Connection,
    outcomes: Sequence[tuple[Outcome, RowCodec]],
    recalled: dict[str, str | None],
) -> list[Outcome]:
    """Record outcomes with all that follows from them in one transaction; as judged.

    `recalled` holds what was learned of the platform, from one transaction to the next.
    """
    ledger = Ledger(connection, recalled)
    rows = grouped(
        (outcome.write.resource, outcome.dest_id)
        for outcome, _ in outcomes
        if outcome.state == "done" and outcome.write.action == "create"
    )
    for resource, ids in rows.items():
        ledger.look_at(resource, ids)

    judged = [
        _record(run, ledger, outcome, codec) for outcome, codec in outcomes
    ]
    ledger.write()
    return judged


def _record(
    run: Run, ledger: Ledger, outcome: Outcome, codec: RowCodec
) -> Outcome:
    write = outcome.write
    if outcome.reason:
        outcome = structs.replace(outcome, reason=codec.named(outcome.reason))
    if outcome.state == "done" and write.action == "create":
        outcome = _looked_at(outcome, codec)
        outcome = judge_creation(run, ledger, outcome, codec)

    ledger.settle(_settled(run, outcome, codec))
    if outcome.state in ("done", "failed"):
        ledger.clear_findings("write", write.object, write.key)

    if outcome.state == "failed":
        ledger.save_finding(_failure(run, write, outcome.reason))
    elif outcome.state == "done":
        _leave(run, ledger, outcome, codec)
    return outcome


def each_its_own(outcomes: Sequence[Outcome], codec: RowCodec) -> list[Outcome]:
    """Creations of one call, each with the outcome whose row shows it, for nobody promises their
    order.

    What no row shows takes what is left, where that is one for all; else it is in doubt.
    """
    made = {id(one.answer.row): one for one in outcomes if one.state == "done"}
    sent = [
        all_sent(str(at), one.write.body, one.write.draft, codec)
        for at, one in enumerate(outcomes)
    ]
    rows = [one.answer.row for one in made.values()]
    found = told_apart(codec, sent, rows, _shown_by_all(codec, sent, rows))
    shown = {key: made.pop(id(row)) for key, row in found.items()}

    left = [*made.values(), *(one for one in outcomes if one.state != "done")]
    rest = [one for one in sent if one.key not in found]
    if not _are_one(rest, left):
        left = [_in_doubt(left)] * len(rest)
    for one, outcome in zip(rest, left, strict=True):
        shown[one.key] = outcome
    return [
        structs.replace(shown[str(at)], write=one.write, called=one.called)
        for at, one in enumerate(outcomes)
    ]


def _shown_by_all(
    codec: RowCodec, sent: Sequence[Wanted], rows: Sequence[Row]
) -> tuple[str, ...]:
    """The fields that were sent and in which the rows of an answer may differ."""
    return tuple(
        name
        for name in fields_of(sent)
        if all(codec.shows(row, name) for row in rows)
    )


def _in_doubt(left: Sequence[Outcome]) -> Outcome:
    """What is known of a write that one of these is the outcome of."""
    rows = [one.dest_id for one in left if one.state == "done"]
    reason = left[0].reason
    if rows:
        reason = (
            f"{UNTOLD} ({rows[0]} … {rows[-1]}): find it there and correct it by hand, or remove"
            f" it: then {ONCE_MORE}"
        )
    return Outcome(left[0].write, "unknown", reason=reason, rows=left[0].rows)


def _are_one(rest: Sequence[Wanted], left: Sequence[Outcome]) -> bool:
    """Whether it is one who of these gets which outcome."""
    sent = {digest(one.values) for one in rest}
    said = {one.dest_id or one.reason for one in left}
    return len(sent) <= 1 or len(said) == 1


def _looked_at(outcome: Outcome, codec: RowCodec) -> Outcome:
    """The outcome with a look at whether its row shows what was sent, to the last letter: then,
    as nearly always, nothing else need be asked about it.
    """
    write, answer = outcome.write, outcome.answer
    as_sent = answer.shown and codec.holds(answer.row, write.body, write.draft)
    return structs.replace(
        outcome, answer=structs.replace(answer, as_sent=as_sent)
    )


def _settled(run: Run, outcome: Outcome, codec: RowCodec) -> Settled:
    operation = codec.resource.operations[outcome.write.action]
    cost = operation.for_rows(outcome.rows).cost
    called = outcome.called and outcome.state != "not sent"
    return Settled(
        outcome.write.entry,
        _state(outcome),
        run.clock.now(),
        outcome.dest_id,
        outcome.reason,
        1 if called else 0,
        cost if called else 0,
    )


def _state(outcome: Outcome) -> str:
    """The journal's word for an outcome."""
    if outcome.existing:
        return "adopted"
    return {"unknown": "doubt", "not sent": "void", "stale": "void"}.get(
        outcome.state, outcome.state
    )


def _leave(run: Run, ledger: Ledger, outcome: Outcome, codec: RowCodec) -> None:
    """The link that a successful write leaves, or takes away."""
    write = outcome.write
    if write.action == "delete":
        drop_link(ledger.connection, write.object, write.key, write.dest_id)
        ledger.clear_findings(MERGED, write.object, write.key)
    elif write.action in ("create", "update") and write.origin != RESTORED:
        link = link_after(run, outcome, codec)
        ledger.save_link(link)
        for found in held_findings(link):
            ledger.save_finding(found)
        if outcome.reason and write.action == "update":
            ledger.save_finding(_told(write, outcome.reason))
    if outcome.existing:
        _report_existing(ledger, write.object, write.key)
    if write.action == "create":
        _demote(ledger, learn(run, ledger, outcome, codec))


def report_held(connection: sa.Connection, link: Link) -> None:
    """Values that the destination dropped are reported as long as they are lost."""
    save_findings(connection, held_findings(link))


def held_findings(link: Link) -> list[Finding]:
    """What is to be said of values that the destination dropped or altered."""
    return [
        Finding(
            link.object,
            link.key,
            "write",
            target,
            "attention",
            NOT_KEPT[held["why"]],
        )
        for target, held in link.held.items()
        if held.get("why") in NOT_KEPT
    ]


def _report_existing(ledger: Ledger, name: str, key: str) -> None:
    """A creation found a row: reported as long as the row stands for the record."""
    ledger.clear_findings(IDENTITY, name, key)
    ledger.save_finding(Finding(name, key, IDENTITY, "", "attention", EXISTING))


def demote(connection: sa.Connection, links: Sequence[Link]) -> None:
    """Rows that turn out to have been there before are people's: no rollback removes them."""
    ledger = Ledger(connection)
    _demote(ledger, links)
    ledger.write()


def _demote(ledger: Ledger, links: Sequence[Link]) -> None:
    for link in links:
        extra = without(link.extra, (*MARKS, "seen", "lost"))
        people = structs.replace(
            link,
            origin="matched",
            digest="",
            written={},
            extra=extra,
            stored={},
            held={},
        )
        ledger.save_link(people)
        place = (link.object, link.key, link.dest_id)
        mark_creation(ledger.connection, *place, "done", "adopted")
        _report_existing(ledger, link.object, link.key)


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


def _failure(run: Run, write: Write, reason: str) -> Finding:
    run.failed(write.object, write.key)
    return _told(write, f"failed: {reason}")


def _told(write: Write, text: str) -> Finding:
    return Finding(write.object, write.key, "write", "", "attention", text)


def link_after(run: Run, outcome: Outcome, codec: RowCodec) -> Link:
    """The link that a successful write leaves.

    Its fingerprint is that of the row as answered, and none where the answer does not show it:
    then the first reading gives it. What the destination made of our values is kept beside them.
    """
    if outcome.existing:
        return _link_to_existing(run, outcome)
    write, answer = outcome.write, outcome.answer
    extra = without(write.extra, ("seen", "lost", UNSHOWN, *MARKS))
    extra |= outcome.extra
    if write.action == "create":
        extra |= _doubts_of(run, outcome, codec)
        extra |= {} if answer.shown else {UNSHOWN: True}

    stored, held = dict(write.stored), dict(write.held)
    if answer.shown:
        extra["seen"] = codec.fingerprint(answer.row)
    if stored or held or not answer.as_sent:
        note_stored(codec, write.body, answer.row, write.draft, stored, held)
    if write.action == "update":
        _note_emptied(codec, write, answer.row, stored, held)
    is_made = write.action == "create" and answer.shown
    if is_made and is_anothers(codec, write.body, answer.row, held):
        extra["touched"] = True
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


def _link_to_existing(run: Run, outcome: Outcome) -> Link:
    """The link to a row that was there: nothing of what it holds is ours, and a plan is to see."""
    write = outcome.write
    now = run.destination.now()
    return Link(
        write.object,
        write.key,
        write.resource,
        outcome.dest_id,
        "",
        {},
        "matched",
        run.id,
        now,
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
        if is_same(sent, codec.get(row, target)):  # as nearly always
            held.pop(target, None)
            stored.pop(target, None)
            continue

        before = held.pop(target, {})
        tries = before.get("tries", 0) + 1 if before.get("why") == "lost" else 1
        if not codec.shows(row, target):
            if tries > 1:
                held[target] = {"why": "lost", "tries": tries}
            continue

        note_live(
            codec, target, sent, codec.get(row, target), stored, held, tries
        )


def _note_emptied(
    codec: RowCodec,
    write: Write,
    row: Row,
    stored: dict[str, Any],
    held: dict[str, Any],
) -> None:
    """What a row still holds in fields that were emptied; no and nought are as good as nothing."""
    for target in write.before.keys() - write.draft.keys():
        held.pop(target, None)
        live = codec.get(row, target)
        if live and codec.shows(row, target):
            note_live(codec, target, None, live, stored, held)


def is_anothers(
    codec: RowCodec,
    body: Mapping[str, Any],
    row: Mapping[str, Any],
    held: Mapping[str, Any],
) -> bool:
    """Whether a row that a creation was answered with may be people's: what tells it apart, or what
    it is called, is another text than was sent, and no part of it.
    """
    resource = codec.resource
    texts = [
        target
        for target in (*resource.recognise, *resource.called)
        if kind_of(codec, target).kind == "text"
    ]
    return any(
        held.get(target, {}).get("why") == "altered"
        and not begins_with(codec.get(body, target), codec.get(row, target))
        for target in texts
    )


def note_live(  # noqa: PLR0913
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


def close(
    run: Run, connection: sa.Connection, write: Write, state: str, reason: str
) -> None:
    """A write that is not tried any more: it has failed, with the platform's last words, or it was
    accepted and no list shows its row yet, and then it must not be made twice.
    """
    said = f"{ACCEPTED}: {reason}" if state == "doubt" else reason
    mark(connection, write.entry, state, said, run.clock.now())
    clear_findings(connection, "write", write.object, [write.key])
    save_findings(connection, [_failure(run, write, reason)])
