"""The word lists: what documents call the things that a connector has names for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.config.document import read


@cache
def words(kind: str) -> tuple[str, ...]:
    """The names of one kind, first found, first taken."""
    return tuple(
        str(read(Path(__file__).with_name("words.yaml")).data[kind]).split()
    )
