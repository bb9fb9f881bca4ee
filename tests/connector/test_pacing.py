"""The pacer against a clock of its own, and against an oracle that counts calls in every true window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.connector.arrivals import KEPT, MOST, Arrivals
from engine.connector.model import Limit
from engine.connector.rate_limit import Clock, FairLock, RateLimiter
from engine.errors import QuotaExhausted, UsageError
from engine.store.tables import Store, open_store

MIDNIGHT = 1_767_225_600.0  # 2026-01-01 00:00 UTC
NOON = MIDNIGHT + 43_200
DAY = 86_400.0
EPSILON = 1e-6
ACCOUNTS = (f"account {number}" for number in count())


@dataclass(slots=True)
class Time:
    """A clock that moves only when somebody sleeps or the test says so."""

    now: float = NOON
    naps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "s.sqlite"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for many accounts: opening one for each example of a property would be slow."""
    opened = open_store(str(tmp_path_factory.mktemp("pacing") / "s.sqlite"))
    yield opened
    opened.close()


def rolling(amount: float, seconds: float, name: str = "burst", **rest: object) -> Limit:
    return Limit(name, "calls", {"*": amount}, seconds, "rolling", **rest)  # type: ignore[arg-type]


def daily(amount: float, **rest: object) -> Limit:
    return Limit("day", "cost", {"*": amount}, DAY, "calendar", **rest)  # type: ignore[arg-type]


def limiter(store: Store, time: Time, *limits: Limit, account: str = "a", **rest: object) -> RateLimiter:
    return RateLimiter(store, account, limits, "any", 1, clock=time.clock, **rest)  # type: ignore[arg-type]


def most_in_a_rolling_window(calls: list[tuple[float, float]], seconds: float) -> float:
    """The largest sum in any (t - seconds, t]; the sum can only peak at a call."""
    return max((sum(units for at, units in calls if t - seconds + EPSILON < at <= t) for t, _ in calls), default=0.0)


def most_in_a_calendar_window(calls: list[tuple[float, float]], seconds: float) -> float:
    sums: dict[int, float] = {}
    for at, units in calls:
        sums[int(at // seconds)] = sums.get(int(at // seconds), 0.0) + units
    return max(sums.values(), default=0.0)


LARGEST = {"rolling": most_in_a_rolling_window, "calendar": most_in_a_calendar_window}

limits = st.builds(
    Limit,
    st.just("x"),
    st.sampled_from(["calls", "cost"]),
    st.fixed_dictionaries({"*": st.integers(14, 60).map(float)}),
    st.sampled_from([0.5, 2.0, 7.0, 60.0, 3600.0]),
    st.sampled_from(["rolling", "calendar"]),
    general=st.booleans(),
)
steps = st.lists(
    st.tuples(
        st.floats(0, 5) | st.just(0.0) | st.floats(0, 200),  # idle before the call
        st.integers(0, 10),  # its cost
        st.booleans(),  # whether it names the limits that are not general
        st.integers(0, 1),  # which of two processes makes it
    ),
    max_size=120,
)


@given(st.lists(limits, min_size=1, max_size=3), steps, st.sampled_from([0.0, 0.25]), st.floats(0, DAY))
@settings(max_examples=60)
def test_no_true_window_ever_holds_more_than_its_allowance(
    shared: Store, found: list[Limit], calls: list[tuple[float, int, bool, int]], reserve: float, start: float
) -> None:
    """Whatever the calls and the limits, two processes together never break one, and every call goes out."""
    every = tuple(
        Limit(f"l{n}", item.unit, item.amount, item.seconds, item.window, general=item.general) for n, item in enumerate(found)
    )
    time = Time(MIDNIGHT + start)
    account = next(ACCOUNTS)
    both = [limiter(shared, time, *every, account=account, reserve=reserve, wait_for_day=True) for _ in range(2)]
    sent: dict[str, list[tuple[float, float]]] = {limit.name: [] for limit in every}
    for idle, cost, named, who in calls:
        time.now += idle
        extra = tuple(limit.name for limit in every if not limit.general) if named else ()
        booking = both[who].acquire(cost, extra)
        assert booking.at == time.now
        for limit in every:
            if limit.general or limit.name in extra:
                sent[limit.name].append((time.now, cost if limit.unit == "cost" else 1.0))
    for limit in every:
        assert LARGEST[limit.window](sent[limit.name], limit.seconds) <= limit.amount["*"] * (1 - reserve) + EPSILON
    assert sum(each.calls for each in both) == len(calls)


@pytest.mark.parametrize(("amount", "seconds"), [(40, 2), (120, 2), (60, 60), (10, 2)])
@pytest.mark.parametrize("think", [0.0, 0.003])
def test_a_caller_who_never_rests_gets_nearly_all_of_a_rolling_limit(
    store: Store, amount: int, seconds: float, think: float
) -> None:
    """At least 95 % of the allowance goes out, in bursts as well as evenly."""
    time = Time()
    paced = limiter(store, time, rolling(amount, seconds))
    windows = 20
    for _ in range(amount):  # the first window is free; what counts is the pace after it
        paced.acquire(1)
    began = time.now
    for _ in range(amount * windows):
        paced.acquire(1)
        time.now += think
    assert windows * seconds / (time.now - began) >= 0.95


@pytest.mark.parametrize(("swing", "least", "most"), [(0.0, 0.985, 0.997), (0.02, 0.975, 0.985), (0.5, 0.96, 0.97)])
def test_answers_show_how_late_calls_may_have_arrived(store: Store, swing: float, least: float, most: float) -> None:
    """Where all answers take equally long nearly all of the limit is used, and less where they swing."""
    time, under_way, made = Time(), list[tuple[float, int, Any]](), list[float]()

    def sleep(seconds: float) -> None:
        until = time.now + seconds
        while under_way and under_way[0][0] <= until:
            time.now, _, answered = heappop(under_way)
            paced.observe({}, answered)
        time.now = until

    paced = limiter(store, time, rolling(120, 2))
    paced.clock = Clock(lambda: time.now, sleep)
    for number in range(120 * 12):
        booking = paced.acquire(1)
        made.append(booking.at)
        heappush(under_way, (booking.at + 0.15 + number % 2 * swing, number, booking))
        if len(under_way) >= 60:
            sleep(under_way[0][0] - time.now)
    assert least <= 10 * 2 / (made[-1] - made[-120 * 10 - 1]) <= most


@pytest.mark.parametrize(
    ("units", "before", "margin"),
    [(2.0, 60, 0.01 + 0.05), (3.0, 60, 2 * MOST), (2.0, 10, 2 * MOST)],
    ids=["its slowest answer counts", "others booked in the slot, too", "few answers have come"],
)
def test_the_margin_of_a_slot(units: float, before: int, margin: float) -> None:
    """It is believed where all of the slot is ours and enough answers show how long the way is."""
    arrivals, place = Arrivals(), {"burst": 1}
    for _ in range(before):
        arrivals.answered({}, 0.1)
    arrivals.booked([("burst", 1, 2.0)])
    for seconds in (0.15, 0.12):
        arrivals.sent(place)
        arrivals.answered(place, seconds)
    assert arrivals.margin(("burst", 1), units, 2.0) == pytest.approx(margin)


def test_what_is_known_of_slots_does_not_grow() -> None:
    """The oldest slots are dropped."""
    arrivals = Arrivals()
    arrivals.booked(("burst", slot, 1.0) for slot in range(3 * KEPT))
    assert len(arrivals.slots) == KEPT and ("burst", 3 * KEPT - 1) in arrivals.slots


def test_a_day_outlives_the_slots_of_a_burst(store: Store) -> None:
    """A run of more calls than there are slots kept goes on: those of its day are booked in one that is still the present."""
    time = Time(MIDNIGHT + 1)
    paced = limiter(store, time, rolling(2, 2.0), daily(1e6), rolling(1e6, DAY / 2, name="half"))
    for _ in range(KEPT + 100):
        booking = paced.acquire(1.0)
        paced.observe({}, booking)
        time.now += 1.0
    for name, slot in booking.slots.items():
        assert (name, slot) in paced._arrivals.slots
    assert paced.calls == KEPT + 100


def test_a_call_without_an_answer_may_have_arrived_late(store: Store) -> None:
    """As long as nobody knows when it arrived it counts for longer than one that was answered at once."""
    time = Time()
    paced = limiter(store, time, rolling(1, 2))
    for _ in range(60):
        paced.observe({}, paced.acquire(1))
    assert paced.acquire(1).at == pytest.approx(time.now, abs=0.001)  # its answer never comes
    answered = time.naps[-1]
    paced.acquire(1)
    assert 2.06 <= sum(time.naps[-2:]) - answered <= 2.08
    assert 2.005 <= answered <= 2.02


def test_the_count_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A new process on the same store knows what the old one spent, of the burst and of the day."""
    time = Time()
    for _ in range(2):
        opened = open_store(str(tmp_path / "s.sqlite"))
        paced = limiter(opened, time, rolling(10, 60), daily(100))
        for _ in range(5):
            paced.acquire(10)
        opened.close()
    assert time.naps == []
    opened = open_store(str(tmp_path / "s.sqlite"))
    with pytest.raises(QuotaExhausted, match="day"):
        limiter(opened, time, daily(100)).acquire(1)
    limiter(opened, time, rolling(10, 60)).acquire(1)
    assert sum(time.naps) > 59
    opened.close()


def test_accounts_do_not_share(store: Store) -> None:
    """What one account spent is nothing to another."""
    time = Time()
    limiter(store, time, daily(10), account="a").acquire(10)
    limiter(store, time, daily(10), account="b").acquire(10)
    assert time.naps == []


def test_the_reserve_is_left_alone(store: Store) -> None:
    """A reserve of 20 % is taken off every limit, rolling ones too, whatever the headers say of the whole."""
    time = Time()
    burst, day = rolling(10, 2, headers={"limit": "l", "remaining": "r"}), daily(100)
    paced = limiter(store, time, burst, day, reserve=0.2)
    assert (paced.allowance(burst), paced.allowance(day)) == (8.0, 80.0)
    booking = paced.acquire(0)
    paced.observe({"l": "20", "r": "19"}, booking)
    assert paced.allowance(burst) == 16.0
    for _ in range(15):
        paced.acquire(0)
    assert time.naps == []
    paced.acquire(0)
    assert sum(time.naps) > 2


def test_seats_multiply(store: Store) -> None:
    """A limit per seat grows with the seats; a plan's own amount comes before the one for any plan."""
    limit = Limit("day", "cost", {"growth": 60.0, "*": 1.0}, DAY, "calendar", per_seat=True)
    assert RateLimiter(store, "a", (limit,), "growth", 5).allowance(limit) == 300.0
    assert RateLimiter(store, "a", (limit,), "other", 5).allowance(limit) == 5.0


def test_what_is_left_counts_down_and_resets(store: Store) -> None:
    """`remaining` is the rest of the open window and is whole again in the next one."""
    time = Time(NOON)
    day = daily(100)
    paced = limiter(store, time, day)
    paced.acquire(30)
    assert paced.remaining(day) == 70.0
    assert paced.reset_time(day) == MIDNIGHT + DAY
    time.now = MIDNIGHT + DAY
    assert paced.remaining(day) == 100.0


def test_a_spent_day_pauses_until_midnight(store: Store) -> None:
    """The run ends and says when to go on: the end of the calendar window, UTC."""
    time = Time(NOON)
    paced = limiter(store, time, daily(10))
    paced.acquire(8)
    with pytest.raises(QuotaExhausted) as caught:
        paced.acquire(3)
    assert caught.value.until == MIDNIGHT + DAY
    assert (caught.value.limit, caught.value.exit_code) == ("day", 75)
    assert "2026-01-02 00:00:00 UTC" in str(caught.value)
    assert time.naps == []
    paced.acquire(2)  # a smaller call still fits


def test_a_day_can_be_slept_through(store: Store) -> None:
    """With `wait_for_day` the call goes out after midnight; no nap is longer than a minute."""
    time = Time(NOON)
    paced = limiter(store, time, daily(10), wait_for_day=True)
    paced.acquire(10)
    paced.acquire(10)
    assert time.now == MIDNIGHT + DAY
    assert max(time.naps) <= 60
    assert paced.waited == DAY / 2


def test_a_short_calendar_window_is_waited_for(store: Store) -> None:
    """What ends within minutes is no reason to end the run."""
    time = Time(MIDNIGHT + 3600 - 200)
    paced = limiter(store, time, Limit("hour", "calls", {"*": 1.0}, 3600, "calendar"))
    paced.acquire(1)
    paced.acquire(1)
    assert time.now == MIDNIGHT + 3600


def test_a_call_larger_than_the_window_is_refused_in_words(store: Store) -> None:
    """Such a call can never go out: waiting for ever or breaking the limit would both be wrong."""
    with pytest.raises(UsageError, match=r"costs 20 and the day limit allows 10"):
        limiter(store, Time(), daily(10)).acquire(20)


def test_limits_that_are_not_general_count_only_calls_that_name_them(store: Store) -> None:
    """A search limit holds up searches and nothing else."""
    time = Time()
    paced = limiter(store, time, rolling(100, 2), rolling(1, 2, "search", general=False))
    paced.acquire(1, ("search",))
    for _ in range(50):
        paced.acquire(1)
    assert time.naps == []
    paced.acquire(1, ("search",))
    assert sum(time.naps) > 2


# -- headers


HEADERS = {"limit": "x-limit", "remaining": "x-left"}


def test_another_allowance_in_the_headers_is_adopted(store: Store) -> None:
    """The platform knows the account's plan better than the spec."""
    time = Time()
    burst = rolling(40, 2, headers=HEADERS)
    paced = limiter(store, time, burst)
    paced.observe({"x-limit": "4", "x-left": "3"}, paced.acquire(1))
    for _ in range(3):
        paced.acquire(1)
    assert time.naps == []
    paced.acquire(1)
    assert time.naps


@pytest.mark.parametrize("junk", ["", "many", "nan", "inf", "-5", "100, 100;w=60"])
def test_junk_in_the_headers_is_no_figure(store: Store, junk: str) -> None:
    """What is not a plain number changes nothing."""
    burst = rolling(40, 2, headers=HEADERS)
    paced = limiter(store, Time(), burst)
    paced.observe({"x-limit": junk, "x-left": junk}, paced.acquire(1))
    assert (paced.allowance(burst), paced.remaining(burst)) == (40.0, 39.0)


def test_what_others_spent_is_booked_once(store: Store) -> None:
    """Another program's spending shows in `remaining`; seeing it in ten answers books it once."""
    day = daily(1000, headers=HEADERS)
    paced = limiter(store, Time(), day)
    for call in range(1, 11):
        paced.observe({"x-limit": "1000", "x-left": str(1000 - 300 - 5 * call)}, paced.acquire(5))
        assert paced.remaining(day) == 1000 - 300 - 5 * call


def test_spending_shows_without_a_limit_header_too(store: Store) -> None:
    """Where only `remaining` is told, the declared allowance stands for the whole."""
    day = daily(1000, headers={"remaining": "x-left"})
    paced = limiter(store, Time(), day)
    paced.observe({"x-left": "400"}, paced.acquire(5))
    assert paced.remaining(day) == 400


def test_our_own_calls_under_way_are_not_taken_for_foreign(store: Store) -> None:
    """Calls booked after this one may be in its figure already, and refunds are not invented."""
    day = daily(1000, headers=HEADERS)
    paced = limiter(store, Time(), day)
    first = paced.acquire(10)
    for _ in range(4):
        paced.acquire(10)
    paced.observe({"x-limit": "1000", "x-left": "950"}, first)  # the platform has counted all five
    assert paced.remaining(day) == 950
    paced.observe({"x-limit": "1000", "x-left": "990"}, first)  # ... or only the first
    assert paced.remaining(day) == 950


def test_yesterdays_figure_does_not_spend_today(store: Store) -> None:
    """An answer from before midnight, or from a platform whose midnight is a little later, is about another day."""
    time = Time(MIDNIGHT + DAY - 1)
    day = daily(1000, headers=HEADERS)
    paced = limiter(store, time, day)
    booking = paced.acquire(1)
    time.now += 2
    paced.observe({"x-limit": "1000", "x-left": "0"}, booking)
    booking = paced.acquire(1)
    paced.observe({"x-limit": "1000", "x-left": "0"}, booking)
    assert paced.remaining(day) == 999


@dataclass(slots=True)
class Platform:
    """An independent platform: counts arrivals in a true rolling window and says how many are left."""

    amount: int
    seconds: float
    arrived: list[float] = field(default_factory=list)

    def arrive(self, at: float) -> int | None:
        """What is left after this call, or None where it is refused."""
        self.arrived = [then for then in self.arrived if then > at - self.seconds]
        if len(self.arrived) >= self.amount:
            return None
        self.arrived.append(at)
        return self.amount - len(self.arrived)


@given(st.lists(st.tuples(st.floats(0, 0.06), st.floats(0, 1.9)), min_size=5, max_size=30), st.integers(1, 16))
@settings(max_examples=40)
def test_late_answers_never_starve_a_lone_caller(shared: Store, delays: list[tuple[float, float]], lanes: int) -> None:
    """However late calls arrive and answers come, a caller alone on the account books nothing but its own calls.

    Of the calls some are quick on both ways, as on every network: they show how long the ways are.
    """
    time, platform, calls = Time(), Platform(20, 2), 250
    delays = [(0.0, 0.0), *delays]
    paced = limiter(shared, time, rolling(20, 2, headers=HEADERS), account=next(ACCOUNTS))
    events: list[tuple[float, int, str, Any]] = []  # when, tie-breaker, what, of which call

    def happen(until: float) -> None:
        while events and events[0][0] <= until:
            at, number, what, booking = heappop(events)
            time.now = max(time.now, at)
            if what == "arrives":
                left = platform.arrive(at)
                assert left is not None
                heappush(events, (at + delays[number % len(delays)][1], number, "is answered", (booking, left)))
            else:
                paced.observe({"x-limit": "20", "x-left": str(booking[1])}, booking[0])

    for number in range(calls):
        while len(events) >= lanes:
            happen(events[0][0])
        booking = paced.acquire(1)
        heappush(events, (booking.at + delays[number % len(delays)][0], number, "arrives", booking))
        happen(time.now)
    happen(time.now + 10)
    with shared.begin() as connection:
        rows = connection.exec_driver_sql("SELECT SUM(spent) FROM quota WHERE account = ?", (paced.account,))
        assert rows.scalar_one() <= calls


@pytest.mark.parametrize(("reserve", "refusals"), [(0.0, 0.3), (0.5, 0.01)])
def test_a_rival_on_the_same_key_is_given_way(store: Store, reserve: float, refusals: float) -> None:
    """A rival that takes half of the burst goes on getting it; a reserve keeps us from being refused at all."""
    time = Time()
    paced = limiter(store, time, rolling(20, 2, headers=HEADERS), reserve=reserve)
    platform = Platform(20, 2)
    rival = time.now
    done = refused = theirs = 0
    while time.now < NOON + 60:
        booking = paced.acquire(1)
        while rival <= time.now:
            theirs += platform.arrive(rival) is not None
            rival += 0.2
        left = platform.arrive(time.now)
        paced.observe({"x-limit": "20", "x-left": str(left or 0)}, booking)
        if left is None:
            refused += 1
            paced.refused("burst", 0.5)
            continue
        done += 1
        time.now += 0.05
    assert done >= 0.9 * 300
    assert theirs >= 0.8 * 300
    assert refused <= refusals * done


# -- refusals


def test_a_refusal_stops_every_caller_for_its_time(store: Store) -> None:
    """After a 429 nothing goes out before the time it named, and everything after it."""
    time = Time()
    paced = limiter(store, time, rolling(40, 2))
    paced.acquire(1)
    paced.refused("burst", 7)
    paced.refused("burst", 3)  # a shorter one does not cut the longer one short
    paced.acquire(1)
    assert time.now == NOON + 7


def test_a_long_refusal_is_a_pause(store: Store) -> None:
    """`Retry-After: 3600` ends the run, naming the limit that refused and when to go on."""
    time = Time()
    paced = limiter(store, time, rolling(40, 2, "minute"))
    paced.refused("minute", 3600)
    with pytest.raises(QuotaExhausted) as caught:
        paced.acquire(1)
    assert (caught.value.limit, caught.value.until) == ("minute", NOON + 3600)


def test_a_refused_day_is_spent_whatever_we_counted(store: Store) -> None:
    """Others may have spent it: the day is closed for us and for every other process on the store."""
    time = Time()
    day = daily(1000)
    limiter(store, time, day).refused("day", 0)
    other = limiter(store, time, day)
    assert other.remaining(day) == 0
    with pytest.raises(QuotaExhausted) as caught:
        other.acquire(1)
    assert caught.value.until == MIDNIGHT + DAY


def test_a_refusal_just_after_midnight_does_not_cost_the_new_day(store: Store) -> None:
    """The platform's clock may be behind ours: wait two minutes and ask again instead of closing the day."""
    time = Time(MIDNIGHT + 5)
    day = daily(1000)
    paced = limiter(store, time, day)
    paced.refused("day", 0)
    paced.acquire(1)
    assert time.now == MIDNIGHT + 120
    assert paced.remaining(day) == 999


def test_a_clock_that_was_ahead_costs_one_window(store: Store) -> None:
    """Spending booked by a clock an hour ahead does not hold calls up for an hour at a stretch."""
    time = Time(NOON + 3600)
    paced = limiter(store, time, rolling(1, 2))
    paced.acquire(1)
    time.now = NOON
    with pytest.raises(Stopped):
        RateLimiter(store, "a", (rolling(1, 2),), "any", 1, clock=Clock(lambda: time.now, stop_after(2.2))).acquire(1)


class Stopped(Exception):
    """The test has seen enough."""


def stop_after(most: float):  # type: ignore[no-untyped-def]
    def sleep(seconds: float) -> None:
        assert seconds <= most
        raise Stopped

    return sleep


# -- threads


def test_threads_share_the_burst_fairly_and_keep_the_limit(store: Store) -> None:
    """Sixteen threads on one pacer: the true window holds, and none gets more than another."""
    paced = RateLimiter(store, "a", (rolling(40, 0.4),), "any", 1)
    sent = [(paced.acquire(1).at, 1.0) for _ in range(40)]  # from here on all of them have to wait
    counts = [0] * 16
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            sent.append((paced.acquire(1).at, 1.0))
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    stop.wait(2.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert most_in_a_rolling_window(sent, 0.4) <= 40
    assert len(sent) >= 0.5 * 40 * 2.5 / 0.4  # the exact share is measured in simulated time: machines may be busy
    assert max(counts) - min(counts) <= 2
    assert paced.calls == len(sent)


def test_a_waiting_call_does_not_hold_up_what_may_go(store: Store) -> None:
    """While one thread waits for the search limit, others call, are refused and learn from headers."""
    burst = rolling(1000, 2, headers=HEADERS)
    asleep, go = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        asleep.set()
        go.wait(5)

    time = Time()
    paced = RateLimiter(
        store, "a", (burst, rolling(1, 60, "search", general=False)), "any", 1, clock=Clock(lambda: time.now, sleep)
    )
    paced.acquire(1, ("search",))
    waiting = threading.Thread(target=paced.acquire, args=(1, ("search",)))
    waiting.start()
    assert asleep.wait(5)
    paced.observe({"x-limit": "500", "x-left": "400"}, paced.acquire(1))
    assert paced.allowance(burst) == 500
    time.now += 70
    go.set()
    waiting.join(5)
    assert not waiting.is_alive()


def test_turns_are_taken_in_the_order_of_asking_and_survive_an_interruption() -> None:
    """First come, first served; a turn that ends in an exception is passed on all the same."""
    turns, order = FairLock(), []
    started = [threading.Event() for _ in range(4)]

    def ask(number: int) -> None:
        started[number].set()
        with turns.turn():
            order.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    with pytest.raises(KeyboardInterrupt), turns.turn():
        for number, thread in enumerate(threads):
            thread.start()
            assert started[number].wait(5)
            while len(turns._queue) <= number:  # asked, not only started
                pass
        raise KeyboardInterrupt
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3]
    with turns.turn():
        order.append(4)


def test_two_processes_worth_of_threads_on_one_store_keep_the_limit(tmp_path: Path) -> None:
    """Two stores opened on one file, as two processes would: together they stay within the limit."""
    sent: list[tuple[float, float]] = []
    stores = [open_store(str(tmp_path / "s.sqlite")) for _ in range(2)]
    stop = threading.Event()

    def work(store: Store) -> None:
        paced = RateLimiter(store, "a", (rolling(20, 0.5),), "any", 1)
        while not stop.is_set():
            sent.append((paced.acquire(1).at, 1.0))

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    stop.wait(2)
    stop.set()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert most_in_a_rolling_window(sent, 0.5) <= 20
    assert len(sent) >= 0.5 * 20 * 2 / 0.5


def test_the_books_do_not_grow(store: Store) -> None:
    """Slots no window reaches any more are dropped: a long run leaves no more rows than a short one."""
    time = Time()
    paced = limiter(store, time, rolling(10, 2), daily(1e9))
    for _ in range(1000):
        paced.acquire(1)
        time.now += 0.5
    with store.begin() as connection:
        rows = connection.exec_driver_sql("SELECT COUNT(*) FROM quota").scalar_one()
    assert rows <= 1000


# -- waits that the platform asks for


def test_a_wait_that_was_asked_for_holds_in_the_next_run(tmp_path: Path) -> None:
    """Told to come back in an hour, a run pauses until then; another pacer on the same store does the same, and no longer."""
    time = Time()
    clock = Clock(lambda: time.now, time.sleep)
    day = Limit("day", "calls", {"*": 100.0}, 86_400.0, "calendar")
    store = open_store(str(tmp_path / "told.sqlite"))
    first = RateLimiter(store, "acme", (day,), "any", 1, clock=clock)
    first.acquire(1)
    until = time.now + 3600
    first.refused("day", 3600.0, told=True)
    for limiter in (first, RateLimiter(store, "acme", (day,), "any", 1, clock=clock)):
        with pytest.raises(QuotaExhausted) as caught:
            limiter.acquire(1)
        assert caught.value.until == pytest.approx(until, abs=0.01)
    time.now = until + 1
    RateLimiter(store, "acme", (day,), "any", 1, clock=clock).acquire(1)
    assert time.naps == []
    store.close()


def test_a_clock_set_back_forgets_a_wait_instead_of_adding_to_it(store: Store) -> None:
    """A wait of ten seconds, begun by a clock that was a day ahead, does not last a day."""
    time = Time()
    limiter = RateLimiter(store, "acme", (), "any", 1, clock=Clock(lambda: time.now, time.sleep))
    limiter.refused("", 10.0, told=True)
    time.now -= 86_400
    limiter.acquire(1)
    assert sum(time.naps) <= 10


# -- calls booked ahead


@given(
    st.sampled_from([0.5, 2.0, 60.0]),
    st.lists(st.tuples(st.floats(0, 0.02), st.integers(1, 3), st.integers(0, 1)), min_size=100, max_size=300),
    st.floats(0, DAY),
)
@settings(max_examples=40)
def test_what_two_processes_book_ahead_never_breaks_a_limit(
    shared: Store, seconds: float, calls: list[tuple[float, int, int]], start: float
) -> None:
    """Where limits are large enough for calls to be booked ahead, the last hundred units before each are kept all the same."""
    every = (Limit("burst", "cost", {"*": 3000.0}, seconds, "rolling"), Limit("day", "cost", {"*": 8000.0}, DAY, "calendar"))
    time = Time(MIDNIGHT + start)
    account = next(ACCOUNTS)
    both = [limiter(shared, time, *every, account=account, wait_for_day=True) for _ in range(2)]
    sent: list[tuple[float, float]] = []
    for idle, cost, who in [(0.0, 2900, 0), *calls, (0.0, 2900, 1), *calls]:
        time.now += idle
        assert both[who].acquire(cost).at == time.now
        sent.append((time.now, cost))
    for limit in every:
        assert LARGEST[limit.window](sent, limit.seconds) <= limit.amount["*"] + EPSILON
    for each in both:
        each.release()
    spent = sum(units for at, units in sent if at >= time.now // DAY * DAY)
    assert both[0].remaining(every[1]) == 8000 - spent


def test_calls_in_quick_succession_take_few_transactions(store: Store) -> None:
    """A thousand calls on large limits are booked in a few dozen steps; small limits are booked call by call."""
    for amount, most in ((1e6, 40), (80, 80)):
        with store.begin() as connection:
            connection.exec_driver_sql("DELETE FROM quota")
        begun = []
        watched = counted(store, begun)
        paced = RateLimiter(watched, "a", (rolling(amount, 2), daily(1e9)), "any", 1, clock=Time().clock)
        for _ in range(min(1000, int(amount))):
            paced.acquire(1)
        assert len(begun) <= most and (amount > 100 or len(begun) == most)
        paced.release()


def counted(store: Store, begun: list[bool]) -> Store:
    """The same store, which counts its transactions."""

    class Counted(Store):
        def begin(self, durable: bool = False):  # type: ignore[no-untyped-def]
            begun.append(durable)
            return super().begin(durable)

    return Counted(store.engine, store.durable, store.folder)


def test_what_is_booked_ahead_is_given_back_at_the_end(store: Store) -> None:
    """Another process has all that is left of the day once the first one has ended; a killed one takes as many calls as it has made lately."""
    time, day = Time(), daily(100_000)
    first, other = limiter(store, time, day), limiter(store, time, day)
    for _ in range(200):
        first.acquire(1)
    assert first.remaining(day) == 99_800
    assert 99_600 <= other.remaining(day) < 99_800
    first.release()
    assert other.remaining(day) == 99_800


def test_a_killed_process_takes_few_calls_of_a_large_day(store: Store) -> None:
    """However large a limit is, no more than 256 calls are booked ahead: that is what a killed process takes along."""
    time, day = Time(), daily(1e9)
    paced = limiter(store, time, day)
    ahead = []
    for made in range(1, 3_001):
        paced.acquire(1)
        with store.begin() as connection:
            booked = connection.exec_driver_sql("SELECT SUM(spent) FROM quota").scalar_one()
        ahead.append(booked - made)
    assert 100 < max(ahead) < 256


def test_an_idle_process_holds_nothing_for_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called for a while: what was booked ahead is given back without a call."""
    monkeypatch.setattr("engine.connector.rate_limit.GIVE_BACK", 0.05)
    day = daily(100_000)
    first, other = (RateLimiter(store, "a", (day,), "any", 1, clock=Time().clock) for _ in range(2))
    for _ in range(10):
        first.acquire(1)
    done = threading.Event()
    for _ in range(100):
        if other.remaining(day) == 99_990:
            return
        done.wait(0.05)
    assert other.remaining(day) == 99_990


def test_a_platform_that_asks_to_wait_stops_what_was_booked_ahead(store: Store) -> None:
    """A refusal holds for the calls that are booked already."""
    time = Time()
    paced = limiter(store, time, rolling(1e6, 2))
    for _ in range(10):
        paced.acquire(1)
    paced.refused("burst", 7)
    paced.acquire(1)
    assert time.now == NOON + 7
