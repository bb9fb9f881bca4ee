"""Source calls of a full read, collection by collection, against ceil(rows / 500) + 1; then of a delta with nothing changed.

python bench/reading.py [--size 10000]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.chaos.harness import World, control, worlds, written  # noqa: E402

PAGE = 500


def main() -> None:
    """Read everything, then look for changes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=10_000)
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory() as folder, worlds(Path(folder), ("one",), size) as (world,):
        world.etl("audit")
        full = calls(world)
        world.etl("run", "--yes")
        before, rows = calls(world), control(world.source, "stats")["rows"]
        writes = written(world.destination)
        world.etl("run", "--delta")
        delta = calls(world) - before
        show(full, delta, rows)
        print(f"a delta with nothing changed wrote {written(world.destination) - writes} times")


def calls(world: World) -> Counter[str]:
    """List calls so far, by collection."""
    told = control(world.source, "stats")["requests"]
    return Counter({name.removeprefix("GET "): many for name, many in told.items() if name.startswith("GET ") and "/" not in name})


def show(full: Counter[str], delta: Counter[str], rows: dict[str, int]) -> None:
    """A line for each collection, those over their bar marked."""
    print(f"{'collection':<28}{'rows':>8}{'calls':>7}{'bar':>6}{'delta':>7}")
    over = 0
    for name in sorted(full, key=lambda name: -rows.get(name, 0)):
        bar = math.ceil(rows.get(name, 0) / PAGE) + 1
        over += full[name] > bar
        print(f"{name:<28}{rows.get(name, 0):>8,}{full[name]:>7}{bar:>6}{delta[name]:>7}{'  over' if full[name] > bar else ''}")
    print(f"{'all':<28}{sum(rows.values()):>8,}{full.total():>7}{'':>6}{delta.total():>7}   collections over their bar: {over}")


if __name__ == "__main__":
    main()
