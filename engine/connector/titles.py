"""What people call a row, in the fields that its connector names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.connector.pagination import path_of
from engine.values import dig


def at_place(row: Mapping[str, Any], place: str) -> Any:
    """What a row holds at a place that a connector names; a field may have a dot in its name."""
    if place in row:
        return row[place]
    return dig(row, path_of(place)) if place else None


def first_word(row: Mapping[str, Any], places: Iterable[str]) -> str:
    """The first text or number that a row holds at one of these places; "" without any."""
    found = (at_place(row, place) for place in places)
    words = (
        str(value).strip()
        for value in found
        if isinstance(value, str | int | float)
    )
    return next(filter(None, words), "")
