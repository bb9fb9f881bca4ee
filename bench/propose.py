"""Hide a hand-written spec's field maps, propose them anew, and compare: precision and recall, per object.

    python -m bench.propose            # the shipped pair on a sandbox account, and the pairs of tests/workbench/pairs

What counts: a field of the hand-written spec that takes anything from the source (fixed values do not). A proposal is
right when it fills the same destination field (custom fields: any) from source paths that are all read there by hand
too, and, for a lookup, leads to the same objects. `strict` asks for exactly the same paths. Precision is of proposals
at 0.8 and above; recall is of everything proposed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import pipeline
from engine.cli.environment import accounts
from engine.language.compile import Migration, load_migration
from engine.language.dependencies import walk
from engine.language.model import Field, Lookup, ObjectMapping, Template
from engine.language.model import Path as SourcePath
from engine.session import wire
from engine.store.tables import open_store
from engine.values import segments
from workbench.propose.draft import draft
from workbench.propose.pair import pairs
from workbench.propose.reading import staged
from workbench.propose.scene import HIGH, Outline, Proposal

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "specs" / "stel_order_to_pipedrive.yaml"
PAIRS = ROOT / "tests" / "workbench" / "pairs"
MORE = {"second": ("helpdesk", "a help desk, English"), "third": ("gestion", "a business program, Spanish")}


@dataclass(frozen=True)
class Told:
    """Where a field's value comes from: canonical source paths and looked-up objects."""

    target: str
    paths: frozenset[str]
    lookups: frozenset[str]


@dataclass
class Score:
    """Counts for one object."""

    name: str
    high: int = 0
    high_right: int = 0
    strict_right: int = 0
    proposed: int = 0
    proposed_right: int = 0
    expected: int = 0
    found: int = 0

    def add(self, other: Score) -> None:
        for name in ("high", "high_right", "strict_right", "proposed", "proposed_right", "expected", "found"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line(self) -> str:
        return (
            f"{self.name:<22} {share(self.high_right, self.high):>7} {self.high_right:>4}/{self.high:<4} "
            f"{share(self.found, self.expected):>7} {self.found:>4}/{self.expected:<4} "
            f"{share(self.proposed_right, self.proposed):>7} {share(self.strict_right, self.high):>7}"
        )


def share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"


# -- what the hand-written spec says


def expected(mapping: ObjectMapping) -> list[Told]:
    """The fields written by hand that read anything of the source."""
    found = [told(item, mapping) for item in mapping.fields.values()]
    return [item for item in found if item.paths - {"$none"}]


def told(item: Field, mapping: ObjectMapping) -> Told:
    paths: set[str] = set()
    looked: set[str] = set()
    for expr in walk(item.expr):
        if isinstance(expr, SourcePath):
            paths.add(canonical(expr.text, mapping))
        if isinstance(expr, Template):
            paths |= {canonical(use, mapping) for use in expr.uses}
        if isinstance(expr, Lookup):
            looked |= {"pipelines" if name.startswith("pipelines.") else name for name in expr.objects}
    return Told(item.target, frozenset(path for path in paths if not path.startswith("$settings")), frozenset(looked))


def canonical(path: str, mapping: ObjectMapping) -> str:
    """A path with the link instead of the made-up name of the related row; as templates write it."""
    head = segments(path)[0]
    if head in mapping.related:
        path = f"{mapping.related[str(head)].by.text}>{path.partition('.')[2]}"
    return path.replace("_", "-")


def proposed(item: Proposal) -> Told:
    looked: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, Mapping):
            names = value.get("lookup", ())
            looked.update("pipelines" if n.startswith("pipelines.") else n for n in ([names] if isinstance(names, str) else names))
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)

    visit(item.written)
    paths = set()
    for path in item.paths:
        head, _, rest = path.partition(".")
        paths.add((f"{item.related[head]['by']}>{rest}" if head in item.related else path).replace("_", "-"))
    return Told(item.target, frozenset(path for path in paths if not path.startswith("$settings")), frozenset(looked))


def agrees(one: Told, hand: Told) -> bool:
    """Whether a proposal says nothing that the hand-written field does not say."""
    same = one.target == hand.target or (one.target.startswith("custom.") and hand.target.startswith("custom."))
    return same and bool(one.paths) and one.paths <= hand.paths and (not hand.lookups or bool(one.lookups & hand.lookups))


def compare(name: str, hand: Sequence[Told], machine: Sequence[Proposal], verbose: bool) -> Score:
    score = Score(name, expected=len(hand))
    hit: set[int] = set()
    for item in machine:
        one = proposed(item)
        if not one.paths - {"$none"}:
            continue  # fixed values and the fallback owner are not counted on either side
        right = {place for place, other in enumerate(hand) if agrees(one, other)}
        hit |= right
        score.proposed += 1
        score.proposed_right += bool(right)
        if item.confidence >= HIGH:
            score.high += 1
            score.high_right += bool(right)
            score.strict_right += any(hand[place].paths == one.paths for place in right)
            if not right and verbose:
                print(f"    WRONG  {name}.{item.target} <- {sorted(one.paths)} {item.confidence} {item.reasons[0]}")
    score.found = len(hit)
    if verbose:
        for place, other in enumerate(hand):
            if place not in hit:
                print(f"    MISSED {name}.{other.target} <- {sorted(other.paths)[:6]} {sorted(other.lookups)}")
    return score


def measure(title: str, migration: Migration, rows: Mapping[str, Sequence[Mapping[str, Any]]], verbose: bool) -> Score:
    """Propose for the objects of a spec, knowing only what becomes what, and compare."""
    objects = [item for name, item in migration.spec.objects.items() if not name.startswith(("$", "pipelines."))]
    outlines = [Outline(item.name, item.sources, item.resource, item.each) for item in objects]
    drafted = draft(outlines, migration.source, migration.destination, rows)
    print(f"\n{title}\n{'object':<22} {'precision >= 0.8':>17} {'recall':>17} {'prec all':>9} {'strict':>6}")
    total = Score("all objects")
    for mapping, item in zip(objects, drafted, strict=True):
        score = compare(mapping.name, expected(mapping), item.proposals, verbose)
        print(score.line())
        total.add(score)
    print(total.line())
    _pairing(migration, rows, verbose)
    return total


def _pairing(migration: Migration, rows: Mapping[str, Sequence[Mapping[str, Any]]], verbose: bool) -> None:
    """What becomes what, proposed with nothing known but the two connectors and the records."""
    hand = {
        (source, item.resource)
        for name, item in migration.spec.objects.items()
        if not name.startswith(("$", "pipelines."))
        for source in item.sources
    }
    first = pairs(migration.source, migration.destination, rows)
    sure = [item for item in first if item.confidence >= HIGH]
    right = [item for item in sure if (item.collection, item.resource) in hand]
    mapped = {source for source, _ in hand}
    best = {item.collection: item.resource for item in first}
    found = [source for source in mapped if (source, best.get(source, "")) in hand]
    print(f"objects paired: precision {share(len(right), len(sure))} ({len(right)}/{len(sure)} at 0.8), "
          f"{len(found)} of {len(mapped)} mapped collections get a resource that the hand-written spec gives them too")  # fmt: skip
    if verbose:
        for item in first:
            remark = "" if (item.collection, item.resource) in hand else "(not so by hand)"
            print(f"    {item.confidence:.2f} {item.collection} -> {item.resource} {remark}")


# -- where the records come from


def shipped_rows(migration: Migration, folder: Path, size: str = "1000") -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """What a run on a sandbox account stages."""
    store = open_store(str(folder / "bench.sqlite"))
    with (
        accounts(migration, "sandbox", {"ETL_SANDBOX_SIZE": size}, folder) as found,
        closing(wire(migration, found, store, command="bench")) as run,
    ):
        pipeline.extract_and_audit(run, None)
    rows = staged(store, migration.source.resources)
    store.close()
    return rows


def main() -> None:
    verbose = "-v" in sys.argv
    which = [word for word in sys.argv[1:] if not word.startswith("-")] or ["shipped", *MORE]
    if "shipped" in which:
        migration = load_migration(SHIPPED, {})
        with tempfile.TemporaryDirectory() as folder:
            given = [word.partition("=")[2] for word in sys.argv if word.startswith("--store=")]
            if given:
                store = open_store(given[0])
                rows = staged(store, migration.source.resources)
                store.close()
            else:
                rows = shipped_rows(migration, Path(folder))
        measure("the shipped pair", migration, rows, verbose)
    for name, (pair, title) in MORE.items():
        if name in which:
            rows = json.loads((PAIRS / f"{pair}.json").read_text(encoding="utf-8"))
            measure(f"the {name} pair: {title}", load_migration(PAIRS / f"{pair}_to_crm.yaml", {}), rows, verbose)


if __name__ == "__main__":
    main()
