"""The report's JSON is what Python would write, whatever stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.report.document import write_json

ODD: dict[str, Any] = {
    "text": "Añejo \"7%\" \\ \n\t\u2028 \x00 </script>",
    "numbers": [0, -0.0, 2.50, 1e22, 10**30, 1.7976931348623157e308],
    "nothing": [None, True, False, [], {}, [[]], [{}], ""],
    "": {"nested": {"deep": [{"a": 1}, {"b": [2, 3]}]}},
}


def test_it_is_indented_as_python_indents(tmp_path: Path) -> None:
    """Byte for byte, with letters as they are."""
    write_json(ODD, tmp_path / "report.json")
    wanted = json.dumps(ODD, ensure_ascii=False, indent=1)
    assert (tmp_path / "report.json").read_bytes() == wanted.encode()


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_stops_no_report(tmp_path: Path, value: float) -> None:
    """A sum beyond all numbers is written as Python writes it, and Python reads it."""
    write_json({"sum": value, "text": "a"}, tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert repr(found) == repr({"sum": value, "text": "a"})


def test_half_a_letter_becomes_a_question_mark(tmp_path: Path) -> None:
    """Halves of surrogate pairs, which no file can hold."""
    write_json({"text": "a\ud800b"}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"text": "a?b"}
