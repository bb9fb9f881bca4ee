"""Steps of installed packages, shared by an entry point whose name is what they begin with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import decode_source, find_spec
from pathlib import Path

from .defined import attempted, defined
from .found import Found
from .reach import digest_of, reached

GROUP = "declared_etl.transforms"


def of_packages() -> Iterator[tuple[str, Found]]:
    """The group and the steps of each entry point."""
    for point in _points(tuple((path, _changed(path)) for path in sys.path)):
        yield point.name, of_package(point)


@lru_cache(maxsize=8)
def _points(along: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """The entry points of what is installed along these folders.

    To look for them takes a file of every distribution that there is: it is done once as long as
    no folder has changed.
    """
    return tuple(entry_points(group=GROUP)) if along else ()


def _changed(path: str) -> int:
    """When something was last put into a folder, or taken out of it."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def of_package(point: EntryPoint) -> Found:
    """The steps of the module that an entry point names, or why there are none."""

    def make() -> Found:
        module = importlib.import_module(point.value)
        files = _files(point.value.partition(".")[0])
        texts = {
            name: decode_source(path.read_bytes())
            for name, path in files.items()
        }
        init = f"{point.value}.__init__"
        start = init if init in files else point.value
        trees = reached(start, texts)
        return defined(
            module, point.name, files[start], trees[start], digest_of(trees)
        )

    return attempted(make, _file(point.value))


def _file(name: str) -> Path:
    """The file of a module, whether it can be imported or not; without one, its name."""
    files = _files(name.partition(".")[0])
    return files.get(name) or files.get(f"{name}.__init__") or Path(name)


def _files(root: str) -> dict[str, Path]:
    """The modules of a package by their names, or that of a module that stands alone."""
    try:
        found = find_spec(root)
    except (ImportError, ValueError):
        found = None
    if found is None:
        return {}
    if found.submodule_search_locations is None:
        return {root: Path(str(found.origin))}
    return {
        ".".join([root, *path.relative_to(place).with_suffix("").parts]): path
        for place in map(Path, found.submodule_search_locations)
        for path in sorted(place.rglob("*.py"))
    }
