"""Strangers: REST servers by other people, installed and started here, seeded and read without the engine.

A stranger is a row of facts: how it is installed, with which command it starts, which path answers once it
listens, and how an account on it is made. Everything else is the same for all of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).resolve().parent
CACHE = "ETL_STRANGERS"  # where strangers are installed; ~/.cache/etl/strangers without it
READY_S = 60.0

HTTP = httpx.Client(timeout=30, trust_env=False)  # for people and for readers; the engine has its own

Row = dict[str, Any]
Dump = dict[str, dict[str, Row]]  # resource -> id -> row


class Absent(RuntimeError):
    """A stranger is not on this machine and cannot be installed; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account: where it is, what lets the connector in, and how people read and change it without the engine."""

    url: str  # as the connector calls it
    url_env: str
    env: Mapping[str, str]  # everything else that the connector asks for
    read: Callable[[], Dump] = field(repr=False)  # every live row, as the platform holds it
    call: Callable[..., Any] = field(repr=False)  # call(method, path, body) as people do; fails on a refusal

    @property
    def variables(self) -> dict[str, str]:
        """What `--env live` reads."""
        return {**self.env, self.url_env: self.url}

    def through(self, url: str) -> Account:
        """The same account, called by the connector at another address."""
        return replace(self, url=url)


@dataclass(frozen=True, slots=True)
class Stranger:
    """How a server by other people is had, started and known to be ready."""

    name: str
    install: Callable[[], Path]  # where its programs are; raises Absent
    command: Callable[[Path, Path, int], Sequence[str]]  # programs, a folder of its own, a port -> what to run
    ready: str  # path that answers once it listens


# -- installing


def from_index(name: str) -> Path:
    """The programs of a venv that holds `requirements/NAME.txt`, made at the first call. Raises Absent.

    Only here something leaves the machine: pip, to the index it is set up for, outside the tests' guard.
    """
    wanted = HERE / "requirements" / f"{name}.txt"
    mark = hashlib.sha256(f"{sys.version_info[:2]}{wanted.read_text(encoding='utf-8')}".encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{mark}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _outside(name, sys.executable, "-m", "venv", "--clear", str(folder))
            _outside(name, str(folder / "bin/python"), "-m", "pip", "install", "-q", "--no-input", "-r", str(wanted))
            (folder / "complete").touch()
    return folder / "bin"


def cache() -> Path:
    """Where strangers are kept between runs."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etl" / "strangers"
    return Path(os.environ.get(CACHE) or default)


def _outside(name: str, *command: str) -> None:
    plain = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, env=plain, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Absent(f"{name} cannot be installed here: {said[-1][:200]} – give pip an index, or set {CACHE} to a folder that has it")


# -- starting


@contextmanager
def running(stranger: Stranger, folder: Path) -> Iterator[str]:
    """Start a stranger on a free port and give its address; it ends with the block. Raises Absent."""
    programs, port = stranger.install(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    origin, said = f"http://127.0.0.1:{port}", folder / f"{stranger.name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            stranger.command(programs, folder, port), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _await(process, f"{origin}{stranger.ready}", said)
            yield origin
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], url: str, said: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if HTTP.get(url).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer:\n{said.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answered(answer: httpx.Response) -> Any:
    """The JSON of an answer that is no refusal."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}"
    return answer.json() if answer.content else None


# -- Kinto


KINTO_INI = """\
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = strangers
kinto.bucket_create_principals = system.Authenticated
kinto.paginate_by = 25
multiauth.policies = basicauth
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = 8
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""


def _kinto(programs: Path, folder: Path, port: int) -> list[str]:
    (folder / "kinto.ini").write_text(KINTO_INI.format(port=port), encoding="utf-8")
    return [str(programs / "kinto"), "start", "--ini", str(folder / "kinto.ini"), "--port", str(port)]


KINTO = Stranger("kinto", lambda: from_index("kinto"), _kinto, "/v1/__heartbeat__")


@contextmanager
def kinto(folder: Path, collections: Sequence[str]) -> Iterator[Account]:
    """A Kinto with a bucket of empty collections, which people and the migration may write to."""
    people = ("people", "their-password")
    with running(KINTO, folder) as origin:
        url = f"{origin}/v1/buckets/crm"

        def call(method: str, path: str, body: Any = None, **more: Any) -> Any:
            sent = {"json": {"data": body, **more}} if body is not None or more else {}
            return answered(HTTP.request(method, f"{url}{path}", auth=people, **sent))["data"]

        def read() -> Dump:
            return {name: {row["id"]: row for row in _kinto_rows(url, name, people)} for name in collections}

        migration = answered(HTTP.get(f"{origin}/v1/", auth=ETL_USER))["user"]["id"]
        call("PUT", "", {}, permissions={"write": [migration]})
        for name in collections:
            call("PUT", f"/collections/{name}")
        yield Account(f"{origin}/v1", "KINTO_BASE_URL", {"KINTO_USER": ETL_USER[0], "KINTO_PASSWORD": ETL_USER[1]}, read, call)


ETL_USER = ("etl", "canary-of-the-migration")


def _kinto_rows(url: str, name: str, people: tuple[str, str]) -> Iterator[Row]:
    """By id, a page after the last id of the page before; not the way the connector walks."""
    last = ""
    while True:
        params = {"_sort": "id", "_limit": 25, **({"gt_id": last} if last else {})}
        rows = answered(HTTP.get(f"{url}/collections/{name}/records", auth=people, params=params))["data"]
        yield from rows
        if not rows:
            return
        last = rows[-1]["id"]


# -- Datasette


SECRET = "canary-secret-of-the-server"


def datasette(script: str, names: Sequence[str]) -> Stranger:
    """A Datasette over new databases that a script makes the tables of."""

    def command(programs: Path, folder: Path, port: int) -> list[str]:
        paths = [folder / f"{name}.db" for name in names]
        for path in paths:
            with closing(sqlite3.connect(path)) as db:
                db.executescript(script)
        settings = [word for verb in ("insert", "update", "delete") for word in ("-s", f"permissions.{verb}-row.id", json.dumps(PEOPLE))]
        plain = ["--secret", SECRET, "--port", str(port), "--setting", "max_returned_rows", "50", "--setting", "default_allow_sql", "off"]
        return [str(programs / "datasette"), "serve", *map(str, paths), *plain, *settings]

    return Stranger("datasette", lambda: from_index("datasette"), command, "/-/versions.json")


PEOPLE = ("etl", "people")


def datasette_account(origin: str, name: str, tables: Sequence[str]) -> Account:
    """One of its databases."""
    tokens = {who: _token(from_index("datasette"), who) for who in PEOPLE}
    url, headers = f"{origin}/{name}", {"authorization": f"Bearer {tokens['people']}"}

    def call(method: str, path: str, body: Any = None) -> Any:
        return answered(HTTP.request(method, f"{url}{path}", headers=headers, json=body))

    def read() -> Dump:
        return {table: {str(row["id"]): row for row in _datasette_rows(f"{url}/{table}.json", headers)} for table in tables}

    return Account(url, "DATASETTE_BASE_URL", {"DATASETTE_TOKEN": tokens["etl"]}, read, call)


def _token(programs: Path, who: str) -> str:
    command = [str(programs / "datasette"), "create-token", who, "--secret", SECRET]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _datasette_rows(url: str, headers: Mapping[str, str]) -> Iterator[Row]:
    """By id, a page after the last id of the page before; not the way the connector walks."""
    last = 0
    while True:
        params = {"_shape": "array", "_size": 50, "_sort": "id", "id__gt": last}
        rows = answered(HTTP.get(url, headers=headers, params=params))
        yield from rows
        if not rows:
            return
        last = rows[-1]["id"]
