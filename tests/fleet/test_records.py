"""What is entered about turns holds whatever a worker does that was taken for dead, and whatever it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console

from engine.errors import StoreError, UsageError
from engine.store import migrations
from engine.store.lease import lease
from engine.store.tables import open_store
from fleet import queue, status, worker
from fleet.bundle import Bundle
from fleet.ending import LOSSES, Ended, Goal, Next, after, marked
from fleet.notify import News
from fleet.records import (
    alive,
    database,
    figures,
    jobs,
    members,
    occupancy,
    registry,
    reports,
    turns,
)
from fleet.records.members import Member
from fleet.secrets import Secrets
from fleet.waits import DEAD, HEARTBEAT, UNEXPECTED
from tests import postgres
from tests.e2e.driving import SPEC

DONE = Ended(0, held=True)
IDLE = Next("idle")
RUN = Goal("run")


@pytest.fixture
def engine(fresh: str) -> Iterator[sa.Engine]:
    """A fleet's database with two migrations that rest."""
    bundle = Bundle("d" * 64, SPEC, b"")
    with postgres.database(fresh) as url:
        made = database.connect(url)
        for name in ("one", "two"):
            registry.register(made, name, bundle, version=queue.VERSION, secrets=name, approved="", settings="{}")
        yield made
        made.dispose()


def begin(engine: sa.Engine, name: str, goal: Goal = RUN) -> tuple[Member, int]:
    """A migration that a worker has begun, its job taken from the queue by worker 1."""
    with queue.opened(engine) as app, engine.begin() as connection:
        job = queue.put(app, connection, name, time.time(), queue.VERSION)
        members.aim(connection, name, goal, time.time(), job)
    asked(engine, "INSERT INTO fleet.procrastinate_workers(last_heartbeat) VALUES (now() - interval '1 hour') ON CONFLICT DO NOTHING")
    asked(engine, f"UPDATE fleet.procrastinate_jobs SET status = 'doing', worker_id = 1 WHERE id = {job}")
    of = members.member(engine, name)
    return of, turns.begin(engine, of, goal.stage, "a:1", time.time())


def asked(engine: sa.Engine, statement: str) -> list[sa.Row[tuple[object, ...]]]:
    """Ask the database."""
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement))
        return list(found) if found.returns_rows else []


def rescued(engine: sa.Engine, of: Member) -> int:
    """The number of the job that goes on for one whose worker is gone; 0 where none is needed."""
    found = queue.rescued(engine, of.name, of.job, 1, queue.queue_of(of.version))
    return members.member(engine, of.name).job if found else 0


def swept(engine: sa.Engine, idle: float = DEAD) -> list[str]:
    """What any worker does every few seconds; what it says is shown where a test fails."""
    return [of.name for of in queue.swept(engine, print, idle)]


def test_a_turn_that_was_taken_for_dead_ends_nothing(engine: sa.Engine) -> None:
    """A late end changes neither the state nor the accounts of the turn that has taken over."""
    of, first = begin(engine, "one")
    assert occupancy.occupy(engine, first, "one", ["account"], time.time()) == ""
    assert rescued(engine, of) != of.job
    again = members.member(engine, "one")
    second = turns.begin(engine, again, "run", "b:2", time.time())
    assert occupancy.occupy(engine, second, "one", ["account"], time.time()) == ""

    assert turns.end(engine, first, of, DONE, IDLE, time.time(), {}) is None
    assert occupancy.occupy(engine, first, "one", ["account"], time.time()) == "one"
    assert members.member(engine, "one").state == "running"
    other, third = begin(engine, "two")
    assert occupancy.occupy(engine, third, other.name, ["account"], time.time()) == "one"
    assert turns.end(engine, second, again, DONE, IDLE, time.time(), {}) == IDLE
    assert occupancy.occupy(engine, third, other.name, ["account"], time.time()) == ""


def test_a_job_is_lost_once(engine: sa.Engine) -> None:
    """Two workers that look for jobs of dead ones queue each once; one that a worker has again is left."""
    of, _ = begin(engine, "one")
    job = rescued(engine, of)
    assert job and rescued(engine, of) == 0
    assert [row[0] for row in asked(engine, "SELECT id FROM procrastinate_jobs")] == [job]


def test_a_stop_holds_whatever_the_worker_does(engine: sa.Engine) -> None:
    """A turn does not begin after a stop, its end is not followed by another, and its accounts are free once its worker is gone."""
    of, turn = begin(engine, "one")
    occupancy.occupy(engine, turn, "one", ["account"], time.time())
    with queue.opened(engine) as app, engine.begin() as connection:
        members.halt(connection, "one")
        queue.take_out(app, connection, of.job)
    assert turns.begin(engine, of, "run", "b:2", time.time()) == 0
    assert members.is_going(engine, "one")
    assert rescued(engine, of) == 0
    assert not members.is_going(engine, "one")
    assert asked(engine, "SELECT * FROM procrastinate_jobs") == []
    assert swept(engine) == [] and asked(engine, "SELECT * FROM occupied") == []


def test_accounts_stay_taken_while_the_store_is_held(engine: sa.Engine) -> None:
    """A process that was taken for dead keeps others from its accounts for as long as it holds the store; then it cannot go on."""
    of, turn = begin(engine, "one")
    occupancy.occupy(engine, turn, "one", ["account"], time.time())
    with closing(open_store(database.store_of(engine, "one"))) as store:
        with lease(store) as held:
            assert rescued(engine, of)
            swept(engine)
            assert asked(engine, "SELECT name FROM occupied") == [("one",)]
            other, begun = begin(engine, "two")
            assert occupancy.occupy(engine, begun, other.name, ["account"], time.time()) == "one"
        swept(engine)
        assert asked(engine, "SELECT name FROM occupied") == []
        with pytest.raises(StoreError, match="taken over"), held.begin():
            pass


def test_a_turn_that_found_its_store_held_keeps_its_accounts(engine: sa.Engine) -> None:
    """Whatever follows, a stop included: who holds the store may be at work on them."""
    of, turn = begin(engine, "one")
    occupancy.occupy(engine, turn, "one", ["account"], time.time())
    with engine.begin() as connection:
        members.halt(connection, "one")
    turns.end(engine, turn, of, Ended(5, "held"), Next("retrying", 5.0), time.time(), {})
    assert asked(engine, "SELECT name FROM occupied") == [("one",)]
    with pytest.raises(UsageError, match="just ending"):
        registry.remove(engine, "one")
    asked(engine, "DELETE FROM procrastinate_jobs")
    swept(engine)
    registry.remove(engine, "one")
    assert [of.name for of in members.members(engine)] == ["two"]


def test_a_job_that_its_worker_has_forgotten_goes_on(engine: sa.Engine) -> None:
    """A worker that lives and could not put a job back into the queue has it for ever: it gets another number."""
    of, turn = begin(engine, "one")
    asked(engine, "UPDATE procrastinate_workers SET last_heartbeat = now()")
    assert swept(engine, idle=0.0) == []
    turns.end(engine, turn, of, Ended(75, held=True), Next("paused", 5.0), time.time(), {})
    assert swept(engine) == []
    time.sleep(0.1)
    assert swept(engine, idle=0.05) == ["one"]
    assert asked(engine, "SELECT status::text FROM procrastinate_jobs") == [("todo",)]
    assert members.member(engine, "one").state == "paused"


def test_a_turn_that_no_job_has_is_closed(engine: sa.Engine) -> None:
    """Its worker was stopped just when it began: nothing stands in the way of a removal."""
    _, turn = begin(engine, "one")
    swept(engine)
    assert turns.goes_on(engine, turn)
    with engine.begin() as connection:
        members.halt(connection, "one")
    asked(engine, "DELETE FROM procrastinate_jobs")
    swept(engine)
    assert not turns.goes_on(engine, turn)


def test_a_dead_turns_transaction_is_ended(engine: sa.Engine) -> None:
    """Where a machine is gone in the middle of a booking, its session does not keep the store from the next turn."""
    of, _ = begin(engine, "one")
    with closing(open_store(database.store_of(engine, "one"))) as store:
        with pytest.raises(StoreError, match="failed"), lease(store) as held, held.begin(durable=True) as booking:
            assert rescued(engine, of)
            booking.execute(sa.text("SELECT 1"))
        with lease(store):
            pass


def test_files_that_nothing_uses_are_forgotten(engine: sa.Engine) -> None:
    """An archive stays as long as a migration is made of it."""
    bundle = Bundle("e" * 64, SPEC, b"")
    for name, left in (("one", 2), ("two", 1)):
        registry.register(engine, name, bundle, version=queue.VERSION, secrets=name, approved="", settings="{}")
        assert asked(engine, "SELECT count(*) FROM bundles") == [(left,)]
    assert registry.bundle_of(engine, "two").digest == bundle.digest


def test_an_end_after_a_stop_is_entered_without_what_follows(engine: sa.Engine) -> None:
    """The turn that was under way ends, and the migration stays stopped."""
    of, turn = begin(engine, "one")
    with engine.begin() as connection:
        members.halt(connection, "one")
    follows = turns.end(engine, turn, of, Ended(130), Next("queued", 5.0), time.time(), {})
    assert follows == Next("stopped") and members.member(engine, "one").state == "stopped"


def test_a_migration_without_its_job_gets_another(engine: sa.Engine) -> None:
    """What has something to do and no job is queued anew, and a job that nobody wants is taken out, though its worker lives."""
    of, turn = begin(engine, "one")
    turns.end(engine, turn, of, DONE, IDLE, time.time(), {})
    begin(engine, "two")
    asked(engine, "UPDATE procrastinate_jobs SET status = 'failed' WHERE lock = 'two'")
    asked(engine, "UPDATE turns SET ended = 1")
    assert swept(engine) == ["two"]
    assert asked(engine, "SELECT lock, status::text FROM procrastinate_jobs") == [("two", "todo")]
    assert swept(engine) == []


def test_another_version_takes_over_what_rests_only(engine: sa.Engine) -> None:
    """Files of another version of etl are not registered under a migration that the old one has in its queue."""
    begin(engine, "one")
    bundle = Bundle("d" * 64, SPEC, b"")
    with pytest.raises(UsageError, match="stop it before"):
        registry.register(engine, "one", bundle, version="9.9", secrets="one", approved="", settings="{}")
    assert registry.register(engine, "two", bundle, version="9.9", secrets="two", approved="", settings="{}")



def test_a_report_of_a_turn_that_was_taken_for_dead_is_not_kept(engine: sa.Engine) -> None:
    """What comes late replaces no newer report."""
    of, first = begin(engine, "one")
    rescued(engine, of)
    second = turns.begin(engine, members.member(engine, "one"), "run", "b:2", time.time())
    reports.keep(engine, "one", second, {"report.html": b"new"})
    reports.keep(engine, "one", first, {"report.html": b"old"})
    assert reports.last(engine, "one") == {"report.html": b"new"}


def test_an_account_stays_taken_after_an_end_that_never_had_the_store(engine: sa.Engine) -> None:
    """Another process may have it: whatever code such a turn ends with."""
    of, turn = begin(engine, "one")
    occupancy.occupy(engine, turn, "one", ["account"], time.time())
    turns.end(engine, turn, of, Ended(70), Next("waiting"), time.time(), {})
    assert asked(engine, "SELECT name FROM occupied") == [("one",)]
    swept(engine)
    assert asked(engine, "SELECT name FROM occupied") == []


def test_what_rests_is_not_stopped(engine: sa.Engine) -> None:
    """A stop of what is done, or waits for a person, leaves it as it is, and its reason."""
    of, turn = begin(engine, "one")
    turns.end(engine, turn, of, Ended(4, "not approved"), Next("waiting", reason="not approved"), time.time(), {})
    with engine.begin() as connection:
        assert members.halt(connection, "one") == 0
        assert members.halt(connection, "two") == 0
    assert (members.member(engine, "one").state, members.member(engine, "one").reason) == ("waiting", "not approved")


def test_who_waits_is_known(engine: sa.Engine) -> None:
    """A job is due once its time has come in its own queue; a migration that another keeps from their account waits for that one."""
    begin(engine, "one")
    other, begun = begin(engine, "two")
    assert not occupancy.is_waited_for(engine, "one")
    turns.end(engine, begun, other, Ended(76), Next("queued", time.time(), reason=occupancy.busy("one")), time.time(), {})
    assert occupancy.is_waited_for(engine, "one") and not occupancy.is_waited_for(engine, "two")
    mine = queue.queue_of(queue.VERSION)
    asked(engine, "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = now() - interval '3 s' WHERE lock = 'two'")
    assert jobs.due(engine, mine, 2.0) == 1 and jobs.due(engine, mine, 4.0) == 0 and jobs.due(engine, "other", 2.0) == 0


def test_jobs_of_every_version_are_rescued(engine: sa.Engine) -> None:
    """Where the last worker of a version is gone, its job does not keep the migration from the version that it was registered in anew."""
    begin(engine, "one")
    asked(engine, "UPDATE procrastinate_jobs SET queue_name = 'etl-0.0.1'")
    with engine.begin() as connection:
        members.halt(connection, "one")
    with queue.opened(engine) as app, engine.begin() as connection:
        job = queue.put(app, connection, "one", time.time(), queue.VERSION)
        members.aim(connection, "one", Goal("run"), time.time(), job)

    async def look() -> None:
        async def nothing(name: str, job: int) -> None:
            """No turn is taken."""

        async with queue.app_for(engine, nothing).open_async() as app:
            await queue.rescue(app, engine, print, print, print)

    asyncio.run(look())
    assert asked(engine, "SELECT id, status::text FROM procrastinate_jobs") == [(job, "todo")]
    assert not members.is_going(engine, "one")


def ends(engine: sa.Engine, of: Member, turn: int, ended: Ended) -> Next | None:
    """A turn ends as its worker enters it."""
    assert of.goal is not None
    now = time.time()
    return turns.end(engine, turn, of, ended, after(of.goal, ended, of.failures, now), now, {})


def test_a_killed_delta_is_no_good_one(engine: sa.Engine, tmp_path: Path) -> None:
    """Where the last of several is cut in half and its time is over by then, a person is needed: the one before it was good, not this one."""
    of, first = begin(engine, "one", Goal("delta", every=1.0, until=time.time() + 60))
    ends(engine, of, first, DONE)
    of = members.member(engine, "one")
    assert of.state == "queued" and of.goal is not None and of.goal.good
    assert turns.begin(engine, of, "delta", "a:1", time.time())
    job = rescued(engine, of)
    asked(engine, "UPDATE migrations SET goal = jsonb_set(goal::jsonb, '{until}', '1.0')::text WHERE name = 'one'")
    crew = worker.Worker(engine, tmp_path, Secrets(command="true"), 1, print)
    asyncio.run(worker.turn(crew, "one", job))
    after_it = members.member(engine, "one")
    assert (after_it.state, after_it.reason) == ("waiting", "it is not done – the time it was given is over")


@pytest.mark.parametrize(
    ("ended", "left"),
    [(Ended(75, held=True), False), (Ended(3, held=True), False), (Ended(130, held=True), False), (Ended(76), True), (Ended(5), True)],
    ids=["paused", "refused", "interrupted", "the account is busy", "the store is held"],
)
def test_a_yes_is_for_one_turn(engine: sa.Engine, ended: Ended, left: bool) -> None:
    """What a person has said yes to is carried out once: it is said again only to a turn after one that never had the store."""
    of, turn = begin(engine, "one", Goal("run", yes=True))
    assert of.goal is not None and of.goal.yes
    ends(engine, of, turn, ended)
    goal = members.member(engine, "one").goal
    assert goal is not None and goal.yes == left


def test_a_killed_turn_takes_its_yes_with_it(engine: sa.Engine) -> None:
    """Nobody knows how far it came: the next turn asks again."""
    of, _ = begin(engine, "one", Goal("run", yes=True))
    rescued(engine, of)
    goal = members.member(engine, "one").goal
    assert goal is not None and not goal.yes


def test_a_refused_turn_frees_nothing_of_a_dead_one(engine: sa.Engine) -> None:
    """Accounts that are kept for a turn that was taken for dead stay taken where the next one is refused another account, and nothing new is kept."""
    of, first = begin(engine, "one")
    occupancy.occupy(engine, first, "one", ["x"], time.time())
    _, other = begin(engine, "two")
    occupancy.occupy(engine, other, "two", ["y"], time.time())
    rescued(engine, of)
    of = members.member(engine, "one")
    second = turns.begin(engine, of, "run", "b:2", time.time())
    assert occupancy.occupy(engine, second, "one", ["z", "y"], time.time()) == "two"
    kept = "SELECT account, name FROM occupied ORDER BY account"
    assert asked(engine, kept) == [("x", "one"), ("y", "two")]
    assert occupancy.occupy(engine, second, "one", ["z"], time.time()) == ""
    assert asked(engine, kept) == [("x", "one"), ("y", "two"), ("z", "one")]
    ends(engine, of, second, DONE)
    assert asked(engine, kept) == [("y", "two")]


def left_by_a_killed_worker(engine: sa.Engine, *names: str) -> None:
    """Migrations with an account each, a store, and no turn that goes on."""
    for name in names:
        _, turn = begin(engine, name)
        occupancy.occupy(engine, turn, name, [f"of {name}"], time.time())
        open_store(database.store_of(engine, name)).close()
    asked(engine, "UPDATE turns SET ended = 1")


def test_a_store_that_cannot_be_opened_keeps_its_own_accounts_only(engine: sa.Engine) -> None:
    """Those of all others are freed, and the log says of which migration they are not, once."""
    left_by_a_killed_worker(engine, "one", "two")
    asked(engine, "UPDATE etl_one.meta SET value = '99' WHERE name = 'version'")
    said: list[str] = []
    once = queue._once(said.append)
    for _ in range(2):
        queue.freed(engine, once)
    assert asked(engine, "SELECT name FROM occupied") == [("one",)]
    assert len(said) == 1 and said[0].startswith("one: its accounts stay taken: ") and "newer etl" in said[0]


@pytest.mark.parametrize("lives", [True, False], ids=["a worker of it lives", "none lives"])
@pytest.mark.parametrize("same_store", [True, False], ids=["a store of now", "an older store"])
def test_accounts_of_another_version_are_left_to_its_workers(
    engine: sa.Engine, lives: bool, same_store: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are freed by others only where none of these lives, and only over a store that is opened as it is: it is never brought up."""
    left_by_a_killed_worker(engine, "one")
    asked(engine, "UPDATE migrations SET version = '0.0.1' WHERE name = 'one'")
    version = "SELECT value FROM etl_one.meta WHERE name = 'version'"
    if not same_store:  # an etl that has one more step
        monkeypatch.setattr(migrations.bring_up, "__defaults__", ((*migrations.MIGRATIONS, lambda _: None),))
        monkeypatch.setattr(occupancy, "VERSION", occupancy.VERSION + 1)
    before = asked(engine, version)
    if lives:
        alive.seen(engine, "a:1", "0.0.1")
    swept(engine)
    assert asked(engine, "SELECT name FROM occupied") == ([] if same_store and not lives else [("one",)])
    assert asked(engine, version) == before


def test_a_turn_that_begins_while_others_are_closed_goes_on(engine: sa.Engine) -> None:
    """A turn that no job had is closed by itself: the one that another worker begins at that moment has the same name and is another."""
    of, first = begin(engine, "one")
    asked(engine, "UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL")
    begun: list[int] = []

    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE fleet.turns") and not begun:
            begun.append(0)
            asked(engine, "UPDATE procrastinate_jobs SET status = 'doing', worker_id = 1")
            begun[0] = turns.begin(engine, of, "run", "b:2", time.time())

    with engine.connect() as connection, connection.begin():
        sa.event.listen(connection, "before_cursor_execute", meanwhile)
        jobs.close_left(connection, time.time())
    assert begun[0] and turns.goes_on(engine, begun[0]) and not turns.goes_on(engine, first)


def test_a_goal_of_a_newer_etl_is_read(engine: sa.Engine) -> None:
    """What only a newer version says of a goal keeps no command of an older one from the rest."""
    begin(engine, "one", Goal("run", remake_fields=True))
    asked(engine, "UPDATE migrations SET goal = jsonb_set(goal::jsonb, '{newer}', '1')::text WHERE name = 'one'")
    goal = members.member(engine, "one").goal
    assert goal == Goal("run")


@pytest.mark.parametrize("word", ["remake_fields", "refresh"])
def test_what_is_said_to_one_turn_is_left_by_one_that_had_no_store(engine: sa.Engine, word: str) -> None:
    """Fields are made anew, and the source is read again, by one turn that has the store."""
    of, turn = begin(engine, "one", Goal("run", **{word: True}))
    ends(engine, of, turn, Ended(76))
    of = members.member(engine, "one")
    assert of.goal is not None and getattr(of.goal, word)
    turn = turns.begin(engine, of, "run", "a:1", time.time())
    ends(engine, of, turn, Ended(75, held=True))
    goal = members.member(engine, "one").goal
    assert goal is not None and not getattr(goal, word)


def test_old_turns_and_events_are_forgotten(engine: sa.Engine) -> None:
    """The newest turns of each migration stay, and the last of each kind that a table still shows; of the queue's events, those of a day."""
    values = "(name, stage, worker, began, ended, code, verdict)"
    asked(engine, f"INSERT INTO turns {values} VALUES ('one', 'plan', 'a:1', 1, 2, 0, '{{\"calls\": 5}}')")
    many = f"INSERT INTO turns {values} SELECT 'one', 'delta', 'a:1', 1, 2, 0, '{{}}' FROM generate_series(1, {turns.KEPT + 50})"
    asked(engine, many)
    asked(engine, f"INSERT INTO turns {values} VALUES ('two', 'run', 'a:1', 1, 0, NULL, '{{}}')")
    begin(engine, "two")
    asked(engine, "UPDATE procrastinate_events SET at = now() - interval '25 hours'")
    begin(engine, "one")
    fresh = asked(engine, "SELECT id FROM procrastinate_events WHERE at > now() - interval '1 hour'")
    turns.forget_old(engine)
    count = "SELECT count(*) FROM turns WHERE name = 'one'"
    plan = figures.last_done(engine, "one", ("plan",))
    assert asked(engine, count) == [(turns.KEPT + 1,)] and plan is not None and plan.verdict == {"calls": 5}
    assert asked(engine, "SELECT count(*) FROM turns WHERE name = 'two'") == [(2,)]
    assert fresh and asked(engine, "SELECT id FROM procrastinate_events") == fresh


# -- turns that take their workers along


def look(engine: sa.Engine) -> tuple[list[str], list[News]]:
    """What a worker tells that looks for jobs of dead ones, and what it has people hear."""
    told: list[str] = []
    heard: list[News] = []

    async def looks() -> None:
        async def nothing(name: str, job: int) -> None:
            """No turn is taken."""

        async with queue.app_for(engine, nothing).open_async() as app:
            await queue.rescue(app, engine, told.append, told.append, heard.append)

    asyncio.run(looks())
    return told, heard


def taken_again(engine: sa.Engine, name: str) -> tuple[Member, int]:
    """The migration's next turn, which worker 1 has begun."""
    of = members.member(engine, name)
    asked(engine, f"UPDATE fleet.procrastinate_jobs SET status = 'doing', worker_id = 1 WHERE id = {of.job}")
    return of, turns.begin(engine, of, "run", "a:1", time.time())


def test_a_turn_that_takes_its_worker_along_is_given_up(engine: sa.Engine) -> None:
    """After some lost turns in a row a person is needed, hears why, and no job goes on; started again it is begun anew."""
    begin(engine, "one")
    for _ in range(LOSSES - 1):
        assert look(engine) == (["one: its worker is gone; the turn goes on elsewhere"], [])
        assert taken_again(engine, "one")[1]
    told, (news,) = look(engine)
    of = members.member(engine, "one")
    assert of.state == "waiting" and of.reason.startswith(f"{LOSSES} turns in a row were lost with their workers")
    assert (news.name, news.stage, news.what, news.code, news.reason, news.next) == ("one", "run", "failed", None, of.reason, 0.0)
    assert told == [f"one: run is given up: {of.reason}"] and "one: 5 turns in a row" in printed(engine)
    assert asked(engine, "SELECT id FROM procrastinate_jobs WHERE lock = 'one'") == [] and not members.is_going(engine, "one")
    assert look(engine) == ([], [])

    job = started(engine, "one")
    assert taken_again(engine, "one")[1] and rescued(engine, members.member(engine, "one")) > job


def started(engine: sa.Engine, name: str) -> int:
    """A migration that somebody has started again; the number of its job."""
    with queue.opened(engine) as app, engine.begin() as connection:
        job = queue.put(app, connection, name, time.time(), queue.VERSION)
        members.aim(connection, name, RUN, time.time(), job)
    return job


def printed(engine: sa.Engine) -> str:
    """What `status` prints."""
    out = StringIO()
    status.show(status.looked(engine), Console(file=out, width=300))
    return out.getvalue()


WRITTEN = """INSERT INTO etl_one.journal (run, object, key, resource, action, state, body, draft, before, dest_id, reason, calls, cost, at)
    VALUES (1, 'o', 'k', 'r', 'create', '{}', '', '', '', '', '', 0, 0, 0)"""
READ = "INSERT INTO etl_one.records (collection, key, digest, body, read_at, gone) VALUES ('c', clock_timestamp()::text, '', '', 0, false)"
DETAILED = "UPDATE etl_one.records SET body = '{}', read_at = 1"
THE_SAME = "UPDATE etl_one.records SET read_at = 1"
READ_ANEW = f"DELETE FROM etl_one.records; {READ}"  # after --refresh
UNDONE = "UPDATE etl_one.journal SET state = 'undone' WHERE state = 'done'"


@pytest.mark.parametrize(
    ("statement", "counts"),
    [(WRITTEN.format("done"), False), (WRITTEN.format("adopted"), False), (WRITTEN.format("kept"), False), (READ, False), (READ_ANEW, False), (DETAILED, False), (THE_SAME, True), (UNDONE, False), (WRITTEN.format("intent"), True), (WRITTEN.format("void"), True)],
    ids=["written", "taken over", "kept", "read", "read anew", "read by itself", "the same again", "undone", "only begun", "begun and not done"],
)
def test_a_turn_that_has_done_something_is_none_of_a_row(engine: sa.Engine, statement: str, counts: bool) -> None:
    """Turns on machines that come and go get on, and are never given up for that; what only tries the same again does not get on."""
    begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    asked(engine, f"{WRITTEN.format('done')}; {READ}")
    for _ in range(LOSSES - 1):
        look(engine)
        taken_again(engine, "one")
    asked(engine, statement)
    look(engine)
    assert members.member(engine, "one").state == ("waiting" if counts else "running")


def test_reading_back_is_progress_where_it_comes_further_than_before(engine: sa.Engine) -> None:
    """A comparison begins anew in each turn: turns that are lost in one get on while each of them reads back more rows than any before, and not with as many."""
    begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    for rows in (1, 2, 3, 4, 5, 6, 2, 6, 4):
        asked(engine, f"DELETE FROM etl_one.verified; INSERT INTO etl_one.verified (object, key) SELECT 'o', n::text FROM generate_series(1, {rows}) n")
        look(engine)
        assert members.member(engine, "one").state == "running", rows
        taken_again(engine, "one")
    look(engine)
    assert members.member(engine, "one").state == "waiting"


def test_a_lost_turn_of_a_newer_version_keeps_what_that_was_told(engine: sa.Engine) -> None:
    """Whoever finds its worker gone may know less of a goal than the version that it belongs to."""
    begin(engine, "one")
    asked(engine, """UPDATE migrations SET goal = (goal::jsonb || '{"later": true}')::text WHERE name = 'one'""")
    look(engine)
    ((goal,),) = asked(engine, "SELECT goal FROM migrations WHERE name = 'one'")
    of = members.member(engine, "one")
    assert json.loads(str(goal))["later"] and of.goal is not None and of.goal.lost == 1 and of.goal.stage == "run"


def test_what_people_do_in_the_source_is_no_progress_of_a_delta(engine: sa.Engine) -> None:
    """A delta whose turns end their workers before they write anything is given up, however much there is to read each time."""
    begin(engine, "one", Goal("delta"))
    open_store(database.store_of(engine, "one")).close()
    for _ in range(LOSSES):
        look(engine)
        asked(engine, READ)
        taken_again(engine, "one")
    assert members.member(engine, "one").state == "waiting"


def test_a_lost_turn_that_got_on_ends_a_count_of_failures(engine: sa.Engine) -> None:
    """A store that was held when a turn began says nothing of the next one, which has worked and was killed."""
    begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    asked(engine, READ)
    look(engine)
    for statement, failures in (("SELECT 1", 7), (READ, 0)):
        taken_again(engine, "one")
        asked(engine, "UPDATE fleet.migrations SET failures = 7")
        asked(engine, statement)
        look(engine)
        assert members.member(engine, "one").failures == failures


def test_accounts_of_a_turn_that_goes_on_stay_taken(engine: sa.Engine) -> None:
    """Its store may be free for a moment: nobody frees what it works on."""
    _, turn = begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    assert occupancy.occupy(engine, turn, "one", ["an account"], time.time()) == ""
    occupancy.free(engine, "one")
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM fleet.occupied")).scalar() == 1


def test_a_store_of_another_version_stops_no_rescue(engine: sa.Engine) -> None:
    """Where it cannot be read how far a migration is, its job goes on all the same, as often as that happens: it may have got on."""
    begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    asked(engine, "ALTER TABLE etl_one.records RENAME COLUMN seq TO number")
    for _ in range(LOSSES + 1):
        assert look(engine) == (["one: its worker is gone; the turn goes on elsewhere"], [])
        of, turn = taken_again(engine, "one")
        assert turn and of.goal is not None and of.goal.lost == 0


def test_a_store_that_is_locked_is_counted_later(engine: sa.Engine) -> None:
    """Nobody guesses how far it is: the lost turn is left to the next look, and counted once."""
    begin(engine, "one")
    open_store(database.store_of(engine, "one")).close()
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE etl_one.journal"))
        ((told, *_), _) = look(engine)
    assert told.startswith("one: its worker is gone, and it cannot go on elsewhere yet: ") and members.is_going(engine, "one")
    look(engine)
    goal = members.member(engine, "one").goal
    assert goal is not None and goal.lost == 1


@pytest.mark.parametrize(("code", "left"), [(0, 0), (75, 0), (130, 4), (5, 4), (3, 4), (76, 4)])
def test_only_a_good_end_or_a_pause_ends_a_row_of_losses(code: int, left: int) -> None:
    """A store that a lost turn has left held, or a platform that does not answer, is no work that was done."""
    assert marked(Goal("run", lost=4, mark="3 read"), Ended(code)).lost == left


def test_a_job_without_a_turn_is_no_lost_turn(engine: sa.Engine) -> None:
    """A worker that dies between two turns has lost none."""
    of, turn = begin(engine, "one")
    turns.end(engine, turn, of, Ended(75), Next("paused", 5.0), time.time(), {})
    rescued(engine, of)
    goal = members.member(engine, "one").goal
    assert goal is not None and goal.lost == 0 and members.member(engine, "one").state == "paused"


# -- accounts are asked for twice


def test_a_turn_whose_accounts_were_given_away_steps_back(engine: sa.Engine) -> None:
    """A turn that stood still between its word and its store is told that another has its accounts, also one that nobody took for dead; what was only freed is its own again."""
    of, turn = begin(engine, "one")
    assert occupancy.occupy(engine, turn, "one", ["a", "b"], time.time()) == ""
    asked(engine, "DELETE FROM occupied")
    assert occupancy.occupy(engine, turn, "one", ["a", "b"], time.time()) == ""
    whose = "SELECT account, name FROM occupied ORDER BY account"
    assert asked(engine, whose) == [("a", "one"), ("b", "one")]

    rescued(engine, of)
    swept(engine)  # nobody has its store yet
    _, other = begin(engine, "two")
    assert occupancy.occupy(engine, other, "two", ["b"], time.time()) == ""
    assert occupancy.occupy(engine, turn, "one", ["a", "b"], time.time()) == "one"
    asked(engine, f"UPDATE turns SET ended = 0 WHERE id = {turn}")
    assert occupancy.occupy(engine, turn, "one", ["a", "b"], time.time()) == "two"
    assert asked(engine, whose) == [("b", "two")]


# -- what is in the way of one holds up no other


def test_a_migration_that_somebody_holds_stops_no_rescue(engine: sa.Engine) -> None:
    """Jobs of dead workers are queued anew though one of them, the first, cannot be touched; that is said once, and it goes on later."""
    begin(engine, "one")
    begin(engine, "two")
    before = time.monotonic()
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT 1 FROM fleet.migrations WHERE name = 'one' FOR UPDATE"))
        told, _ = look(engine)
    assert time.monotonic() - before < HEARTBEAT
    assert told[0].startswith("one: its worker is gone, and it cannot go on elsewhere yet: ") and told[1:] == ["two: its worker is gone; the turn goes on elsewhere"]
    assert look(engine)[0] == ["one: its worker is gone; the turn goes on elsewhere"]


@pytest.mark.parametrize(
    "held",
    ["SELECT 1 FROM turns WHERE name = 'one' FOR UPDATE", "SELECT 1 FROM procrastinate_jobs WHERE lock = 'one' FOR UPDATE",
     "SELECT 1 FROM migrations WHERE name = 'one' FOR UPDATE", "LOCK TABLE turns IN EXCLUSIVE MODE"],
    ids=["its turn", "its job", "itself", "all turns"],
)  # fmt: skip
def test_what_a_migration_has_left_stops_no_other(engine: sa.Engine, held: str) -> None:
    """While somebody holds what one has left, another one gets its job, and its accounts are free; the first does later."""
    left_by_a_killed_worker(engine, "one", "two")
    asked(engine, "UPDATE turns SET ended = 0 WHERE name = 'one'")
    asked(engine, "UPDATE procrastinate_jobs SET status = 'failed'")
    before = time.monotonic()
    with engine.begin() as connection:
        connection.execute(sa.text(held))
        found = swept(engine)
        assert "two" in found and time.monotonic() - before < HEARTBEAT
        assert asked(engine, "SELECT status::text FROM procrastinate_jobs WHERE lock = 'two'") == [("todo",)]
        assert ("two",) not in asked(engine, "SELECT name FROM occupied")
    assert sorted([*found, *swept(engine)]) == ["one", "two"] and not members.is_going(engine, "one")
    assert asked(engine, "SELECT name FROM occupied") == []
    assert asked(engine, "SELECT lock, status::text FROM procrastinate_jobs ORDER BY lock") == [("one", "todo"), ("two", "todo")]


def test_a_queue_that_takes_no_job_holds_up_no_accounts(engine: sa.Engine) -> None:
    """What the queue's own driver says is in the way of one step as well: a job that cannot be put in is put in later, and the accounts are free meanwhile."""
    left_by_a_killed_worker(engine, "one")
    begin(engine, "two")
    asked(engine, "UPDATE turns SET ended = 1")
    asked(engine, "UPDATE procrastinate_jobs SET status = 'failed'")
    swept(engine)
    asked(engine, "DELETE FROM procrastinate_jobs")
    asked(engine, "INSERT INTO occupied VALUES ('of one', 'one')")
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE procrastinate_events IN SHARE MODE"))
        assert swept(engine) == [] and asked(engine, "SELECT name FROM occupied") == []
    assert sorted(swept(engine)) == ["one", "two"]


def test_a_forgotten_job_whose_turn_is_lost_may_be_the_last(engine: sa.Engine) -> None:
    """A worker that takes a job up again at the moment when it was found forgotten has lost that turn: where it was one too many, people hear of it."""
    of, first = begin(engine, "one", Goal("run", lost=LOSSES - 1))
    turns.end(engine, first, of, Ended(130, held=True), Next("queued", 5.0), time.time(), {})
    asked(engine, "UPDATE procrastinate_workers SET last_heartbeat = now()")
    asked(engine, "UPDATE procrastinate_events SET at = now() - interval '1 hour'")
    asked(engine, "UPDATE turns SET ended = 1")
    begun: list[int] = []

    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement and not begun:
            begun.append(0)
            begun[0] = turns.begin(engine, of, "run", "a:1", time.time())

    sa.event.listen(engine, "before_cursor_execute", meanwhile)
    told, heard = look(engine)
    after_it = members.member(engine, "one")
    assert begun[0] and after_it.state == "waiting" and told == [f"one: run is given up: {after_it.reason}"]
    assert [(news.name, news.what, news.reason) for news in heard] == [("one", "failed", after_it.reason)]


def test_a_store_that_is_locked_holds_up_no_other(engine: sa.Engine) -> None:
    """Accounts of the others are free after a glance at it."""
    left_by_a_killed_worker(engine, "one", "two")
    said: list[str] = []
    before = time.monotonic()
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE etl_one.meta"))
        queue.freed(engine, said.append)
    assert time.monotonic() - before < HEARTBEAT and asked(engine, "SELECT name FROM occupied") == [("one",)]
    assert said and said[0].startswith("one: its accounts stay taken: ")
    queue.freed(engine, said.append)
    assert asked(engine, "SELECT name FROM occupied") == []


def test_a_store_whose_server_takes_nobody_more_holds_up_no_other(engine: sa.Engine) -> None:
    """Whoever looks after accounts does not wait for it a minute, as a run that works in it would."""
    left_by_a_killed_worker(engine, "one")
    asked(engine, "DROP SCHEMA etl_one CASCADE")
    poor, here = f"poor_{os.getpid()}", engine.url.database
    asked(engine, f"CREATE ROLE {poor} LOGIN CONNECTION LIMIT 1; GRANT CREATE ON DATABASE {here} TO {poor}")  # a store has two
    theirs = sa.create_engine(engine.url.set(username=poor), connect_args=database.LINK)
    try:
        before = time.monotonic()
        occupancy.free(theirs, "one")
        assert time.monotonic() - before < HEARTBEAT and asked(engine, "SELECT name FROM occupied") == [("one",)]
        assert asked(engine, "SELECT count(*) FROM etl_one.meta") != [(0,)], "it was opened"
    finally:
        theirs.dispose()
        asked(engine, f"DROP OWNED BY {poor} CASCADE; DROP ROLE {poor}")


@pytest.mark.parametrize(
    ("raised", "waits"),
    [(queue.Again(2_000_000_000.0), None), (asyncio.CancelledError(), 0.0), (RuntimeError(), UNEXPECTED)],
    ids=["another turn", "its worker stops", "a fault"],
)
def test_a_job_is_put_back_whatever_ends_it(raised: BaseException, waits: float | None) -> None:
    """For the time of the next turn; at once where only its worker ends; a little later where nobody knows why."""
    job: Any = None
    decision = queue.Turns().get_retry_decision(exception=raised, job=job)
    assert decision is not None and decision.retry_at is not None and decision.priority == pytest.approx(queue.priority(time.time()), abs=2)
    at = 2_000_000_000.0 if waits is None else time.time() + waits
    assert decision.retry_at.timestamp() == pytest.approx(at, abs=5)


def test_a_worker_lives_however_long_it_looks_after_others(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sign of life does not wait for what it finds of others."""
    monkeypatch.setattr(queue, "HEARTBEAT", 0.1)
    begin(engine, "one")

    async def lived() -> None:
        tasks: list[asyncio.Task[None]] = []

        async def nothing(name: str, job: int) -> None:
            """No turn is taken."""

        async with queue.app_for(engine, nothing).open_async() as app:
            tasks += [asyncio.create_task(queue.rescues(app, engine, print, print)), asyncio.create_task(queue.lives(engine, "b:2"))]
            await asyncio.sleep(0.9)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with engine.begin() as connection:
        connection.execute(sa.text("SELECT 1 FROM fleet.migrations FOR UPDATE"))
        before = asked(engine, "SELECT extract(epoch FROM now())::float")[0][0]
        asyncio.run(lived())
    ((seen,),) = asked(engine, "SELECT seen FROM crew WHERE name = 'b:2'")
    assert float(str(seen)) - float(str(before)) > 0.5
