"""The clients: how each is had, run, pointed at the emulator, and what it needs of the emulator's switches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.installing import (
    HERE,
    Absent,
    from_index,
    from_npm,
    from_repository,
)

DRIVERS = HERE / "drivers"
PHP_CLIENT = ("https://github.com/pipedrive/client-php.git", "4d63174c5522de55270edf7d5ae0dc0169e93910")
VERIFIED_SOURCES = ("https://github.com/dlt-hub/verified-sources.git", "3957506893a7da821dbcc6acd51c7ca4475d1f53")
GUZZLE = Path("/usr/share/php/GuzzleHttp/autoload.php")  # Debian's php-guzzlehttp-guzzle

Command = Callable[[], Sequence[str]]  # installs where that is needed; raises Absent


@dataclass(frozen=True, slots=True)
class Client:
    """One client by other people."""

    name: str
    version: str
    command: Command
    pointed: str  # how it comes to the emulator: "its own setting" or "proxy"
    switches: tuple[str, ...] = ()  # behaviours of the service that this client was written for


def _python(name: str, *words: str, version: str = "") -> list[str]:
    return [str(from_index(name, version) / "bin/python"), "-I", "-W", "ignore", str(DRIVERS / f"{name}.py"), *words]


def _node() -> list[str]:
    return ["node", str(DRIVERS / "vendor_node.js"), str(from_npm("vendor_node"))]


def _php() -> list[str]:
    if not shutil.which("php") or not GUZZLE.exists():
        raise Absent("vendor_php is left out: there is no php here, or none with Guzzle (Debian: php-cli php-curl php-guzzlehttp-guzzle)")
    return ["php", str(DRIVERS / "vendor_php.php"), str(from_repository("vendor_php", *PHP_CLIENT, "lib")), str(GUZZLE)]


def _program(name: str, program: str, version: str = "") -> list[str]:
    folder = from_index(name, version)
    return [*_python(name, str(folder / "bin" / program), version=version)]


def _dlt() -> list[str]:
    folder = from_repository("dlt_sources", *VERIFIED_SOURCES, "sources/pipedrive")
    return _python("dlt_verified", str(folder / "sources"))


CLIENTS = (
    Client("vendor_node", "pipedrive 33.7.0 (npm)", _node, "its own setting"),
    Client("vendor_php", "pipedrive/client-php 17.5.1 (4d63174c)", _php, "its own setting"),
    Client("tap_pipedrive", "tap-pipedrive 2.1.0 (PyPI)", lambda: _program("tap_pipedrive", "tap-pipedrive"), "proxy"),
    Client(
        "dlt_verified", "dlt-hub/verified-sources 39575068 with dlt 1.31.0", _dlt, "proxy", switches=("v1_empty_options=left_out",)
    ),
    Client(
        "airbyte_source", "airbyte-source-pipedrive 2.3.7 (PyPI) with its CDK",
        lambda: _program("airbyte_source", "source-pipedrive", "3.10"), "proxy",
    ),
    Client(
        "pypipedrive", "pypipedrive-client 1.0.2 (PyPI)", lambda: _python("pypipedrive", version="3.12"), "proxy",
        switches=("activity_times=minutes",),
    ),
    Client("pipedrive_python_lib", "pipedrive-python-lib 1.2.3 (PyPI)", lambda: _python("pipedrive_python_lib"), "proxy"),
)  # fmt: skip
