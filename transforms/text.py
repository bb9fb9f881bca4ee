"""Steps for text and lists: `text.*`.

The names that are not in `__all__` are shared by the other topics and are no steps.
"""

import html
import json
import math
import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from html.parser import HTMLParser
from typing import Any

__all__ = [
    "default",
    "digits",
    "distinct",
    "email",
    "emails",
    "first",
    "html_escape",
    "join",
    "labelled_html",
    "last",
    "length",
    "lower",
    "number_text",
    "paragraphs",
    "replace",
    "safe_filename",
    "split",
    "squash",
    "strip",
    "strip_html",
    "title",
    "truncate",
    "upper",
    "without_control",
    "yes_no",
]

# --- shared by the topics ---------------------------------------------------------------------

AS_IT_IS: dict[str, str] = {}  # no shape of a destination's own
ENTRY = ("value", "label", "primary")


def quoted(value: Any) -> str:
    """The value as it stands in a message: in quotes, at most 60 characters of it."""
    shown = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=repr)
    )
    return f"'{shown}'" if len(shown) <= 60 else f"'{shown[:59]}…'"


def refusal(value: Any, why: str) -> ValueError:
    """The error for a value that a step cannot work with."""
    return ValueError(f"{quoted(value)} {why}")


def filled(text: str) -> str | None:
    """The text, or None when nothing can be seen in it."""
    return text if text.strip() else None


def empty(value: Any) -> bool:
    """Whether the value holds nothing: null, blank text, an empty list or dict; 0 and false do
    hold something.
    """
    return (
        not value.strip()
        if isinstance(value, str)
        else value is None or value in ([], {})
    )


def plain(value: Any) -> str | None:
    """The text of a text or number; None when there is none."""
    if value is None:
        return None
    if isinstance(value, str):
        return filled(value)
    if isinstance(value, bool):
        raise refusal(
            value, "is true/false, not text; text.yes_no turns it into text"
        )
    if not _is_number(value):
        raise refusal(value, "is not text")
    return str(value) if isinstance(value, int) else _float_text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _float_text(value: float) -> str:
    return (
        str(int(value))
        if value.is_integer() and abs(value) < 1e15
        else f"{Decimal(str(value)):f}"
    )


def squashed(value: Any) -> str | None:
    """The text of a scalar on one line, with single blanks."""
    text = plain(value)
    return None if text is None else " ".join(text.split())


def shaped(
    made: dict[str, Any], shape: dict[str, str], parts: tuple[str, ...]
) -> dict[str, Any]:
    """What a step has made, under the fields of a destination; `shape` says which of the parts
    each holds.
    """
    unknown = [part for part in shape.values() if part not in parts]
    if unknown:
        raise ValueError(
            f"unknown part {quoted(unknown[0])} in shape; known are {', '.join(parts)}"
        )
    return (
        {name: made[part] for name, part in shape.items() if part in made}
        if shape
        else made
    )


def items(value: Any) -> list[Any]:
    """What a list or dict holds; any other value counts as the only item. Empty items are left
    out.
    """
    if isinstance(value, dict):
        value = list(value.values())
    return [item for item in _as_list(value) if not empty(item)]


def labelled(value: Any) -> list[tuple[str, str]]:
    """Every (label, text) of a dict label -> text or list of texts; a bare list or text is
    labelled `work`.
    """
    by_label = value if isinstance(value, dict) else {"work": value}
    pairs = [
        (label or "work", plain(raw))
        for label, held in by_label.items()
        for raw in _as_list(held)
    ]
    return [(label, raw) for label, raw in pairs if raw is not None]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_SIGNED = re.compile(r"([+-]?) ?(.*?) ?(-?)", re.DOTALL)
_CURRENCY = re.compile(r"^(?:[€$£¥]|[A-Z]{3}\b) ?| ?(?:[€$£¥]|\b[A-Z]{3})$")
_NUMBERS = {
    "es": re.compile(r"([1-9]\d{0,2}(?:[. ]\d{3})+|\d*)(?:,(\d+))?", re.ASCII),
    "en": re.compile(
        r"([1-9]\d{0,2}(?:[, ']\d{3})+|\d*)(?:\.(\d+))?", re.ASCII
    ),
}


def to_decimal(value: Any, style: str = "") -> Decimal | None:
    """The exact number in a number or a numeric text; `style` is es, en, or "" to tell it from
    the text.
    """
    if style not in ("", *_NUMBERS):
        raise ValueError(f"unknown style {quoted(style)}; known are es and en")
    if empty(value):
        return None
    if isinstance(value, str):
        number = _number_in(value, style)
    elif isinstance(value, bool) or not _is_number(value):
        raise refusal(value, "is not a number")
    else:
        number = (
            Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        )
    if abs(number) >= Decimal("1e15"):
        raise refusal(value, "is too large a number")
    return number


def _number_in(raw: str, style: str) -> Decimal:
    text = " ".join(raw.replace("\N{MINUS SIGN}", "-").split())
    before, text, after = _signed(_CURRENCY.sub("", text))
    text = _CURRENCY.sub("", text)
    found = {
        _read(text, known) for known in ([style] if style else _NUMBERS)
    } - {None}
    if len(found) > 1:
        both = " or ".join(sorted(str(number) for number in found))
        raise ValueError(
            f"{quoted(raw)} can be read as {both}; say which with style: es or style: en"
        )
    number = found.pop() if found and not (before and after) else None
    if number is None:
        raise refusal(raw, "is not a number")
    return -number if "-" in (before, after) else number


def _signed(text: str) -> tuple[str, str, str]:
    match = _SIGNED.fullmatch(text)
    return (match[1], match[2], match[3]) if match else ("", text, "")


def _read(text: str, style: str) -> Decimal | None:
    match = _NUMBERS[style].fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    whole = re.sub(r"[^0-9]", "", match[1]) or "0"
    return Decimal(f"{whole}.{match[2]}" if match[2] else whole)


def rounded(number: Decimal, decimals: int) -> Decimal:
    """The number with so many decimals, halves rounded away from zero, never -0."""
    if not 0 <= decimals <= 12:
        raise ValueError(f"decimals must be from 0 to 12, not {decimals}")
    return number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP) + 0


def grouped(number: Decimal, decimals: int, style: str) -> str:
    """The number for people: 1.234,50 in style es, 1,234.50 in style en."""
    english = f"{rounded(number, decimals):,f}"
    if style == "en":
        return english
    if style == "es":
        return english.translate(str.maketrans(",.", ".,"))
    raise ValueError(f"unknown style {quoted(style)}; known are es and en")


# --- one text ---------------------------------------------------------------------------------


def strip(value: Any) -> str | None:
    """Remove the blanks at both ends.

    ```yaml
    using: text.strip
    ```
    `"  a  b "` becomes `"a  b"`.
    """
    text = plain(value)
    return None if text is None else text.strip()


def squash(value: Any) -> str | None:
    """Put the text on one line with single blanks.

    ```yaml
    using: text.squash
    ```
    `" a \\n  b "` becomes `"a b"`.
    """
    return squashed(value)


def upper(value: Any) -> str | None:
    """Write the text in capitals.

    ```yaml
    using: text.upper
    ```
    `"año"` becomes `"AÑO"`.
    """
    text = plain(value)
    return None if text is None else text.upper()


def lower(value: Any) -> str | None:
    """Write the text in small letters.

    ```yaml
    using: text.lower
    ```
    `"AÑO"` becomes `"año"`.
    """
    text = plain(value)
    return None if text is None else text.lower()


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def title(value: Any) -> str | None:
    """Begin every word with a capital and write the rest of it small.

    ```yaml
    using: text.title
    ```
    `"JOSÉ GARCÍA-LÓPEZ"` becomes `"José García-López"`.
    """
    text = plain(value)
    if text is None:
        return None
    return _WORD.sub(
        lambda word: word[0].capitalize(), unicodedata.normalize("NFC", text)
    )


def replace(value: Any, *, old: str, new: str = "") -> str | None:
    """Replace every occurrence of a text by another.

    `old` is the text to look for, letter by letter; `new` takes its place.

    ```yaml
    using: {text.replace: {old: "S.L", new: SL}}
    ```
    `"Riu S.L."` becomes `"Riu SL."`.
    """
    if not old:
        raise ValueError("old must not be empty")
    text = plain(value)
    return None if text is None else filled(text.replace(old, new))


def truncate(value: Any, *, length: int, ellipsis: str = "…") -> str | None:
    """Shorten the text to a number of characters without cutting a letter from its accents.

    `length` is the most characters of the result, the `ellipsis` at its end included.

    ```yaml
    using: {text.truncate: {length: 8}}
    ```
    `"Calle Mayor"` becomes `"Calle M…"`.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}")
    text = plain(value)
    if text is None or len(text) <= length:
        return text
    ending = ellipsis if len(ellipsis) <= length else ""
    return filled(
        text[: _boundary(text, length - len(ending))].rstrip() + ending
    )


def _boundary(text: str, at: int) -> int:
    """The last place not after `at` where the text may be cut."""
    while at > 0 and _sticks(text, at):
        at -= 1
    return at


def _sticks(text: str, at: int) -> bool:
    """Whether the character at this place belongs to the one before it."""
    before, here = text[at - 1], text[at]
    if _flag(here) and _flag(before):
        run = len(text[:at]) - len(
            text[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200))))
        )
        return run % 2 == 1
    return (
        unicodedata.category(here) in ("Mn", "Mc", "Me")
        or "\u200d" in (before, here)
        or "\U0001f3fb" <= here <= "\U0001f3ff"
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= here <= "\udfff")
    )


def _flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def digits(value: Any) -> str | None:
    """Keep the digits only.

    ```yaml
    using: text.digits
    ```
    `"ES-12.3"` becomes `"123"`.
    """
    text = plain(value) or ""
    return (
        "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())
        or None
    )


def without_control(value: Any) -> str | None:
    """Remove the control characters except line breaks and tabs.

    ```yaml
    using: text.without_control
    ```
    `"a\\u0000b\\r\\nc"` becomes `"ab\\nc"`.
    """
    text = plain(value)
    if text is None:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return filled(
        "".join(
            c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc"
        )
    )


def default(given: Any, *, value: str) -> Any:
    """Put a text where there is none.

    `value` stands in for null, blank text and an empty list; 0 and false are kept.

    ```yaml
    using: {text.default: Sin nombre}
    ```
    `null` becomes `"Sin nombre"`.
    """
    return (value or None) if empty(given) else given


_TRUE = frozenset({"true", "1", "yes", "y", "sí", "si", "s"})
_FALSE = frozenset({"false", "0", "no", "n"})


def yes_no(value: Any, *, yes: str = "Sí", no: str = "No") -> str | None:
    """Write true and false as words.

    `yes` is the word for true, 1, "true", "yes" and "sí"; `no` for their opposites.

    ```yaml
    using: {text.yes_no: {"yes": Activo, "no": Baja}}
    ```
    `true` becomes `"Activo"`.
    """
    if empty(value):
        return None
    word = (
        str(value).lower()
        if isinstance(value, bool)
        else (plain(value) or "").strip().lower()
    )
    if word not in _TRUE | _FALSE:
        raise refusal(value, "is neither yes nor no")
    return filled(yes if word in _TRUE else no)


def number_text(
    value: Any, *, decimals: int = 2, style: str = "es"
) -> str | None:
    """Write a number for people.

    `decimals` is how many are shown, halves rounded up; `style` is es (1.234,50) or en (1,234.50).

    ```yaml
    using: {text.number_text: {decimals: 2}}
    ```
    `1234.5` becomes `"1.234,50"`.
    """
    # A wrong style is refused even where there is no number.
    grouped(Decimal(0), 0, style)
    number = to_decimal(value)
    return None if number is None else grouped(number, decimals, style)


def _written(value: Any) -> str:
    """Any value as people read it: a flag as a word, an object as its values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        texts = [text for part in parts if (text := _written(part))]
        return (" " if isinstance(value, dict) else ", ").join(texts)
    return plain(value) or ""


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def labelled_html(value: Any) -> str | None:
    """Turn named values into safe HTML, a line for each that is not empty.

    ```yaml
    using: text.labelled_html
    ```
    `{"Tax id": "B1", "Fax": null}` becomes `"<b>Tax id:</b> B1"`.
    """
    parts = value if isinstance(value, dict) else {}
    lines = [
        f"<b>{html.escape(label)}:</b> {_lines(text)}"
        for label, held in parts.items()
        if (text := _written(held))
    ]
    return "<br>".join(lines) or None


# --- lists ------------------------------------------------------------------------------------


def join(value: Any, *, separator: str = ", ") -> str | None:
    """Join the parts that are not empty.

    `separator` stands between two parts; the value is a list, or a dict whose values are joined.

    ```yaml
    using: {text.join: {separator: ", "}}
    ```
    `["a", null, "b"]` becomes `"a, b"`.
    """
    return filled(
        separator.join(
            part for part in map(plain, items(value)) if part is not None
        )
    )


def split(value: Any, *, separator: str = ",") -> list[str] | None:
    """Split the text into its parts, trimmed, the empty ones left out.

    `separator` stands between two parts.

    ```yaml
    using: {text.split: ";"}
    ```
    `"a; b;"` becomes `["a", "b"]`.
    """
    if not separator:
        raise ValueError("separator must not be empty")
    parts = [part.strip() for part in (plain(value) or "").split(separator)]
    return [part for part in parts if part] or None


def distinct(value: Any) -> list[Any] | None:
    """Keep the first of equal items, in their order, and drop the empty ones.

    ```yaml
    using: text.distinct
    ```
    `["b", "a", "", "b"]` becomes `["b", "a"]`.
    """
    kept: dict[str, Any] = {}
    for item in items(value):
        kept.setdefault(json.dumps(item, sort_keys=True, default=repr), item)
    return list(kept.values()) or None


def first(value: Any) -> Any:
    """Take the first item of a list that is not empty.

    ```yaml
    using: text.first
    ```
    `["", "a", "b"]` becomes `"a"`.
    """
    return next(iter(items(value)), None)


def last(value: Any) -> Any:
    """Take the last item of a list that is not empty.

    ```yaml
    using: text.last
    ```
    `["a", "b", null]` becomes `"b"`.
    """
    return next(reversed(items(value)), None)


def length(value: Any) -> int | None:
    """Count the items of a list or dict, or the characters of a text.

    ```yaml
    using: text.length
    ```
    `["a", "b"]` becomes `2`.
    """
    if value is None:
        return None
    return (
        len(value)
        if isinstance(value, str | list | dict)
        else len(plain(value) or "")
    )


# --- HTML and file names ----------------------------------------------------------------------


def html_escape(value: Any) -> str | None:
    """Escape the text so that HTML shows it as it is.

    ```yaml
    using: text.html_escape
    ```
    `"a < b"` becomes `"a &lt; b"`.
    """
    text = plain(value)
    return None if text is None else html.escape(text)


def paragraphs(value: Any) -> str | None:
    """Turn plain text into safe HTML: blank lines part paragraphs, other breaks stay line breaks.

    ```yaml
    using: text.paragraphs
    ```
    `"a & b\\nc\\n\\nd"` becomes `"<p>a &amp; b<br>c</p><p>d</p>"`.
    """
    text = _tidy(plain(value) or "")
    if not text:
        return None
    blocks = (
        html.escape(block).replace("\n", "<br>") for block in text.split("\n\n")
    )
    return "".join(f"<p>{block}</p>" for block in blocks)


def _tidy(text: str) -> str:
    """The text with single blanks, no control characters and at most one blank line in a row."""
    seen = "".join(
        c for c in text if c.isspace() or unicodedata.category(c) != "Cc"
    )
    lines = "\n".join(" ".join(line.split()) for line in seen.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


_MARKUP = re.compile(r"<[a-zA-Z/!?]")
_DECLARATION = re.compile(
    r"<!--.*?(?:-->|\Z)|<!doctype[^>]*>|<!\[[^>]*>", re.DOTALL | re.IGNORECASE
)
_LINE_TAGS = frozenset(
    {"div", "li", "tr", "dt", "dd", "section", "article", "header", "footer"}
)
_HEADINGS = {f"h{level}" for level in range(1, 7)}
_BLOCK_TAGS = frozenset(
    {"p", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"} | _HEADINGS
)
_CELL_TAGS = frozenset({"td", "th"})
_UNSEEN_TAGS = frozenset({"script", "style", "title"})


class _PlainText(HTMLParser):
    """Collects what a browser would show, with a line break wherever it would show one."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown = ""
        self.unseen = ""  # the tag whose content is not shown

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        if tag == "br":
            self.shown += "\n"
        elif tag in _CELL_TAGS:
            self.shown += " "
        elif tag in _UNSEEN_TAGS:
            self.unseen = self.unseen or tag
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self.unseen:
            self.unseen = ""
        self._part(tag)

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.shown += re.sub(r"\s+", " ", data)

    def _part(self, tag: str) -> None:
        """Make sure that a new line, or for a block an empty line, begins here."""
        wanted = 2 if tag in _BLOCK_TAGS else int(tag in _LINE_TAGS)
        text = self.shown.rstrip(" ")
        if wanted and text:
            self.shown = text + "\n" * (
                wanted - (len(text) - len(text.rstrip("\n")))
            )


def strip_html(value: Any) -> str | None:
    """Turn HTML into plain text; a text without any tag keeps its own line breaks.

    ```yaml
    using: text.strip_html
    ```
    `"<p>a &amp; <b>b</b><br>c</p><p>d</p>"` becomes `"a & b\\nc\\n\\nd"`.
    """
    text = plain(value) or ""
    if not _MARKUP.search(text):
        return _tidy(html.unescape(text)) or None
    parser = _PlainText()
    parser.feed(_DECLARATION.sub("", text).replace("<!", "&lt;!"))
    parser.close()
    return _tidy(parser.shown) or None


_RESERVED = re.compile(r'[<>:"|?*/\\]')
_DEVICES = re.compile(
    r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE | re.ASCII
)


def safe_filename(value: Any, *, extension: str = "") -> str | None:
    """Make a file name that every system accepts, of at most 120 characters.

    Directories, control and reserved characters and leading dots go; letters of every script stay.
    `extension` is added unless the name already ends with it.

    ```yaml
    using: {text.safe_filename: {extension: pdf}}
    ```
    `"../fotos/Año: 2025"` becomes `"Año 2025.pdf"`.
    """
    parts = [
        part
        for part in map(_fit, re.split(r"[/\\]", plain(value) or ""))
        if part
    ]
    if not parts:
        return None
    name, ending = parts[-1], _fit(extension)
    if ending and not name.lower().endswith(f".{ending.lower()}"):
        name = f"{name}.{ending}"
    return _shortened(f"_{name}" if _DEVICES.match(name) else name)


def _fit(text: str) -> str:
    """The part of a name without what a file system refuses."""
    kept = "".join(
        c
        for c in text
        if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    kept = unicodedata.normalize("NFC", _RESERVED.sub("", kept))
    return " ".join(kept.split()).lstrip(". ").rstrip(". ")


def _shortened(name: str) -> str:
    """The name within 120 characters and 255 bytes; its own short extension is kept."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    room = 120 - len(dot + ending)
    while len(stem) > room or len((stem + dot + ending).encode()) > 255:
        stem = (
            stem[: _boundary(stem, min(len(stem) - 1, room))]
            or stem[: len(stem) - 1]
        )
    return (stem.rstrip(". ") or "_") + dot + ending


# --- e-mail -----------------------------------------------------------------------------------

_LOCAL = r"[\w!#$%&'*+=?^`{|}~-]+(?:\.[\w!#$%&'*+=?^`{|}~-]+)*"
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_ADDRESS = re.compile(rf"{_LOCAL}@(?:{_LABEL}\.)+[^\W\d_][\w-]*[^\W_]")
_NAMED = re.compile(r"[^,;/<>]*<([^<>]*)>")


def email(value: Any) -> str | None:
    """Normalise one e-mail address: trimmed and in small letters.

    `Name <address>` and `mailto:address` give the address; what is not plausible is refused.

    ```yaml
    using: text.email
    ```
    `" Ana@Example.COM "` becomes `"ana@example.com"`.
    """
    text = plain(value)
    if text is None:
        return None
    address = _plausible(_NAMED.sub(r"\1", text))
    if address is None:
        raise refusal(value, "is not an e-mail address")
    return address


def _plausible(text: str) -> str | None:
    """The address in normal form, or None."""
    address = text.strip().lower().removeprefix("mailto:").strip()
    return (
        address if len(address) <= 254 and _ADDRESS.fullmatch(address) else None
    )


def emails(
    value: Any, *, strict: bool = True, shape: dict[str, str] = AS_IT_IS
) -> list[dict[str, Any]] | None:
    """List the e-mail addresses with their labels, each once, the first one primary.

    The value is a dict from label to text; a list or a text is labelled `work`. A text may hold
    several addresses, parted by commas, semicolons, slashes or blanks. `strict` refuses what is
    not plausible; `strict: false` leaves it out. An entry has the fields value, label and
    primary; `shape` names those of another destination, and what of the three each holds:
    `{address: value, kind: label}`.

    ```yaml
    using: text.emails
    ```
    `{"home": "A@x.es"}` becomes `[{"value": "a@x.es", "label": "home", "primary": true}]`.
    """
    found: dict[str, str] = {}
    for label, raw in labelled(value):
        for piece in re.split(r"[,;/\s]+", _NAMED.sub(r" \1 ", raw)):
            address = _plausible(piece)
            if address is not None:
                found.setdefault(address, label)
            elif strict and piece:
                raise ValueError(
                    f"{quoted(piece)} in {quoted(raw)} is not an e-mail address"
                )
    return entries_of(list(found.items()), shape)


def entries_of(
    pairs: list[tuple[str, str]], shape: dict[str, str]
) -> list[dict[str, Any]] | None:
    """The (value, label) pairs as a list of entries whose first one is primary."""
    rows = [
        {"value": one, "label": label, "primary": at == 0}
        for at, (one, label) in enumerate(pairs)
    ]
    return [shaped(row, shape, ENTRY) for row in rows] or None
