"""A database that cannot be used is one message with code 5, whichever command meets it, and a worker waits for it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import click
import pytest

from engine.errors import StoreError, UsageError
from fleet import cli, queue
from fleet.lines import Lines
from fleet.metrics import serve
from fleet.records.database import connect
from tests import postgres
from tests.fleet.commands import typed

NOBODY = "postgresql://ana:pw@127.0.0.1:1/none"


@pytest.mark.parametrize("words", [("init",), ("status",), ("plan",), ("log", "acme"), ("start", "acme", "run"), ("stop", "acme")])
def test_a_database_that_is_away_is_one_message(words: tuple[str, ...]) -> None:
    """Every command says which database, why, and nothing of the password."""
    with pytest.raises(StoreError, match="cannot be used") as raised:
        typed(NOBODY, *words)
    assert "database postgresql://ana:***@127.0.0.1:1/none" in str(raised.value) and "\n" not in str(raised.value)


def test_a_database_that_goes_away_later_is_the_same_message(url: str) -> None:
    """What fails after the first look is no fault of etl's either."""
    postgres.execute(url, "ALTER TABLE fleet.turns DROP COLUMN verdict")
    with pytest.raises(StoreError, match="verdict"):
        typed(url, "status")


def test_watch_looks_again(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`status --watch` says that the database is away, and shows the fleet once it is there."""
    changes = iter(["ALTER SCHEMA fleet RENAME TO gone", "ALTER SCHEMA gone RENAME TO fleet"])

    def sleep(_: float) -> None:
        statement = next(changes, "")
        if not statement:
            raise KeyboardInterrupt
        postgres.execute(url, statement)

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises((KeyboardInterrupt, click.Abort)):
        typed(url, "status", "--watch")
    said = capsys.readouterr()
    assert said.out.count("no migration is registered") == 2 and said.err.count("cannot be used") == 1


def test_a_worker_waits_for_its_database(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that is started while the database is away says so once, and asks until it answers."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    engine = connect(NOBODY)
    with pytest.raises(KeyboardInterrupt):
        cli._wait_for(engine, threading.Event())
    assert waits == [2.0] * 3 and capsys.readouterr().err.count("cannot be used") == 1


@pytest.mark.parametrize("address", ["postgresql://h:54x2/d", "nothing", "mysql://h/d"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """With an example, and without a word of a fault in etl."""
    with pytest.raises(UsageError, match="postgresql://HOST"):
        connect(address)


def test_both_names_of_postgresql_are_taken() -> None:
    """`postgres://`, as hosts of databases hand it out, is the same."""
    assert queue.conninfo(connect("postgres://ana@h/d")) == queue.conninfo(connect("postgresql://ana@h/d"))


def test_a_taken_port_is_said(url: str) -> None:
    """Two workers of one machine cannot both answer Prometheus at one port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--metrics {port}"):
            serve(connect(url), port, "127.0.0.1")


def test_libraries_speak_in_lines() -> None:
    """A warning of the queue's or its connections' is one line, without a traceback, and not ten a minute."""
    said: list[str] = []
    logger: Any = logging.getLogger("tests.fleet.lines")
    logger.addHandler(Lines(said.append))
    for _ in range(3):
        try:
            raise OSError("k3y\nof somebody")
        except OSError:
            logger.exception("connecting in %s\nfailed", "pool-1")
    assert said == ["tests.fleet.lines: connecting in pool-1 (OSError)"]
