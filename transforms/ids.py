"""Steps for identifiers: `ids.*`."""

import re
from typing import Any

from .text import filled, plain, refusal, squashed

__all__ = [
    "collection_of_path",
    "external",
    "from_path",
    "tax_id",
    "valid_tax_id",
]

_TAX_ID = re.compile(
    r"\d{8}[A-Z]|[XYZKLM]\d{7}[A-Z]|[ABCDEFGHJUV]\d{7}[0-9A-J]|[NPQRSW]\d{7}[0-9A-J]",
    re.ASCII,
)
_PERSON_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_COMPANY_LETTERS = "JABCDEFGHI"


def tax_id(value: Any) -> str | None:
    """Write a Spanish tax number (NIF, NIE, CIF) in its one form; any other only gets capitals.

    Blanks, dots, dashes and a prefix ES go when a Spanish number is left.

    ```yaml
    using: ids.tax_id
    ```
    `"es b-12.345.674"` becomes `"B12345674"`.
    """
    text = squashed(value)
    if text is None:
        return None
    compact = re.sub(r"[\s.\-‐‑–/]", "", text.upper())
    spanish = next(
        (
            form
            for form in (compact, compact.removeprefix("ES"))
            if _TAX_ID.fullmatch(form)
        ),
        None,
    )
    return spanish or text.upper()


def valid_tax_id(value: Any) -> bool | None:
    """Tell whether this is a Spanish tax number whose check character is right.

    ```yaml
    using: ids.valid_tax_id
    ```
    `"12345678Z"` becomes `true`.
    """
    number = tax_id(value)
    if number is None:
        return None
    if not _TAX_ID.fullmatch(number):
        return False
    return (
        _person_check(number)
        if number[0] in "0123456789XYZKLM"
        else _company_check(number)
    )


def _person_check(number: str) -> bool:
    """Whether the letter of a NIF or NIE is right; K, L and M count for nothing."""
    counted = number[:-1].translate(str.maketrans("XYZKLM", "012000"))
    return _PERSON_LETTERS[int(counted) % 23] == number[-1]


def _company_check(number: str) -> bool:
    """Whether the check digit or letter of a CIF is right; its first letter says which of the
    two it has.
    """
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in number[1:8:2]]
    check = -(sum(doubled) + sum(int(digit) for digit in number[2:8:2])) % 10
    as_digit = number[-1] == str(check) and number[0] not in "NPQRSW"
    as_letter = (
        number[-1] == _COMPANY_LETTERS[check] and number[0] not in "ABEH"
    )
    return as_digit or as_letter


def _segments(value: Any) -> list[str]:
    text = re.sub(r"^[A-Za-z][\w+.-]*://", "", plain(value) or "")
    return [
        part.strip()
        for part in re.split(r"[?#]", text, maxsplit=1)[0].split("/")
        if part.strip()
    ]


def from_path(value: Any) -> str | None:
    """Take the id at the end of a path.

    ```yaml
    using: ids.from_path
    ```
    `"app.example.com/app/clients/123"` becomes `"123"`.
    """
    return next(reversed(_segments(value)), None)


def collection_of_path(value: Any) -> str | None:
    """Take the name of the collection, which stands before the id at the end of a path.

    ```yaml
    using: ids.collection_of_path
    ```
    `"app.example.com/app/clients/123"` becomes `"clients"`.
    """
    parts = _segments(value)
    if len(parts) == 1:
        raise refusal(value, "is not a path of collection and id")
    return parts[-2] if parts else None


def external(value: Any, *, prefix: str) -> str | None:
    """Put a prefix before an id, so that it tells where it came from.

    `prefix` is put before the id as it is.

    ```yaml
    using: {ids.external: "client:"}
    ```
    `123` becomes `"client:123"`.
    """
    text = squashed(value)
    return None if text is None else filled(f"{prefix}{text}")
