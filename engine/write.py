"""Writes through the journal: intent first, then the call, then the outcome; many in flight."""

from __future__ import annotations

import hashlib
import math
import mimetypes
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.connector.model import Connector, Resource, Verb
from engine.errors import AuthError, Blocked, EtlError, NotFound, OutcomeUnknown, Outdated, Paused, Rejected, Unavailable
from engine.run import Run
from engine.store.journal import Entry, intend, settle
from engine.store.links import Finding, Link, clear_findings, drop_link, save_findings, save_link
from engine.values import as_file, digest, is_empty

RESTORED = "restored"  # origin of an update that puts people's values back
GROUP = 40  # intents committed together: one wait for the disk for all of them
FETCHES = 3  # times a file is asked for while something else comes
PAGES = ("text/html", "application/json")  # what a service answers with when it has no file to give
AHEAD = 2 * GROUP  # booked writes that keep the workers busy while the next ones are decided


@dataclass(frozen=True, slots=True)
class Write:
    """One write to be made."""

    object: str
    key: str
    resource: str
    action: Verb
    body: Any
    draft: Mapping[str, Any]
    dest_id: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "created"
    extra: Mapping[str, Any] = field(default_factory=dict)
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write."""

    write: Write
    state: str  # done, failed, doubt, void
    dest_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    fatal: EtlError | None = None
    called: bool = True  # False: it failed before the destination was asked
    again: bool = False  # the row was changed since it was looked at: look again


OnOutcome = Callable[[Outcome], None]


@dataclass(slots=True)
class _Flight:
    """Calls under way: what was booked for each, and what became of those that ended."""

    run: Run
    on_outcome: OnOutcome | None
    pending: dict[Future[list[Outcome]], int] = field(default_factory=dict)  # calls and how many writes are in each
    tally: dict[str, int] = field(default_factory=lambda: {"done": 0, "failed": 0, "doubt": 0, "void": 0})
    halt: threading.Event = field(default_factory=threading.Event)  # nothing more goes out
    fatal: BaseException | None = None


def write_all(run: Run, writes: Iterable[Write], on_outcome: OnOutcome | None = None, in_order: bool = False) -> dict[str, int]:
    """Make the writes, as many at a time as the connector allows; how many ended in which state.

    With `in_order` one at a time, and none after one in doubt: the order of the rows means something.
    Raises what makes going on pointless (a spent day, a refused key) once everything in flight
    has its outcome in the journal.
    """
    flight = _Flight(run, on_outcome)
    connector = run.destination.connector
    room = 1 if in_order else connector.connection.concurrency
    size = 1 if in_order else _at_once(connector)
    with ThreadPoolExecutor(max_workers=room) as pool:
        try:
            for group in _groups(iter(writes), size):
                for call in _calls(connector, _book(run, group)):
                    flight.pending[pool.submit(_perform, run, call, flight.halt)] = len(call)
                _land(flight, down_to=0 if in_order else room + AHEAD)
                if flight.halt.is_set() or (in_order and flight.tally["doubt"]):
                    break
        except BaseException:
            flight.halt.set()
            raise
        finally:
            _land(flight, down_to=0)
    if flight.fatal is not None:
        raise flight.fatal
    return flight.tally


def _at_once(connector: Connector) -> int:
    """How many intents are committed together: as many as fill the largest calls."""
    most = max(item.rows for resource in connector.resources.values() for item in resource.operations.values())
    return most * math.ceil(GROUP / most)


def _calls(connector: Connector, group: Sequence[Write]) -> Iterator[list[Write]]:
    """Writes that go into one call, in their order: one, or as many as the operation takes."""
    for (resource, action), same in groupby(group, lambda write: (write.resource, write.action)):
        yield from _groups(same, connector.resources[resource].operations[action].rows)


def _groups(writes: Iterator[Write], size: int) -> Iterator[list[Write]]:
    while group := list(islice(writes, size)):
        yield group


def _book(run: Run, group: list[Write]) -> list[Write]:
    """Commit the intents; only then may a call go out."""
    now = run.clock.now()
    with run.store.begin(durable=True) as connection:
        ids = intend(
            connection,
            [
                Entry(run.id, w.object, w.key, w.resource, w.action, w.body if isinstance(w.body, dict) else {"": w.body},
                      dict(w.draft), dict(w.before), w.dest_id, at=now)
                for w in group
            ],
        )  # fmt: skip
    return [replace(write, entry=entry) for write, entry in zip(group, ids, strict=True)]


def _land(flight: _Flight, down_to: int) -> None:
    """Record what has ended, and wait until no more than so many writes are left."""
    while flight.pending:
        most = 0 if flight.halt.is_set() else down_to
        full = sum(flight.pending.values()) > most
        ended, _ = wait(flight.pending, timeout=None if full else 0, return_when=FIRST_COMPLETED)
        if ended:
            _note(flight, ended)
        if not full:
            return


def _note(flight: _Flight, ended: set[Future[list[Outcome]]]) -> None:
    """Outcomes into the journal, in one transaction; then to who listens.

    What ended in a fault of ours stays an intent: it is settled before the next write.
    """
    for future in ended:
        del flight.pending[future]
        flight.fatal = flight.fatal or future.exception()
    outcomes = [outcome for future in ended if future.exception() is None for outcome in future.result()]
    with flight.run.store.begin() as connection:
        for outcome in outcomes:
            record(flight.run, connection, outcome)
    for outcome in outcomes:
        flight.tally[outcome.state] += 1
        flight.fatal = flight.fatal or outcome.fatal
        if outcome.state != "doubt":
            drop_file(flight.run, outcome.write)
        if flight.on_outcome:
            flight.on_outcome(outcome)


def _perform(run: Run, writes: Sequence[Write], halt: threading.Event) -> list[Outcome]:
    """One call; every expected failure becomes an outcome."""
    if halt.is_set():
        return [Outcome(write, "void", reason="not sent: the run stopped before") for write in writes]
    try:
        found = [_single(run, writes[0])] if len(writes) == 1 else _several(run, writes)
    except BaseException:
        halt.set()
        raise
    if any(outcome.fatal for outcome in found):
        halt.set()
    return found


def _several(run: Run, writes: Sequence[Write]) -> list[Outcome]:
    """Writes in one call; the call is counted with the first of them."""
    rows = [(write.body, write.dest_id) for write in writes]
    done = run.destination.write_many(writes[0].resource, writes[0].action, rows)
    return [
        _failed(write, found, called=not position) if isinstance(found, EtlError)
        else Outcome(write, "done", found.id, found.data, called=not position)
        for position, (write, found) in enumerate(zip(writes, done, strict=True))
    ]  # fmt: skip


def _single(run: Run, write: Write) -> Outcome:
    called = False
    try:
        body, path, extra = _with_file(run, write)
        called = True
        found = run.destination.write(write.resource, write.action, body, write.dest_id, path)
        return Outcome(write, "done", found.id, found.data, extra=extra)
    except EtlError as error:
        return _failed(write, error, called)


def _failed(write: Write, error: EtlError, called: bool) -> Outcome:
    """What a failure means for a write. Raises it where it means a fault of ours."""
    match error:
        case NotFound() if write.action == "delete":
            return Outcome(write, "done", write.dest_id, reason="it was gone already", called=called)
        case Outdated():
            return Outcome(write, "void", reason=str(error), again=True, called=called)
        case Rejected():
            return Outcome(write, "failed", reason=str(error), called=called)
        case OutcomeUnknown():
            return Outcome(write, "doubt", reason=str(error), called=called)
        case Paused() | AuthError() | Blocked() | Unavailable():
            return Outcome(write, "void", reason=str(error), fatal=error)
    raise error


# -- files


def file_of(run: Run, name: str, key: str, body: Any) -> tuple[str, Mapping[str, Any], Path] | None:
    """The field that asks for a file, the file's description and where it lies until its outcome is known."""
    for target, value in body.items() if isinstance(body, dict) else ():
        wanted = as_file(value)
        if wanted:
            mark = hashlib.sha256(f"{name}{key}{wanted['url']}".encode()).hexdigest()[:32]
            return target, wanted, run.files / mark
    return None


def _with_file(run: Run, write: Write) -> tuple[Any, Path | None, dict[str, Any]]:
    """Fetch the file a body asks for; the body with its name, the file, and its size and checksum."""
    found = file_of(run, write.object, write.key, write.body)
    if found is None:
        return write.body, None, {}
    target, wanted, path = found
    for _ in range(FETCHES):
        size, checksum, kind = run.source.download(wanted["url"], path)
        if kind not in PAGES or mimetypes.guess_type(wanted["name"])[0] == kind:
            body = write.body | {target: {"name": wanted["name"], "type": kind}}
            return body, path, {"size": size, "sha256": checksum, "type": kind}
    raise Rejected(f"the link answers with {kind} instead of a file")


def drop_file(run: Run, write: Write) -> None:
    """Remove the copy of a file whose outcome is in the journal."""
    found = file_of(run, write.object, write.key, write.body)
    if found is not None:
        found[2].unlink(missing_ok=True)


# -- what an outcome leaves behind


def record(run: Run, connection: sa.Connection, outcome: Outcome) -> None:
    """An outcome, the link that follows from it and what people must know, in one transaction."""
    write, now = outcome.write, run.clock.now()
    operation = run.destination.connector.resources[write.resource].operations[write.action]
    called = outcome.called and (outcome.state != "void" or outcome.again)
    settle(
        connection, write.entry, outcome.state, now, dest_id=outcome.dest_id, reason=outcome.reason,
        calls=1 if called else 0, cost=operation.cost if called else 0,
    )  # fmt: skip
    if outcome.state in ("done", "failed"):
        clear_findings(connection, "write", write.object, [write.key])
    if outcome.state == "failed":
        save_findings(connection, [Finding(write.object, write.key, "write", "", "attention", f"failed: {outcome.reason}")])
    elif outcome.state == "done" and write.action in ("create", "update") and write.origin != RESTORED:
        save_link(connection, as_link_row(run, write, outcome, now))
    elif outcome.state == "done" and write.action == "delete":
        drop_link(connection, write.object, write.key)


def as_link_row(run: Run, write: Write, outcome: Outcome, now: float) -> Link:
    """The link that a successful write leaves; without a fingerprint where the answer does not show the row."""
    resource = run.destination.connector.resources[write.resource]
    shown = any(name in outcome.data for name in write.body if name not in resource.id.split("+"))
    before = {name: value for name, value in write.extra.items() if name != "seen"}
    seen = {"seen": fingerprint(outcome.data, resource)} if shown else {}
    return Link(
        write.object, write.key, write.resource, outcome.dest_id, digest(write.draft), dict(write.draft),
        write.origin, run.id, now, {**before, **outcome.extra, **seen},
    )  # fmt: skip


def fingerprint(row: Mapping[str, Any], resource: Resource) -> str:
    """A digest of everything people can change in a row; tells later whether they did."""
    held = {name: value for name, value in row.items() if resource.is_theirs(name) and not is_empty(value)}
    if resource.custom:
        held["custom"] = {key: value for key, value in (row.get(resource.custom.container) or {}).items() if not is_empty(value)}
    return digest(held)
