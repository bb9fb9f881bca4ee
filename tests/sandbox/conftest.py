"""Emulators started once per module and an HTTP client for each."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from sandbox.launch import Running
from tests import loopback
from tests.emulator import emulator


@pytest.fixture(scope="module")
def pipedrive() -> Iterator[Running]:
    """A Pipedrive account with generous limits whose search index is never behind."""
    with emulator(
        "pipedrive", plan="ultimate", seats=100, extra_args=["--set", "index_delay=0"]
    ) as running:
        yield running


@pytest.fixture(scope="module")
def http(pipedrive: Running) -> Iterator[httpx.Client]:
    """A client of that account with a valid key."""
    with loopback.client(
        base_url=pipedrive.base_url, headers={"x-api-token": pipedrive.key}, timeout=10
    ) as client:
        yield client


@pytest.fixture
def api(http: httpx.Client) -> httpx.Client:
    """The same client at a moment when no burst window holds earlier requests."""
    http.post("/__sandbox__/clock", json={"advance": 3})
    return http
