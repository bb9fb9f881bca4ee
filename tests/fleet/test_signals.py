"""A signal ends a worker whenever it comes: while it is imported, before its own handlers stand, and while its database is away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fleet import worker
from fleet.cli import _asked_to_stop
from fleet.records import database
from fleet.secrets import Secrets

# a signal that comes while a module of the worker's is imported, where no interrupt can be raised
LOST = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Lost:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "fleet.queue":
            Lost()
        return None

sys.meta_path.insert(0, Finder())
from workbench.__main__ import main
sys.argv = ["etl", "fleet", "worker", "--secrets-command", "true"]
main()
"""


def test_a_signal_while_a_worker_is_imported_ends_it(url: str, tmp_path: Path) -> None:
    """It is heard once the import is done, also where an interrupt would have been lost within it."""
    words = [sys.executable, "-c", LOST]
    env = {**os.environ, "ETL_FLEET_DB": url}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(words, cwd=tmp_path, env={**env, "PYTHONPATH": str(root)}, capture_output=True, timeout=30, check=False)
    assert done.returncode == 130 and b"Traceback" not in done.stderr and b"ignored" not in done.stderr, done.stderr.decode()


def test_an_interrupt_that_is_lost_is_remembered(url: str, tmp_path: Path) -> None:
    """A signal between a worker's first words and its own handlers ends it, though a library has swallowed the interrupt."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    engine = database.connect(url)
    try:
        asked = _asked_to_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        made = worker.Worker(engine, tmp_path, Secrets(command="true"), 1, lambda _: None)
        asyncio.run(asyncio.wait_for(worker.work(made, asked), 10))
    finally:
        engine.dispose()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_worker_whose_database_is_away_ends_soon(tmp_path: Path) -> None:
    """Whoever asks it to stop waits neither for the queue to be opened nor for each of its last words."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    gone = database.connect("postgresql://etl@127.0.0.1:9/none")
    made = worker.Worker(gone, tmp_path, Secrets(command="true"), 1, lambda _: None)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()
    try:
        asyncio.run(worker.work(made))
    finally:
        gone.dispose()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert time.monotonic() - began < 8
