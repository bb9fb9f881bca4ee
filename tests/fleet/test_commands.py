"""What `etl fleet` refuses, keeps and brings up, with a database and without a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict

from engine.errors import StoreError, UsageError
from fleet import queue
from fleet.cli import fleet_group
from fleet.records import alive, database, members, tables
from fleet.secrets import inherited
from fleet.status import collected, summary
from tests import postgres
from tests.e2e.driving import SPEC, checkout
from tests.fleet.commands import typed

ROOT = Path(__file__).resolve().parents[2]


def registered(url: str) -> members.Member:
    """The one migration."""
    engine = database.connect(url)
    try:
        (of,) = members.members(engine)
        return of
    finally:
        engine.dispose()


def test_a_second_add_keeps_what_was_said(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and secrets stay where a mapping is registered again, unless they are said anew, and the command says so."""
    spec = str(checkout(tmp_path / "project") / SPEC)
    typed(url, "add", "acme", spec, "--set", "language=es", "--secrets", "acme_2026")
    first = registered(url)
    assert "its secrets are those of acme_2026 from now on" in capsys.readouterr().out
    typed(url, "add", "acme", spec)
    again = registered(url)
    assert (again.bundle, again.secrets, again.settings) == (first.bundle, "acme_2026", '{"language": "es"}')
    told = capsys.readouterr().out
    assert "--set language=es" in told and "its secrets are those of acme_2026, as before" in told
    typed(url, "status", "--json")
    assert json.loads(capsys.readouterr().out)["migrations"][0]["secrets"] == "acme_2026"
    typed(url, "add", "acme", spec, "--set", "language=en", "--secrets", "acme_2027")
    last = registered(url)
    assert last.bundle != first.bundle and last.secrets == "acme_2027" and last.settings == '{"language": "en"}'


def test_what_is_refused_is_told_by_its_error_alone(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of an `add` that registers nothing: neither of the first one nor of a later one whose settings and secrets are kept or changed."""
    project = checkout(tmp_path / "project")
    spec = str(project / SPEC)
    with pytest.raises(UsageError, match=r"langage.*language"):
        typed(url, "add", "acme", spec, "--set", "langage=es", "--secrets", "acme_2026")
    assert "acme" not in capsys.readouterr().out
    typed(url, "status", "--json")
    assert json.loads(capsys.readouterr().out)["migrations"] == []
    typed(url, "add", "acme", spec, "--set", "language=es", "--secrets", "acme_2026")
    before = registered(url)
    capsys.readouterr()
    with pytest.raises(UsageError, match=r"langage.*language"):
        typed(url, "add", "acme", spec, "--set", "langage=en", "--secrets", "acme_2027")
    for text in ("objects: [", "- a\n", "", "source: 3\n", "settings:\n", "\0"):
        (project / SPEC).write_text(text, encoding="utf-8")
        for more in ((), ("--set", "language=en")):
            with pytest.raises(UsageError, match=SPEC):
                typed(url, "add", "acme", spec, *more)
    assert capsys.readouterr().out == "" and registered(url) == before


def test_mistakes_are_told_by_the_name_of_their_option(url: str, tmp_path: Path) -> None:
    """A wrong time is one of the option it was written for, and no turn follows another at once."""
    typed(url, "add", "acme", str(checkout(tmp_path / "project") / SPEC))
    for words, told in (
        (("--at", "noon"), "--at 'noon'"), (("--until", "noon"), "--until 'noon'"), (("--every", "0s"), "--every"), (("--every", "0h"), "--every"),
        (("--until", "2020-01-01T00:00"), "--until is over"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=told):
            typed(url, "start", "acme", "run", *words)
    assert registered(url).state == "idle"


def test_a_migration_that_no_worker_takes_needs_somebody(url: str, tmp_path: Path) -> None:
    """Where something is to be done, and no worker of its version was seen lately, the summary says so."""
    typed(url, "add", "acme", str(checkout(tmp_path / "project") / SPEC))
    engine = database.connect(url)
    assert summary(collected(engine)).endswith("nobody is needed")
    typed(url, "start", "acme", "sample")
    assert summary(collected(engine)).endswith(f"no worker of etl {queue.VERSION} for acme")
    alive.seen(engine, "a:1", "0.0.1")
    assert "no worker" in summary(collected(engine))
    alive.seen(engine, "b:1", queue.VERSION)
    assert summary(collected(engine)).endswith("nobody is needed")
    assert alive.workers(engine, seconds=-1.0) == {}
    alive.gone(engine, "b:1")
    assert "no worker" in summary(collected(engine))
    engine.dispose()


def shape(url: str) -> tuple[list[tuple[object, ...]], ...]:
    """The queue's columns, functions and indexes."""
    return tuple(
        postgres.execute(url, statement)
        for statement in (
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'fleet' AND table_name LIKE 'procra%' ORDER BY 1, 2",
            "SELECT proname FROM pg_proc WHERE proname LIKE 'procrastinate%' ORDER BY 1",
            "SELECT indexname FROM pg_indexes WHERE tablename LIKE 'procrastinate%' ORDER BY 1",
        )
    )


def test_init_brings_up_an_older_queue(url: str) -> None:
    """A queue of an earlier version of Procrastinate becomes the one that a new fleet has, with its jobs; a second `init` changes nothing."""
    scripts = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    with postgres.database() as old, psycopg.connect(old, options="-csearch_path=fleet", autocommit=True) as connection:
        connection.execute("CREATE SCHEMA fleet")
        for script in scripts:
            if script.name < "03.01":
                connection.execute(script.read_text(encoding="utf-8").encode())
        connection.execute("COMMENT ON TABLE procrastinate_jobs IS '3.0.2'")
        connection.execute("INSERT INTO procrastinate_jobs (queue_name, task_name, lock) VALUES ('q', 'turn', 'acme')")
        assert shape(old) != shape(url)
        typed(old, "init")
        assert shape(old) == shape(url)
        typed(old, "init")
        assert postgres.execute(old, "SELECT lock, status::text FROM fleet.procrastinate_jobs") == [("acme", "todo")]


def test_init_never_lowers_a_queue(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A queue that a newer Procrastinate has brought up is left, and stays known as what it is: its scripts would run twice otherwise."""
    postgres.execute(url, "COMMENT ON TABLE fleet.procrastinate_jobs IS '99.0.0'")
    capsys.readouterr()
    typed(url, "init")
    assert "left as it is, for it is of 99.0.0, newer than" in capsys.readouterr().out
    assert postgres.execute(url, "SELECT obj_description('fleet.procrastinate_jobs'::regclass)") == [("99.0.0",)]


def test_an_older_fleet_is_told_what_to_do(url: str) -> None:
    """A database that lacks a table of this version is refused with the command that makes it."""
    postgres.execute(url, "DROP TABLE fleet.crew")
    with pytest.raises(StoreError, match="etl fleet init"):
        typed(url, "status")
    typed(url, "init")
    typed(url, "status")


@pytest.mark.parametrize("password", ["a@b", "p:w/d?x=1#&%41", "p w'\"\\"])
def test_a_password_beside_the_address_may_be_any(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever PGPASSWORD holds reaches the queue's driver and the turns' stores as it is; an address's own comes first."""
    engine = database.connect("postgresql://fleet@db/fleet", password)
    assert conninfo_to_dict(queue.conninfo(engine))["password"] == password
    assert sa.make_url(database.store_of(engine, "acme")).password == password
    assert database.connect("postgresql://fleet:own@db/fleet", password).url.password == "own"


def test_an_address_keeps_its_own_options() -> None:
    """What an address says to its server, as which of many databases is meant, is said with the bound of a glance as well."""
    engine = database.connect("postgresql://fleet@db/fleet?options=endpoint%3Dacme")
    assert sa.make_url(database.store_of(engine, "acme")).query["options"] == "endpoint=acme"
    assert sa.make_url(database.store_of(engine, "acme", 1.0)).query["options"] == "endpoint=acme -clock_timeout=1000"


def test_a_command_takes_the_password_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGPASSWORD, which a turn does not have, stands in the address that it is given."""
    monkeypatch.setenv("PGPASSWORD", "a@b")
    seen = fleet_group.commands["status"].make_context("status", ["--db", url]).params["engine"]
    assert seen.url.password == "a@b"


def test_no_password_is_printed(url: str) -> None:
    """One that stands in the address's query is shown nowhere, whether the database answers or not."""
    for address in ("postgresql://127.0.0.1:1/fleet?user=ana&password=s3cret-word", f"{url}?password=s3cret-word"):
        if address.startswith(url):
            postgres.execute(url, "DROP TABLE fleet.crew")
        with pytest.raises(StoreError) as refused:
            typed(address, "status")
        assert "s3cret-word" not in str(refused.value) and "127.0.0.1" in str(refused.value)


def test_an_address_may_leave_all_to_libpq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, port, user and password from the worker's environment lead a turn to its store as they lead the worker to the queue."""
    where = urlsplit(url)
    said = {"PGHOST": where.hostname, "PGPORT": str(where.port), "PGUSER": where.username, "PGPASSWORD": "a@b"}
    for name, value in said.items():
        monkeypatch.setenv(name, str(value))
    engine = fleet_group.commands["status"].make_context("status", ["--db", f"postgresql://{where.path}"]).params["engine"]
    tables.check(engine)
    assert conninfo_to_dict(queue.conninfo(engine))["password"] == "a@b" and "a@b" not in database.shown(engine)
    store = database.store_of(engine, "acme")
    assert sa.make_url(store).query["password"] == "a@b"
    opens = "import sys; from engine.store.tables import open_store; open_store(sys.stdin.read()).close()"
    program = [sys.executable, "-c", opens]
    subprocess.run(program, input=store, text=True, env=inherited(os.environ), cwd=ROOT, check=True, timeout=60)
    assert database.has_store(engine, "acme")
    engine.dispose()
