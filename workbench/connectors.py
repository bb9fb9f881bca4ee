"""The connectors that a project can name: its own, and those that etl brings along."""

from __future__ import annotations

from pathlib import Path

from engine.config.suggestions import suggest
from engine.connector.load import SHIPPED
from engine.errors import UsageError


def known(project: Path) -> dict[str, Path]:
    """Each name with its file; one of the project stands in for a shipped one."""
    own = sorted((project / "connectors").glob("*.yaml"))
    return {path.stem: path for path in [*sorted(SHIPPED.glob("*.yaml")), *own]}


def found(name: str, project: Path) -> Path:
    """The file of a connector; raises UsageError where neither the project nor etl has one."""
    files = known(project)
    if name not in files:
        raise UsageError(
            f"there is no connector {name!r} – give a file or a name;"
            f" {suggest(name, list(files))}"
        )
    return files[name]
