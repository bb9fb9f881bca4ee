"""The stages in order: audit, extract, transform, reconcile, plan, provision, load, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import structs

from engine.connector.transport import LIMITS
from engine.extract.accounts import check_accounts
from engine.extract.audit import (
    Audit,
    match_people,
    taken_by_none,
    unmapped_collections,
)
from engine.extract.fields import note_absent_fields, note_odd_marks
from engine.extract.full import Reading, extract
from engine.extract.hydrate import hydrate
from engine.extract.incremental import Changes, find_deleted, read_changes
from engine.language.model import ObjectMapping
from engine.load.apply import Loaded, apply
from engine.load.custom_fields import Provisioned, provision, survey
from engine.load.deletions import apply_deletions
from engine.load.reconcile import reconcile
from engine.load.standing import prove_deletions
from engine.mapping.draft import transform
from engine.plan.cost import Plan
from engine.plan.guards import guard
from engine.plan.make import make_plan
from engine.plan.renames import carry_over, refuse_lost
from engine.plan.room import too_many_fields
from engine.sampling.choose import Sample, choose
from engine.sampling.closure import Wanted, satisfy, wanted_by
from engine.sampling.shown import report_hidden
from engine.session import Run, stage
from engine.store.journal import writes_of_run
from engine.store.links import all_findings, clear_findings
from engine.verify.compare import (
    Judged,
    compare,
    everything,
    records_of,
    writes_of,
)
from engine.verify.tally import Tally, count


class Result(msgspec.Struct):
    """Everything a run found and did, for reports."""

    readings: dict[str, Reading] = {}
    audit: Audit | None = None
    sample: Sample | None = None
    provisioned: Provisioned | None = None
    loaded: list[Loaded] = []
    tally: Tally = msgspec.field(default_factory=Tally)
    changes: list[Changes] = []
    settled: dict[str, int] = {}
    plan: Plan | None = None


Announce = Callable[[Result], None]


@stage("extract")
def extract_and_audit(
    run: Run, sample: int | None, details: bool = True
) -> Result:
    """Read both accounts; nothing is written to the destination.

    Without `details` records are not read one by one: what they are needed for is planned and
    costed only.
    """
    result = Result()
    check_accounts(run)
    result.readings = extract(
        run, run.spec.sample.pages if sample is not None else None
    )
    note_absent_fields(run)
    note_odd_marks(run)
    if details and sample is None:
        hydrate(run)
    audit = match_people(run)
    result.audit = structs.replace(
        audit, unmapped=tuple(unmapped_collections(run))
    )
    if sample is not None:
        result.sample = _sample(run, sample)
    report_hidden(run, result.sample)
    if full := too_many_fields(run):
        run.notice(full)
    return result


def _sample(run: Run, size: int) -> Sample:
    """The choice, with all that it needs read where a collection was read only in part.

    What is read meanwhile may show something new: records are added to the choice, none is taken
    back.
    """
    asked, chosen = Wanted(), choose(run, size)
    while True:
        detailed = hydrate(run, frozenset(chosen.chosen))
        wanted = wanted_by(run, chosen.chosen).without(asked)
        if not wanted and not detailed:
            return chosen
        asked.add(wanted)
        satisfy(run, wanted)
        chosen = choose(run, size, chosen.chosen)


def scaffolding(objects: Sequence[ObjectMapping]) -> list[ObjectMapping]:
    """Objects whose rows other records need: pipelines and stages."""
    return [item for item in objects if item.scaffold]


def content(objects: Sequence[ObjectMapping]) -> list[ObjectMapping]:
    """Objects made of the customer's records."""
    return [item for item in objects if not item.scaffold]


def in_order(objects: Sequence[ObjectMapping]) -> list[ObjectMapping]:
    """Objects as they are planned and written: what others need first."""
    return scaffolding(objects) + content(objects)


@stage("transform")
def draft(run: Run, result: Result, only: frozenset[str] | None = None) -> None:
    """Make the drafts of what was chosen, of these records, or of everything."""
    if result.sample:
        only = frozenset(result.sample.chosen)
    objects = run.spec.active()
    transform(run, scaffolding(objects))
    transform(run, content(objects), only)
    if only is None and result.audit:
        left = (*result.audit.unmapped, *taken_by_none(run))
        result.audit = structs.replace(result.audit, unmapped=left)


@stage("plan")
def plan(
    run: Run, result: Result, only_failed: bool = False, yes: bool = False
) -> None:
    """Find out about writes in doubt, then plan the drafts; the destination is only read."""
    find_out(run, result)
    whole = result.sample is None and not only_failed
    result.plan = make_plan(
        run, in_order(run.spec.active()), whole, only_failed, yes
    )


@stage("reconcile")
def find_out(run: Run, result: Result) -> None:
    """Reconcile writes in doubt. This comes before the account is surveyed: a definition whose
    creation is in doubt is ours, not one that was there.
    """
    found = reconcile(run).counts()
    restored = prove_deletions(run)
    if restored or any(found.values()):
        # what was listed before does not show what the writes came to
        run.forget_lists()
    if any(found.values()) or not result.settled:
        result.settled = found


def begin(run: Run) -> None:
    """What comes first: the names that the store and the spec have for the same things."""
    carry_over(run)
    refuse_lost(run)
    with run.store.begin() as connection:
        clear_findings(
            connection, LIMITS
        )  # what answers say of limits is reported anew


def preview(
    run: Run, sample: int | None, details: bool = True, remake: bool = False
) -> Result:
    """Audit, extract and transform, then the plan; the destination is only read."""
    begin(run)
    result = extract_and_audit(run, sample, details)
    find_out(run, result)
    survey(run, remake)
    draft(run, result)
    plan(run, result)
    return result


def migrate(
    run: Run,
    sample: int | None,
    yes: bool = False,
    announce: Announce = lambda _: None,
    remake: bool = False,
) -> Result:
    """All stages; raises EtlError where going on makes no sense. Safe to repeat.

    `announce` is given what was found and planned before anything is written. With `remake`,
    custom fields that people have deleted are made anew and filled.
    """
    result = preview(run, sample, remake=remake)
    announce(result)
    write(run, result, yes)
    chosen = (
        records_of(frozenset(result.sample.chosen))
        if result.sample
        else everything
    )
    return verify(run, result, chosen)


def delta(
    run: Run, yes: bool = False, deletions: bool = False, remake: bool = False
) -> Result:
    """Bring over what changed in the source, or in the mapping, since the last run."""
    result = Result()
    begin(run)
    check_accounts(run, reads=True)
    started = run.destination.now()
    _extract_changes(run, result, yes, deletions)
    find_out(run, result)
    survey(run, remake)
    draft(run, result)
    plan(run, result)
    write(run, result, yes)
    return verify(run, result, writes_of(written(run)), since=started)


@stage("extract")
def _extract_changes(
    run: Run, result: Result, yes: bool, deletions: bool
) -> None:
    """Read what has changed in the source since the last reading, and with `deletions` what is
    no longer there.
    """
    result.changes = read_changes(run, whole=deletions)
    result.readings = extract(run)
    note_absent_fields(run)
    note_odd_marks(run)
    hydrate(run)
    result.audit = match_people(run)
    if deletions:
        result.changes += find_deleted(run, yes)


def retry_failed(
    run: Run, only: frozenset[str] | None = None, yes: bool = False
) -> Result:
    """Retry just the records that failed, of all or of these; with `yes` those that may have made
    a row, too. The source is not read.
    """
    result = Result()
    begin(run)
    check_accounts(run)
    started = run.destination.now()
    result.audit = match_people(run)
    draft(run, result, only)
    plan(run, result, only_failed=True, yes=yes)
    carry_out(run, result, yes=True)
    return verify(run, result, writes_of(written(run)), since=started)


def write(run: Run, result: Result, yes: bool) -> None:
    """The part of a run that changes the destination; raises UnsafePlan before anything is."""
    assert result.plan is not None
    guard(run, result.plan, yes)
    carry_out(run, result, result.sample is None, yes)


@stage("load")
def carry_out(
    run: Run, result: Result, whole: bool = False, yes: bool = False
) -> None:
    """Make what records need, then what is planned, then delete what is planned to go."""
    assert result.plan is not None
    result.provisioned = provision(run)
    objects = in_order(run.spec.active())
    result.loaded = apply(run, objects, result.plan.made_at, whole, yes)
    apply_deletions(run, result.loaded, result.plan.made_at)


def written(run: Run) -> frozenset[tuple[str, str]]:
    """What this run wrote or tried to write, by object and key."""
    with run.store.begin() as connection:
        return frozenset(writes_of_run(connection, run.id))


def found_about(run: Run, judged: Judged) -> frozenset[tuple[str, str]]:
    """Object and key of what needs attention; not asked for where every record is shown."""
    if judged is not everything:
        return frozenset()
    with run.store.begin() as connection:
        return frozenset(
            (item.object, item.key)
            for item in all_findings(connection, "attention")
        )


@stage("verify")
def verify(
    run: Run,
    result: Result,
    judged: Judged = everything,
    since: float | None = None,
    only_written: bool = False,
) -> Result:
    """Read the destination back and compare it, record by record; just what is to be judged."""
    objects = content(run.spec.active())
    found = compare(run, objects, judged, since, only_written)
    result.tally = count(
        found, judged is not everything, found_about(run, judged)
    )
    return result
