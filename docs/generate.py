"""Writes the parts of docs/ that follow from the code: `python docs/generate.py`.

Everything above the marker of a page is written by hand and stays; what is below is made of the
commands' help and the steps' docstrings. `tests/test_docs.py` fails where a page is not up to date.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from engine.cli.commands import Later  # noqa: E402
from transforms import STEPS  # noqa: E402
from workbench.cli import etl  # noqa: E402  (the checkout's, wherever this is started from)

MARKER = "<!-- below: made by docs/generate.py; do not edit -->"
TOPICS = {
    "text": "Text and lists",
    "html": "HTML",
    "phone": "Phone numbers",
    "money": "Money",
    "dates": "Dates and times",
    "address": "Addresses",
    "ids": "Tax ids and links",
}
WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "list": "list",
    "dict": "mapping",
}


def commands(
    group: click.Group, above: str = "etl"
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its whole name."""
    for name, command in sorted(group.commands.items()):
        whole = f"{above} {name}"
        command = command.command() if isinstance(command, Later) else command
        if isinstance(command, click.Group):
            yield from commands(command, whole)
        else:
            yield whole, command


def all_commands() -> list[tuple[str, click.Command]]:
    """The commands of `etl`, those of the sandbox included."""
    return list(commands(etl()))


def command_page() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_command(name, command) for name, command in all_commands())


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    arguments = [
        item.make_metavar(context)
        for item in command.params
        if isinstance(item, click.Argument)
    ]
    lines = [
        f"## `{' '.join([name, *arguments])}`",
        "",
        inspect.cleandoc(command.help or ""),
        "",
    ]
    options = [
        item.get_help_record(context)
        for item in command.get_params(context)
        if isinstance(item, click.Option)
    ]
    rows = [record for record in options if record and "--help" not in record[0]]
    if rows:
        lines += ["| Option | Meaning |", "| --- | --- |"]
        lines += [
            f"| `{_cell(option)}` | {_cell(text) or '–'} |" for option, text in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def step_page() -> str:
    """Every step with its arguments, an example and what comes of it."""
    return "\n".join(_topic(topic, title) for topic, title in TOPICS.items())


def _topic(topic: str, title: str) -> str:
    steps = {name: step for name, step in STEPS.items() if name.startswith(f"{topic}.")}
    return "\n".join(
        [
            f"## {title}",
            "",
            *(_step(name, step) for name, step in sorted(steps.items())),
        ]
    )


def _step(name: str, step: Callable[..., Any]) -> str:
    arguments = [
        _argument(item, step)
        for item in list(inspect.signature(step).parameters.values())[1:]
    ]
    takes = [f"Arguments: {', '.join(arguments)}.", ""] if arguments else []
    return "\n".join(
        [f"### `{name}`", "", *takes, inspect.cleandoc(step.__doc__ or ""), ""]
    )


def _argument(item: inspect.Parameter, step: Callable[..., Any]) -> str:
    hint = typing.get_type_hints(step).get(item.name, str)
    plain = typing.get_origin(hint) or hint
    word = WORDS.get(getattr(plain, "__name__", str(plain)), str(plain))
    default = (
        ""
        if item.default is inspect.Parameter.empty
        else f", {item.default!r} without it"
    )
    return f"`{item.name}` ({word}{default})"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_page,
    "transforms.md": step_page,
}


def made(page: str) -> str:
    """A page as it should be: its own words, the marker, what follows from the code."""
    own = (DOCS / page).read_text(encoding="utf-8").partition(MARKER)[0].rstrip()
    return f"{own}\n\n{MARKER}\n\n{PAGES[page]().strip()}\n"


if __name__ == "__main__":
    for each in PAGES:
        (DOCS / each).write_text(made(each), encoding="utf-8")
