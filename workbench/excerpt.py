"""A problem with the line it is about and a caret under the place, as compilers show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from engine.errors import Diagnostic, Place
from engine.report.words import clean

WIDTH = 120  # characters of a line that are shown
_IN_TEMPLATE = re.compile(r"(?P<file>\S+\.j2):(?P<line>\d+): ")
_QUOTED = re.compile(r"'([^']+)'")


def excerpts(problems: Sequence[Diagnostic], folder: Path) -> Iterator[str]:
    """Problems in the order of their places: those of one place stand together above its line."""
    for item, following in zip_longest(problems, problems[1:]):
        shared = following is not None and following.where == item.where
        yield from excerpt(item, folder, marked=not shared)


def excerpt(
    problem: Diagnostic, folder: Path, marked: bool = True
) -> Iterator[str]:
    """The problem, its line and a caret, if `marked`; for one inside a template, the template's
    line as well.

    `folder` is where the spec lies: templates are named relative to it.
    """
    yield clean(str(problem))
    if problem.where is not None and marked:
        yield from _marked(problem.where)
    inside = _IN_TEMPLATE.match(problem.problem)
    if inside:
        file = folder / inside["file"]
        line = int(inside["line"])
        yield from _marked(
            Place(str(file), line, _column(file, line, problem.problem))
        )


def places(problem: Diagnostic, folder: Path) -> Mapping[str, object]:
    """A diagnostic as plain data, with its line and, inside a template, the template's place."""
    data = problem.data() | {
        "line": _line(problem.where.file, problem.where.line)
        if problem.where
        else ""
    }
    inside = _IN_TEMPLATE.match(problem.problem)
    if inside:
        file, line = folder / inside["file"], int(inside["line"])
        data["template"] = {
            "file": str(file),
            "line": line,
            "col": _column(file, line, problem.problem),
        }
    return data


def _column(file: Path, line: int, problem: str) -> int:
    """Where in a template's line the name stands that the problem is about; 1 where that is not
    known.
    """
    text = _line(str(file), line)
    for name in _QUOTED.findall(problem):
        at = text.find(name)
        if at >= 0:
            return at + 1
    return 1


def _marked(place: Place) -> Iterator[str]:
    text = _line(place.file, place.line)
    if "\0" in text or (not text.strip() and place.col > 1):
        return
    start = max(0, place.col - WIDTH + 20) if place.col > WIDTH - 20 else 0
    part = text[start : start + WIDTH]
    shown = (
        ("…" if start else "")
        + part
        + ("…" if start + WIDTH < len(text) else "")
    )
    gutter = f"{place.line:>5} | "
    # A tab counts as one character in a place and is shown as one blank.
    yield gutter + clean(shown)
    before = ("…" if start else "") + text[start : place.col - 1]
    yield " " * (len(gutter) - 2) + "| " + " " * len(clean(before)) + "^"


def _line(file: str, number: int) -> str:
    lines = _lines(file)
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _lines(file: str) -> tuple[str, ...]:
    """A file's lines as far as they can be read; a byte that is no text is a question mark."""
    try:
        return tuple(
            Path(file)
            .read_bytes()[:4_000_000]
            .decode("utf-8-sig", errors="replace")
            .split("\n")
        )
    except OSError:
        return ()
