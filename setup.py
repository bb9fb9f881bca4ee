"""How a wheel is made: everything of ours stands in the one package `declared_etl`.

In the checkout `engine`, `transforms`, `workbench` and `sandbox` are folders of their own, and
their modules import one another by these names. In a wheel, where such names would collide with
other people's, they are subpackages, and those imports are rewritten: at the places that the
syntax tree names, and nowhere else. See docs/decisions/0023-names.md.

The rest of what is known about the distribution is in pyproject.toml.
"""

from __future__ import annotations

import ast
import io
import shutil
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

DOOR = "declared_etl"
PACKAGES = ("engine", "fleet", "sandbox", "transforms", "workbench")
FOLDERS = ("connectors", "schemas", "specs", "templates")
NOT_SHIPPED = shutil.ignore_patterns(
    "__pycache__", ".*", "*.approval.yaml", "var"
)

Import = ast.Import | ast.ImportFrom


def rewritten(text: str, name: str = "<text>") -> str:
    """A module's text with the imports of our packages led below the door; the rest stays as it
    is, to the letter. Raises ValueError where an import cannot be led there.
    """
    lines = io.StringIO(text, newline="").readlines()
    for node in sorted(_ours(ast.parse(text, name)), key=_place, reverse=True):
        at = _offset(lines, node.lineno, node.col_offset)
        if isinstance(node, ast.ImportFrom):
            begin = at + _name_after(text[at:])
            text = f"{text[:begin]}{DOOR}.{text[begin:]}"
            continue
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        end = _offset(lines, node.end_lineno, node.end_col_offset)
        text = f"{text[:at]}{_led(node, name)}{text[end:]}"
    return text


def _ours(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        if any(name.partition(".")[0] in PACKAGES for name in names):
            yield node


def _place(node: Import) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _offset(lines: Sequence[str], line: int, column: int) -> int:
    """Where a place stands in the text; columns of the syntax tree count bytes."""
    before = sum(map(len, lines[: line - 1]))
    return before + len(lines[line - 1].encode()[:column].decode())


def _led(node: ast.Import, name: str) -> str:
    """`import transforms` binds that name: it becomes `from declared_etl import transforms`."""
    module, bound = node.names[0].name, node.names[0].asname
    if len(node.names) == 1 and bound:
        return f"import {DOOR}.{module} as {bound}"
    if len(node.names) == 1 and "." not in module:
        return f"from {DOOR} import {module}"
    raise ValueError(
        f"{name}:{node.lineno}: write `from {module} import …`, or one import a line"
    )


def _name_after(text: str) -> int:
    """Where the module's name begins in `from MODULE import …`."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    _, name = next(tokens), next(tokens)
    if name.start[0] != 1:
        raise ValueError(f"not an import in one line: {text[:60]!r}")
    return name.start[1]


def build() -> None:
    """Hand setuptools our two steps; whoever only wants to rewrite a text needs no setuptools."""
    from setuptools import setup
    from setuptools.command.build_py import build_py
    from setuptools.command.egg_info import egg_info

    class Gathered(build_py):
        """Builds as usual, and moves what was built below the door; an editable installation stays
        the checkout.
        """

        def run(self) -> None:
            if self.editable_mode:
                super().run()
                return
            built = Path(self.build_lib)
            # nothing of an older build rides along
            shutil.rmtree(built, ignore_errors=True)
            super().run()
            for file in sorted(built.rglob("*.py")):
                text = file.read_bytes().decode()
                file.write_bytes(rewritten(text, str(file)).encode())
            for package in PACKAGES:
                (built / package).rename(built / DOOR / package)
            for folder in FOLDERS:
                shutil.copytree(
                    folder, built / DOOR / folder, ignore=NOT_SHIPPED
                )

    class Named(egg_info):
        """One name is all that is taken of the place where packages are installed."""

        def run(self) -> None:
            super().run()
            Path(self.egg_info, "top_level.txt").write_text(
                f"{DOOR}\n", encoding="utf-8"
            )

    setup(cmdclass={"build_py": Gathered, "egg_info": Named})


if __name__ == "__main__":
    build()
