"""Names of a document as words of ours: nothing in them may become markup, a path or a surprise
in a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 120  # characters of a name that is taken over
_NOISE = re.compile(
    r"\b(?:rest(?:ful)?|open|public|http|web|json|api|apis|v?\d+(?:\.\d+)*|version"
    r"|reference|documentation|docs|the)\b",
    re.I,
)
_ODD_PLURALS = {
    "people": "person",
    "children": "child",
    "men": "man",
    "news": "news",
    "series": "series",
}


def one_line(text: object, most: int = 110) -> str:
    """A text of the document on one line, for a comment: no line breaks, no control or direction
    characters.
    """
    line = " ".join(
        "".join(
            char if char.isprintable() else " "
            for char in str(text)[: 10 * most]
        ).split()
    )
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def usable(name: object) -> bool:
    """Whether a name or word can be taken over as it is."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST
        and name.isprintable()
        and name == name.strip()
    )


def placeable(name: object) -> bool:
    """Whether a name can stand where the connector wants a field or a path of fields."""
    return usable(name) and re.fullmatch(r"[^\s.+]+", str(name)) is not None


def ascii_of(text: str) -> str:
    """Letters without their accents."""
    return (
        unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    )


def connector_name(title: str) -> str:
    """A connector's name from a document's title: `Acme CRM API v2` is acme_crm; "" where
    nothing is left.
    """
    words = re.findall(r"[a-z0-9]+", _NOISE.sub(" ", ascii_of(title)).lower())
    return "_".join(words).lstrip("0123456789_")[:40].rstrip("_")


def title_of(title: str) -> str:
    """A platform's name as people write it, without `API` and the version."""
    return one_line(re.sub(r"\s+", " ", _NOISE.sub(" ", title)), 60).strip(
        " -–:,.()"
    )


def variable(name: str, *words: str) -> str:
    """An environment variable: `acme`, `api key` is ACME_API_KEY."""
    return re.sub(
        r"[^A-Z0-9]+", "_", ascii_of("_".join((name, *words))).upper()
    ).strip("_")


def resource_word(segment: str) -> str:
    """A segment of a path as a resource's name; the ending of a file type is no part of it."""
    bare = re.sub(r"\.(?:json|xml|csv)$", "", segment)
    return re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_of(bare)).strip("_-")[:60]


def shape_word(*words: str) -> str:
    """A shape's name: small letters, digits and _."""
    text = "_".join(
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word) for word in words
    )
    return (
        re.sub(r"[^a-z0-9]+", "_", ascii_of(text).lower())
        .strip("_")
        .lstrip("0123456789_")[:60]
        or "shape"
    )


def key(name: str) -> str:
    """A name without its style: `page[size]`, `pageSize` and `page_size` are one."""
    return re.sub(r"[^a-z0-9]+", "", ascii_of(name).lower())


def singular(word: str) -> str:
    """One of many: companies, company. Good enough for English; other words come back as they
    are.
    """
    low = word.lower()
    if low in _ODD_PLURALS:
        return _ODD_PLURALS[low]
    if low.endswith("ies") and len(low) > 4:
        return word[:-3] + "y"
    if low.endswith(("sses", "shes", "ches", "xes", "zes", "uses")):
        return word[:-2]
    return (
        word[:-1]
        if low.endswith("s") and not low.endswith(("ss", "us", "is"))
        else word
    )


def free(wanted: str, taken: Iterable[str]) -> str:
    """The wanted name, or with a number behind it the first that is not taken."""
    held = set(taken)
    number = 2
    found = wanted
    while found in held:
        found, number = f"{wanted}_{number}", number + 1
    return found
