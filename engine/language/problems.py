"""What is wrong with a spec, told at the place where it stands, while it is compiled."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from engine.config.document import Document, Keys
from engine.config.suggestions import suggest
from engine.errors import Code, Diagnostic, Severity

Fault = tuple[Code, str, str]  # its kind, the problem, and advice


class Checking(msgspec.Struct):
    """A document that is checked, and the problems found in it so far."""

    document: Document
    problems: list[Diagnostic]

    def problem(
        self,
        keys: Keys,
        code: Code,
        problem: str,
        advice: str = "",
        severity: Severity = "error",
    ) -> None:
        """Something is wrong at a place."""
        self.problems.append(
            self.document.problem(keys, code, problem, advice, severity)
        )

    def fault(
        self, keys: Keys, fault: Fault | None, severity: Severity = "error"
    ) -> None:
        """The same of what a check has found, if anything."""
        if fault:
            self.problem(keys, *fault, severity)

    def known(
        self,
        name: str,
        words: Collection[str],
        keys: Keys,
        code: Code,
        problem: str,
    ) -> bool:
        """Whether a name is one of these words, as it must be."""
        if name not in words:
            self.problem(keys, code, problem, suggest(name, words))
        return name in words
