"""How a value of one row names a row of another collection, by the pattern of its connector."""

from __future__ import annotations

import functools
import re
from typing import Any

from engine.values import as_list


def any_key(value: Any, pattern: str) -> str | None:
    """The key a value names by the connector's pattern, whatever its collection."""
    match = (
        reference_pattern(pattern).fullmatch(str(value))
        if pattern and value
        else None
    )
    return f"{match['collection']}/{match['id']}" if match else None


def named(value: Any, pattern: str) -> list[str]:
    """What a value names: the key of a row, or the value itself; each that a list names, once."""
    found = (
        any_key(item, pattern) or str(item)
        for item in as_list(value)
        if item is not None
    )
    return list(dict.fromkeys(found))


@functools.cache
def reference_pattern(pattern: str) -> re.Pattern[str]:
    escaped = (
        re.escape(pattern)
        .replace(r"\{collection\}", r"(?P<collection>[^/]+)")
        .replace(r"\{id\}", r"(?P<id>[^/?#]+)")
    )
    return re.compile(r"(?:https?://)?" + escaped)
