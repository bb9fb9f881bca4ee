"""A key of the connector and a name and password in the address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.connector.transport import Calls
from tests.platforms.platform import Platform, served
from tests.platforms.project import (
    mapped,
    migration,
    project,
    readable,
    writable,
)


def test_one_authorization_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the address holds a name and a password, a request holds one `Authorization`, as it did with httpx."""
    heads: list[bytes] = []
    plain = Calls._exchange

    def exchange(calls: Calls, sent: Any) -> Any:
        heads.append(sent.lines)
        return plain(calls, sent)

    monkeypatch.setattr(Calls, "_exchange", exchange)
    monkeypatch.setenv("KEY", "secret-key-of-the-account")
    platform = Platform({"people": [{"id": 1, "name": "Ann"}], "contacts": []})
    with served(platform):
        source = {"people": readable("people", name="text")}
        destination = {"contacts": writable("contacts", ["name"], name="text")}
        spec = migration({"contacts": mapped("people", "contacts", {"name": "name"})})
        bearer = {"kind": "bearer", "secret": "KEY"}
        made = project(tmp_path, platform, source, destination, spec, auth=bearer)
        platform.base_url = platform.base_url.replace("://", "://127.0.0.1:password@")
        made.full()
    found = [sum(line.lower().startswith(b"authorization:") for line in head.split(b"\r\n")) for head in heads]
    assert found and set(found) == {1}
