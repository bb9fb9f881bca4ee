"""Steps of a project: the Python files in its folder `transforms/`.

A file `cars.py` with a function `plate` is the step `cars.plate`. Each file is imported in a
package of its own, which holds what it imports and nothing else: what an approval does not cover
cannot be imported.
"""

from __future__ import annotations

import ast
import os
import re
import stat
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from .defined import attempted, defined, failed
from .found import NOTHING, Fault, Found
from .isolated import forget, imported, new_package
from .reach import digest_of, reached

FOLDER = "transforms"
SHIPPED_FILES = Path(__file__).resolve().parent
MAX_BYTES = 1_000_000

_NAME = re.compile("_?[a-z][a-z0-9_]*")
_HERE = "<transforms>"  # a package that no import names but relatively


def of_folder(project: Path) -> Found:
    """The steps of a project, or what is wrong with their files."""
    folder = project / FOLDER
    if not folder.is_dir() or folder.resolve() == SHIPPED_FILES:
        return NOTHING
    if folder.resolve().parent != project.resolve():
        fault = Fault(
            folder,
            1,
            "unreadable-file",
            "the folder leads out of the project",
            "keep steps in the project",
        )
        return Found(faults=(fault,))
    paths = [path for path in sorted(folder.glob("*.py")) if not _same(path)]
    faults = list(_exposed(folder)) if paths else []
    texts = {}
    for path in paths:
        told = list(_misplaced(path)) or _read(path)
        if isinstance(told, str):
            texts[path.stem] = told
        else:
            faults += told
    if faults or not texts:
        return Found(faults=tuple(faults)) if faults else NOTHING
    return _loaded(folder, tuple(texts.items()))


def _same(path: Path) -> bool:
    """Whether a file is one of the shipped steps, as in a copy of the checkout, or none at all."""
    shipped = SHIPPED_FILES / path.name
    if path.name == "__init__.py":
        return True
    try:
        both = shipped.is_file() and path.is_file()
        return both and shipped.read_bytes() == path.read_bytes()
    except OSError:
        return False


def _misplaced(path: Path) -> Iterator[Fault]:
    """What is wrong with a file before it is read."""
    real = Path(os.path.realpath(path))
    if real.parent != Path(os.path.realpath(path.parent)):
        yield Fault(
            path,
            1,
            "unreadable-file",
            "the file leads out of the project's folder of steps",
            "keep the file itself there",
        )
    elif not path.is_file():
        yield Fault(
            path,
            1,
            "unreadable-file",
            "this is no file",
            "remove it, or give it a name without .py",
        )
    elif not _NAME.fullmatch(path.stem):
        yield Fault(
            path,
            1,
            "bad-step",
            f"{path.stem!r} cannot be the first part of a step's name",
            "use small letters, digits and _",
        )
    else:
        yield from _exposed(path)


def _exposed(path: Path) -> Iterator[Fault]:
    """Whether somebody else could have written the code that would run as us."""
    if not hasattr(os, "geteuid"):  # Windows
        return
    found, project = path.stat(), path.parent.parent.stat()
    if found.st_mode & stat.S_IWOTH:
        yield Fault(
            path,
            1,
            "bad-step",
            "every user of this machine can change it (it is world-writable)",
            f"chmod o-w {path}",
        )
    # in a container, root often works for the one to whom the project belongs
    if found.st_uid not in (os.geteuid(), 0, project.st_uid):
        yield Fault(
            path,
            1,
            "bad-step",
            f"it belongs to another user (uid {found.st_uid})",
            f"run etl as that user, or make it yours: chown {os.geteuid()} {path}",
        )


def _read(path: Path) -> str | list[Fault]:
    try:
        if path.stat().st_size > MAX_BYTES:
            told = f"the file is larger than {MAX_BYTES:,} bytes"
            return [Fault(path, 1, "too-large", told, "split it")]
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        told, advice = "the file is not UTF-8", "save it as UTF-8"
    except OSError as error:
        told, advice = f"it cannot be read: {error.strerror}", "check the file"
    return [Fault(path, 1, "unreadable-file", told, advice)]


@lru_cache(maxsize=8)
def _loaded(folder: Path, texts: tuple[tuple[str, str], ...]) -> Found:
    """The steps of a folder's files; the same files are imported once."""
    modules = {f"{_HERE}.{name}": text for name, text in texts}
    faults = [
        fault
        for name, text in texts
        for fault in _unclear(folder / f"{name}.py", text)
    ]
    if faults:
        return Found(faults=tuple(faults))
    packages: list[str] = []
    each = [_of_file(folder, name, modules, packages) for name, _ in texts]
    faults = [fault for found in each for fault in found.faults]
    whole = Found(
        {
            name: step
            for found in each
            for name, step in found.functions.items()
        },
        {name: code for found in each for name, code in found.code.items()},
        {name: at for found in each for name, at in found.places.items()},
        tuple(faults),
    )
    weakref.finalize(whole, forget, packages).atexit = False
    return whole


def _of_file(
    folder: Path, name: str, modules: Mapping[str, str], packages: list[str]
) -> Found:
    """The steps of one file, imported in a new package, which is noted."""
    file = folder / f"{name}.py"

    def make() -> Found:
        trees = reached(f"{_HERE}.{name}", modules)
        stems = [key.removeprefix(f"{_HERE}.") for key in trees]
        package = new_package(
            {
                stem: (str(folder / f"{stem}.py"), modules[f"{_HERE}.{stem}"])
                for stem in stems
            }
        )
        packages.append(package)
        module = imported(package, name)
        if name.startswith("_"):
            return NOTHING
        tree = trees[f"{_HERE}.{name}"]
        return defined(module, name, file, tree, digest_of(trees))

    return attempted(make, file)


def _unclear(file: Path, text: str) -> Sequence[Fault]:
    """What is wrong with a text before it runs; an import of everything hides what a file uses."""
    try:
        tree = ast.parse(text, str(file))
    except Exception as error:  # too deep, a NUL, ...
        return [failed(error, file)]
    return [
        Fault(
            file,
            node.lineno,
            "bad-step",
            "`import *` does not say what a step is made of",
            "name what is imported",
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and _takes_all(node)
    ]


def _takes_all(node: ast.ImportFrom) -> bool:
    return bool(node.level) and any(item.name == "*" for item in node.names)
