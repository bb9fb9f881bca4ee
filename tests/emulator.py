"""An emulator in a thread of the tests' own process: what it answers is the same, and it is there at once.

How one is started as a process, told where it listens and stopped is what tests/sandbox/test_serve.py looks at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import click

from sandbox.cli import options_of, serve_command
from sandbox.launch import NotStarted, Running
from sandbox.serve import serving


@contextmanager
def emulator(name: str, *, plan: str = "", seats: int = 5, extra_args: Sequence[str] = ()) -> Iterator[Running]:
    """Run an emulator while the block runs, by the words of `sandbox serve`. Raises NotStarted."""
    words = [name, "--seats", str(seats), *(("--plan", plan) if plan else ()), *extra_args]
    with ExitStack() as stack:
        try:
            given = serve_command.make_context("serve", words).params
            given.pop("with_parent")
            base_url, key = stack.enter_context(serving(options_of(**given)))
        except (ValueError, click.ClickException) as problem:
            raise NotStarted(str(problem)) from problem
        yield Running(name, base_url, key, os.getpid())
