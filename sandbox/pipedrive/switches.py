"""Behaviours of the real service that nobody has published: each can be set either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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
    index_delay: float = 3.0  # seconds until a search finds what was written
    storm: int = 20  # ignored 429s in a row before the HTML 403

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


def _value(key: str, value: str) -> str | int | float:
    if key in _ALLOWED:
        if value not in _ALLOWED[key]:
            raise ValueError(f"switch {key} takes {' or '.join(_ALLOWED[key])}, not {value!r}")
        return value
    try:
        return int(value) if key == "storm" else float(value)
    except ValueError:
        raise ValueError(f"switch {key} takes a number, not {value!r}") from None
