"""What a case file expects of a problem: its place and code, never its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Diagnostic


def described(item: Diagnostic, expected: Mapping[str, Any]) -> dict[str, Any]:
    """A problem in the words of a case file, for comparing with what is expected.

    `meant` is the name or fixed value that the advice must offer, `word` a part of the problem that tells it from another at the same place,
    `path` the name of the place where one place has several.
    """
    assert item.where is not None
    found: dict[str, Any] = {"line": item.where.line, "col": item.where.col, "code": item.code}
    if item.severity != "error":
        found["severity"] = item.severity
    meant = expected.get("meant")
    if any(written in item.advice for written in (repr(meant), f"{{value: {meant}}}")):
        found["meant"] = meant
    if "word" in expected and expected["word"] in item.problem:
        found["word"] = expected["word"]
    if "path" in expected:
        found["path"] = item.path
    return found
