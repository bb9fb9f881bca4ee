"""How a value of one row names a row of another collection, by the pattern of its connector."""

from __future__ import annotations

import functools
import re
from typing import Any


def any_key(value: Any, pattern: str) -> str | None:
    """The key a value names by the connector's pattern, whatever its collection."""
    match = (
        reference_pattern(pattern).fullmatch(str(value))
        if pattern and value
        else None
    )
    return f"{match['collection']}/{match['id']}" if match else None


@functools.cache
def reference_pattern(pattern: str) -> re.Pattern[str]:
    escaped = (
        re.escape(pattern)
        .replace(r"\{collection\}", r"(?P<collection>[^/]+)")
        .replace(r"\{id\}", r"(?P<id>[^/?#]+)")
    )
    return re.compile(r"(?:https?://)?" + escaped)
