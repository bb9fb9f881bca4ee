"""What people must know about a plan: records held back, fields that stay as people have them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import sqlalchemy as sa

from engine.language.model import ObjectMapping
from engine.plan.diff import Decision
from engine.store.changes import Change
from engine.store.links import Finding, clear_findings, save_findings
from engine.values import canonical

STAGE = "load"
SHOWN = 80  # characters of a value that a message shows
UNMAPPED = "no longer mapped; its value stays"
HELD_BACK = {"skip": "skipped", "fail": "failed"}
STUCK = "emptied in the source; the destination cannot empty this field"


def report(
    connection: sa.Connection,
    mapping: ObjectMapping,
    decisions: Sequence[Decision],
    changes: Sequence[Change],
) -> None:
    """Replace what was found earlier about these records by what is found now."""
    held = {
        item.draft.key for item in decisions if item.link and item.link.held
    }
    over = [
        change.key
        for change in changes
        if change.kind not in ("create", "update") and change.key not in held
    ]
    clear_findings(connection, "write", mapping.name, over)
    failed = {
        item.draft.key for item in decisions if item.draft.state != "ready"
    }
    report_rows(connection, mapping, changes, failed)
    left_out = chain.from_iterable(map(_left_out, decisions))
    save_findings(connection, list(left_out))


def report_rows(
    connection: sa.Connection,
    mapping: ObjectMapping,
    changes: Sequence[Change],
    failed: Collection[str] = (),
) -> None:
    """The same for rows that were found by their key; `failed` are drafts that could not be made,
    which has its own finding from the mapping.
    """
    clear_findings(
        connection, STAGE, mapping.name, [change.key for change in changes]
    )
    found = (
        _of_change(mapping, change, change.key in failed) for change in changes
    )
    save_findings(connection, list(chain.from_iterable(found)))


def _of_change(
    mapping: ObjectMapping, change: Change, known: bool
) -> Iterator[Finding]:
    """A draft that could not be made has its own finding from the mapping."""
    if change.kind in HELD_BACK and not known:
        yield _finding(change, "", f"{HELD_BACK[change.kind]}: {change.reason}")

    for target, live, wanted in change.conflicts:
        theirs, ours = canonical(live)[:SHOWN], canonical(wanted)[:SHOWN]
        yield _finding(change, target, kept_text(theirs, ours))

    for target in change.stuck:
        severity = "attention" if target in mapping.fields else "note"
        yield _finding(change, target, stuck_text(mapping, target), severity)

    if change.kind == "unchanged" and change.reason.startswith(
        "changed in the source"
    ):
        yield _finding(change, "", change.reason, "note")


def _left_out(decision: Decision) -> Iterator[Finding]:
    """Links and options that are left out of a record that is written all the same."""
    draft, resolved = decision.draft, decision.resolved
    for target, why in resolved.missing if resolved else ():
        yield Finding(
            draft.object,
            draft.key,
            STAGE,
            target,
            "attention",
            f"left out: {why}",
        )


def _finding(
    change: Change, target: str, text: str, severity: str = "attention"
) -> Finding:
    return Finding(change.object, change.key, STAGE, target, severity, text)


def stuck_text(mapping: ObjectMapping, target: str) -> str:
    """What is said of a field whose value stays though none is wanted any more."""
    return STUCK if target in mapping.fields else UNMAPPED


def kept_text(theirs: str, ours: str) -> str:
    """What is said of a conflict: values that people and the source have in a field."""
    return f"people changed it to {theirs}; kept (the source says {ours})"
