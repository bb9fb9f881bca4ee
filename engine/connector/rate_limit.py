"""When the next call may go out: all of an account's limits at once, remembered in the store.

Each limit's spending is booked in the store in slots of time, in one transaction with the check
whether it fits. So a restart, or a second process on the same account, continues the count. Who
calls often books a few calls ahead, a lease, and spends them in memory before the moment it is
booked at.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec
import sqlalchemy as sa

from engine.connector.arrivals import MOST, Arrivals
from engine.connector.model import Limit
from engine.errors import QuotaExhausted, StoreError, UsageError
from engine.store.quota import block, blocks, book, booked, forget_before
from engine.store.tables import Store, hold

# when what was spent counts no more, and how much it is; the oldest first
Ends = Sequence[tuple[float, float]]

# a rolling window is counted in quarter percents, and at most one of them is given away
SLOTS = 400
SKEW = 120.0  # seconds by which a platform's day may start before or after ours ...
SKEW_SHARE = 0.01  # ... and for shorter windows the share of one
# seconds; a longer wait is a pause: the run ends and says when to go on
PATIENCE = 300.0
NAP = 60.0  # seconds slept at a time: clocks jump when a machine was suspended
TOLD = 1.0  # seconds; shorter waits are nothing to tell of
# calls booked ahead at most: what a killed process takes from a day
LEASED = 256
# ... and of each limit's allowance: what other processes may miss meanwhile
LEASED_SHARE = 0.01
LEASED_FOR = 0.25  # seconds for which they are good ...
# ... and part of the shortest rolling window; they are booked at the end of that time
LEASED_PART = 0.05
# seconds after which what is left of a lease is given back, if no call has done so
GIVE_BACK = 2.0


class Clock(msgspec.Struct, frozen=True):
    """The only source of time: UTC epoch seconds, and waiting."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Reservation(msgspec.Struct, frozen=True):
    """A call that may go out: when it was booked, what its limits had spent then, itself
    included, and in which slots it stands.
    """

    at: float
    spent: Mapping[str, float]
    slots: Mapping[str, int]


class _Wait(msgspec.Struct, frozen=True):
    """How long a call has to wait, and for which limit."""

    seconds: float
    limit: str


class _Lease(msgspec.Struct):
    """Calls booked ahead and what is left of them. They stand in the slots in which the lease
    ends: no call is later.
    """

    at: float
    until: float
    slots: Mapping[str, int]
    # of each limit by now, with the calls that were made of the lease
    spent: dict[str, float]
    left: dict[str, float]
    calls: int  # booked in all, the first one too
    made: int = 1

    def take(
        self, active: Sequence[Limit], cost: float, now: float
    ) -> Reservation | None:
        """A call of the lease; None where it does not have it, or has run out."""
        if not self.at <= now < self.until:
            return None
        amounts = {limit.name: _amount(limit, cost) for limit in active}
        if any(
            self.left.get(name, -1.0) < amount
            for name, amount in amounts.items()
        ):
            return None
        for name, amount in amounts.items():
            self.left[name] -= amount
            self.spent[name] += amount
        self.made += 1
        spent = {name: self.spent[name] for name in amounts}
        return Reservation(now, spent, self.slots)


class FairLock:
    """A lock handed on in the order of asking: one thread at a time waits for the quota, first
    come, first served.
    """

    __slots__ = ("_guard", "_queue", "_taken")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._taken = False

    @property
    def free(self) -> bool:
        """Whether nobody waits."""
        return not self._taken

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn and pass it on at the end."""
        called = threading.Event()
        with self._guard:
            if self._taken:
                self._queue.append(called)
            else:
                self._taken = True
                called.set()
        try:
            called.wait()
            yield
        finally:
            self._pass_on(called)

    def _pass_on(self, called: threading.Event) -> None:
        with self._guard:
            if not called.is_set():
                self._queue.remove(called)  # interrupted while waiting
            elif self._queue:
                self._queue.popleft().set()
            else:
                self._taken = False


class RateLimiter(msgspec.Struct):
    """Keeps one account's calls within its limits. Threads may share it; processes share the
    store.
    """

    store: Store
    account: str
    limits: tuple[Limit, ...]
    plan: str
    seats: int
    # share of every limit left to other programs on the same key
    reserve: float = 0.0
    clock: Clock = msgspec.field(default_factory=Clock)
    wait_for_day: bool = False
    # is told once of each wait: the limit, and the seconds it will take
    heard: Callable[[str, float], None] = lambda *_: None
    waited: float = 0.0
    cost: float = 0.0
    calls: int = 0
    # calls and cost of every five seconds
    over_time: dict[int, tuple[int, float]] = {}
    # allowances the platform's headers name
    told: dict[str, float] = {}
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _turns: dict[tuple[str, ...], FairLock] = {}
    _active: dict[tuple[str, ...], tuple[Limit, ...]] = {}
    _lease: _Lease | None = None
    _arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    # what is not in there yet, for nobody waits for the lock to say it
    _answered: deque[tuple[Mapping[str, int], float]] = msgspec.field(
        default_factory=deque
    )
    _timer: threading.Timer | None = None

    def acquire(self, cost: float, extra: tuple[str, ...] = ()) -> Reservation:
        """Wait until a call of this cost fits every limit, and book it.

        Raises QuotaExhausted when the wait would be longer than a run should last, and UsageError
        when the call is larger than a whole window.
        """
        with self._lock:
            turns = self._turns.setdefault(extra, FairLock())
            if extra not in self._active:
                self._active[extra] = tuple(
                    limit
                    for limit in self.limits
                    if limit.general or limit.name in extra
                )
            active = self._active[extra]
            if turns.free and (booking := self._take(active, cost)):
                return booking
        with turns.turn():
            told = False
            while True:
                found = self._try(cost, active)
                if isinstance(found, Reservation):
                    return found
                told = self._hang_around(found, told)

    def _hang_around(self, wait: _Wait, told: bool) -> bool:
        """Wait for a while; whether anybody was told of it."""
        if wait.seconds > PATIENCE and not self.wait_for_day:
            raise QuotaExhausted(wait.limit, self.clock.now() + wait.seconds)
        if wait.seconds >= TOLD and not told:
            self.heard(wait.limit, wait.seconds)
            told = True
        seconds = min(wait.seconds, NAP)
        with self._lock:
            self.waited += seconds
        self.clock.sleep(seconds)
        return told

    def _take(self, active: Sequence[Limit], cost: float) -> Reservation | None:
        """A call of what was booked ahead, if there is one."""
        if self._lease is None:
            return None
        booking = self._lease.take(active, cost, self.clock.now())
        if booking:
            self._count(booking, cost)
        return booking

    def _count(self, booking: Reservation, cost: float) -> None:
        self.calls += 1
        self.cost += cost
        self._arrivals.sent(booking.slots)
        tick = int(booking.at) // 5 * 5
        calls, spent = self.over_time.get(tick, (0, 0.0))
        self.over_time[tick] = calls + 1, spent + cost

    def _try(
        self, cost: float, active: tuple[Limit, ...]
    ) -> Reservation | _Wait:
        """Book the call, or say how long to wait."""
        with self._lock:
            # another thread may have booked ahead meanwhile
            if booking := self._take(active, cost):
                return booking
            while self._answered:
                self._arrivals.answered(*self._answered.popleft())
            with self.store.begin() as connection:
                hold(connection, "quota", self.account)
                ahead = self._give_back(connection)
                found = self._book(connection, cost, active, ahead)
            if isinstance(found, _Wait):
                return found
            self._lease = found
            booking = Reservation(found.at, dict(found.spent), found.slots)
            self._count(booking, cost)
            if found.calls > 1:
                self._watch()
            return booking

    def _book(
        self,
        connection: sa.Connection,
        cost: float,
        active: Sequence[Limit],
        ahead: int,
    ) -> _Lease | _Wait:
        """Book the call and those ahead where it fits every limit."""
        # only now: the store may have been busy, and what is booked must not look older
        now = self.clock.now()
        asked = _asked(blocks(connection, self.account), now)
        if asked.seconds > 0:
            return asked
        counting = self._counting(connection, active, now)
        longest = _longest(
            _Wait(
                self._wait(
                    limit, counting[limit.name], _amount(limit, cost), now
                ),
                limit.name,
            )
            for limit in active
        )
        if longest.seconds > 0:
            return longest

        spent = {name: _sum(found) for name, found in counting.items()}
        lease = self._leased(active, cost, spent, ahead, now)
        amounts = [
            (
                limit.name,
                lease.slots[limit.name],
                _amount(limit, cost) * lease.calls,
            )
            for limit in active
        ]
        book(connection, self.account, amounts)
        self._arrivals.booked(amounts)
        if self.calls % 200 < lease.calls:
            for limit in active:
                before = _first_slot(limit, now) - 2 * SLOTS
                forget_before(connection, self.account, limit.name, before)
        return lease

    def _counting(
        self, connection: sa.Connection, active: Sequence[Limit], now: float
    ) -> dict[str, Ends]:
        """What each limit has spent that still counts."""
        first = {limit.name: _first_slot(limit, now) for limit in active}
        slots = booked(connection, self.account, first)
        return {
            limit.name: sorted(
                (end, units)
                for slot, units in slots[limit.name]
                if (end := self._free_at(limit, slot, units)) > now
            )
            for limit in active
        }

    def _free_at(self, limit: Limit, slot: int, units: float) -> float:
        """When what is booked in a slot counts no more."""
        end = (slot + 1) * _width(limit)
        if limit.window == "calendar":
            return end
        place = limit.name, slot
        margin = self._arrivals.margin(place, units, limit.seconds)
        return end + limit.seconds + margin

    def _leased(
        self,
        active: Sequence[Limit],
        cost: float,
        spent: Mapping[str, float],
        ahead: int,
        now: float,
    ) -> _Lease:
        """This call, with as many more as are likely to be made, fit, and leave others their
        share.
        """
        calls = min(ahead, LEASED)
        for limit in active:
            amount, allowance = _amount(limit, cost), self.allowance(limit)
            if amount:
                fitting = (
                    min(allowance - spent[limit.name], allowance * LEASED_SHARE)
                    // amount
                )
                calls = min(calls, max(1, int(fitting)))
        amounts = {limit.name: _amount(limit, cost) for limit in active}
        after = {name: spent[name] + amount for name, amount in amounts.items()}
        left = {name: amount * (calls - 1) for name, amount in amounts.items()}
        until = (
            min(
                (_end_of_lease(limit, now) for limit in active),
                default=now + LEASED_FOR,
            )
            if calls > 1
            else now
        )
        slots = {
            limit.name: _slot(
                limit, now if limit.window == "calendar" else until
            )
            for limit in active
        }
        return _Lease(now, until, slots, after, left, calls)

    def _give_back(self, connection: sa.Connection) -> int:
        """What is left of the lease goes back to where it was booked; how many calls the next
        one may be good for.
        """
        lease, self._lease = self._lease, None
        if lease is None:
            return 1
        unused = [
            (name, lease.slots[name], -left)
            for name, left in lease.left.items()
            if left
        ]
        book(connection, self.account, unused)
        self._arrivals.booked(unused)
        return (
            2 * lease.made if lease.made >= lease.calls else max(1, lease.made)
        )

    def release(self) -> None:
        """Book nothing ahead any more: at the end, and where nothing was called for a while."""
        # a store that is closed or another's: the window passes
        with self._lock, suppress(StoreError):
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if self._lease is not None and any(self._lease.left.values()):
                with self.store.begin() as connection:
                    hold(connection, "quota", self.account)
                    self._give_back(connection)

    def _watch(self) -> None:
        """An idle process holds nothing for long."""
        if self._timer is None:
            self._timer = threading.Timer(GIVE_BACK, self.release)
            self._timer.daemon = True
            self._timer.start()

    def allowance(self, limit: Limit) -> float:
        """Units per window: what the platform's headers say, else the plan's; less the reserve."""
        planned = limit.allowance(self.plan, self.seats)
        return self.told.get(limit.name, planned) * (1 - self.reserve)

    def remaining(self, limit: Limit) -> float:
        """Units left in the window that is open now."""
        with self.store.begin() as connection:
            spent = self._spent(connection, limit, self.clock.now())
        return max(0.0, self.allowance(limit) - spent)

    def _spent(
        self, connection: sa.Connection, limit: Limit, since: float
    ) -> float:
        """Units of the window of a moment that are booked, without those booked ahead."""
        first = {limit.name: _first_slot(limit, since)}
        lease, slots = self._lease, booked(connection, self.account, first)
        ahead = lease.left.get(limit.name, 0.0) if lease else 0.0
        return _sum(slots[limit.name]) - ahead

    def observe(self, headers: Mapping[str, str], booking: Reservation) -> None:
        """Learn from the answer to a booked call: how long it took, another allowance than
        declared, or spending that is not ours.
        """
        took = self.clock.now() - booking.at
        self._answered.append((booking.slots, took))
        for limit in self.limits:
            if not limit.headers or limit.name not in booking.spent:
                continue
            told, left = (
                _number(headers.get(limit.headers.get(word, "").lower()))
                for word in ("limit", "remaining")
            )
            if told:
                self.told[limit.name] = told
            # What others spend out of the reserve is theirs; only what they take beyond it is
            # missing here.
            if (
                left is not None
                and self.allowance(limit) - left > booking.spent[limit.name]
            ):
                self._book_foreign(limit, self.allowance(limit) - left, booking)

    def _book_foreign(
        self, limit: Limit, used: float, booking: Reservation
    ) -> None:
        """Book what others must have spent: what the platform counts beyond all of ours it can
        have counted.

        It counted somewhere between the booking and now, so every call of ours that was in its
        window at either end may be in its figure. Taking more of ours for foreign would add to
        our own spending with every answer and starve us.
        """
        self._book_up_to(
            limit,
            used,
            booking.at,
            lambda now: _same_window(limit, booking.at, now),
        )

    def _book_up_to(
        self,
        limit: Limit,
        amount: float,
        since: float,
        still: Callable[[float], bool] = lambda _: True,
    ) -> None:
        """Book what the spending since a moment lacks of an amount, if that still holds by now."""
        with self._lock, self.store.begin() as connection:
            hold(connection, "quota", self.account)
            now = self.clock.now()
            missing = amount - self._spent(connection, limit, since)
            if missing > 0 and still(now):
                book(
                    connection,
                    self.account,
                    [(limit.name, _slot(limit, now), missing)],
                )

    def refused(
        self, limit_name: str, seconds: float, told: bool = False
    ) -> None:
        """The platform refused a call for its rate: nothing goes out for `seconds`, or for the
        rest of the day.

        A long time that was told is about the day, and counts more than the day by our clock.
        """
        limit = next(
            (item for item in self.limits if item.name == limit_name), None
        )
        now = self.clock.now()
        if (
            limit is not None
            and limit.window == "calendar"
            and not (told and seconds > PATIENCE)
        ):
            # Just after our midnight the platform may still be in the day that is spent.
            new_day = _slot(limit, now) * limit.seconds + _skew(limit)
            if now < new_day:
                seconds = max(seconds, new_day - now)
            else:
                # nothing is left in this window
                self._book_up_to(limit, self.allowance(limit), now)
        with self._lock, self.store.begin() as connection:
            hold(connection, "quota", self.account)
            self._give_back(connection)
            same = [
                found
                for found in blocks(connection, self.account)
                if found[0] == limit_name
            ]
            if seconds > _asked(same, now).seconds:
                block(
                    connection, self.account, limit_name, now + seconds, seconds
                )

    def reset_time(self, limit: Limit) -> float:
        """When a calendar window ends, in epoch seconds; for a rolling one, when all of it is
        free again.
        """
        now = self.clock.now()
        return (
            (_slot(limit, now) + 1) * limit.seconds
            if limit.window == "calendar"
            else now + limit.seconds
        )

    def _wait(
        self, limit: Limit, spent: Ends, amount: float, now: float
    ) -> float:
        """Seconds until `amount` more fits this limit."""
        allowance = self.allowance(limit)
        if amount > allowance:
            raise UsageError(
                f"a call costs {amount:g} and the {limit.name} limit allows"
                f" {allowance:g} in all – check the plan, the seats and the reserve in"
                " the spec"
            )
        over = _sum(spent) + amount - allowance
        if over <= 0:
            return 0.0
        if limit.window == "calendar":
            return (_slot(limit, now) + 1) * limit.seconds - now
        for free, units in spent:
            over -= units
            if over <= 0:
                return min(
                    max(0.001, free - now), limit.seconds * (1 + 2 * MOST)
                )
        return limit.seconds


def _asked(found: Sequence[tuple[str, float, float]], now: float) -> _Wait:
    """The longest wait that the platform asked for and that is not over.

    One that began later than now was asked for when our clock was ahead: it is not known any more.
    """
    return _longest(
        _Wait(until - now, name)
        for name, until, seconds in found
        if until - now <= seconds + 1
    )


def _longest(waits: Iterable[_Wait]) -> _Wait:
    return max(waits, key=lambda wait: wait.seconds, default=_Wait(0.0, ""))


def _sum(spent: Ends) -> float:
    return sum(units for _, units in spent)


def _amount(limit: Limit, cost: float) -> float:
    return cost if limit.unit == "cost" else 1.0


def _width(limit: Limit) -> float:
    return (
        limit.seconds if limit.window == "calendar" else limit.seconds / SLOTS
    )


def _slot(limit: Limit, now: float) -> int:
    return int(now // _width(limit))


def _end_of_lease(limit: Limit, now: float) -> float:
    """Until when a call may be made that is booked now: in the same day, and in a small part of
    a rolling window.
    """
    if limit.window == "calendar":
        return min(now + LEASED_FOR, (_slot(limit, now) + 1) * limit.seconds)
    return now + min(LEASED_FOR, limit.seconds * LEASED_PART)


def _first_slot(limit: Limit, now: float) -> int:
    """The oldest slot that may still count."""
    return _slot(
        limit,
        now if limit.window == "calendar" else now - limit.seconds * (1 + MOST),
    )


def _skew(limit: Limit) -> float:
    return min(SKEW, limit.seconds * SKEW_SHARE)


def _same_window(limit: Limit, then: float, now: float) -> bool:
    """Whether a figure from between `then` and `now` can be about the spending booked now."""
    if limit.window == "calendar":
        return _slot(limit, then - _skew(limit)) == _slot(
            limit, now + _skew(limit)
        )
    return now - then <= limit.seconds


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
