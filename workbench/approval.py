"""Approvals: a named person has looked at a sample of exactly this mapping before it moves live
data.

The approval is a small file beside the spec that goes through code review with it. It holds eight
digits of each part's digest; the store that held the sample keeps the meaning in full, so that a
refusal can say what changed since.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.config.document import Document, read
from engine.config.validation import check_shape
from engine.errors import SpecError, UnsafePlan, UsageError
from engine.language.compile import Migration
from engine.library.commands import was_undone_since
from engine.library.gate import Gate
from engine.session import Run
from engine.store.journal import all_runs
from engine.store.tables import Store, recall, remember
from workbench.cases.run import cases_path, load_cases, run_cases
from workbench.diff.differences import differences
from workbench.diff.text import Compared, as_lines
from workbench.editors import beside
from workbench.meaning import Part, digest_of, parts
from workbench.staged import staged
from workbench.writing import write

HEAD = """\
# Made by `etl approve`. It goes through code review together with the spec;
# an edit that changes data voids it.
"""
SHOWN = 12  # changes a refusal names


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved which meaning, and the sample that was looked at."""

    migration: str
    digest: str
    by: str
    at: str
    environment: str
    run: int
    verdict: Mapping[str, Any]
    parts: Mapping[str, str]  # of each part of the meaning: a short digest
    # how many cases of `etl test` passed and failed; neither where there are none
    tests: Mapping[str, int] = field(default_factory=dict)
    despite: str = ""  # why it was approved though cases failed


def approval_path(spec: Path) -> Path:
    """`specs/name.yaml` is approved in `specs/name.approval.yaml`."""
    return spec.with_name(f"{spec.stem}.approval.yaml")


def approve(  # noqa: PLR0913
    migration: Migration,
    spec: Path,
    store: Store,
    *,
    environment: str,
    by: str,
    now: float,
    despite: str = "",
) -> Approval:
    """Approve the present meaning by its last sample; raises UnsafePlan where there is none, where
    it was taken back, or where cases fail and nobody says `despite` what.
    """
    if not by.strip():
        raise UsageError("an approval needs a person's name – give --by NAME")
    pieces = parts(migration)
    digest = digest_of(pieces)
    run, verdict = _sample(store, digest, spec, environment)
    _check_still_there(store, run, spec, environment)
    tests = _tested(migration, spec, despite.strip())
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = Approval(
        migration.spec.name,
        digest,
        by.strip(),
        moment,
        environment,
        run,
        verdict,
        _by_area(pieces),
        tests,
        despite.strip() if tests.get("failed") else "",
    )
    remember(store, _meaning(digest), packed(pieces))
    write(
        approval_path(spec),
        _as_data(made),
        beside(spec.parent, "approval") + HEAD,
    )
    return made


def _tested(migration: Migration, spec: Path, despite: str) -> dict[str, int]:
    """How many of the cases beside a spec pass and fail; raises UnsafePlan where some fail, unless
    there is a reason to approve despite them.
    """
    path = cases_path(spec)
    if not path.exists():
        return {}
    tested = run_cases(*load_cases(path, migration))
    found = {"passed": len(tested.passed), "failed": len(tested.failed)}
    if tested.failed and not despite:
        names = ", ".join(tested.failed[:SHOWN])
        more = len(tested.failed) - SHOWN
        raise UnsafePlan(
            f"{len(tested.failed)} of {sum(found.values())} test cases fail: {names}"
            f"{f' and {more} more' if more > 0 else ''} – see why: etl test {spec};"
            " correct the mapping or the cases, or say why they do not matter:"
            " --despite REASON"
        )
    return found


def _sample(
    store: Store | None, digest: str, spec: Path, environment: str
) -> tuple[int, Mapping[str, Any]]:
    """The last sample run of exactly this meaning in this environment, and its verdict;
    raises UnsafePlan for none.
    """
    sample = f"etl run {spec} --sample --env {environment}"
    samples = _samples(store) if store else []
    for run, ended in reversed(samples):
        if (
            ended.get("meaning") == digest
            and ended.get("environment") == environment
        ):
            return run, ended["verdict"]
    if samples:
        last = f"the last sample (run {samples[-1][0]}) was of another mapping or environment"
        raise UnsafePlan(f"{last} – run it again: {sample}")
    raise UnsafePlan(
        f"no sample of this mapping has been run here – start with: {sample}"
    )


def _check_still_there(
    store: Store, sample: int, spec: Path, environment: str
) -> None:
    """Raises UnsafePlan where a sample was taken back since: nobody can look at it any more."""
    with store.begin() as connection:
        seen = next(row for row in all_runs(connection) if row["id"] == sample)
        is_gone = was_undone_since(connection, seen)
    if is_gone:
        raise UnsafePlan(
            f"the sample (run {sample}) was rolled back since, and nobody can look at it any more"
            f" – run another one, and look at it: etl run {spec} --sample --env {environment}"
        )


def _samples(store: Store) -> list[tuple[int, Mapping[str, Any]]]:
    """Every sample run that finished, and what is known of it, oldest first."""
    with store.begin() as connection:
        done = [
            row["id"]
            for row in all_runs(connection)
            if row["command"] == "run --sample" and row["outcome"] == "done"
        ]
    return [
        (run, json.loads(recall(store, _ended(run)) or "{}")) for run in done
    ]


def keep_end(
    store: Store,
    run: int,
    migration: Migration,
    verdict: Mapping[str, Any],
    environment: str,
) -> str:
    """Remember how a run ended, in which environment, and the meaning of its mapping, for a later
    approval; the digest that this would have.
    """
    meaning = digest_of(parts(migration))
    ended = {"meaning": meaning, "verdict": verdict, "environment": environment}
    remember(store, _ended(run), json.dumps(ended))
    return meaning


def demand(migration: Migration, spec: Path, store: Store | None) -> Approval:
    """The approval of exactly this mapping on live accounts, whose sample this store has seen.

    Raises UnsafePlan that says what is missing or what changed since.
    """
    path = approval_path(spec)
    if not path.exists():
        raise UnsafePlan(
            f"this mapping is not approved: {path} does not exist – run a sample,"
            f" look at it, then: etl approve {spec} --env live --by NAME"
        )
    found, pieces = load(path), parts(migration)
    digest = digest_of(pieces)
    if found.digest == digest and found.migration == migration.spec.name:
        _of_live(found, spec)
        _sample(store, digest, spec, "live")
        return found
    lines = "\n".join(f"  {line}" for line in _since(found, pieces, store))
    digests = f"{found.digest[:8]}, now {digest[:8]}"
    raise UnsafePlan(
        f"the mapping is not the one that {found.by} approved on {found.at}"
        f" ({digests}):\n{lines}\nrun a new sample, look at it, then: etl approve {spec}"
        " --env live --by NAME"
    )


def voided(migration: Migration, spec: Path) -> str:
    """Why the approval beside a spec does not hold for its mapping; "" where it does, or there is
    none. Raises SpecError for one that cannot be read.
    """
    path = approval_path(spec)
    if not path.exists():
        return ""
    found, digest = load(path), digest_of(parts(migration))
    if (found.digest, found.migration) == (digest, migration.spec.name):
        return ""
    return (
        f"what {found.by} approved on {found.at} is another mapping ({found.digest[:8]}, now"
        f" {digest[:8]}): it takes a new sample, and a new approval, before a run on live accounts"
    )


def _of_live(found: Approval, spec: Path) -> None:
    """What went well with the sandbox's data says little about live data; raises UnsafePlan."""
    if found.environment != "live":
        raise UnsafePlan(
            f"{found.by} approved this mapping on a sample in the {found.environment},"
            f" not of the live accounts – run one: etl run {spec} --sample --env live,"
            f" look at it, then: etl approve {spec} --env live --by NAME"
        )


def _since(
    found: Approval, pieces: Sequence[Part], store: Store | None
) -> Sequence[str]:
    """What changed since an approval, as far as the approved meaning is known here."""
    kept = recall(store, _meaning(found.digest)) if store else None
    if kept is None:
        now = _by_area(pieces)
        areas = [
            area
            for area in {**found.parts, **now}
            if found.parts.get(area) != now.get(area)
        ]
        return [
            f"changed since: {', '.join(areas)}",
            "how, this store does not know; to see it: etl diff --git COMMIT SPEC",
        ]
    lines = list(
        as_lines(
            Compared(
                "approved", "now", differences(unpacked(kept), pieces), None
            )
        )
    )
    lines = [line for line in lines if not line.startswith("effect")]
    return [
        *lines[:SHOWN],
        *(
            [f"and {len(lines) - SHOWN} lines more"]
            if len(lines) > SHOWN
            else []
        ),
    ]


def load(path: Path) -> Approval:
    """Read an approval; raises SpecError with every problem found."""
    document = read(path)
    problems = check_shape(document, "approval")
    if problems:
        raise SpecError(problems)
    return _from(document)


def _from(document: Document) -> Approval:
    data = document.data
    sample = data["sample"]
    return Approval(
        data["migration"],
        data["digest"],
        data["approved"]["by"],
        data["approved"]["at"],
        sample["environment"],
        sample["run"],
        sample["verdict"],
        data["parts"],
        data["approved"].get("tests", {}),
        data["approved"].get("despite", ""),
    )


def _as_data(made: Approval) -> dict[str, Any]:
    return {
        "migration": made.migration,
        "digest": made.digest,
        "approved": {
            "by": made.by,
            "at": made.at,
            **({"tests": dict(made.tests)} if made.tests else {}),
            **({"despite": made.despite} if made.despite else {}),
        },
        "sample": {
            "run": made.run,
            "environment": made.environment,
            "verdict": dict(made.verdict),
        },
        "parts": dict(made.parts),
    }


def _by_area(pieces: Sequence[Part]) -> dict[str, str]:
    """What each object, connector or section means, in eight digits."""
    areas = dict.fromkeys(part.area for part in pieces if part.weight != "none")
    return {
        area: digest_of(part for part in pieces if part.area == area)[:8]
        for area in areas
    }


def _meaning(digest: str) -> str:
    return f"meaning {digest}"


def _ended(run: int) -> str:
    return f"ended {run}"


def packed(pieces: Sequence[Part]) -> str:
    """Parts as a short text."""
    text = json.dumps(
        [msgspec.to_builtins(part) for part in pieces],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return base64.b64encode(
        zlib.compress(text.encode("utf-8", "surrogatepass"), 9)
    ).decode()


def unpacked(text: str) -> tuple[Part, ...]:
    """The parts behind a packed text."""
    return tuple(
        Part(**item)
        for item in json.loads(
            zlib.decompress(base64.b64decode(text)).decode(
                "utf-8", "surrogatepass"
            )
        )
    )


# -- the gate


def _admit(migration: Migration, spec: Path, place: str | None) -> None:
    """A full run against live accounts asks for an approval; raises UnsafePlan without one."""
    with staged(migration, place or "live", begun=False) as kept:
        demand(migration, spec, kept)


def _keep(run: Run, verdict: Mapping[str, Any]) -> str:
    """Record how a run ended, for a later approval, which would have the answered digest."""
    environment = "sandbox" if run.destination.account.name else "live"
    return keep_end(run.store, run.id, run.migration, verdict, environment)


# what a full run against live accounts is asked, by `etl` and by programs that give it to
# `declared_etl.open`
APPROVALS = Gate(_admit, _keep)
