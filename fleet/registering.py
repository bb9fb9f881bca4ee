"""How a migration comes into a fleet: with its files, and with the approval that holds for them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.cli.environment import variables
from engine.config.document import read
from engine.config.validation import check_shape
from engine.config.variables import expand
from engine.errors import UnsafePlan, UsageError
from engine.language.compile import Migration, load_migration
from fleet import queue
from fleet.bundle import Bundle, packed, unpacked
from fleet.records import database, members, registry, reports
from fleet.records.members import Member
from fleet.wording import Told, worded
from workbench import approval
from workbench.staged import staged
from workbench.writing import settings_changed

Say = Callable[[str], object]


def add(
    engine: sa.Engine,
    spec: Path,
    told: Told,
    settings: Mapping[str, Any],
    say: Say,
) -> None:
    """Register a migration with its files as they are now; raises UsageError.

    An approval that is registered stays where it holds for them: nobody else has it as a file.
    """
    _check_shape(spec)
    before = members.found(engine, told.name)
    kept = json.loads(before.settings) if before else {}
    kept, dropped = _still_there(spec, kept) if kept else ({}, ())
    for key in dropped:
        say(
            f"{told.name}: --set {key} is dropped, for the spec has no setting {key} any more"
        )
    changed = {**kept, **settings}
    if kept:
        words = " ".join(f"{key}={value}" for key, value in changed.items())
        say(f"{told.name}: as before and now, --set {words}")

    if told.secrets != (before.secrets if before else told.name):
        say(f"{told.name}: its secrets are those of {told.secrets} from now on")
    elif told.secrets != told.name:
        say(f"{told.name}: its secrets are those of {told.secrets}, as before")

    text = settings_changed(spec, changed) if changed else ""
    stored = _approved_before(engine, before)
    made = _with_approval(spec, text, stored, told)
    for line in _moved(engine, before, told.name):
        say(line)
    _register(engine, made, told, changed, before, say)


def _check_shape(spec: Path) -> None:
    """Raise UsageError where a file is no spec, before anything is looked up in it."""
    document, _ = expand(read(spec), variables())
    if check_shape(document, "spec"):
        load_migration(spec, variables())  # tells every mistake


def _still_there(
    spec: Path, kept: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """What was set of a spec and can be still, and what it has no more."""
    known = read(spec).data.get("settings") or {}
    left = {key: value for key, value in kept.items() if key in known}
    return left, sorted(kept.keys() - left.keys())


def approve(
    engine: sa.Engine, name: str, by: str, despite: str, say: Say
) -> None:
    """Approve a migration as it is registered; raises UsageError, or UnsafePlan where nobody can
    have looked at its sample.
    """
    of = members.member(engine, name)
    if of.version != queue.VERSION:
        raise UsageError(
            f"{name} is of etl {of.version}, and this is {queue.VERSION} – approve it with that"
            " one, or add it again with this one"
        )
    told = Told(name, of.secrets)
    with (
        _read(registry.bundle_of(engine, name), told) as (spec, migration),
        staged(migration, database.store_of(engine, name)) as kept,
    ):
        assert kept is not None
        made = approval.approve(
            migration,
            spec,
            kept,
            environment="live",
            by=by,
            now=time.time(),
            despite=despite,
        )
        _check_report(engine, name)
        bundle = packed(spec)
    _register(engine, bundle, told, json.loads(of.settings), of, say)
    instead = f", instead of {of.approved}" if of.approved else ""
    say(
        f"{name}: {by} approves {made.digest[:8]} on sample run {made.run}{instead}; all of it"
        f" comes with: etl fleet start {name} run"
    )


def _check_report(engine: sa.Engine, name: str) -> None:
    """A store outlives `remove`, and the reports do not; raises UnsafePlan."""
    if not reports.last(engine, name):
        raise UnsafePlan(
            f"{name} has no report that anybody can have looked at – run a sample, and look at it:"
            f" etl fleet start {name} sample"
        )


@contextmanager
def _read(bundle: Bundle, told: Told) -> Iterator[tuple[Path, Migration]]:
    """The spec of a bundle, as a worker will read it or not at all; mistakes are said as people
    know its files and commands.
    """
    with tempfile.TemporaryDirectory() as folder:
        spec = unpacked(bundle, Path(folder))
        try:
            yield spec, load_migration(spec, variables())
        except UnsafePlan as error:
            raise UnsafePlan(worded(str(error), spec, told)) from None
        except UsageError as error:
            raise UsageError(worded(str(error), spec, told)) from None


def _approved_before(engine: sa.Engine, before: Member | None) -> bytes:
    if before is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        spec = unpacked(registry.bundle_of(engine, before.name), Path(folder))
        path = approval.approval_path(spec)
        return path.read_bytes() if path.exists() else b""


def _with_approval(spec: Path, text: str, stored: bytes, told: Told) -> Bundle:
    """The files with the project's own approval, or with the one that is registered where only
    that holds, or where there is no other.
    """
    own = packed(spec, text)
    if not stored or _is_approved(own, told):
        return own
    other = packed(spec, text, stored)
    if not approval.approval_path(spec).exists():
        return other
    return other if _is_approved(other, told) else own


def _is_approved(bundle: Bundle, told: Told) -> bool:
    with _read(bundle, told) as (spec, migration):
        there = approval.approval_path(spec).exists()
        return there and not approval.voided(migration, spec)


def _moved(
    engine: sa.Engine, before: Member | None, name: str
) -> Iterator[str]:
    """What is not what a new name in an empty database would be."""
    if before is None and database.has_store(engine, name):
        yield f"{name}: its store {database.schema_of(name)} is there already, and goes on"
    if before is not None and before.version != queue.VERSION:
        yield (
            f"{name}: workers of etl {queue.VERSION} take it from now on, those of"
            f" {before.version} no more"
        )


def _register(
    engine: sa.Engine,
    bundle: Bundle,
    told: Told,
    settings: Mapping[str, Any],
    instead_of: Member | None,
    say: Say,
) -> None:
    with _read(bundle, told) as (spec, migration):
        why_not = approval.voided(migration, spec)
        approved = "" if why_not else _approved_by(spec)
    if why_not:
        say(f"{told.name}: {why_not}")
    before = registry.register(
        engine,
        told.name,
        bundle,
        instead_of,
        version=queue.VERSION,
        secrets=told.secrets,
        approved=approved,
        settings=json.dumps(settings),
    )
    what = f"{told.name}: {bundle.spec} is registered as {bundle.digest[:8]}"
    if before == bundle.digest:
        what += ", unchanged"
    elif before:
        what += f" in place of {before[:8]}; the next turn uses it"
    say(f"{what}; approved by {approved}" if approved else what)


def _approved_by(spec: Path) -> str:
    path = approval.approval_path(spec)
    return approval.load(path).by if path.exists() else ""
