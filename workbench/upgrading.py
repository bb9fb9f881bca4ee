"""Keys that a spec and the connectors of its project write by an old name: told, and rewritten
(docs/upgrading.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from engine.cli.environment import variables
from engine.config.document import (
    ORDINARY,
    Document,
    Keys,
    content,
    dotted,
    parse,
    read,
)
from engine.config.renamed import RENAMED, Renamed
from engine.config.variables import expand
from engine.connector.load import SHIPPED, connector_file
from engine.errors import Diagnostic, Place, SpecError, UsageError, in_order
from engine.language.compile import shown
from engine.values import dig

# the ends of a line, as YAML counts them
_END_OF_LINE = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_MARK = "\ufeff"  # that some editors begin a file with


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A file in which keys have an old name: where they stand, and its text with the new ones."""

    file: Path
    keys: Mapping[Place, Renamed]
    document: Document
    text: str


def rewrite(found: Sequence[Upgraded]) -> None:
    """Replace these files, all of them or none; raises UsageError where that is not possible."""
    # needs ruamel.yaml: `validate`, which only looks for old names, need not wait for it
    from workbench.writing import Replacement, replace_all

    replace_all(
        [
            Replacement(item.file, item.text, item.document.data)
            for item in found
        ]
    )


def upgraded(
    file: Path, renamed: tuple[Renamed, ...] = RENAMED
) -> Upgraded | None:
    """A file as it should be written now, by a table of old names; None where it holds none.

    Raises SpecError with every key that cannot be rewritten, and where the file cannot be read.
    """
    name, limits = shown(file), structs.replace(ORDINARY, renamed=renamed)
    text = content(file, name, limits)
    document = parse(text, name, limits)
    if not document.old:
        return None
    keys = {document.place(at): item for at, item in document.old.items()}
    renewed = _renewed(text, keys)
    after = parse(renewed, name, limits)
    if after.old or after.data != document.data:
        # a YAML alias repeats it in a place where the old name has no other
        raise SpecError([_by_hand(*found) for found in keys.items()])
    mark = _MARK if file.read_bytes().startswith(_MARK.encode()) else ""
    return Upgraded(file, keys, document, mark + renewed)


def _renewed(text: str, keys: Mapping[Place, Renamed]) -> str:
    """The text with new names in place of old ones, and nothing else changed."""
    lines = [0, *(end.end() for end in _END_OF_LINE.finditer(text))]
    wrong = []
    for place, item in sorted(keys.items(), reverse=True):
        at = lines[place.line - 1] + place.col - 1
        at += text[at : at + 1] in ("'", '"')
        if text.startswith(item.old, at):
            text = text[:at] + item.new + text[at + len(item.old) :]
        else:
            wrong.append(_by_hand(place, item))
    if wrong:
        raise SpecError(in_order(wrong))
    return text


def _by_hand(place: Place, item: Renamed) -> Diagnostic:
    return Diagnostic(
        place,
        "",
        "renamed-key",
        f"{item.old!r} cannot be rewritten so that the file reads the same",
        f"edit it by hand: its name is {item.new!r}",
    )


def to_upgrade(specs: Iterable[Path]) -> list[Upgraded]:
    """The files that hold old names: these specs, and the connectors of their projects that they
    name. Raises SpecError with everything that cannot be rewritten.
    """
    files = dict.fromkeys(
        file.resolve() for spec in specs for file in (spec, *_own(spec))
    )
    found, wrong = [], list[Diagnostic]()
    for file in files:
        try:
            found.append(upgraded(file))
        except SpecError as error:
            wrong += error.diagnostics
    if wrong:
        raise SpecError(wrong)
    return [item for item in found if item]


def _own(spec: Path) -> list[Path]:
    """The connectors of a spec that lie in its project; those that etl brings along do not."""
    document = read(spec, shown(spec))
    return [file for file in _connectors(spec, document) if _is_own(file, spec)]


def _connectors(spec: Path, document: Document) -> Iterator[Path]:
    """The connector files that a spec names and that are there."""
    data = expand(document, variables())[0].data
    for side in ("source", "destination"):
        written = dig(data, (side, "connector"))
        if isinstance(written, str):
            try:
                file = connector_file(spec.parent, written)
            except UsageError:
                continue
            if file.is_file():
                yield file


def _is_own(file: Path, spec: Path) -> bool:
    """Whether a file lies in the project of a spec: in the folder above the one the spec is in."""
    file, project = file.resolve(), spec.resolve().parent.parent
    return file.is_relative_to(project) and not file.is_relative_to(SHIPPED)


def old_names(spec: Path, document: Document) -> Iterator[Diagnostic]:
    """A warning for every old name in a spec and in the connectors that it names."""
    line = f"etl upgrade {shown(spec)} rewrites it"
    for keys, item in document.old.items():
        yield _warning(document, keys, item, line)
    for file in dict.fromkeys(_connectors(spec, document)):
        if file.resolve().is_relative_to(SHIPPED):
            continue
        advice = line
        if not _is_own(file, spec):
            advice = "it is not of this project: write the new name yourself"
        for found in _that_may_be_old(file):
            for keys, item in found.old.items():
                yield _warning(found, keys, item, advice)


def _that_may_be_old(file: Path) -> Iterator[Document]:
    """A connector that may hold old names; most hold none, and are not read twice."""
    name = shown(file)
    # what else is wrong with it is told by whoever loads it
    with suppress(UsageError):
        text = content(file, name)
        if any(item.old in text for item in RENAMED):
            yield parse(text, name)


def _warning(
    document: Document, keys: Keys, item: Renamed, advice: str
) -> Diagnostic:
    return Diagnostic(
        document.place(keys),
        dotted((*keys[:-1], item.old)),
        "renamed-key",
        f"this key is called {item.new!r} since version {item.since}; its old name is read until"
        f" {item.until} at least",
        advice,
        "warning",
    )
