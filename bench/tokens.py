"""Tokens per migrated record against the least they could cost, object by object.

    python bench/tokens.py [--size 2000]

The least is one write for each row that arrived, at the price the platform's price list gives that write,
plus one read of each list to verify them.
"""

from __future__ import annotations

import argparse
import math
import sqlite3
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.connector.load import load_connector  # noqa: E402
from tests.chaos.harness import World, control, worlds  # noqa: E402

PAGES = {"files": 100}  # rows of a list page where it is not 500


def main() -> None:
    """One full run, then the sums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=2_000)
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory() as folder, worlds(Path(folder), ("one",), size) as (world,):
        world.etl("run", "--yes")
        show(world)


def show(world: World) -> None:
    """A line for each object, then all of the day's tokens as the platform counted them."""
    resources = load_connector(world.folder / "connectors/pipedrive.yaml").resources
    print(f"{'object':<26}{'records':>8}{'tokens':>9}{'least':>9}{'each':>7}{'above':>8}")
    written = least_writes = 0.0
    rows: dict[str, int] = {}
    with sqlite3.connect(world.store) as db:
        query = "SELECT object, resource, SUM(state='done'), SUM(cost) FROM journal WHERE action='create' GROUP BY 1, 2"
        for name, resource, many, cost in db.execute(f"{query} ORDER BY MIN(id)"):
            least = many * resources[resource].operations["create"].cost
            written, least_writes = written + cost, least_writes + least
            rows[resource] = rows.get(resource, 0) + many
            if many:
                print(f"{name:<26}{many:>8,}{cost:>9,.0f}{least:>9,.0f}{cost / many:>7.2f}{cost / least - 1:>8.1%}")
    reads = sum(
        math.ceil(many / PAGES.get(resource, 500)) * resources[resource].operations["list"].cost for resource, many in rows.items()
    )
    spent, least = control(world.destination, "stats")["tokens"]["spent_today"], least_writes + reads
    print(f"{'writes':<26}{sum(rows.values()):>8,}{written:>9,.0f}{least_writes:>9,.0f}{'':>7}{written / least_writes - 1:>8.1%}")
    print(f"{'all, with one read of it':<26}{'':>8}{spent:>9,}{least:>9,.0f}{'':>7}{spent / least - 1:>8.1%}")


if __name__ == "__main__":
    main()
