"""A write to be made, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from engine.connector.model import Verb
from engine.errors import EtlError

RESTORED = "restored"  # origin of an update that puts people's values back
State = Literal["done", "failed", "unknown", "not sent", "stale"]


class Write(msgspec.Struct, frozen=True):
    """One write to be made.

    `body` is what travels, `draft` the same with links as symbols, `digest` that of the draft that
    was wanted, of which `draft` may lack what people keep.
    """

    object: str
    key: str
    resource: str
    action: Verb
    body: Any
    draft: Mapping[str, Any]
    dest_id: str = ""
    before: Mapping[str, Any] = {}
    origin: str = "created"
    extra: Mapping[str, Any] = {}
    # what the destination made of fields
    stored: Mapping[str, Any] = {}
    # fields that are not as wanted, and why
    held: Mapping[str, Any] = {}
    digest: str = ""
    entry: int = 0
    at: float = 0.0  # when it was booked


class Answer(msgspec.Struct, frozen=True):
    """What the platform said to a write, as far as it matters afterwards."""

    row: Mapping[str, Any] = {}
    status: int = 0
    date: float | None = None  # the server's clock, epoch seconds
    shown: bool = False  # whether the answer held the row, not just its id
    repeated: bool = False  # whether the call was made more than once
    as_sent: bool = False  # the row is known to show every value as it was sent


class Outcome(msgspec.Struct, frozen=True):
    """What became of a write. `unknown` never leaves the delivery."""

    write: Write
    state: State
    dest_id: str = ""
    answer: Answer = Answer()
    reason: str = ""
    extra: Mapping[str, Any] = {}
    fatal: EtlError | None = None
    # False: it ended before the destination was asked, or in another's call
    called: bool = True
    rows: int = 1  # that travelled in its call
    # unknown: the platform took it, but does not say what it made
    accepted: bool = False
    # unknown: the answer named a row that stands for another record
    claimed: bool = False
    existing: bool = False  # done: the row was there before
    refused: bool = False  # failed: the destination does not take it
