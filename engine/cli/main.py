"""The outermost frame of the program: one exit code for each kind of ending, never a traceback."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from engine.cli.streams import drop_output, safe, say, write, write_anything
from engine.errors import EtlError
from engine.library.gate import Gate

# errors that no file is named for: the disk is full or broken
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
COLLECT_AFTER = 20_000  # objects; Python looks for garbage after 700


def main(commands: click.Group, gate: Gate) -> None:
    """Run one of the commands; expected failures end with their message and exit code, never a
    traceback.
    """
    write_anything()
    _collect_seldom()
    # `kill` and `docker stop` are an interrupt, too: calls in flight are recorded
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        commands.main(standalone_mode=False, obj=gate)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        write(message.getvalue().rstrip())
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        _interrupted(error)
    except EtlError as error:
        # a store cannot be closed in good order where its transaction was cut off
        if _follows_an_interrupt(error):
            _interrupted(error)
        end(str(error), error.exit_code)
    except BrokenPipeError:
        drop_output()
        sys.exit(141)  # as a shell reports a program whose reader has ended
    except OSError as error:
        _unusable(error)
    except Exception:
        _crash()


def _follows_an_interrupt(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _interrupted(error: BaseException) -> NoReturn:
    """End at a person's wish, or where a question found nobody to answer it."""
    if isinstance(error.__context__, EOFError):
        end(
            "this asks a question, and nobody can answer it here – give --yes",
            2,
        )
    end(
        "interrupted; what was done is saved – run the same command again to continue",
        130,
    )


def _unusable(error: OSError) -> NoReturn:
    """End for a file or a full disk; other errors of the system are ours."""
    if error.filename is None and error.errno not in FULL:
        _crash()
    end(
        f"{error.filename or 'a file'} cannot be used: {error.strerror} – check the"
        " path, its permissions and the disk",
        2,
    )


def _collect_seldom() -> None:
    """Most objects made at the start stay: collecting garbage among them is wasted time."""
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)


def _crash() -> NoReturn:
    """Report an internal error, and save the traceback in the first place that can be written."""
    details = safe(traceback.format_exc()).encode("utf-8", "backslashreplace")
    kept = _kept(details)
    where = f"the details are in {kept}"
    if not kept:
        where = f"the details could not be saved: {_last(details)}"
    end(
        f"internal error in etl, not in your data; {where} – please report it",
        70,
    )


def _kept(details: bytes) -> str:
    from engine.report.document import (
        private,
    )  # reports are not needed to begin with

    try:
        crash = private(Path("var") / f"crash.{os.getpid()}.txt")
        crash.write_bytes(details)
        return str(crash)
    except OSError:
        pass
    import tempfile  # (nor this)

    try:
        with tempfile.NamedTemporaryFile(
            prefix="etl-crash-", suffix=".txt", delete=False
        ) as file:
            file.write(details)
        return file.name
    except OSError:
        return ""


def _last(details: bytes) -> str:
    return details.decode().strip().rpartition("\n")[2]


def end(message: str, code: int) -> NoReturn:
    say(message)
    sys.exit(code)
