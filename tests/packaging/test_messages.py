"""What the program tells people to read is something that they have who installed the wheel."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_wheel import DATA, DOOR, PACKAGES, packaged

ROOT = Path(__file__).resolve().parents[2]
HELD = packaged()
# a file of the checkout that a wheel might lack, named by its path or by a page's name
NAMED = re.compile(r"(?<![\w./-])((?:bench|docs|engine|sandbox|tests|workbench|schemas)/[\w./-]+\.\w+|[\w/-]+\.md\b)")
MADE = {"README.md", "mapping.md", "connectors/README.md", "templates/README.md", "transforms/README.md"}  # by the program itself
STAND_IN = "NAME"  # for a value in an f-string


def files(*endings: str) -> list[Path]:
    """The files of the wheel with these endings, in the checkout."""
    found = [path for name in (*PACKAGES, *DATA, DOOR) for path in sorted((ROOT / name).rglob("*"))]
    return [path for path in found if path.suffix in endings and "__pycache__" not in path.parts]


def told(code: str) -> Iterator[str]:
    """The texts of a module that people may see, an f-string as one; docstrings of commands are their help, others are none."""
    tree = ast.parse(code)
    hidden = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and not is_command(node):
            hidden.add(id(body[0].value))
        if isinstance(node, ast.JoinedStr):
            hidden |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else STAND_IN for part in node.values)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
            yield node.value


def is_command(node: ast.AST) -> bool:
    """Whether a function is made a command or a group by its decorators."""
    decorators = getattr(node, "decorator_list", [])
    return any(re.search(r"\b(command|group)\b", ast.unparse(one)) for one in decorators)


def lacking(text: str) -> list[str]:
    """Files that a text names and that neither the wheel holds nor the program makes."""
    return [name for name in NAMED.findall(text) if name not in MADE and not any(held.endswith(f"/{name}") for held in HELD)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see docs/cli.md", ["docs/cli.md"]),
        ("see schemas/connector.schema.json", []),
        ("name what is wrong in tests/conftest.py, or in NOTES.md", ["tests/conftest.py", "NOTES.md"]),
        ("https://example.com/docs/cli.md", []),
    ],
)
def test_a_file_that_is_missing_is_found(text: str, wrong: list[str]) -> None:
    """Paths of the checkout are told from addresses and from files that the wheel holds."""
    assert lacking(text) == wrong


@pytest.mark.parametrize(
    "code",
    [
        'say("see docs/cli.md")',
        'say("see docs/" "cli.md")',
        'say(f"see docs/connectors/{page}.md")',
        'say(f"of {name}: see docs/" f"connectors/{page}.md")',
        'say("see {} in docs/cli.md".format(page))',
    ],
)
def test_a_file_is_found_however_the_code_puts_its_name_together(code: str) -> None:
    """Neither a value in an f-string nor a literal in two pieces hides a path."""
    assert [name for text in told(code) for name in lacking(text)]


def test_no_message_names_a_file_that_is_not_in_the_wheel() -> None:
    """Neither a text of the code nor a command's help does."""
    texts = [(path.relative_to(ROOT).as_posix(), text) for path in files(".py") for text in told(path.read_text(encoding="utf-8"))]
    assert [(name, missing) for name, text in texts for missing in lacking(text)] == []


def without_comments(name: str, text: str) -> str:
    """A text of the wheel as a run reads it."""
    return re.sub(r"(?m)^ *#.*", "", text) if name.startswith(("connectors/", "specs/")) else text


def test_no_file_that_is_shipped_names_one_that_is_not() -> None:
    """Specs, connectors, schemas, templates and the files of a new project neither; comments of the first two are for developers."""
    found = files(".yaml", ".yml", ".json", ".j2", ".html", ".txt", ".css", ".js", ".md")
    shipped = [path for path in found if path.name != "ODDITIES.md"]  # for people who change the emulator; not shipped
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in shipped}
    wrong = {name: missing for name, text in texts.items() if (missing := lacking(without_comments(name, text)))}
    assert wrong == {}
