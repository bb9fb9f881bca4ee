"""What holds for every test: nothing talks to anything but this machine."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from tests import postgres as servers

# How long an example takes depends on what else the machine does.
settings.register_profile("etl", deadline=None)
settings.load_profile("etl")

# Run in this process and, as `sitecustomize`, in every Python process that a test starts.
GUARD = '''
"""Refuses every connection that would leave this machine."""

import ipaddress
import sys

EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.bind": 1, "socket.getaddrinfo": 0}


class LeftTheMachine(BaseException):
    """A test, or something it started, tried to reach another machine."""


def is_here(address):
    """Whether an address is this machine: loopback, a Unix socket, or nothing to resolve."""
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost") or (isinstance(host, str) and host.startswith(("/", "\\0"))):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return str(host).endswith(".localhost")


def watch(event, args):
    """An audit hook: the interpreter tells it of every socket call before it is made."""
    if event in EVENTS:
        address = args[EVENTS[event]]
        if not is_here(address):
            raise LeftTheMachine(f"{event} to {address!r}: tests talk to loopback only")


sys.addaudithook(watch)
'''


LONG = "not chaos and not scale and not strangers and not clients and not fleet and not pages and not journeys and not installed"


def pytest_configure(config: pytest.Config) -> None:
    """A bare `pytest` leaves the long tests out; `-m`, a folder or a file asks for them."""
    gc.disable()  # collecting the tests makes a million objects, and all of them stay
    if not config.option.markexpr and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.option.markexpr = LONG
    if not hasattr(config, "workerinput"):
        work_in_memory()
        servers.begin_session()
        keep_bytecode()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the session stops its database server."""
    gc.collect()
    gc.freeze()  # pytest looks five times among all objects for what was left
    if not hasattr(config, "workerinput"):
        servers.end_session()
        shutil.rmtree(os.environ.pop(KEPT, ""), ignore_errors=True)
        shutil.rmtree(os.environ.pop(IN_MEMORY, ""), ignore_errors=True)


MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes; a session takes one or two gigabytes
IN_MEMORY = "ETL_TEST_MEMORY"
_locks: list[int] = []


def work_in_memory() -> None:
    """Temporary files are kept in memory where there is room: thousands of small stores wait for no disk.

    What a session that was killed left there is removed by the next; with `TMPDIR` set, nothing is changed.
    """
    if os.environ.get("TMPDIR") or not MEMORY.is_dir() or room() < ROOM:
        return
    for left in MEMORY.glob("etl-tests-*"):
        held = locked(left)
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    folder = tempfile.mkdtemp(prefix="etl-tests-", dir=MEMORY)
    Path(folder).chmod(0o755)  # PostgreSQL is another user
    held = locked(Path(folder))
    _locks.extend([held] if held is not None else [])
    os.environ[IN_MEMORY] = os.environ["TMPDIR"] = tempfile.tempdir = folder


def room() -> int:
    """Bytes that may be kept in memory."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return min(int(line.split()[1]) * 1024, shutil.disk_usage(MEMORY).free)
    return 0


def locked(folder: Path) -> int | None:
    """A hold on a session's folder until this process ends; None while another holds it."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


KEPT = "ETL_TEST_BYTECODE"


def keep_bytecode() -> None:
    """Where Python may write no bytecode, what the processes of a session compile is kept until its end.

    There are hundreds of them: without it, each would compile the whole program anew.
    """
    if sys.dont_write_bytecode and not sys.pycache_prefix:
        os.environ[KEPT] = os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="etl-bytecode-")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests begin first, so that no worker is left alone with one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


COLLECT_AFTER = 20_000  # objects, as engine/cli/main.py says to Python


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on there is garbage, but not among what collecting has made."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers begin with a half each and help one another out in the end: a module's servers start once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def only_loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No socket to another machine, here or in any Python process started from here."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    if not getattr(sys, "_tests_watch_sockets", False):
        exec(compile(GUARD, "guard", "exec"), {"__name__": "guard"})
        sys._tests_watch_sockets = True  # type: ignore[attr-defined]
    yield
    os.environ["PYTHONPATH"] = before


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with servers.database() as url:
        yield url


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: one worker more than there are cores, for tests wait for the processes that they start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


@pytest.fixture(scope="session", autouse=True)
def unfrozen() -> Iterator[None]:
    """A command that a test has run in this process keeps its modules from the collector; plugins look for theirs."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """What SQLAlchemy has made of a statement for one SQLite store serves all stores of a process.

    It is kept by engine and by dialect, which a command has one of each. Tests that run thousands of commands in a
    process would spend a fifth of their time on compiling the same statements; two dialects of one class are alike.
    """
    kept = LRUCache(5_000)

    def share(connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.execution_options(compiled_cache=kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLiteDialect_pysqlite, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(SQLiteDialect_pysqlite, "__hash__", lambda self: hash(type(self)))
        sa.event.listen(sa.Engine, "engine_connect", share)
        yield
        sa.event.remove(sa.Engine, "engine_connect", share)
