"""What a reading of a row teaches: its fingerprint, and what the platform made of our values."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from msgspec import structs

from engine.destination.equality import is_same
from engine.destination.rows import Row
from engine.load.outcomes import (
    UNSHOWN,
    is_anothers,
    note_live,
    report_held,
)
from engine.store.links import (
    Link,
    clear_held_findings,
    is_touched,
    save_link,
)
from engine.values import as_file, is_empty
from engine.verify.fields import Side

Sight = Literal["listed", "read", "unedited"]


def learn(
    connection: sa.Connection, side: Side, run: int, sight: Sight
) -> Link | None:
    """What a reading shows of a row: its first fingerprint, and what is as wanted by now.

    `sight` says that a list showed the row, which may be late; that it was read by its id; or that
    it is known to have the fingerprint of its answer.
    """
    link, row = side.link, side.row
    if link is None or row is None or ("seen" in link.extra and side.is_intact):
        return link

    learnt = _learnt(side, link, row, run, sight)
    if learnt != link:
        for target in link.held.keys() - learnt.held.keys():
            clear_held_findings(connection, link.object, link.key, target)
        save_link(connection, learnt)
        if learnt.held.keys() - link.held.keys():
            report_held(connection, learnt)
    return learnt


def _learnt(side: Side, link: Link, row: Row, run: int, sight: Sight) -> Link:
    codec, resolved = side.codec, side.resolved
    stored, held, extra = dict(link.stored), dict(link.held), dict(link.extra)
    seen = extra.get("seen")
    if link.origin == "created" and seen is None:
        # The answer to our write has not shown the row: this reading does.
        extra["seen"] = codec.fingerprint(row)
        _note_all(side, link, row, stored, held)
        if extra.pop(UNSHOWN, False) and is_anothers(
            codec, resolved.body, row, held
        ):
            extra["touched"] = True
    elif seen is not None and (
        sight == "unedited" or codec.is_unchanged(seen, row)
    ):
        # Nobody has edited the row: whatever it holds is what the platform made of our values.
        _note_all(side, link, row, stored, held)
    elif link.run == run:
        told = held if sight == "read" else {}
        _tidied_later(side, link, row, stored, told, extra)

    for target in list(held):
        wanted, live = codec.get(resolved.body, target), codec.get(row, target)
        if codec.equal(target, wanted, live):
            del held[target]
    return structs.replace(link, stored=stored, held=held, extra=extra)


def _note_all(
    side: Side,
    link: Link,
    row: Row,
    stored: dict[str, Any],
    held: dict[str, Any],
) -> None:
    """What a row that nobody has edited since our last write holds in place of what was sent."""
    codec, resolved = side.codec, side.resolved
    for target in resolved.effective:
        if is_touched(link, target):
            continue
        sent, live = codec.get(resolved.body, target), codec.get(row, target)
        if is_same(sent, live) and target not in stored:
            continue
        if not (is_empty(sent) or as_file(sent) or target in held):
            note_live(codec, target, sent, live, stored, held)


def _tidied_later(
    side: Side,
    link: Link,
    row: Row,
    stored: dict[str, Any],
    held: dict[str, Any],
    extra: dict[str, Any],
) -> None:
    """Values that the platform tidied only after it had answered with them as they were sent, and
    those that it made something else of.
    """
    codec, resolved = side.codec, side.resolved
    found, lost = {}, []
    for target in resolved.effective:
        wanted, live = codec.get(resolved.body, target), codec.get(row, target)
        if (
            as_file(wanted)
            or target in stored
            or is_touched(link, target)
            or codec.equal(target, wanted, live)
        ):
            continue
        if codec.alike(target, wanted, live):
            found[target] = live
        else:
            lost.append(target)
            why = "lost" if is_empty(live) else "altered"
            held.setdefault(target, {"why": why, "tries": 1})
    if lost:
        extra["lost"] = lost
    if found:
        stored |= found
        extra["seen"] = codec.fingerprint(row)
