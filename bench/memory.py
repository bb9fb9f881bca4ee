"""Peak memory of `etl`: reading, mapping and planning a small account against a large one; writing where that is feasible.

    python bench/memory.py [--sizes 10000 1000000] [--write 1000 5000] [--bare 10000 1000000]

`plan` reads the whole source, makes every draft and compares it; `run` also writes and verifies, with the shipped
migration and its emulators, which take 10,000 writes a day at most. `bare` is a run of the plain migration of floor.py
on its server, which is fast enough for a million records. Peak resident set as the kernel counted it for the process, the servers not included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import floor  # noqa: E402
from tests.chaos.harness import World, worlds  # noqa: E402

THREADS = 8


def main() -> None:
    """A line for each command and size; then the largest against the smallest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--write", type=int, nargs="*", default=[1_000, 5_000])
    parser.add_argument("--bare", type=int, nargs="*", default=[10_000])
    chosen = parser.parse_args()
    print(f"{'command':<12}{'records':>10}{'peak MB':>9}{'seconds':>9}{'against the smallest':>22}")
    for words, sizes in ((("plan",), chosen.sizes), (("run", "--yes"), chosen.write)):
        least = 0.0
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder, worlds(Path(folder), ("one",), size) as (world,):
                peak, seconds = measure(world, words)
                least = least or peak
                print(f"{' '.join(words):<12}{size:>10,}{peak:>9.0f}{seconds:>9.0f}{peak / least:>22.2f}", flush=True)
                if words[0] == "run":
                    peak, seconds = measure(world, ("rollback", "--yes"))
                    print(f"{'  rollback':<12}{size:>10,}{peak:>9.0f}{seconds:>9.0f}", flush=True)
    least = 0.0
    for size in chosen.bare:
        peak, seconds = measure_bare(size)
        least = least or peak
        print(f"{'bare run':<12}{size:>10,}{peak:>9.0f}{seconds:>9.0f}{peak / least:>22.2f}", flush=True)


def measure_bare(size: int) -> tuple[float, float]:
    """The same of the plain migration of floor.py, every record written and read back."""
    with floor.served(size) as url, tempfile.TemporaryDirectory() as folder:
        command = floor.ours(Path(folder), url, THREADS)
        with (Path(folder) / "said.txt").open("wb") as said:
            began = time.monotonic()
            process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)})
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (Path(folder) / "said.txt").read_text()[-3000:]
        assert floor.count_rows(url) == size
    return used.ru_maxrss / 1024, time.monotonic() - began


def measure(world: World, words: tuple[str, ...]) -> tuple[float, float]:
    """Peak megabytes and seconds of one command."""
    began, process = time.monotonic(), world.start(*words)
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        process.returncode = 0
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        raise subprocess.CalledProcessError(code, words, stderr=(world.folder / "err.txt").read_text()[-2000:])
    return used.ru_maxrss / 1024, time.monotonic() - began


if __name__ == "__main__":
    main()
