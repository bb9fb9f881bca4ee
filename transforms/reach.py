"""Which modules of a folder or a package a module is made of, and a digest of all of them.

Whole modules count, never names in them: whatever a name stands for in the end (a re-export, an
alias, `getattr`), the file that it comes from had to be imported.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping

# Texts by dotted names; a package's own is `NAME.__init__`.
Modules = Mapping[str, str]

_INIT = "__init__"
# What can import a module that no import statement names: then all of them count.
_IMPORTERS = {
    "__builtins__",
    "__import__",
    "__loader__",
    "__spec__",
    "builtins",
    "eval",
    "exec",
    "importlib",
    "imp",
    "pkgutil",
    "runpy",
    "sys",
}


def reached(start: str, modules: Modules) -> Mapping[str, ast.Module]:
    """The module and every module that it imports, transitively, also within functions; with the
    packages that they stand in.
    """
    found: dict[str, ast.Module] = {}
    waiting = [start, *_files(start, modules)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = ast.parse(modules[name])
            waiting += _imported(name, found[name], modules)
    return found


def digest_of(trees: Mapping[str, ast.Module]) -> str:
    """One short text for what modules do: comments, docstrings and the place of a line do not
    count.
    """
    told = sorted((name, _dumped(tree)) for name, tree in trees.items())
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _imported(name: str, tree: ast.Module, modules: Modules) -> Iterator[str]:
    for node in ast.walk(tree):
        if not _IMPORTERS.isdisjoint(_words(node)):
            yield from modules
        for target in _targets(name, node):
            yield from _files(target, modules)


def _words(node: ast.AST) -> Iterator[str]:
    """The names that a node uses, with those of modules that it imports."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Import):
        for item in node.names:
            yield item.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0]
        yield from (item.name for item in node.names)


def _targets(name: str, node: ast.AST) -> Iterator[str]:
    """The modules that a statement may import, by their dotted names."""
    if isinstance(node, ast.Import):
        for item in node.names:
            yield item.name
    elif isinstance(node, ast.ImportFrom):
        above = name.split(".")[: -node.level] if node.level else []
        base = [*above, *([node.module] if node.module else [])]
        for item in node.names:
            yield ".".join([*base, item.name])


def _files(target: str, modules: Modules) -> Iterator[str]:
    """The modules that importing a name runs: the packages above it, and itself if it is one."""
    parts = target.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        yield from ({name, f"{name}.{_INIT}"} & modules.keys())
    if parts[-1] == "*":  # whatever `__all__` lists
        inside = target.removesuffix("*")
        yield from (name for name in modules if name.startswith(inside))


def _dumped(tree: ast.Module) -> str:
    """A module's code without the docstrings."""
    for node in ast.walk(tree):
        if (
            isinstance(
                node,
                ast.Module
                | ast.ClassDef
                | ast.FunctionDef
                | ast.AsyncFunctionDef,
            )
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
