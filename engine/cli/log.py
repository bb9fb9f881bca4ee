"""What a run does, for a file or the terminal: `--log`, `-v`, `-vv`."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from engine.cli.streams import say
from engine.errors import UsageError
from engine.report.words import clean

# the logger of engine.library.events, which imports more than a command needs to start
LOGGER = logging.getLogger("etl")

# what a record of the logger says besides its level and its message
PARTS = (
    "run",
    "object",
    "key",
    "account",
    "method",
    "path",
    "status",
    "seconds",
    "cost",
    "error",
)


class JsonLines(logging.Formatter):
    """A record as a line of JSON: when, how grave, what, and its parts."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. What a part does not have is left out."""
        moment = datetime.fromtimestamp(record.created, UTC)
        parts = {name: getattr(record, name, "") for name in PARTS}
        said = {
            "at": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{
                name: _short(part) for name, part in parts.items() if part != ""
            },
        }
        return json.dumps(said)


def _short(part: Any) -> Any:
    return round(part, 4) if isinstance(part, float) else part


class Terminal(logging.Handler):
    """Records on standard error, a line each, with the record that they are about."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record. One that cannot be printed must not stop what it tells of."""
        try:
            name, key = (
                getattr(record, part, "") for part in ("object", "key")
            )
            about = f"{name} {key}".strip()
            message = record.getMessage()
            say(clean(f"{message} [{about}]" if about else message))
        except Exception:
            self.handleError(record)


class LogFile(logging.FileHandler):
    """Records at the end of a file. A disk that is full ends the log, not the run."""

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802
        """Report why the log ends here, once."""
        if self not in LOGGER.handlers:
            return
        LOGGER.removeHandler(self)
        error = sys.exc_info()[1]
        reason = getattr(error, "strerror", None) or str(error)
        say(f"the log {self.baseFilename} ends here: {reason}")


def logged(function: Any) -> Any:
    """--log FILE, -v and -vv."""
    for decorate in (
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_verbose,
            help="Print what a run does to standard error; twice, each call too.",
        ),
        click.option(
            "--log",
            type=click.Path(path_type=Path, dir_okay=False),
            expose_value=False,
            callback=_log_file,
            metavar="FILE",
            help="Add what a run does, and each call, to a file as lines of JSON.",
        ),
    ):
        function = decorate(function)
    return function


def _verbose(
    context: click.Context, _option: click.Parameter, times: int
) -> None:
    if times:
        _listen(
            context, Terminal(), logging.INFO if times == 1 else logging.DEBUG
        )


def _log_file(
    context: click.Context, _option: click.Parameter, file: Path | None
) -> None:
    if file is None:
        return
    try:
        _make_private(file)
        handler = LogFile(file, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--log {file} cannot be written: {error.strerror} – name a file in a"
            " folder that exists and is yours"
        ) from None
    handler.setFormatter(JsonLines())
    _listen(context, handler, logging.DEBUG)


def _make_private(file: Path) -> None:
    """See to it that the file is there and that only this user may read it. Raises UsageError
    where it is no log.
    """
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if stat.S_ISREG(os.fstat(opened).st_mode):  # and no device
            if os.read(opened, 1) not in (b"", b"{"):
                raise UsageError(
                    f"--log {file} is there and is no log: nothing is added to it – name"
                    " another file"
                )
            file.chmod(0o600)
    finally:
        os.close(opened)


def _listen(
    context: click.Context, handler: logging.Handler, level: int
) -> None:
    """Until the command ends, the handler hears what is at least so grave."""
    handler.setLevel(level)
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(min(level, before or level))

    def stop() -> None:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
        with suppress(OSError):  # what a full disk did not take
            handler.close()

    context.call_on_close(stop)
