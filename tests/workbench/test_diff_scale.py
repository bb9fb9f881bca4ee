"""The effect of one changed value map, told over ten thousand staged records and then brought about by a delta."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.harness import SPEC, World, edit, worlds
from tests.replacing import replace

OLD, NEW = "En curso: open, Aceptada: won", "En curso: won, Aceptada: won"


def staged(world: World) -> int:
    """How many source records the store holds."""
    with sqlite3.connect(world.store) as db:
        return int(db.execute("SELECT COUNT(*) FROM records").fetchone()[0])


@pytest.mark.scale
def test_what_is_foretold_is_what_the_delta_rewrites(tmp_path: Path) -> None:
    """`etl diff` makes no call; the delta then updates exactly the rows it counted. How long it took is printed."""
    with worlds(tmp_path, ["one"], 13_500) as (world,):
        world.etl("run", "--yes")
        assert staged(world) >= 10_000
        before = world.folder / "specs" / "before.yaml"
        before.write_text((world.folder / SPEC).read_text(encoding="utf-8"), encoding="utf-8")
        edit(world.folder / SPEC, (OLD, NEW))
        away = {"STEL_ORDER_BASE_URL": "http://127.0.0.1:9", "PIPEDRIVE_BASE_URL": "http://127.0.0.1:9"}
        analyst = replace(world, program=(sys.executable, "-m", "workbench", "diff", "specs/before.yaml"), extra=away)
        start = time.perf_counter()
        told = json.loads(analyst.etl("--json", good=[0]).out)
        seconds = time.perf_counter() - start
        done = json.loads(world.etl("run", "--delta", "--yes", "--json").out)
        foretold = {item["object"]: item["rewritten"] for item in told["effects"] if item["rewritten"]}
        updated = {item["object"]: item["updated"] for item in done["objects"] if item["updated"]}
        print(f"{staged(world):,} records staged; {foretold} foretold, {updated} updated; {seconds:.2f} s")
        assert foretold == updated and updated["quotes"]
