"""What the end of a turn means: what comes next, and when. No clock, no queue: only values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from engine.errors import UsageError
from fleet.waits import BUSY, ROOM

State = Literal[
    "idle", "queued", "running", "paused", "retrying", "waiting", "stopped"
]

# seconds before a turn is tried again; after the last one a person is needed
AFTER_REFUSAL = (60.0, 120.0, 300.0, 900.0, 3600.0)  # no answer of a platform
AFTER_STORE = (5.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0)  # held, or not there
AFTER_CRASH = (5.0,)
HEALTHY = 3600.0  # seconds of work, after which failures are counted anew
SOUND = 600.0  # ... of a turn that only made room
LOSSES = 5  # turns in a row, after which one that takes its worker along is begun no more

DONE = (0, 1)
PAUSED = 75
INTERRUPTED = 130
OCCUPIED = 76  # of our own: another migration is at work on one of the accounts
HELD = 5
CRASHED = 70
_PAUSES = {3: AFTER_REFUSAL, HELD: AFTER_STORE}
_FOR_A_PERSON = (2, 4)
_NO_FAILURE = (PAUSED, INTERRUPTED, OCCUPIED)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a migration is to do, as `etl fleet start` was told; times are epoch seconds."""

    stage: str  # plan, sample, run, delta, verify, rebind, rollback
    every: float = 0.0  # seconds between turns; 0 for one turn
    until: float = 0.0  # no turn begins after it; 0 for no end
    window: str = ""  # 22:00-06:00, UTC
    yes: bool = False  # a surprising plan is carried out, too, by one turn
    # fields that people have deleted are made anew, by one turn
    remake_fields: bool = False
    refresh: bool = False  # what was read is read again, by one turn
    good: bool = False  # whether its last turn was
    failed: int = 0  # the code that failures in a row are counted of
    lost: int = 0  # turns in a row that were lost, and have done nothing
    mark: str = ""  # how far the store was when the last one was lost
    compared: int = 0  # the most rows that one of these had read back


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn ended."""

    code: int
    reason: str = ""
    until: float = 0.0  # with PAUSED: from when it makes sense to go on
    lasted: float = 0.0  # seconds
    passes: bool = True  # False: it would end so again, whenever it is tried
    held: bool = False  # whether it had the store: then nobody else is at work on its accounts
    yields: bool = False  # whether it ended for another migration of an account


@dataclass(frozen=True, slots=True)
class Next:
    """What a migration does from now on."""

    state: State
    at: float = 0.0  # when its next turn begins; 0 for never
    failures: int = 0  # turns in a row that were refused or crashed
    reason: str = ""


def begun(goal: Goal) -> Goal:
    """A goal while a turn goes on, which may be killed: it was not good then, and what a person
    has said yes to was said to this turn.
    """
    return replace(_said_once(goal, False), good=False)


def _said_once(goal: Goal, left: bool) -> Goal:
    """A goal with what was said to one turn only, if that is left."""
    return replace(
        goal,
        yes=goal.yes and left,
        remake_fields=goal.remake_fields and left,
        refresh=goal.refresh and left,
    )


def continued(goal: Goal, before: Goal | None) -> Goal:
    """A goal that goes on with the times of the one before, which waits for what is said to one
    turn.

    Nothing is kept of another stage, or of times that are said anew.
    """
    answers = goal.yes or goal.remake_fields or goal.refresh
    if before is None or before.stage != goal.stage or not answers:
        return goal
    return replace(
        goal,
        every=before.every,
        until=goal.until or before.until,
        window=goal.window or before.window,
    )


def marked(goal: Goal, ended: Ended) -> Goal:
    """A goal, as its turn was begun with it, that remembers how that turn ended.

    What was said once is left only by a turn that never had the store: it has carried nothing out.
    """
    goal = _said_once(goal, not ended.held)
    good = ended.code in DONE
    if good or ended.code == PAUSED:
        return replace(goal, good=good, failed=0, lost=0, compared=0)
    return replace(goal, good=False, failed=_counted_as(goal, ended))


def _counted_as(goal: Goal, ended: Ended) -> int:
    """The code of which failures in a row are counted: a turn that was killed leaves its store
    held, and that is still the same failure.
    """
    if ended.code in _NO_FAILURE or (goal.failed, ended.code) == (
        CRASHED,
        HELD,
    ):
        return goal.failed
    return ended.code


def after(goal: Goal, ended: Ended, failures: int, now: float) -> Next:
    """What comes after a turn that began after so many failures in a row."""
    if ended.code in DONE:
        goal = marked(goal, ended)
        return (
            _turn(goal, now + goal.every, "queued")
            if goal.every
            else Next("idle")
        )
    if ended.code in _FOR_A_PERSON or not ended.passes:
        return Next("waiting", reason=ended.reason)
    if ended.code in _NO_FAILURE:
        return _put_back(marked(goal, ended), ended, failures, now)

    pauses = _PAUSES.get(ended.code, AFTER_CRASH)
    is_another = goal.failed != _counted_as(goal, ended)
    if is_another or ended.lasted > max(HEALTHY, *pauses):
        failures = 0
    return _tried_again(goal, ended, failures, now, pauses)


def _tried_again(
    goal: Goal,
    ended: Ended,
    failures: int,
    now: float,
    pauses: Sequence[float],
) -> Next:
    if failures >= len(pauses):
        return Next(
            "waiting", reason=f"{ended.reason} (tried {failures + 1} times)"
        )
    at = now + pauses[failures]
    goal = marked(goal, ended)
    return _turn(goal, at, "retrying", failures + 1, ended.reason)


def _put_back(goal: Goal, ended: Ended, failures: int, now: float) -> Next:
    """After a turn that was not over, and nothing was wrong with it."""
    if ended.code == PAUSED:
        return _turn(goal, max(ended.until, now), "paused", 0, ended.reason)
    if ended.lasted >= SOUND:
        failures = 0
    return _turn(goal, now + _pause(ended), "queued", failures, ended.reason)


def _pause(ended: Ended) -> float:
    if ended.code == OCCUPIED:
        return BUSY
    return BUSY + ROOM if ended.yields else 0.0


def lost(goal: Goal, mark: str, compared: int = 0) -> Goal:
    """A goal whose turn was lost with its worker: it never ended. `mark` says how far the store is:
    what has done something since the last loss is no part of a row. Each turn reads back from the
    start, so that only one that has `compared` more rows than those before it has got on.
    """
    is_same = mark == goal.mark
    has_got_on = not is_same or compared > goal.compared
    most = max(compared, goal.compared) if is_same else compared
    row = 1 if has_got_on else goal.lost + 1
    return replace(goal, lost=row, mark=mark, compared=most)


def given_up(goal: Goal, name: str) -> Next | None:
    """What follows where a person is needed, for it may be the turn itself that ends its workers;
    None where another worker is to go on.
    """
    if goal.lost < LOSSES:
        return None
    return Next(
        "waiting",
        reason=f"{goal.lost} turns in a row were lost with their workers, and nothing was done by"
        f" them – etl fleet log {name} says which workers; look at their memory and logs, and"
        " start it again",
    )


def over(goal: Goal, reason: str = "") -> Next:
    """What follows where no turn may begin any more: a person is needed, unless the last one of
    several was good.
    """
    if goal.every and goal.good:
        return Next("idle")
    return Next(
        "waiting",
        reason=f"{reason or 'it is not done'} – the time it was given is over",
    )


def _turn(
    goal: Goal, at: float, state: State, failures: int = 0, reason: str = ""
) -> Next:
    """The next turn, unless the time that was given is over by then."""
    at = opening(goal.window, at)
    if not goal.until or at <= goal.until:
        return Next(state, at, failures, reason)
    return over(goal, reason)


# -- windows of the day, in UTC


def span(window: str) -> tuple[time, time]:
    """The two ends of `22:00-06:00`; raises UsageError."""
    try:
        first, last = (
            time.fromisoformat(part.strip()) for part in window.split("-")
        )
    except ValueError:
        first = last = time.min
    if first == last or first.tzinfo or last.tzinfo:
        raise UsageError(
            f"--window {window!r} is not a span of the day – write 22:00-06:00"
        )
    return first, last


def opening(window: str, at: float) -> float:
    """The first moment from `at` on that a window holds."""
    if not window or closing(window, at):
        return at
    first, _ = span(window)
    moment = datetime.fromtimestamp(at, UTC)
    opens = datetime.combine(moment.date(), first, UTC)
    if opens < moment:
        opens += timedelta(days=1)
    return opens.timestamp()


def closing(window: str, at: float) -> float:
    """When a window that holds `at` closes; 0 where it does not hold it."""
    if not window:
        return 0.0
    first, last = span(window)
    moment = datetime.fromtimestamp(at, UTC)
    for day in (moment.date() - timedelta(days=1), moment.date()):
        opens = datetime.combine(day, first, UTC)
        closes = datetime.combine(day, last, UTC)
        if last < first:
            closes += timedelta(days=1)
        if opens <= moment < closes:
            return closes.timestamp()
    return 0.0
