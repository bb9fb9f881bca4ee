"""What servers say in odd ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.platform import Answer, Before, Platform, Request, served
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)


def made(folder: Path, platform: Platform, **more: Any) -> Project:
    """People become contacts."""
    source = {"people": readable("people", name="text", email="text")}
    destination = {"contacts": writable("contacts", ["name"], name="text", email="text")}
    fields = {"name": "name", "email": "email"}
    spec = migration({"contacts": mapped("people", "contacts", fields)})
    return project(folder, platform, source, destination, spec, **more)


def once(answer: Answer, method: str) -> Before:
    """The first call of a kind is answered so."""
    left = [1]

    def hook(_: Platform, request: Request) -> Answer | None:
        if request.method != method or request.path == "/ok" or not left[0]:
            return None
        left[0] -= 1
        return answer

    return hook


@pytest.mark.parametrize("kind", ["text/plain; charset=\xfc", "t\xe9xt/html", "text/html; charset=utf-16", "text/html; charset=base64", "text/html; charset=idna", "text/html; charset=rot13","text/html; charset=a\0b"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_of_an_odd_kind(tmp_path: Path, kind: str, method: str) -> None:
    """An error page whose `Content-Type` is odd is an error page like others: the record arrives."""
    platform = Platform({"people": [{"id": 1, "name": "Ann", "email": "a@x"}], "contacts": []})
    platform.before.append(once(Answer(502, raw=b"<p>\xfcbel</p>", headers={"content-type": kind}), method))
    with served(platform):
        made(tmp_path, platform).full()
        assert [row["name"] for row in platform.tables["contacts"]] == ["Ann"]
