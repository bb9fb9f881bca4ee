"""The stages in order: audit, provision, extract, transform, load, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.review.compare import Comparison, compare
from engine.review.sample import Sample, choose, missing_links
from engine.run import Run
from engine.settle import settle_doubts
from engine.spec.model import ObjectMapping
from engine.stages.audit import Audit, check_accounts, match_people, unmapped, vanished
from engine.stages.extract import Reading, extract, fetch
from engine.stages.load import Loaded, load
from engine.stages.provision import Provisioned, provision
from engine.stages.transform import Transformed, transform

CLOSURES = 5  # rounds of fetching rows that sampled rows name, for accounts read only in part


@dataclass(slots=True)
class Result:
    """Everything a run found and did, for reports."""

    readings: dict[str, Reading] = field(default_factory=dict)
    audit: Audit | None = None
    sample: Sample | None = None
    provisioned: Provisioned | None = None
    transformed: list[Transformed] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)


def prepare(run: Run, sample: int | None) -> Result:
    """Read both accounts; nothing is written to the destination."""
    result = Result()
    check_accounts(run)
    result.readings = extract(run, run.spec.sample.pages if sample is not None else None)
    vanished(run)
    people, fallback = match_people(run)
    result.audit = Audit(tuple(people), fallback, tuple(unmapped(run)))
    if sample is not None:
        result.sample = _sample(run, sample)
    return result


def _sample(run: Run, size: int) -> Sample:
    """The choice, with the rows it names fetched one by one where only part of a collection was read."""
    chosen = choose(run, size)
    for _ in range(CLOSURES):
        missing = missing_links(run, chosen.chosen)
        if not missing or not fetch(run, missing):
            return chosen
        chosen = choose(run, size)
    return chosen


def scaffolding(objects: Sequence[ObjectMapping]) -> list[ObjectMapping]:
    """Objects whose rows other records need: pipelines and stages."""
    return [item for item in objects if item.rows or item.name.startswith("pipelines.")]


def content(objects: Sequence[ObjectMapping]) -> list[ObjectMapping]:
    """Objects made of the customer's records."""
    return [item for item in objects if item not in scaffolding(objects)]


def draft(run: Run, result: Result) -> None:
    """Make the drafts of what was chosen, or of everything."""
    only = frozenset(result.sample.chosen) if result.sample else None
    objects = run.spec.active()
    result.transformed = transform(run, scaffolding(objects)) + transform(run, content(objects), only)


def migrate(run: Run, sample: int | None) -> Result:
    """All stages; raises EtlError where going on makes no sense. Safe to repeat."""
    result = prepare(run, sample)
    result.settled = settle_doubts(run)
    result.provisioned = provision(run)
    draft(run, result)
    objects = run.spec.active()
    result.loaded = load(run, scaffolding(objects)) + load(run, content(objects))
    only = frozenset(result.sample.chosen) if result.sample else None
    result.comparisons = list(compare(run, content(objects), only))
    return result
