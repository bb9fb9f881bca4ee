"""Everything that is wrong with a spec, or doubtful, found without an account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.cli.environment import variables
from engine.config.document import read
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
        problems += error.diagnostics
        if document:
            problems += beside_shape(spec, document, variables())
        return in_order(problems), None
    found = [
        *migration.warnings,
        *idle(migration),
        *doubts(document, migration),
    ]
    return in_order([*problems, *found]), migration


def is_refused(problems: Sequence[Diagnostic]) -> bool:
    """Whether one of them keeps the spec from being run."""
    return any(item.severity == "error" for item in problems)
