"""How soon the program is there: `python bench/start.py`.

Seconds of processor that commands take from start to end, each against a bare interpreter that imports click, in the
same run: five rounds in turn, medians. Bars: `etl --help` 2.5 times, `etl validate` of the shipped spec 8 times; and to
load that spec in a process that has everything imported takes 0.3 s at most.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = "specs/stel_order_to_pipedrive.yaml"
ROUNDS = 5
COMMANDS = {
    "interpreter with click": ["-c", "import click"],
    "etl --help": ["-m", "workbench", "--help"],
    f"etl validate {SPEC}": ["-m", "workbench", "validate", SPEC],
}
BARS = dict(zip(COMMANDS, (1.0, 2.5, 8.0), strict=True))
LOADING = 0.3  # seconds
ENV = {  # an installed program is compiled once
    **os.environ,
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "etl-floor"),
    "PYTHONDONTWRITEBYTECODE": "",
}


def spent(words: list[str]) -> float:
    """The processor's seconds that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def loading() -> float:
    """The processor's seconds that loading the spec takes: nothing of it known yet, every module imported."""
    words = f"""
import time
from pathlib import Path
from engine.language.compile import load_migration
from engine import pipeline
start = time.process_time()
load_migration(Path({SPEC!r}), {{}})
print(time.process_time() - start)
"""
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, env=ENV, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Print every median, its ratio and the bar; 1 where a bar is missed."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    loaded = []
    for words in COMMANDS.values():
        spent(words)  # the first start compiles modules and fills the disk's cache
    for _ in range(ROUNDS):
        for name, words in COMMANDS.items():
            taken[name].append(spent(words))
        loaded.append(loading())
    floor = statistics.median(taken["interpreter with click"])
    ratios = {name: statistics.median(found) / floor for name, found in taken.items()}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio * floor:.3f} s, {ratio:.1f} times (bar {BARS[name]:g})")
    load = statistics.median(loaded)
    print(f"loading {SPEC}: {load:.3f} s (bar {LOADING:g})")
    return int(load > LOADING or any(ratio > BARS[name] for name, ratio in ratios.items()))


if __name__ == "__main__":
    sys.exit(main())
