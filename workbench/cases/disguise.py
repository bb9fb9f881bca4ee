"""Personal data replaced, so that a real record can become a test: other letters and digits in
the same shape.

The same value always becomes the same other value, so that what belongs together stays together.
Kept is what mappings decide by and nobody is known by: dates, amounts, ids and links, switches,
and every word that the spec itself names. All other text is disguised, whatever its field is
called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.connector.references import any_key
from engine.values import word

_MAIL = re.compile(r"([^@\s]+)@([^@\s]+)\.([A-Za-z]{2,})")
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d{1,2}[/.-]\d{1,2}[/.-]\d{4}("
    r" \d\d:\d\d(:\d\d)?)?|\d\d:\d\d(:\d\d)?"
)
_CODE = re.compile(r"[A-Z][A-Z_]*")
_WEB = re.compile(r"(?:https?://)?[\w.-]+\.[a-z]{2,}(/\S*)?")
_PHONE = re.compile(r"(?:\+|00)?[\d\s().-]{7,}")
_PERSONAL = re.compile(
    r"name|surname|nombre|apellid|mail|phone|mobile|fax|tel|tax|nif|cif|vat|ident"
    r"|address|street|city|town|province|postal|zip|iban|account-number",
    re.IGNORECASE,
)
_LETTERS = ("aeiou", "bcdfglmnprstv")
_STANDING = 2  # digits of a phone number that tell its country and kind


@dataclass(frozen=True, slots=True)
class Disguise:
    """What must stay recognisable: the words a spec decides by, and how a value names a row."""

    words: frozenset[str]
    pattern: str

    def record(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A record with everything personal replaced."""
        return {name: self.value(name, value) for name, value in body.items()}

    def value(self, name: str, value: Any) -> Any:
        """A value of the field `name`; numbers, switches and what is empty stay."""
        if isinstance(value, Mapping):
            return {key: self.value(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(name, item) for item in value]
        return (
            self._text(name, value)
            if isinstance(value, str) and value.strip()
            else value
        )

    def _text(self, name: str, text: str) -> str:
        bare = text.strip()
        if (
            bare in self.words
            or _MOMENT.fullmatch(bare)
            or any_key(bare, self.pattern)
        ):
            return text
        if "@" in text:
            return _MAIL.sub(
                lambda found: (
                    f"{_other(found[1])}@{_other(found[2])}.{'z' * len(found[3])}"
                ),
                text,
            )
        if _PHONE.fullmatch(bare) and sum(char.isdigit() for char in bare) > 4:
            return _phone(text)
        if not _PERSONAL.search(name) and _CODE.fullmatch(bare):
            return text
        return (
            _web(text) if _WEB.fullmatch(bare) and "." in bare else _other(text)
        )


def _web(text: str) -> str:
    """A web address of the same shape that cannot exist."""
    scheme, slashes, rest = text.rpartition("://")
    host, slash, path = rest.partition("/")
    name, _, top = host.rpartition(".")
    return (
        f"{scheme}{slashes}{_other(name)}.{'z' * len(top)}{slash}{_other(path)}"
    )


def _phone(text: str) -> str:
    """Another number of the same country and kind."""
    digits = [at for at, char in enumerate(text) if char.isdigit()]
    prefix = {
        "+": 4,
        "0": 6 if text.strip().startswith("00") else _STANDING,
    }.get(text.strip()[0], _STANDING)
    kept = set(digits[:prefix])
    return "".join(
        char if at in kept else other
        for at, (char, other) in enumerate(zip(text, _other(text), strict=True))
    )


def _other(text: str) -> str:
    """Other letters and digits in the same places; case, accents' places and punctuation stay."""
    return "".join(_letter(text, at, char) for at, char in enumerate(text))


def _letter(text: str, at: int, char: str) -> str:
    seed = hashlib.sha256(
        f"{text.casefold()}\0{at}".encode(errors="surrogatepass")
    ).digest()[0]
    if char.isdigit() and char.isascii():
        return str((int(char) + 1 + seed % 9) % 10)
    if not char.isalpha():
        return char
    group = (
        _LETTERS[0]
        if char.casefold() in "aeiouáéíóúàèìòùäëïöüâêîôû"
        else _LETTERS[1]
    )
    new = group[seed % len(group)]
    if new == char.casefold():
        new = group[(seed + 1) % len(group)]
    return new.upper() if char.isupper() else new


def words_of(spec_parts: Any) -> frozenset[str]:
    """Every text that stands in a spec, as a value or as a key."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                found.add(str(key))
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            found.add(word(value))

    walk(spec_parts)
    return frozenset(found)
