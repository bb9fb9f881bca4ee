"""Where the two accounts are: the embedded sandbox, or live accounts named by the environment."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from engine.config.document import content
from engine.connector.auth import Account, Accounts, addresses
from engine.connector.auth import variables as variables_of
from engine.connector.model import Connector
from engine.errors import UsageError
from engine.language.compile import Migration
from engine.language.model import Side


def variables(place: Path | None = None) -> dict[str, str]:
    """The process environment over the `.env` file of a folder, or over a file; read once, at
    the edge.
    """
    file = (
        place if place and place.is_file() else (place or Path.cwd()) / ".env"
    )
    return (_written(file) if file.is_file() else {}) | dict(os.environ)


def _written(file: Path) -> dict[str, str]:
    """What an `.env` file says; raises UsageError with the place of a line that is not an
    assignment.
    """
    from dotenv import dotenv_values  # most commands meet no file
    from dotenv.parser import parse_stream

    text = content(file, str(file))
    if wrong := [
        line.original.line
        for line in parse_stream(io.StringIO(text))
        if line.error
    ]:
        raise UsageError(
            f"{file}:{wrong[0]}:1: not a variable – write NAME=value, or # before a"
            " comment"
        )
    return {
        key: value
        for key, value in dotenv_values(stream=io.StringIO(text)).items()
        if value is not None
    }


def check_accounts(
    migration: Migration, name: str, env: Mapping[str, str]
) -> None:
    """Raise UsageError where an environment cannot give the accounts, before anything is made
    for them.
    """
    if name == "live":
        live(migration, env)
        return
    try:
        from sandbox.platforms import PLATFORMS
    except ImportError:
        raise UsageError(
            "the sandbox is not installed here – use --env live"
        ) from None
    both = migration.source, migration.destination
    strange = [item.title for item in both if item.name not in PLATFORMS]
    if strange:
        raise UsageError(
            f"there is no emulator of {' and '.join(strange)} – use --env live with a"
            " test account"
        )


@contextmanager
def accounts(
    migration: Migration, name: str, env: Mapping[str, str], folder: Path
) -> Iterator[Accounts]:
    """The accounts of an environment; the sandbox's servers run while the context is open."""
    if name == "live":
        yield live(migration, env)
        return
    check_accounts(migration, name, env)
    with ExitStack() as stack:
        yield sandbox(migration, env, folder, stack)


def live(migration: Migration, env: Mapping[str, str]) -> Accounts:
    """Accounts named by the environment; raises UsageError that names every missing variable."""
    return Accounts(*named(env, migration.source, migration.destination))


def named(env: Mapping[str, str], *connectors: Connector) -> list[Account]:
    """The account of each connector as the environment names it; raises UsageError that names
    every missing variable.
    """
    needed: list[str] = []
    for connector in connectors:
        connection = connector.connection
        needed += [connection.base_url_env, *variables_of(connection.auth)]
    missing = [name for name in dict.fromkeys(needed) if not env.get(name)]
    if missing:
        raise UsageError(
            f"the live environment needs {', '.join(missing)} – set"
            f" {'it' if len(missing) == 1 else 'them'} in the environment or in .env"
        )
    return [_named(connector, env) for connector in connectors]


def _named(connector: Connector, env: Mapping[str, str]) -> Account:
    connection = connector.connection
    url = _address(connection.base_url_env, env)
    places = {
        name: _address(name, env)
        for name in addresses(connection.auth)
        if env.get(name)
    }
    secrets = {name: env[name] for name in variables_of(connection.auth)}
    return Account(
        url, env.get(connection.secret_env, ""), secrets={**places, **secrets}
    )


HERE = ("127.0.0.1", "localhost")  # where nothing travels over a network


def _address(name: str, env: Mapping[str, str]) -> str:
    url = env[name].rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"{name} is {url!r} – write the full address, including https://"
        )
    if url.startswith("http://") and urlsplit(url).hostname not in HERE:
        raise UsageError(
            f"{name} is not https – a key must not travel unencrypted"
        )
    return url


def sandbox(
    migration: Migration, env: Mapping[str, str], folder: Path, stack: ExitStack
) -> Accounts:
    """Start (or find) the emulators of both platforms on this machine."""
    from sandbox.launch import launch

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    extra = tuple(env.get("ETL_SANDBOX_ARGS", "").split())

    def start(connector: Connector, side: Side) -> Account:
        data = folder / f"{connector.name}.sqlite"
        size = (
            ("--size", env["ETL_SANDBOX_SIZE"])
            if env.get("ETL_SANDBOX_SIZE")
            else ()
        )
        running = stack.enter_context(
            launch(
                connector.name,
                data=data,
                plan=side.plan,
                seats=side.seats,
                extra_args=(*size, *extra),
            )
        )
        return Account(running.base_url, running.key, str(data.resolve()))

    try:
        return Accounts(
            start(migration.source, migration.spec.source),
            start(migration.destination, migration.spec.destination),
        )
    except (RuntimeError, OSError) as error:
        raise UsageError(f"the sandbox does not start: {error}") from None
