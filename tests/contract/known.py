"""The list of known contradictions: where the live service differs from its own documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tests.contract.checking import Mismatch

LIST = Path(__file__).parent / "contradictions.yaml"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "connectors" / "pipedrive_contract.md"
KEYS = ("operation", "where", "path", "kind", "document", "live", "source")
HEAD = ("Operation", "Where", "Path", "Kind", "The document says", "The live service does", "Source")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One entry; it covers mismatches of its kind at any of its paths.

    `*` in `operation` stands for anything; in a path `*` is one name or list position and `**`
    any number of them.
    """

    operation: str
    where: str
    paths: tuple[str, ...]
    kind: str
    document: str
    live: str
    source: str

    def covering(self, one: Mismatch) -> Iterator[str]:
        """The paths of this entry that cover a mismatch."""
        if (one.where, one.kind) == (self.where, self.kind) and fnmatchcase(one.operation, self.operation):
            steps = one.path.split(".")
            yield from (path for path in self.paths if _fits(path.split("."), steps))


def _fits(pattern: list[str], steps: list[str]) -> bool:
    if not pattern:
        return not steps
    if pattern[0] == "**":
        return any(_fits(pattern[1:], steps[skip:]) for skip in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], pattern[0]) and _fits(pattern[1:], steps[1:])


def load(path: Path = LIST) -> list[Contradiction]:
    """Read the list; ValueError for an entry that is not complete."""
    entries = []
    for raw in yaml.safe_load(path.read_text(encoding="utf-8")):
        if set(raw) != set(KEYS) or not all(raw.values()):
            raise ValueError(f"an entry needs exactly {', '.join(KEYS)}: {raw}")
        paths = raw["path"] if isinstance(raw["path"], list) else [raw["path"]]
        rest = {key: str(raw[key]) for key in KEYS if key != "path"}
        entries.append(Contradiction(paths=tuple(map(str, paths)), **rest))
    return entries


def unlisted(found: Iterable[Mismatch], entries: Iterable[Contradiction]) -> list[Mismatch]:
    """Mismatches that no entry covers."""
    entries = list(entries)
    return sorted(one for one in found if not any(path for entry in entries for path in entry.covering(one)))


def stale(found: Iterable[Mismatch], entries: Iterable[Contradiction]) -> list[str]:
    """Entries, or single paths of them, that nothing recorded needs."""
    found = list(found)
    left = []
    for entry in entries:
        used = {path for one in found for path in entry.covering(one)}
        left += [f"{entry.operation} {entry.where} {path} {entry.kind}" for path in entry.paths if path not in used]
    return left


def table(entries: Iterable[Contradiction]) -> str:
    """The list as a Markdown table."""
    rows = [f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
    for entry in entries:
        paths = ", ".join(f"`{path}`" for path in entry.paths)
        cells = (f"`{entry.operation}`", entry.where, paths, entry.kind, entry.document, entry.live, entry.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(load()))
