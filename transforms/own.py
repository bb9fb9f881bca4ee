"""Steps beside the shipped ones: those of a project, in the folder `transforms/` beside `specs/`,
and those of installed packages that share theirs by an entry point.

Nothing of them is imported before a spec is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from . import STEPS
from .folder import of_folder
from .found import NOTHING, SHIPPED, Fault, Found, Steps
from .packages import of_packages

SPECS = "specs"

Groups = tuple[tuple[str, Found], ...]


def steps_beside(spec: Path) -> tuple[Steps, tuple[Fault, ...]]:
    """Every step that a spec may name, and what is wrong with its project's own.

    Loading runs code, so that a spec's project has to be beyond doubt: only the folder above one
    that is called `specs` is.
    """
    folder = spec.parent.resolve()
    return steps_of(folder.parent if folder.name == SPECS else None)


def steps_of(project: Path | None) -> tuple[Steps, tuple[Fault, ...]]:
    """Every step that a spec of a project may name, or one without a project, and what is wrong
    with those of the project.
    """
    own = of_folder(project) if project else NOTHING
    steps = _together(own, tuple(of_packages()))
    taken = [
        _taken(name, own)
        for name in own.functions
        if name in STEPS or steps.functions[name] is not own.functions[name]
    ]
    return steps, (*own.faults, *taken)


@lru_cache(maxsize=8)
def _together(own: Found, groups: Groups) -> Steps:
    """The shipped steps, those of packages that can be used, and the project's own."""
    broken = _broken(groups)
    good = [found for group, found in groups if group not in broken]
    if not (own.functions or good or broken):
        return SHIPPED
    every = (own, *good)
    functions = {
        name: step for found in every for name, step in found.functions.items()
    }
    code = {name: told for found in every for name, told in found.code.items()}
    return Steps({**functions, **STEPS}, code, broken, every)


def _broken(groups: Groups) -> Mapping[str, str]:
    """The groups of packages that cannot be used, each with the first reason."""
    counted = Counter(name for _, found in groups for name in found.functions)
    told: dict[str, str] = {}
    for group, found in reversed(groups):
        taken = [
            _taken(name, found)
            for name in found.functions
            if name in STEPS or counted[name] > 1
        ]
        for fault in (*taken, *found.faults):
            told[group] = (
                f"{fault.file}:{fault.line}: {fault.problem}; correct or uninstall"
                f" the package that shares the steps {group!r}"
            )
    return told


def _taken(name: str, found: Found) -> Fault:
    return Fault(
        *found.places[name],
        "taken-name",
        f"there is a step {name!r} already",
        "give the function another name, or its file",
    )
