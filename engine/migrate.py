"""The stages in order: audit, provision, extract, transform, load, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.details import complete
from engine.plan import Plan, guard, plan
from engine.review.compare import compare
from engine.review.sample import Sample, choose, missing_links
from engine.review.tally import Tally, count
from engine.run import Run
from engine.settle import settle_doubts
from engine.spec.model import ObjectMapping
from engine.stages.audit import Audit, check_accounts, match_people, unmapped, vanished
from engine.stages.delta import Changes, apply_deletions, find_gone, leaving, read_changes
from engine.stages.extract import Reading, extract, fetch
from engine.stages.load import Loaded, load
from engine.stages.names import carry_over, refuse_lost
from engine.stages.provision import Provisioned, provision, survey
from engine.stages.transform import Transformed, transform
from engine.store.journal import keys_of_run

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
    tally: Tally = field(default_factory=Tally)
    changes: list[Changes] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)
    plan: Plan | None = None


Announce = Callable[[Result], None]


def prepare(run: Run, sample: int | None, details: bool = True) -> Result:
    """Read both accounts; nothing is written to the destination.

    Without `details` records are not read one by one: what they are needed for is planned and costed only.
    """
    result = Result()
    check_accounts(run)
    result.readings = extract(run, run.spec.sample.pages if sample is not None else None)
    vanished(run)
    if details and sample is None:
        complete(run)
    people, fallback = match_people(run)
    result.audit = Audit(tuple(people), fallback, tuple(unmapped(run)))
    if sample is not None:
        result.sample = _sample(run, sample)
    return result


def _sample(run: Run, size: int) -> Sample:
    """The choice, with the rows it names fetched one by one where only part of a collection was read."""
    chosen = choose(run, size)
    for _ in range(CLOSURES):
        more = complete(run, frozenset(chosen.chosen))
        missing = missing_links(run, chosen.chosen)
        if not more and not (missing and fetch(run, missing)):
            return chosen
        chosen = choose(run, size)
    complete(run, frozenset(chosen.chosen))
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


def begin(run: Run) -> None:
    """What comes before anything else: the names that the store and the spec have for the same things."""
    carry_over(run)
    refuse_lost(run)


def foresee(run: Run, sample: int | None, details: bool = True, remake: bool = False) -> Result:
    """Audit, extract and transform, then the plan; the destination is only read."""
    begin(run)
    result = prepare(run, sample, details)
    survey(run, remake)
    draft(run, result)
    result.plan = plan(run, run.spec.active())
    return result


def migrate(
    run: Run, sample: int | None, yes: bool = False, announce: Announce = lambda _: None, remake: bool = False
) -> Result:
    """All stages; raises EtlError where going on makes no sense. Safe to repeat.

    `announce` is told what was found and planned before anything is written. With `remake`, custom
    fields that people have deleted are made anew and filled.
    """
    result = foresee(run, sample, remake=remake)
    announce(result)
    write(run, result, yes)
    return verify(run, result, frozenset(result.sample.chosen) if result.sample else None)


def delta(run: Run, yes: bool = False, deletions: bool = False, remake: bool = False) -> Result:
    """Bring over what changed in the source, or in the mapping, since the last run."""
    started = run.clock.now()
    result = Result()
    begin(run)
    check_accounts(run, reads=True)
    result.changes = read_changes(run, whole=deletions)
    result.readings = extract(run)
    vanished(run)
    complete(run)
    people, fallback = match_people(run)
    result.audit = Audit(tuple(people), fallback, ())
    if deletions:
        result.changes += find_gone(run, yes)
    survey(run, remake)
    draft(run, result)
    found = leaving(run, yes)
    result.plan = plan(run, run.spec.active())
    write(run, result, yes)
    apply_deletions(run, found)
    return verify(run, result, _written(run), since=started)


def again(run: Run) -> Result:
    """Try just the records that failed once more; the source is not read."""
    started = run.clock.now()
    result = Result()
    begin(run)
    check_accounts(run)
    people, fallback = match_people(run)
    result.audit = Audit(tuple(people), fallback, ())
    draft(run, result)
    _settle(run, result)
    result.provisioned = provision(run)
    objects = run.spec.active()
    result.loaded = load(run, objects, only_failed=True)
    return verify(run, result, _written(run), since=started)


def write(run: Run, result: Result, yes: bool) -> None:
    """The part of a run that changes the destination."""
    assert result.plan is not None
    guard(run, result.plan, yes)
    _settle(run, result)
    result.provisioned = provision(run)
    objects = run.spec.active()
    result.loaded = load(run, scaffolding(objects)) + load(run, content(objects))


def _settle(run: Run, result: Result) -> None:
    """Settle the doubts of earlier runs; lists that were read before do not show what they came to."""
    result.settled = settle_doubts(run)
    if any(result.settled.values()):
        run.lists.clear()


def _written(run: Run) -> frozenset[str]:
    """Records this run wrote or tried to write."""
    with run.store.begin() as connection:
        return frozenset(key.partition("#")[0] for key in keys_of_run(connection, run.id))


def verify(run: Run, result: Result, only: frozenset[str] | None, since: float | None = None) -> Result:
    """Read the destination back and compare it, record by record."""
    result.tally = count(
        compare(run, content(run.spec.active()), only, since), keep_all=result.sample is not None or only is not None
    )
    return result
