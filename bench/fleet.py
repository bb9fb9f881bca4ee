"""What a fleet costs, and how much of the allowed rates it keeps.

    python bench/fleet.py rate [--pairs 20] [--records 600]     # accounts of 20 calls a second on one worker
    python bench/fleet.py waiting [--many 200] [--seconds 60]   # paused migrations on one worker

Both start a PostgreSQL of their own. Seconds are of the processor, as the kernel counted them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.floor import served, write_project  # noqa: E402
from tests import postgres  # noqa: E402
from tests.fleet.driving import RESTING, Fleet, fleet  # noqa: E402

RATE = 20.0  # calls a second that each account allows
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="what", required=True)
    rate_words = words.add_parser("rate")
    rate_words.add_argument("--pairs", type=int, default=20)
    rate_words.add_argument("--records", type=int, default=600)
    waiting_words = words.add_parser("waiting")
    waiting_words.add_argument("--many", type=int, default=200)
    waiting_words.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, cluster() as server, fleet(Path(folder), server.url) as made:
        if chosen.what == "rate":
            rate(made, server.folder, chosen.pairs, chosen.records)
        else:
            waiting(made, server.folder, chosen.many, chosen.seconds)


@contextmanager
def cluster() -> Iterator[Any]:
    """A server of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="etl-postgres-"))
    folder.chmod(0o755)
    made = postgres.make_cluster(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop("immediate")
        subprocess.run(["rm", "-rf", str(folder)], check=True)


# -- the rate


def rate(made: Fleet, server: Path, pairs: int, records: int) -> None:
    """Each migration writes so many records to an account of its own; who is kept waiting by what."""
    with ExitStack() as stack:
        names = [f"m{number}" for number in range(pairs)]
        for name in names:
            url = stack.enter_context(served(records))
            add(made, name, url, records)
        worker = made.worker("--concurrency", str(pairs))
        made.etl("start", *names, "sample")
        began = time.monotonic()
        most = 0
        while any(row["state"] not in RESTING for row in made.status().values()):
            most = max(most, sum(memory(pid) for pid in children(worker.pid)))
            time.sleep(1)
        seconds = time.monotonic() - began
        codes = {row["code"] for row in made.status().values()}
        shares = [written(made, name) / (span(made, name) * RATE) for name in names]
        mean, least = sum(shares) / len(shares), min(shares)
        print(f"{pairs} pairs, {records} records each, {RATE:.0f} calls a second each: {seconds:.0f} s, codes {codes}")
        print(f"share of the allowed rate while writing: mean {mean:.1%}, least {least:.1%}")
        print(f"memory of a turn that writes: {most / pairs / 2**20:.0f} MiB; of the worker: {memory(worker.pid) / 2**20:.0f} MiB")
        print(f"PostgreSQL: {processor(server):.1f} s of a processor in all")


def add(made: Fleet, name: str, url: str, records: int) -> None:
    """A migration between two tables of one light server, with limits of its own."""
    folder = made.folder / "projects" / name / "specs"
    folder.mkdir(parents=True)
    write_project(folder, 8)
    target = folder / "destination.yaml"
    connector = json.loads(target.read_text(encoding="utf-8"))
    connector["limits"]["burst"] |= {"amount": {"*": int(RATE * 2)}}
    target.write_text(json.dumps(connector), encoding="utf-8")
    spec = json.loads((folder / "spec.yaml").read_text(encoding="utf-8"))
    spec["sample"] = {"records": records}
    (folder / "spec.yaml").write_text(json.dumps(spec), encoding="utf-8")
    # both tables are on one server: two names for it make two accounts
    there = {"SOURCE_URL": url, "SOURCE_KEY": "k", "DESTINATION_URL": url.replace("127.0.0.1", "localhost"), "DESTINATION_KEY": "k"}
    made.secret(name, SimpleNamespace(env=there))  # type: ignore[arg-type]
    made.etl("add", name, str(folder / "spec.yaml"))


def written(made: Fleet, name: str) -> int:
    """Calls that wrote."""
    return int(str(made.store(name, "SELECT count(*) FROM STORE.journal WHERE state = 'done'")[0][0]))


def span(made: Fleet, name: str) -> float:
    """Seconds from the first to the last of them."""
    found = made.store(name, "SELECT max(settled) - min(settled) FROM STORE.journal WHERE state = 'done'")
    return float(str(found[0][0]))


# -- waiting


def waiting(made: Fleet, server: Path, many: int, seconds: float) -> None:
    """So many migrations are paused; what the worker and the database use meanwhile, beside one that waits."""
    with served(1) as url:
        for number in (1, many):
            names = [f"m{place}" for place in range(len(made.status()), number)]
            for name in names:
                add(made, name, url, 1)
            made.etl("start", *names, "sample", "--at", "2099-01-01T00:00")
            worker = made.worker("--concurrency", "10")
            time.sleep(10)
            first, before, own = memory(worker.pid), processor(server), used(worker.pid)
            time.sleep(seconds)
            database, worked = processor(server) - before, used(worker.pid) - own
            print(
                f"{number} waiting for {seconds:.0f} s: worker {first / 2**20:.1f} to {memory(worker.pid) / 2**20:.1f} MiB, "
                f"{worked / seconds:.2%} of a core; database {database / seconds:.2%} of a core"
            )
            worker.terminate()
            worker.wait()


# -- what the kernel knows


def memory(pid: int) -> int:
    """Resident bytes of a process; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def used(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / TICKS


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processor(folder: Path) -> float:
    """Seconds that a server and its children have used, those that have ended included."""
    first = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    return used(first) + sum(map(used, children(first)))


if __name__ == "__main__":
    main()
