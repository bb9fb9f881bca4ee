"""What a sample and a full run of the shipped migration leave behind is what they left when this was written down.

Made anew, when a change is meant to be seen: `python -m tests.stages.test_pinned`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.canonical import describe
from tests.chaos.harness import World, control, dump, worlds

pytestmark = pytest.mark.long
KEPT = Path(__file__).with_name("pinned.json")
SIZE = 120

# What of the store does not depend on ids, on moments or on which thread was first.
TABLES = {
    "drafts": "SELECT object, key, seq, digest, body, state, reason FROM drafts",
    "links": "SELECT object, key, resource, digest, written, origin FROM links WHERE object != ''",
    "journal": "SELECT object, key, resource, action, state, draft, reason, calls, cost FROM journal",
    "findings": "SELECT object, key, stage, field, severity, text FROM findings",
    "records": "SELECT collection, key, digest, body, gone FROM records",
}
PLAN = "SELECT object, key, seq, kind, conflicts, stuck, draft, cost FROM changes"

Told = dict[str, Any]


def tell(folder: Path) -> Told:
    """A sample, a run of everything, and a plan after them."""
    told: Told = {}
    with worlds(folder, ("one",), SIZE) as (world,):
        fix_the_day(world)
        for name, words in {"sample": ("run", "--sample", "40"), "run": ("run", "--yes"), "plan": ("plan",)}.items():
            world.etl(*words)
            told[name] = {
                "destination": summed(describe(dump(world.destination))),
                "writes": writes(world),
                "store": {table: summed(rows(world, query)) for table, query in (TABLES | {"changes": PLAN}).items()},
            }
    return told


def fix_the_day(world: World) -> None:
    """What depends on the day of a run would be something else tomorrow."""
    spec = world.folder / "specs/stel_order_to_pipedrive.yaml"
    text = spec.read_text(encoding="utf-8")
    assert "day: $today" in text
    spec.write_text(text.replace("day: $today", "day: {value: 2026-01-01}"), encoding="utf-8")


def rows(world: World, query: str) -> Counter[str]:
    """The rows of a table as lines."""
    with sqlite3.connect(world.store) as db:
        return Counter(json.dumps(row, ensure_ascii=False) for row in db.execute(query))


def summed(lines: Mapping[str, int]) -> Told:
    """How many lines, and a digest of all of them, whatever their order; by what they begin with."""
    by_head: dict[str, list[str]] = {}
    for line in Counter(lines).elements():
        by_head.setdefault(str(json.loads(line)[0]), []).append(line)
    return {head: [len(some), digest_of(some)] for head, some in sorted(by_head.items())}


def digest_of(lines: Iterable[str]) -> str:
    """One short text for many lines."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def writes(world: World) -> Told:
    """Calls of each kind that changed the destination."""
    requests = control(world.destination, "stats")["requests"]
    return {name: many for name, many in sorted(requests.items()) if name.startswith(("add", "update", "delete"))}


def test_runs_leave_what_they_left_before(tmp_path: Path) -> None:
    """Destination, plan, journal, links, drafts and findings are the same, row for row."""
    assert tell(tmp_path) == json.loads(KEPT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here:
        KEPT.write_text(json.dumps(tell(Path(here)), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{KEPT} is written\n")
