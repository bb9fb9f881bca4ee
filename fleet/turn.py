"""One turn of a migration, in a process of its own: `python -m declared_etl.fleet.turn`.

What to do comes as one line of JSON on stdin; how far it is, and how it ended, goes out as lines
of JSON. When stdin ends, the worker is gone: the turn ends too, after the calls in flight.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from engine.cli.environment import variables
from engine.cli.streams import safe
from engine.errors import (
    AuthError,
    ClientBlocked,
    EtlError,
    QuotaExhausted,
)
from engine.extract.accounts import check_accounts
from engine.language.compile import Migration, load_migration
from engine.library.migration import OpenMigration
from engine.library.opening import Held, held, numbered
from engine.library.reports import folder_of
from engine.library.undone import left, told_of
from engine.plan.cost import Plan
from engine.report.words import counted
from engine.session import Event
from fleet.accounts import accounts_of, occupied_by
from fleet.ending import INTERRUPTED, OCCUPIED
from fleet.spent import today, unit_of
from fleet.waits import BEYOND, ENDS, HOLDS, SILENCE
from workbench.approval import APPROVALS

SELDOM = 1.0  # seconds between two lines about how far it is
TOKENS = 10.0  # seconds between two looks at what is spent
GO, WORD = "go\n", "\n"
Say = Callable[[Mapping[str, Any]], None]
FIGURES = (
    "run",
    "arrived",
    "missing",
    "skipped",
    "failed",
    "lost_in_arrived",
    "created",
    "updated",
    "deleted",
)


def main() -> None:
    """Take the order, carry it out, say how it ended."""
    # who starts a program in the background may have left it ignored: a turn is ended by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    say = _voice()
    order = json.loads(sys.stdin.readline())
    far = Far(say)
    ended = carried_out(order, say, listening(), far)
    held = far.held is not None
    say({"ended": {**ended, "held": held, "today": far.today}})


def _voice() -> Say:
    """What speaks to the worker; whatever else is printed, as by own steps, goes to its log."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(what: Mapping[str, Any]) -> None:
        with suppress(
            OSError
        ):  # the worker is gone: the turn is ended by its other end
            print(json.dumps(what), file=out, flush=True)

    return say


@dataclass(frozen=True, slots=True)
class Heard:
    """What the worker says: that it is there, and answers to what it was asked; "" is its end."""

    words: SimpleQueue[str] = field(default_factory=SimpleQueue)
    answers: SimpleQueue[str] = field(default_factory=SimpleQueue)


def listening() -> Heard:
    """What the worker says from now on."""
    heard = Heard()
    threading.Thread(target=_hear, args=(heard,), daemon=True).start()
    return heard


def _hear(heard: Heard) -> None:
    for word in sys.stdin:
        heard.words.put(word)
        if word != WORD:
            heard.answers.put(word)
    heard.words.put("")
    heard.answers.put("")


def _until_the_worker_ends(heard: Heard) -> None:
    """Its end of the pipe closes however it ends, killed as well; one that is frozen, or has lost
    the database, says nothing any more.
    """
    with suppress(Empty):
        while heard.words.get(timeout=SILENCE):
            pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(ENDS)
    os._exit(INTERRUPTED)


class Occupied(Exception):
    """Another migration is at work on an account, or the worker has gone."""


def _asked(migration: Migration, say: Say, heard: Heard, held: bool) -> None:
    """Say which accounts are needed, and wait for the word; raises Occupied.

    It is asked twice, before the store is opened and once it is `held`: who stood still in between
    was taken for dead perhaps, and its accounts were given to another migration, which nobody can
    do any more who does not hold the store.
    """
    say({"accounts": occupied_by(migration, os.environ), "held": held})
    if heard.answers.get() != GO:
        raise Occupied


def _admitted(migration: Migration, say: Say, heard: Heard) -> None:
    """The first word, from which on the turn lives by its worker's."""
    _asked(migration, say, heard, False)
    watch = threading.Thread(
        target=_until_the_worker_ends, args=(heard,), daemon=True
    )
    watch.start()


def _holds(order: Mapping[str, Any]) -> float:
    """Seconds that the lease holds: longer than a call that nobody waits for any more may take."""
    migration = load_migration(Path(order["spec"]), variables())
    timeout = migration.destination.connection.timeout
    return max(HOLDS, timeout + BEYOND)


def carried_out(
    order: Mapping[str, Any], say: Say, heard: Heard, far: Far
) -> dict[str, Any]:
    """Do what an order says; how it ended, by exit code."""
    try:
        with held(
            Path(order["spec"]),
            "live",
            order["store"],
            progress=far.progress,
            log=far.heard,
            admit=lambda migration: _admitted(migration, say, heard),
            holds=_holds(order),
        ) as found:
            _asked(found.migration, say, heard, True)
            far.held = found
            try:
                return _done(found, order)
            finally:
                far.look()
    except QuotaExhausted as pause:
        return {
            "code": pause.exit_code,
            "reason": safe(str(pause)),
            "until": pause.until,
        }
    except EtlError as error:
        passes = not isinstance(error, AuthError | ClientBlocked)
        return {
            "code": error.exit_code,
            "reason": safe(str(error)),
            "passes": passes,
        }
    except Occupied:
        return {"code": OCCUPIED}
    except KeyboardInterrupt:
        return {"code": INTERRUPTED}
    except Exception as error:
        # what a fault says may hold a value of a record: only the places go to the worker's log
        places = traceback.format_list(
            traceback.extract_tb(error.__traceback__)
        )
        sys.stderr.write("".join(places))
        return {
            "code": 70,
            "reason": f"internal error in etl: {type(error).__name__}",
        }


def _bound(found: Held) -> dict[str, Any]:
    """The store belongs to the present accounts, which have to take their keys."""
    with numbered(found, "audit", rebind=True) as run:
        check_accounts(run, reads=True)
    return {"code": 0}


def _done(found: Held, order: Mapping[str, Any]) -> dict[str, Any]:
    stage, refresh = order["stage"], bool(order.get("refresh"))
    if stage == "rebind":
        return _bound(found)

    migration = OpenMigration(found, APPROVALS)
    if stage == "rollback":
        undone = migration.rollback()
        folder = folder_of(
            found.store, found.migration.spec.name, found.environment
        )
        now = found.clock.now()
        told = told_of(found.migration, found.environment, now)
        files = left(undone, told, folder)
        kept = f"{_kept(len(undone.kept))}, {len(undone.failed)} failed"
        verdict = {
            "run": undone.run,
            "undone": undone.undone,
            "kept": len(undone.kept),
        }
        reason = kept if undone.exit_code else ""
        return {
            "code": undone.exit_code,
            "reason": reason,
            "verdict": verdict,
            "files": files,
        }

    if stage == "plan":
        accounts = accounts_of(found.migration, os.environ)
        plan = {
            **_planned(migration.plan(refresh=refresh), found.migration),
            "accounts": accounts,
        }
        return {"code": 0, "verdict": plan}

    said = {name: bool(order.get(name)) for name in ("yes", "remake_fields")}
    work = {
        "sample": lambda: migration.run(
            migration.sample_size, refresh=refresh, **said
        ),
        "run": lambda: migration.run(refresh=refresh, **said),
        "delta": lambda: migration.delta(**said),
        "verify": migration.verify,
    }
    result = work[stage]()
    figures = {
        **{name: getattr(result, name) for name in FIGURES},
        "attention": result.need_attention,
        "needing": result.attention_digest,
        "troubled": [" ".join(record) for record in result.troubled],
    }
    if stage == "delta":
        # what the last count of all has found of these is counted with the findings
        figures["found"] = sorted(
            {
                f"{item.object} {item.key}"
                for item in result.findings
                if item.severity == "attention"
            }
        )
    files = {kind: str(path) for kind, path in result.files.items()}
    return {"code": result.exit_code, "verdict": figures, "files": files}


def _kept(many: int) -> str:
    were = "was" if many == 1 else "were"
    return f"{counted(many, 'row')} {were} kept"


def _planned(plan: Plan, migration: Migration) -> dict[str, Any]:
    """What a run would cost, limit by limit."""
    sides = (migration.source, migration.destination)
    platforms = {side.title: side for side in sides}
    limits = [
        {
            "account": use.account,
            "limit": use.limit,
            "unit": unit_of(use.unit, platforms[use.account]),
            "seconds": use.seconds,
            "allowance": use.allowance,
            "needed": use.needed,
        }
        for use in plan.limits
    ]
    return {"calls": plan.calls, "seconds": plan.seconds, "limits": limits}


class Far:
    """How far a turn is; a line now and then, and one for each stage and wait."""

    def __init__(self, say: Say) -> None:
        self._tell = say
        self._now: dict[str, Any] = {
            "stage": "",
            "done": 0,
            "total": None,
            "rate": 0.0,
        }
        self._first = (time.monotonic(), 0)  # of this stage
        self._said = 0.0
        self._turn = threading.Lock()
        self._looked = 0.0
        self.held: Held | None = None
        self.today: list[dict[str, Any]] = []

    def look(self) -> None:
        """Look at what is spent of the accounts' days; a store that is away says so itself."""
        self._looked = time.monotonic()
        if self.held is not None:
            with suppress(EtlError):
                self.today = today(self.held)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Hear how far a stage is."""
        with self._turn:
            now = time.monotonic()
            if label != self._now["stage"]:
                self._first = (now, done)
                self._said = 0.0
            seconds = now - self._first[0]
            rate = (done - self._first[1]) / seconds if seconds > 0 else 0.0
            self._now = {
                "stage": label,
                "done": done,
                "total": total,
                "rate": round(rate, 1),
            }
            self._say(now)

    def heard(self, event: Event) -> None:
        """Hear that a wait begins: nothing else is said meanwhile."""
        if event.kind == "wait begins":
            with self._turn:
                self.look()  # it may wait until the day is over
                self._tell(
                    {
                        "now": {
                            **self._now,
                            "today": self.today,
                            "until": round(time.time() + event.seconds, 1),
                            "for": event.text,
                        }
                    }
                )

    def _say(self, now: float) -> None:
        if now - self._looked >= TOKENS:
            self.look()
        if now - self._said >= SELDOM:
            self._said = now
            self._tell({"now": {**self._now, "today": self.today}})


if __name__ == "__main__":
    main()
