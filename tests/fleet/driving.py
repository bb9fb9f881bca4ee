"""A fleet as an operator has it: a database, projects, secrets, workers that are processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from fleet.process import started
from fleet.records import database
from fleet.status import collected
from tests import postgres
from tests.e2e.driving import ETL, SPEC, Done, Pair, checkout, environment, etl

KEYS = ("--key", "k3y-0f-nobody-else-5f1c")  # the emulators' own keys are words that stand in other places, too
WORKER = (str(ETL), "fleet", "worker")
RESTING = ("idle", "waiting", "stopped")


@dataclass(frozen=True, slots=True)
class Fleet:
    """One database, and a folder for each machine."""

    url: str
    folder: Path
    engine: sa.Engine
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def etl(self, *words: str, code: int | None = 0) -> Done:
        """What an operator types."""
        return etl("fleet", *words, at=self.folder, env={"ETL_FLEET_DB": self.url}, code=code)

    def add(self, name: str, accounts: Pair, *changes: tuple[str, str], more: Sequence[str] = ()) -> Path:
        """Make a project and its secrets, and register it; its folder."""
        project = checkout(self.folder / "projects" / name, *changes)
        self.secret(name, accounts)
        self.etl("add", name, str(project / SPEC), *more)
        return project

    def secret(self, name: str, accounts: Pair) -> None:
        """The keys of a pair, where workers find them."""
        place = self.folder / "secrets"
        place.mkdir(exist_ok=True)
        file = place / f"{name}.env"
        file.write_text("".join(f"{key}={value}\n" for key, value in accounts.env.items()), encoding="utf-8")
        file.chmod(0o600)

    def approve(self, *names: str) -> None:
        """Somebody has looked at the samples."""
        for name in names:
            self.etl("approve", name, "--by", "Ana", "--despite", "a test")

    def worker(
        self, *words: str, url: str = "", program: Sequence[str] = WORKER, at: Path | None = None, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker in a folder of its own, which reaches the database at another address if need be."""
        place = self.machine(len(self.workers))
        (place / "tmp").mkdir(parents=True)
        (self.folder / "secrets").mkdir(exist_ok=True)
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        process = subprocess.Popen(
            [*program, "--secrets", str(self.folder / "secrets"), "--work", str(place / "work"), *words],
            env=environment({"ETL_FLEET_DB": url or self.url, "TMPDIR": str(place / "tmp"), **(more or {})}), cwd=at or self.folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self.workers.append(process)
        return process

    def machine(self, number: int) -> Path:
        """The folder of a worker, by its number."""
        return self.folder / f"machine-{number}"

    def part(self, number: int) -> None:
        """From now on, nobody sees the files of a worker, as on another machine: not whether its processes live."""
        self.machine(number).rename(self.folder / f"elsewhere-{number}")
        self.machine(number).mkdir()

    def log(self) -> str:
        """What all workers have said."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("worker-*.log")))

    def status(self) -> dict[str, dict[str, Any]]:
        """Every migration by name, as `etl fleet status --json` has them."""
        return {row["name"]: row for row in collected(self.engine)}

    def wait(self, *names: str, until: Callable[[dict[str, Any]], bool] | None = None, seconds: float = 120) -> None:
        """Wait until migrations rest, or something else holds of each."""
        end = time.monotonic() + seconds
        holds = until or (lambda row: row["state"] in RESTING)
        while not all(holds(self.status()[name]) for name in names):
            assert time.monotonic() < end, f"{self.status()}\n{self.log()[-4000:]}"
            time.sleep(0.1)

    def store(self, name: str, statement: str) -> list[tuple[object, ...]]:
        """Ask the store of a migration."""
        return postgres.execute(self.url, statement.replace("STORE", f"etl_{name}"))


    def wait_for_writes(self, name: str, more: int = 10) -> None:
        """Wait until a turn has written so many rows."""
        def written() -> int:
            return int(str(self.store(name, "SELECT count(*) FROM STORE.journal WHERE state = 'done'")[0][0]))

        before = written()
        self.wait(name, until=lambda row: row["state"] == "running" and written() >= before + more)

    def wait_for_any_writes(self, more: int = 5) -> None:
        """Wait until a turn of any migration has written so many rows, or all rest."""
        def written() -> int:
            names = self.status()
            return sum(int(str(self.store(name, "SELECT count(*) FROM STORE.journal WHERE state = 'done'")[0][0])) for name in names)

        end = time.monotonic() + 300
        before = written()
        while any(row["state"] not in RESTING for row in self.status().values()) and written() < before + more:
            assert time.monotonic() < end, f"{self.status()}\n{self.log()[-4000:]}"
            time.sleep(0.1)

    def at_work(self, pid: int) -> list[str]:
        """The migrations whose turns a worker has now."""
        return [name for name, row in self.status().items() if row["worker"].endswith(f":{pid}")]

    def busiest(self, crew: Sequence[subprocess.Popen[bytes]], least: int) -> subprocess.Popen[bytes]:
        """The worker with most turns at work, once it has so many, or all migrations rest."""
        end = time.monotonic() + 300
        while True:
            found = max(crew, key=lambda worker: len(self.at_work(worker.pid)))
            if len(self.at_work(found.pid)) >= least or all(row["state"] in RESTING for row in self.status().values()):
                return found
            assert time.monotonic() < end, f"{self.status()}\n{self.log()[-4000:]}"
            time.sleep(0.2)

    def workers_of(self) -> list[tuple[object, ...]]:
        """Which workers have taken turns."""
        return postgres.execute(self.url, "SELECT DISTINCT worker FROM fleet.turns")

    def turns(self, name: str) -> list[tuple[float, float]]:
        """When the turns of a migration began and ended, the newest first."""
        found = postgres.execute(self.url, f"SELECT began, ended FROM fleet.turns WHERE name = '{name}' ORDER BY id DESC")
        return [(float(str(began)), float(str(ended))) for began, ended in found]


def turns_below(worker: subprocess.Popen[bytes]) -> list[int]:
    """The processes that a worker has started."""
    return [int(word) for word in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def is_alive(number: int) -> bool:
    """Whether a process works, which one that waits to be buried does not."""
    state = Path(f"/proc/{number}/stat")
    try:
        return state.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def turn(stage: str, spec: Path, env: Mapping[str, str], **said: bool) -> dict[str, Any]:
    """A turn in its process, on a store in a file; how it ended."""

    async def hear(_: Mapping[str, Any]) -> str:
        return ""

    async def look() -> Any:
        return "goes on"

    order = {"spec": str(spec), "store": str(spec.parent / "store.sqlite"), "stage": stage, **said}
    process = await started(order, spec.parent, {**env, "PATH": os.environ["PATH"]}, hear)
    return dict(await process.ended(look))


class Wire:
    """A way to the database that passes nothing on for a while, and does not say so."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        assert there.hostname and there.port
        self._there = (there.hostname, there.port)
        self._open = threading.Event()
        self._open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{there.port}", f":{self._listening.getsockname()[1]}")
        self._ends: list[socket.socket] = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing arrives any more, in neither direction, and no connection is closed."""
        self._open.clear()

    def mend(self) -> None:
        """Everything arrives, what was kept as well."""
        self._open.set()

    def close(self) -> None:
        """Give up all connections."""
        self._open.set()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._there)
                self._ends += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._open.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def fleet(folder: Path, server: str = "") -> Iterator[Fleet]:
    """A fleet in a new database, or on a server of the test's own; its workers end with it."""
    folder.mkdir(exist_ok=True)
    with nullcontext(server) if server else postgres.database() as url:
        made = Fleet(url, folder, database.connect(url))
        made.etl("init")
        try:
            yield made
        finally:
            for process in made.workers:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.send_signal(signal.SIGTERM)
            for process in made.workers:
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            made.engine.dispose()

