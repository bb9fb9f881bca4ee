"""Counts and sums of a comparison, so that a large one needs no memory; records worth showing
are kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from engine.verify.compare import Comparison
from engine.verify.fields import text_of

KEPT = 2_000  # records kept for the report of a full run: those with something to see
CHANGED = frozenset({"lost", "changed_by_people"})  # states of fields to see


class Money(msgspec.Struct):
    """A sum in one currency, as wanted and as the destination holds it."""

    wanted: float = 0.0
    live: float = 0.0


class Tally(msgspec.Struct):
    """What a comparison came to."""

    # (object, state)
    records: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    fields: Counter[tuple[str, str]] = msgspec.field(
        default_factory=Counter
    )  # (object, state)
    lost_in_arrived: int = 0
    # object, label, currency
    money: dict[tuple[str, str, str], Money] = {}
    # object, field, value before, value after
    mapped: Counter[tuple[str, str, str, str]] = msgspec.field(
        default_factory=Counter
    )
    kept: list[Comparison] = []
    left_out: int = 0

    def record_states(self, name: str = "") -> Counter[str]:
        """Records by state: of one object, or over all of them."""
        return _by_state(self.records, name)

    def field_states(self, name: str = "") -> Counter[str]:
        """Fields by state: of one object, or over all of them."""
        return _by_state(self.fields, name)


def _by_state(counts: Counter[tuple[str, str]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for (other, state), many in counts.items():
        if name in ("", other):
            total[state] += many
    return total


def count(
    comparisons: Iterable[Comparison],
    keep_all: bool,
    found: Collection[tuple[str, str]] = (),
) -> Tally:
    """Go through a comparison once; keep every record, or only those with something to see.

    `found` holds object and key of the records that something was found about.
    """
    tally = Tally()
    for row in comparisons:
        tally.records[row.object, row.state] += 1
        tally.fields.update([(row.object, item.state) for item in row.fields])
        if row.state == "arrived":
            states = [item.state for item in row.fields]
            tally.lost_in_arrived += states.count("lost")
            _add_mapped(tally, row)
        _add_money(tally, row)
        to_see = _is_to_see(row) or (row.object, row.key) in found
        if keep_all or (to_see and len(tally.kept) < KEPT):
            tally.kept.append(row)
        else:
            tally.left_out += 1
    return tally


def _is_to_see(row: Comparison) -> bool:
    """Whether there is something to see in a record."""
    states = {item.state for item in row.fields}
    as_wanted = states.isdisjoint(CHANGED)
    return row.state != "arrived" or row.reason != "" or not as_wanted


def _add_mapped(tally: Tally, row: Comparison) -> None:
    """What each value became that a table of the spec has given another word."""
    for item in row.fields:
        mapped = "map" in item.steps and item.state not in CHANGED
        if mapped and len(tally.mapped) < KEPT:
            sources = ", ".join(text_of(one) for _, one in item.sources)
            place = row.object, item.label, sources, text_of(item.wanted)
            tally.mapped[place] += 1


def _add_money(tally: Tally, row: Comparison) -> None:
    """The record's amount in its currency: what was wanted, and what arrived."""
    wanted = _number(row.money[0].wanted) if row.money else None
    if row.money is None or wanted is None:
        return
    amount, currency = row.money
    total = tally.money.setdefault(
        (row.object, row.label, text_of(currency.wanted)), Money()
    )
    total.wanted += wanted
    total.live += _number(amount.live) or 0.0 if row.state == "arrived" else 0.0


def _number(value: object) -> float | None:
    """An amount, which some platforms write as text; None for anything else."""
    if not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
