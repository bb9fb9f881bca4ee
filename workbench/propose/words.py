"""Names as concepts: split, folded, translated by the word list, compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.config.document import read

# the concepts of each word or term of a name, in order
Meaning = tuple[frozenset[str], ...]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LONGEST = 4  # words in a term


@dataclass(frozen=True, slots=True)
class Words:
    """The word list: what terms mean, what each kind of thing usually becomes, what states are
    called.
    """

    abbreviations: Mapping[str, tuple[str, ...]]
    terms: Mapping[tuple[str, ...], frozenset[str]]
    light: Mapping[str, float]
    broader: Mapping[str, Mapping[str, float]]
    states: Mapping[str, str]
    kinds: Mapping[str, str]


@cache
def words() -> Words:
    """The project's word list."""
    data = read(Path(__file__).with_name("words.yaml")).data
    terms: dict[tuple[str, ...], frozenset[str]] = {}
    for concept, listed in data["concepts"].items():
        for term in listed:
            key = tuple(term.split())
            terms[key] = terms.get(key, frozenset()) | {concept}
    return Words(
        {
            short: tuple(long.split())
            for short, long in data["abbreviations"].items()
        },
        terms,
        data["light"],
        data["broader"],
        {
            term: state
            for state, listed in data["states"].items()
            for term in listed
        },
        {
            term: kind
            for kind, listed in data["kinds"].items()
            for term in listed
        },
    )


def split(name: str) -> tuple[str, ...]:
    """The words of a name in any style: `legal-name`, `legal_name`, `legalName`, `Razón social`."""
    folded = (
        unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    )
    found = (part.lower() for part in _WORD.findall(folded))
    return tuple(
        long
        for part in found
        for long in words().abbreviations.get(part, (part,))
    )


@cache
def meaning(name: str) -> Meaning:
    """The concepts of a name, longest terms first: `tax-identification-number` is one."""
    parts, found = split(name), []
    position = 0
    while position < len(parts):
        for length in range(min(_LONGEST, len(parts) - position), 0, -1):
            known = _term(parts[position : position + length])
            if known or length == 1:
                found.append(known or frozenset([parts[position]]))
                position += length
                break
    return tuple(found)


def _term(parts: tuple[str, ...]) -> frozenset[str]:
    terms = words().terms
    last = [*parts[:-1]]
    for form in (parts[-1], *_singular(parts[-1])):
        if found := terms.get((*last, form)):
            return found
    return frozenset()


def _singular(word: str) -> tuple[str, ...]:
    """What the word may be the plural or feminine of, likeliest first."""
    forms = []
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("s"):
        forms.append(word[:-1])
    forms += [form[:-1] + "o" for form in (word, *forms) if form.endswith("a")]
    return tuple(forms)


def likeness(one: Meaning, other: Meaning) -> float:
    """How much two names mean the same, 0 to 1; words that say little count little."""
    rest, shared = list(other), 0.0
    for concepts in one:
        match = next(
            (candidate for candidate in rest if candidate & concepts), None
        )
        if match is not None:
            rest.remove(match)
            shared += min(_weight(concepts), _weight(match))
    total = sum(map(_weight, one)) + sum(map(_weight, other))
    return 2 * shared / total if total else 0.0


def _weight(concepts: frozenset[str]) -> float:
    return max(words().light.get(concept, 1.0) for concept in concepts)


def without(found: Meaning, own: Meaning) -> Meaning:
    """A field's meaning without the noun of its own collection: `company_name` of companies is a
    name.
    """
    nouns = frozenset().union(*own) if own else frozenset()
    rest = tuple(concepts for concepts in found if not concepts & nouns)
    return rest if any(_weight(concepts) >= 0.5 for concepts in rest) else found


def has(found: Meaning, *concepts: str) -> bool:
    """Whether any of the concepts is part of a meaning."""
    return any(wanted in item for item in found for wanted in concepts)


def state(value: str) -> str:
    """What a state's name says: open, won, lost or done; "" where it says nothing."""
    return _known(value, words().states)


def kind(value: str) -> str:
    """What kind of thing to do a word names: call, meeting, task ...; or ""."""
    return _known(value, words().kinds)


def _known(value: str, table: Mapping[str, str]) -> str:
    parts = split(value)
    for length in range(len(parts), 0, -1):
        for start in range(len(parts) - length + 1):
            if found := _in(parts[start : start + length], table):
                return found
    return ""


def _in(parts: Sequence[str], table: Mapping[str, str]) -> str:
    return next(
        (
            table[text]
            for form in (parts[-1], *_singular(parts[-1]))
            if (text := " ".join([*parts[:-1], form])) in table
        ),
        "",
    )


def slug(name: str) -> str:
    """A name as a spec may use it: `Código postal` is codigo_postal."""
    text = "_".join(split(name)).lstrip("0123456789_")
    return text or "field"


def spoken(name: str) -> str:
    """A name as people read it: `discount-percentage` is Discount percentage."""
    return " ".join(split(name)).capitalize() or name
