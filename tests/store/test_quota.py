"""What accounts have spent, in slots, and that processes cannot spend the same unit twice."""

from __future__ import annotations

import threading

from engine.connector.model import Limit
from engine.connector.rate_limit import Clock, RateLimiter
from engine.store.quota import book, booked, forget_before
from engine.store.tables import Store, hold


def test_spending_adds_up_in_its_slot(store: Store) -> None:
    """Two bookings in one slot are one row; limits and accounts are apart; slots come oldest first."""
    with store.begin() as connection:
        hold(connection, "quota", "a")
        book(connection, "a", [("burst", 7, 1.0), ("day", 1, 10.0)])
        book(connection, "a", [("burst", 7, 1.0), ("burst", 5, 1.0), ("burst", 7, 0.5)])
        book(connection, "b", [("burst", 7, 100.0)])
        book(connection, "a", [])
        assert booked(connection, "a", {"burst": 5, "day": 1, "none": 0}) == {
            "burst": [(5, 1.0), (7, 2.5)], "day": [(1, 10.0)], "none": [],
        }  # fmt: skip
        assert booked(connection, "a", {"burst": 6}) == {"burst": [(7, 2.5)]}


def test_old_slots_are_dropped(store: Store) -> None:
    """Only those of one account's one limit, and only before the slot named."""
    with store.begin() as connection:
        for account in ("a", "b"):
            book(connection, account, [("burst", slot, 1.0) for slot in (1, 2, 3)])
        forget_before(connection, "a", "burst", 3)
        assert booked(connection, "a", {"burst": 0}) == {"burst": [(3, 1.0)]}
        assert len(booked(connection, "b", {"burst": 0})["burst"]) == 3


def test_the_last_unit_is_spent_once(store: Store) -> None:
    """Eight pacers at once, as eight processes, on a day of 100 units: exactly 100 calls go out."""
    limit = Limit("day", "calls", {"*": 100.0}, 86_400.0, "calendar")
    sent: list[int] = []
    barrier = threading.Barrier(8)

    class Enough(Exception):
        """The day is spent."""

    def stop(_: float) -> None:
        raise Enough

    def work(number: int) -> None:
        paced = RateLimiter(store, "a", (limit,), "any", 1, clock=Clock(sleep=stop), wait_for_day=True)
        barrier.wait()
        try:
            while True:
                paced.acquire(1)
                sent.append(number)
        except Enough:
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 100
