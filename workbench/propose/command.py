"""From a spec file to the same file with what is proposed added, or to a list of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.config.document import Document, read
from engine.config.validation import check_shape
from engine.connector.load import connector_file, load_connector
from engine.connector.model import Connector
from engine.errors import SpecError, UsageError
from engine.language.compile import load_migration
from workbench.propose.draft import Drafted, draft
from workbench.propose.pair import Pair, outlined, pairs
from workbench.propose.profile import Rows
from workbench.propose.scene import HIGH, people_of
from workbench.propose.write import insertions, outlines_of
from workbench.writing import inserted

_STANDING_IN: Mapping[str, Any] = {
    "begun": {"from": "x", "to": "y", "fields": {"name": "name"}}
}


@dataclass(frozen=True, slots=True)
class Begun:
    """A spec that need not be complete yet, with its connectors."""

    path: Path
    document: Document
    source: Connector
    destination: Connector

    @property
    def data(self) -> Mapping[str, Any]:
        """What stands in it."""
        found: Mapping[str, Any] = self.document.data
        return found


@dataclass(frozen=True, slots=True)
class Proposed:
    """What is proposed for a spec, and its text with that added."""

    paired: tuple[Pair, ...]
    drafted: tuple[Drafted, ...]
    text: str


def begun(path: Path) -> Begun:
    """Read a spec that may consist of `migration`, `source` and `destination` only; raises
    SpecError.
    """
    document = read(path)
    problems = check_shape(_completed(document), "spec")
    if problems:
        raise SpecError(problems)
    sides = [
        connector_file(path.parent, document.data[side]["connector"])
        for side in ("source", "destination")
    ]
    return Begun(
        path, document, load_connector(sides[0]), load_connector(sides[1])
    )


def _completed(document: Document) -> Document:
    """The document with stand-ins for what is to be proposed, so that the rest can be checked."""
    if not isinstance(document.data, dict):
        return document
    objects = document.data.get("objects") or dict(_STANDING_IN)
    filled = {
        name: (
            {**item, "fields": item.get("fields") or {"name": "name"}}
            if isinstance(item, dict)
            else item
        )
        for name, item in objects.items()
    }
    rest = {
        key: value for key, value in document.data.items() if value is not None
    }
    return structs.replace(document, data={**rest, "objects": filled})


def propose(
    spec: Begun,
    rows: Rows,
    named: Mapping[str, Mapping[str, str]] | None = None,
) -> Proposed:
    """What the spec lacks, inferred from the connectors and the staged records."""
    people = people_of(spec.source, rows)
    if users := spec.data.get("users"):
        people = users["from"], users["email"]
    own = outlines_of(spec.data)
    made = (
        ()
        if own
        else tuple(
            pair
            for pair in pairs(spec.source, spec.destination, rows)
            if pair.confidence >= HIGH - 0.3
        )
    )
    drafted = tuple(
        draft(
            [*own, *outlined(made)],
            spec.source,
            spec.destination,
            rows,
            named=named,
            people=people[0],
        )
    )
    wanted = insertions(
        spec.data, made, drafted, source=spec.source, rows=rows, people=people
    )
    return Proposed(
        made,
        drafted,
        inserted(
            spec.path.read_text(encoding="utf-8-sig"), wanted, str(spec.path)
        ),
    )


def save(
    spec: Begun, proposed: Proposed, out: Path, env: Mapping[str, str]
) -> None:
    """Write the text, once it has proved to be a valid spec where it will stand; raises
    SpecError, and nothing is changed.
    """
    if out != spec.path and out.exists():
        raise UsageError(
            f"{out} exists – choose another name, or --write to add to {spec.path}"
        )
    trial = out.with_name(f".{out.stem}.proposed.yaml")
    trial.write_text(proposed.text, encoding="utf-8")
    try:
        load_migration(trial, env)
        trial.replace(out)
    finally:
        trial.unlink(missing_ok=True)
