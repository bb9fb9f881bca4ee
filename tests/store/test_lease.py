"""One command at a time on a store, whatever becomes of sessions, processes and servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.connector.model import Limit
from engine.connector.rate_limit import RateLimiter
from engine.errors import StoreError
from engine.store.lease import at_work, lease
from engine.store.tables import LEASE, Store, open_store, recall, remember
from engine.store.tokens import exchanging, keep, newest
from tests.postgres import Cluster, cluster, cut_sessions, execute
from tests.replacing import replace

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "/nowhere/etl.lock"  # of a process on another machine
HOLDER = """
import sys, time
from engine.store.lease import lease
from engine.store.tables import open_store
with lease(open_store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def stores(postgres: str) -> Iterator[tuple[Store, Store]]:
    """One database as two processes see it."""
    with closing(open_store(postgres)) as one, closing(open_store(postgres)) as other:
        yield one, other


def address(store: Store) -> str:
    return store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def alter(store: Store, **values: object) -> None:
    """Change the row that says who is at work."""
    remember(store, LEASE, json.dumps({**json.loads(recall(store, LEASE) or "{}"), **values}))


def refused(store: Store) -> str:
    """What a second command is told."""
    with pytest.raises(StoreError, match="etl status") as stop, lease(store):
        pass
    return str(stop.value)


@contextmanager
def another_process(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a store."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_command_is_refused_until_the_first_has_ended(store: Store) -> None:
    """On either database; a look at it takes nothing away."""
    other = open_store(store.engine.url.render_as_string(hide_password=False))
    with closing(other):
        with lease(store):
            assert at_work(other)
            assert "etl status SPEC" in refused(other)
            with pytest.raises(StoreError, match=r"etl status specs/crm\.yaml"), lease(other, spec="specs/crm.yaml"):
                pass
            assert at_work(other)
        assert not at_work(other)
        with lease(other) as held, held.begin(durable=True):
            assert at_work(store)


def test_a_killed_process_holds_nothing(store: Store) -> None:
    """The next command on the same machine starts at once."""
    url = store.engine.url.render_as_string(hide_password=False)
    with another_process(url) as process:
        refused(store)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not at_work(store)
        with lease(store) as held, held.begin():
            pass


def test_a_suspended_process_goes_on_holding(store: Store) -> None:
    """Stopping is not ending, however long it lasts."""
    with another_process(store.engine.url.render_as_string(hide_password=False)) as process:
        process.send_signal(signal.SIGSTOP)
        if recall(store, LEASE):
            alter(store, until=0.0)
        refused(store)


def test_a_cut_session_lets_nobody_in(stores: tuple[Store, Store]) -> None:
    """Every session of the holder is cut: a second command is still refused, and the first goes on."""
    first, second = stores
    with lease(first) as held:
        cut_sessions(address(second))
        refused(second)
        with held.begin(durable=True):
            pass


def test_who_was_taken_for_dead_writes_nothing_any_more(stores: tuple[Store, Store]) -> None:
    """A lease that ran out is taken over; the first books, plans and calls no more, and does not end the second's lease."""
    first, second = stores
    with lease(first) as held:
        alter(second, until=0.0, place=ELSEWHERE)
        with lease(second) as taken:
            for durable in (True, False):
                with pytest.raises(StoreError, match="has taken over"), held.begin(durable):
                    pass
            with pytest.raises(StoreError, match="has taken over"):
                RateLimiter(held, "a", (), "any", 1).acquire(1)
            assert taken.fence > held.fence


def test_the_end_of_one_that_was_taken_over_frees_nothing(stores: tuple[Store, Store]) -> None:
    """Its last act is fenced off too."""
    first, second = stores
    with lease(first):
        alter(second, until=0.0, place=ELSEWHERE)
        taken = lease(second)
        held = taken.__enter__()
    assert at_work(first)
    with held.begin(durable=True):
        pass
    taken.__exit__(None, None, None)
    assert not at_work(first)


def test_nobody_takes_over_in_the_middle_of_a_booking(stores: tuple[Store, Store]) -> None:
    """An open transaction of the holder keeps its lease, even where that has run out meanwhile."""
    first, second = stores
    with lease(first) as held:
        alter(second, until=0.0, place=ELSEWHERE)
        with held.begin(durable=True):
            refused(second)


def test_a_holder_on_a_machine_that_is_gone_is_waited_out(stores: tuple[Store, Store]) -> None:
    """Where nobody can tell whether the holder lives, its lease has to run out; how long that takes is told."""
    first, second = stores
    with lease(first):
        alter(second, place=ELSEWHERE)
        assert "the store is free in" in refused(second)
        assert at_work(second)


def test_a_lease_is_renewed(stores: tuple[Store, Store]) -> None:
    """It holds for as long as its process is at work, not for a time."""
    first, second = stores
    with lease(first, holds=0.6):
        alter(second, place=ELSEWHERE)
        time.sleep(1.5)
        refused(second)


def test_signing_in_and_the_quota_do_not_wait_for_each_other(store: Store) -> None:
    """A token is exchanged by a call, and each call is booked on the same account."""
    limit = Limit("burst", "calls", {"*": 100}, 10, "rolling")

    def sign_in() -> None:
        with exchanging(store, "acme"):
            RateLimiter(store, "acme", (limit,), "any", 1).acquire(1)

    signing_in = threading.Thread(target=sign_in, daemon=True)
    signing_in.start()
    signing_in.join(20)
    assert not signing_in.is_alive()


def test_tokens_are_exchanged_one_after_the_other(stores: tuple[Store, Store]) -> None:
    """A second process waits; on another account it does not."""
    first, second = stores
    order: list[str] = []

    def sign_in() -> None:
        with exchanging(second, "acme"):
            order.append(newest(second, "acme", "KEY"))

    with exchanging(first, "acme"):
        waiting = threading.Thread(target=sign_in)
        waiting.start()
        with exchanging(second, "other"):
            pass
        time.sleep(0.2)
        keep(first, "acme", "KEY", "the next one")
    waiting.join()
    assert order == ["the next one"]


def test_a_new_token_is_kept_by_one_that_was_taken_over_too(stores: tuple[Store, Store]) -> None:
    """The token before it is good for nothing any more, so it must not be lost."""
    first, second = stores
    with lease(first) as held:
        alter(second, until=0.0, place=ELSEWHERE)
        with lease(second):
            keep(held, "acme", "KEY", "the newest")
            assert newest(second, "acme", "KEY") == "the newest"


# -- servers that restart


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A server that a test may stop."""
    with cluster() as made:
        yield made


def test_a_restart_is_waited_for(own: Cluster) -> None:
    """What begins while the server is away is done when it is back, and the lease still holds."""
    with closing(open_store(own.url)) as store, closing(open_store(own.url)) as other, lease(store) as held:
        own.stop()
        back = threading.Timer(1.0, own.start)
        back.start()
        with held.begin(durable=True):
            pass
        back.join()
        refused(other)


def test_a_server_that_stays_away_is_told(own: Cluster) -> None:
    """After some time, and a transaction that is cut at once: as a failure of the store."""
    with closing(open_store(own.url)) as store:
        with pytest.raises(StoreError, match="the store failed"), store.begin() as connection:
            own.stop("immediate")
            connection.exec_driver_sql("SELECT 1")
        begun = time.monotonic()
        with pytest.raises(StoreError, match="the store failed"), replace(store, patience=1.0).begin():
            pass
        assert 1.0 <= time.monotonic() - begun < 10


# -- several stores in one database


def test_schemas_keep_stores_apart(postgres: str) -> None:
    """`?schema=NAME` is made where it is missing; its store has tables, lease and version of its own."""
    with closing(open_store(f"{postgres}?schema=one")) as one, closing(open_store(f"{postgres}?schema=two")) as two:
        remember(one, "x", "of one")
        with lease(one), lease(two):
            pass
    with closing(open_store(f"{postgres}?schema=one")) as again, closing(open_store(f"{postgres}?schema=two")) as two:
        assert (recall(again, "x"), recall(two, "x")) == ("of one", None)
    assert execute(postgres, "SELECT to_regclass('public.meta')") == [(None,)]


@pytest.mark.parametrize("name", ["One", "a b", "x;drop", "1a", "-c", "é"])
def test_odd_schemas_are_refused(name: str) -> None:
    """A name that would have to be quoted is told, before anything is connected to."""
    with pytest.raises(StoreError, match="not a schema's name"):
        open_store(f"postgresql://etl@127.0.0.1:1/x?schema={name}")
