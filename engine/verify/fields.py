"""One mapped field of a record beside what the destination holds of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.model import Resource
from engine.destination.compare import (
    UNKNOWN,
    FieldView,
    Ownership,
    holds_wanted,
    ownership,
)
from engine.destination.equality import is_same
from engine.destination.resolve import Resolved
from engine.destination.rows import Row, RowCodec
from engine.mapping.evaluate import Provenance
from engine.store.links import Link, is_touched
from engine.values import as_file, canonical, is_empty, word


class FieldState(msgspec.Struct, frozen=True):
    """One mapped field of one record.

    `state` is equal, transformed, looked_up, defaulted, stored_as (all of them: arrived, the last
    in the form that the destination gave it), dropped (the mapping left it out), lost (wanted, but
    the destination holds something else), changed_by_people (so it arrived, and they have changed
    it since) or empty.
    """

    target: str
    label: str
    state: str
    sources: tuple[tuple[str, Any], ...]
    steps: tuple[str, ...]
    wanted: Any
    live: Any
    reason: str = ""


class Side(msgspec.Struct, frozen=True):
    """A record as it was written, in our words and as it travels, and the row it has.

    `is_intact`: the row holds every value as it was sent, and nothing else is known of it;
    `edited`: the fields that people have changed since an earlier run wrote it.
    """

    codec: RowCodec
    resolved: Resolved
    link: Link | None
    row: Row | None
    is_intact: bool
    edited: Sequence[str] = ()


def side_of(
    codec: RowCodec, resolved: Resolved, link: Link | None, row: Row | None
) -> Side:
    """Both sides of a record."""
    is_intact = (
        link is not None
        and row is not None
        and not (link.held or link.stored or resolved.missing)
        and codec.holds(row, resolved.body, resolved.effective)
    )
    return Side(codec, resolved, link, row, is_intact)


def field_states(
    side: Side, traces: Sequence[Provenance], label: Callable[[str], str]
) -> tuple[FieldState, ...]:
    """Every field's state from its story and from what the destination holds."""
    state_of = _as_sent if side.is_intact else _state_of
    return tuple(
        [state_of(side, trace, label(trace.target)) for trace in traces]
    )


def _as_sent(side: Side, trace: Provenance, label: str) -> FieldState:
    """The state of a field that arrived as it was sent, as nearly always."""
    target, codec = trace.target, side.codec
    live = wanted = codec.get(side.resolved.body, target)
    # for people: labels instead of option ids, ids only where there is nothing better
    shown = trace.value
    if shown is None or isinstance(shown, dict | list):
        shown = wanted
    if side.row is None:
        live = None
    elif not side.is_intact or target not in side.resolved.effective:
        live = codec.get(side.row, target)
    return FieldState(
        target,
        label,
        "defaulted" if trace.how == "constant" else trace.how,
        trace.sources,
        trace.steps,
        shown,
        live,
        trace.reason,
    )


def _state_of(side: Side, trace: Provenance, label: str) -> FieldState:
    plain = _as_sent(side, trace, label)
    target, live = trace.target, plain.live
    wanted = side.codec.get(side.resolved.body, target)
    state, reason = plain.state, trace.reason
    missing = dict(side.resolved.missing) if side.resolved.missing else {}

    file = side.codec.resource.file
    if is_same(wanted, live) and target not in missing:
        return plain
    if as_file(wanted) and file:
        row = side.row
        live = (
            {"name": row.get(file[1]), "size": row.get(file[2])}
            if row
            else None
        )
        state = _file_state(live, wanted, side.link)
    elif target in missing:
        state, reason = "lost", missing[target]
    else:
        state, reason = _arrived(side, target, wanted, live, (state, reason))
    return structs.replace(plain, state=state, live=live, reason=reason)


def _arrived(
    side: Side, target: str, wanted: Any, live: Any, told: tuple[str, str]
) -> tuple[str, str]:
    """The state of a plain field, `told` being that of one that arrived as it was sent."""
    held = side.link.held.get(target, {}) if side.link else {}
    if is_empty(wanted) and not (held and not is_empty(live)):
        return told
    if side.row is None:
        return "lost", "the record did not arrive"

    same = partial(side.codec.equal, target)
    if same(wanted, live):
        return told
    stored = side.link.stored.get(target, UNKNOWN) if side.link else UNKNOWN
    view = FieldView(wanted, stored, live, wanted)
    if holds_wanted(view, same) and side.codec.alike(target, wanted, live):
        return "stored_as", f"the destination stores it as {text_of(live)[:80]}"
    why = held.get("why")
    kept, theirs = why == "conflict", ownership(view, same) is Ownership.THEIRS
    if kept or (theirs and _may_be_peoples(side, target)):
        when = "; kept" if kept else " since"
        return "changed_by_people", f"people changed it{when}"
    return "lost", _why_lost(why, view, same)


def _may_be_peoples(side: Side, target: str) -> bool:
    """Whether a field that holds something else may be people's work: what the run that wrote it
    found lost is none.
    """
    if side.link is None or target in side.link.extra.get("lost", ()):
        return False
    return target in side.edited or is_touched(side.link, target)


def _why_lost(
    why: str | None, view: FieldView, same: Callable[[Any, Any], bool]
) -> str:
    if why == "stuck":
        return "emptied in the source; the destination cannot empty this field"
    if is_empty(view.live):
        return "the destination holds nothing"
    if holds_wanted(view, same):
        return "the destination made something else of it"
    return "the destination holds something else"


def _file_state(live: Any, wanted: Any, link: Link | None) -> str:
    size = link.extra.get("size") if link else None
    described = as_file(wanted) or {}
    good = (
        live is not None
        and live["name"] == described.get("name")
        and (size is None or live["size"] == size)
    )
    return "transformed" if good else "lost"


def money_of(
    kind: Resource, fields: Sequence[FieldState]
) -> tuple[FieldState, FieldState] | None:
    """The amount and the currency of a record, where its resource has both and both are mapped."""
    found = {item.target: item for item in fields}
    amount, currency = (found.get(name) for name in kind.money or ("", ""))
    return (amount, currency) if amount and currency else None


def text_of(value: Any) -> str:
    """A value as a table cell shows it."""
    return canonical(value) if isinstance(value, dict | list) else word(value)
