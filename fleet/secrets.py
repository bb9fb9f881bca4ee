"""The keys of both accounts, which only a worker has: a file for each migration, or a command."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from engine.errors import Unavailable, UsageError
from fleet.groups import killed
from fleet.waits import TAKES

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
CALL = " – what it says of errors is in the worker's log"
# what a turn has of the worker's own environment; nothing of it is a key
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SYSTEMROOT",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "VIRTUAL_ENV",
)
# how PostgreSQL is reached, all that libpq reads; a password comes with the order
# https://www.postgresql.org/docs/current/libpq-envars.html
LIBPQ = (
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGREQUIREPEER",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGCONNECT_TIMEOUT",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLNEGOTIATION",
    "PGSSLCOMPRESSION",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGGSSENCMODE",
    "PGKRBSRVNAME",
    "PGGSSLIB",
    "PGGSSDELEGATION",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGCLIENTENCODING",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
    "PGLOCALEDIR",
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where a worker finds them: files `NAME.env` of a folder, or what a command prints."""

    folder: Path | None = None
    command: str = ""


def check_secrets(secrets: Secrets) -> None:
    """Raise UsageError where a worker would find no secrets at all: it would take turns from others
    that do.
    """
    if bool(secrets.folder) == bool(secrets.command):
        raise UsageError("give --secrets DIR or --secrets-command COMMAND")
    if secrets.folder and not secrets.folder.is_dir():
        raise UsageError(f"--secrets {secrets.folder} is no folder")
    words = _words(secrets.command)
    if secrets.command and not (words and shutil.which(words[0])):
        raise UsageError(f"--secrets-command: there is no {secrets.command}")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--secrets-command is no command: {error}") from None


def check_reference(reference: str) -> None:
    """Raise UsageError where a reference could be a path or an option."""
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"--secrets {reference!r} is no name – it names NAME.env in the workers' folder of"
            " secrets: letters, digits, . _ and -"
        )


async def variables(secrets: Secrets, reference: str) -> dict[str, str]:
    """The variables of a migration, keys among them.

    Raises UsageError where they are not to be had, and Unavailable where they may be later: what
    gives them to all migrations does not work.
    """
    check_reference(reference)
    if secrets.command:
        text = await _printed(secrets.command, reference)
    else:
        text = _written(secrets.folder, reference)
    found = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {key: value for key, value in found.items() if value}


def hidden(found: Mapping[str, str]) -> list[str]:
    """What of a migration's variables nobody may read anywhere: all but addresses."""
    return [
        value
        for value in found.values()
        if "://" not in value and not _EMAIL.fullmatch(value)
    ]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What every turn needs of the worker's environment."""
    return {
        name: environment[name]
        for name in (*INHERITED, *LIBPQ)
        if name in environment
    }


def _written(folder: Path | None, reference: str) -> str:
    if folder is None:
        raise UsageError(
            "this worker has no secrets – start it with --secrets DIR"
        )
    if not os.path.isdir(folder):  # noqa: PTH112 - a disk that fails raises there
        raise Unavailable(
            f"the folder of secrets {folder} is not there – look after it on that machine"
        )
    file = folder / f"{reference}.env"
    try:
        others = file.stat().st_mode & 0o077
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        told = f"the secrets {file} cannot be read: {reason}"
        if _is_away(folder, error):
            raise Unavailable(
                f"{told} – look after that folder on that machine"
            ) from None
        raise UsageError(
            f"{told} – every worker needs this file, readable by its user"
        ) from None
    if others and os.name == "posix":
        raise UsageError(
            f"the secrets {file} can be read by others – chmod 600 {file}"
        )
    return text


def _is_away(folder: Path, error: Exception) -> bool:
    """Whether the secrets of all are away: their disk fails, or nothing is mounted there."""
    if isinstance(error, FileNotFoundError):
        return not any(folder.glob("*.env"))
    of_one = (PermissionError, IsADirectoryError, UnicodeError)
    return not isinstance(error, of_one)


async def _printed(command: str, reference: str) -> str:
    """What the command prints for a reference; what it says of errors goes to the worker's log."""
    # a turn may be stopped while the command starts: it is waited for, to be ended as a whole
    starting = asyncio.ensure_future(_started(command, reference))
    try:
        process = await asyncio.shield(starting)
        out, _ = await asyncio.wait_for(process.communicate(), TAKES)
    except TimeoutError:
        await killed(await starting)
        raise Unavailable(
            f"the command for secrets takes longer than {TAKES:.0f} s for {reference}{CALL}"
        ) from None
    except asyncio.CancelledError:
        with suppress(Unavailable):  # it could not be started: nothing is left
            await killed(await starting)
        raise
    if process.returncode:
        raise Unavailable(
            f"the command for secrets ended with code {process.returncode} for {reference}{CALL}"
        )
    return out.decode("utf-8", "replace")


async def _started(command: str, reference: str) -> asyncio.subprocess.Process:
    silent, heard = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *_words(command),
            reference,
            stdin=silent,
            stdout=heard,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"the command for secrets, {_words(command)[0]}, cannot be started:"
            f" {error.strerror} – see what --secrets-command that worker has"
        ) from None
