"""Imports of our packages are led below `declared_etl` at their places in the syntax tree, and nothing else is touched."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.packaging.building import rewriter

ROOT = Path(__file__).resolve().parents[2]
rewritten = rewriter()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("from engine.errors import EtlError\n", "from declared_etl.engine.errors import EtlError\n"),
        ("from engine import pipeline as stages\n", "from declared_etl.engine import pipeline as stages\n"),
        ("from sandbox.x import (\n    a,\n    b,\n)  # why\n", "from declared_etl.sandbox.x import (\n    a,\n    b,\n)  # why\n"),
        ("import transforms\n", "from declared_etl import transforms\n"),
        ("import  engine\n", "from declared_etl import engine\n"),
        ("x = 1; import  engine  # why\n", "x = 1; from declared_etl import engine  # why\n"),
        ("import transforms as steps\n", "import declared_etl.transforms as steps\n"),
        ("import engine.errors as found\n", "import declared_etl.engine.errors as found\n"),
        ("if x:\n    from  workbench.cli import main\n", "if x:\n    from  declared_etl.workbench.cli import main\n"),
        ("é = 'ñ'; from engine.a import b; import engine\n", "é = 'ñ'; from declared_etl.engine.a import b; from declared_etl import engine\n"),
        ("def f():\r\n    import engine\r\n    return 1\r\n", "def f():\r\n    from declared_etl import engine\r\n    return 1\r\n"),
    ],
)
def test_imports_are_led_below_the_door(written: str, expected: str) -> None:
    """Each form of an import, wherever it stands, binds the same names as before."""
    assert rewritten(written) == expected
    ast.parse(rewritten(written))


@pytest.mark.parametrize(
    "written",
    [
        "from . import engine\n",
        "from .engine import x\n",
        "from engines.a import b\nimport enginex\n",
        "import os, sys\n",
        '"""from engine.errors import EtlError"""\n# from engine import x\nx = "import engine"\n',
        "engine = 1\nprint(engine.real)\n",
        "from declared_etl import open\n",
    ],
)
def test_nothing_else_is_touched(written: str) -> None:
    """Relative imports, other packages, texts and comments stay to the letter."""
    assert rewritten(written) == written


@pytest.mark.parametrize("written", [
    "import engine.errors\n",
    "import os, engine\n",
    "import os as o, engine as e\n",
    "import engine as e, transforms as t\n",
    "from \\\n  engine import x\n",
])
def test_what_cannot_be_led_there_ends_the_build(written: str) -> None:
    """An import that would bind another name than before, or is spread over lines, is refused with its place."""
    with pytest.raises(ValueError, match="import"):
        rewritten(written, "a.py")


def test_no_module_names_our_packages_in_a_text() -> None:
    """Names that are imported by text are relative: they hold under both names of a package."""
    wrong = []
    for package in ("engine", "fleet", "sandbox", "transforms", "workbench", "declared_etl"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = isinstance(node, ast.Constant) and isinstance(node.value, str)
                if named and node.value.split(":")[0].split(".")[0] in ("engine", "workbench", "transforms") and "." in node.value and not re.search(r" |\.md$", node.value):
                    wrong.append(f"{path}:{node.lineno}: {node.value}")
    assert wrong == []
