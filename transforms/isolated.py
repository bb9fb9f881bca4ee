"""Imports texts that were read as modules of a package of their own, and nothing else: no path is
searched, and no bytecode is written or believed, so that what runs is what was digested.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import ClassVar

Files = Mapping[str, tuple[str, str]]  # a module's name: its file and its text

_numbers = itertools.count()


class _Texts(MetaPathFinder, Loader):
    """Finds the modules of the packages that are known, and runs their texts."""

    known: ClassVar[dict[str, Files]] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package not in self.known:
            return None
        if not name:
            return spec_from_loader(fullname, self, is_package=True)
        if name not in self.known[package]:
            return None
        file, _ = self.known[package][name]
        return spec_from_loader(fullname, self, origin=file)

    def exec_module(self, module: ModuleType) -> None:
        """Run a text; the package itself is empty."""
        package, _, name = module.__name__.partition(".")
        if name:
            file, text = self.known[package][name]
            module.__file__ = file
            code = compile(text, file, "exec", dont_inherit=True)
            exec(code, vars(module))  # noqa: S102


_FINDER = _Texts()


def new_package(files: Files) -> str:
    """The name of a new package that consists of these files."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    package = f"_steps_of_a_project_{next(_numbers)}"
    _Texts.known[package] = files
    return package


def imported(package: str, name: str) -> ModuleType:
    """A module of such a package; raises what its text raises."""
    return importlib.import_module(f"{package}.{name}")


def forget(packages: Sequence[str]) -> None:
    """Let go of packages whose steps nobody has any more."""
    for package in packages:
        for name in _Texts.known.pop(package, {}):
            sys.modules.pop(f"{package}.{name}", None)
        sys.modules.pop(package, None)
