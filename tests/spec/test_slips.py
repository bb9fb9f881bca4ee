"""Slips in YAML: where they are told, what was probably meant, and the line to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.document import parse
from engine.errors import SpecError

CASES = yaml.safe_load((Path(__file__).parent / "slips.yaml").read_text(encoding="utf-8"))
SOUND = "migration: demo\nobjects:\n  people:\n    from: clients\n    fields:\n      name: {from: [a, b]}\n      code: 'x: y'\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_slip_is_told_where_it_is(case: dict[str, Any]) -> None:
    """Place, code and the line to write instead, in one diagnostic."""
    with pytest.raises(SpecError) as stop:
        parse(case["text"], "f.yaml")
    (found,) = stop.value.diagnostics
    assert found.where is not None
    assert (found.where.line, found.where.col) == (case["line"], case["col"])
    assert found.code == case["code"]
    assert found.advice.endswith(case.get("write", ""))
    assert ("write: " in found.advice) == ("write" in case)


@pytest.mark.parametrize("case", [case for case in CASES if "write" in case], ids=lambda case: case["name"])
def test_a_corrected_line_is_one(case: dict[str, Any]) -> None:
    """The line in the advice can be parsed by itself."""
    parse(case["write"], "f.yaml")


@pytest.mark.parametrize(
    "text",
    ['x: "\\UFFFFFFFF"\n', f"%YAML {'9' * 5000}.1\n---\nx: 1\n", 'x: "\\ud8000000"\n', "x: !!int 1_0\n"],
    ids=lambda t: t[:12],
)
def test_a_number_that_the_parser_cannot_hold(text: str) -> None:
    """A character beyond Unicode, a version of thousands of digits: a mistake in the file, no fault of ours."""
    try:
        parse(text, "f.yaml")
    except SpecError as error:
        assert error.diagnostics[0].where


@settings(max_examples=150)
@given(
    st.integers(0, len(SOUND)),
    st.sampled_from([*"\t\"'{}[]:,-%@`&*!|>#=“’\xa0：\n ", "", "- ", ": ", "{{", "---\n", "\\"]),
    st.integers(0, 3),
)
def test_whatever_slips_in_is_told_or_taken(at: int, mark: str, without: int) -> None:
    """One sign too many or too few anywhere: the text is read, or told with its place; nothing else is raised."""
    try:
        parse(SOUND[:at] + mark + SOUND[at + without :], "f.yaml")
    except SpecError as error:
        assert all(item.where and item.problem for item in error.diagnostics)


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\r"])
def test_lines_that_only_the_parser_counts(mark: str) -> None:
    """A break that no editor shows makes no message fail, wherever the parser believes the mistake to be."""
    with pytest.raises(SpecError):
        parse(f"{mark}{mark} a: `b`", "x.yaml")
