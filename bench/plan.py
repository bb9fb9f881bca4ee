"""What a plan of staged records costs: when they are mapped for the first time, and when nothing has changed since.

    python bench/plan.py [--size 12850] [--times 3]

The shipped spec; an account of the size that is the default has some 10,000 records. Processor seconds of the whole command as the kernel counted them, the emulators not included.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.chaos.harness import World, worlds  # noqa: E402

MADE = ("drafts", "changes", "findings")  # what a plan makes of staged records


def main() -> None:
    """Medians of both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=12_850)
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    os.environ |= {
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "etl-floor"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        worlds(Path(folder), ("one",), chosen.size) as (world,),
    ):
        reading = measure(world)
        with sqlite3.connect(world.store) as db:
            staged = db.execute("SELECT COUNT(*) FROM records").fetchone()[0]
        first, unchanged = [], []
        for _ in range(chosen.times):
            forget(world)
            first.append(measure(world))
            unchanged.append(measure(world))
    print(f"{staged:,} staged records: read, mapped and planned {reading:.1f} CPU s")
    print(
        f"  first plan {median(first):.1f} CPU s, nothing changed {median(unchanged):.1f} CPU s"
    )


def forget(world: World) -> None:
    """The records are staged, and nobody has mapped them."""
    with sqlite3.connect(world.store) as db:
        for table in MADE:
            db.execute(f"DELETE FROM {table}")
        db.execute("DELETE FROM meta WHERE name LIKE 'mapped.%'")


def measure(world: World) -> float:
    """Processor seconds of one plan."""
    process = world.start("plan")
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), (world.folder / "err.txt").read_text()[-2000:]
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
