"""Ours or theirs: what to do with one field of one row, from what each side knows of it.

Merging, reconciling, verifying, reporting and taking back all ask the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import msgspec

from engine.values import as_file, is_empty

Equality = Callable[[Any, Any], bool]
ConflictPolicy = Literal["keep", "overwrite"]


class Unknown(Enum):
    """A value that nobody has reported; None is a value."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


class Ownership(Enum):
    """Whose value the destination holds."""

    NOBODY = "nobody"
    OURS = "ours"
    THEIRS = "theirs"


class Action(Enum):
    """What is to be done with a field."""

    NOTHING = "nothing"
    SEND = "send"
    # people changed it, and the spec keeps what people do
    CONFLICT = "conflict"
    STUCK = "stuck"  # it is to be emptied, and the platform cannot


class FieldView(msgspec.Struct, frozen=True):
    """One field of one row as each side knows it."""

    written: Any  # what we sent last, None if never
    # what the destination then made of it, UNKNOWN where it holds what we sent
    stored_as: Any
    live: Any  # what it holds now
    wanted: Any  # what the mapping says now
    # False: the row was there before us and we have never written it
    linked: bool = True


def ownership(view: FieldView, same: Equality) -> Ownership:
    """Whose value the destination holds: ours, a person's, or nobody's."""
    if is_empty(view.live) and not view.linked:
        return Ownership.NOBODY
    if same(view.written, view.live):
        return Ownership.OURS
    if view.stored_as is not UNKNOWN and same(view.stored_as, view.live):
        return Ownership.OURS
    return Ownership.THEIRS


def holds_wanted(view: FieldView, same: Equality) -> bool:
    """Whether the field holds what we want, be it in the form the destination gave it."""
    if same(view.wanted, view.live):
        return True
    return stored_otherwise(view, same) and not is_empty(view.live)


def stored_otherwise(view: FieldView, same: Equality) -> bool:
    """Whether the field holds what the destination made of the very value that we want."""
    if view.stored_as is UNKNOWN or not same(view.written, view.wanted):
        return False
    return same(view.stored_as, view.live)


def decide_field(
    view: FieldView, policy: ConflictPolicy, can_empty: bool, same: Equality
) -> Action:
    """What to do with one field.

    | holds the wanted value | ownership      | policy    | can be emptied | action   |
    | ---------------------- | -------------- | --------- | -------------- | -------- |
    | yes                    | any            | any       | any            | NOTHING  |
    | no                     | THEIRS         | keep      | any            | CONFLICT |
    | no, and wanted empty   | other          | any       | no             | STUCK    |
    | no                     | other          | any       | any            | SEND     |
    """
    if as_file(view.wanted) or holds_wanted(view, same):
        return Action.NOTHING
    if ownership(view, same) is Ownership.THEIRS and policy == "keep":
        return Action.CONFLICT
    if is_empty(view.wanted) and not can_empty:
        return Action.STUCK
    return Action.SEND
