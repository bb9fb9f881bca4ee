"""Starts an emulator as a process of its own and ends it with the `with` block."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.platforms import PLATFORMS, missing

READY_S = 30.0
STOP_S = 10.0
# where this package is imported from, under whichever name
_ROOT = Path(__file__).resolve().parents[__name__.count(".")]


class NotStarted(RuntimeError):
    """The emulator ended, or stayed silent, before it said where it listens."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started emulator listens and how to be let in."""

    name: str
    base_url: str
    key: str
    pid: int


@contextmanager
def launch(
    name: str,
    *,
    data: Path | None = None,
    plan: str = "",
    seats: int = 5,
    extra_args: Sequence[str] = (),
) -> Iterator[Running]:
    """Run the emulator while the block runs. `extra_args` are those of `sandbox serve`."""
    if name not in PLATFORMS:
        raise NotStarted(f"there is no emulator of {name}; use --env live with a test account")
    if problem := missing():
        raise NotStarted(problem)
    command = [sys.executable, "-m", __package__, "serve", name, "--with-parent"]
    command += ["--seats", str(seats)]
    command += ["--data", str(data)] if data is not None else []
    command += ["--plan", plan] if plan else []
    command += list(extra_args)
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env
        )
        try:
            yield _ready(process, errors)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[bytes], errors: IO[bytes]) -> Running:
    assert process.stdout is not None
    line = _first_line(process.stdout)
    if not line.endswith(b"\n"):
        _stop(process)
        errors.seek(0)
        # the last line says what is wrong; how the command is used stands above it
        lines = errors.read().decode(errors="replace").strip().splitlines()
        said = lines[-1].removeprefix("Error: ") if lines else "it said nothing"
        raise NotStarted(f"the emulator did not start (exit code {process.returncode}): {said}")
    told = json.loads(line)
    return Running(told["name"], told["base_url"], told["key"], process.pid)


def _first_line(stream: IO[bytes]) -> bytes:
    """The first line, as much of it as came; nothing where it takes too long.

    A thread waits for it: Windows can wait for sockets with a limit of time, but for no pipe.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=READY_S)
    except queue.Empty:
        return b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
