"""Plain JSON values: paths into them, emptiness, digests, and the symbols a draft may hold.

A draft is JSON. Where it names another record it holds a symbol instead of an id:
`{"$link": ["clients", "clients/12"]}` is the destination row that object `clients` made of the
record `clients/12`; `{"$file": {...}}` is a file to be fetched and sent.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

Json = Any
Segments = tuple[str | int, ...]
T = TypeVar("T")

_STEP = r"\[(?:\d+|\*|[^.\[\]=]+=[^\[\]]+)\]"  # a place in a list: by number, all of them, the one with this value
_PATH = re.compile(rf"(?:[^.\[\]]+|{_STEP})(?:{_STEP}|\.[^.\[\]]+)*")
_SEGMENT = re.compile(rf"{_STEP}|[^.\[\]]+")


def batches(items: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Items in lists of at most `size`: what fits into one statement, or into one call."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


@functools.lru_cache(maxsize=4096)
def segments(text: str) -> Segments:
    """`assets[*].serial-number` as `("assets", "*", "serial-number")`; raises ValueError.

    `[name=Budget]`, the element with that value, keeps its brackets, which no name has.
    """
    if not _PATH.fullmatch(text):
        raise ValueError(f"{text!r} is not a path")
    return tuple(_segment(part) for part in _SEGMENT.findall(text))


def _segment(part: str) -> str | int:
    place = part[1:-1] if part.startswith("[") else ""
    return int(place) if place.isdigit() else place if place == "*" else part


def dig(value: Json, path: Segments) -> Json:
    """The value at `path`; None where it leads nowhere. `*` collects over a list, a further `*` into the same list."""
    for position, part in enumerate(path):
        if part == "*":
            return _collect(value, path[position + 1 :])
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else _picked(value, part) if isinstance(value, list) else None
        if value is None:
            return None
    return value


def picks(part: str | int) -> tuple[str, str] | None:
    """The field and the value that `[name=Budget]` picks an element of a list by; None for another part of a path."""
    name, _, wanted = part[1:-1].partition("=") if isinstance(part, str) and part.startswith("[") else ("", "", "")
    return (name, wanted) if name else None


def _picked(found: list[Json], part: str) -> Json:
    """The first element that has the value."""
    by = picks(part)
    return next((item for item in found if by and isinstance(item, dict) and word(item.get(by[0])) == by[1]), None)


def _collect(value: Json, rest: Segments) -> list[Json]:
    found = [dig(item, rest) for item in value] if isinstance(value, list) else []
    if "*" in rest:
        found = [item for inner in found for item in inner or ()]
    return [item for item in found if not is_empty(item)]


def is_empty(value: Json) -> bool:
    """Null, blank text, an empty list or an empty object. False and 0 are values."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or value.isspace()
    return not value and isinstance(value, (list, dict))


NO = ("", "0", "0.0", "false", "no", "n", "off", "f", "null", "none")
YES = ("1", "1.0", "true", "yes", "y", "on", "t", "si", "sí")


def flag(value: Json) -> bool | None:
    """A flag in any form that platforms give it: `0`, `"false"`, `"N"` are no; None for other words."""
    said = word(value).strip().casefold()
    if said in NO:
        return False
    return True if said in YES else None


def is_yes(value: Json) -> bool:
    """Whether a flag is set; a moment or a name in its place sets it as well."""
    found = flag(value)
    return bool(value) if found is None else found


def canonical(value: Json) -> str:
    """The one JSON text of a value: sorted keys, no blanks, whole floats as integers; raises ValueError for NaN."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Json) -> Json:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def word(value: Json) -> str:
    """A scalar as text, the way value maps and keys name it: `true`, `12`, `Pendiente`; nothing is the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def well_formed(value: Json) -> Json:
    """The value with every half of a surrogate pair, which is no text and cannot be sent, replaced by `?`."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode("utf-8", "replace"))
    return value


def digest(value: Json) -> str:
    """A short stable fingerprint of a JSON value."""
    return hashlib.sha256(canonical(value).encode(errors="surrogatepass")).hexdigest()[:32]


def link(target: str, key: str) -> dict[str, list[str]]:
    """The symbol for the row that object `target` made of record `key`."""
    return {"$link": [target, key]}


def as_link(value: Json) -> tuple[str, str] | None:
    """The object and key of a link symbol, or None."""
    found = value.get("$link") if isinstance(value, dict) and len(value) == 1 else None
    return (found[0], found[1]) if found else None


def as_file(value: Json) -> dict[str, Any] | None:
    """The description behind a file symbol, or None."""
    if isinstance(value, dict) and len(value) == 1 and "$file" in value:
        found: dict[str, Any] = value["$file"]
        return found
    return None


def links_in(value: Json) -> Iterator[tuple[str, str]]:
    """Every link symbol inside a value."""
    found = as_link(value)
    if found:
        yield found
    elif isinstance(value, dict):
        for item in value.values():
            yield from links_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from links_in(item)


def leaves(value: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Every scalar with its path; list positions are written as `[*]`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{prefix}[*]")
    else:
        yield prefix, value
