"""What was probably meant where a YAML parser fails: a corrected line, tried before it is
suggested.

Each rule looks for one kind of slip in a line and writes the line as it was probably meant. The
first correction that lets the parser get further is suggested; where none does, no guess is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from os.path import commonprefix

import msgspec

# lines before a mistake that a correction is tried with, besides those it stands below
AROUND = 15
FAR = 100  # lines before and after one that is indented like none beside it
# characters of a line that is corrected: nobody writes a longer one by hand
LONGEST = 1000
ODD_BLANK = re.compile(
    "[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff]"
)
_KEY = r"[ \t]*(?:- +)*[\w$*][\w.$*/-]*"
# a value inside { } or [ ] that holds a template or a path with brackets
_BRACKETED = re.compile(
    r"([{,\[] *(?:[\w.]+: +)?)"
    r"((?:[^\s{}\[\],:\"'][^{}\[\],:\"']*(?:\[[^\[\]]*\]|\{[{%].*?[%}]\})|\{[{%].*?[%}]\})"
    r"(?:[^{}\[\],:]|:(?! )|\[[^\[\]]*\]|\{[{%].*?[%}]\}|, ?(?=\{[{%]))*)"
)
_QUOTES = str.maketrans(
    dict.fromkeys("“”„‟«»", '"') | dict.fromkeys("‘’‚‛", "'")
)

# line and column where a parser stumbles in a text, from 0
Stumble = Callable[[str], tuple[int, int] | None]


class Slip(msgspec.Struct, frozen=True):
    """A line as it was probably meant; `line` and `col` count from 0, `quotes` are all it needs."""

    line: int
    col: int
    quotes: bool
    meaning: str
    corrected: str


def find_slip(
    lines: Sequence[str], line: int, stumbles: Stumble
) -> Slip | None:
    """The slip behind a parser's complaint about a line: in that line, or in the one before it."""
    near = _near(lines, line)
    for rules in (_bracketed, _corrections):
        for number in near:
            for meaning, corrected in rules(lines, number):
                written = lines[number]
                if corrected != written and _helps(
                    lines, number, line, corrected, stumbles
                ):
                    col = len(  # in characters
                        commonprefix((written, corrected))  # noqa: RUF071
                    )
                    return Slip(
                        number, col, rules is _bracketed, meaning, corrected
                    )
    return _misindented(lines, line, near[0], stumbles) if near else None


def _near(lines: Sequence[str], line: int) -> list[int]:
    """The line and the last non-empty one before it, unless they are too long."""
    before = range(min(line, len(lines)) - 1, -1, -1)
    above = next((number for number in before if lines[number].strip()), line)
    there = [
        number for number in dict.fromkeys((line, above)) if number < len(lines)
    ]
    return [
        one
        for one in there
        if lines[one].strip() and len(lines[one]) <= LONGEST
    ]


def _helps(
    lines: Sequence[str],
    number: int,
    line: int,
    corrected: str,
    stumbles: Stumble,
) -> bool:
    """Whether the parser gets past the line where it failed, with this line corrected and its
    ancestors above it.
    """
    first = max(0, number - AROUND)
    above = _ancestors(lines, first)
    tried = [
        *above,
        *lines[first:number],
        corrected,
        *lines[number + 1 : line + 2],
    ]
    at = stumbles("\n".join(tried) + "\n")
    return (
        at is None
        or at[0] > len(above) + line - first
        or (at[0] == len(tried) > len(above) + line - first)
    )


def _ancestors(lines: Sequence[str], first: int) -> list[str]:
    """The lines that a line is nested in, the outermost first."""
    found: list[str] = []
    least = min(
        (_indent(text) for text in lines[first : first + 1] if text.strip()),
        default=0,
    )
    for text in reversed(lines[:first]):
        if (
            text.strip()
            and _indent(text) < least
            and not text.lstrip().startswith("#")
        ):
            found.insert(0, text)
            least = _indent(text)
    return found


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _bracketed(lines: Sequence[str], number: int) -> Iterator[tuple[str, str]]:
    """The line with quotes around templates and paths inside a collection on one line."""
    yield (
        "a value with brackets in it needs quotes inside { } and [ ]",
        _BRACKETED.sub(
            lambda found: found[1] + _in_quotes(found[2]), lines[number]
        ),
    )


# what is wrong, where that shows, and what is meant
_SLIPS = (
    ("this character only looks like a colon", " ?： ?", ": "),
    ("there is no space after the dash", r"^( *)-(?=[^\s-])", r"\1- "),
    (
        "this character only looks like the dash of a list item",
        r"^( *)[–—•·] ?",
        r"\1- ",
    ),
    (
        "there is no space after the colon",
        rf"^({_KEY}):(?=[^\s:/])",
        r"\1: ",
    ),
    ("a key is followed by a colon", rf"^({_KEY}) *=>? *", r"\1: "),
    ("there is no colon after the key", rf"^({_KEY}) *$", r"\1:"),
    (
        "there is no colon after the key",
        rf"^({_KEY}) +(?=[^\s:#][^:#]*$)",
        r"\1: ",
    ),
)


def _corrections(
    lines: Sequence[str], number: int
) -> Iterator[tuple[str, str]]:
    """Every meaning a line may have had, the likeliest first."""
    text = lines[number]
    yield (
        "there is a special space, as word processors insert",
        ODD_BLANK.sub(" ", text),
    )
    for width in ("  ", ""):
        yield (
            "the line is indented with a tab; only spaces may indent",
            text.replace("\t", width),
        )
    yield (
        "these are typographic quotes, as word processors insert",
        text.translate(_QUOTES),
    )
    for problem, pattern, correct in _SLIPS:
        yield problem, re.sub(pattern, correct, text)
    yield from _brackets(text)
    yield from _quoted_value(text)


def _quoted_value(text: str) -> Iterator[tuple[str, str]]:
    """The line with its whole value in quotes."""
    found = re.match(
        rf"^({_KEY}: +|[ \t]*- +)((?!\{{[^{{%]).*?)((?: +#.*)?)$", text
    )
    if not found or not found[2]:
        return

    value = found[2]
    meaning = f"a value that begins with {value[0]} needs quotes"
    if value[0] in "'\"":
        meaning = (
            "the value is not in one pair of quotes, or a quote or backslash inside it"
            " ends them early"
        )
        inside = (
            value[1:-1]
            if len(value) > 1 and value[0] == value[-1]
            else value.replace(value[0], "")
        )
        yield meaning, f"{found[1]}{_in_quotes(inside)}{found[3]}"
    elif ": " in value:
        meaning = "a value that holds a colon and a space needs quotes"
    yield meaning, f"{found[1]}{_in_quotes(value)}{found[3]}"


def _in_quotes(value: str) -> str:
    if '"' in value or "\\" in value:
        return "'" + value.replace("'", "''") + "'"
    return f'"{value}"'


def _brackets(text: str) -> Iterator[tuple[str, str]]:
    """Brackets and commas of collections written on one line."""
    bare = text.rstrip()
    for one, other in ("]}", "}]", ")}", ")]"):
        yield (
            "the closing bracket is of the wrong kind",
            (bare[:-1] + other if bare.endswith(one) else text),
        )
    yield (
        "there is one bracket too many",
        (bare[:-1] if bare.endswith(("}", "]")) else text),
    )
    yield "there is one bracket too many", re.sub(r"([\]}])\1", r"\1", text)
    yield (
        "a comma is missing between two entries",
        re.sub(r"(\w+: *[^,{}\[\]:]+?) +(?=[\w.-]+: )", r"\1, ", text),
    )


def _misindented(
    lines: Sequence[str], line: int, at: int, stumbles: Stumble
) -> Slip | None:
    """The line that is indented unlike those beside it: this one, or one above it to which this
    one and those after it do not fit. Of all, that with which the parser gets furthest.
    """
    depth, first = _indent(lines[at]), max(0, at - FAR)
    nearest = {
        _indent(lines[number]): number
        for number in range(first, at)
        if lines[number].strip() and lines[number].lstrip()[0] != "#"
    }
    others = sorted(nearest, key=lambda other: -nearest[other])
    tried = [
        *(
            (at, one)
            for one in sorted(others, key=lambda one: abs(one - depth))
        ),
        *((nearest[one], depth) for one in others),
    ]
    above = _ancestors(lines, first)

    def reach(pair: tuple[int, int]) -> float:
        number, other = pair
        text = " " * other + lines[number].lstrip()
        rest = [*lines[first:number], text, *lines[number + 1 : at + FAR]]
        found = stumbles("\n".join([*above, *rest]) + "\n")
        return found[0] - len(above) + first if found else math.inf

    best = max(tried, key=reach, default=(at, depth))
    if reach(best) <= line:
        return None
    number, other = best
    meaning = f"this line is indented by {_indent(lines[number])}, the lines beside it by {other}"
    col = min(_indent(lines[number]), other)
    return Slip(number, col, False, meaning, lines[number])
