"""A turn that a worker takes, with a process of its own, against accounts that let it come no further than the test wants."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.store.lease import lease
from engine.store.tables import open_store
from fleet import process, queue, worker
from fleet.ending import HEALTHY, Ended, Goal, Next
from fleet.records import database, figures, members, occupancy, turns
from fleet.records.members import Member
from fleet.secrets import Secrets
from fleet.waits import BUSY, POLLS, ROOM
from tests import postgres
from tests.e2e.driving import SPEC, checkout
from tests.fleet.commands import typed

KEY = "k3y-0f-nobody"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The spec of a project, which no test changes."""
    return str(checkout(tmp_path_factory.mktemp("project")) / SPEC)


@pytest.fixture(scope="module")
def registered(fresh: str, spec: str) -> Iterator[str]:
    """A fleet with one migration, to be copied."""
    with postgres.database(fresh) as made:
        typed(made, "add", "acme", spec)
        yield made


@pytest.fixture
def url(registered: str) -> Iterator[str]:
    """A fleet with one migration."""
    with postgres.database(registered) as made:
        yield made


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """Its connections."""
    made = database.connect(url)
    yield made
    made.dispose()


def crew(engine: sa.Engine, tmp_path: Path, at: str = "http://127.0.0.1:9", seconds: float = 60.0, owner: str = "owner@example.com") -> worker.Worker:
    """A worker whose accounts are at an address."""
    keys = {"STEL_ORDER_API_KEY": KEY, "STEL_ORDER_BASE_URL": f"{at}/app", "PIPEDRIVE_API_TOKEN": KEY, "PIPEDRIVE_BASE_URL": at,
            "FALLBACK_OWNER_EMAIL": owner}  # fmt: skip
    command = "sh -c '{}'".format("; ".join(f"echo {name}={value}" for name, value in keys.items()))
    return worker.Worker(engine, tmp_path / "work", Secrets(command=command), 1, print, slice=seconds)


def take(url: str, engine: sa.Engine, by: worker.Worker, stage: str) -> Member:
    """One turn of a migration, to its end; what the migration does then."""
    typed(url, "start", "acme", stage)
    again = 0.0
    try:
        asyncio.run(worker.turn(by, "acme", members.member(engine, "acme").job))
    except queue.Again as follows:
        again = follows.at
    of = members.member(engine, "acme")
    assert again == (pytest.approx(of.at) if of.state in ("queued", "paused", "retrying") else 0.0), "a job is put back where a turn follows"
    return of


def accounts(engine: sa.Engine) -> set[str]:
    """Whose accounts are taken."""
    with engine.connect() as connection:
        return {*connection.execute(sa.text("SELECT name FROM occupied")).scalars()}


def asked(engine: sa.Engine, statement: str) -> None:
    """Change something in the database."""
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


@pytest.mark.fleet
def test_accounts_stay_taken_by_a_turn_that_never_had_its_store(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """Who holds the store may be at work on them; a turn that has worked on it frees them, whatever its code."""
    by = crew(engine, tmp_path)
    with closing(open_store(database.store_of(engine, "acme"))) as store, lease(store):
        of = take(url, engine, by, "verify")
        assert (of.state, figures.turns_of(engine, "acme")[0].code) == ("retrying", 5) and accounts(engine) == {"acme"}
    typed(url, "stop", "acme")
    assert take(url, engine, by, "verify").state == "waiting"
    assert figures.turns_of(engine, "acme")[0].code == 2 and accounts(engine) == set()


def test_hours_of_work_end_a_count_of_failures(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """How long a turn has worked is counted from when it was taken."""
    by = replace(crew(engine, tmp_path), secrets=Secrets(command="false"))
    for lasted, failures in ((0.0, 3), (HEALTHY + 60, 1)):
        typed(url, "start", "acme", "verify")
        of = members.member(engine, "acme")
        assert of.goal is not None
        of = replace(of, failures=2, goal=replace(of.goal, failed=3))
        assert of.goal is not None
        begun = turns.begin(engine, of, "verify", "a:1", time.time())
        with pytest.raises(queue.Again):
            asyncio.run(worker._taken(by, of, of.goal, begun, time.time() - lasted))
        assert members.member(engine, "acme").failures == failures
        typed(url, "stop", "acme")


@contextmanager
def refusing(calls: list[str] | None = None) -> Iterator[str]:
    """A platform that takes no key, and repeats the one that it was given; what it was asked."""

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if calls is not None:
                calls.append(self.path)
            said = f'{{"error": "the key {KEY} is none"}}'.encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.fleet
def test_a_key_that_is_refused_waits_for_a_person(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """It is not tried again, the key is told nowhere, and the accounts are free: the store was had."""
    with refusing() as where:
        of = take(url, engine, crew(engine, tmp_path, where), "sample")
    (turn,) = figures.turns_of(engine, "acme")
    assert (of.state, of.failures, turn.code) == ("waiting", 0, 3) and KEY not in of.reason + turn.reason, of
    assert accounts(engine) == set() and "today" in turn.verdict


def test_a_reason_tells_no_secret(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """No value of a migration's variables but addresses is told, and a file is named as in its project, not as in a worker's folder."""
    of = take(url, engine, crew(engine, tmp_path, owner="pa55word-in-the-wrong-place"), "sample")
    assert of.state == "waiting" and "'***' is not an e-mail address" in of.reason and "pa55word" not in of.reason
    assert of.reason.startswith(f"{SPEC}:"), of.reason


def test_a_turn_that_waited_too_long_for_a_place_is_not_begun(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """Its time was there when it was queued, and is over now: a person is needed."""
    typed(url, "start", "acme", "run")
    until = "UPDATE migrations SET at = {0}, goal = jsonb_set(goal::jsonb, '{{until}}', '{1}')::text WHERE name = 'acme'"
    asked(engine, until.format(time.time() - 60, time.time() - 30))
    asyncio.run(worker.turn(crew(engine, tmp_path), "acme", members.member(engine, "acme").job))
    of = members.member(engine, "acme")
    assert of.state == "waiting" and of.reason.endswith("the time it was given is over") and figures.turns_of(engine, "acme") == []


@pytest.mark.fleet
def test_a_turn_that_makes_room_comes_after_who_waits(url: str, engine: sa.Engine, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one asks for the account before it does."""
    monkeypatch.setattr(process, "LOOKS", 0.2)
    typed(url, "add", "bolt", spec)
    typed(url, "start", "bolt", "sample")
    asked(engine, f"UPDATE migrations SET reason = '{occupancy.busy('acme')}' WHERE name = 'bolt'")
    open_store(database.store_of(engine, "acme")).close()
    with ThreadPoolExecutor(1) as pool, engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE etl_acme.meta"))
        of = pool.submit(take, url, engine, crew(engine, tmp_path, seconds=1.0), "sample").result(60)
    assert (of.state, figures.turns_of(engine, "acme")[0].code) == ("queued", 130)
    assert BUSY < of.at - time.time() <= BUSY + ROOM


@pytest.mark.fleet
@pytest.mark.parametrize("given", [True, False], ids=["to another", "to nobody"])
def test_a_turn_that_stood_still_before_it_had_its_store_makes_no_call(
    url: str, engine: sa.Engine, spec: str, tmp_path: Path, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its accounts were given to another migration meanwhile, it steps back when it wakes up; where nothing happened, it goes on."""
    monkeypatch.setattr(process, "LOOKS", 600.0)  # its worker stands still as well
    typed(url, "add", "bolt", spec)
    open_store(database.store_of(engine, "acme")).close()
    calls: list[str] = []
    with refusing(calls) as where, ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE etl_acme.meta"))
            taken = pool.submit(take, url, engine, crew(engine, tmp_path, where), "sample")
            postgres.wait_for("a word", lambda: accounts(engine))
            if given:
                asked(engine, "UPDATE turns SET ended = 1")
                asked(engine, "UPDATE occupied SET name = 'bolt'")
        of = taken.result(60)
    assert bool(calls) != given and of.state == ("running" if given else "waiting")
    assert accounts(engine) == ({"bolt"} if given else set())


def test_a_turn_stands_until_it_is_lost_or_had_its_share(url: str, engine: sa.Engine, spec: str, tmp_path: Path) -> None:
    """A turn makes room where it had its share and another waits, for a place or for its account; one that was taken for dead has to end."""
    typed(url, "start", "acme", "run")
    of = members.member(engine, "acme")
    by = crew(engine, tmp_path, seconds=-1.0)
    begun = turns.begin(engine, of, "run", "a:1", time.time())
    asked(engine, "UPDATE procrastinate_jobs SET status = 'doing'")

    def looked(at: float) -> str:
        return asyncio.run(worker._looked_at(by, of, begun, at))

    now = time.time()
    assert looked(now) == "goes on"
    typed(url, "add", "bolt", spec)
    typed(url, "start", "bolt", "run")
    assert looked(now) == "goes on", "a free place takes what is due at once"
    due = f"UPDATE procrastinate_jobs SET scheduled_at = now() - interval '{2 * POLLS + 1} s' WHERE lock = 'bolt'"
    asked(engine, due)
    assert looked(now) == "is over" and looked(now + 60) == "goes on"
    asked(engine, "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 h' WHERE lock = 'bolt'")
    assert looked(now) == "goes on"
    asked(engine, f"UPDATE migrations SET reason = '{occupancy.busy('acme')}' WHERE name = 'bolt'")
    assert looked(now) == "is over"
    asked(engine, "UPDATE turns SET ended = 1")
    assert looked(now) == "is lost" and looked(now + 60) == "is lost"
    asked(engine, "ALTER TABLE turns RENAME TO gone")
    assert looked(now) == "unknown"


def test_a_job_that_is_not_the_migrations_takes_no_turn(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    """A number that was replaced has nothing to do any more, whatever the queue hands out; nor is a turn begun before its time."""
    typed(url, "start", "acme", "run", "--at", "2035-12-01T00:00")
    of = members.member(engine, "acme")
    by = crew(engine, tmp_path)
    asyncio.run(worker.turn(by, "acme", of.job + 1))
    with pytest.raises(queue.Again) as again:
        asyncio.run(worker.turn(by, "acme", of.job))
    assert again.value.at == of.at
    assert figures.turns_of(engine, "acme") == [] and members.member(engine, "acme").state == "queued"


def test_a_turn_takes_its_files_with_their_secrets(url: str, engine: sa.Engine, spec: str, tmp_path: Path) -> None:
    """Where a migration is registered anew for another account just when a turn begins, the new files do not go with the keys of the old one."""
    typed(url, "start", "acme", "sample")
    of, asked_for = members.member(engine, "acme"), tmp_path / "asked for"
    assert of.goal is not None
    begun = turns.begin(engine, of, "sample", "a:1", time.time())
    typed(url, "add", "acme", spec, "--secrets", "another")
    by = replace(crew(engine, tmp_path), secrets=Secrets(command=f"sh -c 'echo $0 > \"{asked_for}\"'"))
    asyncio.run(worker._taken(by, of, of.goal, begun, time.time()))
    assert asked_for.read_text(encoding="utf-8") == "another\n" and "another.env" in members.member(engine, "acme").reason


def test_an_end_is_entered_once_the_database_is_back(url: str, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart in the moment of an end is waited out, and what follows is counted from when it is entered."""
    monkeypatch.setattr(worker, "ASKS", 0.1)
    typed(url, "start", "acme", "run")
    of = members.member(engine, "acme")
    begun = turns.begin(engine, of, "run", "a:1", time.time())
    busy = sa.create_engine(engine.url, connect_args=database.LINK, pool_size=1, max_overflow=0, pool_timeout=0.1)

    async def entered() -> Next | None:
        held = busy.connect()
        asyncio.get_running_loop().call_later(0.5, held.close)
        return await worker._entered(crew(busy, tmp_path), of, Goal("run"), begun, Ended(75, until=5.0), {})

    assert asyncio.run(entered()) == Next("paused", pytest.approx(time.time(), abs=5))
    assert members.member(engine, "acme").state == "paused"
    busy.dispose()


def test_an_end_that_cannot_be_entered_is_given_up(url: str, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stays away has its turn closed by whoever finds it; its place is not kept for ever."""
    monkeypatch.setattr(worker, "ASKS", 0.1)
    monkeypatch.setattr(worker, "ENTERED", 0.5)
    typed(url, "start", "acme", "run")
    of = members.member(engine, "acme")
    begun = turns.begin(engine, of, "run", "a:1", time.time())
    busy = sa.create_engine(engine.url, connect_args=database.LINK, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with busy.connect(), pytest.raises(sa.exc.TimeoutError):
        asyncio.run(asyncio.wait_for(worker._entered(crew(busy, tmp_path), of, Goal("run"), begun, Ended(0), {}), 10))
    busy.dispose()
