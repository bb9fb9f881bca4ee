"""The program starts at once: commands are known by name, and what they need is imported when they are called."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from engine.cli.commands import Later
from workbench.cli import etl

ROOT = Path(__file__).resolve().parents[2]
SPEC = "specs/stel_order_to_pipedrive.yaml"
HEAVY = ("engine.pipeline", "httpx", "sqlalchemy", "jinja2", "jsonschema", "rich", "openpyxl", "petl", "phonenumbers")
# One child runs a command and prints what it has imported, behind everything that the command prints itself.
CHILD = """
import sys
from workbench.__main__ import main

sys.argv = ["etl", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("imported", *sys.modules)
"""


def commands(group: click.Group, above: str = "etl") -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, those of groups that are commands themselves included."""
    for name, command in group.commands.items():
        whole = f"{above} {name}"
        yield whole, command
        found = command.command() if isinstance(command, Later) else command
        if isinstance(found, click.Group):
            yield from commands(found, whole)


KNOWN = {name: command for name, command in commands(etl()) if isinstance(command, Later)}


def imported(*words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.rpartition("imported ")[2].split())


@pytest.mark.parametrize("name", KNOWN)
def test_a_command_is_what_the_list_says(name: str) -> None:
    """The name and the help that are known beforehand are those of the command that is imported."""
    known = KNOWN[name]
    command = known.command()
    own = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    assert (known.name, known.help) == (command.name, " ".join(own.split()))
    assert not command.hidden and not command.deprecated


def test_every_command_is_listed_by_name() -> None:
    """Nothing is imported before it is called: what stands in `etl` is a name, and every module of commands is in it."""
    assert all(isinstance(command, Later) for command in etl().commands.values())
    named = {known.module for known in KNOWN.values()}
    files = [*(ROOT / "workbench/commands").glob("*.py"), *(ROOT / "engine/cli").glob("*.py")]
    made = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files
        if "@click.command(" in path.read_text(encoding="utf-8")
    }
    assert made <= named


def test_the_help_imports_nothing_heavy() -> None:
    """`etl --help` reads names; the engine, HTTP, the store, templates and schemas stay where they are."""
    assert not imported("--help").intersection(HEAVY)


def test_validate_imports_neither_clients_nor_the_store() -> None:
    """Checking a good spec asks nobody and keeps nothing."""
    found = imported("validate", SPEC)
    assert not found.intersection(("engine.pipeline", "httpx", "sqlalchemy", "jsonschema", "rich", "openpyxl", "petl"))
