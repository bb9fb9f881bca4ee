"""The standard streams: characters they cannot encode, readers that stop, secrets that must not be
shown.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from engine.connector.auth import redactor
from engine.errors import EtlError
from engine.report.words import clean


def drop_output() -> None:
    """Discard further output: the interpreter would fail to write it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def write_anything() -> None:
    """No character that a stream cannot encode ends a command; piped output is always UTF-8.

    A stream that is closed (`>&-`) writes nowhere, and no file that a command opens takes its
    place.
    """
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                encoding=stream.encoding if stream.isatty() else "utf-8",
                errors="backslashreplace",
            )


def safe(text: str) -> str:
    """A text without any value of the environment that looks like a secret."""
    # only whoever meets an error waits for it
    from engine.cli.environment import variables

    try:
        known = variables()
    except EtlError:  # the command itself has reported it
        known = dict(os.environ)
    words = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    return redactor(
        value
        for name, value in known.items()
        if len(value) >= 8 and any(word in name.upper() for word in words)
    )(text)


def _plain(text: str) -> str:
    """A message in which nothing moves the cursor or changes the title of a terminal."""
    return "\n".join(clean(line) for line in safe(text).split("\n"))


def say(message: str) -> None:
    write(f"etl: {message}")


def write(text: str) -> None:
    with suppress(OSError):  # nobody reads
        click.echo(_plain(text), err=True)
