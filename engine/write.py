"""Writes through the journal: intent first, then the call, then the outcome; many in flight."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from engine.connector.model import Resource, Verb
from engine.errors import AuthError, Blocked, EtlError, NotFound, OutcomeUnknown, Paused, Rejected, Unavailable
from engine.run import Run
from engine.store.journal import Entry, intend, settle
from engine.store.links import Finding, Link, clear_findings, drop_link, save_findings, save_link
from engine.values import as_file, digest, is_empty

RESTORED = "restored"  # origin of an update that puts people's values back
GROUP = 40  # intents committed together: one wait for the disk for all of them


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


def write_all(run: Run, writes: Iterable[Write], on_outcome: Callable[[Outcome], None] | None = None) -> dict[str, int]:
    """Make the writes, as many at a time as the connector allows; how many ended in which state.

    Raises what makes going on pointless (a spent day, a refused key) once everything in flight
    has its outcome in the journal.
    """
    tally = {"done": 0, "failed": 0, "doubt": 0, "void": 0}
    fatal: EtlError | None = None
    room = run.destination.connector.connection.concurrency
    pending: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(max_workers=room) as pool:
        for group in _groups(iter(writes)):
            booked = _book(run, group)
            for position, write in enumerate(booked):
                while len(pending) >= room and fatal is None:
                    pending, fatal = _drain(run, pending, tally, on_outcome)
                if fatal is not None:
                    _void(run, booked[position:], tally)
                    break
                pending.add(pool.submit(_perform, run, write))
            if fatal is not None:
                break
        while pending:
            pending, found = _drain(run, pending, tally, on_outcome)
            fatal = fatal or found
    if fatal is not None:
        raise fatal
    return tally


def _groups(writes: Iterator[Write]) -> Iterator[list[Write]]:
    while group := list(islice(writes, GROUP)):
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


def _void(run: Run, writes: list[Write], tally: dict[str, int]) -> None:
    """Intents whose call was never made."""
    with run.store.begin() as connection:
        for write in writes:
            settle(connection, write.entry, "void", run.clock.now(), reason="not sent: the run stopped before")
    tally["void"] += len(writes)


def _drain(
    run: Run, pending: set[Future[Outcome]], tally: dict[str, int], on_outcome: Callable[[Outcome], None] | None
) -> tuple[set[Future[Outcome]], EtlError | None]:
    """Wait for at least one outcome and record all that are there."""
    done, rest = wait(pending, return_when=FIRST_COMPLETED)
    outcomes = [future.result() for future in done]
    with run.store.begin() as connection:
        for outcome in outcomes:
            record(run, connection, outcome)
    for outcome in outcomes:
        tally[outcome.state] += 1
        if on_outcome:
            on_outcome(outcome)
    return rest, next((outcome.fatal for outcome in outcomes if outcome.fatal), None)


def _perform(run: Run, write: Write) -> Outcome:
    """One call; every expected failure becomes an outcome."""
    try:
        body, path, extra = _with_file(run, write)
        dest_id, data = run.destination.write(write.resource, write.action, body, write.dest_id, path)
        if path is not None:
            path.unlink(missing_ok=True)
        return Outcome(write, "done", dest_id, data, extra=extra)
    except NotFound as error:
        if write.action == "delete":
            return Outcome(write, "done", write.dest_id, reason="it was gone already")
        return Outcome(write, "failed", reason=str(error))
    except Rejected as error:
        return Outcome(write, "failed", reason=str(error))
    except OutcomeUnknown as error:
        return Outcome(write, "doubt", reason=str(error))
    except (Paused, AuthError, Blocked, Unavailable) as error:
        return Outcome(write, "void", reason=str(error), fatal=error)


def _with_file(run: Run, write: Write) -> tuple[Any, Any, dict[str, Any]]:
    """Fetch the file a body asks for; the body with its name, the file, and its size and checksum."""
    if not isinstance(write.body, dict):
        return write.body, None, {}
    for target, value in write.body.items():
        wanted = as_file(value)
        if wanted:
            path = run.files / hashlib.sha256(f"{write.object}{write.key}{wanted['url']}".encode()).hexdigest()[:32]
            size, checksum, kind = run.source.download(wanted["url"], path)
            body = write.body | {target: {"name": wanted["name"], "type": kind}}
            return body, path, {"size": size, "sha256": checksum, "type": kind}
    return write.body, None, {}


def record(run: Run, connection: Any, outcome: Outcome) -> None:
    """An outcome, the link that follows from it and what people must know, in one transaction."""
    write, now = outcome.write, run.clock.now()
    operation = run.destination.connector.resources[write.resource].operations[write.action]
    called = outcome.state != "void"
    settle(
        connection, write.entry, outcome.state, now, dest_id=outcome.dest_id, reason=outcome.reason,
        calls=1 if called else 0, cost=operation.cost if called else 0,
    )  # fmt: skip
    if outcome.state == "done" and write.origin == RESTORED:
        drop_link(connection, write.object, write.key)
    elif outcome.state == "done" and write.action in ("create", "update"):
        save_link(connection, as_link_row(run, write, outcome, now))
        clear_findings(connection, "write", write.object, [write.key])
    elif outcome.state == "done" and write.action == "delete":
        drop_link(connection, write.object, write.key)
    elif outcome.state == "failed":
        clear_findings(connection, "write", write.object, [write.key])
        save_findings(connection, [Finding(write.object, write.key, "write", "", "attention", f"failed: {outcome.reason}")])


def as_link_row(run: Run, write: Write, outcome: Outcome, now: float) -> Link:
    """The link that a successful write leaves."""
    resource = run.destination.connector.resources[write.resource]
    seen = {"seen": fingerprint(outcome.data, resource)} if outcome.data else {}
    return Link(
        write.object, write.key, write.resource, outcome.dest_id, digest(write.draft), dict(write.draft),
        write.origin, run.id, now, {**write.extra, **outcome.extra, **seen},
    )  # fmt: skip


def fingerprint(row: Mapping[str, Any], resource: Resource) -> str:
    """A digest of everything people can change in a row; tells later whether they did."""
    held = {name: row[name] for name, kind in resource.fields.items() if kind.writable and not is_empty(row.get(name))}
    if resource.custom:
        held["custom"] = {key: value for key, value in (row.get(resource.custom.container) or {}).items() if not is_empty(value)}
    return digest(held)
