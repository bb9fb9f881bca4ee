"""What holds for every value: properties of the steps, tried on made-up ones."""

import datetime as dt
import inspect
import json
import re
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import STEPS

settings.register_profile("transforms", database=None, derandomize=True, max_examples=200)
settings.load_profile("transforms")

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)  # lone surrogates too: JSON can carry them
TAGS = (
    "<p> </p> <b> </B> <br> <br/> <ul><li> <table><td colspan=2> <div </div> <a href=' <a href=\"javascript:alert(1)\"> '> onclick= "
    "onerror='x()' <script> </script> <scr <script <style> </style> <iframe src= <svg/onload=x> <img src=x onerror=x> <math><mi> "
    "<!-- --> <![CDATA[ ]]> <?x > <template> <noscript> <title> <textarea> <xmp> &lt;script&gt; &#60;b&#62; &amp; &#0; javascript: "
    "data:text/html, style=x < > \" ' ` = a <ana@x.es> 5<6 <b \n \x00 \u2028"
)
MARKUP = st.lists(st.sampled_from(TAGS.split(" ")) | st.text(max_size=3), max_size=12).map("".join)
PIECES = (
    "<p> <br> </p> <!-- <![ <!x <? & &#0; &lt; \n \r\n \t \u2028 \u00a0 . .. / \\ : CON @ ; , ' € % + - 00 34 600000001 "
    "961234567 ext 12 ES C/ Mayor nº s/n 3º B bis piso a@x.es 2025-03-04 T09:30:00 +0000 Z 0000-00-00 1.234 ,50 \u0301 "
    "\U0001f1ea \u200d \x00"
)
HINTS = st.sampled_from(PIECES.split(" "))
LIKELY_TEXT = st.lists(HINTS | st.text(max_size=3), max_size=8).map("".join) | st.lists(HINTS, max_size=8).map(" ".join)
TEXT = ANY_TEXT | LIKELY_TEXT
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**18), 1e308, 5e-324])
    | TEXT
)
KEYS = st.sampled_from(["price", "cost", "start", "end", "street", "extra", "city", "country", "work", ""]) | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
PARTS = st.dictionaries(
    st.sampled_from(["street", "extra", "city", "region", "postal_code", "country"]), TEXT | st.none(), max_size=6
)
NEEDED = {"old": "a", "length": 5, "value": "x", "prefix": "p:", "currency": "EUR", "pattern": "%d/%m/%Y"} | {
    "price": "price",
    "units": "units",
}  # for arguments without default
STEP_ITEMS = pytest.mark.parametrize(("name", "step"), STEPS.items(), ids=STEPS)


def needed(step: Any) -> dict[str, Any]:
    """A value for each argument that has no default."""
    parameters = list(inspect.signature(step).parameters.values())[1:]
    return {one.name: NEEDED[one.name] for one in parameters if one.default is one.empty}


NEEDS = {name: needed(step) for name, step in STEPS.items()}


def run(step: Any, value: Any, /, **kwargs: Any) -> Any:
    """The step's result, or None when it refuses the value in a way an analyst can read."""
    try:
        return step(value, **kwargs)
    except ValueError as error:
        assert type(error) is ValueError, repr(error)
        assert 0 < len(str(error)) < 400
        return None


def plain_lines(text: str) -> str:
    """What a text says once its blanks and line breaks are normal."""
    seen = re.sub(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]", "", text)
    lines = [" ".join(line.split()) for line in seen.splitlines()]
    return re.sub(r"\n\n+", "\n\n", "\n".join(lines)).strip("\n")


@given(value=JSON)
def test_refuses_only_with_value_error(value: Any) -> None:
    """Whatever JSON it meets, each step answers with JSON that is not empty text or refuses, and twice the same."""
    before = repr(value)
    for name, step in STEPS.items():
        result = run(step, value, **NEEDS[name])
        assert result != "" and result != [] and result != {} or name == "text.length", name
        json.dumps(result)
        assert repr(result) == repr(run(step, value, **NEEDS[name])), name
        assert repr(value) == before, name


@STEP_ITEMS
def test_nothing_stays_nothing(name: str, step: Any) -> None:
    """Null gives null, save for the step whose point is to fill it."""
    assert step(None, **needed(step)) == ("x" if name == "text.default" else None)


@given(TEXT)
def test_squash_twice_is_once(text: str) -> None:
    """Squashing what is squashed changes nothing."""
    once = STEPS["text.squash"](text)
    assert STEPS["text.squash"](once) == once


@given(TEXT, st.integers(1, 40), st.sampled_from(["…", "...", ""]))
def test_truncate_keeps_to_its_length(text: str, length: int, ellipsis: str) -> None:
    """A truncated text is never longer than asked and is the beginning of the text and the ellipsis."""
    result = STEPS["text.truncate"](text, length=length, ellipsis=ellipsis)
    if result is not None:
        assert len(result) <= length
        assert result == text or text.startswith(result.removesuffix(ellipsis))


@given(TEXT)
def test_html_there_and_back(text: str) -> None:
    """Stripping the HTML that was made of a text gives the text back."""
    assert STEPS["text.strip_html"](STEPS["text.paragraphs"](text)) == (plain_lines(text) or None)


@given(TEXT)
def test_paragraphs_are_safe(text: str) -> None:
    """No tag but those of paragraphs and line breaks gets through."""
    result = STEPS["text.paragraphs"](text) or ""
    assert "<" not in re.sub(r"</?p>|<br>", "", result)


@given(TEXT | st.text("aé漢.", min_size=100, max_size=200), st.sampled_from(["", "pdf", ".tar.gz", "/../x"]))
def test_file_names_are_safe(text: str, extension: str) -> None:
    """A file name has no separator, no control character, is not hidden, and fits into 120 characters and 255 bytes."""
    name = STEPS["text.safe_filename"](text, extension=extension)
    if name is not None:
        assert name.strip(". ") == name != ""
        assert not re.search(r'[/\\:*?"<>|\x00-\x1f]', name)
        assert len(name) <= 120
        assert len(name.encode()) <= 255
        assert STEPS["text.safe_filename"](name) == name


@given(TEXT)
def test_email_twice_is_once(text: str) -> None:
    """An address in normal form is taken as it is."""
    once = run(STEPS["text.email"], text)
    assert once is None or STEPS["text.email"](once) == once


@pytest.mark.parametrize("name", ["text.emails", "phone.entries"])
@given(value=st.dictionaries(KEYS, LIKELY_TEXT | st.lists(LIKELY_TEXT, max_size=3), max_size=4))
def test_entries_have_one_primary(name: str, value: Any) -> None:
    """A list of entries holds each value once and its first one, no other, is primary."""
    rows = STEPS[name](value, strict=False) or []
    assert [row["primary"] for row in rows] == [at == 0 for at in range(len(rows))]
    assert all(row["value"] and row["label"] for row in rows)
    if name == "text.emails":
        assert len({row["value"] for row in rows}) == len(rows)


@given(LIKELY_TEXT | st.text("0123456789+-() /x.", max_size=30))
def test_e164_twice_is_once(text: str) -> None:
    """A number in normal form, or a text that was left alone, is taken as it is."""
    once = STEPS["phone.e164"](text)
    assert STEPS["phone.e164"](once) == once


@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False), st.sampled_from(["es", "en"]))
def test_numbers_there_and_back(number: Any, style: str) -> None:
    """A number written for people is read again as the same number."""
    text = STEPS["text.number_text"](float(number), decimals=2, style=style)
    assert STEPS["money.amount"](text, style=style) == STEPS["money.amount"](float(number))


@given(st.floats(-1e9, 1e9))
def test_negate_twice_is_nothing(number: float) -> None:
    """Turning the sign twice gives the number back."""
    assert STEPS["money.negate"](STEPS["money.negate"](number)) == number


@given(
    st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2060, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["Europe/Madrid", "Atlantic/Canary", "America/Lima", "Asia/Kolkata", "UTC"]),
)
def test_to_utc_there_and_back(reading: dt.datetime, zone: str) -> None:
    """The UTC moment, seen on the account's clock, is the reading again; a skipped one has moved forward."""
    text = STEPS["dates.to_utc"](reading.isoformat() + "+0000", zone=zone)
    moment = dt.datetime.fromisoformat(text)
    again = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    skipped = not _exists(reading, ZoneInfo(zone))
    assert again > reading if skipped else again == reading
    assert STEPS["dates.to_utc"](text, wall=False) == text
    assert STEPS["dates.utc_date"](reading.isoformat(), zone=zone) == f"{moment:%Y-%m-%d}"
    assert STEPS["dates.time"](reading.isoformat(), zone=zone) == f"{moment:%H:%M}"


def _exists(reading: dt.datetime, zone: ZoneInfo) -> bool:
    """Whether some moment shows this reading on the zone's clock."""
    around = (reading.replace(tzinfo=dt.UTC) + dt.timedelta(minutes=15 * step) for step in range(-64, 65))
    return any(moment.astimezone(zone).replace(tzinfo=None) == reading for moment in around)


class Seen(HTMLParser):
    """The tags and attributes of an HTML text, in the way of another reader than the one that cleans."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


KEPT = "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i ins li ol p pre s strong sub sup table tbody td tfoot th thead tr u ul"


@given(MARKUP | TEXT)
def test_cleaned_html_holds_nothing_that_acts(text: str) -> None:
    """Whatever is written, no script, style, frame, handler or link that runs code is left; cleaning again shows the same."""
    cleaned = run(STEPS["html.clean"], text) or ""
    seen = Seen(cleaned)
    assert set(seen.tags) <= set(KEPT.split())
    assert {name for name, _ in seen.attributes} <= {"href", "colspan", "rel"}
    links = [value or "" for name, value in seen.attributes if name == "href"]
    assert all(re.match(r"(https?|mailto|tel):|[^:]*$", link.strip(), re.IGNORECASE) for link in links)
    again = run(STEPS["html.clean"], cleaned)
    assert STEPS["text.strip_html"](again) == STEPS["text.strip_html"](cleaned)


@given(ANY_TEXT.filter(lambda text: not re.search("[<&]", text)))
def test_text_without_markup_is_not_touched(text: str) -> None:
    """A text that holds no tag and no entity keeps every character but the blanks at its ends."""
    assert STEPS["html.text"](text) == STEPS["text.strip"](text)
    assert STEPS["html.clean"](text) == STEPS["text.paragraphs"](text)


@given(MARKUP)
def test_words_survive_in_both_forms(text: str) -> None:
    """What is shown of a text without its tags is what is shown of it with its formatting."""
    marked = f"<p>{text.replace('<', '').replace('&', '')}</p>"
    shown = (STEPS["text.strip_html"](STEPS["html.clean"](marked)) or "").split()
    assert shown == (STEPS["html.text"](marked) or "").split()


@given(st.integers(0, 5999))
def test_minutes_there_and_back(count: int) -> None:
    """Hours and minutes add up to the minutes they were made of."""
    hours, minutes = STEPS["dates.minutes"](count).split(":")
    assert int(hours) * 60 + int(minutes) == count


@given(PARTS)
def test_address_loses_no_word(parts: dict[str, str | None]) -> None:
    """Every word of an address stands in its one line, and every component is taken from what was given."""
    result = STEPS["address.components"](parts)
    words = [word for text in parts.values() for word in (text or "").split()]
    line = "" if result is None else result["value"]
    assert all(word in line for word in words) or _region_repeats_city(parts)
    assert (result is None) == (not words)
    assert line == (STEPS["address.one_line"](parts) or "")
    assert all(text and text in line for name, text in (result or {}).items() if name != "admin_area_level_1")


def _region_repeats_city(parts: dict[str, str | None]) -> bool:
    city, region = (" ".join((parts.get(name) or "").split()) for name in ("city", "region"))
    return city != region and city.casefold() == region.casefold()


@given(st.lists(HINTS, min_size=1, max_size=8))
def test_street_parts_come_in_order(pieces: list[str]) -> None:
    """Route, number and unit are cut out of the street in this order, never made up."""
    street = " ".join(" ".join(pieces).split())
    result = STEPS["address.components"]({"street": street}) or {}
    at = 0
    for name in ("route", "street_number", "subpremise"):
        at = street.index(result.get(name, ""), at) + len(result.get(name, ""))


@given(LIKELY_TEXT | st.from_regex(r"(ES)?[A-Z0-9][ .-]?\d{7}[ .-]?[A-Z0-9]", fullmatch=True))
def test_tax_id_twice_is_once(text: str) -> None:
    """A tax number in its one form is taken as it is."""
    once = STEPS["ids.tax_id"](text)
    assert STEPS["ids.tax_id"](once) == once


@given(st.integers(0, 99_999_999))
def test_one_letter_fits_a_person(number: int) -> None:
    """Exactly one letter makes a person's number valid."""
    valid = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if STEPS["ids.valid_tax_id"](f"{number:08}{letter}")]
    assert len(valid) == 1


@given(st.integers(0, 9_999_999))
def test_one_digit_fits_a_company(number: int) -> None:
    """Exactly one digit makes a company's number valid."""
    assert [STEPS["ids.valid_tax_id"](f"B{number:07}{digit}") for digit in range(10)].count(True) == 1


@given(st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=2, max_size=5))
def test_path_ends_in_collection_and_id(parts: list[str]) -> None:
    """The last two segments of a path are its collection and its id."""
    path = "/".join(parts)
    assert [STEPS["ids.collection_of_path"](path), STEPS["ids.from_path"](path)] == parts[-2:]
