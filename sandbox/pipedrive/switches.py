"""Behaviours of the real service that are not sure: each can be set either way.

Nobody has published them, or what is published and what is seen live are not the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sandbox.pipedrive.store import KINDS

REFERRED = "referred"  # in refuse_deletes: rows that others refer to
_DELETABLE = sorted(set(KINDS) - {"users"})
_ALLOWED = {
    "deal_add_time": ("refuse", "ignore"),
    "charge_failed": ("on", "off"),
    "over_max": ("cap", "refuse"),
    "search_over_max": ("refuse", "cap"),
    "create_status": ("200", "201"),
    "contact_sync": ("off", "on"),
    "label_options": ("accept", "refuse"),
    "due_seconds": ("refuse", "accept"),
    "line_value": ("keep", "sum"),
    "cascade": ("off", "unlink", "delete"),
    "read_deleted": ("404", "row"),
    "removed_option": ("keep", "clear"),
    "builtin_option_ids": ("string", "number"),
    "stamps": ("seconds", "milliseconds"),
    "activity_times": ("seconds", "minutes"),
    "formatted_address": ("off", "on"),
    "primary_flag": ("off", "beside", "instead"),
    "fair_use": ("count", "refuse", "off"),
    "fair_use_patch": ("off", "on"),
    "deals_over_cap": ("refuse", "waitlist"),
    "bulk_lines": ("all", "each", "before"),
    "bulk_order": ("kept", "reversed"),
    "negative_value": ("accept", "refuse"),
    "v1_empty_options": ("null", "left_out"),
}


@dataclass(frozen=True, slots=True)
class Switches:
    """The first value of each is the default."""

    deal_add_time: str = "refuse"  # add_time in a v2 deal: 400, or silently dropped
    charge_failed: str = "on"  # whether requests answered 4xx cost tokens
    over_max: str = "cap"  # limit above the maximum on lists
    search_over_max: str = "refuse"  # limit above 100 on searches
    create_status: str = "200"  # status of creates published as 200
    contact_sync: str = "off"  # person fields that only exist with contact sync
    label_options: str = "accept"  # adding options to built-in fields
    due_seconds: str = "refuse"  # HH:MM:SS in an activity's due_time and duration
    line_value: str = "keep"  # whether line items rewrite the deal's value
    cascade: str = "off"  # what a delete does to the rows that refer to the deleted one
    refuse_deletes: str = "off"  # which deletes are refused: tables, rows that are referred to
    read_deleted: str = "404"  # GET of one row that was deleted or merged into another
    removed_option: str = "keep"  # whether values keep the id of an option that was removed
    builtin_option_ids: str = "string"  # how definitions write option ids of built-in fields
    stamps: str = "seconds"  # whether v2 moments have milliseconds
    activity_times: str = "seconds"  # HH:MM:SS or HH:MM in due_time and duration of an answer
    formatted_address: str = "off"  # the whole address once more in built-in address objects
    primary_flag: str = "off"  # the old name of `primary` in an activity's participants
    fair_use: str = "count"  # writes a day and user: counted in a header, refused, not counted
    fair_use_patch: str = "off"  # whether PATCH counts as POST and PUT do
    deals_over_cap: str = "refuse"  # a deal over the plan's number of leads and deals
    bulk_lines: str = "all"  # a bulk of line items of which one does not fit
    bulk_order: str = "kept"  # the order in which a bulk answers with the lines it made
    negative_value: str = "accept"  # a deal's value below zero
    v1_empty_options: str = "null"  # `options` of a field without any, in definitions of v1
    index_delay: float = 3.0  # seconds until a search finds what was written
    storm: int = 20  # ignored 429s in a row before the HTML 403
    fair_use_limit: int = 10_000  # writes a day and user
    # Numbers of things; 0 is no limit but the plan's own.
    most_deals: int = 0  # leads and deals of the company; 0 = as the plan says
    most_custom_fields: int = 0  # of the company; 0 = as the plan says
    most_labels: int = 100  # of one record
    most_notes_per_deal: int = 0
    most_lines_per_deal: int = 0
    most_contacts: int = 0  # e-mails of a person, and phones
    note_bytes: int = 100 * 1024  # of one note

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Switches:
        """From KEY=VALUE pairs; ValueError names what is wrong with one."""
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                raise ValueError(f"unknown switch {key!r}; known: {', '.join(sorted(known))}")
            values[key] = _value(key, value)
        return cls(**values)

    @property
    def refused_deletes(self) -> frozenset[str]:
        """The tables whose rows cannot be deleted, and REFERRED where references forbid it."""
        return frozenset(self.refuse_deletes.split(",")) - {"off"}


def _value(key: str, value: str) -> str | int | float:
    if key in _ALLOWED:
        if value not in _ALLOWED[key]:
            raise ValueError(f"switch {key} takes {' or '.join(_ALLOWED[key])}, not {value!r}")
        return value
    if key == "refuse_deletes":
        return _refused_deletes(value)
    try:
        number = float(value) if key == "index_delay" else int(value)
    except ValueError:
        raise ValueError(f"switch {key} takes a number, not {value!r}") from None
    if not 0 <= number < math.inf:
        raise ValueError(f"switch {key} takes a number from 0 on, not {value!r}")
    return number


def _refused_deletes(value: str) -> str:
    words = ("off", REFERRED, *_DELETABLE)
    for word in value.split(","):
        if word not in words:
            raise ValueError(
                f"switch refuse_deletes takes {', '.join(words)} or several of them with commas,"
                f" not {word!r}"
            )
    return value
