"""Steps beside the shipped ones: those of a project, in the folder `transforms/` beside `specs/`,
and those of installed packages that share theirs by an entry point.

A file `cars.py` of the folder with a function `plate` is the step `cars.plate`. Nothing of it is
imported before a spec of the project is loaded, and nothing but files of the folder can be.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Literal

from . import STEPS, Step
from .code import step_code, texts_of
from .signature import unusable

GROUP = "declared_etl.transforms"  # of entry points; a name is what steps begin with
FOLDER = "transforms"
SHIPPED_FILES = Path(__file__).resolve().parent

_NAME = re.compile("_?[a-z][a-z0-9_]*")

Kind = Literal["bad-step", "taken-name", "unreadable-file"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a step, or with its file."""

    file: Path
    line: int
    kind: Kind
    problem: str
    advice: str

    @property
    def told(self) -> tuple[Kind, str, str]:
        """Its kind, what is wrong and what to do."""
        return self.kind, self.problem, self.advice


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps that a spec may name, and of those that are not shipped a digest of their code."""

    functions: Mapping[str, Step]
    code: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What the steps do, for the digest of what uses them."""
        return f"Steps({dict(self.code)})"

    @cached_property
    def filters(self) -> Mapping[str, str]:
        """The names that steps have in templates, with those that they have in specs."""
        return {name.replace(".", "_"): name for name in self.functions}


SHIPPED = Steps(STEPS)

Found = tuple[Mapping[str, Step], Mapping[str, str], tuple[Fault, ...]]


def steps_of(project: Path) -> tuple[Steps, tuple[Fault, ...]]:
    """Every step that a spec of the project may name, and what is wrong with its own."""
    found = [_of_folder(project), *_of_packages()]
    functions: dict[str, Step] = dict(STEPS)
    code: dict[str, str] = {}
    faults: list[Fault] = []
    for theirs, made_of, wrong in found:
        faults += wrong
        faults += [
            _taken(name, step)
            for name, step in theirs.items()
            if name in functions
        ]
        functions = {**theirs, **functions}
        code |= made_of
    if not code:
        return SHIPPED, tuple(faults)
    return Steps(functions, code), tuple(faults)


def _taken(name: str, step: Step) -> Fault:
    return Fault(
        *_place(step),
        "taken-name",
        f"there is a step {name!r} already",
        "give the function another name, or its file",
    )


def _place(step: Step) -> tuple[Path, int]:
    """Where a step is defined."""
    code = inspect.unwrap(step).__code__
    return Path(code.co_filename), code.co_firstlineno


# -- the project's folder


def _of_folder(project: Path) -> Found:
    folder = project / FOLDER
    if not folder.is_dir() or folder.resolve() == SHIPPED_FILES:
        return {}, {}, ()
    if folder.resolve().parent != project.resolve():
        told = (
            "the folder leads out of the project",
            "keep steps in the project",
        )
        return {}, {}, (Fault(folder, 1, "unreadable-file", *told),)
    files = [path for path in sorted(folder.glob("*.py")) if _is_own(path)]
    faults = tuple(fault for path in files for fault in _misplaced(path))
    if faults or not files:
        return {}, {}, faults
    return _loaded(folder, _read(files))


def _is_own(path: Path) -> bool:
    """Whether a file is not one of the shipped steps, as in a copy of the checkout."""
    shipped = SHIPPED_FILES / path.name
    same = shipped.is_file() and shipped.read_bytes() == path.read_bytes()
    return path.name != "__init__.py" and not same


def _misplaced(path: Path) -> Iterator[Fault]:
    """What is wrong with a file before it is read."""
    if path.resolve().parent != path.parent.resolve():
        yield Fault(
            path,
            1,
            "unreadable-file",
            "the file leads out of the project's folder of steps",
            "keep the file itself there",
        )
    elif not _NAME.fullmatch(path.stem):
        yield Fault(
            path,
            1,
            "bad-step",
            f"{path.stem!r} cannot be the first part of a step's name",
            "use small letters, digits and _",
        )


def _read(files: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (path.stem, path.read_bytes().decode("utf-8-sig", "replace"))
        for path in files
    )


@lru_cache(maxsize=16)
def _loaded(folder: Path, texts: tuple[tuple[str, str], ...]) -> Found:
    """The steps of a folder's files; the same files are imported once."""
    mark = hashlib.sha256(repr((folder, texts)).encode()).hexdigest()[:16]
    package = f"_steps_of_a_project_{mark}"
    _Files.known[package] = {
        name: (str(folder / f"{name}.py"), text) for name, text in texts
    }
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    functions: dict[str, Step] = {}
    faults: list[Fault] = []
    for name, text in texts:
        file = _Files.known[package][name][0]
        try:
            faults += _starred(file, ast.parse(text, file))
            module = importlib.import_module(f"{package}.{name}")
        except (Exception, SystemExit) as error:
            faults.append(_failed(error, file))
            continue
        if not name.startswith("_"):
            functions |= _steps_in(module, name)
    code = {} if faults else step_code(dict(texts), whole=True)
    faults += [] if faults else _unusable(functions, code)
    digests = {name: _digest(code.get(name, [])) for name in functions}
    return functions, digests, tuple(faults)


def _starred(file: str, tree: ast.Module) -> Iterator[Fault]:
    """An import of everything hides which code a step is made of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _takes_all(node):
            yield Fault(
                Path(file),
                node.lineno,
                "bad-step",
                "`import *` does not say what a step is made of",
                "name what is imported",
            )


def _takes_all(node: ast.ImportFrom) -> bool:
    return bool(node.level) and any(item.name == "*" for item in node.names)


def _failed(error: BaseException, file: str) -> Fault:
    """A file that cannot be imported, with its line that failed."""
    line = 1
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno or 1
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            line = (frame.lineno or 1) if frame.filename == file else line
    said = getattr(error, "msg", None) or str(error) or "no reason given"
    return Fault(
        Path(file),
        line,
        "bad-step",
        f"the file cannot be imported: {type(error).__name__}: {said}",
        "correct the line; until then none of its steps can be used",
    )


def _steps_in(module: ModuleType, name: str) -> dict[str, Step]:
    """The functions that a module defines for others."""
    return {
        f"{name}.{key}": value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and inspect.isfunction(value)
        and value.__module__ == module.__name__
    }


def _unusable(
    functions: Mapping[str, Step], code: Mapping[str, list[str]]
) -> Iterator[Fault]:
    """Functions that cannot be called as steps are, or whose code no approval would cover."""
    for name, step in functions.items():
        why = unusable(step)
        if not why and name not in code:
            why = "only a `def` at the top of its file shows what it is made of"
        if why:
            yield Fault(
                *_place(step),
                "bad-step",
                f"{name} cannot be a step: {why}",
                "begin its name with _ if it is none; see docs/transforms.md",
            )


def _digest(code: list[str]) -> str:
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:32]


class _Files(MetaPathFinder, Loader):
    """Imports the files that were read, and no other: nothing is looked for on a path, and no
    bytecode is written or believed.
    """

    known: ClassVar[dict[str, dict[str, tuple[str, str]]]] = {}

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
        """Run a file; the package itself is empty."""
        package, _, name = module.__name__.partition(".")
        if name:
            file, text = self.known[package][name]
            module.__file__ = file
            code = compile(text, file, "exec", dont_inherit=True)
            exec(code, vars(module))  # noqa: S102


_FINDER = _Files()


# -- packages that share steps


def _of_packages() -> Iterator[Found]:
    for point in entry_points(group=GROUP):
        yield _of_package(point)


@lru_cache(maxsize=64)
def _of_package(point: EntryPoint) -> Found:
    try:
        module = point.load()
        file = Path(str(module.__file__))
        functions = _steps_in(module, point.name)
        made_of = step_code(texts_of(file.parent), whole=True)
        code = {
            name: made_of[f"{file.stem}.{function.__name__}"]
            for name, function in functions.items()
            if f"{file.stem}.{function.__name__}" in made_of
        }
    except (Exception, SystemExit) as error:
        told = f"the steps {point.name!r} of {point.value} cannot be imported"
        why = f"{told}: {type(error).__name__}: {error}"
        advice = "correct or uninstall the package"
        return {}, {}, (Fault(Path(point.value), 1, "bad-step", why, advice),)
    digests = {name: _digest(pieces) for name, pieces in code.items()}
    return functions, digests, tuple(_unusable(functions, code))
