"""One migration told twice: undisturbed, and killed again and again among faults; then both accounts are compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.canonical import describe, difference, doubled, unchanged
from tests.chaos.harness import (
    FAULTS,
    Driven,
    World,
    control,
    drive,
    dump,
    plan,
    worlds,
)
from tests.chaos.people import work_in_source, write_lines

OPEN = ("intent", "doubt")


@dataclass(slots=True)
class Told:
    """What came of it."""

    phases: dict[str, Driven] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    doubled: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)  # lines only the disturbed account holds
    missing: list[str] = field(default_factory=list)  # lines only the undisturbed account holds
    doubt: int = 0
    left: list[str] = field(default_factory=list)  # after the rollback: what differs from the account before
    settled: int = 0  # writes whose outcome was found by looking

    @property
    def kills(self) -> int:
        """All of them."""
        return sum(driven.kills for driven in self.phases.values())

    def table(self) -> str:
        """For people."""
        lines = [f"{'phase':<10}{'kills':>7}{'starts':>8}{'gave up':>9}{'seconds':>9}"]
        for name, driven in self.phases.items():
            lines.append(f"{name:<10}{driven.kills:>7}{driven.starts:>8}{driven.unreached:>9}{driven.seconds:>9.0f}")
        lines.append(f"faults sent: {', '.join(f'{many} {kind}' for kind, many in sorted(self.faults.items()))}")
        lines.append(f"rows in the destination: {self.rows}; outcomes found by looking: {self.settled}")
        lines.append(f"duplicates: {len(self.doubled)}, lost or different: {len(self.missing)}, too many or different: {len(self.extra)}")
        lines.append(f"leftover doubt: {self.doubt}; left after the rollback: {len(self.left)}")
        return "\n".join(lines)


NATIVE = ("native_line_items: false", "native_line_items: true")


def tell(
    folder: Path, size: int, kills: tuple[int, int, int], calls: tuple[float, float, float], seed: int, lines: Sequence[int] = ()
) -> Told:
    """Full run, delta and rollback with so many kills each, so many writes apart; and the same undisturbed.

    With `lines` there are documents of so many lines, which become native line items.
    """
    told = Told()
    with worlds(folder, ("calm", "wild"), size, *([NATIVE] if lines else [])) as (calm, wild):
        write_lines(wild.source, lines)
        before = dump(wild.destination)
        calm.etl("run")
        _disturbed(told, wild, "full", ("run", "--yes"), kills[0], calls[0], seed)
        _compare(told, calm, wild)
        work_in_source(wild.source)
        calm.etl("run", "--delta", "--deletions", "--yes")
        _disturbed(told, wild, "delta", ("run", "--delta", "--deletions", "--yes"), kills[1], calls[1], seed + 1)
        _compare(told, calm, wild)
        told.rows = len(dump(wild.destination)) - len(before)
        _disturbed(told, wild, "rollback", ("rollback", "--yes"), kills[2], calls[2], seed + 2)
        _after(told, wild, before)
    return told


def _disturbed(told: Told, world: World, name: str, words: tuple[str, ...], most: int, calls: float, seed: int) -> None:
    """One phase among faults; then once more without, as people do when a report says that something is left."""
    for account in (world.source, world.destination):
        control(account, "faults", FAULTS)
    told.phases[name] = drive(world, words, plan(seed, calls), most)
    for account in (world.source, world.destination):
        for kind, many in control(account, "stats")["faults"].items():
            told.faults[kind] = told.faults.get(kind, 0) + many
        control(account, "faults", {})
    world.etl(*words)


def _compare(told: Told, calm: World, wild: World) -> None:
    """Both accounts in words."""
    wanted, found = dump(calm.destination), dump(wild.destination)
    extra, missing = difference(describe(found), describe(wanted))
    told.doubled += doubled(found)
    told.extra += extra
    told.missing += missing
    told.doubt += sum(wild.journal()[state] for state in OPEN)


def _after(told: Told, world: World, before: list[dict[str, object]]) -> None:
    was, now = unchanged(before), unchanged(dump(world.destination))
    told.left = sorted(set(was) ^ set(now))
    told.doubt += sum(world.journal()[state] for state in OPEN)
    with sqlite3.connect(world.store) as db:
        query = "SELECT COUNT(*) FROM journal WHERE reason LIKE 'found after%' OR reason LIKE 'it had not%' OR reason LIKE 'it was gone%'"
        told.settled = db.execute(query).fetchone()[0]
