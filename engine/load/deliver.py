"""Writes through the journal: intent first, then the call, then the outcome, until none is unknown.

Everything that writes to the destination goes through `deliver`: records, definitions of custom
fields, options, deletions, and what a rollback takes back.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import (
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from itertools import chain, groupby
from queue import Empty
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.client import Written
from engine.connector.messages import ABOUT
from engine.connector.model import Connector
from engine.destination.rows import RowCodec, codec_now
from engine.errors import (
    Accepted,
    AuthError,
    ClientBlocked,
    EtlError,
    NotFound,
    OutcomeUnknown,
    QuotaExhausted,
    RequestRejected,
    Unavailable,
    VersionConflict,
)
from engine.load.files import drop_file, fetch_file
from engine.load.outcomes import close, each_its_own, record_all
from engine.load.reconcile import Reconciled, reconcile
from engine.load.workers import Ended, Workers, workers
from engine.load.writes import Answer, Outcome, Write
from engine.session import Run
from engine.store.journal import Entry, intend
from engine.values import batches

# writes whose intents, and whose outcomes, are committed together: one wait for the disk for all.
# More, up to MOST, where as many end within TOGETHER
GROUP = 40
MOST = 160
# seconds that an outcome may wait for others, so that they are recorded together
TOGETHER = 0.1
# ... of which so long is waited at a time: to be woken for each call takes longer than the call
BREATH = 0.01
# writes in doubt after which nothing more is sent before they are reconciled
DOUBTS = 2 * GROUP
TRIES = 8  # times a write is sent whose outcome stays unknown
# ... while others take effect and none of them is answered so: it is the record
TRIES_ALONE = 3
# what is said of a write that is not tried any more
LATER = "; it was not found yet, and is looked for by the next run"
ABSENT = "; it is not in the destination"
GROWTH = 4  # the pause between two of them grows to so many times the first


def deliver(
    run: Run, writes: Iterable[Write], in_order: bool = False
) -> Generator[Outcome, None, None]:
    """Make the writes, as many at a time as the connector allows; each outcome as it is known.

    What is unknown is reconciled, and what turns out not to have taken effect is sent again, at
    most so many times, with growing pauses: no outcome is `unknown`. A `stale` one was not made, as
    its row has changed since it was planned. With `in_order`, one at a time, none after one in
    doubt. Raises what makes going on pointless (a spent day, a refused key) once everything in
    flight has its outcome in the journal.
    """
    delivery = _Delivery(run)
    connector = run.destination.connector
    waiting = _alone(writes) if in_order else _calls(connector, writes)
    patience = _Patience(delivery)
    limit = 1 if in_order else DOUBTS
    while True:
        doubtful: list[Outcome] = []
        yield from delivery.send(waiting, in_order, limit, doubtful)
        if not doubtful:
            return

        retries: list[Write] = []
        for outcome in _reconciled(delivery, doubtful):
            if outcome.state == "unknown":
                outcome = patience.judge(outcome)
            if outcome.state == "unknown":
                retries.append(structs.replace(outcome.write, entry=0))
            else:
                yield outcome

        longest = max(map(patience.tried, retries), default=0)
        _pause(run, longest)
        # together at first, then alone: so the platform says of which of them it will not hear
        again = _alone(retries) if longest > 1 else _calls(connector, retries)
        waiting = chain(again, waiting)


class _Patience(msgspec.Struct):
    """How often writes were tried whose outcome stays unknown, and when they are given up."""

    delivery: _Delivery
    tries: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    # what was answered, and to which writes
    words: dict[str, set[tuple[str, str]]] = {}

    def tried(self, write: Write) -> int:
        """How often a write was tried."""
        return self.tries[write.object, write.key]

    def judge(self, outcome: Outcome) -> Outcome:
        """The outcome as it is, to be tried once more, or the failure of a write that is not."""
        write = outcome.write
        record = write.object, write.key
        self.tries[record] += 1
        same = self.words.setdefault(outcome.reason, set())
        same.add(record)
        if outcome.accepted:
            return self.delivery.close(outcome, "doubt", LATER)

        alone = self.delivery.made > 0 and len(same) == 1
        tried = self.tries[record]
        if outcome.claimed or tried >= (TRIES_ALONE if alone else TRIES):
            times = f" ({tried} times)" if tried > 1 else ""
            return self.delivery.close(outcome, "failed", times + ABSENT)
        return outcome


def _reconciled(
    delivery: _Delivery, doubtful: Sequence[Outcome]
) -> Iterator[Outcome]:
    """The writes in doubt as a look has shown them: done, failed, or unknown and to be retried."""
    found: Reconciled = reconcile(delivery.run)
    delivery.codecs.clear()  # definitions may have been made since
    for outcome in doubtful:
        entry = outcome.write.entry
        row = found.committed.get(entry)
        if entry in found.held and not outcome.accepted:  # as it is recorded
            reason = found.held[entry]
            yield structs.replace(outcome, state="failed", reason=reason)
        elif row is None:
            yield outcome
        else:
            resource = delivery.codec(outcome.write.resource).resource
            row_id = resource.id_of(row) or outcome.write.dest_id
            yield structs.replace(
                outcome,
                state="done",
                dest_id=row_id,
                answer=Answer(row, shown=True),
            )


def _pause(run: Run, tried: int) -> None:
    """Give a platform in trouble time: longer after each round."""
    first = run.destination.connector.connection.reconcile_after
    if tried > 1:
        run.clock.sleep(first * min(2 ** (tried - 2), GROWTH))


Call = list[Write]  # the writes of one call
CallWorkers = Workers[Call, list[Outcome]]


class _Delivery(msgspec.Struct):
    """Calls under way, and what became of those that ended."""

    run: Run
    under_way: int = 0  # writes that were sent, or are to be
    # calls that have ended and are not recorded yet
    ended: list[Ended[Call, list[Outcome]]] = []
    # nothing more goes out
    halt: threading.Event = msgspec.field(default_factory=threading.Event)
    fatal: BaseException | None = None
    codecs: dict[str, RowCodec] = {}
    made: int = 0  # writes that took effect
    group: int = GROUP
    recalled: dict[str, str | None] = {}

    def codec(self, resource: str) -> RowCodec:
        """The codec of a resource, with the definitions known when it was first asked for."""
        if resource not in self.codecs:
            self.codecs[resource] = codec_now(self.run, resource)
        return self.codecs[resource]

    def close(self, outcome: Outcome, state: str, more: str) -> Outcome:
        """The failure of a write that is not tried any more, with what is added to its reason."""
        reason = outcome.reason + more
        with self.run.store.begin() as connection:
            close(self.run, connection, outcome.write, state, reason)
        return structs.replace(outcome, state="failed", reason=reason)

    def send(
        self,
        waiting: Iterator[Call],
        in_order: bool,
        limit: int,
        doubtful: list[Outcome],
    ) -> Iterator[Outcome]:
        """Send calls until they end or too many writes are in doubt, which are put into
        `doubtful`.
        """
        connector = self.run.destination.connector
        room = 1 if in_order else connector.connection.concurrency
        with workers(partial(_perform, self.run, self.halt), room) as calls:
            try:
                for group in self.groups(waiting, in_order):
                    for call in _book(self.run, group):
                        calls.todo.put(call)
                        self.under_way += len(call)
                    # two groups keep the workers busy while the next is decided
                    down_to = 0 if in_order else room + 2 * self.group
                    yield from _known(self.land(calls, down_to), doubtful)
                    if self.halt.is_set() or len(doubtful) >= limit:
                        break
                rest = self.land(calls, 0)
            except BaseException:
                # an interrupt may come while the last ones land, too
                self.halt.set()
                self.land(calls, 0)
                raise
        yield from _known(rest, doubtful)
        if self.fatal is not None:
            raise self.fatal

    def groups(
        self, waiting: Iterator[Call], in_order: bool
    ) -> Iterator[list[Call]]:
        """Calls whose intents are committed together."""
        group: list[Call] = []
        for call in waiting:
            group.append(call)
            if in_order or sum(map(len, group)) >= self.group:
                yield group
                group = []
        if group:
            yield group

    def land(self, calls: CallWorkers, down_to: int) -> list[Outcome]:
        """Record what has ended, and wait until no more than so many writes are left."""
        found: list[Outcome] = []
        while self.under_way:
            most = 0 if self.halt.is_set() else down_to
            self.gather(calls, most)
            if len(self.ended) < self.group:
                self.group = max(GROUP, self.group // 2)
            else:
                self.group = min(MOST, self.group * 2)
            found += self.note()
            if self.under_way <= most:
                break
        return found

    def gather(self, calls: CallWorkers, down_to: int) -> None:
        """Take calls that have ended: where some are waited for, as many as can be recorded
        together.

        They are kept until they are recorded, for an interrupt may come at any moment.
        """
        until = 0.0
        left = self.under_way - sum(len(call.work) for call in self.ended)
        while len(self.ended) < self.group:
            is_idle = not self.ended and len(calls.threads) == calls.room
            try:
                calls.take(self.ended, is_idle and left > down_to)
            except Empty:
                over = self.ended and time.monotonic() > until
                if over or left <= down_to:
                    break
                calls.wait(BREATH)
            else:
                left -= len(self.ended[-1].work)
                until = until or time.monotonic() + TOGETHER

    def believed(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Outcomes of one call, creations each with its own row of the answer."""
        if len(outcomes) < 2 or outcomes[0].write.action != "create":
            return outcomes
        codec = self.codec(outcomes[0].write.resource)
        if codec.resource.operations["create"].keeps_order:
            return outcomes
        return each_its_own(outcomes, codec)

    def note(self) -> list[Outcome]:
        """Outcomes of what was taken into the journal, in one transaction.

        What ended in an internal error stays an intent: it is reconciled before the next write.
        """
        ended = self.ended
        if not ended:
            return []
        for call in ended:
            self.fatal = self.fatal or call.error

        coded = [
            (outcome, self.codec(outcome.write.resource))
            for call in ended
            for outcome in self.believed(call.result or ())
        ]
        try:
            with self.run.store.begin() as connection:
                judged = record_all(self.run, connection, coded, self.recalled)
        except BaseException:  # what was learned is not stored either
            self.recalled.clear()
            raise
        self.under_way -= sum(len(call.work) for call in ended)
        self.ended = []

        for outcome in judged:
            self.fatal = self.fatal or outcome.fatal
            self.made += outcome.state == "done"
            if outcome.state != "unknown":
                drop_file(self.run, outcome.write)
        return judged


def _known(
    outcomes: Iterable[Outcome], doubtful: list[Outcome]
) -> Iterator[Outcome]:
    for outcome in outcomes:
        if outcome.state == "unknown":
            doubtful.append(outcome)
        else:
            yield outcome


# -- calls


def _calls(connector: Connector, writes: Iterable[Write]) -> Iterator[Call]:
    """Writes of one call, in their order: one, or as many as the operation takes, where that
    is cheaper.
    """
    for (name, action, *_), same in groupby(
        writes, lambda write: _address(connector, write)
    ):
        operation = connector.resources[name].operations[action]
        for part in batches(same, operation.rows):
            together = operation.for_rows(len(part)).bulk
            yield from [part] if together else _alone(part)


def _alone(writes: Iterable[Write]) -> Iterator[Call]:
    return ([write] for write in writes)


def _address(connector: Connector, write: Write) -> tuple[Any, ...]:
    """What writes have in common that can travel in one call: the parent, too, that it names."""
    resource = connector.resources[write.resource]
    operation = resource.operations[write.action]
    call = operation.several or operation
    held: dict[str, Any] = {**resource.parts_of(write.dest_id)}
    if call.bulk and isinstance(write.body, dict):
        held |= write.body
    above = [str(held.get(name)) for name in call.places]
    return write.resource, write.action, *above


def _book(run: Run, group: Sequence[Call]) -> list[Call]:
    """Commit the intents; only then may a call go out."""
    now = run.destination.now()
    entries = [_as_entry(run, write, now) for call in group for write in call]
    with run.store.begin(durable=True) as connection:
        ids = iter(intend(connection, entries))
    return [
        [structs.replace(write, entry=next(ids), at=now) for write in call]
        for call in group
    ]


def _as_entry(run: Run, write: Write, now: float) -> Entry:
    return Entry(
        run.id,
        write.object,
        write.key,
        write.resource,
        write.action,
        write.body if isinstance(write.body, dict) else {"": write.body},
        dict(write.draft),
        dict(write.before),
        write.dest_id,
        at=now,
    )


def _perform(run: Run, halt: threading.Event, writes: Call) -> list[Outcome]:
    """One call; every expected failure becomes an outcome."""
    if halt.is_set():
        reason = "not sent: the run stopped before"
        return [Outcome(write, "not sent", reason=reason) for write in writes]
    first, more = writes[0], len(writes) - 1
    ABOUT.set((first.object, f"{first.key} +{more}" if more else first.key))
    try:
        found = [_single(run, first)] if not more else _several(run, writes)
    except BaseException:
        halt.set()
        raise
    if any(outcome.fatal for outcome in found):
        halt.set()
    return found


def _several(run: Run, writes: Sequence[Write]) -> list[Outcome]:
    """Writes in one call; the call is counted with the first of them."""
    rows = [(write.body, write.dest_id) for write in writes]
    answers = run.destination.write_many(
        writes[0].resource, writes[0].action, rows
    )
    found = []
    for position, (write, answer) in enumerate(
        zip(writes, answers, strict=True)
    ):
        if isinstance(answer, EtlError):
            outcome = _failed(write, answer)
        elif write.dest_id and answer.id != write.dest_id:
            reason = f"the answer names row {answer.id} in its place"
            outcome = Outcome(write, "unknown", reason=reason)
        else:
            outcome = _done(write, answer)
        found.append(
            structs.replace(
                outcome,
                called=not position and outcome.called,
                rows=len(writes),
            )
        )
    return found


def _single(run: Run, write: Write) -> Outcome:
    called = False
    try:
        body, path, extra = fetch_file(run, write)
        called = True
        answer = run.destination.write(
            write.resource, write.action, body, write.dest_id, path
        )
    except EtlError as error:
        found = _looked_for(run, _failed(write, error))
        return structs.replace(found, called=called)
    return _to_its_row(run, _done(write, answer, extra))


def _looked_for(run: Run, outcome: Outcome) -> Outcome:
    """A deletion of what is said to be gone has failed where the row can still be read: then the
    platform may not have such a call.
    """
    write = outcome.write
    resource = run.resource(write.resource)
    if outcome.state != "done" or "read" not in resource.operations:
        return outcome
    try:
        state, row = run.destination.look(write.resource, write.dest_id)
    except EtlError as error:
        return _failed(write, error)
    if state != "there" or row.get(resource.deleted):
        return outcome
    reason = "the answer to the deletion is that the row is gone, and it is still there"
    return structs.replace(outcome, state="failed", dest_id="", reason=reason)


def _to_its_row(run: Run, outcome: Outcome) -> Outcome:
    """A write to a row that is there keeps that row's id, but for what it sent of it itself; an
    answer that names another row shows none.
    """
    write, resource = outcome.write, run.resource(outcome.write.resource)
    body = write.body if isinstance(write.body, dict) else {}
    moved = resource.id_of(resource.parts_of(write.dest_id) | body)
    known = ("", write.dest_id, moved)
    if write.action == "create" or outcome.dest_id in known:
        return outcome
    return structs.replace(
        outcome,
        dest_id=write.dest_id,
        answer=structs.replace(outcome.answer, row={}, shown=False),
        reason=f"the answer names row {outcome.dest_id} in its place: was that one changed?",
    )


def _done(
    write: Write, found: Written, extra: Mapping[str, Any] | None = None
) -> Outcome:
    answer = Answer(
        found.data, found.status, found.date, found.shown, found.repeated
    )
    return Outcome(write, "done", found.id, answer, extra=extra or {})


def _failed(write: Write, error: EtlError) -> Outcome:
    """What a failure means for a write. Raises it where it means an internal error."""
    reason = str(error)
    match error:
        case NotFound() if write.action == "delete":
            return Outcome(
                write, "done", write.dest_id, reason="it was gone already"
            )
        case VersionConflict():
            return Outcome(write, "stale", reason=reason)
        case RequestRejected():
            return Outcome(write, "failed", reason=reason, refused=True)
        case Accepted():
            return Outcome(write, "unknown", reason=reason, accepted=True)
        case OutcomeUnknown():
            return Outcome(write, "unknown", reason=reason)
        case QuotaExhausted() | AuthError() | ClientBlocked() | Unavailable():
            return Outcome(write, "not sent", reason=reason, fatal=error)
    raise error
