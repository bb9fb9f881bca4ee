"""Keeps a store as people have it, for the tests of every later version: `python -m tests.store.keep`.

A sample is killed while it writes, with writes open and in doubt; its store and the sandbox's accounts at that moment
go into `data/`. Run it once for each version of the store, with the program that is released; never for an older one.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]
SPEC = "specs/stel_order_to_pipedrive.yaml"
FAULTS = {
    "ETL_SANDBOX_SIZE": "150",
    "ETL_SANDBOX_ARGS": "--latency-ms 30 --fault garbage-json=0.03 --fault cut-connection=0.03",
}
WRITTEN = 190  # writes done before the kill
FILES = {
    "store": "stel_order_to_pipedrive.sandbox.sqlite",
    "source": "stel_order_to_pipedrive.sandbox/stel_order.sqlite",
    "destination": "stel_order_to_pipedrive.sandbox/pipedrive.sqlite",
}


def keep(program: Path = ROOT) -> None:
    """Kill a sample of the program in this checkout and put its three files into `data/`."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "migration"
        ignored = shutil.ignore_patterns(".git", "var", "__pycache__", "*.egg-info")
        shutil.copytree(program, at, ignore=ignored, symlinks=True)
        version = killed(at)
        for name, path in FILES.items():
            said = "" if name == "store" else f"{name}_"
            target = DATA / f"mid_migration_{said}v{version}.sqlite.gz"
            target.write_bytes(packed(at / "var" / path))
            print(f"{target.name}: {target.stat().st_size:,} bytes")


def killed(at: Path) -> int:
    """Start a sample and kill it while writes are open; the store's version."""
    env = {**os.environ, **FAULTS, "PYTHONPATH": str(at)}
    command = [sys.executable, "-m", "workbench", "run", SPEC, "--sample", "40"]
    store = at / "var" / FILES["store"]
    with subprocess.Popen(command, cwd=at, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while not is_ripe(store):
            if process.poll() is not None:
                raise SystemExit(f"the sample ended with {process.returncode} before it was killed")
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0])


def is_ripe(store: Path) -> bool:
    """Whether enough was written, and writes are open."""
    if not store.exists():
        return False
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            states = dict(connection.execute("SELECT state, COUNT(*) FROM journal GROUP BY state"))
        except sqlite3.OperationalError:
            return False
    return states.get("done", 0) >= WRITTEN and states.get("intent", 0) > 0


def packed(path: Path) -> bytes:
    """The file in one piece, without its journal, packed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode=DELETE")
    return gzip.compress(path.read_bytes(), mtime=0)


if __name__ == "__main__":
    keep(*map(Path, sys.argv[1:]))
