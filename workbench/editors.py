"""The first line of a YAML file, by which editors know its schema."""

from __future__ import annotations

import os
from pathlib import Path

from engine.config.validation import schema_path


def beside(folder: Path, name: str, soon: bool = False) -> str:
    """The line where the schemas are beside the file's folder; otherwise nothing.

    It is the same on every machine, so that it may be committed.
    """
    path = f"../schemas/{name}.schema.json"
    return _line(path) if soon or (folder / path).exists() else ""


def at_hand(folder: Path, name: str, soon: bool = False) -> str:
    """The line for the schemas that are (or will be) beside the folder, or for those that this etl
    was installed with.
    """
    if line := beside(folder, name, soon):
        return line

    installed = os.path.relpath(schema_path(name), folder.resolve())
    return _line(Path(installed).as_posix())


def _line(path: str) -> str:
    return f"# yaml-language-server: $schema={path}\n"
