"""Plain JSON values: paths into them, emptiness, digests, and the symbols a draft may hold.

A draft is JSON. Where it names another record it holds a symbol instead of an id:
`{"$link": ["clients", "clients/12"]}` is the destination row that object `clients` made of the
record `clients/12`; `{"$file": {...}}` is a file to be fetched and sent.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

import msgspec

Json = Any
Segments = tuple[str | int, ...]
Names = tuple[str, ...]
# a row as a platform shows it, a body, any other JSON object
Row = Mapping[str, Any]
K = TypeVar("K")
T = TypeVar("T")

# a place in a list: by number, all of them, the one with this value
_STEP = r"\[(?:\d+|\*|[^.\[\]=]+=[^\[\]]+)\]"
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
    if place.isdecimal():
        return int(place)
    return place if place == "*" else part


def dig(value: Json, path: Segments) -> Json:
    """The value at `path`; None where it leads nowhere. `*` collects over a list, a further `*`
    into the same list.
    """
    for position, part in enumerate(path):
        if part == "*":
            return _collect(value, path[position + 1 :])
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list):
            value = _element(value, part)
        else:
            return None
        if value is None:
            return None
    return value


def picks(part: str | int) -> tuple[str, str] | None:
    """The field and the value that `[name=Budget]` picks an element of a list by; None for
    another part of a path.
    """
    name, _, wanted = (
        part[1:-1].partition("=")
        if isinstance(part, str) and part.startswith("[")
        else ("", "", "")
    )
    return (name, wanted) if name else None


def _element(found: list[Json], part: str | int) -> Json:
    """The element at a place of a list, or the one that has a value."""
    if isinstance(part, int):
        return found[part] if part < len(found) else None
    return _picked(found, part)


def _picked(found: list[Json], part: str) -> Json:
    """The first element that has the value."""
    by = picks(part)
    return next(
        (
            item
            for item in found
            if by and isinstance(item, dict) and word(item.get(by[0])) == by[1]
        ),
        None,
    )


def _collect(value: Json, rest: Segments) -> list[Json]:
    found = (
        [dig(item, rest) for item in value] if isinstance(value, list) else []
    )
    if "*" in rest:
        found = [item for inner in found for item in inner or ()]
    return [item for item in found if not is_empty(item)]


def as_list(value: Json) -> list[Json]:
    """A value, or each of a list of values."""
    return value if isinstance(value, list) else [value]


def is_empty(value: Json) -> bool:
    """Null, blank text, an empty list or an empty object. False and 0 are values."""
    if isinstance(value, str):
        return not value or value.isspace()
    return not value and (value is None or isinstance(value, (list, dict)))


NO = ("", "false", "no", "n", "off", "f", "null", "none")
# what differs between texts about one thing that is wrong
_VALUES = re.compile(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S*[\d@]\S*")
_ZERO = re.compile(r"[+-]?0+(?:\.0*)?")
YES = ("1", "1.0", "true", "yes", "y", "on", "t", "si", "sí")


def flag(value: Json) -> bool | None:
    """A flag in any form that platforms give it: `0`, `"false"`, `"N"` are no; None for other
    words.
    """
    said = word(value).strip().casefold()
    if said in NO or _ZERO.fullmatch(said):
        return False
    return True if said in YES else None


def is_yes(value: Json) -> bool:
    """Whether a flag is set; a moment or a name in its place sets it as well."""
    found = flag(value)
    return bool(value) if found is None else found


def canonical(value: Json) -> str:
    """The one JSON text of a value: sorted keys, no blanks, whole floats as integers; raises
    ValueError for NaN.
    """
    if not _is_common(value):
        return _CANONICAL(_plain(value))
    try:
        return _SORTED(value).decode()
    except UnicodeEncodeError:  # half a character
        return _CANONICAL(_plain(value))


_CANONICAL = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
).encode
_SORTED = msgspec.json.Encoder(order="sorted").encode
_AS_THEY_ARE = frozenset((str, int, bool, type(None)))  # most values by far
_NAMES = frozenset((str,))


def to_json(value: Json) -> bytes:
    """A value as a platform is sent it, in its own order; halves of characters become `?`. Raises
    ValueError for NaN.
    """
    if _is_common(value):
        with suppress(UnicodeEncodeError):
            return _IN_ORDER(value)
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return text.encode("utf-8", "replace")


_IN_ORDER = msgspec.json.Encoder().encode


def _is_common(value: Json) -> bool:
    """Whether a value holds nothing that two writers of JSON write differently, such as floats."""
    kind = type(value)
    if kind is dict:
        return _NAMES.issuperset(map(type, value)) and _are_common(
            value.values()
        )
    return _are_common(value) if kind is list else kind in _AS_THEY_ARE


def _are_common(values: Collection[Json]) -> bool:
    return _AS_THEY_ARE.issuperset(map(type, values)) or all(
        map(_is_common, values)
    )


def _plain(value: Json) -> Json:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def word(value: Json) -> str:
    """A scalar as text, the way value maps and keys name it: `true`, `12`, `Pendiente`; nothing
    is the empty text.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


DEEPEST = 100  # levels of a value; what lies deeper is kept as its JSON text
# characters of a number with a point or an exponent; a longer one is kept as text
_LONGEST = 300
_EXACT = 15  # digits of which a float keeps every one
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def from_json(text: str | bytes) -> Json:
    """The value of a JSON text, with nothing lost that a program cannot hold; raises ValueError.

    A number that no float is (`1e999`, one digit too many) is its digits as text, and so is a
    part that is nested too deeply.
    """
    try:
        value = _loaded(text)
        if _has_few_brackets(text) or not _is_deep(value):
            return value
    except RecursionError:
        pass
    text = (
        text
        if isinstance(text, str)
        else text.decode(json.detect_encoding(text))
    )
    return _loaded("".join(_shallow(text)))


def _loaded(text: str | bytes) -> Json:
    try:
        return _DECODED(text)
    # no JSON, or JSON of a kind that only this slower way reads: with halves of characters, in
    # another encoding, with a number of thousands of digits
    except (msgspec.MsgspecError, ValueError):
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_integer,
        )


def _no_constant(word: str) -> Json:
    raise ValueError(f"{word} is not JSON")


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST else text


def _float(text: str) -> float | str:
    """The float, where the text is one of the forms that programs write it in."""
    number = float(text)
    if len(text) <= _EXACT and "e" not in text.lower():
        return number
    if len(text) > _LONGEST or not math.isfinite(number):
        return text
    try:
        written = Decimal(text)
    except ArithmeticError:  # an exponent that is no number either
        return text
    digits = len(written.as_tuple().digits)
    # the shortest form, and one of as many digits
    shown = {Decimal(repr(number)), Decimal(f"{number:.{digits}g}")}
    return number if written in shown else text


def _has_few_brackets(text: str | bytes) -> bool:
    """Whether a text cannot be deep: that costs less to know than a look at its value."""
    if isinstance(text, str):
        return text.count("[") + text.count("{") <= DEEPEST
    return text.count(b"[") + text.count(b"{") <= DEEPEST


_DECODED = msgspec.json.Decoder(float_hook=_float).decode


def _is_deep(value: Json) -> bool:
    level = [[value]]
    for _ in range(DEEPEST):
        inner = [
            item.values() if isinstance(item, dict) else item for item in level
        ]
        level = [
            item
            for items in inner
            for item in items
            if type(item) in (dict, list)
        ]
        if not level:
            return False
    return True


def _shallow(text: str) -> Iterator[str]:
    """The JSON text with everything below the deepest level quoted as a text."""
    level, done, begun = 0, 0, 0
    for found in _MARKS.finditer(text):
        mark = found[0]
        if mark in "[{":
            level += 1
            if level == DEEPEST + 1:
                begun = found.start()
                yield text[done:begun]
        elif mark in "]}":
            if level == DEEPEST + 1:
                done = found.end()
                yield json.dumps(text[begun:done])
            level -= 1
    if level > 0:
        raise ValueError("a bracket is not closed")
    yield text[done:]


# bytes of an id, or of what rows are looked up by: no index of PostgreSQL takes much more than two
# of them
LONGEST_KEY = 1000


def storable(text: str) -> str:
    """A text as every database takes it: halves of surrogate pairs and NUL are replaced."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def indexed(text: str) -> str:
    """A text that rows are looked up by, as it is stored; one too long for an index is known by
    its beginning and its digest.
    """
    text = storable(text)
    return text if fits_index(text) else f"{text[:100]}…{digest(text)}"


def fits_index(text: str) -> bool:
    """Whether an index takes a text."""
    return len(text.encode(errors="surrogatepass")) <= LONGEST_KEY


# What marks a part of a key, what a store replaces, what would read as a quote.
_UNKEPT = re.compile(
    r"[#\0\ud800-\udfff]|%(?=23|25|00|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_QUOTED = re.compile(r"%(23|00|25|u[dD][89a-fA-F][0-9a-fA-F]{2})")


def key_of(collection: str, row_id: str) -> str:
    """The key of a row, `clients/12`; what a key cannot hold of an id is quoted in it,
    `clients/C%23-3`.
    """
    return f"{collection}/{quoted(row_id)}"


def collection_of(key: str) -> str:
    """The collection of a record's key."""
    return key.partition("/")[0]


def id_in(key: str) -> str:
    """The id in a record's key, as the platform writes it."""
    return _QUOTED.sub(
        lambda found: chr(int(found[1].lstrip("u"), 16)), key.partition("/")[2]
    )


def quoted(name: str) -> str:
    """A name as a part of a key; two names stay two."""
    return _UNKEPT.sub(lambda found: _quote(ord(found[0])), name)


def _quote(code: int) -> str:
    return f"%u{code:04X}" if code > 0xFF else f"%{code:02X}"


def folded(value: Json, ignoring: Sequence[str]) -> Json:
    """A value with its texts as they are compared: without capitals, without accents."""
    if isinstance(value, dict):
        return {key: folded(item, ignoring) for key, item in value.items()}
    if isinstance(value, list):
        return [folded(item, ignoring) for item in value]
    if not isinstance(value, str):
        return value
    if "accents" in ignoring:
        value = "".join(
            sign
            for sign in unicodedata.normalize("NFKD", value)
            if not unicodedata.combining(sign)
        )
    return (
        unicodedata.normalize("NFC", value.casefold())
        if "case" in ignoring
        else value
    )


def well_formed(value: Json) -> Json:
    """The value with every half of a surrogate pair, which is no text and cannot be sent,
    replaced by `?`.
    """
    with suppress(UnicodeEncodeError, OverflowError):
        _IN_ORDER(value)  # as nearly always
        return value
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace"))


def mark_of(value: Json) -> int:
    """A number that is the same for equal values, whatever the order of their keys; of no use
    outside this process.
    """
    with suppress(UnicodeEncodeError, OverflowError):
        return hash(_SORTED(value))
    return hash(canonical(value))


def digest(value: Json) -> str:
    """A short stable fingerprint of a JSON value."""
    return hashlib.sha256(
        canonical(value).encode(errors="surrogatepass")
    ).hexdigest()[:32]


def link(target: str, key: str) -> dict[str, list[str]]:
    """The symbol for the row that object `target` made of record `key`."""
    return {"$link": [target, key]}


def as_link(value: Json) -> tuple[str, str] | None:
    """The object and key of a link symbol, or None."""
    if not isinstance(value, dict):
        return None
    found = value.get("$link") if len(value) == 1 else None
    return (found[0], found[1]) if found else None


def as_file(value: Json) -> dict[str, Any] | None:
    """The description behind a file symbol, or None."""
    if isinstance(value, dict) and len(value) == 1 and "$file" in value:
        found: dict[str, Any] = value["$file"]
        return found
    return None


def links_in(value: Json) -> list[tuple[str, str]]:
    """Every link symbol inside a value."""
    found: list[tuple[str, str]] = []
    if isinstance(value, dict | list):
        _gather_links(value, found)
    return found


def _gather_links(
    value: dict[str, Json] | list[Json], found: list[tuple[str, str]]
) -> None:
    here = as_link(value)
    if here:
        found.append(here)
        return
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            _gather_links(item, found)


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


def cause_of(text: str) -> str:
    """What is wrong, without the values that it is said of: the same for all of one cause."""
    return _VALUES.sub("", text)


def grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    """By the first of each pair all second ones, in their order."""
    found: dict[K, list[T]] = {}
    for first, second in pairs:
        found.setdefault(first, []).append(second)
    return found


def without(row: Mapping[K, T], names: Collection[K]) -> dict[K, T]:
    """A mapping without these keys."""
    return {name: value for name, value in row.items() if name not in names}
