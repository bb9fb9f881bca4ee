"""What a check found: as rows of a table, as contradictions with their place, and as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from workbench.probe.found import Declared, Finding

ORDER = ("contradicted", "confirmed", "not tried", "note")

Redact = Callable[[str], str]


def redacted(finding: Finding, redact: Redact) -> Finding:
    """The finding without anything that was used to sign in."""
    return replace(
        finding,
        detail=redact(finding.detail),
        advice=redact(finding.advice),
        evidence=redact(finding.evidence),
    )


def table(found: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """Operation, verdict and detail: one line for all that one operation confirms, one for each
    contradiction.
    """
    rows = []
    for subject in dict.fromkeys(
        item.subject for item in found if item.verdict != "left"
    ):
        for verdict in ORDER:
            texts = [
                _text(item)
                for item in found
                if item.subject == subject and item.verdict == verdict
            ]
            if texts and verdict != "contradicted":
                texts = ["; ".join(texts)]
            rows += [(subject, verdict, line) for line in texts]
    return rows


def _text(item: Finding) -> str:
    return f"{item.claim}: {item.detail}" if item.detail else item.claim


def counts(found: Sequence[Finding]) -> str:
    """How many of each verdict, in a line."""
    many = Counter(item.verdict for item in found)
    words = [
        f"{many[verdict]} {verdict}"
        for verdict in ("confirmed", "contradicted", "not tried")
        if many[verdict]
    ]
    return ", ".join(words) or "nothing could be tried"


def remaining(found: Sequence[Finding]) -> list[str]:
    """Rows made by the check that it could not remove."""
    return [item.detail for item in found if item.verdict == "left"]


def data(
    found: Sequence[Finding], declared: Declared, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that was found, for --json."""
    return {
        **about,
        "findings": [
            _plain(item, declared) for item in found if item.verdict != "left"
        ],
        "left": remaining(found),
    }


def _plain(item: Finding, declared: Declared) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(item)
    if item.verdict == "contradicted":
        plain["place"] = str(declared.diagnostic(item).where)
    return plain
