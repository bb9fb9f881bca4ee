"""Steps for telephone numbers: `phone.*`."""

import re
from typing import TYPE_CHECKING, Any

from .text import AS_IT_IS, entries_of, labelled, quoted, refusal, squashed

if TYPE_CHECKING:
    from phonenumbers import PhoneNumberMatch

__all__ = ["e164", "entries"]

_TRUNK_ZERO = re.compile(r"\(0\)")
_GLUED = re.compile(r"(?<=[^\W\d_])(?=\d{6})|(?<=\d{6})(?=[^\W\d_]{2})")


def e164(value: Any, *, region: str = "ES", strict: bool = False) -> str | None:
    """Write one phone number as the world dials it; remarks and an extension are left out.

    `region` is the country of numbers written without a prefix. What is not exactly one valid
    number stays as it is, on one line; `strict` refuses it.

    ```yaml
    using: {phone.e164: {region: ES}}
    ```
    `"96 123 45 67"` becomes `"+34961234567"`.
    """
    text = squashed(value)
    if text is None:
        _matches(
            "", region
        )  # a wrong region is refused even where there is no number
        return None
    numbers = {_written(match) for match in _matches(text, region)}
    if len(numbers) == 1:
        return numbers.pop()
    if strict:
        raise refusal(
            value,
            "holds several phone numbers"
            if numbers
            else "is not a phone number",
        )
    return text


def entries(
    value: Any,
    *,
    region: str = "ES",
    strict: bool = False,
    shape: dict[str, str] = AS_IT_IS,
) -> list[dict[str, Any]] | None:
    """List the phone numbers with their labels, each once, the first one primary.

    The value is a dict from label to text; a list or a text is labelled `work`. A text may hold
    several numbers. `region` is the country of numbers written without a prefix. A text, or a
    part of it with digits, that is no valid number becomes an entry as it is; `strict` refuses
    it. An extension follows its number as ` ext. 12`. An entry has the fields value, label and
    primary; `shape` names those of another destination, and what of the three each holds:
    `{number: value, kind: label}`.

    ```yaml
    using: {phone.entries: {region: ES}}
    ```
    `{"mobile": "600 000 004"}` becomes
    `[{"value": "+34600000004", "label": "mobile", "primary": true}]`.
    """
    _matches(
        "", region
    )  # a wrong region is refused even where there is no number
    found: list[tuple[str, str, str]] = []  # number, extension, label
    for label, raw in labelled(value):
        for number, extension in _numbers(raw, region, strict):
            _add(found, number, extension, label)
    return entries_of(
        [
            (f"{n} ext. {extension}" if extension else n, label)
            for n, extension, label in found
        ],
        shape,
    )


def _matches(text: str, region: str) -> "list[PhoneNumberMatch]":
    """The valid numbers in the text."""
    import phonenumbers  # large: who has no numbers need not wait for it

    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(
            f"unknown phone region {quoted(region)}; give a country code such as ES"
        )
    return list(
        phonenumbers.PhoneNumberMatcher(
            _readable(text), region, leniency=phonenumbers.Leniency.VALID
        )
    )


def _readable(text: str) -> str:
    """The text with the numbers free from the letters around them."""
    return _GLUED.sub(" ", _TRUNK_ZERO.sub(" ", text))


def _written(match: "PhoneNumberMatch") -> str:
    import phonenumbers

    return str(
        phonenumbers.format_number(
            match.number, phonenumbers.PhoneNumberFormat.E164
        )
    )


def _numbers(raw: str, region: str, strict: bool) -> list[tuple[str, str]]:
    """Every (number, extension) in the text, then what else in it has digits."""
    matches = _matches(squashed(raw) or "", region)
    rest = (
        _rest(_readable(squashed(raw) or ""), matches)
        if matches
        else [squashed(raw) or ""]
    )
    if strict and rest:
        raise ValueError(
            f"{quoted(rest[0])} in {quoted(raw)} is not a phone number"
        )
    return [
        (_written(match), match.number.extension or "") for match in matches
    ] + [(part, "") for part in rest]


def _rest(text: str, matches: "list[PhoneNumberMatch]") -> list[str]:
    """The parts of the text outside the numbers that hold digits."""
    for match in reversed(matches):
        text = f"{text[: match.start]}\n{text[match.end :]}"
    parts = [part.strip(" ,.-") for part in re.split(r"[\n/;|]", text)]
    return [part for part in parts if any(map(str.isdigit, part))]


def _add(
    found: list[tuple[str, str, str]], number: str, extension: str, label: str
) -> None:
    """Add the number unless it is there; one known without an extension takes it over."""
    for at, (known, its_extension, its_label) in enumerate(found):
        if known == number and (
            not its_extension or extension in ("", its_extension)
        ):
            found[at] = (known, its_extension or extension, its_label)
            return
    found.append((number, extension, label))
