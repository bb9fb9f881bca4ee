"""What needs a person: findings, and records that have none and did not arrive whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.report.words import known
from engine.store.links import DEFINITIONS
from engine.values import cause_of

Report = Mapping[str, Any]
# what is said of a field in a state that people must see
TROUBLES = {"lost": "is lost", "changed_by_people": "was changed by people"}


def attention(report: Report) -> list[tuple[str, str, list[str]]]:
    """What needs a person, as (object, key, texts): findings, then records without one."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in report["findings"]:
        if item["severity"] == "attention":
            text = (
                f"{item['field']}: {item['text']}"
                if item["field"]
                else item["text"]
            )
            found.setdefault(about(item), []).append(text)
    for row in report["records"]:
        texts = _troubles(row)
        if texts:
            found.setdefault((row["object"], row["key"]), texts)
    return [(name, key, texts) for (name, key), texts in found.items()]


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with several records of an object; `text` is that of the first."""

    object: str
    text: str
    # key, and what is said of it
    records: list[tuple[str, str]] = field(default_factory=list)

    @property
    def alike(self) -> bool:
        """Whether the text is exactly the same for all of them."""
        return all(text == self.text for _, text in self.records)


def causes(waiting: Sequence[tuple[str, str, list[str]]]) -> list[Cause]:
    """What needs a person, grouped: texts that differ only in values and numbers have one cause."""
    found: dict[tuple[str, str], Cause] = {}
    for name, key, texts in waiting:
        for text in texts:
            cause = found.setdefault((name, cause_of(text)), Cause(name, text))
            cause.records.append((key, text))
    return list(found.values())


def about(item: Mapping[str, Any]) -> tuple[str, str]:
    """What a finding is about, as people know it: object and key of a record, or RESOURCE.NAME
    of a field.
    """
    name, key = known(str(item["object"])), known(str(item["key"]))
    return (name, key) if name != DEFINITIONS else (key, "")


def _troubles(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with a record without a finding."""
    if row["state"] in ("missing", "failed"):
        return [f"{row['state']}: {row['reason'] or 'no reason given'}"]
    if row["state"] != "arrived":
        return []
    return [
        f"{item['label']} {TROUBLES[item['state']]}: {item['reason'] or 'no reason given'}"
        for item in row["fields"]
        if item["state"] in TROUBLES
    ]
