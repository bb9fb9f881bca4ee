"""What a shipped step is made of: its code, and all code of the modules beside it that it reaches.

Steps that are not shipped are digested by whole files (`reach.py`), which no name can fool; these
stay as they were, so that older approvals hold.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

At = tuple[str, str]  # a module and a name in it
Told = tuple[list[str], list[At]]  # what stands under a name, and what it uses


def texts_of(folder: Path) -> dict[str, str]:
    """The modules of a folder by their names."""
    return {
        file.stem: file.read_text(encoding="utf-8")
        for file in sorted(folder.glob("*.py"))
    }


def step_code(modules: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Each step's name, with its code and all code of these modules that it calls; comments do not
    count.
    """
    return _code_of(tuple(sorted(modules.items())))


@lru_cache(maxsize=16)
def _code_of(
    modules: tuple[tuple[str, str], ...],
) -> Mapping[str, list[str]]:
    trees = {name: ast.parse(text) for name, text in modules}
    pieces: dict[At, list[ast.stmt]] = {}
    for module, tree in trees.items():
        for node in tree.body:
            for name in _names_of(node):
                pieces.setdefault((module, name), []).append(node)
    imported = {module: dict(_imports(tree)) for module, tree in trees.items()}

    @cache
    def told(at: At) -> Told:
        # once, however many steps reach it
        code: list[str] = []
        used: list[At] = []
        for piece in pieces.get(at, ()):
            code.append(f"{at[0]}.{at[1]} {_dumped(piece)}")
            used += _used(piece, at[0], imported[at[0]])
        return code, used

    return {
        f"{module}.{name}": sorted(_reach((module, name), told))
        for (module, name), nodes in pieces.items()
        if not name.startswith("_") and isinstance(nodes[-1], ast.FunctionDef)
    }


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]

    return [
        name.id
        for target in targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    ]


def _imports(tree: ast.Module) -> Iterator[tuple[str, At]]:
    """Names that a module has from its siblings: what each stands for there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _beside(node):
            module = (node.module or "").removeprefix("transforms").lstrip(".")
            for item in node.names:
                yield (
                    item.asname or item.name,
                    (module or item.name, item.name if module else ""),
                )


def _beside(node: ast.ImportFrom) -> bool:
    """Whether a sibling is imported from."""
    return bool(node.level) or (node.module or "").startswith("transforms")


def _reach(start: At, told: Callable[[At], Told]) -> Iterator[str]:
    """The code that a function is made of, every piece once."""
    seen: set[At] = set()
    waiting = [start]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        code, used = told(at)
        yield from code
        waiting += used


def _used(
    piece: ast.stmt, module: str, imported: Mapping[str, At]
) -> Iterator[At]:
    """The names that a piece of code uses, and where they stand."""
    for node in ast.walk(piece):
        if isinstance(node, ast.Name):
            yield imported.get(node.id, (module, node.id))
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in imported
        ):
            yield imported[node.value.id][0], node.attr


def _dumped(node: ast.stmt) -> str:
    """A piece of code without its docstring; where it stands does not count."""
    if (
        isinstance(node, ast.FunctionDef)
        and ast.get_docstring(node) is not None
    ):
        node = ast.FunctionDef(
            **{
                **dict(ast.iter_fields(node)),
                "body": node.body[1:] or [ast.Pass()],
            }
        )
    return ast.dump(node)
