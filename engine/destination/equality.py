"""When two values of a field are one value: as a platform may write it, or may have tidied it."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.connector.model import FieldType
from engine.language.scope import ANY
from engine.values import Row, flag, is_empty

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# kinds whose text may be a number
_NUMERIC = ("number", "integer", "id", "reference", "enum")

_SCALARS = frozenset((str, int, bool, type(None)))

Same = Callable[[Any, Any, str], bool]  # two scalars in a field of this kind


def equivalent(wanted: Any, live: Any, field_type: FieldType | None) -> bool:
    """Whether a destination's value is the wanted one, as the platform may write it.

    No difference is: null for something empty; keys of an object that were not sent; blanks around
    a text; true as 1 or `"Y"`; in a field of that kind, a number or option as text, an instant with
    a space for the T and another zone, a time with seconds :00, a date as its midnight, HTML with
    other white space where a browser shows none, other forms of `<br>` and of quotes. Anything else
    is one.
    """
    return _compared(wanted, live, field_type or ANY, _same)


def alike(wanted: Any, live: Any, field_type: FieldType | None) -> bool:
    """Whether a destination's value may be what it made of the wanted one when it tidied it.

    Besides what is equivalent: other capitals and blanks, a number rounded to two digits, a phone
    number with other or no separators or its country's prefix, an address with or without its
    scheme, HTML that shows the same words, an instant cut to the second or to its day.
    """
    return _compared(wanted, live, field_type or ANY, _same_when_tidied)


def is_same(wanted: Any, live: Any) -> bool:
    """Whether two scalars are one to the last letter: then nothing else need be asked."""
    return (
        type(wanted) is type(live)
        and type(wanted) in _SCALARS
        and bool(wanted == live)
    )


def are_same(wanted: Sequence[Any], live: Sequence[Any]) -> bool:
    """The same of several scalars and their counterparts."""
    types = list(map(type, wanted))
    return (
        wanted == live
        and types == list(map(type, live))
        and _SCALARS.issuperset(types)
    )


def _compared(
    wanted: Any, live: Any, field_type: FieldType, same: Same
) -> bool:
    if is_same(wanted, live):
        return True
    if is_empty(wanted):
        return is_empty(live)

    if isinstance(wanted, dict):
        return isinstance(live, dict) and _objects(
            wanted, live, field_type, same
        )

    if isinstance(wanted, list):
        return isinstance(live, list) and _lists(wanted, live, field_type, same)

    return same(wanted, live, field_type.kind)


def _objects(
    wanted: Row,
    live: Row,
    field_type: FieldType,
    same: Same,
) -> bool:
    shape = field_type.shape or {}
    return all(
        _compared(item, live.get(name), shape.get(name, ANY), same)
        for name, item in wanted.items()
    )


def _lists(
    wanted: list[Any], live: list[Any], field_type: FieldType, same: Same
) -> bool:
    if len(wanted) != len(live):
        return False

    inner = FieldType("object", field_type.shape) if field_type.shape else ANY
    if field_type.kind in _NUMERIC:
        inner = field_type
    pairs = zip(wanted, live, strict=True)
    return all(_compared(item, other, inner, same) for item, other in pairs)


# -- scalars, as a platform may write them


def _same(wanted: Any, live: Any, type_name: str) -> bool:
    answers = {_truth(wanted), _truth(live)}
    if isinstance(wanted, bool) or (
        type_name == "boolean" and answers != {None}
    ):
        return len(answers) == 1
    if isinstance(live, bool):
        return False

    numbers = [_number(item, type_name) for item in (wanted, live)]
    if None not in numbers:
        return _same_number(*numbers)

    texts = isinstance(wanted, str) and isinstance(live, str)
    return texts and _plain(wanted, type_name) == _plain(live, type_name)


def _truth(value: Any) -> bool | None:
    return None if is_empty(value) else flag(value)


def _number(value: Any, type_name: str) -> int | float | None:
    """The number in a value; in a text only where the field holds numbers."""
    if isinstance(value, int | float):
        return value
    if (
        type_name not in _NUMERIC
        or not isinstance(value, str)
        or len(value) > _LONGEST
    ):
        return None

    # "007" is an id
    written = _NUMBER if type_name in ("number", "integer") else _PLAIN_NUMBER
    if not written.fullmatch(value.strip()):
        return None
    return float(value) if "." in value else int(value)


def _same_number(wanted: Any, live: Any) -> bool:
    """Ids are equal to the last digit; amounts up to the rounding of a float."""
    if isinstance(wanted, int) and isinstance(live, int):
        return wanted == live
    try:
        return math.isclose(wanted, live, rel_tol=1e-12, abs_tol=1e-9)
    except OverflowError:  # an integer that no float can hold
        return bool(wanted == live)


def _plain(text: str, type_name: str) -> str:
    text = text.strip()
    match type_name:
        case "datetime":
            moment = _moment(text)
            return moment.isoformat() if moment else text
        case "date":
            return _day(text)
        case "time" | "duration":
            return text.removesuffix(":00") if text.count(":") == 2 else text
        case "html":
            return _markup(text)
    return text


def _moment(text: str) -> datetime | None:
    """A moment in UTC; None for a text that is none."""
    if len(text) <= len("2024-01-01"):
        return None

    try:
        moment = datetime.fromisoformat(text)
        return (
            moment.astimezone(UTC)
            if moment.tzinfo
            else moment.replace(tzinfo=UTC)
        )
    except (ValueError, OverflowError):
        return None


_MIDNIGHT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?"
)


def _day(text: str) -> str:
    """A date; midnight of a day is that day."""
    found = _MIDNIGHT.fullmatch(text)
    return found[1] if found else text


_BLOCKS = (
    "address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|tbody|td|tfoot"
    "|th|thead|tr|ul"
)
_SPACE = r"[ \t\r\n\f]"
_BLOCK_TAG = re.compile(
    rf"{_SPACE}*(</?(?:{_BLOCKS})(?:{_SPACE}[^<>]*)?>){_SPACE}*", re.IGNORECASE
)
_BREAK = re.compile(r"<br[ \t]*/>", re.IGNORECASE)
_CHARACTERS = {
    "&#39;": "'",
    "&#x27;": "'",
    "&apos;": "'",
    "&#34;": '"',
    "&quot;": '"',
    "&#160;": "\xa0",
    "&nbsp;": "\xa0",
}


def _markup(text: str) -> str:
    """HTML as a browser reads it: runs of white space are one blank, none counts beside a block."""
    for entity, character in _CHARACTERS.items():
        text = text.replace(entity, character)

    text = re.sub(rf"{_SPACE}+", " ", _BREAK.sub("<br>", text))
    return _BLOCK_TAG.sub(r"\1", text).strip()


# -- scalars, as a platform may have tidied them

_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>")
_PHONE = re.compile(r"(?:(?:tel|phone):)?[+(0-9][0-9 ()./\-]{5,}")
_SCHEME = re.compile(r"^(?:https?:)?//")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})")
_LONGEST = 300  # characters of a text that may be a number
_DAYS = 31  # what is more than that in a date is its year
# a phone number shorter than this is compared as it is written
_FEWEST_DIGITS = 6
_ROUNDING = 0.005


def _same_when_tidied(wanted: Any, live: Any, type_name: str) -> bool:
    if _same(wanted, live, type_name):
        return True

    if isinstance(wanted, bool) or isinstance(live, bool):
        return str(wanted).lower() == str(live).lower()
    numbers = [_loose_number(item) for item in (wanted, live)]
    if None not in numbers and _has_fraction(wanted, live):
        return _same_rounded(numbers[0], numbers[1], type_name)
    if isinstance(wanted, str) and isinstance(live, str):
        return _same_text(wanted, live, type_name)
    return False


def _same_text(wanted: str, live: str, type_name: str) -> bool:
    if _bare(wanted) == _bare(live):
        return True
    if type_name in _NUMERIC:
        return False
    return any(
        same(wanted, live) for same in (_same_phone, _same_moment, _same_day)
    )


def _loose_number(value: Any) -> int | float | None:
    """A number, be it written as text; one with leading zeros is none."""
    if isinstance(value, int | float):
        return value
    text = (
        value.strip()
        if isinstance(value, str) and len(value) <= _LONGEST
        else ""
    )
    return float(text) if _PLAIN_NUMBER.fullmatch(text) else None


def _has_fraction(wanted: Any, live: Any) -> bool:
    """Whether numbers may differ in form: "5.00" and 5 do, "5" and 5 are a code and a number."""
    if isinstance(wanted, int | float) and isinstance(live, int | float):
        return True
    return any("." in str(item) for item in (wanted, live))


def _same_rounded(wanted: Any, live: Any, type_name: str) -> bool:
    if type_name in ("id", "reference", "integer", "enum"):
        return bool(wanted == live)
    try:
        return bool(abs(wanted - live) <= _ROUNDING + 1e-9)
    except OverflowError:
        return bool(wanted == live)


def _bare(text: str) -> str:
    """A text without capitals, markup, scheme and any blanks but single ones between words."""
    shown = html.unescape(_TAG.sub(" ", text))
    words = unicodedata.normalize("NFKC", shown).casefold().split()
    return _SCHEME.sub("", " ".join(words)).rstrip("/")


def _same_phone(wanted: str, live: str) -> bool:
    """One number, though one of the two may lack the country's prefix."""
    if not (
        _PHONE.fullmatch(wanted.strip()) and _PHONE.fullmatch(live.strip())
    ):
        return False
    if wanted.strip().isdecimal() and live.strip().isdigit():
        return False  # two codes, as far as can be seen

    shorter, longer = sorted((_digits(wanted), _digits(live)), key=len)
    return len(shorter) >= _FEWEST_DIGITS and longer.endswith(shorter)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text).lstrip("0")


def _same_day(wanted: str, live: str) -> bool:
    """One date, with its parts in another order and between other signs."""
    found = [_DATE.fullmatch(text.strip()) for text in (wanted, live)]
    dates = [one for one in found if one]
    if len(dates) < 2 or len({len(one[1]) for one in dates}) == 1:
        return False  # of one form, they have to be equal

    parts = [sorted(map(int, one.groups())) for one in dates]
    return parts[0] == parts[1] and parts[0][2] > _DAYS


def _same_moment(wanted: str, live: str) -> bool:
    """An instant without its fraction of a second; or its day, where one of both is just that."""
    moments = [_moment(wanted.strip()), _moment(live.strip())]
    if None not in moments:
        return (
            len({moment.replace(microsecond=0) for moment in moments if moment})
            == 1
        )

    days = [text.strip()[:10] for text in (wanted, live)]
    dated = all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) for day in days)
    return (
        dated
        and days[0] == days[1]
        and any(len(text.strip()) == 10 for text in (wanted, live))
    )
