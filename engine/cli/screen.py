"""What commands show: as JSON or on a screen, for a reader that may close the pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from engine.cli.streams import drop_output
from engine.errors import EtlError, UsageError

NOBODY = "cannot ask here – add --yes"


class Declined(EtlError):
    """A person has answered a question with no; the text says what stays as it is."""

    exit_code = 130


def print_result(
    as_json: bool,
    found: Mapping[str, Any],
    show: Callable[[Mapping[str, Any], Console], None],
) -> None:
    """What a command found: as JSON, or as its screen shows it."""
    with printing():
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            show(found, Screen())


def confirmed(question: str) -> bool:
    """Whether a person agrees. Raises UsageError where nobody is there to answer."""
    if sys.stdin is None:  # it was closed (`<&-`)
        raise UsageError(NOBODY)
    try:
        return click.confirm(question, err=True)
    except click.Abort as stop:
        if not isinstance(stop.__context__, EOFError):
            raise
    click.echo(err=True)  # the question stands on this line
    raise UsageError(NOBODY)


class Screen(Console):
    """A console that raises BrokenPipeError when its reader ends, for `printing` to handle."""

    def on_broken_pipe(self) -> None:
        """Re-raise the error."""
        raise  # noqa: PLE0704


@contextmanager
def printing() -> Iterator[None]:
    """A reader that stops early (`| head`) does not end the command. Raises UsageError for output
    that cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        drop_output()
        raise UsageError(
            f"the output cannot be written: {error.strerror} – what the command did is"
            " saved; free some space, and see it with: etl status SPEC, etl report SPEC"
        ) from None
