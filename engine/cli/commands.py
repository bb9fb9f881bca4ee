"""The commands of the engine by name and help: what each one needs is imported when it is
called.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that end the program wait: an interrupt that is raised within an import is lost
    where nothing can be raised, as in a callback, or leaves halves of modules behind.
    """
    if sys.platform == "win32":
        yield
        return
    ends = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Later(click.Command):
    """A command that is known by its name and help; the rest, at `module:attribute`, is imported
    when it is called.
    """

    def __init__(self, name: str, place: str, help: str) -> None:
        super().__init__(name, help=help)
        self.module, _, self.attribute = place.partition(":")

    def command(self) -> click.Command:
        """The command itself. Its modules stay: nobody looks for garbage in them."""
        gc.disable()
        # httpx imports a command line of its own where rich is installed; nobody calls it here
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
        try:
            with _undisturbed():
                module = import_module(self.module)
            gc.freeze()
        finally:
            gc.enable()
        found: click.Command = getattr(module, self.attribute)
        return found

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """From here on the command itself is at work: it parses its options and is called."""
        return self.command().make_context(info_name, args, parent, **extra)


COMMANDS = (
    Later(
        "audit",
        f"{__package__}.audit:audit",
        "Look at both accounts: rows, people, what is not mapped. Writes nothing to"
        " them.",
    ),
    Later(
        "plan",
        f"{__package__}.plan:plan",
        "What a run would create and change, its calls and cost against the quotas, and"
        " the time. Writes nothing.",
    ),
    Later(
        "run",
        f"{__package__}.run:run",
        "Migrate: audit, provision, extract, transform, load, verify. Safe to repeat.",
    ),
    Later(
        "rollback",
        f"{__package__}.rollback:rollback",
        "Roll a migration back: delete what it created, restore what it changed, keep"
        " what people edited.",
    ),
    Later(
        "verify",
        f"{__package__}.verify:verify",
        "Read the destination back and compare it with what was wanted, field by"
        " field.",
    ),
    Later(
        "status",
        f"{__package__}.status:status",
        "Where everything stands, from the store alone; safe while a run is going on.",
    ),
)


def group(commands: Sequence[click.Command]) -> click.Group:
    """`etl` with these commands."""
    made = click.Group(
        "cli",
        {str(command.name): command for command in commands},
        context_settings={"help_option_names": ["-h", "--help"]},
        help=(
            "Move a company's records from one SaaS platform to another, as a YAML spec"
            " says."
        ),
    )
    return click.version_option(package_name="declared-etl", prog_name="etl")(
        made
    )
