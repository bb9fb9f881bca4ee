"""Everything that is wrong with a spec, or doubtful, found without an account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.cli.environment import variables
from engine.config.document import Document, read
from engine.errors import Diagnostic, SpecError, in_order
from engine.language.compile import Migration, load_migration, shown
from workbench.beside import beside_shape
from workbench.doubts import doubts, quotes
from workbench.idle import idle
from workbench.upgrading import old_names


def problems_of(spec: Path) -> tuple[list[Diagnostic], Migration | None]:
    """Every problem of a spec, its connectors and templates, in the order of their places.

    The migration too, where nothing keeps it from being loaded.
    """
    problems: list[Diagnostic] = []
    document = None
    try:
        document = read(spec, shown(spec))
        problems = [*quotes(document), *old_names(spec, document)]
        migration = load_migration(spec, variables(), document)
    except SpecError as error:
        return in_order([*problems, *_all(spec, document, error)]), None
    found = [
        *migration.warnings,
        *idle(migration),
        *doubts(document, migration),
    ]
    return in_order([*problems, *found]), migration


def _all(
    spec: Path, document: Document | None, error: SpecError
) -> list[Diagnostic]:
    """What keeps a spec from being loaded, and what could not be seen for it."""
    if document is None:
        return [*error.diagnostics]
    more = beside_shape(spec, document, variables())
    told = [item for item in error.diagnostics if item not in more.echoes]
    return [*told, *more.found]


def is_refused(problems: Sequence[Diagnostic]) -> bool:
    """Whether one of them keeps the spec from being run."""
    return any(item.severity == "error" for item in problems)
